"""Content hash and pixel hash of a picture: SHA-256 of its file's bytes, and of its pixels."""

from __future__ import annotations

import hashlib
import io
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import AnyPath, ImageError
from .arrays import check_pixels
from .files import open_file

DECODER_VERSION = "px1"
"""Part of every pixel hash; it changes when the same file gives other pixels.

Catalogs must then read their files again, because a file with the same bytes counts as unchanged.
"""

_STRIP_PIXELS = 1 << 17  # what stays in a processor's cache


def content_hash(path: AnyPath) -> str:
    """Compute the SHA-256 of a file's bytes.

    Parameters
    ----------
    path : path or address
        Any regular file, picture or not.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ImageNotFound
        There is no such file.
    ImageUnreadable
        It is a folder, a pipe or a device, or may not be read; the store of an address does not answer.
    ImageError
        No such kind of address.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "a.txt")
    >>> _ = file.write_bytes(b"text")
    >>> content_hash(file)[:8]
    '982d9e3e'
    """
    with open_file(path) as file:
        return hashlib.file_digest(cast(io.RawIOBase, file), "sha256").hexdigest()


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """Compute the hash of pixels: SHA-256 of a header (decoder version, mode, dtype, H, W, C) and of their bytes.

    A lossless copy of a picture has the same one. Of a picture of more than 8 bits, `Picture.pixel_hash` is that of its
    values, and not of the pixels in which they are shown.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB, upright; of any memory layout.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ImageError
        An array of another shape or dtype, or without pixels.

    Examples
    --------
    >>> pixel_hash(np.zeros((1, 2, 3), np.uint8))[:8]
    '76cb6379'
    """
    check_pixels(pixels)
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
    """Compute `pixel_hash` of a PIL image, strip by strip, so that the whole picture is never copied.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB, upright: as `read_upright` gives it.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ImageError
        An image of another mode, or without pixels.

    Examples
    --------
    >>> hash_of_upright(Image.new("RGB", (2, 1))) == pixel_hash(np.zeros((1, 2, 3), np.uint8))
    True
    """
    width, height = picture.size
    if picture.mode != "RGB" or not width * height:
        raise ImageError(
            f"Expected a PIL image of mode RGB, got {width} x {height} pixels of mode {picture.mode}. "
            "samnb.images.pixel_hash(samnb.images.as_pixels(image)) takes any mode."
        )
    digest = hashlib.sha256(f"{DECODER_VERSION}|RGB|uint8|{height}|{width}|3".encode())
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        digest.update(picture.crop((0, top, width, min(height, top + rows))).tobytes())
    return digest.hexdigest()
