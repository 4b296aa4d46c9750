"""Details of images: place in a stack, mapping of values to pixels, size of a pixel."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image_details",
        sa.Column("image_id", sa.String(32), sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("stack", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("place", sa.Text, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("mapping", sa.Text, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("x_um", sa.Float, nullable=False, server_default=sa.text("0")),
        sa.Column("y_um", sa.Float, nullable=False, server_default=sa.text("0")),
        sa.Column("z_um", sa.Float, nullable=False, server_default=sa.text("0")),
        sa.Column("size_from", sa.String(8), nullable=False, server_default=sa.text("''")),
    )
    op.create_index("idx_image_details_stack", "image_details", ["stack"])


def downgrade() -> None:
    op.drop_table("image_details")
