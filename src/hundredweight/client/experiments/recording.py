"""From a training to its commit: metrics, weights, data, environment and hardware gathered into a record, and written."""

from __future__ import annotations

import os
import re
import signal
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from hundredweight.base.errors import CwtError
from hundredweight.base.trace import trace
from hundredweight.client.experiments import machine
from hundredweight.client.experiments.worktrees import tree_of
from hundredweight.git.objects import ObjectReader
from hundredweight.lineage import experiments, metrics, parameters
from hundredweight.lineage.data import data_versions
from hundredweight.lineage.fields import RecordInvalid
from hundredweight.lineage.record import DataVersion, Environment, Hardware, Record, Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hundredweight.client.experiments.run_folder import State
    from hundredweight.client.experiments.snapshot import Snapshot, WorkFiles
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git
    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.metrics import Metrics
    from hundredweight.lineage.settings import LineageSettings

T = TypeVar("T")
CURVES = "metrics.jsonl"
LOG = "log.txt"
ATTRIBUTES = ".gitattributes"
_SEEDS = ("seed", "random_seed", "manual_seed", "random_state")
_LIVE = "dvclive"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is behind a training besides its files."""

    hardware: Hardware
    environment: Environment
    data: tuple[DataVersion, ...]


class Survey:
    """Asks for the surroundings of a training while it runs: processes are started, nothing waits for them before `result`."""

    def __init__(
        self,
        git: Git,
        settings: LineageSettings,
        shot: Snapshot,
        command: Sequence[str],
        folder: str,
        variables: Mapping[str, str],
        python: str = "",
    ) -> None:
        """`python` names the interpreter whose packages count; empty: the one that `command` uses."""
        self._variables = dict(variables)
        self._hardware = _Answer(lambda: machine.machine(self._variables))
        self._data = _Answer(lambda: _data(git, settings, shot))

        def ask() -> Environment:
            used = python or machine.find_python(command, folder, self._variables)
            return machine.environment(used, folder, self._variables, _listed(git, settings, shot))

        self._environment = _Answer(ask)

    def result(self) -> Surroundings:
        """Waits for the answers. Raises what one of them raised."""
        found, environment = self._hardware.wait(), self._environment.wait()
        if found.gpus and not environment.cuda:
            environment = replace(environment, cuda=machine.driver_cuda(self._variables))
        return Surroundings(found, environment, self._data.wait())


class _Answer(Generic[T]):
    """What a function gives, called in a thread of its own from now on. An executor costs 8 ms to import."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._given: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="survey", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # An interrupt at the terminal goes to all that runs there. It is for the training: what we ask inherits this mask.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._given.append(self._ask())
        except BaseException as error:  # noqa: BLE001 - raised by `wait`, in the thread that asks
            self._error = error

    def wait(self) -> T:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._given[0]


def _data(git: Git, settings: LineageSettings, shot: Snapshot) -> tuple[DataVersion, ...]:
    if not settings.data:
        return ()
    tree = tree_of(git, shot.tree, shot.changes)
    return data_versions(git, tree, settings.data, settings.data_version) if tree else ()


def _listed(git: Git, settings: LineageSettings, shot: Snapshot) -> tuple[str, bytes] | None:
    """The list of packages as it stands for this training."""
    name = settings.environment
    if not name:
        return None
    spec = shot.changes.get(name, f"{shot.commit}:{name}" if shot.commit else None)
    with ObjectReader(git) as reader:
        found = (
            next(iter(reader.contents([spec.rpartition(" ")[2] if name in shot.changes else spec]))) if spec else None
        )
    return (name, found[1]) if found is not None and found[0].kind == "blob" else None


