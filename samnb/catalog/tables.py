"""The catalog's tables. The scripts in `migrations/` make them; a test holds the two together."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from .stored_paths import StoredPath

metadata = MetaData()

dataset_table = Table(
    "datasets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", String(32), nullable=False),
)

image_table = Table(
    "images",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("dataset_id", String(32), ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("filename", Text, nullable=False),
    Column("path", StoredPath, nullable=False),
    Column("content_hash", String(64)),
    Column("pixel_hash", String(64), nullable=False),
    Column("perceptual_hash", String(64), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("embedding_cached", Integer, server_default=text("0")),
    Column("perceptual_version", Integer, nullable=False, server_default=text("0")),
    Column("perceptual_detail", Float, nullable=False, server_default=text("0")),
    UniqueConstraint("dataset_id", "path", name="uq_images_dataset_path"),
    Index("idx_content_hash", "content_hash"),
    Index("idx_pixel_hash", "pixel_hash"),
    Index("idx_images_path", "path"),
    Index("idx_images_filename", "filename"),
    Index("idx_images_position", "dataset_id", "position"),
)

annotation_table = Table(
    "annotations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("image_id", String(32), ForeignKey("images.id", ondelete="CASCADE"), nullable=False),
    Column("category", Text, nullable=False),
    Column("rle", Text, nullable=False),
    Column("bbox", Text, nullable=False),
    Column("area", BigInteger, nullable=False),
    Column("score", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("layer", Integer, nullable=False, server_default=text("0")),
    Column("updated_at", String(32)),
    Column("review", String(16), nullable=False, server_default=text("''")),
    Column("attributes", Text, nullable=False, server_default=text("'{}'")),
    Index("idx_annotations_image", "image_id"),
    Index("idx_annotations_category", "category"),
    # Without AUTOINCREMENT, SQLite gives the id of a removed last row to the next one.
    sqlite_autoincrement=True,
)

category_table = Table(
    "categories",
    metadata,
    Column("name", Text, primary_key=True),
    Column("color", String(7), nullable=False),
    Column("position", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
)

attribute_table = Table(
    "attributes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("choices", Text, nullable=False),
    Column("position", Integer, nullable=False),
)

image_state_table = Table(
    "image_states",
    metadata,
    Column("image_id", String(32), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("state", String(16), nullable=False, server_default=text("''")),
    Column("opened_at", String(32)),
)

image_details_table = Table(
    "image_details",
    metadata,
    Column("image_id", String(32), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("stack", Text, nullable=False, server_default=text("''")),
    Column("place", Text, nullable=False, server_default=text("'{}'")),
    Column("mapping", Text, nullable=False, server_default=text("'{}'")),
    Column("x_um", Float, nullable=False, server_default=text("0")),
    Column("y_um", Float, nullable=False, server_default=text("0")),
    Column("z_um", Float, nullable=False, server_default=text("0")),
    Column("size_from", String(8), nullable=False, server_default=text("''")),
    Index("idx_image_details_stack", "stack"),
)

verdict_table = Table(
    "look_verdicts",
    metadata,
    Column("first_hash", String(64), primary_key=True),
    Column("second_hash", String(64), primary_key=True),
    Column("same", Integer, nullable=False),
    Column("distance", Integer, nullable=False),
    Column("decided_at", String(32), nullable=False),
)

template_table = Table(
    "templates",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
)

applied_table = Table(
    "applied",
    metadata,
    Column("template", Text, primary_key=True),
    Column("image_id", String(32), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("pixel_hash", String(64), nullable=False),
    Column("applied_at", String(32), nullable=False),
)

search_table = Table(
    "searches",
    metadata,
    Column("pixel_hash", String(64), primary_key=True),
    Column("model", Text, primary_key=True),
    Column("search", String(64), primary_key=True),
    Column("query", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
)

proposal_table = Table(
    "proposals",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("pixel_hash", String(64), nullable=False),
    Column("model", Text, nullable=False),
    Column("search", String(64), nullable=False),
    Column("rle", Text, nullable=False),
    Column("bbox", Text, nullable=False),
    Column("area", BigInteger, nullable=False),
    Column("score", Float, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("stability", Float, nullable=False),
    Column("review", String(16), nullable=False, server_default=text("''")),
    ForeignKeyConstraint(
        ["pixel_hash", "model", "search"],
        ["searches.pixel_hash", "searches.model", "searches.search"],
        name="fk_proposals_search",
        ondelete="CASCADE",
    ),
    Index("idx_proposals_search", "pixel_hash", "model", "search"),
    # As for annotations: ids are not used again.
    sqlite_autoincrement=True,
)

file_table = Table(
    "files",
    metadata,
    Column("host", String(64), primary_key=True),
    Column("device", BigInteger, primary_key=True, autoincrement=False),
    Column("inode", BigInteger, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("versions", String(32), nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("pixel_hash", String(64), nullable=False),
    Column("perceptual_hash", String(64), nullable=False),
    Column("perceptual_detail", Float, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
)
