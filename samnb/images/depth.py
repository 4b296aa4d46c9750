"""Pictures of more than 8 bits: how they are shown in 8, and the hash of the values themselves.

- Grey of 16 bits is scaled by its depth, never to its own range, so that equal values are equal pixels: it counts as 8,
  12 or 16 bits, whichever holds its highest value. Cameras of 12 bits, and 8-bit data in 16-bit files, would be black
  otherwise.
- Floats are 0..1. Other floats, signed and 32-bit integers have no defined white: they are scaled from their smallest
  to their largest value. Values that mark the absence of data do not count, and become black.
- Colour of 16 bits keeps its high byte, as Pillow reads it; where all values are below 12 bits, these are scaled.
- TIFF files whose tags say what Pillow does not heed are decoded by the tags, or refused.

Rounding to 8 bits must not make two pictures one. So the hash of such a picture is that of its own values, upright.
Where a file's values of colour cannot be had for certain, it is that of the file's bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import AnyPath, ImageUnreadable
from .hashing import DECODER_VERSION

Pixels = NDArray[np.uint8]

_DEPTHS = (255, 4095, 65535)
_BITS, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT, _NO_DATA = 258, 262, 284, 339, 42113
_SIGNED, _COMPLEX = 2, (5, 6)
# By EXIF's orientation: whether rows and columns change places, then the direction of the rows, and of the columns.
_TURNS = {
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}
_STRIP = 1 << 20  # values that are converted at once
# A range that a single value makes this many times longer is not the picture's.
_FAR = 50


def is_deep_grey(image: Image.Image) -> bool:
    """True for a mode of more than 8 bits."""
    mode = image.mode
    return mode in ("I", "F") or mode.startswith("I;16")


def check_tiff(image: Image.Image, path: AnyPath) -> None:
    """Raise `ImageUnreadable` for TIFF files that Pillow would decode to something else."""
    bits, kind = _tag(image, _BITS), _tag(image, _SAMPLE_FORMAT)
    if _tag(image, _PLANAR) == 2 and bits > 8 and len(image.getbands()) > 1:
        raise ImageUnreadable(
            path, f"a TIFF of {bits} bits with one plane for each colour, which is not decoded: save it interleaved"
        )
    if kind in _COMPLEX:
        raise ImageUnreadable(path, "a TIFF of complex numbers, which are no brightness")
    if kind == _SIGNED and image.mode not in ("L", "I"):
        raise ImageUnreadable(path, "a TIFF of signed colours, which have no defined black")


def grey_of(image: Image.Image, path: AnyPath) -> tuple[Pixels, tuple[float, float]]:
    """(H, W) uint8 of a loaded picture of `is_deep_grey`, and the values that are black and white."""
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise ImageUnreadable(path, "holds values that are not finite (NaN or infinity)")
    missing = _no_data(image, values)
    data = values if missing is None else values[~missing]
    if not data.size:
        raise ImageUnreadable(path, "holds no data: every value is its mark for missing ones")
    low, high = float(data.min()), float(data.max())
    low, high = limits_of(low, high, values.dtype.kind)
    shown = _scaled(values, low, high)
    over = _is_min_white(image)
    if over:
        shown = np.uint8(255) - shown
    if missing is not None:
        shown[missing] = 0
    return shown, (high, low) if over else (low, high)


def limits_of(low: float, high: float, kind: str) -> tuple[float, float]:
    """Black and white of values from `low` to `high`, of NumPy's kind "u", "i" or "f": the rule of this module.

    >>> limits_of(3, 900, "u"), limits_of(0.2, 0.7, "f"), limits_of(-9, 5, "i")
    ((0.0, 4095.0), (0.0, 1.0), (-9, 5))
    """
    if kind == "f":
        return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    if low >= 0 and high <= 65535:
        return 0.0, float(next(white for white in _DEPTHS if high <= white))
    return low, high


def signed_grey(image: Image.Image) -> Image.Image | None:
    """A TIFF of signed bytes, which Pillow reads as unsigned, with -128 as black; None for other pictures."""
    if image.format != "TIFF" or image.mode != "L" or _tag(image, _SAMPLE_FORMAT) != _SIGNED or _tag(image, _BITS) != 8:
        return None
    # A MinIsWhite one was turned over by Pillow: ~v of signed bytes, too.
    return Image.fromarray(np.asarray(image) ^ np.uint8(128))


def earlier_grey(image: Image.Image) -> Pixels | None:
    """(H, W) uint8 as grey of 16 bits was read before its depth counted; None for other pictures."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        return None
    return _scaled(values, 0.0, 65535.0)


def hash_of_values(image: Image.Image, shown: Pixels, orientation: int) -> str:
    """The pixel hash of a loaded picture of `is_deep_grey`; "" if its 8 bits hold the same values.

    Parameters
    ----------
    image : PIL.Image.Image
        Not turned yet, as `shown`, its 8 bits.
    orientation : int
        EXIF's.
    """
    values = np.asarray(image)
    min_white = _is_min_white(image)
    if values.dtype.kind in "ui" and not min_white:
        strips = _strips(values)
        if all((values[rows] == shown[rows].astype(np.int64) * 257).all() for rows in strips):
            return ""
    return _hash_of(turned(values, orientation), f"{image.mode[:1]}|", f"|{min_white}")


def turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of (H, W) or (H, W, C) values that is upright, by EXIF's orientation.

    >>> turned(np.array([[1, 2], [3, 4]]), 6).tolist()
    [[3, 1], [4, 2]]
    """
    swapped, down, right = _TURNS.get(orientation, (False, 1, 1))
    return (values.swapaxes(0, 1) if swapped else values)[::down, ::right]


def deep_colour(content: bytes, image: Image.Image) -> bool:
    """True for colour of more than 8 bits, of which Pillow keeps 8."""
    if is_deep_grey(image):
        return False
    if image.format == "PNG":
        return content[24:25] == b"\x10"
    if image.format == "TIFF":
        return _tag(image, _BITS) > 8
    if image.format == "PPM":
        # The highest value is in the header, after comments; Pillow has it in the decoder's arguments.
        return any(value > 255 for tile in getattr(image, "tile", ()) for value in _numbers(tile[-1]))
    if image.format == "JPEG2000":
        start = content.find(b"\xff\x51")
        return start >= 0 and any((depth & 127) + 1 > 8 for depth in content[start + 40 : start + 41])
    if image.format == "AVIF":
        start = content.find(b"pixi", 0, 4096)
        return start >= 0 and any(depth > 8 for depth in content[start + 9 : start + 10])
    return False


def colour_values(content: bytes, upright: Image.Image, orientation: int) -> NDArray[np.uint16] | None:
    """(H, W, 3 or 4) uint16, RGB or RGBA, upright: the values of a file of `deep_colour`.

    None for a format that OpenCV does not read, or where what it reads has other high bytes than what Pillow reads.

    Parameters
    ----------
    content : bytes
    upright : PIL.Image.Image
        As Pillow reads it, its alpha kept, turned.
    orientation : int
        EXIF's, before Pillow loaded the file.
    """
    if upright.format not in ("PNG", "TIFF") or upright.mode not in ("RGB", "RGBA"):
        return None
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    read = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if read is None or read.dtype != np.uint16 or read.ndim != 3:
        return None
    values: NDArray[Any] = cv2.cvtColor(read, cv2.COLOR_BGR2RGB if read.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    if upright.format == "PNG":  # a TIFF is turned by OpenCV, whatever its flags
        values = turned(values, orientation)
    high = np.asarray(upright)
    if values.shape != high.shape or not all((values[rows] >> 8 == high[rows]).all() for rows in _strips(values)):
        return None
    return values


def hash_of_colour(values: NDArray[np.uint16]) -> str:
    """The pixel hash of `colour_values`; "" if 8 bits hold the same."""
    if values.shape[2] == 3 and all((values[rows] >> 8 == values[rows] & 255).all() for rows in _strips(values)):
        return ""
    return _hash_of(values, "", "")


def hash_of_file(content: bytes) -> str:
    """The pixel hash of a picture whose values are not at hand: that of its bytes."""
    return hashlib.sha256(f"{DECODER_VERSION}|file|".encode() + content).hexdigest()


def low_colour(values: NDArray[np.uint16]) -> Pixels | None:
    """(H, W, 3 or 4) uint8 of `colour_values` whose colours use 12 bits at most; None if they use more."""
    colours, opacity = values[..., :3], values[..., 3:]
    white = _white_of(colours)
    if white > _DEPTHS[1]:
        return None
    shown = _scaled(colours, 0, white)
    if not opacity.size:
        return shown
    # It has the colours' depth, or all 16 bits, as in a file that a program made of another.
    return np.concatenate([shown, _scaled(opacity, 0, max(white, _white_of(opacity)))], axis=2)


def _white_of(values: NDArray[np.uint16]) -> int:
    highest = int(values.max(initial=0))
    return next(white for white in _DEPTHS if highest <= white)


def _hash_of(values: NDArray[Any], before: str, after: str) -> str:
    kind = values.dtype.newbyteorder("=")
    about = f"{DECODER_VERSION}|{before}{kind}|{values.shape}{after}|".encode()
    found = hashlib.sha256(about)
    for rows in _strips(values):
        found.update(values[rows].astype(values.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()


def _scaled(values: NDArray[Any], low: float, high: float) -> Pixels:
    shown = np.empty(values.shape, np.uint8)
    for rows in _strips(values):
        scaled = (values[rows].astype(np.float64) - low) * (255 / ((high - low) or 1))
        shown[rows] = scaled.clip(0, 255).round()
    return shown


def _strips(values: NDArray[Any]) -> Iterator[slice]:
    """Rows of a picture, a few million values at a time: a wide copy of all would take many times its memory."""
    height = max(1, _STRIP * len(values) // max(1, values.size))
    return (slice(top, top + height) for top in range(0, len(values), height))


def _no_data(image: Image.Image, values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where the values mark missing data: by GDAL's tag, or one extreme float such as -9999 or -3.4e38."""
    try:
        tagged = np.asarray(values == float(str(image.tag_v2[_NO_DATA]).strip("\0 ")))  # type: ignore[attr-defined]
        if tagged.any():
            return tagged
    except (AttributeError, KeyError, ValueError):
        pass  # most pictures have no such tag
    if values.dtype.kind != "f":
        return None
    for extreme, sign in ((values.min(), 1), (values.max(), -1)):
        marked = values == extreme
        rest = values[~marked]
        if np.count_nonzero(marked) > 1 and rest.size:
            inside, gap = (
                float(rest.max()) - float(rest.min()),
                sign * (float(rest.min() if sign > 0 else rest.max()) - float(extreme)),
            )
            if gap > _FAR * inside > 0 and abs(float(extreme)) > 1:
                return np.asarray(marked)
    return None


def _is_min_white(image: Image.Image) -> bool:
    return image.format == "TIFF" and _tag(image, _PHOTOMETRIC, 1) == 0


def _tag(image: Image.Image, number: int, default: int = 1) -> int:
    """The highest number of a TIFF tag."""
    return max(_numbers(getattr(image, "tag_v2", {}).get(number, default)), default=default)


def _numbers(value: Any) -> list[int]:
    return [one for one in (value if isinstance(value, tuple | list) else (value,)) if isinstance(one, int)]
