"""Where an image is searched: the parts it is cut into, and the clicks on each.

Both are those of segment-anything's ``SamAutomaticMaskGenerator``, so that its parameters mean the same here.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..encoding.regions import Region

NEAR = 20
"""Pixels from the side of a crop at which a mask counts as cut off by it."""


def crops(size_hw: tuple[int, int], layers: int, overlap_ratio: float) -> list[tuple[Region, int]]:
    """The whole image, then layer by layer 4, 16, … crops that overlap; each with the number of its layer.

    Parameters
    ----------
    size_hw : (H, W)
    layers : int
        0: only the whole image.
    overlap_ratio : float
        Of the first layer's crops, as a share of the image's shorter side; each next layer has half of it.

    Returns
    -------
    list of ((x0, y0, x1, y1), int)
        Whole image pixels.

    Examples
    --------
    >>> crops((100, 200), 1, 0.2)[:3]
    [((0, 0, 200, 100), 0), ((0, 0, 110, 60), 1), ((0, 40, 110, 100), 1)]
    """
    height, width = size_hw
    found: list[tuple[Region, int]] = [((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        each_side = 2**layer
        overlap = int(overlap_ratio * min(size_hw) * 2 / each_side)
        across, down = (math.ceil((overlap * (each_side - 1) + side) / each_side) for side in (width, height))
        starts = [[(side - overlap) * number for number in range(each_side)] for side in (across, down)]
        for x, y in product(*starts):
            found.append(((x, y, min(x + across, width), min(y + down, height)), layer))
    return found


def grid(per_side: int) -> NDArray[np.float64]:
    """(per_side², 2): (x, y) of clicks in the middles of equal cells, row by row, 0 to 1.

    Examples
    --------
    >>> grid(2).tolist()
    [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    middles = np.linspace(0.5 / per_side, 1 - 0.5 / per_side, per_side)
    return np.stack(np.meshgrid(middles, middles), -1).reshape(-1, 2)


def is_cut_off(bbox: tuple[float, float, float, float], crop: Region, size_hw: tuple[int, int]) -> bool:
    """Whether a mask's box (x, y, w, h), in image pixels, ends where the crop does and the image does not.

    Examples
    --------
    >>> is_cut_off((5, 5, 94, 30), (0, 0, 100, 100), (100, 200))
    True
    """
    x, y, width, height = bbox
    sides = (x, y, x + width - 1, y + height - 1)
    ends = zip(sides, crop, (0, 0, size_hw[1], size_hw[0]), strict=True)
    return any(abs(side - end) <= NEAR < abs(side - border) for side, end, border in ends)
