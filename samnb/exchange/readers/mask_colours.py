"""What the colours of mask pictures mean: one colour is one category in every file.

A colour has its meaning from ``categories={"coin": "#ff0000"}``, from a ``labelmap.txt`` as CVAT writes it, or from the
palette of Pascal VOC, whose colours are numbers. Other colours are refused: numbered by file, they would mix up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import FormatError, ImageError
from .objects import lines_of

Categories = Sequence[str] | Mapping[str, Any]
_VOID = 0xE0E0C0
_NO_OBJECT = ("background", "void", "unlabeled")


def colours_of(root: Path, categories: Categories) -> dict[int, str]:
    """The categories of colours, 0xRRGGBB, in a folder of masks; "" where the colour is no object.

    Raises
    ------
    FormatError
        `categories` or the folder's labelmap.txt has something else than colours.
    """
    if isinstance(categories, Mapping):
        return {_packed(colour, root): str(name) for name, colour in categories.items()}
    known = {}
    for line in lines_of(root / "labelmap.txt"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, colour = line.partition(":")
        packed = _packed(colour.partition(":")[0], root)
        known[packed] = "" if not packed or name.strip().lower() in _NO_OBJECT else name.strip()
    return known


def number_of(colour: int) -> int:
    """The number of a colour in Pascal VOC's palette; 0 for its void. Raises `ImageError` for other colours."""
    if colour == _VOID:
        return 0
    if colour not in _voc():
        raise ImageError(
            f"its colour #{colour:06x} is no category: name it by categories={{'coin': '#{colour:06x}', …}}, by a "
            "labelmap.txt in the folder, or save masks as numbers in PNG files with one channel."
        )
    return _voc()[colour]


@cache
def _voc() -> dict[int, int]:
    """The numbers of the colours of Pascal VOC's palette: the bits of a number, spread over three channels."""
    palette = {}
    for number in range(256):
        channels = [0, 0, 0]
        for place in range(8):
            for channel in range(3):
                channels[channel] |= ((number >> (3 * place + channel)) & 1) << (7 - place)
        palette[channels[0] << 16 | channels[1] << 8 | channels[2]] = number
    return palette


def _packed(colour: Any, root: Path) -> int:
    try:
        if isinstance(colour, str) and colour.strip().startswith("#"):
            channels = list(bytes.fromhex(colour.strip()[1:]))
        else:
            channels = [int(one) for one in (colour.split(",") if isinstance(colour, str) else colour)]
        if len(channels) == 3 and all(0 <= one <= 255 for one in channels):
            return channels[0] << 16 | channels[1] << 8 | channels[2]
    except (TypeError, ValueError):
        pass  # said below
    raise FormatError(root, "a folder of masks", f"{colour!r} is no colour such as '#ff0000' or (255, 0, 0)")