@dataclass(slots=True)
class Results:
    """What a training wrote. `files` are what the commit's tree gets: content, or a blob that is there. `notes` are for
    people."""

    metrics: Metrics = field(default_factory=metrics.Metrics)
    weights: tuple[Weights, ...] = ()
    files: dict[str, bytes | str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A recorded experiment. `branch` is the branch that has it, `wanted` one that could not be moved."""

    record: Record
    commit: str
    branch: str = ""
    wanted: str = ""


def gather(workspace: Workspace, work: WorkFiles, paths: Iterable[str], logged: Metrics | None = None) -> Results:
    """The results among `paths`: metrics are read, weights become objects. A metric file that cannot be read is told, and kept as
    it is. Raises `WriteError`, `GitError`."""
    found = Results()
    listed = list(paths)
    measures = [path for path in listed if work.is_metrics(path)]
    _read_metrics(work, measures, found)
    if logged is not None:
        found.metrics.curve += logged.curve
        found.metrics.final = logged.final | found.metrics.final
    found.files |= work.blobs(measures)
    _add_weights(workspace, work, [path for path in listed if path not in measures], found)
    return found


def _read_metrics(work: WorkFiles, paths: list[str], found: Results) -> None:
    live: dict[str, dict[str, bytes]] = {}
    plain: list[tuple[int, int, str]] = []
    for path in paths:
        head, folder, rest = (
            path.rpartition(f"{_LIVE}/") if not path.startswith(f"{_LIVE}/") else ("", f"{_LIVE}/", path[8:])
        )
        if folder:
            live.setdefault(head + folder, {})[rest] = work.read(path)
        else:
            # Curves first, so that values at the end have the last word; of several checkpoints the newest.
            info = work.stat(path)
            plain.append((int(path.endswith((".json", ".yaml", ".yml", ".toml"))), info[1] if info else 0, path))
    states = [path for _, _, path in sorted(plain) if path.endswith(metrics.TRAINER_STATE)]
    readers: list[tuple[str, Callable[[], Metrics]]] = [
        (path, partial(_read_file, work, path)) for _, _, path in sorted(plain) if path not in states[:-1]
    ]
    readers += [(folder, partial(metrics.read_dvclive, files)) for folder, files in sorted(live.items())]
    for name, read in readers:
        try:
            found.metrics.add(read())
        except (RecordInvalid, OSError) as error:
            found.notes.append(f"'{name}' has no metrics that can be read: {error}")


def _read_file(work: WorkFiles, path: str) -> Metrics:
    return metrics.read(path, work.read(path))


def _add_weights(workspace: Workspace, work: WorkFiles, paths: list[str], found: Results) -> None:
    listed = []
    missing = []
    for path, cleaned in work.clean_weights(paths).items():
        if cleaned.attribute == "unset":
            found.files |= work.blobs([path])
            continue
        pointer = cleaned.pointer
        listed.append(Weights(path, pointer.oid, pointer.size, weights_id(workspace, path)))
        found.files[path] = pointer.encode()
        if cleaned.attribute != "lfs":
            missing.append(path)
    found.weights = tuple(listed)
    if missing:
        found.files[ATTRIBUTES] = _with_attributes(workspace, missing)
        found.notes.append(
            f"'{missing[0]}' is not in {ATTRIBUTES}: the experiment's commit tracks it by LFS; run 'cwt init'"
        )


def _with_attributes(workspace: Workspace, paths: Sequence[str]) -> bytes:
    from hundredweight.git import attributes  # noqa: PLC0415 - for weights outside LFS only

    try:
        with open(os.path.join(workspace.repository.work_tree, ATTRIBUTES), "rb") as file:
            before = file.read()
    except FileNotFoundError:
        before = b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    lines = (f"/{attributes.escape_file_name(path)} {attributes.TRACKED_BY_LFS}\n" for path in paths)
    return before + os.fsencode("".join(lines))


def weights_id(workspace: Workspace, path: str) -> str:
    """The weights id of a file of the work tree; empty where it is of no format that is read, or breaks it."""
    from hundredweight.client.weight_files import Folder, open_parts  # noqa: PLC0415 - for trainings with weights only
    from hundredweight.client.weights_id import identify  # noqa: PLC0415 - as above: numpy

    folder, name = os.path.split(os.path.join(workspace.repository.work_tree, path))
    try:
        with open_parts(path, Folder(folder, lambda _: workspace), (name,)) as model:
            return identify(model)
    except CwtError as error:
        trace(f"no weights id for '{path}': {error}")
        return ""


def read_parameters(work: WorkFiles, settings: LineageSettings) -> dict[str, Value]:
    """The parameters in the files that the settings name; where two files have one name, the later file's value counts. Raises
    `RecordInvalid`."""
    found: dict[str, Value] = {}
    for name in settings.parameters:
        try:
            found |= parameters.read(name, work.read(name))
        except FileNotFoundError:
            trace(f"no parameter file '{name}'")
    return found


def find_seed(values: Mapping[str, Value], command: Sequence[str]) -> int | None:
    """The seed among the parameters, or in the command (`--seed 7`); None where neither tells."""
    for key, value in values.items():
        if key.rpartition(".")[2].lower() in _SEEDS and isinstance(value, int) and not isinstance(value, bool):
            return value
    said = re.search(r"(?:^|\0)--?(?:random[-_]|manual[-_])?seed[=\0](-?\d+)(?:\0|$)", "\0".join(command))
    return int(said[1]) if said else None


def write(
    git: Git, made: Record, state: State, results: Results, files: Mapping[str, bytes | str | None], log: bytes
) -> Outcome:
    """Record a run with its results. Raises `GitError`."""
    folder = made.folder
    made = replace(
        made,
        parameters=results.metrics.parameters | made.parameters,
        metrics=results.metrics.final,
        weights=results.weights,
        curves=(f"{folder}/{CURVES}",) if results.metrics.curve else (),
        log=f"{folder}/{LOG}" if log else "",
    )
    own: dict[str, bytes | str | None] = {}
    if made.curves:
        own[made.curves[0]] = metrics.encode_curve(results.metrics.curve)
    if log:
        own[made.log] = log
    commit = experiments.write(git, state.parent, made, {**files, **own}, ref=state.ref)
    name = state.ref.removeprefix("refs/heads/")
    moved = bool(state.ref) and git.text("rev-parse", "--verify", "--quiet", state.ref) == commit
    return Outcome(made, commit, name if moved else "", "" if moved else name)
