"""Mask files: (H, W) integers as they are stored, the labels among them, and one object as a mask.

A mask file shows one object, anything above 0, or it is a label map of 8 or 16 bits or with a palette: 0 is nothing,
every other value one object. 255 beside other values is void, as in Pascal VOC, unless the values are spread evenly up
to it. In a picture of few plain colours the labels are its colours, 0x1RRGGBB.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageNotFound, ImageUnreadable
from ...images import open_picture
from .objects import Mask

_LOSSY = {".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".jp2", ".j2k"}
_MOST_LABELS = 4096
_MOST_NUMBER, _COLOUR = 0xFFFF, 1 << 24
_WHITE, _FEW_NUMBERS = 255, 32
_VOID_COLOUR = _COLOUR | 0xE0E0C0  # of Pascal VOC


def labels_of(path: Path) -> list[int | None]:
    """The labels of a mask file, each an object; [None] for a single object. Raises `ImageError`."""
    values, counts = np.unique(_values(path), return_counts=True)
    sizes = {int(v): int(c) for v, c in zip(values, counts, strict=True) if v}
    if is_coloured(path):
        return list(sizes)
    if len(sizes) <= 1:
        return [None]
    if values.max() != _WHITE:
        return list(sizes)
    white, others = sizes[_WHITE], sum(sizes.values()) - sizes[_WHITE]
    if _is_spread(sorted(sizes)) and 5 * others >= white:
        return list(sizes)
    # White mostly, with bright greys, or with a thin edge of greys that no label map of few numbers has: one mask.
    bright = sum(size for value, size in sizes.items() if 127 < value < _WHITE)
    soft = bright and white == max(sizes.values()) and 2 * (bright + white) >= sum(sizes.values())
    edge = min(sizes) > _FEW_NUMBERS and 4 * others <= white
    return [None] if soft or edge else [value for value in sizes if value != _WHITE]


def has_void(path: Path, labels: list[int | None]) -> bool:
    """True if its white was left out as void. Raises `ImageError`."""
    return labels != [None] and _WHITE not in labels and bool((_values(path) == _WHITE).any())


def _is_spread(values: list[int]) -> bool:
    """True for values that were spread over 0 to 255 to be told apart by eye, such as 85, 170, 255."""
    evenly = (abs(value - _WHITE * number / len(values)) < 1 for number, value in enumerate(values, 1))
    return len(values) <= _FEW_NUMBERS and all(evenly)


def is_coloured(path: Path) -> bool:
    """True if the labels of a mask file are colours. Raises `ImageError`."""
    return int(_values(path).max(initial=0)) > _MOST_NUMBER


def palette_of(path: Path) -> dict[int, int]:
    """The colours, 0xRRGGBB, of a palette's numbers; empty for a file without one. Raises `ImageError`."""
    with open_picture(path) as opened:
        if opened.mode != "P" or not opened.palette:
            return {}
        rgb = opened.palette.tobytes() if opened.palette.mode == "RGB" else b""
    return {number: int.from_bytes(rgb[3 * number : 3 * number + 3]) for number in range(len(rgb) // 3)}


def mask_of(path: Path, label: int | None) -> Mask:
    """(H, W) bool: the pixels with that label; None: the bright pixels. Raises `ImageError`."""
    values = _values(path)
    if label is not None:
        return np.asarray(values == label)
    return np.asarray(values > (127 if values.max() == 255 else 0))


def label_boxes(path: Path) -> dict[int, tuple[int, int, int, int]]:
    """(x0, y0, x1, y1) of the pixels of each label but void, the last corner outside. Raises `ImageError`."""
    values = _values(path)
    labels, places = np.unique(values, return_inverse=True)
    rows, columns = np.indices(values.shape, np.int32)
    first = np.full((2, len(labels)), max(values.shape), np.int32)
    last = np.zeros_like(first)
    for axis, along in enumerate((columns, rows)):
        np.minimum.at(first[axis], places.ravel(), along.ravel())
        np.maximum.at(last[axis], places.ravel(), along.ravel())
    boxes = np.concatenate([first, last + 1]).T.tolist()
    return {int(n): tuple(box) for n, box in zip(labels, boxes, strict=True) if n not in (0, _WHITE, _VOID_COLOUR)}


def mask_number(path: Path) -> int:
    """The highest number a mask file holds. Raises `ImageError`."""
    return int(_values(path).max(initial=0))


def _values(path: Path) -> NDArray[Any]:
    """(H, W) integers of a mask file, as they are stored: a palette's numbers, not its colours."""
    try:
        status = path.stat()
    except OSError as error:
        raise ImageNotFound(path, expected="a mask picture") from error
    return _read_values(str(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _read_values(path: str, mtime_ns: int, size_bytes: int) -> NDArray[Any]:
    if is_lossy(Path(path)):
        raise ImageUnreadable(path, "is stored in a lossy format, which no mask survives; save masks as PNG")
    with open_picture(path) as opened:  # to its end: what is made of the picture takes memory too
        values = np.asarray(opened)
        if values.dtype == bool:  # black and white, not the numbers 0 and 1
            values = values.astype(np.uint8) * np.uint8(255)
        if values.ndim == 3:
            values = _of_colours(values, path)
        if values.dtype.kind == "f" or len(np.unique(values)) > _MOST_LABELS:
            raise ImageUnreadable(path, f"has more than {_MOST_LABELS:,} values: that is a photograph, not a mask")
        return values.astype(np.int32, copy=False)


def _of_colours(values: NDArray[Any], path: str) -> NDArray[Any]:
    """Grey values of a grey picture stored in colour; 0x1RRGGBB in a plain one; what is clear is 0."""
    clear = values[..., -1] == 0 if values.shape[2] in (2, 4) else np.zeros((), bool)
    colours = values[..., :-1] if values.shape[2] in (2, 4) else values
    if clear.any() and not clear.all() and not colours.any():
        raise ImageUnreadable(
            path, "is black where it is not clear, so its colours show no object; save masks as white on black"
        )
    if all(((colours[..., 0] == colours[..., other]) | clear).all() for other in range(1, colours.shape[2])):
        return np.where(clear, 0, colours[..., 0])
    packed = np.zeros(values.shape[:2], np.int32)
    for channel in range(3):
        packed <<= 8
        packed |= colours[..., channel]
    packed[np.broadcast_to(clear, packed.shape)] = 0
    count = len(np.unique(packed))
    if count > 256:
        raise ImageUnreadable(path, f"has {count:,} colours: that is a photograph, not a mask")
    # Beyond all numbers, so that blue alone is no number.
    packed[packed != 0] |= _COLOUR
    return packed


def is_lossy(path: Path) -> bool:
    """True for file types that change the values of a mask."""
    return path.suffix.lower() in _LOSSY
