"""Pixels for display: small copies, PNG files, JPEG data for HTML."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def thumbnail(pixels: NDArray[np.uint8], longest_side: int = 96) -> NDArray[np.uint8]:
    """The picture with its longest side at most `longest_side` pixels; never enlarged.

    Examples
    --------
    >>> thumbnail(np.zeros((300, 900, 3), np.uint8)).shape
    (32, 96, 3)
    """
    height, width = pixels.shape[:2]
    factor = longest_side / max(height, width)
    if factor >= 1:
        return pixels.copy()
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of (H, W, 3) RGB or (H, W, 4) RGBA uint8, as bytes.

    Examples
    --------
    >>> encode_png(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    # Level 1: on photographs twice as fast as the default, and about 15 % larger.
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def jpeg_url(pixels: NDArray[np.uint8], quality: int = 88) -> str:
    """The (H, W, 3) pixels as a JPEG in a "data:" address, for an HTML page.

    >>> jpeg_url(np.zeros((2, 2, 3), np.uint8))[:23]
    'data:image/jpeg;base64,'
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
