"""Content hash and pixel hash of a picture: SHA-256 of its file's bytes, and of its pixels."""

from __future__ import annotations

import hashlib
import io
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import AnyPath
from .files import open_file

DECODER_VERSION = "px1"
"""Part of every pixel hash; it changes when the same file gives other pixels.

Catalogs must then read their files again, because a file with the same bytes counts as unchanged.
"""

_STRIP_PIXELS = 1 << 17  # what stays in a processor's cache


def content_hash(path: AnyPath) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits; of any regular file, picture or not."""
    with open_file(path) as file:
        return hashlib.file_digest(cast(io.RawIOBase, file), "sha256").hexdigest()


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 of a header (decoder version, mode, dtype, H, W, C) and the (H, W, 3) uint8 pixels in C order.

    Examples
    --------
    >>> pixel_hash(np.zeros((1, 2, 3), np.uint8))[:8]
    '76cb6379'
    """
    height, width, channels = pixels.shape
    digest = hashlib.sha256(f"{DECODER_VERSION}|RGB|{pixels.dtype}|{height}|{width}|{channels}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


class PixelHasher:
    """`pixel_hash` of a picture whose rows come one band after the other.

    Parameters
    ----------
    size_hw : (H, W)
        Of the whole picture.

    Examples
    --------
    >>> pixels, hasher = np.arange(60, dtype=np.uint8).reshape(4, 5, 3), PixelHasher((4, 5))
    >>> hasher.update(pixels[:3]), hasher.update(pixels[3:]), hasher.hexdigest() == pixel_hash(pixels)
    (None, None, True)
    """

    def __init__(self, size_hw: tuple[int, int]):
        self._digest = hashlib.sha256(f"{DECODER_VERSION}|RGB|uint8|{size_hw[0]}|{size_hw[1]}|3".encode())

    def update(self, rows: NDArray[np.uint8]) -> None:
        """The next (h, W, 3) rows."""
        self._digest.update(np.ascontiguousarray(rows).data)

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._digest.hexdigest()


def hash_of_upright(picture: Image.Image) -> str:
    """`pixel_hash` of an upright RGB image, strip by strip, so that the whole picture is never copied.

    Examples
    --------
    >>> hash_of_upright(Image.new("RGB", (2, 1))) == pixel_hash(np.zeros((1, 2, 3), np.uint8))
    True
    """
    width, height = picture.size
    digest = hashlib.sha256(f"{DECODER_VERSION}|RGB|uint8|{height}|{width}|3".encode())
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        digest.update(picture.crop((0, top, width, min(height, top + rows))).tobytes())
    return digest.hexdigest()
