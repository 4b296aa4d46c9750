"""The first tables: datasets, images, annotations, templates, and what was applied."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _datasets_and_images()
    _annotations()
    _templates_and_applied()


def downgrade() -> None:
    for table in ("applied", "templates", "annotations", "images", "datasets"):
        op.drop_table(table)


def _datasets_and_images() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "images",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("dataset_id", sa.String(32), sa.ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("content_hash", sa.String(64)),
        sa.Column("pixel_hash", sa.String(64), nullable=False),
        sa.Column("perceptual_hash", sa.String(64), nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("inode", sa.BigInteger, nullable=False),
        sa.Column("embedding_cached", sa.Integer, server_default=sa.text("0")),
        sa.UniqueConstraint("dataset_id", "path", name="uq_images_dataset_path"),
    )
    op.create_index("idx_content_hash", "images", ["content_hash"])
    op.create_index("idx_pixel_hash", "images", ["pixel_hash"])
    op.create_index("idx_images_path", "images", ["path"])
    op.create_index("idx_images_filename", "images", ["filename"])
    op.create_index("idx_images_position", "images", ["dataset_id", "position"])


def _annotations() -> None:
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("image_id", sa.String(32), sa.ForeignKey("images.id", ondelete="CASCADE"), nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("rle", sa.Text, nullable=False),
        sa.Column("bbox", sa.Text, nullable=False),
        sa.Column("area", sa.BigInteger, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("idx_annotations_image", "annotations", ["image_id"])
    op.create_index("idx_annotations_category", "annotations", ["category"])


def _templates_and_applied() -> None:
    op.create_table(
        "templates",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "applied",
        sa.Column("template", sa.Text, primary_key=True),
        sa.Column("image_id", sa.String(32), sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("pixel_hash", sa.String(64), nullable=False),
        sa.Column("applied_at", sa.String(32), nullable=False),
    )
