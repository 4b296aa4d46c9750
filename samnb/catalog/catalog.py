"""`Catalog`: the images, annotations and templates of a session, and what was applied, in one database.

Records come out, never live rows. Every call is one short transaction of its own (`add_images`: one for each
500 images), so threads, notebooks and processes can use one catalog at the same time.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from sqlalchemy import delete, select

from ..errors import AnyPath, SamePixels
from ..records import (
    AnnotationRecord,
    CategoryRecord,
    DatasetRecord,
    ImageRecord,
    NewAnnotation,
    NewImage,
    Removed,
    Verdict,
)
from .annotations import AnnotationCatalog
from .categories import CategoryCatalog
from .database import Database
from .file_index import FileMemo
from .image_queries import now
from .images import ImageCatalog
from .tables import verdict_table
from .templates import TemplateCatalog

__all__ = [
    "AnnotationRecord",
    "Catalog",
    "CategoryRecord",
    "DatasetRecord",
    "ImageRecord",
    "NewAnnotation",
    "NewImage",
    "Removed",
    "Verdict",
]


class Catalog(ImageCatalog, AnnotationCatalog, CategoryCatalog, TemplateCatalog):
    """Images by their content, annotations, templates and what was applied, in one database.

    Parameters
    ----------
    url_or_path : path or SQLAlchemy URL
        A path is a SQLite file; it and its folder are made when missing. An older one, or one made by the earlier
        server, is upgraded: what it was is kept beside it, see `backup`.
    folder_for_messages : path, optional
        What error messages call it; default the file's folder.

    Raises
    ------
    SessionReadOnly
        The folder or the file cannot be written.
    SessionTooNew
        Written by a newer samnb, and not even to be read; nothing was changed.
    StoreError
        Not a catalog, damaged, or out of reach.

    Examples
    --------
    >>> import tempfile
    >>> catalog = Catalog(tempfile.mkdtemp() + "/catalog.db")
    >>> coin = NewImage("/data/coin.png", "coin.png", "c" * 64, "a" * 64, "f" * 64, 640, 480, 1234, 0, 7)
    >>> [record] = catalog.add_images("monday", [coin])
    >>> record.dataset, record.filename, record.size_hw, record.embedding_cached
    ('monday', 'coin.png', (480, 640), False)
    >>> catalog.image("monday/coin.png") == catalog.image("aaaaaaaa") == record
    True
    >>> catalog.close()
    """

    def __init__(self, url_or_path: AnyPath, *, folder_for_messages: AnyPath | None = None):
        self._database = Database(url_or_path, shown=folder_for_messages)

    def __repr__(self) -> str:
        return f"<Catalog {self._database.path or self._database.shown}>"

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def files(self) -> FileMemo:
        """What was read of every file before."""
        return FileMemo(self._database)

    @property
    def backup(self) -> Path | None:
        """The copy of a SQLite file as it was, where opening it changed its tables; else None."""
        return self._database.backup

    @property
    def read_only(self) -> bool:
        """True where a newer samnb wrote the database: reading works, every change raises `SessionTooNew`.

        What is cached is then not written down either: `refresh_cached` and the like do nothing.
        """
        return bool(self._database.newer)

    def close(self) -> None:
        """Let go of the database. Safe to call twice."""
        self._database.close()

    # -- verdicts on look-alikes

    def save_verdict(self, first: str, second: str, *, same: bool, distance: int) -> None:
        """Save that two pictures, by pixel hash in any order, are the same or not; replaces an earlier verdict.

        Raises
        ------
        SamePixels
            It is one picture.
        """
        if first == second:
            raise SamePixels(first, second)
        kept = {"same": int(same), "distance": int(distance), "decided_at": now()}
        pair = {"first_hash": min(first, second), "second_hash": max(first, second)}
        with self._database.write() as connection:
            insert = self._database.insert(verdict_table).values(**pair, **kept)
            connection.execute(insert.on_conflict_do_update(index_elements=[*pair], set_=kept))

    def verdicts(self) -> list[Verdict]:
        """All verdicts, the oldest first."""
        columns = verdict_table.c
        query = select(verdict_table).order_by(columns.decided_at, columns.first_hash, columns.second_hash)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings()
            return [Verdict(**{**row, "same": bool(row["same"])}) for row in rows]

    def forget_verdict(self, first: str, second: str) -> bool:
        """Remove the verdict on two pictures; False if there was none."""
        columns = verdict_table.c
        pair = columns.first_hash == min(first, second), columns.second_hash == max(first, second)
        with self._database.write() as connection:
            return bool(connection.execute(delete(verdict_table).where(*pair)).rowcount)
