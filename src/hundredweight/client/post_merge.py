"""After a merge, also the one of `git pull`: lockable files become read-only again."""

from __future__ import annotations

from hundredweight.base.trace import trace
from hundredweight.client.lockable import LockableFiles, keeps_read_only, mentions_lockable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace


def fix_write_bits(workspace: Workspace) -> list[str]:
    """Set the write bits of all lockable files: git does not tell what the merge touched. Gives the paths that could not be
    changed."""
    if not keeps_read_only(workspace) or not mentions_lockable(workspace):
        return []
    files = LockableFiles(workspace)
    if not files.any:
        return []
    trace("post-merge: checking write flags for all lockable files")
    return files.fix_all()
