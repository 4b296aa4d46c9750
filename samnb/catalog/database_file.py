"""The file of a SQLite catalog: its folder, its permissions, and making it."""

from __future__ import annotations

import os
from pathlib import Path

from ..atomic_files import another_users, cannot_write, file_in_the_way
from ..errors import SessionReadOnly, StoreError
from ..settings import setting


def beside(path: Path, end: str) -> Path:
    """A file that SQLite has beside an open database: beside the file that a link leads to."""
    return Path(f"{os.path.realpath(path)}{end}")


def check_folder(path: Path, shown: str) -> None:
    """Make the folder of a database's file; `SessionReadOnly` or `StoreError` where the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = file_in_the_way(path.parent, error) or error.strerror or error
        raise SessionReadOnly(shown, reason) from error
    if os.path.isdir(path):
        raise StoreError(f"{path}: a folder, where the catalog's file should be. Choose another session folder.")
    for other in (Path(f"{path}.lock"), *(beside(path, end) for end in ("-wal", "-shm", "-journal"))):
        if os.path.isdir(other):
            raise StoreError(f"{other}: a folder, where a file of the catalog should be. Move it away.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SessionReadOnly(shown, another_users(path.parent).removeprefix(", "))
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise SessionReadOnly(shown, f"{path.name} is read-only{another_users(path)}")


def make_file(path: Path, shown: str) -> None:
    """Make the file with the permissions of the user's umask: SQLite itself would let only its owner write it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        pass  # the rule, and another process may just have made it
    except OSError as error:
        raise cannot_write(Path(shown), path, error) from error


def catalog_url(folder: Path, url: str | None) -> str | Path:
    """Path or URL of the catalog: the argument, DATABASE_URL, or a file in the session folder."""
    return url or setting("DATABASE_URL") or folder / "catalog.db"


class FileInPlace:
    """Notices that an open file was deleted, moved or replaced: SQLite goes on writing where nobody will look for it.

    Parameters
    ----------
    path : Path
        Of a file that is there.
    """

    def __init__(self, path: Path):
        self._path = path
        self._file = self._now()

    def check(self) -> None:
        """Raise `StoreError` if another file, or none, is at the path now."""
        if self._now() != self._file:
            raise StoreError(
                f"{self._path}: was deleted, moved or replaced while it was open. Nothing of this call was saved: "
                "close this session, put the file back if it is gone, and open the session where it is now."
            )

    def _now(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino
