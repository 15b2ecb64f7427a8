"""Lockable files: read-only in the work tree, unless the user holds their lock.

`mentions_lockable` answers the hooks' usual question, whether there is anything to do, from a few small files; only when
there is are patterns parsed and files walked.
"""

from __future__ import annotations

import os
import stat

from hundredweight.git.attributes import rules, user_file
from hundredweight.git.config import parse_bool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.client.workspace import Workspace
    from hundredweight.git.attributes import AttributeRules

_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def keeps_read_only(workspace: Workspace) -> bool:
    """Whether write bits are to be changed at all (GIT_LFS_SET_LOCKABLE_READONLY, lfs.setlockablereadonly)."""
    variable = workspace.variables.get("GIT_LFS_SET_LOCKABLE_READONLY", "true")
    return parse_bool(variable, True) and workspace.git_config.bool("lfs.setlockablereadonly", True)


def mentions_lockable(workspace: Workspace) -> bool:
    """Whether some attributes file of the work tree says the word. One git spawn; never False where `LockableFiles.any` is
    True, but for a macro of the system's and an untracked file below the top."""
    top = workspace.repository.work_tree
    listed = workspace.git.fields("ls-files", "-z", "--cached", "--", ":(glob)**/.gitattributes")
    paths = {".gitattributes", *listed}
    files = [os.path.join(top, path) for path in paths]
    files.append(os.path.join(workspace.repository.common_dir, "info", "attributes"))
    files.append(user_file(workspace.git_config, workspace.variables))
    return any(b"lockable" in _content(path) for path in files)


class LockableFiles:
    """The lockable patterns of a work tree, and the write bits of the files that match."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._rules: AttributeRules = rules(workspace.repository, workspace.git_config, workspace.variables)

    @property
    def any(self) -> bool:
        return self._rules.any_lockable

    def matches(self, path: str) -> bool:
        return self._rules.is_lockable(path)

    def fix(self, paths: Iterable[str]) -> list[str]:
        """Make those of `paths` that are lockable read-only, but for those that the user has locked. Gives the paths whose
        bits could not be set."""
        from hundredweight.client.lock_cache import LockCache  # noqa: PLC0415 - json, when something is lockable only

        failed = []
        own = LockCache(self._workspace.lfs_folder).own_paths()
        for path in paths:
            if self.matches(path):
                try:
                    set_writable(os.path.join(self._workspace.repository.work_tree, path), path in own)
                except OSError:
                    failed.append(path)
        return failed

    def fix_all(self) -> list[str]:
        """As `fix`, for every file that git tracks (and, with lfs.lockignoredfiles, the ignored ones)."""
        git = self._workspace.git
        failed = self.fix(git.fields("ls-files", "-z", "--cached"))
        if self._workspace.git_config.bool("lfs.lockignoredfiles"):
            failed += self.fix(git.fields("ls-files", "-z", "--others", "--ignored", "--exclude-standard"))
        return failed


def set_writable(full: str, writable: bool) -> None:
    """Give a regular file write permission (as far as the umask would), or take it away. A missing file is none."""
    try:
        info = os.lstat(full)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(info.st_mode):
        return
    mode = stat.S_IMODE(info.st_mode)
    wanted = mode | stat.S_IWUSR if writable else mode & ~_WRITE_BITS
    if wanted != mode:
        os.chmod(full, wanted)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
        return b""
