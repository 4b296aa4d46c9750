"""Verdicts on look-alikes; categories with colours; annotations with changes, layers and reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "look_verdicts",
        sa.Column("first_hash", sa.String(64), primary_key=True),
        sa.Column("second_hash", sa.String(64), primary_key=True),
        sa.Column("same", sa.Integer, nullable=False),
        sa.Column("distance", sa.Integer, nullable=False),
        sa.Column("decided_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "categories",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("color", sa.String(7), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.add_column("annotations", sa.Column("layer", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("annotations", sa.Column("updated_at", sa.String(32)))
    op.add_column("annotations", sa.Column("review", sa.String(16), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    for column in ("review", "updated_at", "layer"):
        op.drop_column("annotations", column)
    op.drop_table("categories")
    op.drop_table("look_verdicts")
