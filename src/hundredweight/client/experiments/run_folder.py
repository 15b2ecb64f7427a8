"""A run while it lasts: a folder in the git folder, held by a lock that ends with the process, and what was killed found by it.

`COMMON/hundredweight/runs/ID/` has `lock`, `state.json` (the record so far, and what its commit needs), `metrics.jsonl`, `log.*`,
and `tree`, the work tree of a run that has one of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hundredweight.base.files import make_folders, open_append, temp_path, write_file
from hundredweight.base.trace import trace
from hundredweight.lineage import metrics, record
from hundredweight.lineage.fields import Fields, RecordInvalid
from hundredweight.lineage.record import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.client.experiments.snapshot import Stat
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.metrics import Metrics
    from hundredweight.lineage.record import Record

METRICS = "metrics.jsonl"
TREE = "tree"
_RUNS = os.path.join("hundredweight", "runs")
_NEW = ".new"
_YOUNG = 3600.0


@dataclass(slots=True)
class State:
    """What a run's commit needs besides its record. `pid` is the training's, with the time at which it was started as the system
    counts it; `top` the work tree that it runs in, `stats` the state of results there before it began."""

    parent: str = ""
    ref: str = ""
    changes: dict[str, str | None] = field(default_factory=dict)
    started: float = 0.0
    pid: int = 0
    born: str = ""
    top: str = ""
    stats: dict[str, Stat] = field(default_factory=dict)


class RunFolder:
    """One run. Whoever has it open holds its lock; `close` gives it up."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @property
    def tree(self) -> str:
        return os.path.join(self.path, TREE)

    @property
    def metrics(self) -> str:
        return os.path.join(self.path, METRICS)

    def save(self, made: Record, state: State) -> None:
        """Raises `WriteError`."""
        document = {
            "record": json.loads(made.encode()),
            "parent": state.parent,
            "ref": state.ref,
            "changes": state.changes,
            "started": state.started,
            "pid": state.pid,
            "born": state.born,
            "top": state.top,
            "stats": state.stats,
        }
        write_file(os.path.join(self.path, "state.json"), json.dumps(document).encode())

    def logged(self) -> Metrics:
        """What the training logged here. A damaged line ends it."""
        try:
            with open(self.metrics, "rb") as file:
                return metrics.read(METRICS, file.read())
        except (FileNotFoundError, RecordInvalid) as error:
            trace(f"'{self.metrics}': {error}")
            return metrics.Metrics()

    def remove(self) -> None:
        """The folder goes, its lock with it; a work tree in it must have gone before."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Harmless a second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def runs_folder(workspace: Workspace) -> str:
    return os.path.join(workspace.repository.common_dir, _RUNS)


def create(workspace: Workspace, identity: str) -> RunFolder:
    """A new run's folder: it shows under its name with its lock held. Raises `OSError`."""
    runs = runs_folder(workspace)
    temp = temp_path(runs, _NEW)
    make_folders(temp)
    descriptor = open_append(os.path.join(temp, "lock"))
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    path = os.path.join(runs, identity)
    os.rename(temp, path)
    return RunFolder(path, descriptor)


def abandoned(workspace: Workspace) -> list[RunFolder]:
    """Folders whose run was killed, each with its lock held by us now; one whose training still goes on is left alone."""
    runs = runs_folder(workspace)
    found = []
    for name in sorted(os.listdir(runs)) if os.path.isdir(runs) else ():
        path = os.path.join(runs, name)
        if name.startswith(_NEW):
            _sweep_new(path)
            continue
        folder = _take(path)
        if folder is not None:
            found.append(folder)
    return found


def running_in(workspace: Workspace) -> list[str]:
    """The ids of runs that go on in this very work tree."""
    runs = runs_folder(workspace)
    found = []
    for name in sorted(os.listdir(runs)) if os.path.isdir(runs) else ():
        known = _read(os.path.join(runs, name))
        if known is not None and known[1].top == workspace.repository.work_tree:
            found.append(name)
    return found


def load(folder: RunFolder) -> tuple[Record, State] | None:
    """What is known of a run; None where it was killed before that was written."""
    return _read(folder.path)


def _read(path: str) -> tuple[Record, State] | None:
    try:
        with open(os.path.join(path, "state.json"), "rb") as file:
            fields = Fields(json.loads(file.read()), path)
        made = record.decode(json.dumps(fields.table.get("record")).encode(), path)
        changes = {path: None if blob is None else str(blob) for path, blob in fields.part("changes").table.items()}
        state = State(
            fields.text("parent"),
            fields.text("ref"),
            changes,
            fields.number("started"),
            fields.integer("pid"),
            fields.text("born"),
            fields.text("top"),
            _stats(fields.part("stats").table),
        )
    except (OSError, ValueError, RecordInvalid) as error:
        trace(f"nothing is known of '{path}': {error}")
        return None
    return made, state


def _stats(table: Mapping[str, object]) -> dict[str, Stat]:
    found = {}
    for path, seen in table.items():
        if isinstance(seen, list) and len(seen) == 3 and all(isinstance(part, int) for part in seen):
            found[path] = (seen[0], seen[1], seen[2])
    return found


def is_alive(state: State) -> bool:
    """Whether the training itself still runs, though the program that recorded it does not."""
    return state.pid > 0 and bool(state.born) and birth(state.pid) == state.born


def birth(pid: int) -> str:
    """When a process began, as the system counts it: tells it from a later one of the same number. Empty: there is none, or the
    system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def as_killed(folder: RunFolder, made: Record, state: State) -> Record:
    """The record of a run that was killed: how long it went on is told by what it wrote last."""
    last = state.started
    for name in os.listdir(folder.path):
        if name == METRICS or name.startswith("log."):
            last = max(last, os.stat(os.path.join(folder.path, name)).st_mtime)
    return replace(made, status=Status.KILLED, exit_code=137, seconds=round(last - state.started, 3))


def _take(path: str) -> RunFolder | None:
    try:
        descriptor = os.open(os.path.join(path, "lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        trace(f"'{path}' cannot be looked at: {error}")
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not os.path.isdir(path):
        # Somebody recorded and removed it since.
        os.close(descriptor)
        return None
    return RunFolder(path, descriptor)


def _sweep_new(path: str) -> None:
    try:
        old = time.time() - os.lstat(path).st_mtime > _YOUNG
    except FileNotFoundError:
        return
    if old:
        shutil.rmtree(path, ignore_errors=True)
