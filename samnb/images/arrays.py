"""Checks of arrays that are used as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError


def check_pixels(pixels: Any, *, loosely: bool = False) -> None:
    """Raise `ImageError` unless it is an (H, W, 3) uint8 array with a pixel or more; `loosely`: grey or RGBA too.

    >>> check_pixels(np.zeros((4, 6), np.uint8), loosely=True)
    """
    shape, dtype = getattr(pixels, "shape", None), getattr(pixels, "dtype", None)
    layouts = {(): "(H, W)", (3,): "(H, W, 3)", (4,): "(H, W, 4)"} if loosely else {(3,): "(H, W, 3)"}
    if shape is None or dtype != np.uint8 or len(shape) < 2 or shape[2:] not in layouts or 0 in shape:
        raise ImageError(
            f"Expected pixels as an array of {' or '.join(layouts.values())} uint8, got {type(pixels).__name__} of "
            f"shape {shape}, type {dtype}. samnb.images.as_pixels makes them from a PIL image or another array."
        )


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise `ImageError` for an array that is no picture; the message names what may be meant."""
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        return
    hint = ""
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        hint = " Channels seem to come first: np.moveaxis(array, 0, -1) puts them last."
    elif len(shape) == 4:
        hint = " That is a batch: hand in one picture at a time, array[0]."
    known = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    raise ImageError(f"Expected an array of shape {known}, got {shape}.{hint}")


def bytes_of(values: NDArray[Any]) -> NDArray[np.uint8]:
    """The values in 8 bits: uint8 as it is, bool, uint16, and floats in 0..1. Raises `ImageError` for others."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if values.dtype.kind != "f":
        raise ImageError(
            f"Expected an array of uint8, bool, uint16 or float in 0..1, got {values.dtype}. "
            "If its values are 0..255, hand in array.astype(np.uint8)."
        )
    if not np.isfinite(values).all():
        raise ImageError("Expected finite values, got NaN or infinity. np.nan_to_num(array) replaces them.")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise ImageError(
            f"Expected float values in 0..1, got {low:g}..{high:g}. "
            "If they are 0..255, hand in array.astype(np.uint8), otherwise rescale them first."
        )
    return (values.astype(np.float64) * 255).round().astype(np.uint8)
