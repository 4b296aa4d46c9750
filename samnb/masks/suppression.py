"""Non-maximum suppression of boxes, as torchvision's ``nms`` does it, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def suppress(
    boxes: NDArray[Any] | Sequence[Sequence[float]], scores: NDArray[Any] | Sequence[float], max_iou: float
) -> list[int]:
    """Of boxes that overlap, keep the one with the highest score.

    Parameters
    ----------
    boxes : (N, 4)
        (x0, y0, x1, y1); the area of one is (x1 - x0) * (y1 - y0).
    scores : (N,)
        Of equal scores the earlier box comes first.
    max_iou : float
        0 to 1: a box is dropped if its IoU with one that is kept is above this.

    Returns
    -------
    list of int
        Indices of the boxes that are kept, the highest score first.

    Examples
    --------
    >>> suppress([(0, 0, 10, 10), (1, 0, 10, 10), (20, 0, 30, 10)], [0.8, 0.9, 0.7], 0.7)
    [1, 2]
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    x0, y0, x1, y1 = corners.T
    areas = (x1 - x0) * (y1 - y0)
    left = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        width = np.minimum(x1[best], x1[left]) - np.maximum(x0[best], x0[left])
        height = np.minimum(y1[best], y1[left]) - np.maximum(y0[best], y0[left])
        common = width.clip(min=0) * height.clip(min=0)
        union = areas[best] + areas[left] - common
        # Boxes without an area have no IoU: they overlap with nothing.
        left = left[common <= max_iou * union]
    return kept
