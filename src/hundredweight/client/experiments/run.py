"""`cwt exp run`: trainings run and recorded, one in this work tree or many in work trees of their own."""

from __future__ import annotations

import os
import re
import shlex
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from hundredweight.base.errors import CwtError, UsageError
from hundredweight.base.files import write_file
from hundredweight.client import lineage_settings
from hundredweight.client.experiments import grid, run_folder, trackers, worktrees
from hundredweight.client.experiments.process import Log, Runner, read_log
from hundredweight.client.experiments.recording import Survey, find_seed, gather, read_parameters, write
from hundredweight.client.experiments.run_folder import State
from hundredweight.client.experiments.snapshot import WorkFiles
from hundredweight.lineage import record
from hundredweight.lineage.record import Code, Record, Status
from hundredweight.lineage.settings import FILE

if TYPE_CHECKING:
    from hundredweight.client.experiments.grid import Setting
    from hundredweight.client.experiments.process import Echo, Ended
    from hundredweight.client.experiments.recording import Outcome
    from hundredweight.client.experiments.run_folder import RunFolder
    from hundredweight.client.experiments.snapshot import Snapshot
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git
    from hundredweight.lineage.record import Tracker
    from hundredweight.lineage.settings import LineageSettings

EXPERIMENT, METRICS = "CWT_EXPERIMENT", "CWT_METRICS"
"""Variables of a training: its experiment's id, and the file that `hundredweight.log` writes to."""
_LINKS = (".venv", "venv")


class BranchTaken(UsageError):
    """A branch of an experiment's name is there already, and stands elsewhere."""

    hint = "name another branch: --branch NAME"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """`command` is empty for the one that the settings name. `branch` names a branch, empty for one like the experiment; None: no
    branch. `jobs`: how many runs at once, each in a work tree of its own; 0: in this work tree, unless there are several.
    `interactive`:
    a single run has the terminal."""

    command: tuple[str, ...]
    name: str = ""
    settings: tuple[str, ...] = ()
    branch: str | None = None
    jobs: int = 0
    interactive: bool = False


class Listener(Protocol):
    """Who hears how it goes; called from several threads when runs are parallel."""

    def note(self, text: str) -> None: ...
    def echo(self, name: str) -> Echo:
        """Where the output of the run of that name goes; empty for the only one."""

    def recorded(self, outcome: Outcome) -> None: ...


@dataclass(slots=True)
class _Plan:
    """One run to do."""

    name: str
    run: tuple[Setting, ...]
    assigned: grid.Assigned
    command: list[str] = field(default_factory=list)
    ref: str = ""


@dataclass(frozen=True, slots=True)
class _Site:
    """Where a run takes place. `shot` is the state of that work tree, `start` that of the user's; `changes` are what the run's
    commit has otherwise than its parent. `shown` is the name before each line of output, empty for the only run."""

    workspace: Workspace
    work: WorkFiles
    shot: Snapshot
    start: Snapshot
    changes: dict[str, str | None]
    shown: str = ""


