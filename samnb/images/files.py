"""Bytes of a regular file; what goes wrong is an `ImageError`."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import AnyPath, ImageError, ImageNotFound, ImageUnreadable

MAX_FILE_BYTES = 4 * 2**30
"""Files with more bytes are refused: no picture within `samnb.images.MAX_PIXELS` is larger."""

MAX_TILE_BYTES = 2**30
"""TIFF files whose tiles, or compressed strips, have more bytes each are refused: each is decoded whole."""


@contextmanager
def open_file(path: AnyPath) -> Iterator[io.FileIO]:
    """A regular file, open for reading; an `OSError` inside the block becomes an `ImageError`, too."""
    try:
        file = os.path.expanduser(os.fspath(path))
        # Before opening: opening a named pipe would wait for its other end.
        mode = os.stat(file).st_mode
        if not stat.S_ISREG(mode):
            raise ImageUnreadable(path, "this is a folder" if stat.S_ISDIR(mode) else "not a regular file")
        with open(file, "rb", buffering=0) as stream:
            yield stream
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageNotFound(path, expected="a picture file") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageUnreadable(path, f"cannot be read ({getattr(error, 'strerror', '') or error})") from error


def read_file(path: AnyPath) -> tuple[bytes, os.stat_result]:
    """The bytes and the status of a file; raises for an empty one and for one above `MAX_FILE_BYTES`."""
    with open_file(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size > MAX_FILE_BYTES:
            raise ImageUnreadable(path, f"{status.st_size:,} bytes, more than the limit of {MAX_FILE_BYTES:,}")
        content = file.read()
    if not content:
        raise ImageUnreadable(path, "the file is empty, zero bytes")
    return content, status
