"""What a picture looks like in 256 bits, to find near duplicates by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["FLAT", "PERCEPTUAL_VERSION", "Looks", "looks_of", "perceptual_hash"]

PERCEPTUAL_VERSION = 1
"""Kept beside every perceptual hash: hashes of different versions are not compared."""

FLAT = 1.0
"""Pictures with less `Looks.detail` are not compared: sky, paper, a gradient. Photographs have 4 and more."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Looks:
    """What a picture looks like.

    Parameters
    ----------
    perceptual_hash : str
        64 hexadecimal digits; compare two by the bits that differ.
    detail : float
        How far, in grey levels, its typical frequency is from flipping its bit. Where that is less than the noise of
        a re-compression, the bits say nothing, and all such pictures are alike.
    """

    perceptual_hash: str
    detail: float


def looks_of(pixels: Pixels | Image.Image) -> Looks:
    """The signs, about their median, of the 16 x 16 lowest frequencies of a 32 x 32 grey version.

    Resizing and re-compressing move few bits (about 20 or fewer), unrelated pictures differ in about half of them.

    Parameters
    ----------
    pixels : (H, W, 3) uint8, or a PIL image of mode RGB
        The image saves turning an array into one, which for small pictures is a third of the work.

    Examples
    --------
    >>> looks_of(np.full((40, 60, 3), 99, np.uint8)).detail < FLAT
    True
    """
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    # First to at least 64 pixels by whole factors, which is several times faster and moves a bit or two.
    factor = max(1, min(picture.size) // 64)
    grey = picture.reduce(factor).convert("L").resize((32, 32), Image.Resampling.BOX)
    low = _cosines()[:16] @ np.asarray(grey, np.float64) @ _cosines()[:16].T
    # Rounded, because the last bits of a matrix product depend on the machine and would decide ties.
    low = low.round(3).ravel()
    middle = _middle(low[1:])
    hexadecimal = np.packbits(low > middle).tobytes().hex()
    return Looks(hexadecimal, _middle(np.abs(low[1:] - middle)))


def perceptual_hash(pixels: Pixels) -> str:
    """The hash of `looks_of` alone: (H, W, 3) uint8 to 64 hexadecimal digits."""
    return looks_of(pixels).perceptual_hash


def _middle(values: NDArray[np.float64]) -> float:
    """The median of an odd number of values; numpy's takes five times longer on so few."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


@cache
def _cosines() -> NDArray[Any]:
    """The orthogonal 32 x 32 DCT-II matrix, one frequency a row."""
    frequency, place = np.mgrid[:32, :32]
    matrix = np.cos(np.pi * frequency * (2 * place + 1) / 64) * np.sqrt(2 / 32)
    matrix[0] /= np.sqrt(2)
    return matrix
