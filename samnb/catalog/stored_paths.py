"""`StoredPath`: the column type of image paths; that of a picture that samnb stores is relative to the session folder.

The folder may be renamed, moved, copied, or seen by two computers under two paths. Outside the database, paths are
absolute. In a SQLite file, those of stored pictures in "images" beside the file are relative to its folder. All other
paths are absolute: of pictures that the user keeps in "images" too, and in a catalog that is not in a session folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Text

PREFIX = "session:"

STORED_NAME = re.compile(r"([0-9a-f]{16})(\.png|[\\/][^\\/]+)")
"""The path of a stored picture in "images", as `samnb.ingest.sources` gives it; first the digits of a hash of it."""

_folders: WeakKeyDictionary[Dialect, str] = WeakKeyDictionary()


def set_folder(dialect: Dialect, folder: Path) -> None:
    """Set the folder to which paths of one database are relative; before its first statement."""
    _folders[dialect] = os.path.join(folder, "")


class StoredPath(Text):
    """Text that is a path; see the module."""

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None] | None:
        """From an absolute path to the column's text."""
        folder = _folders.get(dialect)
        if folder is None:
            return None
        inside = f"{folder}images{os.sep}"

        def relative(path: str | None) -> str | None:
            if path is None or not path.startswith(inside) or not STORED_NAME.fullmatch(path, len(inside)):
                return path
            return PREFIX + path[len(folder) :].replace(os.sep, "/")

        return relative

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None] | None:
        """From the column's text to an absolute path."""
        folder = _folders.get(dialect)
        if folder is None:
            return None

        def absolute(text: str | None) -> str | None:
            if text is None or not text.startswith(PREFIX):
                return text
            return folder + text[len(PREFIX) :].replace("/", os.sep)

        return absolute
