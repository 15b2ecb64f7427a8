"""The work tree before and after a migration: clean or not; brought to the new commit with its content in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.client.pointer_files import WITHOUT_FILTER
from hundredweight.client.worktree import WorktreeWriter
from hundredweight.git.scan import scan_index

if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace


def is_dirty(workspace: Workspace) -> bool:
    """Whether `git status` has anything to say, untracked files included."""
    return bool(workspace.git.output("status", "--porcelain", "-z"))


def update_work_tree(workspace: Workspace) -> None:
    """Check out HEAD over whatever is there, then put the content that the store has in place of pointers. Git's own
    checkout would run every file through the filter, one after the other, each whole in memory. Where no filter is
    configured the pointers stay: to git, content would be a change."""
    git = workspace.git
    if not git.ok("rev-parse", "--verify", "--quiet", "HEAD"):
        return
    git.with_options(*WITHOUT_FILTER).output("checkout", "--force")
    if not any(workspace.git_config.get(f"filter.lfs.{kind}") for kind in ("process", "clean")):
        return
    store = workspace.store
    with WorktreeWriter(workspace) as writer:
        for file in scan_index(git, tracked_only=True):
            if store.has(file.pointer.oid, file.pointer.size):
                writer.write(file.path, file.pointer)
        writer.finish()
