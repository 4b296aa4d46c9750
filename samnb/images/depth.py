"""Pictures of more than 8 bits: how they are shown in 8, and the hash of the values themselves.

- Grey of 16 bits is scaled by its depth, never to its own range, so that equal values are equal pixels: it counts as 8,
  12 or 16 bits, whichever holds its highest value. Cameras of 12 bits, and 8-bit data in 16-bit files, would be black
  otherwise.
- Floats are 0..1. Other floats, signed and 32-bit integers have no defined white: they are scaled from their smallest
  to their largest value. Values that mark the absence of data do not count, and become black.
- Colour of 16 bits keeps its high byte, as Pillow reads it; where all values are below 12 bits, these are scaled.
- TIFF files whose tags say what Pillow does not heed are decoded by the tags, or refused.

Rounding to 8 bits must not make two pictures one. So the hash of such a picture is that of its own values.
"""

from __future__ import annotations

import hashlib
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
# A range that a single value makes this many times longer is not the picture's.
_FAR = 50


def is_deep_grey(image: Image.Image) -> bool:
    """True for a mode of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


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


def grey_of(image: Image.Image, path: AnyPath) -> Pixels:
    """(H, W) uint8 of a loaded picture of `is_deep_grey`."""
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise ImageUnreadable(path, "holds values that are not finite (NaN or infinity)")
    missing = _no_data(image, values)
    data = values if missing is None else values[~missing]
    if not data.size:
        raise ImageUnreadable(path, "holds no data: every value is its mark for missing ones")
    low, high = float(data.min()), float(data.max())
    if values.dtype.kind == "f":
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    elif low >= 0 and high <= 65535:
        low, high = 0.0, float(next(white for white in _DEPTHS if high <= white))
    shown = _scaled(values, low, high)
    if _is_min_white(image):
        shown = np.uint8(255) - shown
    if missing is not None:
        shown[missing] = 0
    return shown


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


def hash_of_values(image: Image.Image, shown: Pixels) -> str:
    """The pixel hash of a loaded picture of `is_deep_grey`; "" if its 8 bits hold the same values."""
    values = np.ascontiguousarray(image)
    if values.dtype.kind in "ui" and not _is_min_white(image) and (values == shown.astype(np.int64) * 257).all():
        return ""
    about = f"{DECODER_VERSION}|{image.mode[:1]}|{values.dtype.newbyteorder('=')}|{values.shape}|{_is_min_white(image)}"
    return hashlib.sha256(f"{about}|".encode() + values.astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest()


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


def hash_of_file(content: bytes) -> str:
    """The pixel hash of a picture whose values are not at hand: that of its bytes."""
    return hashlib.sha256(f"{DECODER_VERSION}|file|".encode() + content).hexdigest()


def low_colour(content: bytes, rgb: Pixels) -> Pixels | None:
    """(H, W, 3) uint8 of colour of 16 bits that uses 12 at most; None if it uses more, or is of another kind.

    Parameters
    ----------
    content : bytes
        A file of `deep_colour`.
    rgb : (H, W, 3) uint8
        Its high bytes.
    """
    if rgb.max(initial=0) > _DEPTHS[1] >> 8:
        return None
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None or values.dtype != np.uint16 or values.shape != rgb.shape:
        return None
    white = next(white for white in _DEPTHS if int(values.max(initial=0)) <= white)
    return np.ascontiguousarray(_scaled(values[..., ::-1], 0.0, float(white)))


def _scaled(values: NDArray[Any], low: float, high: float) -> Pixels:
    scaled = (values.astype(np.float64) - low) * (255 / ((high - low) or 1))
    return scaled.clip(0, 255).round().astype(np.uint8)


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
