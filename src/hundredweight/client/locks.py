"""List locks: the server's, the server's last ones, or the user's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hundredweight.protocol.locks import LockQuery

if TYPE_CHECKING:
    from hundredweight.client.locking import Locking
    from hundredweight.protocol.locks import Lock


@dataclass(frozen=True, slots=True)
class LockFilter:
    """Which locks; empty fields do not narrow. `limit` 0 is no limit."""

    path: str = ""
    id: str = ""
    limit: int = 0

    @property
    def is_everything(self) -> bool:
        return self == LockFilter()


def own_locks(locking: Locking, wanted: LockFilter) -> list[Lock]:
    """The user's own locks as remembered here. Asks nobody."""
    found = [lock for lock in locking.cache.own() if wanted.path in ("", lock.path) and wanted.id in ("", lock.id)]
    return found[: wanted.limit] if wanted.limit else found


def remote_locks(locking: Locking, wanted: LockFilter) -> list[Lock]:
    """The server's locks, all pages; a complete list is kept for `--cached`. Raises `HttpError` and its kin."""
    query = LockQuery(wanted.path, wanted.id, limit=wanted.limit, refspec=locking.ref)
    found: list[Lock] = []
    while True:
        page = locking.server.list_locks(query)
        found += page.locks
        if wanted.limit and len(found) >= wanted.limit:
            return found[: wanted.limit]
        if not page.next_cursor or page.next_cursor == query.cursor:
            break
        query = replace(query, cursor=page.next_cursor)
    if wanted.is_everything:
        locking.cache.keep_list(locking.ref, found)
    return found


def verifiable_locks(locking: Locking, limit: int = 0) -> tuple[list[Lock], list[Lock]]:
    """Ours and theirs, all pages. A complete answer is kept, and corrects what is remembered of our own. Raises `HttpError`:
    404 and 501 where the server has no locks, 403 where we may not ask."""
    ours: list[Lock] = []
    theirs: list[Lock] = []
    cursor = ""
    while True:
        page = locking.server.verify_locks(locking.ref, cursor, limit)
        ours += page.ours
        theirs += page.theirs
        if limit and len(ours) + len(theirs) >= limit:
            ours = ours[:limit]
            return ours, theirs[: limit - len(ours)]
        if not page.next_cursor or page.next_cursor == cursor:
            break
        cursor = page.next_cursor
    if not limit:
        locking.cache.replace(ours)
        locking.cache.keep_verifiable(locking.ref, ours, theirs)
    return ours, theirs
