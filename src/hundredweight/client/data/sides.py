"""One side of a comparison of data: the data paths in a commit, or as they stand in the work tree.

Files of a commit are read from git's blobs or, where they are pointers, from the LFS store, loose or packed. Files of
the work tree
that are as committed count as the commit's; the others are hashed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING

from hundredweight.base.errors import LocalError, UsageError
from hundredweight.base.ids import Oid
from hundredweight.client.data.rows import is_rows
from hundredweight.client.lineage_settings import of_revision, of_work_tree
from hundredweight.client.revisions import commit_of
from hundredweight.git import attributes
from hundredweight.git.objects import ObjectReader
from hundredweight.git.scan import EMPTY_TREES, PointerFile
from hundredweight.lineage.data import DataFile, data_files, data_versions
from hundredweight.protocol.pointer import CUTOFF, Pointer, try_parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.record import DataVersion
    from hundredweight.lineage.settings import LineageSettings

    Buffer = bytes | bytearray | memoryview

CHUNK = 1 << 20


class NoDataPaths(UsageError):
    """Neither the command nor `hundredweight.toml` says where the data is."""

    hint = "name the files or folders, or write them into 'hundredweight.toml': [data] paths = [\"data\"]"

    def __init__(self) -> None:
        super().__init__("no data paths are known")


class DataNotHere(LocalError):
    """Rows cannot be read: their LFS objects are not in this clone. `files` are they."""

    def __init__(self, files: Sequence[DataFile]) -> None:
        more = f" and of {len(files) - 1} more files" if len(files) > 1 else ""
        super().__init__(
            f"the content of '{files[0].path}'{more} is not here", hint="run the command with --fetch to download it"
        )
        self.files = tuple(files)


@dataclass(frozen=True)
class Side:
    """`commit` is the one it is, or that the work tree is based on; `name` what the user called it, empty for the work tree.
    `changed` are files of the work tree that are not as committed, `gone` those that are missing there."""

    name: str
    commit: str
    paths: tuple[str, ...]
    version: str = ""
    changed: tuple[DataFile, ...] = ()
    gone: frozenset[str] = frozenset()

    @property
    def is_work_tree(self) -> bool:
        return not self.name


def open_revision(workspace: Workspace, name: str, paths: Sequence[str] = ()) -> Side:
    """The data of a commit: below `paths`, or as its `hundredweight.toml` says, or else the work tree's. Raises
    `UnknownRevision`, `NoDataPaths`, `RecordInvalid`."""
    commit = commit_of(workspace.git, name)
    settings = of_revision(workspace.git, commit)
    return Side(name, commit, _paths(workspace, paths, settings), settings.data_version)


def open_work_tree(workspace: Workspace, paths: Sequence[str] = ()) -> Side:
    """The data as it stands in the work tree, files that git does not know yet included. Raises `NoDataPaths`, `GitError`."""
    settings = of_work_tree(workspace)
    chosen = _paths(workspace, paths, settings)
    head = workspace.git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    commit = os.fsdecode(head.out).strip() or EMPTY_TREES[workspace.git.text("rev-parse", "--show-object-format")]
    specs = tuple(f":(top,glob){path}" if _is_pattern(path) else f":(top,literal){path}" for path in chosen)
    specs = tuple(":/" if spec == ":(top,literal)" else spec for spec in specs)
    workspace.git.run("update-index", "-q", "--refresh")
    touched = workspace.git.fields("diff-index", "--name-only", "--no-renames", "-z", commit, "--", *specs)
    touched += workspace.git.fields("ls-files", "-z", "--others", "--exclude-standard", "--full-name", "--", *specs)
    changed, gone = _look(workspace, dict.fromkeys(touched))
    return Side("", commit, chosen, settings.data_version, changed, gone)


def versions(workspace: Workspace, side: Side) -> tuple[DataVersion, ...]:
    """The version of each data path, as committed."""
    return data_versions(workspace.git, side.commit, side.paths, side.version)


def files(workspace: Workspace, side: Side) -> Iterator[DataFile]:
    """Every file, in the order of git's paths."""
    committed = data_files(workspace.git, side.commit, side.paths)
    if not side.is_work_tree:
        return committed
    replaced = side.gone | {file.path for file in side.changed}
    kept = (file for file in committed if file.path not in replaced)
    return merge(kept, side.changed, key=lambda file: os.fsencode(file.path))


