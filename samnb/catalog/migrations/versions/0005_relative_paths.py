"""Paths of the pictures that samnb stores in the session folder, relative to the folder; no table changes.

Also for a samnb of before, which would take such a path for a file's: it opens the catalog read-only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PREFIX = "session:"
STORED = re.compile(r"[0-9a-f]{16}(\.png|[\\/][^\\/]+)")


def upgrade() -> None:
    def stored(folder: str, path: str) -> str:
        inside = f"{folder}images{os.sep}"
        if path.startswith(inside) and STORED.fullmatch(path, len(inside)):
            return PREFIX + path[len(folder) :].replace(os.sep, "/")
        return path

    _rewrite(stored)


def downgrade() -> None:
    _rewrite(lambda folder, path: path)


def _rewrite(stored: Callable[[str, str], str]) -> None:
    """Give each image in the folder of a SQLite file the path that `stored` makes of its absolute one."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite" or not connection.engine.url.database:
        return
    folder = os.path.join(os.path.dirname(os.path.abspath(connection.engine.url.database)), "")
    inside = os.path.join(folder, "images", "")
    here = "substr(path, 1, :n) = :inside OR substr(path, 1, :m) = :prefix"
    begins = {"inside": inside, "n": len(inside), "prefix": PREFIX, "m": len(PREFIX)}
    rows = connection.execute(sa.text(f"SELECT id, dataset_id, path FROM images WHERE {here}"), begins).all()
    ids = {(dataset, path): image_id for image_id, dataset, path in rows}
    for image_id, dataset, path in rows:
        absolute = folder + path[len(PREFIX) :].replace("/", os.sep) if path.startswith(PREFIX) else path
        wanted = stored(folder, absolute)
        if wanted == path:
            continue
        # Before this revision was counted, adding a file again could add a second image for its relative path.
        first = ids.get((dataset, wanted))
        if first is None:
            new = {"path": wanted, "id": image_id}
            connection.execute(sa.text("UPDATE images SET path = :path WHERE id = :id"), new)
            continue
        both = {"first": first, "second": image_id}
        connection.execute(sa.text("UPDATE annotations SET image_id = :first WHERE image_id = :second"), both)
        connection.execute(sa.text("DELETE FROM applied WHERE image_id = :second"), both)
        connection.execute(sa.text("DELETE FROM images WHERE id = :second"), both)
