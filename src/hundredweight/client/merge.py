"""The merge driver of LFS files, and the merge of files that a user names.

Git gives a driver what it stores: pointers. Their objects are read from the local store (fetched where they are missing),
the merged object goes into it, and its pointer takes the place of ours.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.files import AtomicFile, copy_content, write_file
from hundredweight.base.ids import Oid
from hundredweight.client.damage import ObjectDamaged, set_aside
from hundredweight.client.merge_weights import NotMergeable, plan, read_versions, write
from hundredweight.client.weight_files import CannotOpen, open_file, open_stored
from hundredweight.protocol.pointer import CUTOFF, Pointer, try_parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.client.downloads import Downloads
    from hundredweight.client.merge_rules import MergeRules
    from hundredweight.client.merge_weights import Merge, Versions
    from hundredweight.client.weight_files import Opened
    from hundredweight.client.workspace import Workspace


@dataclass(frozen=True)
class Sides:
    """The files that git hands to a driver: `ours` is also where the result is expected. `path` is what they are versions of."""

    base: str
    ours: str
    theirs: str
    path: str


@dataclass(frozen=True)
class Merged:
    """How a merge went: how many tensors are not ours, how many of them were computed, and metadata keys that stayed ours."""

    changed: int = 0
    computed: int = 0
    kept: list[str] = field(default_factory=list)


class VersionMissing(CannotOpen):
    """A version's object is not in the local store, and could not be fetched; `oid` names it."""

    hint = "run 'git lfs fetch --all' where the server can be reached, then 'git checkout --merge -- PATH'"

    def __init__(self, name: str, pointer: Pointer, cause: Exception) -> None:
        super().__init__(name, f"its object {pointer.oid[:12]} is not here and could not be fetched: {cause}")
        self.oid = pointer.oid


def drive(workspace: Workspace, sides: Sides, rules: MergeRules, say: Callable[[str], None]) -> Merged:
    """Merge, and write the result's pointer over `sides.ours`. Raises `MergeConflict`, `NotMergeable`, `VersionMissing` and
    others; then ours is as it was."""
    if _same(sides.ours, sides.theirs) or _same(sides.base, sides.theirs):
        return Merged()
    if _same(sides.base, sides.ours):
        _replace(sides.ours, sides.theirs)
        return Merged()
    with _opened(
        sides.base, sides.ours, sides.theirs, sides.path, _Objects(workspace, sides.path, say).open
    ) as versions:
        merge = plan(sides.path, versions, rules)
        if merge.whole is versions.ours:
            return _outcome(merge)
        if merge.whole is versions.theirs:
            _replace(sides.ours, sides.theirs)
            return _outcome(merge)
        with workspace.store.writer() as target:
            write(merge, target)
            pointer = Pointer(_oid(target), target.size)
            target.commit(workspace.store.path(pointer.oid))
        write_file(sides.ours, pointer.encode())
        return _outcome(merge)


def merge_files(base: str, ours: str, theirs: str, output: str, rules: MergeRules) -> Merged:
    """Merge three weight files into `output`, which may be one of them. Raises as `drive`."""
    with _opened(base, ours, theirs, output, open_file) as versions:
        merge = plan(output, versions, rules)
        for version, path in ((versions.ours, ours), (versions.theirs, theirs)):
            if merge.whole is version:
                _replace(output, path)
                return _outcome(merge)
        with AtomicFile(output) as target:
            write(merge, target)
            target.commit()
        return _outcome(merge)


def _opened(base: str, ours: str, theirs: str, name: str, opener: Callable[[str, str], Opened]) -> Versions:
    """Three files, which errors call by `name` and their side."""
    sources: list[Opened] = []
    try:
        for path, side in ((base, "base"), (ours, "ours"), (theirs, "theirs")):
            sources.append(opener(path, f"{name} ({side})"))
        return read_versions(*sources)
    except BaseException:
        for source in sources:
            source.close()
        raise


def _outcome(merge: Merge) -> Merged:
    results = merge.plan.results
    ours = merge.versions.ours.items
    changed = sum(r.computed or r.name not in ours or r.item.content != ours[r.name].content for r in results)
    removed = len(ours.keys() - {result.name for result in results})
    return Merged(changed + removed, sum(result.computed for result in results), list(merge.plan.kept))


class _Objects:
    """The content that each of git's three files stands for."""

    def __init__(self, workspace: Workspace, path: str, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._path = path
        self._say = say
        self._downloads: Downloads | None = None

    def open(self, file: str, name: str) -> Opened:
        """The object for a pointer, else `file` itself; errors call it `name`. Raises `CannotOpen`, `VersionMissing`,
        `NotMergeable`."""
        pointer = _pointer(file)
        if pointer is None or pointer.size == 0:
            return open_file(file, name)
        if pointer.extensions:
            raise NotMergeable(self._path, "its content went through LFS extensions")
        store = self._workspace.store
        if not store.has(pointer.oid, pointer.size) or self._set_aside(pointer):
            self._fetch(pointer)
        return open_stored(store, pointer, name)

    def _set_aside(self, pointer: Pointer) -> bool:
        """Whether the object was damaged, and is out of the way now: merged into a new one it would look sound for ever. What
        stands in packs is verified as it is read. Raises `ObjectDamaged` where it cannot be moved."""
        try:
            stored = open(self._workspace.store.path(pointer.oid), "rb")
        except FileNotFoundError:
            return False
        with stored:
            if hashlib.file_digest(stored, "sha256").hexdigest() == pointer.oid:
                return False
            aside = set_aside(self._workspace.store, pointer.oid, stored.fileno())
        if not aside:
            raise ObjectDamaged(self._path, pointer.oid, aside)
        self._say(
            f"object {pointer.oid[:12]} of '{self._path}' is damaged in the local store; it was moved to '{aside}'"
        )
        return True

    def _fetch(self, pointer: Pointer) -> None:
        self._say(f"fetching object {pointer.oid[:12]} of '{self._path}'")
        if self._downloads is None:
            from hundredweight.client.downloads import Downloads  # noqa: PLC0415 - network code, for missing objects only

            self._downloads = Downloads(self._workspace)
        failure = self._downloads.fetch(self._path, pointer)
        if failure is not None:
            raise VersionMissing(self._path, pointer, failure) from failure


def _pointer(file: str) -> Pointer | None:
    with open(file, "rb") as reader:
        data = reader.read(CUTOFF)
    return try_parse(data) if len(data) < CUTOFF else None


def _same(one: str, other: str) -> bool:
    return filecmp.cmp(one, other, shallow=False)


def _replace(target: str, source: str) -> None:
    with AtomicFile(target) as copy:
        descriptor = os.open(source, os.O_RDONLY)
        try:
            copy_content(descriptor, copy.descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        copy.commit()


def _oid(target: AtomicFile) -> Oid:
    with open(target.temp, "rb") as reader:
        return Oid(hashlib.file_digest(reader, "sha256").hexdigest())
