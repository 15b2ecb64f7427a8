"""What a work tree has otherwise than its commit, as blobs: taken before a training and after it. The index is read, never
written, so that any number of recorders may look at one work tree.

Code counts as it stood when the training began: who edits on while it runs does not change what ran.
"""

from __future__ import annotations

import glob
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.client.clean import Cleaner
from hundredweight.client.filter_stream import RawStream
from hundredweight.formats.names import is_weight_file
from hundredweight.git import attributes
from hundredweight.git.patterns import PathFilter
from hundredweight.git.trees import write_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.settings import LineageSettings
    from hundredweight.protocol.pointer import Pointer

    Changed = dict[str, tuple[str, str]]
    Stat = tuple[int, int, int]
    """Size, time of change and inode: another one means that somebody wrote the file."""

MAX_SOURCE = 1 << 20
SOURCES = (
    ".py", ".pyx", ".pyi", ".ipynb", ".sh", ".bash", ".zsh", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".rs", ".go",
    ".jl", ".r", ".lua", ".scala", ".java", ".kt", ".m", ".mojo", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".jinja", ".j2",
    ".sql", ".mk",
)  # fmt: skip
_METRICS = ("metrics.json", "metrics.jsonl", "metrics.csv", "trainer_state.json")
_LIVE = "dvclive"
_TRAINER = ("*/trainer_state.json", "*/checkpoint-*/trainer_state.json")
_DEBRIS = frozenset(("__pycache__", ".ipynb_checkpoints", "wandb", "mlruns", ".venv", "venv", "node_modules"))
_CHECKPOINT_STATE = ("optimizer.", "scheduler.", "rng_state", "training_args.")


@dataclass(slots=True)
class Snapshot:
    """`changes` are paths that differ from the commit: path -> blob (`100755 BLOB`: a program), None for a file that is gone.
    `stats` are those of files that may be a training's results. `dirty`: code or data differs from the commit, not results and
    parameters alone."""

    commit: str
    tree: str
    base: str = ""
    changes: dict[str, str | None] = field(default_factory=dict)
    stats: dict[str, Stat] = field(default_factory=dict)
    dirty: bool = False
    untracked: tuple[str, ...] = ()
    """Of files that git neither knows nor ignores those that are in no commit: for a note."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A weight file as an object: `attribute` is what git says of its filter (lfs, unset, unspecified)."""

    pointer: Pointer
    attribute: str


