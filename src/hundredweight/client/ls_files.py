"""`git lfs ls-files`: the LFS files of a commit, of the index, of history, and whether their objects are here."""

from __future__ import annotations

import os

from hundredweight.base.errors import UsageError
from hundredweight.git.refs import current
from hundredweight.git.scan import EMPTY_TREES, diff_index, read_pointers, scan_all, scan_range, scan_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hundredweight.client.workspace import Workspace
    from hundredweight.git.patterns import PathFilter
    from hundredweight.git.scan import PointerFile


class BadChoice(UsageError):
    """Options that exclude each other."""


def list_files(
    workspace: Workspace, refs: Sequence[str] = (), *, every: bool = False, deleted: bool = False, paths: PathFilter
) -> Iterator[PointerFile]:
    """Pointer files: without refs those of the index and of HEAD; of one ref's tree; that came between two refs; with
    `deleted` of a ref's whole history; with `every` of all history. A path is given once, but in a history.

    Empty files are left out. Raises `BadChoice` at once, `ScanError` while listing.
    """
    if refs and every:
        raise BadChoice("Cannot use --all with explicit reference")
    if "--all" in refs[:1]:
        raise BadChoice("Did you mean `git lfs ls-files --all --` ?")
    if len(refs) > 1 and deleted:
        raise BadChoice("Cannot use --deleted with reference range")
    return _once(_found(workspace, refs, every, deleted, paths), repeat=every or len(refs) > 1)


def is_checked_out(workspace: Workspace, file: PointerFile) -> bool:
    """Whether the work tree has a file of the object's size at that path."""
    try:
        return os.stat(os.path.join(workspace.repository.work_tree, file.path)).st_size == file.pointer.size
    except OSError:
        return False


def is_stored(workspace: Workspace, file: PointerFile) -> bool:
    """Whether the object itself is in the clone."""
    return workspace.store.size(file.pointer.oid) == file.pointer.size


def _found(
    workspace: Workspace, refs: Sequence[str], every: bool, deleted: bool, paths: PathFilter
) -> Iterator[PointerFile]:
    git = workspace.git
    if every:
        yield from scan_all(git, paths)
    elif len(refs) > 1:
        yield from scan_range(git, [refs[1]], [refs[0]], paths=paths)
    else:
        head = "" if refs else _head(workspace)
        if head:
            changed = ((c.new_blob, c.path) for c in diff_index(git, head, cached=True) if paths.allows(c.path))
            yield from read_pointers(git, ((blob, path) for blob, path in changed if blob.strip("0")))
        tree = refs[0] if refs else head
        yield from scan_range(git, [tree], paths=paths) if deleted else scan_tree(git, tree, paths)


def _head(workspace: Workspace) -> str:
    head = current(workspace.git)
    return head.commit if head is not None else EMPTY_TREES[workspace.repository.object_format]


def _once(files: Iterator[PointerFile], *, repeat: bool) -> Iterator[PointerFile]:
    seen: set[str] = set()
    for file in files:
        if file.pointer.size and (repeat or file.path not in seen):
            seen.add(file.path)
            yield file
