"""After a commit: lockable files that it added or changed become read-only again."""

from __future__ import annotations

from hundredweight.base.trace import trace
from hundredweight.client.lockable import LockableFiles, keeps_read_only, mentions_lockable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace


def fix_write_bits(workspace: Workspace) -> list[str]:
    """Set the write bits of the files of HEAD's commit. Gives the paths that could not be changed. Raises `GitError`."""
    if not keeps_read_only(workspace) or not mentions_lockable(workspace):
        return []
    files = LockableFiles(workspace)
    if not files.any:
        return []
    trace("post-commit: checking file write flags at HEAD")
    command = ("diff-tree", "--no-commit-id", "--name-only", "--root", "-r", "-z", "HEAD", "--")
    return files.fix(workspace.git.fields(*command))
