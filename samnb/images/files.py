"""Bytes of a regular file, or of an object at an address; what goes wrong is an `ImageError`."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, cast

from ..errors import AnyPath, ImageError, ImageNotFound, ImageUnreadable
from ..remote_files import is_address
from .addresses import open_remote, read_remote, remote_status
from .file_status import Status

MAX_FILE_BYTES = 4 * 2**30
"""Files with more bytes are refused, and parts of a picture that take more: none within `MAX_PIXELS` is larger."""

_READ_ONLY = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_MORE = 1 << 16  # bytes to ask for beyond the size that a file had

MAX_TILE_BYTES = 2**30
"""TIFF files whose tiles, or compressed strips, have more bytes each are refused: each is decoded whole."""


def most_bytes() -> int:
    """`samnb.images.MAX_FILE_BYTES`, as the user has set it there."""
    limit: int = sys.modules[__package__].MAX_FILE_BYTES
    return limit


@contextmanager
def open_file(path: AnyPath) -> Iterator[IO[bytes]]:
    """A regular file, or an object, open for reading; an `OSError` inside the block becomes an `ImageError`, too."""
    with _errors_of(path):
        if is_address(path):
            with closing(open_remote(str(path))) as remote:
                yield remote
            return
        with open(_open_regular(path)[0], "rb", buffering=0) as stream:
            yield cast(IO[bytes], stream)


@contextmanager
def _errors_of(path: AnyPath) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageNotFound(path, expected="a picture file") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageUnreadable(path, f"cannot be read ({getattr(error, 'strerror', '') or error})") from error


def _open_regular(path: AnyPath) -> tuple[int, os.stat_result]:
    """A descriptor of a file, and its status; `ImageUnreadable` for folders, pipes and devices."""
    file = os.path.expanduser(os.fspath(path))
    try:
        # Not waiting: a named pipe may have no other end.
        descriptor = os.open(file, _READ_ONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        # A folder on Windows, or a socket; or, in some way that waits, a file that a file server has to itself.
        _check_regular(path, os.stat(file).st_mode)
        descriptor = os.open(file, _READ_ONLY)
    try:
        status = os.fstat(descriptor)
        _check_regular(path, status.st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def _check_regular(path: AnyPath, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ImageUnreadable(path, "this is a folder" if stat.S_ISDIR(mode) else "not a regular file")


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
        content, status = read_remote(str(path), most_bytes())
    else:
        content, status = _read_local(path)
    if not content:
        raise ImageUnreadable(path, "the file is empty, zero bytes")
    return content, status


def _read_local(path: AnyPath) -> tuple[bytes, os.stat_result]:
    # By as few calls as there can be: with each, threads that read other pictures take turns.
    with _errors_of(path):
        descriptor, status = _open_regular(path)
        try:
            size, most = status.st_size, most_bytes()
            if size > most:
                raise ImageUnreadable(path, f"{size:,} bytes, more than the limit of {most:,}")
            content = os.read(descriptor, size + 1)  # a byte more shows the end
            while len(content) != size and (more := os.read(descriptor, max(size - len(content), 0) + _MORE)):
                content += more  # a system may give less than it was asked for; the file may grow meanwhile
                if len(content) > most:
                    raise ImageUnreadable(path, f"grows while it is read, above the limit of {most:,} bytes")
            return content, status
        finally:
            os.close(descriptor)
