"""Statements that SQLite and PostgreSQL spell alike and SQLAlchemy keeps apart; bounds on their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Insert, Table

T = TypeVar("T")
SLICE = 500
"""Values in one SQL statement: SQLite bounds the parameters of one."""


def insert_new(connection: Connection, table: Table) -> Insert:
    """INSERT ... ON CONFLICT DO NOTHING."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """`values` in parts that fit one statement."""
    for start in range(0, len(values), SLICE):
        yield values[start : start + SLICE]
