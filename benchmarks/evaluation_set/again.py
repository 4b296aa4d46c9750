"""The same thing on another photograph: pairs of pictures for templates, apart from the evaluation set.

A `Thing` has an example on one photograph, and is looked for on others and on photographs without it. Ten photographs
are stored in ``again/``, copies of at most 480 pixels, with outlines in ``outlines/again/``; others belong to the
evaluation set. Parts of the motorcycle are seen from the side once more, by the second camera of a stereo pair: their
masks are those of the left picture, moved by its measured depth.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.evaluation_set.everyday import Credit
from benchmarks.evaluation_set.pictures import HERE, read_picture
from benchmarks.evaluation_set.polygons import masks_of, read_outlines

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]


class Thing(NamedTuple):
    """What is looked for: its name, the picture and label of the example, pictures and labels where it is again."""

    name: str
    example: tuple[str, str]
    again: tuple[tuple[str, str], ...]


def _kphotoalbum(file: str) -> Credit:
    return Credit("Jesper K. Pedersen", "GPL-2.0-or-later", "Debian kphotoalbum 5.9.1-1", f"demo/{file}")


def _opencv(file: str) -> Credit:
    return Credit("OpenCV", "Apache-2.0", "Debian opencv-doc 4.6.0+dfsg-12", f"examples/data/{file}")


BOARDS = ("left04", "left07", "left12", "right08", "right13")
CREDITS = {
    "bar_toast": _kphotoalbum("bar55_2.jpg"),
    "dog_in_wood": _kphotoalbum("donna.jpg"),
    "dog_indoors": _kphotoalbum("donna_2.jpg"),
    "rabbit_in_box": _kphotoalbum("spiff_2.jpg"),
    **{f"board_{name}": _opencv(f"{name}.jpg") for name in ("left01", *BOARDS)},
}

MOTORCYCLE_PARTS = ("fuel tank", "seat", "headlamp", "big carton", "white tub")
THINGS = (
    Thing("rabbit", ("rabbit", "rabbit"), (("rabbit_in_box", "rabbit"),)),
    Thing("dog", ("dog_indoors", "dog"), (("dog_in_wood", "dog"),)),
    Thing("woman", ("bar", "woman's head"), (("bar_toast", "woman's head"),)),
    Thing("man", ("bar", "man's head"), (("bar_toast", "man's head"),)),
    Thing("paper", ("board_left01", "paper"), tuple((f"board_{name}", "paper") for name in BOARDS)),
    *(Thing(part, ("motorcycle_left", part), (("motorcycle_right", part),)) for part in MOTORCYCLE_PARTS),
)
WITHOUT = ("airport", "citrus", "claw_hammer", "hens", "owl", "shepherd_dog", "three_men", "sea_man")
"""Photographs on which none of the things is; a shepherd dog and other men are."""


def read(name: str, label: str) -> tuple[Pixels, Mask]:
    """A photograph by its name, and the mask of a thing on it.

    Returns
    -------
    tuple
        (H, W, 3) uint8 RGB and (H, W) bool.

    Raises
    ------
    KeyError
        No such label on this photograph.

    Examples
    --------
    >>> pixels, mask = read("dog_in_wood", "dog")
    >>> pixels.shape, int(mask.sum())
    ((319, 480, 3), 5687)
    """
    if name == "motorcycle_right":
        return _seen_from_the_right(label)
    if name in CREDITS:
        with Image.open(HERE / "again" / f"{name}.jpg") as opened:
            pixels = np.array(opened.convert("RGB"))
    else:
        pixels = read_picture(name)
    size_hw = (pixels.shape[0], pixels.shape[1])
    masks: dict[str, Mask] = {}
    for folder in ("", "everyday", "again"):
        path = HERE / "outlines" / folder / f"{name}.json"
        if path.exists():
            masks |= masks_of(read_outlines(path)[1], size_hw)
    return pixels, masks[label]


def _seen_from_the_right(label: str) -> tuple[Pixels, Mask]:
    left = read("motorcycle_left", label)[1]
    with as_file(files("skimage").joinpath("data", "motorcycle_disp.npz")) as path:
        disparity = np.load(path)["arr_0"]
    with as_file(files("skimage").joinpath("data", "motorcycle_right.png")) as path, Image.open(path) as opened:
        pixels = np.array(opened.convert("RGB"))
    rows, columns = np.nonzero(left)
    moved = disparity[rows, columns]
    moved = np.where(np.isfinite(moved), moved, np.median(moved[np.isfinite(moved)]))
    there = np.rint(columns - moved).astype(int)
    inside = (there >= 0) & (there < left.shape[1])
    mask = np.zeros(left.shape, np.uint8)
    mask[rows[inside], there[inside]] = 1
    closed = cv2.morphologyEx(
        mask, cv2.MORPH_CLOSE, np.ones((1, 5), np.uint8)
    )  # where depth grows, columns are left out
    return pixels, np.asarray(cv2.medianBlur(np.asarray(closed, np.uint8), 5)) > 0
