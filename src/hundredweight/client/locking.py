"""What lock, unlock and locks share: the server, the ref that locks are asked for, the cache, and paths as servers want them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, UsageError
from hundredweight.client.lock_cache import LockCache
from hundredweight.git.refs import current, current_branch, default_push_remote, push_target
from hundredweight.transfer.http import HttpError
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace
    from hundredweight.transfer.server import LfsServer


class BadLockPath(UsageError):
    """A path that cannot be locked."""


class Locking:
    """Locks of one clone at one remote. Use as a context."""

    def __init__(self, workspace: Workspace, remote: str = "", ref: str = "", server: LfsServer | None = None) -> None:
        """`remote` is by default where pushes go, `ref` the full name there that a push of HEAD updates. A `server` that is
        open already stays the caller's to close."""
        self.workspace = workspace
        config = workspace.config
        self.remote = remote or default_push_remote(config, current_branch(workspace.git))
        head = current(workspace.git) if not ref else None
        self.ref = ref or (push_target(config, self.remote, head) if head is not None else "")
        self.cache = LockCache(workspace.lfs_folder)
        self._server = server
        self._borrowed = server is not None

    @property
    def server(self) -> LfsServer:
        """Opened on first use: questions to the cache alone need none."""
        if self._server is None:
            space = self.workspace
            git_dir = space.repository.git_dir
            self._server = open_server(space.config, space.git, space.variables, self.remote, "upload", git_dir=git_dir)
        return self._server

    def __enter__(self) -> Locking:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._server is not None and not self._borrowed:
            self._server.close()


def reason(error: CwtError) -> str:
    """Why, without the words around it: the server's own message where there is one."""
    return error.reason if isinstance(error, HttpError) else error.message


def lock_path(workspace: Workspace, folder: str, path: str) -> str:
    """`path`, as written in `folder`, relative to the work tree's root with slashes. Raises `BadLockPath` for what is outside,
    for a folder, and for what JSON cannot say. Links inside the work tree are kept: the lock is on the path."""
    root = os.path.realpath(workspace.repository.work_tree or folder)
    if os.path.isabs(path):
        full = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        full = full if _is_below(full, root) else os.path.realpath(path)
    else:
        full = os.path.normpath(os.path.join(os.path.realpath(folder), path))
    relative = os.path.relpath(full, root).replace(os.sep, "/")
    if relative == ".." or relative.startswith("../"):
        raise BadLockPath(f'unable to canonicalize path "{relative}"', hint="name a file inside the work tree")
    if os.path.isdir(full):
        raise BadLockPath(f"cannot lock directory: {path}", hint="name the files in it")
    try:
        relative.encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(relative).decode("utf-8", "backslashreplace")
        raise BadLockPath(f"cannot lock '{shown}': its name is not UTF-8", hint="rename it with 'git mv'") from error
    return relative


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root + os.sep)
