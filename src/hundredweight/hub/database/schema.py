"""Tables, in SQLAlchemy Core. The migrations make them; a test holds both to be equal.

Times are seconds since 1970 (UTC) as floating point numbers. Names that differ only in case would be one folder on
some file systems, hence `key`, the case-folded name, is what is unique.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION = "0002"
"""The newest migration's revision: a database of this version needs none."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(250), nullable=False),
    Column("key", String(250), nullable=False, unique=True),
    Column("public", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(200), nullable=False),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user", String(200), nullable=False),
    Column("name", String(200), nullable=False),
    Column("scope", String(10), nullable=False),
    Column("bound", String(250), nullable=False),
    # The first 16 hex digits of the token's SHA-256 find the row; `digest`, the whole of it, is compared in constant time.
    Column("lookup", String(16), nullable=False, unique=True),
    Column("digest", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float),
    Column("revoked_at", Float),
    Column("expires_at", Float),
    sqlite_autoincrement=True,
)

objects = Table(
    "objects",
    metadata,
    Column("oid", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
)

possession = Table(
    "possession",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("oid", ForeignKey("objects.oid", ondelete="CASCADE"), primary_key=True),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(200), nullable=False),
    Index(None, "oid"),
)

locks = Table(
    "locks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("path", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("owner", String(200), nullable=False),
    Column("locked_at", Float, nullable=False),
    UniqueConstraint("repository_id", "path"),
)

packs = Table(
    "packs",
    metadata,
    Column("id", Integer, primary_key=True),
    # BLAKE3 of the pack, in hexadecimal digits; its key in the backend.
    Column("name", String(64), nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

segments = Table(
    "segments",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("pack_id", ForeignKey("packs.id"), nullable=False),
    # Where the codec block stands in the pack, and its bytes; `size` is that of the raw segment.
    Column("offset", BigInteger, nullable=False),
    Column("stored", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("base", LargeBinary(32)),
    Column("depth", Integer, nullable=False),
    Index(None, "pack_id"),
    Index(None, "base"),
    sqlite_with_rowid=False,
)

recipes = Table(
    "recipes",
    metadata,
    Column("oid", ForeignKey("objects.oid", ondelete="CASCADE"), primary_key=True),
    Column("pack_id", ForeignKey("packs.id"), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("stored", Integer, nullable=False),
    Index(None, "pack_id"),
)

unpackable = Table(
    "unpackable",
    metadata,
    Column("oid", ForeignKey("objects.oid", ondelete="CASCADE"), primary_key=True),
    # The rules under which a pack of this object gained nothing: newer rules try again.
    Column("rules", Integer, nullable=False),
)