def missing(workspace: Workspace, found: Iterable[DataFile]) -> list[DataFile]:
    """Those of the files whose rows cannot be read here, each object once."""
    absent: dict[str, DataFile] = {}
    for file in found:
        if file.pointer is not None and not file.loose and is_rows(file.path):
            pointer = file.pointer
            if pointer.size and not workspace.store.has(pointer.oid, pointer.size):
                absent.setdefault(pointer.oid, file)
    return list(absent.values())


def as_pointers(found: Iterable[DataFile]) -> list[PointerFile]:
    """The files as a download wants them."""
    return [PointerFile(file.path, file.pointer, file.blob) for file in found if file.pointer is not None]


class Contents:
    """Reads files of any side. Use as a context."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._objects = ObjectReader(workspace.git)

    def __enter__(self) -> Contents:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._objects.close()

    def pieces(self, file: DataFile) -> Iterable[Buffer]:
        """The bytes of a file, streamed. Raises `OSError`, `DamageError`, `MissingObject`, `WriteError`."""
        if file.loose:
            return _read(os.path.join(self._workspace.repository.work_tree, file.path))
        if file.pointer is None:
            return self._objects.pieces(file.blob)
        return self._workspace.store.open_stream(file.pointer.oid) if file.pointer.size else ()


def _paths(workspace: Workspace, given: Sequence[str], settings: LineageSettings) -> tuple[str, ...]:
    found = tuple(given) or settings.data
    if not found and not workspace.repository.bare:
        found = of_work_tree(workspace).data
    if not found:
        raise NoDataPaths
    return tuple(dict.fromkeys("" if path == "." else path.rstrip("/") for path in found))


def _is_pattern(path: str) -> bool:
    return not {"*", "?", "["}.isdisjoint(path)


def _look(workspace: Workspace, paths: Iterable[str]) -> tuple[tuple[DataFile, ...], frozenset[str]]:
    """What stands at these paths: files with their hashes, and the paths at which there is nothing."""
    top = workspace.repository.work_tree
    there: list[str] = []
    gone: list[str] = []
    for path in paths:
        try:
            info = os.lstat(os.path.join(top, path))
        except (FileNotFoundError, NotADirectoryError):
            gone.append(path)
            continue
        (there if stat.S_ISREG(info.st_mode) else gone).append(path)
    verdicts = {path: value for path, _, value in attributes.check(workspace.git, there, attributes.FILTER)}
    made = [_in_lfs(workspace, path) for path in there if verdicts.get(path) == "lfs"]
    made += _plain(workspace, [path for path in there if verdicts.get(path) != "lfs"])
    return tuple(sorted(made, key=lambda file: os.fsencode(file.path))), frozenset(gone)


def _in_lfs(workspace: Workspace, path: str) -> DataFile:
    full = os.path.join(workspace.repository.work_tree, path)
    size = os.lstat(full).st_size
    with open(full, "rb") as opened:
        if 0 < size < CUTOFF:
            pointer = try_parse(opened.read())
            if pointer is not None:
                # Its content was never put in its place: the store may have it.
                return DataFile(path, "", pointer.size, pointer)
            opened.seek(0)
        oid = Oid(hashlib.file_digest(opened, "sha256").hexdigest())
    return DataFile(path, "", size, Pointer(oid, size), loose=True)


def _plain(workspace: Workspace, paths: Sequence[str]) -> list[DataFile]:
    top = workspace.repository.work_tree
    lines = [path for path in paths if "\n" not in path]
    stdin = b"".join(os.fsencode(path) + b"\n" for path in lines)
    names = workspace.git.text("hash-object", "--no-filters", "--stdin-paths", stdin=stdin).split() if lines else []
    found = dict(zip(lines, names, strict=True))
    for path in paths:
        if path not in found:
            found[path] = workspace.git.text("hash-object", "--no-filters", "--", path)
    return [DataFile(path, name, os.lstat(os.path.join(top, path)).st_size, loose=True) for path, name in found.items()]


def _read(path: str) -> Iterator[Buffer]:
    with open(path, "rb") as opened:
        while piece := opened.read(CHUNK):
            yield piece