class WorkFiles:
    """The files of a work tree, as a training sees them. Paths are relative to its top."""

    def __init__(self, workspace: Workspace, settings: LineageSettings) -> None:
        self._workspace = workspace
        self._settings = settings
        self._git = workspace.git.with_env(GIT_OPTIONAL_LOCKS="0")
        self._top = workspace.repository.work_tree
        self._weights = PathFilter(settings.weights)
        self._data = PathFilter(settings.data, default=False)
        self._known: dict[str, tuple[Stat | None, str]] = {}

    def head(self) -> tuple[str, str, str]:
        """The commit, its tree, and the experiment that it is; empty before the first commit."""
        shown = self._git.run("log", "-1", "--format=%H%n%T%n%(trailers:key=Experiment,valueonly)", "HEAD", "--")
        lines = shown.out.decode("utf-8", "replace").split("\n")
        return (lines[0], lines[1], lines[2].strip()) if shown.code == 0 and len(lines) > 2 else ("", "", "")

    def before(self) -> Snapshot:
        """Before a training. Raises `GitError`."""
        commit, tree, base = self.head()
        changed = self.changed(commit)
        new = self._untracked()
        shot = Snapshot(commit, tree, base)
        paths = [path for path, (mode, _) in changed.items() if mode and not self.is_result(path)]
        sources = [path for path in new if self._is_source(path)]
        blobs = self.blobs([*paths, *sources])
        results = self._results([*changed, *new])
        shot.stats = {path: found for path in results if (found := self.stat(path)) is not None}
        shot.changes = {path: self._mode(path) + blobs[path] for path in (*paths, *sources) if path in blobs}
        shot.changes |= {path: None for path, (mode, _) in changed.items() if not mode and not self.is_result(path)}
        declared = set(self._settings.parameters)
        shot.dirty = any(
            path not in declared and (blob or "").rpartition(" ")[2] != changed.get(path, ("", ""))[1]
            for path, blob in shot.changes.items()
        )
        shot.untracked = tuple(path for path in new if path not in shot.changes and not self._is_debris(path))
        return shot

    def after(self, shot: Snapshot, changed: Changed) -> dict[str, str | None]:
        """What a training left, results aside: changed files that are no code, over what was there before."""
        paths = [path for path in changed if not self.is_result(path) and not self._is_source(path)]
        there = [path for path in paths if changed[path][0]]
        return shot.changes | dict(self.blobs(there)) | {path: None for path in paths if not changed[path][0]}

    def results(self, changed: Changed, shot: Snapshot | None = None) -> list[str]:
        """Weights and metric files that were written since `shot` (None: all that differ from the commit, or that the settings
        name)."""
        found = self._results([*changed, *self._untracked()])
        fresh = []
        for path in found:
            now = self.stat(path)
            if now is not None and (shot is None or shot.stats.get(path) != now):
                fresh.append(path)
        return fresh

    def is_weights(self, path: str) -> bool:
        """Whether a file is weights by the settings; where they say nothing, by its name, checkpoints left out."""
        if self._settings.weights:
            return self._weights.allows(path)
        name = path.rpartition("/")[2]
        inside = any(part.startswith("checkpoint-") for part in path.split("/")[:-1])
        return (
            is_weight_file(path)
            and not inside
            and not name.startswith(_CHECKPOINT_STATE)
            and not self._data.allows(path)
        )

    def is_metrics(self, path: str) -> bool:
        """Whether a file is metrics by the settings; where they say nothing, by the names that are usual."""
        if self._settings.metrics:
            return any(path == name or path.startswith(f"{name}/") for name in self._settings.metrics) or (
                PathFilter(self._settings.metrics).allows(path)
            )
        return path.rpartition("/")[2] in _METRICS or path.startswith(f"{_LIVE}/")

    def is_result(self, path: str) -> bool:
        return self.is_weights(path) or self.is_metrics(path)

    def stat(self, path: str) -> Stat | None:
        """None for what is no regular file."""
        try:
            info = os.lstat(os.path.join(self._top, path))
        except OSError:
            return None
        return (info.st_size, info.st_mtime_ns, info.st_ino) if stat.S_ISREG(info.st_mode) else None

    def read(self, path: str) -> bytes:
        """Raises `OSError`."""
        with open(os.path.join(self._top, path), "rb") as file:
            return file.read()

    def blobs(self, paths: Iterable[str]) -> dict[str, str]:
        """The blobs that git would make of regular files, LFS files as pointers, their objects in the store. Raises `GitError`,
        `WriteError`."""
        stats = {path: seen for path in paths if (seen := self.stat(path)) is not None}
        found = {path: self._known[path][1] for path in stats if self._known.get(path, (None, ""))[0] == stats[path]}
        there = [path for path in stats if path not in found]
        kinds = {path: value for path, _, value in attributes.check(self._git, there, attributes.FILTER)}
        lfs = [path for path in there if kinds.get(path) == "lfs"]
        for path in lfs:
            found[path] = write_object(self._git, "blob", self._clean(path)[0])
        plain = [path for path in there if path not in found]
        # hash-object reads lines, and unquotes those that begin with a quote.
        listed = [path for path in plain if "\n" not in path and not path.startswith('"')]
        if listed:
            given = b"".join(os.fsencode(path) + b"\n" for path in listed)
            out = self._git.text("hash-object", "-w", "--stdin-paths", stdin=given)
            found |= dict(zip(listed, out.split("\n"), strict=True))
        for path in plain:
            if path not in found:
                found[path] = self._git.text("hash-object", "-w", "--", path)
        self._known |= {path: (stats[path], found[path]) for path in there}
        return found

    def clean_weights(self, paths: Sequence[str]) -> dict[str, Cleaned]:
        """Weight files as objects of the store, whatever the attributes say; what is a pointer already is left out."""
        kinds = {path: value for path, _, value in attributes.check(self._git, paths, attributes.FILTER)}
        found = {}
        for path in paths:
            _, pointer = self._clean(path)
            if pointer is not None:
                found[path] = Cleaned(pointer, kinds.get(path, "unspecified"))
        return found

    def _clean(self, path: str) -> tuple[bytes, Pointer | None]:
        descriptor = os.open(os.path.join(self._top, path), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            return Cleaner(self._workspace).clean(RawStream(descriptor), path)
        finally:
            os.close(descriptor)

    def changed(self, commit: str) -> Changed:
        """Tracked files whose content may differ from the commit: path -> (mode now, empty for one that is gone; blob of the
        commit). Links and submodules are left out."""
        if not commit:
            return dict.fromkeys(self._git.fields("ls-files", "-z"), ("100644", ""))
        fields = self._git.fields("diff-index", "-z", "--raw", "--no-renames", "--ignore-submodules", commit, "--")
        found = {}
        for words, path in zip(fields[0::2], fields[1::2], strict=True):
            old_mode, new_mode, old, _, status = words.lstrip(":").split(" ")
            if status == "D" and not os.path.lexists(os.path.join(self._top, path)):
                found[path] = ("", old)
            elif old_mode in _FILE_MODES and (new_mode in _FILE_MODES or status == "D"):
                found[path] = (new_mode, old)
        return found

    def _untracked(self) -> list[str]:
        return self._git.fields("ls-files", "-z", "--others", "--exclude-standard")

    def _results(self, candidates: Iterable[str]) -> list[str]:
        """Those of git's lists that are results, and what the settings name, ignored by git or not."""
        found = dict.fromkeys(path for path in candidates if self.is_result(path))
        # Folders of outputs are often ignored by git.
        usual = (*_METRICS, _LIVE, *_TRAINER) if not self._settings.metrics else ()
        for pattern in (*self._settings.weights, *self._settings.metrics, *usual):
            found |= dict.fromkeys(self._on_disk(pattern))
        return list(found)

    def _on_disk(self, pattern: str) -> list[str]:
        clean = os.path.normpath(pattern)
        full = os.path.join(self._top, clean)
        if os.path.isdir(full):
            inside = (os.path.join(folder, name) for folder, _, names in os.walk(full) for name in names)
            return [os.path.relpath(path, self._top) for path in inside]
        if os.path.exists(full):
            return [clean]
        if glob.has_magic(clean):
            return glob.glob(clean, root_dir=self._top, recursive=True)
        return []

    def _mode(self, path: str) -> str:
        """What `change_tree` wants before the blob of a program."""
        return "100755 " if os.access(os.path.join(self._top, path), os.X_OK) else ""

    def _is_debris(self, path: str) -> bool:
        """Whether nobody would expect the file in a commit."""
        return self.is_result(path) or not _DEBRIS.isdisjoint(path.split("/")[:-1])

    def _is_source(self, path: str) -> bool:
        found = self.stat(path)
        name = path.rpartition("/")[2]
        known = name.lower().endswith(SOURCES) or name in ("Makefile", "Dockerfile", ".gitattributes")
        return known and found is not None and found[0] <= MAX_SOURCE and not self._data.allows(path)


_FILE_MODES = ("100644", "100755", "000000")