class Experimenter:
    """Runs what a request asks for in one work tree."""

    def __init__(self, workspace: Workspace, request: RunRequest, listener: Listener) -> None:
        if workspace.repository.bare:
            raise UsageError("a bare repository has no work tree to train in", hint="run this in a clone of it")
        self._workspace = workspace
        self._request = request
        self._listener = listener
        self._settings = lineage_settings.of_work_tree(workspace)
        self.command = request.command or _words(self._settings.command)
        self._work = WorkFiles(workspace, self._settings)
        self._git = worktrees.with_identity(workspace.git)

    def run(self) -> int:
        """Run everything; the exit code of the first run that failed, else 0. Raises `UsageError`, `RecordInvalid`,
        `NotRunnable`,
        `GitError`, `WriteError`."""
        plans = self._plans()
        alone = len(plans) == 1 and not self._request.jobs
        with Runner(interactive=self._request.interactive and alone, alone=alone) as runner:
            if alone:
                return self._in_place(plans[0], runner)
            return self._apart(plans, runner)

    def _plans(self) -> list[_Plan]:
        runs = grid.parse_grid(self._request.settings)
        keys = grid.varied(runs)
        name = self._request.name or default_name(self._workspace, self._settings)
        commit = self._work.head()[0]
        plans = []
        for run in runs:
            assigned = grid.assign(run, self._settings.parameters, self._read)
            command, used = grid.fill(self.command, run)
            plan = _Plan(grid.run_name(name, run, keys) if keys else name, run, assigned, command)
            if self._request.branch is not None:
                branch = self._request.branch or name
                plan.ref = find_branch(self._git, grid.run_name(branch, run, keys) if keys else branch, commit)
            plans.append(plan)
        for setting in plans[0].assigned.loose:
            if setting.key not in used:
                grid.check_spelling(setting, plans[0].assigned.known)
                variable = next(iter(grid.variables([setting])))
                self._listener.note(f"no parameter file has '{setting.key}': the command gets it as {variable} alone")
        return plans

    def _read(self, name: str) -> bytes | None:
        try:
            return self._work.read(name)
        except FileNotFoundError:
            return None

    def _in_place(self, plan: _Plan, runner: Runner) -> int:
        for path, data in plan.assigned.files.items():
            write_file(os.path.join(self._workspace.repository.work_tree, path), data)
        shot = self._work.before()
        others = run_folder.running_in(self._workspace)
        if others:
            self._listener.note(
                f"'{others[0]}' runs in this work tree too, and files may mix; '--jobs 1' runs in one of its own"
            )
        if shot.untracked:
            some = f"'{shot.untracked[0]}'" + (f" and {len(shot.untracked) - 1} more" if shot.untracked[1:] else "")
            self._listener.note(f"not in the experiment's commit, since git does not know them: {some}")
        folder = run_folder.create(self._workspace, record.new_id(time.time()))
        site = _Site(self._workspace, self._work, shot, shot, dict(shot.changes))
        outcome, ended = self._train(plan, folder, site, runner)
        if outcome.branch and self._git.run("symbolic-ref", "-q", "HEAD").out.decode().strip() == plan.ref:
            self._settle(outcome)
        self._listener.recorded(outcome)
        return ended.code

    def _apart(self, plans: list[_Plan], runner: Runner) -> int:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 8 ms, for several runs only

        shot = self._work.before()
        for plan in plans:
            # What the files hold now counts for all, whoever edits them meanwhile.
            plan.assigned.files.update(
                {n: d for n in self._settings.parameters if n not in plan.assigned.files and (d := self._read(n))}
            )
        codes: dict[int, int] = {}
        failures: list[CwtError | OSError] = []

        def one(number: int) -> None:
            if runner.stopped:
                return
            try:
                codes[number] = self._in_tree(plans[number], shot, runner)
            except (CwtError, OSError) as error:
                failures.append(error)

        with ThreadPoolExecutor(max(self._request.jobs, 1), thread_name_prefix="run") as pool:
            waiting = [pool.submit(one, number) for number in range(len(plans))]
            for item in waiting:
                # In short waits: a signal is handled between them.
                while not item.done():
                    time.sleep(0.02)
                item.result()
        if failures:
            raise failures[0]
        if runner.stopped and len(codes) < len(plans):
            self._listener.note(f"{len(plans) - len(codes)} runs were not begun")
            return 128 + runner.stopped
        return next((codes[number] for number in sorted(codes) if codes[number]), 0)

    def _in_tree(self, plan: _Plan, shot: Snapshot, runner: Runner) -> int:
        folder = run_folder.create(self._workspace, record.new_id(time.time()))
        try:
            parameters = {
                path: self._git.text("hash-object", "-w", "--stdin", stdin=data)
                for path, data in plan.assigned.files.items()
            }
            changes = shot.changes | parameters
            tree = worktrees.tree_of(self._git, shot.tree, changes)
            inner = worktrees.add(self._workspace, folder.tree, shot.commit, tree, (*self._settings.data, *_LINKS))
            work = WorkFiles(inner, self._settings)
            site = _Site(inner, work, work.before(), shot, changes, plan.name)
        except BaseException:
            self._forget(folder)
            raise
        outcome, ended = self._train(plan, folder, site, runner)
        self._listener.recorded(outcome)
        return ended.code

    def _train(self, plan: _Plan, folder: RunFolder, site: _Site, runner: Runner) -> tuple[Outcome, Ended]:
        """Run and record. What cannot be recorded is kept, for the next command that looks."""
        now = time.time()
        given = read_parameters(site.work, self._settings) | grid.as_values(plan.assigned.loose)
        made = Record(
            id=os.path.basename(folder.path),
            name=plan.name,
            status=Status.RUNNING,
            command=tuple(plan.command),
            started=record.utc(now),
            code=Code(site.start.commit, site.start.dirty),
            seed=find_seed(given, plan.command),
            parameters=given,
            base=site.start.base,
        )
        top = site.workspace.repository.work_tree
        state = State(site.start.commit, plan.ref, site.changes, now, top=top, stats=dict(site.shot.stats))
        cwd = os.path.join(top, self._workspace.repository.prefix)
        variables = self._variables(plan, folder)
        survey = Survey(
            self._git, self._settings, replace(site.start, changes=site.changes), plan.command, cwd, variables
        )

        def begun(pid: int) -> None:
            state.pid, state.born = pid, run_folder.birth(pid)
            folder.save(made, state)

        try:
            os.makedirs(cwd, exist_ok=True)
            with Log(folder.path) as log:
                ended = runner.run(plan.command, cwd, variables, log, self._listener.echo(site.shown), begun)
        except CwtError:
            # Nothing ran: there is nothing to record.
            survey.result()
            self._forget(folder)
            raise
        made = replace(made, status=_status(ended), exit_code=ended.code, seconds=round(ended.seconds, 3))
        try:
            folder.save(made, state)
            outcome = self._finish(made, state, folder, site, survey, trackers.find(cwd, variables, now))
        except (CwtError, OSError):
            self._listener.note(f"'{made.id}' ended and is kept; once this is mended, 'cwt exp list' records it")
            folder.close()
            raise
        self._forget(folder)
        return outcome, ended

    def _finish(
        self,
        made: Record,
        state: State,
        folder: RunFolder,
        site: _Site,
        survey: Survey,
        runs: tuple[Tracker, ...],
    ) -> Outcome:
        changed = site.work.changed(site.shot.commit)
        results = gather(site.workspace, site.work, site.work.results(changed, site.shot), folder.logged())
        for text in results.notes:
            self._listener.note(text)
        around = survey.result()
        made = replace(made, hardware=around.hardware, environment=around.environment, data=around.data, trackers=runs)
        for data in around.data:
            if not data.digest and os.path.exists(os.path.join(self._workspace.repository.work_tree, data.path)):
                self._listener.note(
                    f"git does not have '{data.path}': the experiment has no version of it; run 'git add'"
                )
        files = site.changes | site.work.after(site.shot, changed) | results.files
        return write(self._git, made, state, results, files, read_log(folder.path))

    def _forget(self, folder: RunFolder) -> None:
        worktrees.remove(self._workspace, folder.tree)
        folder.remove()

    def _variables(self, plan: _Plan, folder: RunFolder) -> dict[str, str]:
        known = {name: value for name, value in self._workspace.variables.items() if name not in _REPOSITORY}
        return known | grid.variables(plan.run) | {EXPERIMENT: os.path.basename(folder.path), METRICS: folder.metrics}

    def _settle(self, outcome: Outcome) -> None:
        """The branch that is checked out has moved: the index follows, and the files of the record stand in the work tree."""
        git = self._workspace.git
        top = self._workspace.repository.work_tree
        listed = git.fields(
            "ls-tree", "-r", "-z", "--name-only", outcome.commit, "--", outcome.record.path, outcome.record.folder
        )
        for path in listed:
            write_file(os.path.join(top, path), git.output("cat-file", "blob", f"{outcome.commit}:{path}"))
        git.run("reset", "--quiet", "--mixed")


