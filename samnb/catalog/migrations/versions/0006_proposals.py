"""Proposals: masks that a search offers and nobody accepted yet, and the searches that made them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "searches",
        sa.Column("pixel_hash", sa.String(64), primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("search", sa.String(64), primary_key=True),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("pixel_hash", sa.String(64), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("search", sa.String(64), nullable=False),
        sa.Column("rle", sa.Text, nullable=False),
        sa.Column("bbox", sa.Text, nullable=False),
        sa.Column("area", sa.BigInteger, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("stability", sa.Float, nullable=False),
        sa.Column("review", sa.String(16), nullable=False, server_default=sa.text("''")),
        sa.ForeignKeyConstraint(
            ["pixel_hash", "model", "search"],
            ["searches.pixel_hash", "searches.model", "searches.search"],
            name="fk_proposals_search",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("idx_proposals_search", "proposals", ["pixel_hash", "model", "search"])


def downgrade() -> None:
    op.drop_table("proposals")
    op.drop_table("searches")
