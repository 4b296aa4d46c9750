"""Upgrade of a database made by the earlier server: its datasets and images move into today's tables.

That server's ``images`` had ``id, dataset_id, filename, path, width, height``, and later ``content_hash`` and
``embedding_cached``; ``datasets`` had ``id`` and mostly ``name`` and ``created_at``. Its own tables are set aside as
``server_images``, ``server_datasets`` … and stay in the database, whatever else they hold.

What it never knew is left open until the file is read: `samnb.records.UNREAD` and the id stand for the pixel hash, ""
for the perceptual hash. Nothing is carried as cached: that server's embeddings were in its memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ...records import UNREAD
from ..tables import dataset_table, image_table, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


NEEDED = frozenset({"id", "dataset_id", "filename", "path"})
_HASH = re.compile(r"[0-9a-f]{64}")
_BATCH = 500

Row = Mapping[str, Any]


@dataclass(frozen=True)
class CarriedOver:
    """The counts of an upgrade: copied rows, and skipped ones (a second row for one file of a dataset)."""

    datasets: int
    images: int
    left_out: int


def is_from_server(connection: Connection) -> bool:
    """True when the tables are that server's: an ``images`` with its columns, and no Alembic."""
    from sqlalchemy import inspect

    inspector = inspect(connection)
    tables = inspector.get_table_names()
    if "images" not in tables or "alembic_version" in tables:
        return False
    return {column["name"] for column in inspector.get_columns("images")} >= NEEDED


def set_aside(connection: Connection) -> dict[str, str]:
    """Rename every table whose name is needed; returns the new names by the old ones."""
    from sqlalchemy import inspect

    inspector = inspect(connection)
    taken = set(inspector.get_table_names())
    renamed = {}
    quoted = connection.dialect.identifier_preparer.quote
    for name in sorted(taken & set(metadata.tables)):
        for index in inspector.get_indexes(name):
            # SQLite knows an index by its name alone: it would be in the way of the one made next.
            if index["name"] and not index.get("duplicates_constraint"):
                connection.exec_driver_sql(f"DROP INDEX {quoted(index['name'])}")
        aside = next(free for free in _names_for(name) if free not in taken)
        connection.exec_driver_sql(f"ALTER TABLE {quoted(name)} RENAME TO {quoted(aside)}")
        taken.add(aside)
        renamed[name] = aside
    return renamed


def _names_for(name: str) -> Iterator[str]:
    yield f"server_{name}"
    yield from (f"server_{name}_{number}" for number in range(2, 100))


def carry_over(connection: Connection, renamed: Mapping[str, str]) -> CarriedOver:
    """Fill today's tables from those that were set aside."""
    images = _rows(connection, renamed["images"])
    datasets = _rows(connection, renamed["datasets"]) if "datasets" in renamed else []
    ids, dataset_rows = _datasets(datasets, images)
    image_rows = list(_images(images, ids))
    for table, rows in ((dataset_table, dataset_rows), (image_table, image_rows)):
        for start in range(0, len(rows), _BATCH):
            connection.execute(table.insert(), rows[start : start + _BATCH])
    return CarriedOver(len(dataset_rows), len(image_rows), len(images) - len(image_rows))


def _rows(connection: Connection, name: str) -> list[Row]:
    # As text, not reflected: the server's column types vary, and the values are read as they are stored.
    quoted = connection.dialect.identifier_preparer.quote(name)
    return [dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM {quoted}").mappings()]


def _datasets(rows: list[Row], images: list[Row]) -> tuple[dict[Any, str], list[dict[str, Any]]]:
    """Today's ids by the old ones, and the new rows; a dataset that only its images know of gets one too."""
    known: dict[Any, Row] = {row["id"]: row for row in rows}
    for image in images:
        known.setdefault(image["dataset_id"], {"id": image["dataset_id"]})
    names: set[str] = set()
    taken: set[str] = set()
    new = []
    for old, row in known.items():
        name = str(row.get("name") or old)
        while name in names:
            name = f"{name} ({old})"
        names.add(name)
        dataset_id = _fitting(old)
        dataset_id = dataset_id if dataset_id not in taken else uuid4().hex  # 1, and "1", in a column without a type
        taken.add(dataset_id)
        new.append({"id": dataset_id, "name": name, "created_at": _time(row.get("created_at"))})
    return {old: row["id"] for old, row in zip(known, new, strict=True)}, new


def _images(rows: list[Row], dataset_ids: Mapping[Any, str]) -> Iterator[dict[str, Any]]:
    taken: set[str] = set()
    files: set[tuple[str, str]] = set()
    positions: dict[str, int] = {}
    for row in rows:
        dataset_id, path = dataset_ids[row["dataset_id"]], str(row["path"] or row["filename"] or "")
        if (dataset_id, path) in files:
            continue
        files.add((dataset_id, path))
        image_id = _fitting(row["id"])
        image_id = image_id if image_id not in taken else uuid4().hex  # there, an id was one of its dataset
        taken.add(image_id)
        position = positions[dataset_id] = positions.get(dataset_id, -1) + 1
        content_hash = str(row.get("content_hash") or "").lower()
        yield {
            "id": image_id,
            "dataset_id": dataset_id,
            "position": position,
            "filename": str(row["filename"] or path),
            "path": path,
            "content_hash": content_hash if _HASH.fullmatch(content_hash) else None,
            "pixel_hash": UNREAD + image_id,
            "perceptual_hash": "",
            "width": _pixels(row.get("width")),
            "height": _pixels(row.get("height")),
            "size_bytes": 0,
            "mtime_ns": 0,
            "inode": 0,
            "embedding_cached": 0,
            "perceptual_version": 0,
            "perceptual_detail": 0.0,
        }


def _pixels(value: Any) -> int:
    """A side of an image; 0, until its file is read, for what is none."""
    try:
        side = int(float(value or 0))
    except (OverflowError, TypeError, ValueError):
        return 0
    return side if 0 <= side < 2**31 else 0


def _fitting(identifier: object) -> str:
    """An id of at most 32 characters, unchanged if it fits."""
    text = str(identifier)
    short = text if len(text) <= 32 else text.replace("-", "")
    return short if len(short) <= 32 else hashlib.sha256(text.encode()).hexdigest()[:32]


def _time(value: object) -> str:
    if isinstance(value, datetime):
        value = value.isoformat(timespec="microseconds")
    return str(value)[:32] if value else datetime.now(UTC).isoformat(timespec="microseconds")
