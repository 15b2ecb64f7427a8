"""The database: migrations equal the schema, transactions are whole, foreign errors stay behind the border."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text

from hundredweight.hub.database import engine
from hundredweight.hub.database.engine import Database, DatabaseError, DatabaseFull
from hundredweight.hub.database.schema import VERSION, metadata, objects, possession
from hundredweight.hub.database.upgrade import DatabaseTooNew, newest_version
from hundredweight.hub.errors import status_of

ROW = {"oid": "1" * 64, "size": 1 << 40, "created_at": 1.5}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/hub.db")
    made.migrate()
    yield made
    made.close()


def test_the_migrations_make_the_schema(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_schema_knows_its_version() -> None:
    assert newest_version() == VERSION


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(objects).values(ROW))
    database.migrate()
    with database.read() as connection:
        assert connection.execute(select(objects.c.size)).scalar_one() == 1 << 40


def test_two_processes_that_migrate_at_once_both_succeed(tmp_path: Path) -> None:
    made = [Database(f"sqlite:///{tmp_path}/hub.db") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Database.migrate, made))
    for database in made:
        database.check()
        database.close()


def test_a_database_of_a_newer_program_is_left_alone(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    with pytest.raises(DatabaseTooNew, match="from the future"):
        database.migrate()


def test_sqlite_is_set_up_to_lose_nothing(database: Database) -> None:
    with database.read() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_an_error_rolls_all_of_it_back(database: Database) -> None:
    def twice() -> None:
        with database.write() as connection:
            for _ in range(2):
                connection.execute(insert(objects).values(ROW))

    with pytest.raises(DatabaseError):
        twice()
    with database.read() as connection:
        assert connection.execute(select(objects)).all() == []


def test_what_the_driver_says_is_mapped(database: Database) -> None:
    dangling = {"repository_id": 99, "oid": "2" * 64, "created_at": 0.0, "created_by": "ada"}
    with pytest.raises(DatabaseError, match="FOREIGN KEY"), database.write() as connection:
        connection.execute(insert(possession).values(dangling))


def test_a_full_database_is_told_apart(database: Database) -> None:
    def grow() -> None:
        with database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            for number in range(1000):
                connection.execute(insert(objects).values(ROW | {"oid": f"{number:064}"}))

    with pytest.raises(DatabaseFull) as caught:
        grow()
    assert status_of(caught.value) == 507
    with database.read() as connection:
        assert connection.execute(select(objects)).all() == []


def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "hub.db").write_bytes(b"not a database at all, but long enough to be read" * 100)
    database = Database(f"sqlite:///{tmp_path}/hub.db")
    with pytest.raises(DatabaseError, match="not a database"):
        database.migrate()
    database.close()


def test_writers_of_one_process_take_turns(database: Database) -> None:
    def bring(number: int) -> None:
        with database.write() as connection:
            count = len(connection.execute(select(objects)).all())
            connection.execute(insert(objects).values(ROW | {"oid": f"{count:064}"}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(bring, range(40)))
    with database.read() as connection:
        assert len(connection.execute(select(objects)).all()) == 40


def test_another_process_that_writes_is_waited_for(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "hub.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    timer.start()
    with database.write() as connection:
        connection.execute(insert(objects).values(ROW))
    timer.join()
    other.close()


def test_one_that_never_ends_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{tmp_path}/hub.db")
    database.migrate()
    database.close()
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0)
    hasty = Database(f"sqlite:///{tmp_path}/hub.db")
    other = sqlite3.connect(tmp_path / "hub.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError, match="locked"):
        hasty.check()
    with hasty.read() as connection:
        assert connection.execute(select(objects)).all() == []
    other.close()
    hasty.close()
