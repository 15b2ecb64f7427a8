"""A tracker's run as an experiment: recorded once, however often it is brought in."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.client.experiments.names import rows_of
from hundredweight.client.experiments.worktrees import with_identity
from hundredweight.lineage import experiments, metrics
from hundredweight.lineage.record import Code, Environment, Hardware, Record, Status, Tracker, new_id, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.fields import Value

CURVES = "metrics.jsonl"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(slots=True)
class Run:
    """One run. `started` and `ended` are seconds since 1970, 0 where they are not known; `points` are rows of its
    curves, each with
    a `step`; `commit` is what its tracker says of git, which may be in another repository."""

    kind: str
    id: str
    name: str = ""
    status: Status = Status.DONE
    started: float = 0.0
    ended: float = 0.0
    exit_code: int = 0
    parameters: dict[str, Value] = field(default_factory=dict)
    metrics: dict[str, Value] = field(default_factory=dict)
    points: list[dict[str, Value]] = field(default_factory=list)
    commit: str = ""
    url: str = ""
    command: tuple[str, ...] = ()
    python: str = ""
    hardware: Hardware = field(default_factory=Hardware)
    published: str = ""
    """The experiment that was published as this run: there is nothing to bring in."""

    @property
    def experiment(self) -> str:
        """The id of its experiment: the same whenever and wherever it is brought in."""
        return new_id(self.started, hashlib.sha256(f"{self.kind}:{self.id}".encode()).digest()[:4])


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a run: `commit` is empty where it is an experiment `already`, with this `id`."""

    run: Run
    id: str
    commit: str = ""

    @property
    def already(self) -> bool:
        return not self.commit


def bring_in(workspace: Workspace, runs: Iterable[Run]) -> Iterator[Imported]:
    """Record each run that no experiment stands for yet: on the commit that it was started from, where that is here, else without
    one. Raises `GitError`."""
    git = with_identity(workspace.git)
    known: dict[str, str] = {}
    for row in rows_of(workspace).rows:
        known[row.id] = row.id
        known.update(dict.fromkeys(row.runs, row.id))
    for run in runs:
        identity = run.published or known.get(f"{run.kind}:{run.id}") or known.get(run.experiment)
        if identity:
            yield Imported(run, identity)
            continue
        here = bool(_COMMIT.fullmatch(run.commit)) and git.ok("cat-file", "-e", f"{run.commit}^{{commit}}")
        made, files = as_record(run)
        known[made.id] = made.id
        yield Imported(run, made.id, experiments.write(git, run.commit if here else "", made, files))


def as_record(run: Run) -> tuple[Record, dict[str, bytes | str | None]]:
    """The record, and the files beside it."""
    identity = run.experiment
    blank = Record(identity)
    path = f"{blank.folder}/{CURVES}"
    files: dict[str, bytes | str | None] = {path: metrics.encode_curve(run.points)} if run.points else {}
    made = Record(
        identity,
        name=run.name or run.id,
        status=run.status,
        command=run.command,
        started=utc(run.started) if run.started else "",
        seconds=round(max(0.0, run.ended - run.started), 3) if run.ended and run.started else 0.0,
        exit_code=run.exit_code,
        code=Code(run.commit),
        seed=_seed(run.parameters),
        parameters=run.parameters,
        metrics=run.metrics,
        curves=(path,) if run.points else (),
        hardware=run.hardware,
        environment=Environment(run.python),
        trackers=(Tracker(run.kind, run.id, run.url),),
    )
    return made, files


def flatten(values: dict[str, object], prefix: str = "") -> dict[str, Value]:
    """Nested tables as `outer.inner`; lists as texts."""
    found: dict[str, Value] = {}
    for key, item in values.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict):
            found |= flatten(item, f"{name}.")
        elif isinstance(item, list | tuple):
            found[name] = ", ".join(map(str, item))
        elif isinstance(item, float) and not math.isfinite(item):
            found[name] = str(item)
        elif isinstance(item, bool | int | float | str):
            found[name] = item
    return found


def _seed(parameters: dict[str, Value]) -> int | None:
    seed = parameters.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None
