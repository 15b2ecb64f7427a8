"""Locks that concern a push: asked for before it, compared with the files that it changes.

Whether to ask, and what a failure means, is `lfs.<url>.locksverify`: true (a failure or a stranger's lock stops the push),
false (never asked), unset (asked; what would have stopped the push is told). 501 sets it to false for this server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_USAGE, CwtError
from hundredweight.base.trace import trace
from hundredweight.client.locking import Locking
from hundredweight.client.locks import verifiable_locks
from hundredweight.git import urlmatch
from hundredweight.git.config import parse_bool
from hundredweight.transfer.http import HttpError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.client.workspace import Workspace
    from hundredweight.protocol.locks import Lock
    from hundredweight.transfer.server import LfsServer

# Servers that are known to have locks need no setting.
_KNOWN_HOSTS = ("github.com",)


class LockCheckFailed(CwtError):
    """The server could not be asked for locks, and the configuration wants it to be."""

    exit_code = EXIT_USAGE


@dataclass
class HeldLock:
    """A lock on a file that is pushed. `owners` maps each holder to the refs (full names) for which the lock is."""

    path: str
    owners: dict[str, list[str]] = field(default_factory=dict)


class LockCheck:
    """The locks of one push. First `verify` each ref, then ask for each file `may_push`; `mine` and `theirs` collect the
    locks that were met. `notices` are for the user."""

    def __init__(self, workspace: Workspace, server: LfsServer) -> None:
        self.notices: list[str] = []
        self.mine: dict[str, HeldLock] = {}
        self.theirs: dict[str, HeldLock] = {}
        self.verified: list[str] = []
        self._workspace = workspace
        self._server = server
        self._url = server.endpoint.url
        self._all_mine: dict[str, HeldLock] = {}
        self._all_theirs: dict[str, HeldLock] = {}
        self._wanted = _wanted(workspace, self._url)

    @property
    def enforced(self) -> bool:
        """Whether somebody else's lock stops the push."""
        return self._wanted is True

    @property
    def any_theirs(self) -> bool:
        """Whether anybody else holds a lock at all."""
        return bool(self._all_theirs)

    def verify(self, ref: str) -> None:
        """Ask for the locks of `ref`, its full name on the server, once. Raises `LockCheckFailed` when enforced."""
        if self._wanted is False or ref in self.verified:
            return
        try:
            with Locking(self._workspace, self._server.remote, ref, self._server) as locking:
                ours, theirs = verifiable_locks(locking)
        except CwtError as error:
            self._failed(error)
            ours, theirs = [], []
        else:
            if self._wanted is None:
                self._advise(
                    f'Locking support detected on remote "{self._server.remote}". Consider enabling it with:', "true"
                )
        _add(self._all_mine, ours, ref)
        _add(self._all_theirs, theirs, ref)
        self.verified.append(ref)

    def may_push(self, path: str) -> bool:
        """Whether the file may be pushed as far as locks go; takes note of a lock on it."""
        if path in self._all_mine:
            self.mine[path] = self._all_mine[path]
        if path not in self._all_theirs:
            return True
        self.theirs[path] = self._all_theirs[path]
        return not self.enforced

    def _failed(self, error: CwtError) -> None:
        status = error.status if isinstance(error, HttpError) else 0
        trace(f"locks of {self._url} not verified: {error}")
        if status == 501:
            self._workspace.git.run("config", "--local", f"lfs.{self._url}.locksverify", "false")
        elif status in (401, 403):
            if self.enforced:
                raise LockCheckFailed(f"error: Authentication error: {error}", hint=error.hint) from error
            self.notices.append(f"warning: Authentication error: {error}")
        else:
            remote = self._server.remote
            self._advise(
                f'Remote "{remote}" does not support the Git LFS locking API. Consider disabling it with:', "false"
            )
            if self.enforced:
                raise LockCheckFailed("\n".join([*self.notices, str(error)]), hint=error.hint) from error

    def _advise(self, text: str, value: str) -> None:
        self.notices += [text, f"  $ git config lfs.{self._url}.locksverify {value}"]


def _wanted(workspace: Workspace, url: str) -> bool | None:
    found = urlmatch.values(workspace.config, "lfs", url, "locksverify")
    if found:
        return parse_bool(found[-1], False)
    if url.startswith("file://"):
        # Another repository on this machine: nobody is there to ask.
        return False
    return True if urlmatch.host(url) in _KNOWN_HOSTS else None


def _add(known: dict[str, HeldLock], locks: Iterable[Lock], ref: str) -> None:
    for lock in locks:
        known.setdefault(lock.path, HeldLock(lock.path)).owners.setdefault(lock.owner, []).append(ref)
