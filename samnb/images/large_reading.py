"""Adding a large picture: hashes and an overview, in one pass over its rows; the whole is never in memory.

Its pixel hash is that of any other picture, SHA-256 of a header and the RGB pixels row by row, or the values of a view;
they are taken band by band. So a file that is stored with other tiles, or compressed otherwise without loss, is the
same picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import AnyPath, ImageError, ImageTooLarge
from ..remote_files import is_address
from .files import status_of
from .hashing import content_hash
from .large import LargePicture, Pixels, averaged, open_large
from .lazy import is_lazy
from .lazy.view_files import is_view_name, source_stamp
from .opening import open_header
from .perceptual import compute_perceptual_hash

_BAND_BYTES = 48_000_000
Band = tuple[Pixels, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class LargeFile:
    """A large picture's file, read once.

    Parameters
    ----------
    size_hw : (H, W)
    content_hash, pixel_hash, perceptual_hash : str
        64 hexadecimal digits each; the perceptual one is of the overview.
    perceptual_detail : float
    size_bytes, mtime_ns, inode : int
        Of the file; of the source of a view file.
    shown_as : str
        How values of more than 8 bits became pixels, in words; "" for others, and for view files.
    overview : (h, w, 3) uint8
        The whole at `samnb.images.large.overview_level`.
    """

    path: Path | str
    size_hw: tuple[int, int]
    content_hash: str
    pixel_hash: str
    perceptual_hash: str
    perceptual_detail: float
    size_bytes: int
    mtime_ns: int
    inode: int
    shown_as: str
    overview: Pixels = field(repr=False)


def is_large_file(path: AnyPath) -> bool:
    """True for a file that `open_large` reads and that has more pixels than can be read whole; by its header."""
    try:
        if not is_address(path) and os.path.isdir(path):
            return False
        if not is_lazy(path):
            return False
        with open_header(path):
            return False
    except ImageTooLarge:
        return True
    except ImageError:
        return False  # the read says what is wrong


def read_large(path: AnyPath) -> LargeFile:
    """Hash a large picture and make its overview. Raises `ImageError`."""
    status = source_stamp(path) or status_of(path)
    picture = open_large(path)
    try:
        pixel_hash, overview = scan(picture)
    finally:
        picture.close()
    perceptual = compute_perceptual_hash(Image.fromarray(overview))
    return LargeFile(
        path=str(path) if is_address(path) else Path(path),
        size_hw=picture.size_hw,
        content_hash=content_hash(path),
        pixel_hash=pixel_hash,
        perceptual_hash=perceptual.hex,
        perceptual_detail=perceptual.detail,
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
        shown_as="" if is_view_name(path) else picture.shown_as,
        overview=overview,
    )


def scan(picture: LargePicture) -> tuple[str, Pixels]:
    """The pixel hash of a picture and its overview, in one pass."""
    hasher, level = picture.hasher(), picture.overview_level
    rows = max(1, _BAND_BYTES // (3 * picture.size_hw[1]) >> max(level, 9)) << max(level, 9)
    shrunk = []
    for pixels, values in _read_ahead(picture.rows(rows)):
        hasher.update(values)
        shrunk.append(averaged(pixels, level))
    return hasher.hexdigest(), np.concatenate(shrunk)


def _read_ahead(bands: Iterator[Band]) -> Iterator[Band]:
    """The same, the next one decoded while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, bands, None)
        while (band := coming.result()) is not None:
            coming = pool.submit(next, bands, None)
            yield band
