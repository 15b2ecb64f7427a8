"""The version of a data set: which files a tree has below the data paths, and one digest over them.

Data sets are LFS files, plain files of git, or both. Nothing is read but pointers: an LFS file is known by its oid, a plain one
by the id that git gave it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from hundredweight.git.objects import ObjectReader
from hundredweight.git.patterns import PathFilter
from hundredweight.git.scan import tree_entries
from hundredweight.lineage.record import DataVersion
from hundredweight.protocol.pointer import CUTOFF, try_parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hundredweight.git.run import Git
    from hundredweight.git.scan import BlobEntry
    from hundredweight.protocol.pointer import Pointer

_WILDCARDS = frozenset("*?[")
_LINK = "120000"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of a data set. `pointer` is its LFS object; None for a plain file of git. `size` is the content's, not the
    pointer's. `loose`: its content stands in the work tree, and git may not have it."""

    path: str
    blob: str
    size: int
    pointer: Pointer | None = None
    loose: bool = False

    @property
    def content(self) -> str:
        """Equal for equal bytes that are kept in the same way."""
        return f"sha256:{self.pointer.oid}" if self.pointer is not None else f"git:{self.blob}"


def data_files(git: Git, treeish: str, paths: Sequence[str]) -> Iterator[DataFile]:
    """The files of a tree that are one of `paths`, below one, or match one that is a pattern; in order of path, each once.
    Symbolic links count as plain files, submodules not at all. Raises `ScanError`."""
    plain, patterns = _sorted_out(paths)
    everything = "" in plain or patterns
    wanted = None if everything else tuple(plain)
    if wanted == ():
        return
    entries = tree_entries(git, treeish, wanted or ())
    if patterns and "" not in plain:
        entries = _matching(entries, plain, PathFilter(patterns))
    yield from _files(git, entries)


def data_versions(git: Git, treeish: str, paths: Sequence[str], version: str = "") -> tuple[DataVersion, ...]:
    """The version of each data path (file, folder or pattern) in a tree; `version` is the team's name for it. A path that the
    tree lacks has neither tree nor digest, and no files; one that is a pattern has no tree. Raises `ScanError`."""
    found = []
    with ObjectReader(git) as reader:
        for path in dict.fromkeys(paths):
            name = _clean(path)
            pattern = bool(_WILDCARDS.intersection(name))
            info = None if pattern else reader.info(f"{treeish}:{name}")
            tree = info.name if info is not None else ""
            count = total = 0
            digest = blake3()
            # A data set that is moved as a whole stays the same.
            skipped = 0 if pattern or not name else len(name) + 1
            for file in data_files(git, treeish, (path,)) if tree or pattern else ():
                digest.update(os.fsencode(f"{file.path[skipped:]}\0{file.content}\0"))
                count += 1
                total += file.size
            found.append(DataVersion(path, version, tree, digest.hexdigest() if count else "", count, total))
    return tuple(found)


def _clean(path: str) -> str:
    name = os.path.normpath(path).strip("/") if path else ""
    return "" if name == "." else name


def _sorted_out(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Files and folders, and patterns."""
    names = [_clean(path) for path in paths]
    return (
        [name for name in names if not _WILDCARDS.intersection(name)],
        [name for name in names if _WILDCARDS.intersection(name)],
    )


def _matching(entries: Iterable[BlobEntry], plain: Sequence[str], patterns: PathFilter) -> Iterator[BlobEntry]:
    folders = tuple(f"{name}/" for name in plain)
    for entry in entries:
        if entry.path in plain or entry.path.startswith(folders) or patterns.allows(entry.path):
            yield entry


def _files(git: Git, entries: Iterable[BlobEntry]) -> Iterator[DataFile]:
    """Entries as files, pointers read: many at once, in the entries' order."""
    waiting: list[BlobEntry] = []

    def small() -> Iterator[str]:
        for entry in entries:
            waiting.append(entry)
            if entry.mode != _LINK and 0 < entry.size < CUTOFF:
                yield entry.blob

    with ObjectReader(git) as reader:
        done = 0
        for answer in reader.contents(small()):
            while waiting[done].mode == _LINK or not 0 < waiting[done].size < CUTOFF:
                yield DataFile(waiting[done].path, waiting[done].blob, waiting[done].size)
                done += 1
            entry = waiting[done]
            pointer = try_parse(answer[1]) if answer is not None else None
            yield DataFile(entry.path, entry.blob, entry.size if pointer is None else pointer.size, pointer)
            done += 1
            if done > 4096:
                del waiting[:done]
                done = 0
        for entry in waiting[done:]:
            yield DataFile(entry.path, entry.blob, entry.size)
