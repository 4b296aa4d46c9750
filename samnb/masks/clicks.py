"""Simulated clicks: where a careful user clicks next, given the wanted mask and the shown one.

The rule is that of the benchmarks of interactive segmentation (RITM: Sofiiuk et al. 2021,
https://arxiv.org/abs/2102.06583): always the middle of the largest mistake. NumPy and OpenCV only.

Clicks are pixel centres in the coordinates of `Prompt`: the pixel in column 3 of row 7 is clicked at (3.5, 7.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, PromptError
from ..prompts import BACKGROUND, FOREGROUND, Point
from .geometry import mask_bbox


def first_click(mask: NDArray[np.bool_]) -> Point:
    """The middle of an object: the (x, y) of its pixel farthest from the outline, see `deepest_pixel`.

    Parameters
    ----------
    mask : (H, W) bool

    Raises
    ------
    PromptError
        An empty mask.

    Examples
    --------
    >>> mask = np.zeros((8, 8), bool)
    >>> mask[2:7, 1:6] = True
    >>> first_click(mask)
    (3.5, 4.5)
    """
    depth, point = deepest_pixel(mask)
    if not depth:
        raise PromptError("An empty mask has no place to click. Give a mask with at least one pixel.")
    return point


def next_click(
    mask: NDArray[np.bool_], answer: NDArray[np.bool_], taken: Iterable[Point] = ()
) -> tuple[Point, int] | None:
    """The next correcting click: the middle of the largest error, and 1 for foreground or 0 for background.

    Missed and wrongly added pixels are searched apart. The kind that reaches deeper decides; equally deep, the wrongly
    added pixels do, as in RITM's code.

    Parameters
    ----------
    mask : (H, W) bool
        The wanted mask.
    answer : (H, W) bool
        The shown mask.
    taken : iterable of (x, y)
        Clicks already made; a pixel that was clicked is not clicked again.

    Returns
    -------
    ((x, y), label) or None
        None when no unclicked mistake is left.

    Examples
    --------
    >>> wanted, shown = np.zeros((2, 9, 9), bool)
    >>> wanted[1:8, 1:8] = shown[1:8, 1:3] = True
    >>> next_click(wanted, shown)  # what is missed is 5 wide and 7 high
    ((5.5, 3.5), 1)
    """
    if mask.shape != answer.shape:
        raise ImageError(f"Expected a mask and an answer of one size, got {mask.shape} and {answer.shape}.")
    taken = tuple(taken)
    missed, missed_at = deepest_pixel(mask & ~answer, taken)
    added, added_at = deepest_pixel(answer & ~mask, taken)
    if not missed and not added:
        return None
    return (missed_at, FOREGROUND) if missed > added else (added_at, BACKGROUND)


def deepest_pixel(region: NDArray[Any], taken: Iterable[Point] = (), *, precise: bool = True) -> tuple[float, Point]:
    """The pixel of a region that is farthest from its outside; beyond the image is outside, too.

    Parameters
    ----------
    region : (H, W) bool
    taken : iterable of (x, y)
        Pixels that are not wanted.
    precise : bool
        False: with OpenCV's quick distances, up to a few per cent off, so another pixel may win.

    Returns
    -------
    depth : float
        Distance to the outside in pixels; 0 if no pixel is left.
    point : (x, y)
        The pixel's centre; of equally deep ones the topmost, of these the leftmost.

    Examples
    --------
    >>> deepest_pixel(np.ones((3, 5), bool))
    (2.0, (1.5, 1.5))
    """
    # Distances inside the box do not depend on its surroundings, and the box is often small.
    left, top, width, height = mask_bbox(region)
    if not width:
        return 0.0, (0.0, 0.0)
    inside = np.pad(region[top : top + height, left : left + width].astype(np.uint8), 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE if precise else 3)[1:-1, 1:-1]
    for x, y in taken:
        column, row = int(x) - left, int(y) - top
        if 0 <= column < width and 0 <= row < height:
            depth[row, column] = 0
    row, column = (int(v) for v in np.unravel_index(int(depth.argmax()), depth.shape))
    return float(depth[row, column]), (left + column + 0.5, top + row + 0.5)
