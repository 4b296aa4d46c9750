"""States of images, and attributes of annotations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image_states",
        sa.Column("image_id", sa.String(32), sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False, server_default=sa.text("''")),
        sa.Column("opened_at", sa.String(32)),
    )
    op.create_table(
        "attributes",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("choices", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.add_column("annotations", sa.Column("attributes", sa.Text, nullable=False, server_default=sa.text("'{}'")))


def downgrade() -> None:
    with op.batch_alter_table("annotations") as table:
        table.drop_column("attributes")
    op.drop_table("attributes")
    op.drop_table("image_states")
