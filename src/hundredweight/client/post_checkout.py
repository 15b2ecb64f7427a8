"""After a checkout: lockable files become read-only again."""

from __future__ import annotations

from hundredweight.base.trace import trace
from hundredweight.client.lockable import LockableFiles, keeps_read_only, mentions_lockable
from hundredweight.git.run import GitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace


def fix_write_bits(workspace: Workspace, before: str, after: str, whole: bool) -> list[str]:
    """Set the write bits of what the checkout may have written: `whole` says that it went from commit `before` to `after`,
    so that only files that differ matter. Gives the paths that could not be changed."""
    if not keeps_read_only(workspace) or not mentions_lockable(workspace):
        return []
    files = LockableFiles(workspace)
    if not files.any:
        return []
    if whole and before.strip("0"):
        trace(f"post-checkout: changes between {before} and {after}")
        try:
            return files.fix(
                workspace.git.fields("diff-tree", "--no-commit-id", "--name-only", "-r", "-z", before, after)
            )
        except GitError as error:
            # a commit that is gone, or a partial clone without network: look at everything instead
            trace(f"post-checkout: {error}")
    trace("post-checkout: checking write flags for all lockable files")
    return files.fix_all()
