"""The version and the detail of each perceptual hash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # 0: made before versions were kept, so not compared until the file is read again.
    op.add_column("images", sa.Column("perceptual_version", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("images", sa.Column("perceptual_detail", sa.Float, nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    with op.batch_alter_table("images") as images:
        images.drop_column("perceptual_detail")
        images.drop_column("perceptual_version")
