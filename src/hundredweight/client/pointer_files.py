"""Files of the work tree that hold a pointer where content should be: how many, and whether anybody has to be told."""

from __future__ import annotations

import os
import stat

from hundredweight.git.config import parse_bool
from hundredweight.git.patterns import PathFilter, split_list
from hundredweight.protocol.pointer import CUTOFF, try_parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace

WRITES_LATER = "HUNDREDWEIGHT_WRITES_FILES"
"""Environment variable of a command that runs git without the filter and writes the files itself afterwards."""
WITHOUT_FILTER = (
    "-c", "filter.lfs.process=", "-c", "filter.lfs.smudge=", "-c", "filter.lfs.clean=", "-c", "filter.lfs.required=false",
)  # fmt: skip
"""Options of a git that takes LFS files as they are."""


def may_be_left(workspace: Workspace) -> bool:
    """Whether a checkout may have left pointers: the filter is told to skip, or to go on after failed downloads, or is not
    installed. From what is known already; no process is started."""
    variables, config = workspace.variables, workspace.git_config
    if variables.get(WRITES_LATER):
        return False
    told = any(
        parse_bool(variables.get(name, ""), False) for name in ("GIT_LFS_SKIP_SMUDGE", "GIT_LFS_SKIP_DOWNLOAD_ERRORS")
    )
    command = config.get("filter.lfs.process") or config.get("filter.lfs.smudge")
    return told or config.bool("lfs.skipdownloaderrors") or not command or "--skip" in command


def count(workspace: Workspace) -> int:
    """How many tracked files hold pointers. Those that the fetch filters leave out on purpose are not counted."""
    config = workspace.config
    allowed = PathFilter(split_list(config.get("lfs.fetchinclude")), split_list(config.get("lfs.fetchexclude")))
    paths = workspace.git.fields("ls-files", "-z", "--", ":(top,attr:filter=lfs)")
    top = workspace.repository.work_tree
    return sum(1 for path in dict.fromkeys(paths) if _holds_pointer(os.path.join(top, path)) and allowed.allows(path))


def _holds_pointer(full: str) -> bool:
    try:
        info = os.lstat(full)
        if not stat.S_ISREG(info.st_mode) or not 0 < info.st_size < CUTOFF:
            return False
        with open(full, "rb") as file:
            return try_parse(file.read(CUTOFF)) is not None
    except OSError:
        # gone or unreadable: not a pointer that anybody would train on
        return False
