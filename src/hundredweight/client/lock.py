"""Lock a file on the server, and make it writable here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, RemoteError
from hundredweight.client.lockable import set_writable
from hundredweight.client.locking import reason

if TYPE_CHECKING:
    from hundredweight.client.locking import Locking
    from hundredweight.protocol.locks import Lock


class LockFailed(RemoteError):
    """The server did not lock `path`."""

    def __init__(self, path: str, why: str, hint: str) -> None:
        super().__init__(f"Locking {path} failed: {why}", hint=hint)
        self.path = path


def lock(locking: Locking, path: str) -> Lock:
    """Lock `path` (relative to the work tree's root) and remember it. Raises `LockFailed`."""
    try:
        answer = locking.server.lock(path, locking.ref)
    except CwtError as error:
        raise LockFailed(path, reason(error), error.hint) from error
    if answer.lock is None or answer.error is not None:
        why = answer.error.message if answer.error else "invalid server response"
        raise LockFailed(path, f"server unable to create lock: {why}", "run 'git lfs locks' to see who holds it")
    locking.cache.add(answer.lock)
    if locking.workspace.repository.work_tree:
        set_writable(os.path.join(locking.workspace.repository.work_tree, path), True)
    return answer.lock
