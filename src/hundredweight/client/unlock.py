"""Give a lock back, and make the file read-only again where its pattern is lockable."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, RemoteError
from hundredweight.base.trace import trace
from hundredweight.client.lockable import LockableFiles, keeps_read_only, set_writable
from hundredweight.client.locking import reason
from hundredweight.protocol.locks import LockQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.client.locking import Locking
    from hundredweight.protocol.locks import Lock


class UnlockFailed(RemoteError):
    """The lock is still there, or was not found."""


class FileModified(CwtError):
    """The file has changes that nobody else can see yet."""

    hint = "commit or discard them first, or use '--force'"

    def __init__(self) -> None:
        super().__init__("Cannot unlock file with uncommitted changes")


FORCED = "warning: unlocking with uncommitted changes because --force"


def unlock_path(locking: Locking, path: str, *, force: bool, warn: Callable[[str], None]) -> None:
    """Unlock `path`. `force` breaks another user's lock and passes over uncommitted changes, which `warn` then tells.
    Raises `FileModified`, `UnlockFailed`."""
    _check_unmodified(locking, path, force, warn)
    try:
        found = locking.server.list_locks(LockQuery(path=path, refspec=locking.ref)).locks
    except CwtError as error:
        raise UnlockFailed(f"unable to get lock ID: {reason(error)}", hint=error.hint) from error
    if len(found) != 1:
        why = "multiple locks found; ambiguous" if found else "no matching locks found"
        raise UnlockFailed(f"unable to get lock ID: {why}", hint="run 'git lfs locks' to see the locks and their ids")
    _unlock(locking, found[0].id, force)


def unlock_id(locking: Locking, lock_id: str, *, force: bool, warn: Callable[[str], None]) -> None:
    """Unlock by the lock's id. Raises as `unlock_path`."""
    held = _find(locking, lock_id)
    if held is not None:
        _check_unmodified(locking, held.path, force, warn)
    try:
        _unlock(locking, lock_id, force)
    except UnlockFailed as error:
        raise UnlockFailed(f"Unable to unlock {lock_id}: {error}", hint=error.hint) from error


def _unlock(locking: Locking, lock_id: str, force: bool) -> None:
    try:
        answer = locking.server.unlock(lock_id, force=force, ref=locking.ref)
    except CwtError as error:
        raise UnlockFailed(reason(error), hint=error.hint) from error
    if answer.error is not None:
        raise UnlockFailed(f"server unable to unlock: {answer.error.message}")
    locking.cache.remove(lock_id)
    if answer.lock is not None:
        _protect(locking, answer.lock.path)


def _protect(locking: Locking, path: str) -> None:
    workspace = locking.workspace
    root = workspace.repository.work_tree
    if root and keeps_read_only(workspace) and LockableFiles(workspace).matches(path):
        full = os.path.realpath(os.path.join(root, path))
        # The path comes from the server: it must not lead out of the work tree.
        if full.startswith(os.path.realpath(root) + os.sep):
            set_writable(full, False)


def _find(locking: Locking, lock_id: str) -> Lock | None:
    """The lock of that id, from memory, else from the server; None when nobody knows it, as for leftovers."""
    for known in locking.cache.own():
        if known.id == lock_id:
            return known
    try:
        found = locking.server.list_locks(LockQuery(id=lock_id, refspec=locking.ref)).locks
    except CwtError as error:
        trace(f"cannot look up lock {lock_id}: {error}")
        return None
    return found[0] if found else None


def _check_unmodified(locking: Locking, path: str, force: bool, warn: Callable[[str], None]) -> None:
    workspace = locking.workspace
    if not workspace.repository.work_tree:
        return
    if workspace.git.output("status", "--porcelain", "-z", "--", f":(top,literal){path}"):
        if not force:
            raise FileModified
        warn(FORCED)
