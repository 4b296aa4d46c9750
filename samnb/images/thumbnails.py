"""Pixels for display: small copies, PNG files, JPEG data for HTML."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from .arrays import check_pixels


def thumbnail(pixels: NDArray[np.uint8], longest_side: int = 96) -> NDArray[np.uint8]:
    """Make a small copy of a picture.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB; (H, W) grey and (H, W, 4) RGBA too.
    longest_side : int
        In pixels, from 1. A smaller picture keeps its size.

    Returns
    -------
    (h, w, 3) uint8
        A new array with the channels of `pixels`.

    Raises
    ------
    ImageError
        An array of another shape or dtype, or without pixels; a `longest_side` below 1.

    Examples
    --------
    >>> thumbnail(np.zeros((300, 900, 3), np.uint8)).shape
    (32, 96, 3)
    """
    pixels = _of_mask(pixels)
    check_pixels(pixels, loosely=True)
    if not longest_side >= 1:
        raise ImageError(f"Expected a longest_side of 1 pixel or more, got {longest_side}.")
    height, width = pixels.shape[:2]
    factor = longest_side / max(height, width)
    if factor >= 1:
        return pixels.copy()
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Make a PNG file of pixels, with little compression.

    Parameters
    ----------
    pixels : (H, W, 3) or (H, W, 4) uint8
        RGB or RGBA; (H, W) grey too, also of uint16, and a mask, (H, W) bool: black and white.

    Returns
    -------
    bytes
        What is in the file.

    Raises
    ------
    ImageError
        An array of another shape or dtype, or without pixels.

    Examples
    --------
    >>> encode_png(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    pixels = _of_mask(pixels)
    if getattr(pixels, "dtype", None) != np.uint16 or pixels.ndim != 2 or not pixels.size:
        check_pixels(pixels, loosely=True)
    buffer = io.BytesIO()
    # Level 1: on photographs twice as fast as the default, and about 15 % larger.
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _of_mask(pixels: NDArray[Any]) -> NDArray[Any]:
    """A mask, (H, W) bool, as grey: 0 and 255; others as they are."""
    is_mask = getattr(pixels, "dtype", None) == np.bool_ and pixels.ndim == 2
    return pixels.astype(np.uint8) * np.uint8(255) if is_mask else pixels


def jpeg_url(pixels: NDArray[np.uint8], quality: int = 88) -> str:
    """The (H, W, 3) pixels as a JPEG in a "data:" address, for an HTML page.

    >>> jpeg_url(np.zeros((2, 2, 3), np.uint8))[:23]
    'data:image/jpeg;base64,'
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
