"""`git lfs status`: what the next commit and the next push would move, LFS files and others."""

from __future__ import annotations

import os

from hundredweight.git.objects import MissingObject, ObjectReader
from hundredweight.git.refs import UnknownRef, current, resolve, upstream_ref
from hundredweight.git.scan import EMPTY_TREES, diff_index, scan_range
from hundredweight.protocol.pointer import CUTOFF, try_parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from hashlib import _Hash

    from hundredweight.client.workspace import Workspace
    from hundredweight.git.refs import Ref
    from hundredweight.git.scan import Change, PointerFile

_SHORT = 7
_READ_SIZE = 1 << 20


class Content:
    """One side of a change. `source`: LFS (a pointer), Git (a blob), File (in the work tree), ? (a blob that is missing);
    `digest`: the first digits of the content's SHA-256, or what is to be said instead."""

    __slots__ = ("digest", "source")

    def __init__(self, source: str, digest: str) -> None:
        self.source = source
        self.digest = digest


class Entry:
    """A change with both of its contents; of an addition `after` is None, as git-lfs shows only what comes."""

    __slots__ = ("after", "before", "change")

    def __init__(self, change: Change, before: Content, after: Content | None) -> None:
        self.change = change
        self.before = before
        self.after = after


class Status:
    """`head` is None before the first commit, `upstream` where no tracked remote branch is known."""

    __slots__ = ("head", "staged", "unstaged", "upstream")

    def __init__(self, head: Ref | None, upstream: Ref | None, staged: list[Entry], unstaged: list[Entry]) -> None:
        self.head = head
        self.upstream = upstream
        self.staged = staged
        self.unstaged = unstaged


def status(workspace: Workspace) -> Status:
    """The state of index and work tree. Refreshes the index as `git status` does."""
    git = workspace.git
    head = current(git)
    # Its exit code says that something is modified or unmerged, which is no failure here.
    git.run("update-index", "-q", "--refresh")
    tree = "HEAD" if head is not None else EMPTY_TREES[workspace.repository.object_format]
    staged = list(diff_index(git, tree, cached=True, renames=True))
    seen = {_key(change) for change in staged}
    unstaged = [c for c in diff_index(git, tree, cached=False, renames=True) if _key(c) not in seen]
    with ObjectReader(git) as reader:
        look = _Contents(workspace, reader)
        return Status(
            head, _upstream(workspace, head), [look.entry(c) for c in staged], [look.entry(c) for c in unstaged]
        )


def to_push(workspace: Workspace, state: Status) -> Iterator[PointerFile]:
    """Pointers that HEAD has and its upstream has not."""
    if state.head is not None and state.upstream is not None:
        yield from scan_range(workspace.git, [state.head.commit], [state.upstream.commit])


def _upstream(workspace: Workspace, head: Ref | None) -> Ref | None:
    name = upstream_ref(workspace.git_config, head.name) if head is not None and head.is_branch else ""
    try:
        return resolve(workspace.git, name) if name else None
    except UnknownRef:
        return None


def _key(change: Change) -> tuple[str, str, str]:
    return change.old_blob, change.new_blob, change.path


class _Contents:
    def __init__(self, workspace: Workspace, reader: ObjectReader) -> None:
        self._top = workspace.repository.work_tree
        self._reader = reader

    def entry(self, change: Change) -> Entry:
        blob = change.old_blob if change.old_blob.strip("0") else change.new_blob
        before = self._content(blob, change.source)
        return Entry(change, before, None if change.status == "A" else self._content(change.new_blob, change.path))

    def _content(self, blob: str, path: str) -> Content:
        return self._of_blob(blob) if blob.strip("0") else self._of_file(path)

    def _of_blob(self, blob: str) -> Content:
        start = bytearray()
        digest: _Hash | None = None

        def take(piece: bytes) -> None:
            nonlocal digest
            if digest is None and len(start) + len(piece) < CUTOFF:
                start.extend(piece)
                return
            digest = _sha256(start) if digest is None else digest
            digest.update(piece)

        try:
            self._reader.copy(blob, take)
        except MissingObject:
            return Content("?", "<missing>")
        pointer = try_parse(bytes(start)) if digest is None else None
        if pointer is not None:
            return Content("LFS", pointer.oid[:_SHORT])
        return Content("Git", (digest or _sha256(start)).hexdigest()[:_SHORT])

    def _of_file(self, path: str) -> Content:
        try:
            with open(os.path.join(self._top, path), "rb") as file:
                digest = _sha256()
                while piece := file.read(_READ_SIZE):
                    digest.update(piece)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return Content("File", "deleted")
        return Content("File", digest.hexdigest()[:_SHORT])


def _sha256(data: bytes | bytearray = b"") -> _Hash:
    import hashlib  # noqa: PLC0415 - 5 ms; most changes are of pointers, which name their hash

    return hashlib.sha256(data)
