"""`Catalog`: images, annotations, categories, templates, proposals and verdicts in one database.

It returns frozen records, never live rows. Every call is one short transaction (`add_images`: one for each 500
images), so threads, notebooks and processes can use one catalog at the same time.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from ..errors import AnyPath
from .annotations import AnnotationCatalog
from .attributes import AttributeCatalog
from .categories import CategoryCatalog
from .database import Database
from .file_index import FileIndex
from .image_details import ImageDetailsCatalog
from .image_states import ImageStateCatalog
from .images import ImageCatalog
from .proposals import ProposalCatalog
from .templates import TemplateCatalog
from .verdicts import VerdictCatalog


class Catalog(
    ImageCatalog,
    ImageDetailsCatalog,
    ImageStateCatalog,
    AnnotationCatalog,
    CategoryCatalog,
    AttributeCatalog,
    TemplateCatalog,
    ProposalCatalog,
    VerdictCatalog,
):
    """Images by their content, annotations, templates and what was applied, in one database.

    Parameters
    ----------
    url_or_path : path or SQLAlchemy URL
        A path is a SQLite file; it and its folder are made when missing. An older one, or one made by the earlier
        server, is upgraded; a copy of the old file is kept beside it, see `backup`.
    folder_for_messages : path, optional
        The name in error messages; default the file's folder.

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
    >>> from samnb.catalog import NewImage
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
    def files(self) -> FileIndex:
        """The index of files that were read before."""
        return FileIndex(self._database)

    @property
    def backup(self) -> Path | None:
        """The copy of a SQLite file as it was, where opening it changed its tables; else None."""
        return self._database.backup

    @property
    def read_only(self) -> bool:
        """True if a newer samnb wrote the database: reading works, every change raises `SessionTooNew`.

        `refresh_cached` and the like then write nothing.
        """
        return bool(self._database.newer)

    @property
    def in_session_folder(self) -> bool:
        """True for the SQLite file of one session, in its folder; other catalogs may be shared by several."""
        return self._database.in_session_folder

    def check_writable(self) -> None:
        """Raise `SessionTooNew` where the database is only read: before long work that would be saved there."""
        self._database.check_writable()

    def sync(self) -> None:
        """Have the disk keep what was written and is not durable yet. Raises `StoreError` where it refuses."""
        self._database.sync()

    def close(self) -> None:
        """Close the database. Safe to call twice."""
        self._database.close()