def find_branch(git: Git, name: str, commit: str) -> str:
    """The ref of a new branch, or of one that stands at `commit`. Raises `BranchTaken`, `UsageError`."""
    ref = f"refs/heads/{name}"
    if not git.ok("check-ref-format", ref):
        raise UsageError(f"'{name}' cannot be the name of a branch", hint="name another: --branch NAME")
    at = git.run("rev-parse", "--verify", "--quiet", ref).out.decode().strip()
    if at and at != commit:
        raise BranchTaken(f"there is a branch '{name}' already, at another commit than HEAD")
    return ref


def default_name(workspace: Workspace, settings: LineageSettings) -> str:
    """The model's name, else the repository's folder."""
    name = settings.model or os.path.basename(workspace.repository.work_tree)
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "model"


def _words(command: str) -> tuple[str, ...]:
    """Raises `UsageError` where the settings name no command, or one that no shell would read."""
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"the command in '{FILE}' makes no sense: {error}") from error
    if not words:
        raise UsageError(
            "name a command to run",
            hint=f"run 'cwt exp run -- python train.py', or set 'command' under [experiment] in '{FILE}'",
        )
    return words


def _status(ended: Ended) -> Status:
    if ended.stopped:
        return Status.KILLED
    return Status.DONE if ended.code == 0 else Status.FAILED


_REPOSITORY = frozenset(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"))
