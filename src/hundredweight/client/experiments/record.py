"""`cwt exp record`: a training that ran elsewhere (a Slurm job, a notebook), recorded from what it left in the work tree."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hundredweight.base.errors import LocalError, UsageError
from hundredweight.client import lineage_settings
from hundredweight.client.experiments import grid, trackers, worktrees
from hundredweight.client.experiments.process import settled_log
from hundredweight.client.experiments.recording import Survey, find_seed, gather, read_parameters, write
from hundredweight.client.experiments.run import default_name, find_branch
from hundredweight.client.experiments.run_folder import State
from hundredweight.client.experiments.snapshot import WorkFiles
from hundredweight.lineage import record
from hundredweight.lineage.record import Code, Record, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.client.experiments.recording import Outcome, Results
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.settings import LineageSettings


class NoSuchFile(LocalError):
    """A file that was named to be recorded is not in the work tree."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"there is no file '{path}' in the work tree", hint="name it from where you are, below the top"
        )
        self.path = path


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """`weights` and `metrics` are files, relative to where the user is, besides those that the settings name. `started` is empty
    for unknown; `exit_code` tells how it ended unless `killed`. `python` names the interpreter that trained, empty for the one
    of `command`, or the first on PATH."""

    command: tuple[str, ...] = ()
    name: str = ""
    settings: tuple[str, ...] = ()
    branch: str | None = None
    weights: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    log: str = ""
    started: str = ""
    seconds: float = 0.0
    exit_code: int = 0
    killed: bool = False
    python: str = ""


def record_training(workspace: Workspace, request: RecordRequest) -> tuple[Outcome, list[str]]:
    """Record it on top of HEAD; gives notes for people besides. Any number may do so at once. Raises `UsageError`, `NoSuchFile`,
    `RecordInvalid`, `GitError`, `WriteError`."""
    if workspace.repository.bare:
        raise UsageError("a bare repository has no work tree to record from", hint="run this in a clone of it")
    settings = _settings(workspace, request)
    git = worktrees.with_identity(workspace.git)
    runs = grid.parse_grid(request.settings)
    if len(runs) != 1:
        raise UsageError(
            "several values make no sense for one training", hint="write '--set KEY=VALUE', or KEY=[A,B] for a list"
        )
    work = WorkFiles(workspace, settings)
    shot = work.before()
    name = request.name or default_name(workspace, settings)
    branch = "" if request.branch is None else find_branch(git, request.branch or name, shot.commit)
    cwd = os.path.join(workspace.repository.work_tree, workspace.repository.prefix)
    survey = Survey(git, settings, shot, request.command, cwd, workspace.variables, request.python)
    now = time.time()
    started = parse_moment(request.started) if request.started else (now - request.seconds if request.seconds else 0.0)
    given = read_parameters(work, settings) | grid.as_values(runs[0])
    status = Status.KILLED if request.killed else Status.FAILED if request.exit_code else Status.DONE
    made = Record(
        id=record.new_id(now),
        name=name,
        status=status,
        command=request.command,
        started=record.utc(started or now),
        seconds=request.seconds or (round(now - started, 3) if started else 0.0),
        exit_code=request.exit_code,
        code=Code(shot.commit, shot.dirty),
        seed=find_seed(given, request.command),
        parameters=given,
        base=shot.base,
    )
    results = gather(workspace, work, work.results(work.changed(shot.commit)))
    around = survey.result()
    made = replace(
        made,
        hardware=around.hardware,
        environment=around.environment,
        data=around.data,
        trackers=trackers.find(cwd, workspace.variables, started),
    )
    log = _log(workspace, request.log)
    files = {**shot.changes, **results.files}
    outcome = write(git, made, State(shot.commit, branch, started=now), results, files, log)
    return outcome, _notes(results)


def parse_moment(text: str) -> float:
    """Seconds since 1970, of an ISO date and time (by default UTC) or such a number. Raises `UsageError`."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text}' is no date and time", hint="write 2026-11-23T14:00:00Z") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _settings(workspace: Workspace, request: RecordRequest) -> LineageSettings:
    """The settings, with the files that the request names."""
    found = lineage_settings.of_work_tree(workspace)
    weights, metrics = (_below_top(workspace, paths) for paths in (request.weights, request.metrics))
    return replace(found, weights=(*found.weights, *weights), metrics=(*found.metrics, *metrics))


def _below_top(workspace: Workspace, paths: Sequence[str]) -> list[str]:
    top = workspace.repository.work_tree
    found = []
    for path in paths:
        full = os.path.normpath(os.path.join(top, workspace.repository.prefix, path))
        if not os.path.exists(full) or os.path.relpath(full, top).startswith(".."):
            raise NoSuchFile(path)
        found.append(os.path.relpath(full, top))
    return found


def _log(workspace: Workspace, name: str) -> bytes:
    if not name:
        return b""
    try:
        with open(os.path.join(workspace.repository.work_tree, workspace.repository.prefix, name), "rb") as file:
            return settled_log(file.read())
    except OSError as error:
        raise NoSuchFile(name) from error


def _notes(results: Results) -> list[str]:
    notes = list(results.notes)
    if not results.metrics.final:
        notes.append("no metrics were found; name their files with --metrics, or in hundredweight.toml")
    return notes
