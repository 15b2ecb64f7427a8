"""One engine: connections, transactions, migrations. SQLite in a file; the same SQL runs on PostgreSQL.

All calls block; the HTTP side makes them through `anyio.to_thread`. SQLite has one writer: writes of this process
queue on a lock (its own busy wait polls and starves), those of other processes wait up to `BUSY_SECONDS`.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from hundredweight.base.errors import LocalError
from hundredweight.hub.database.schema import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_SECONDS = 30
POOL_SIZE = 16


class DatabaseError(LocalError):
    """The database could not be opened, read or written."""

    hint = "see that the data folder is writable and whole"


class DatabaseFull(DatabaseError):
    """There is no room for the database to grow. What was committed before stays."""

    hint = "free some space where the hub stores its data"


class Database:
    """Transactions over one database. Thread-safe; `close` when done."""

    def __init__(self, url: str) -> None:
        """`url` is SQLAlchemy's. Opens nothing yet."""
        self._engine = _make_engine(url)
        self._writing = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, on one snapshot. Raises `DatabaseError`."""
        with _mapped(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write, committed at the end, rolled back by an error. Raises `DatabaseError`."""
        with _mapped(), self._writing, self._engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    def migrate(self) -> None:
        """Bring the tables to this program's version. Raises `DatabaseTooNew`, `DatabaseError`."""
        if self._version() == VERSION:
            return
        from hundredweight.hub.database.upgrade import upgrade  # noqa: PLC0415 - alembic: 130 ms and 15 MB, rarely needed

        with self.write() as connection:
            upgrade(connection)

    def _version(self) -> str:
        """The version of the tables, empty for a new database."""
        with self.read() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return ""
            found: str = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            return found

    def check(self) -> None:
        """Prove that the database answers and can be written. Raises `DatabaseError`."""
        with self.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = version_num"))

    def close(self) -> None:
        self._engine.dispose()


def _make_engine(url: str) -> Engine:
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=POOL_SIZE, pool_timeout=BUSY_SECONDS)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """FULL: a commit that was answered survives a crash of the machine, as the objects do."""
    # pysqlite begins late and only before some statements; transactions are begun by `_begin_sqlite` instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"busy_timeout = {BUSY_SECONDS}000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that will write says so at once: an upgrade from reading can fail where waiting would not."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _mapped() -> Iterator[None]:
    """The border: what the driver says becomes a `DatabaseError`."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        kind = DatabaseFull if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL else DatabaseError
        raise kind(f"the database failed: {cause}") from error
