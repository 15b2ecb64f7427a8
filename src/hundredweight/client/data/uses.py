"""Which experiments used which version of the data: by the digests in their records, or by the names that messages give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.lineage.experiments import find

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.lineage.record import DataVersion


@dataclass(frozen=True)
class Use:
    """One version of one data path, and the experiments that trained on it, oldest first. `current`: it is that of the commit
    asked about."""

    data: DataVersion
    experiments: tuple[Experiment, ...]
    current: bool = False


def uses(workspace: Workspace, now: Iterable[DataVersion] = ()) -> tuple[Use, ...]:
    """Every version that an experiment used, in the order of first use; those `now` that none used are left out. Experiments that
    name no digest are told apart by the version's name. Raises `GitError`."""
    known = {_key(data) for data in now}
    found: dict[tuple[str, str], list[Experiment]] = {}
    shown: dict[tuple[str, str], DataVersion] = {}
    for experiment in sorted(find(workspace.git).experiments, key=lambda made: made.record.started):
        for data in experiment.record.data:
            key = _key(data)
            found.setdefault(key, []).append(experiment)
            shown.setdefault(key, data)
    return tuple(Use(shown[key], tuple(made), key in known) for key, made in found.items())


def _key(data: DataVersion) -> tuple[str, str]:
    return data.path.rstrip("/"), data.digest or data.version
