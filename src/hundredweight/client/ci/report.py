"""`cwt ci report`: what a revision changes against another: weights, metrics, data, environment. Downloads no weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, UsageError
from hundredweight.client import diff
from hundredweight.client.lineage_settings import of_revision
from hundredweight.client.releases.facts import facts_of
from hundredweight.client.remote_recipes import learn
from hundredweight.client.tensor_diff import KINDS
from hundredweight.lineage.compare import Comparison, compare

if TYPE_CHECKING:
    from hundredweight.client.diff import ModelDiff, Plan, Subject, Version
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.block import Facts
    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.settings import LineageSettings


@dataclass(frozen=True, slots=True)
class Side:
    """One of both revisions, as it was named and as a commit."""

    name: str
    commit: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class ModelChange:
    """One model that is not the same on both sides. Sizes in bytes, 0 where it is not. `tensors` counts by what became of them
    (`changed`, `added`, ...); None where neither data nor a recipe is here, and `unknown` says why."""

    name: str
    old_size: int
    new_size: int
    tensors: dict[str, int] | None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A metric with a bound in hundredweight.toml; `kept` when the new side keeps it. A metric that is not there does not."""

    metric: str
    bound: float
    is_minimum: bool
    value: Value
    kept: bool


@dataclass(frozen=True, slots=True)
class Report:
    old: Side
    new: Side
    comparison: Comparison
    models: tuple[ModelChange, ...]
    limits: tuple[Limit, ...]

    @property
    def kept(self) -> bool:
        """Whether every bound is kept."""
        return all(limit.kept for limit in self.limits)


def gather(workspace: Workspace, old: str, new: str) -> Report:
    """Compare two revisions. Raises `UsageError` for one that is none, `RecordInvalid`, `GitError`."""
    sides = [_side(workspace, name) for name in (old, new)]
    settings = of_revision(workspace.git, sides[1].commit)
    comparison = compare([side.facts for side in sides])
    return Report(sides[0], sides[1], comparison, _models(workspace, *sides), _limits(settings, sides[1].facts))


def _side(workspace: Workspace, name: str) -> Side:
    found = workspace.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.code:
        raise UsageError(f"'{name}' is no commit here", hint="fetch it, or name another revision")
    commit = found.out.decode().strip()
    return Side(name, commit, facts_of(workspace, commit))


def _models(workspace: Workspace, old: Side, new: Side) -> tuple[ModelChange, ...]:
    planned = diff.plan(workspace, [old.commit, new.commit])
    learn(workspace, [file.pointer for file in planned.pointers()])
    return tuple(_model(workspace, planned, subject) for subject in planned.subjects)


def _model(workspace: Workspace, planned: Plan, subject: Subject) -> ModelChange:
    try:
        found = diff.compare_subject(workspace, planned, subject, hint="run 'git lfs fetch'", statistics=False)
    except CwtError as error:
        sizes = [sum(file.pointer.size for file in files if file.pointer) for files in (subject.old, subject.new)]
        return ModelChange(subject.name, sizes[0], sizes[1], None, error.message)
    return ModelChange(subject.name, _size(found.old), _size(found.new), _tensors(found))


def _size(version: Version | None) -> int:
    return version.size if version is not None else 0


def _tensors(found: ModelDiff) -> dict[str, int]:
    counts = {kind: found.tensors.count(kind) for kind in KINDS} | {"unchanged": found.tensors.unchanged}
    return {kind: count for kind, count in counts.items() if count}


def _limits(settings: LineageSettings, facts: Facts) -> tuple[Limit, ...]:
    bounds = [(name, bound, True) for name, bound in settings.minimum.items()]
    bounds += [(name, bound, False) for name, bound in settings.maximum.items()]
    made = []
    for name, bound, is_minimum in bounds:
        value = facts.metrics.get(name)
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        made.append(Limit(name, bound, is_minimum, value, number >= bound if is_minimum else number <= bound))
    return tuple(made)
