"""Whether Pillow reads a TIFF rightly: some layouts it decodes to other values, without an error.

These are signed values of 16 and 32 bits that are compressed in big-endian order, unsigned ones of 32 bits from 2**31
on, and compressed planes of more than four channels. So what it reads of such a file is compared with what tifffile
reads. Without tifffile, the layouts that are known to be wrong are refused.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from PIL import Image

from ..errors import AnyPath, ImageError, ReaderMissing
from .depth import is_deep_grey, turned
from .lazy.description import ALPHA
from .lazy.opening import open_source

_BITS, _COMPRESSION, _SAMPLES, _PLANAR, _FORMAT = 258, 259, 277, 284, 339
_UNSIGNED, _SIGNED = 1, 2


def is_doubtful(image: Image.Image) -> bool:
    """True for a TIFF, not loaded yet, whose values are to be compared."""
    if image.format != "TIFF":
        return False
    return _tag(image, _BITS) > 8 or _tag(image, _PLANAR) == 2 or _tag(image, _SAMPLES) > 4


def is_right(content: bytes, image: Image.Image, orientation: int, path: AnyPath) -> bool:
    """Whether a loaded picture has the values that tifffile reads.

    Raises
    ------
    ReaderMissing
        Without tifffile, for a layout that Pillow reads wrongly.
    """
    if find_spec("tifffile") is None:
        if _is_known_as_wrong(content, image):
            raise ReaderMissing(f"{path}: a TIFF of this layout", "tifffile", "scientific")
        return True
    try:
        with open_source(content, path) as source:
            values, channels = source.read(), source.description.channels
    except ImageError:
        return True  # what tifffile refuses, Pillow's own checks have passed
    read = np.asarray(image)
    if read.ndim == 2:
        read = read[..., None]
    # Pillow turns a TIFF as it loads, and tifffile's source gives it upright, too.
    if read.shape[:2] != values.shape[:2]:
        read = turned(read, orientation)
    if read.shape[:2] != values.shape[:2] or values.shape[2] < min(read.shape[2], 3):
        return False
    if is_deep_grey(image):
        shown = [one for one in channels if one.name != ALPHA]
        return len(shown) == 1 and bool(
            np.array_equal(read[..., 0], values[..., 0], equal_nan=values.dtype.kind == "f")
        )
    if values.dtype.kind not in "ui" or values.shape[2] > 4:
        return False
    shared = min(read.shape[2], values.shape[2])
    bits = 8 * (values.dtype.itemsize - 1)
    return bool(np.array_equal(read[..., :shared], values[..., :shared].view(_unsigned(values)) >> bits))


def _unsigned(values: np.ndarray) -> np.dtype:
    return np.dtype(f"u{values.dtype.itemsize}")


def _is_known_as_wrong(content: bytes, image: Image.Image) -> bool:
    compressed = _tag(image, _COMPRESSION) != 1
    if _tag(image, _BITS) > 8 and _tag(image, _FORMAT) == _SIGNED:
        return compressed and content.startswith(b"MM")
    if _tag(image, _BITS) == 32 and _tag(image, _FORMAT) == _UNSIGNED:
        return bool(np.asarray(image).min() < 0)
    return compressed and _tag(image, _PLANAR) == 2 and _tag(image, _SAMPLES) > 4


def _tag(image: Image.Image, number: int) -> int:
    value = getattr(image, "tag_v2", {}).get(number, 1)
    return max((one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, int)), default=1)
