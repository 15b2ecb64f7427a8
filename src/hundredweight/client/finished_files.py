"""Files that a run which was killed had written already, and the index does not know yet.

Git takes a file whose size is not the one in the index for changed, without asking the filter. The index has the pointer's size
until it is refreshed, which a killed run did not come to: everything it wrote would show as modified for ever after.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from hundredweight.client.pointer_files import WITHOUT_FILTER
from hundredweight.client.worktree import Write, refresh_index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.client.workspace import Workspace
    from hundredweight.protocol.pointer import Pointer


def settle(workspace: Workspace, results: Iterable[Write]) -> None:
    """Of the files that were left alone, make the index know those that are changed to git and yet hold exactly the object of
    their pointer. Others stay as they are: somebody's work. Raises `GitError`, `WriteError`."""
    left = {one.path: one.pointer for one in results if not one.written and one.error is None and one.pointer.size}
    if not left:
        return
    # The filter would put every file that git looks into to the store, even where its object was not to be there.
    changed = workspace.git.with_options(*WITHOUT_FILTER).fields("diff-files", "--name-only", "-z", "--no-ext-diff")
    finished = []
    for path in changed:
        info = _verified(os.path.join(workspace.repository.work_tree, path), left[path]) if path in left else None
        if info is not None:
            finished.append(Write(path, left[path], True, None, info))
    refresh_index(workspace, finished)


def _verified(full: str, pointer: Pointer) -> os.stat_result | None:
    """What the file system says of the file, if it holds the object."""
    try:
        before = os.lstat(full)
        if not stat.S_ISREG(before.st_mode) or before.st_size != pointer.size:
            return None
        with open(full, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.lstat(full)
    except OSError:
        # Gone or unreadable: whoever did that has not finished it for us.
        return None
    same = (before.st_mtime_ns, before.st_ctime_ns, before.st_size) == (
        after.st_mtime_ns,
        after.st_ctime_ns,
        after.st_size,
    )
    return after if same and digest == pointer.oid else None
