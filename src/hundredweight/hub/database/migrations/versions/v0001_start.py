"""The first tables: repositories, tokens, objects, possession, locks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "repositories",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(250), nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.UniqueConstraint("key", name="uq_repositories_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("scope", sa.String(10), nullable=False),
        sa.Column("bound", sa.String(250), nullable=False),
        sa.Column("lookup", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("last_used_at", sa.Float()),
        sa.Column("revoked_at", sa.Float()),
        sa.Column("expires_at", sa.Float()),
        sa.UniqueConstraint("lookup", name="uq_tokens_lookup"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "objects",
        sa.Column("oid", sa.String(64), primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "possession",
        sa.Column("repository_id", sa.Integer(), nullable=False),
        sa.Column("oid", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "oid", name="pk_possession"),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name="fk_possession_repository_id_repositories",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["oid"], ["objects.oid"], name="fk_possession_oid_objects", ondelete="CASCADE"),
    )
    op.create_index("ix_possession_oid", "possession", ["oid"])
    op.create_table(
        "locks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("repository_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("locked_at", sa.Float(), nullable=False),
        sa.UniqueConstraint("repository_id", "path", name="uq_locks_repository_id_path"),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name="fk_locks_repository_id_repositories", ondelete="CASCADE"
        ),
    )
