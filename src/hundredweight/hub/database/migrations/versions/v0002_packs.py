"""Packs: where segments and recipes stand, and which objects gain nothing by packing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "packs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.UniqueConstraint("name", name="uq_packs_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.LargeBinary(32), primary_key=True),
        sa.Column("pack_id", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("base", sa.LargeBinary(32)),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["pack_id"], ["packs.id"], name="fk_segments_pack_id_packs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_segments_pack_id", "segments", ["pack_id"])
    op.create_index("ix_segments_base", "segments", ["base"])
    op.create_table(
        "recipes",
        sa.Column("oid", sa.String(64), primary_key=True),
        sa.Column("pack_id", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["oid"], ["objects.oid"], name="fk_recipes_oid_objects", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["pack_id"], ["packs.id"], name="fk_recipes_pack_id_packs"),
    )
    op.create_index("ix_recipes_pack_id", "recipes", ["pack_id"])
    op.create_table(
        "unpackable",
        sa.Column("oid", sa.String(64), primary_key=True),
        sa.Column("rules", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["oid"], ["objects.oid"], name="fk_unpackable_oid_objects", ondelete="CASCADE"),
    )
