"""Runs whose `cwt exp run` was killed: recorded as such by the next command that looks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.base.trace import notice
from hundredweight.client import lineage_settings
from hundredweight.client.experiments import run_folder, worktrees
from hundredweight.client.experiments.process import read_log
from hundredweight.client.experiments.recording import Results, gather, write
from hundredweight.client.experiments.snapshot import Snapshot, WorkFiles
from hundredweight.client.workspace import open_workspace
from hundredweight.lineage import experiments
from hundredweight.lineage.record import Status

if TYPE_CHECKING:
    from hundredweight.client.experiments.recording import Outcome
    from hundredweight.client.experiments.run_folder import RunFolder, State
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.record import Record


def collect(workspace: Workspace) -> list[Outcome]:
    """Record what was killed since somebody looked last. Several at once share the work. What cannot be recorded is told, and
    kept for the next time."""
    found = []
    for folder in run_folder.abandoned(workspace):
        try:
            outcome = _collect(workspace, folder)
        except (CwtError, OSError) as error:
            notice(f"note: a run that was killed cannot be recorded yet: {error}")
            continue
        finally:
            folder.close()
        if outcome is not None:
            found.append(outcome)
    return found


def _collect(workspace: Workspace, folder: RunFolder) -> Outcome | None:
    known = run_folder.load(folder)
    outcome = None
    if known is not None:
        made, state = known
        if run_folder.is_alive(state):
            return None
        git = worktrees.with_identity(workspace.git)
        if not git.ok("show-ref", "--verify", "--quiet", experiments.REFS + made.id):
            if made.status is Status.RUNNING:
                made = run_folder.as_killed(folder, made, state)
            results = _results(workspace, folder, made, state)
            outcome = write(git, made, state, results, {**state.changes, **results.files}, read_log(folder.path))
    worktrees.remove(workspace, folder.tree)
    folder.remove()
    return outcome


def _results(workspace: Workspace, folder: RunFolder, made: Record, state: State) -> Results:
    """What the training logged, and what it left in a work tree of its own. The user's work tree counts only for a run that came
    to its end (recording it failed): after one that was killed others may have trained there."""
    logged = folder.logged()
    own = os.path.isdir(folder.tree)
    if own or (made.status is not Status.KILLED and os.path.isdir(state.top)):
        inner = open_workspace(workspace.git.at(folder.tree if own else state.top), workspace.variables)
        work = WorkFiles(inner, lineage_settings.of_work_tree(inner))
        shot = Snapshot(state.parent, "", stats=state.stats)
        return gather(inner, work, work.results(work.changed(work.head()[0]), shot), logged)
    return Results(logged)
