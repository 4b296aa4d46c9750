"""Regions: parts of a large image that are encoded separately, so that small objects keep their detail.

A model's input has a fixed size (1024 pixels, for segment-anything): of a picture of 8,000 pixels it
gets every eighth, and an object of 40 pixels becomes 5 wide. Regions are on a grid, so that the next object nearby
finds its finds its region encoded already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from .. import images as picture_files
from ..errors import ImageError, PromptError
from ..prompts import LazyMasks, Prediction, Prompt
from ..records import ImageRecord

Region = tuple[int, int, int, int]
"""(x0, y0, x1, y1), whole image pixels, inside the image."""

LEAST_SIDE = 128
"""Pixels; a smaller region would be enlarged for the model, with too little of its surroundings."""

_STEPS = 4  # regions of one size begin at every fourth of their side


def region_around(box: Sequence[float], size_hw: tuple[int, int]) -> Region | None:
    """The smallest region of the grid that contains a box; None if that is the whole image.

    Sides are the image's longest side, halved repeatedly. A box of up to 3/4 of a side always fits.

    Parameters
    ----------
    box : (x0, y0, x1, y1)
        Image pixels: an object with its surroundings, or the part of the image that is on the screen.
    size_hw : (H, W)
        Of the image.

    Examples
    --------
    >>> region_around((2100, 1500, 2300, 1650), (3000, 4000))
    (2000, 1375, 2500, 1875)
    >>> region_around((0, 0, 3900, 2000), (3000, 4000)) is None
    True
    """
    height, width = size_hw
    x0, y0, x1, y1 = (max(0.0, min(float(v), m)) for v, m in zip(box, (width, height, width, height), strict=True))
    found, side = None, max(height, width) // 2
    while side >= LEAST_SIDE:
        across, down = _start(x0, x1, side, width), _start(y0, y1, side, height)
        if across is None or down is None:
            break
        found = (across, down, min(across + side, width), min(down + side, height))
        side //= 2
    return found


def _start(low: float, high: float, side: int, length: int) -> int | None:
    """The start of the region of that side that contains low to high, with the nearest middle; None: there is none."""
    if side >= length:
        return 0
    step = side // _STEPS
    # The last one ends with the image, off the grid.
    starts = {*range(0, length - side, step), length - side}
    fitting = [start for start in starts if start <= low and high <= start + side]
    return min(fitting, key=lambda start: (abs(2 * start + side - low - high), start), default=None)


def check_region(region: Sequence[float], size_hw: tuple[int, int]) -> Region:
    """The region as whole numbers.

    Raises
    ------
    PromptError
        Not four whole numbers, empty, or not inside (H, W).
    """
    height, width = size_hw
    values = tuple(region) if isinstance(region, Iterable) else (region,)
    if len(values) != 4 or not all(isinstance(value, Real) and value % 1 == 0 for value in values):  # nan and inf too
        raise PromptError(f"region: expected (x0, y0, x1, y1) in whole image pixels; got {values}.")
    x0, y0, x1, y1 = (int(value) for value in values)
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise PromptError(
            f"region: expected 0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}; got ({x0}, {y0}, {x1}, {y1})."
        )
    return (x0, y0, x1, y1)


def whole_region(image: ImageRecord) -> Region:
    """All of an image."""
    return (0, 0, image.width, image.height)


def holds(region: Region, prompt: Prompt) -> bool:
    """True when all points of a prompt, and its box, lie in a region.

    >>> holds((0, 0, 50, 50), Prompt.of(points=[(20, 60)]))
    False
    """
    x0, y0, x1, y1 = region
    corners = () if prompt.box is None else (prompt.box[:2], prompt.box[2:])
    return all(x0 <= x <= x1 and y0 <= y <= y1 for x, y in (*prompt.points, *corners))


def region_hash(pixel_hash: str, region: Region) -> str:
    """The pixel hash of a region, derived from the image's pixel hash, so that nothing needs to be read.

    >>> region_hash("0" * 64, (0, 0, 500, 500)) == region_hash("0" * 64, (0, 0, 500, 501))
    False
    """
    return hashlib.sha256(f"{pixel_hash}|region|{','.join(map(str, region))}".encode()).hexdigest()


def in_region(prompt: Prompt, region: Region) -> Prompt:
    """The prompt in the region's own pixels.

    Raises
    ------
    PromptError
        A point or a corner of the box lies outside the region.
    """
    x0, y0, x1, y1 = region
    corners = () if prompt.box is None else (prompt.box[:2], prompt.box[2:])
    for x, y in (*prompt.points, *corners):
        if not (x0 <= x <= x1 and y0 <= y <= y1):
            raise PromptError(
                f"({x:g}, {y:g}) lies outside the region {region}. "
                "Give a region that holds all points and the box, or none."
            )
    return prompt.moved(-x0, -y0)


def whole(prediction: Prediction, region: Region, size_hw: tuple[int, int], prompt: Prompt) -> Prediction:
    """A region's prediction as one of the whole image; masks end at the region.

    Parameters
    ----------
    prediction : Prediction
        In the region's pixels; its `low_res_logits` stay the region's.
    region : Region
    size_hw : (H, W)
        Of the image.
    prompt : Prompt
        In image pixels.
    """
    masks = RegionMasks(len(prediction.scores), size_hw, region, prediction.mask_of)
    return prediction.but(masks=masks, prompt=prompt, region=region)


class RegionMasks(LazyMasks):
    """Masks of an image that end at a region; see `Prediction.part_of`.

    Parameters
    ----------
    count : int
    size_hw : (H, W)
        Of the image.
    region : (x0, y0, x1, y1)
    of_region : callable
        The mask of an index inside the region.
    """

    def __init__(
        self, count: int, size_hw: tuple[int, int], region: Region, of_region: Callable[[int], NDArray[np.bool_]]
    ):
        x0, y0, x1, y1 = region

        def make(index: int, out: NDArray[np.bool_]) -> None:
            out[y0:y1, x0:x1] = of_region(index)

        super().__init__(count, size_hw, make)
        self._region, self._of_region = region, of_region

    def one(self, index: int) -> NDArray[np.bool_]:
        """The (H, W) mask of that index. Raises `ImageError` for images too large for whole masks."""
        height, width = self.shape[1:]
        if height * width > picture_files.MAX_PIXELS:
            raise ImageError(
                f"A whole mask of {width} x {height} pixels takes {height * width / 2**30:.1f} GiB. "
                "Use prediction.part_of(index): the corner (x, y), and the mask of the part that was searched."
            )
        return super().one(index)

    def part(self, index: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
        """The corner (x, y) of the region, and the mask in it."""
        return self._region[:2], self._of_region(range(self.shape[0])[index])
