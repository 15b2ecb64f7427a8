"""Rules of locks. A lock is on a path of a repository, whatever the branch (as git-lfs means it), and belongs to a user.

Anyone who may write takes locks and releases his own; releasing another's needs `force`, which anyone who may write has, as
stock servers do: a lock is an agreement among colleagues, and its owner may be on holiday. Everything is in the database, so
locks outlive the process, and the table's unique constraint decides races.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError

from hundredweight.base.errors import UsageError
from hundredweight.hub.database.schema import locks
from hundredweight.hub.errors import Conflict, Forbidden, NotFound
from hundredweight.protocol.locks import MAX_PATH, Lock, LockList, LockQuery

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from hundredweight.hub.database.engine import Database

PAGE = 100
MAX_PAGE = 1000


class BadLockPath(UsageError):
    """The path is none that git could hold."""

    def __init__(self, path: str) -> None:
        super().__init__(f"invalid path '{path[:200]}'", hint="name a file relative to the top of the repository")
        self.path = path


class AlreadyLocked(Conflict):
    """The path has a lock already: `lock`."""

    def __init__(self, lock: Lock) -> None:
        super().__init__(
            f"'{lock.path}' is already locked by {lock.owner}",
            hint=f"ask {lock.owner} to release it with 'git lfs unlock'; 'git lfs unlock --force' breaks it",
        )
        self.lock = lock


class NoSuchLock(NotFound):
    """There is no lock of that id in the repository."""

    def __init__(self, lock_id: str) -> None:
        super().__init__(f"no lock '{lock_id[:80]}'", hint="run 'git lfs locks' for the list")


class NotOwner(Forbidden):
    """Somebody else owns the lock: `lock`."""

    def __init__(self, lock: Lock) -> None:
        hint = f"ask {lock.owner}, or run 'git lfs unlock --force {lock.path}'"
        super().__init__(f"'{lock.path}' is locked by {lock.owner}", hint=hint)
        self.lock = lock


class LockService:
    """Locks of all repositories. Thread-safe; every call is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, repository: int, path: str, owner: str, ref: str = "") -> Lock:
        """Raises `AlreadyLocked`, also to the owner, and `BadLockPath`."""
        path = checked_path(path)
        row = {
            "id": secrets.token_hex(16),
            "repository_id": repository,
            "path": path,
            "ref": ref,
            "owner": owner,
            "locked_at": time.time(),
        }
        with self._database.write() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(locks).values(**row))
            except IntegrityError:
                raise AlreadyLocked(_find(connection, repository, locks.c.path == path)) from None
            return _find(connection, repository, locks.c.id == row["id"])

    def remove(self, repository: int, lock_id: str, user: str, *, force: bool) -> Lock:
        """The lock that was. Raises `NoSuchLock`, `NotOwner`."""
        with self._database.write() as connection:
            lock = _find(connection, repository, locks.c.id == lock_id, lock_id)
            if lock.owner != user and not force:
                raise NotOwner(lock)
            connection.execute(delete(locks).where(locks.c.id == lock_id))
            return lock

    def page(self, repository: int, query: LockQuery) -> LockList:
        """Locks, oldest first, from the query's cursor on. `refspec` selects nothing: locks hold on all branches.

        A cursor stays good when locks come and go meanwhile. One that this hub did not make lists from the start.
        """
        limit = min(query.limit or PAGE, MAX_PAGE)
        wanted = select(locks).where(locks.c.repository_id == repository)
        if query.path:
            wanted = wanted.where(locks.c.path == normal(query.path))
        if query.id:
            wanted = wanted.where(locks.c.id == query.id)
        time, _, after = query.cursor.partition("-")
        if after and (moment := _number(time)) is not None:
            later = and_(locks.c.locked_at == moment, locks.c.id > after)
            wanted = wanted.where(or_(locks.c.locked_at > moment, later))
        wanted = wanted.order_by(locks.c.locked_at, locks.c.id).limit(limit + 1)
        with self._database.read() as connection:
            rows = connection.execute(wanted).all()
        cursor = f"{rows[limit - 1].locked_at!r}-{rows[limit - 1].id}" if len(rows) > limit else ""
        return LockList(tuple(_lock(row) for row in rows[:limit]), cursor)

    def foreign(self, repository: int, user: str) -> list[Lock]:
        """All locks that belong to somebody else."""
        wanted = select(locks).where(locks.c.repository_id == repository, locks.c.owner != user)
        with self._database.read() as connection:
            return [_lock(row) for row in connection.execute(wanted)]


def checked_path(path: str) -> str:
    """The path as git holds it. Raises `BadLockPath` for what leaves the repository or git would never check out."""
    found = normal(path)
    parts = found.split("/")
    bad = not found or len(path) > MAX_PATH or path.startswith("/") or "\0" in path or ".." in parts
    if bad or any(part.lower() == ".git" for part in parts):
        raise BadLockPath(path)
    return found


def normal(path: str) -> str:
    """One spelling a path: no empty and no `.` parts. Characters stay as they are: git compares bytes."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _find(connection: Connection, repository: int, condition: object, lock_id: str = "") -> Lock:
    wanted = select(locks).where(locks.c.repository_id == repository, condition)  # type: ignore[arg-type]
    row = connection.execute(wanted).first()
    if row is None:
        raise NoSuchLock(lock_id)
    return _lock(row)


def _lock(row: Row[tuple[object, ...]]) -> Lock:
    moment = datetime.fromtimestamp(row.locked_at, UTC).replace(microsecond=0)
    return Lock(row.id, row.path, row.owner, moment.isoformat().replace("+00:00", "Z"))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
