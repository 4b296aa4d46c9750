"""Bytes of a regular file, or of an object at an address; what goes wrong is an `ImageError`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, NamedTuple, cast

from ..errors import AnyPath, ImageError, ImageNotFound, ImageUnreadable
from ..remote_files import is_address
from .addresses import RemoteStatus, open_remote, read_remote, remote_status


class FolderStatus(NamedTuple):
    """What `os.stat` tells of a file, of the files in a folder: its own status stays when one is overwritten."""

    st_size: int
    st_mtime_ns: int
    st_ino: int
    st_dev: int
    st_ctime_ns: int = 0

    @classmethod
    def of(cls, folder: AnyPath) -> FolderStatus:
        """Sums over the files, not below them: one that is put back from a copy may have an older time."""
        own = os.stat(folder)
        found = [status for one in os.scandir(folder) if stat.S_ISREG((status := one.stat()).st_mode)]
        times = sum(status.st_mtime_ns for status in found) % 2**63
        return cls(sum(status.st_size for status in found), times, own.st_ino, own.st_dev)


Status = os.stat_result | RemoteStatus | FolderStatus

MAX_FILE_BYTES = 4 * 2**30
"""Files with more bytes are refused: no picture within `samnb.images.MAX_PIXELS` is larger."""

MAX_TILE_BYTES = 2**30
"""TIFF files whose tiles, or compressed strips, have more bytes each are refused: each is decoded whole."""


@contextmanager
def open_file(path: AnyPath) -> Iterator[IO[bytes]]:
    """A regular file, or an object, open for reading; an `OSError` inside the block becomes an `ImageError`, too."""
    try:
        if is_address(path):
            with closing(open_remote(str(path))) as remote:
                yield remote
            return
        file = os.path.expanduser(os.fspath(path))
        # Before opening: opening a named pipe would wait for its other end.
        mode = os.stat(file).st_mode
        if not stat.S_ISREG(mode):
            raise ImageUnreadable(path, "this is a folder" if stat.S_ISDIR(mode) else "not a regular file")
        with open(file, "rb", buffering=0) as stream:
            yield cast(IO[bytes], stream)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageNotFound(path, expected="a picture file") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageUnreadable(path, f"cannot be read ({getattr(error, 'strerror', '') or error})") from error


def status_of(path: AnyPath, *, patience: float | None = None) -> Status:
    """The status of a file, or of an object at an address.

    Parameters
    ----------
    patience : float, optional
        Seconds in which a store that does not answer may come back.

    Raises
    ------
    OSError, ImageError
        There is none, or it cannot be asked.
    """
    if not is_address(path):
        return os.stat(path)
    return remote_status(str(path)) if patience is None else remote_status(str(path), patience=patience)


def read_file(path: AnyPath) -> tuple[bytes, Status]:
    """The bytes and the status of a file; raises for an empty one and for one above `MAX_FILE_BYTES`."""
    status: Status
    if is_address(path):
        content, status = read_remote(str(path), MAX_FILE_BYTES)
    else:
        content, status = _read_local(path)
    if not content:
        raise ImageUnreadable(path, "the file is empty, zero bytes")
    return content, status


def _read_local(path: AnyPath) -> tuple[bytes, Status]:
    with open_file(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size > MAX_FILE_BYTES:
            raise ImageUnreadable(path, f"{status.st_size:,} bytes, more than the limit of {MAX_FILE_BYTES:,}")
        return file.read(), status
