"""The rules of possession. All calls block.

An object is stored once. A repository has it when it possesses it; it comes to possess it by an upload whose bytes
were verified, or because whoever pushes may read a repository that possesses it: else knowing a hash would be enough
to read the bytes.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import bindparam, func, select

from hundredweight.base.errors import CwtError
from hundredweight.base.ids import Oid, RepoName
from hundredweight.hub.database.schema import objects, packs, possession, recipes, repositories
from hundredweight.hub.database.statements import insert_new, slices
from hundredweight.hub.repos.service import RepositoryMissing
from hundredweight.protocol.pointer import EMPTY_OID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from hundredweight.hub.access import Access
    from hundredweight.hub.database.engine import Database
    from hundredweight.hub.tokens.service import Principal
    from hundredweight.store.objects import ObjectStore

_SIZE = (
    select(objects.c.size)
    .join(possession, possession.c.oid == objects.c.oid)
    .where(possession.c.repository_id == bindparam("repository"), objects.c.oid == bindparam("oid"))
)
_PAGE = 1000


class Possessor(Protocol):
    """A repository as possession sees it: its number tells it from a later one of the same name."""

    @property
    def id(self) -> int: ...

    @property
    def name(self) -> RepoName: ...


@dataclass(frozen=True, slots=True)
class Stats:
    """`logical` counts an object once for each repository that possesses it; `stored` is what they take: all packs, and
    the objects that stand in none, each once."""

    repositories: int
    objects: int
    logical: int
    stored: int


class _Record:
    """One upload that waits to be recorded."""

    __slots__ = ("done", "error", "oid", "repository", "size", "user")

    def __init__(self, repository: Possessor, oid: Oid, size: int, user: str) -> None:
        self.repository = repository
        self.oid = oid
        self.size = size
        self.user = user
        self.done = False
        self.error: CwtError | None = None


class Objects:
    """Possession and its figures."""

    def __init__(self, database: Database, store: ObjectStore, access: Access) -> None:
        self._database = database
        self.store = store
        self._access = access
        self._queue: list[_Record] = []
        self._queue_lock = threading.Lock()
        self._turn = threading.Lock()

    def possessed(self, repository: Possessor, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Those of `oids` that the repository possesses, with their sizes. Everybody possesses the empty object."""
        wanted = list(dict.fromkeys(oids))
        with self._database.read() as connection:
            return _possessed(connection, repository, wanted)

    def size(self, repository: Possessor, oid: Oid) -> int:
        """Bytes of an object that the repository possesses, else -1: `possessed` for one, as each download asks."""
        if oid == EMPTY_OID:
            return 0
        with self._database.read() as connection:
            found: int | None = connection.execute(_SIZE, {"repository": repository.id, "oid": oid}).scalar()
            return -1 if found is None else found

    def claim(self, repository: Possessor, oids: Iterable[Oid], principal: Principal) -> dict[Oid, int]:
        """As `possessed`, after the repository came to possess what `principal` may read elsewhere on this hub."""
        wanted = list(dict.fromkeys(oids))
        with self._database.read() as connection:
            found = _possessed(connection, repository, wanted)
            readable = self._readable(connection, [oid for oid in wanted if oid not in found], principal)
        if readable:
            with self._database.write() as connection:
                _possess(connection, [(repository, oid, principal.user) for oid in readable], time.time())
        return found | readable

    def record(self, repository: Possessor, oid: Oid, size: int, user: str) -> None:
        """The store has the object, verified, and the repository brought it. Raises `RepositoryMissing`, `DatabaseError`.

        Records that come while one is being committed share the next commit: the disk syncs once for all of them.
        """
        record = _Record(repository, oid, size, user)
        with self._queue_lock:
            self._queue.append(record)
        with self._turn:
            if not record.done:
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                self._commit(batch)
        if record.error is not None:
            raise record.error

    def _commit(self, batch: list[_Record]) -> None:
        try:
            with self._database.write() as connection:
                ids = {record.repository.id for record in batch}
                known = set(connection.execute(select(repositories.c.id).where(repositories.c.id.in_(ids))).scalars())
                good = [record for record in batch if record.repository.id in known]
                for record in batch:
                    if record.repository.id not in known:
                        record.error = RepositoryMissing(record.repository.name)
                if good:
                    now = time.time()
                    rows = [{"oid": record.oid, "size": record.size, "created_at": now} for record in good]
                    connection.execute(insert_new(connection, objects), rows)
                    _possess(connection, [(record.repository, record.oid, record.user) for record in good], now)
        except CwtError as error:
            for record in batch:
                record.error = error
        finally:
            for record in batch:
                record.done = True

    def all(self) -> Iterator[tuple[Oid, int]]:
        """Every object that ever came to this hub, verified, with its size, in order of id. Read a page at a time: no transaction
        stays open meanwhile."""
        after = ""
        while True:
            query = select(objects.c.oid, objects.c.size).where(objects.c.oid > after).order_by(objects.c.oid)
            with self._database.read() as connection:
                rows = connection.execute(query.limit(_PAGE)).all()
            yield from ((Oid(row.oid), row.size) for row in rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1].oid

    def has(self, oid: Oid) -> bool:
        """Whether the object came to this hub, verified, at some time."""
        with self._database.read() as connection:
            return connection.execute(select(objects.c.oid).where(objects.c.oid == oid)).scalar() is not None

    def holders(self, oid: Oid, limit: int) -> list[RepoName]:
        """Up to `limit` repositories that possess the object, by name."""
        query = (
            select(repositories.c.name)
            .join(possession, possession.c.repository_id == repositories.c.id)
            .where(possession.c.oid == oid)
            .order_by(repositories.c.key)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [RepoName(name) for name in connection.execute(query).scalars()]

    def stored(self, oid: Oid, size: int) -> bool:
        """Whether the bytes are here, in full length."""
        return oid == EMPTY_OID or self.store.size(oid) == size

    def stats(self) -> Stats:
        with self._database.read() as connection:
            joined = possession.join(objects, possession.c.oid == objects.c.oid)
            logical = connection.execute(select(func.coalesce(func.sum(objects.c.size), 0)).select_from(joined))
            packed = connection.execute(select(func.coalesce(func.sum(packs.c.size), 0))).scalar_one()
            loose = func.sum(objects.c.size).filter(recipes.c.oid.is_(None))
            stored = connection.execute(
                select(func.count(objects.c.oid), func.coalesce(loose, 0)).select_from(
                    objects.outerjoin(recipes, recipes.c.oid == objects.c.oid)
                )
            )
            count = connection.execute(select(func.count()).select_from(repositories)).scalar_one()
            number, size = stored.one()
            return Stats(count, number, int(logical.scalar_one()), int(size) + int(packed))

    def _readable(self, connection: Connection, oids: Sequence[Oid], principal: Principal) -> dict[Oid, int]:
        held = (
            select(possession.c.oid)
            .join(repositories, repositories.c.id == possession.c.repository_id)
            .where(possession.c.oid == objects.c.oid, self._access.readable(principal))
        )
        found: dict[Oid, int] = {}
        for part in slices(oids):
            query = select(objects.c.oid, objects.c.size).where(objects.c.oid.in_(part), held.exists())
            found.update((Oid(row.oid), row.size) for row in connection.execute(query))
        return found


def _possessed(connection: Connection, repository: Possessor, oids: Sequence[Oid]) -> dict[Oid, int]:
    found: dict[Oid, int] = {EMPTY_OID: 0} if EMPTY_OID in oids else {}
    for part in slices(oids):
        query = (
            select(objects.c.oid, objects.c.size)
            .join(possession, possession.c.oid == objects.c.oid)
            .where(possession.c.repository_id == repository.id, objects.c.oid.in_(part))
        )
        found.update((Oid(row.oid), row.size) for row in connection.execute(query))
    return found


def _possess(connection: Connection, claims: list[tuple[Possessor, Oid, str]], now: float) -> None:
    rows = [
        {"repository_id": repository.id, "oid": oid, "created_at": now, "created_by": user}
        for repository, oid, user in claims
    ]
    connection.execute(insert_new(connection, possession), rows)
