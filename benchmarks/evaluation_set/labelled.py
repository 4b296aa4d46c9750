"""Masks stored as label pictures: 0 is nothing, 1 upward are the objects."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation_set.pictures import HERE, Pixels, read_picture

Mask = npt.NDArray[np.bool_]

COINS = HERE.parents[1] / "tests" / "data" / "coins" / "coins_masks.png"
ENLARGED = 4


class Crop(NamedTuple):
    """A part of a picture, (x0, y0, x1, y1), enlarged; its objects' names in the order of their labels."""

    picture: str
    box: tuple[int, int, int, int]
    names: tuple[str, ...]


# Letters of these pictures are drawn with lines two pixels wide; enlarged, the outline is more than a matter of taste.
GLYPHS = {
    "page_region": Crop("page", (2, 8, 143, 42), tuple("Regonbased")),
    "page_segmentation": Crop("page", (146, 8, 300, 42), tuple("segmentaton")),
    "text_left": Crop("text", (0, 55, 150, 172), ("S", "bracket", "s")),
    "text_middle": Crop("text", (160, 50, 330, 172), ("chi", "plus", "u", "hook")),
    "text_right": Crop("text", (300, 40, 448, 140), ("integral", "dash")),
}


def read_labels(path: Path) -> list[Mask]:
    """Return the (H, W) mask of each label.

    Raises
    ------
    FileNotFoundError
        The file is missing, or not a picture.
    """
    labels: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None:
        raise FileNotFoundError(f"{path} is not there or not a picture; restore it from the repository")
    return [labels == number for number in range(1, int(labels.max()) + 1)]


@lru_cache
def read_crop(name: str) -> Pixels:
    """Return the enlarged part of a picture named in `GLYPHS`, (H, W, 3) uint8 RGB, read-only."""
    picture, (x0, y0, x1, y1), _ = GLYPHS[name]
    part = read_picture(picture)[y0:y1, x0:x1]
    pixels: Any = cv2.resize(part, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    pixels.flags.writeable = False
    return np.asarray(pixels, np.uint8)


def coins() -> Iterator[tuple[str, str, Pixels, Mask]]:
    """Yield picture, label, pixels and mask of the 24 coins."""
    for number, mask in enumerate(read_labels(COINS), 1):
        yield "coins", f"coin {number}", read_picture("coins"), mask


def nuclei() -> Iterator[tuple[str, str, Pixels, Mask]]:
    """Yield picture, label, pixels and mask of the stained nuclei."""
    for number, mask in enumerate(read_labels(HERE / "labels" / "nuclei_masks.png"), 1):
        yield "nuclei", f"nucleus {number}", read_picture("nuclei"), mask


def glyphs() -> Iterator[tuple[str, str, Pixels, Mask]]:
    """Yield crop, label, pixels and mask of printed and written letters; a second "e" is "e 2"."""
    for crop, (_, _, names) in GLYPHS.items():
        masks = read_labels(HERE / "labels" / f"{crop}.png")
        for index, (name, mask) in enumerate(zip(names, masks, strict=True)):
            earlier = names[:index].count(name)
            yield crop, f"{name} {earlier + 1}" if earlier else name, read_crop(crop), mask
