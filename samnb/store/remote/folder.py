"""`FolderTier`: a folder that several machines see, as a remote tier.

The layout is that of a session's own ``embeddings`` folder, so a colleague's folder can be a tier as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ...atomic_files import discard
from ...errors import StoreError, TierUnavailable
from ..entry_files import keys_in, read_bounded, shard_of, temporary_beside
from ..usage import Usage, UsageFile
from .time_limit import call_within

T = TypeVar("T")


class FolderTier:
    """A folder that several machines see, as a `Tier`.

    It must exist: a missing folder may be an unmounted share, and creating it would fill the disk below.

    Parameters
    ----------
    folder : path
    timeout : float
        Seconds to wait for an answer when reading; a share whose server has gone can hang for ever.

    Raises
    ------
    StoreError
        Not an absolute path.
    """

    def __init__(self, folder: Path | str, *, timeout: float = 2.0):
        self.folder = Path(folder).expanduser()
        if not self.folder.is_absolute():
            raise StoreError(f"{folder}: expected an absolute path, such as file:///mnt/lab/embeddings.")
        self.name = f"file://{self.folder}"
        self._timeout = timeout
        # The folder may be another user's own embeddings: its budget has to count changes made here.
        self._usage = UsageFile(self.folder / "usage", lambda shard: Usage(0, 0))

    def __repr__(self) -> str:
        return f"<FolderTier {self.name}>"

    def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        return self._call(lambda: read_bounded(self._path(key)), None)

    def put(self, key: str, raw: bytes) -> bool:
        """Publish the file whole; False when one is there already."""
        path = self._path(key)
        temporary = temporary_beside(path, len(raw))
        try:
            if path.exists():
                return False
            self._must_be_there()
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(exist_ok=True)
            self._check_inside(path)
            try:
                with open(temporary, "xb") as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                published = _publish(temporary, path)
            finally:
                discard(temporary)
        except OSError as error:
            if isinstance(error, TierUnavailable):
                raise
            raise TierUnavailable(self.name, error.strerror or error, can_read=True) from error
        if published:
            self._usage.change(shard_of(key), 1, len(raw))
        return published

    def discard(self, key: str) -> bool:
        """Delete; True if it was there."""
        path = self._path(key)

        def unlink() -> bool:
            size = path.stat().st_size
            self._check_inside(path)
            try:
                path.unlink()
            except FileNotFoundError:
                raise
            except OSError as error:
                raise TierUnavailable(self.name, error.strerror or error, can_read=True) from error
            self._usage.change(shard_of(key), -1, -size)
            return True

        return self._call(unlink, False)

    def contains(self, key: str) -> bool:
        """Whether it is there."""
        return self._call(lambda: bool(self._path(key).stat()), False)

    def keys(self) -> Iterator[str]:
        """The keys of all entries, in any order; without a time limit, since a large folder takes long."""
        self._must_be_there()
        return keys_in(path.name for path in self.folder.glob("??/??/*"))

    def close(self) -> None:
        """Nothing to close."""

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:4] / f"{key}.safetensors"

    def _check_inside(self, path: Path) -> None:
        """Refuse to change a file behind a link: others write here too, and could have it deleted anywhere."""
        for folder in (path.parent, path.parent.parent):
            if folder.is_symlink():
                raise TierUnavailable(self.name, f"{folder} is a link out of it", can_read=True)

    def _must_be_there(self) -> None:
        if not self.folder.is_dir():
            raise TierUnavailable(self.name, "there is no such folder: make it, or mount it")

    def _call(self, command: Callable[[], T], absent: T) -> T:
        def run() -> T:
            try:
                return command()
            except (FileNotFoundError, NotADirectoryError):
                self._must_be_there()
                return absent

        try:
            return call_within(self._timeout, run, self.name)
        except OSError as error:
            if isinstance(error, TierUnavailable):
                raise
            raise TierUnavailable(self.name, error.strerror or error) from error


def _publish(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)  # unlike a rename, fails when another machine was first
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        os.replace(temporary, path)
    return True
