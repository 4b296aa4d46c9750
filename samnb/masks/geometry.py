"""Boxes, areas, overlaps and clean-up of masks.

A mask is an (H, W) bool array, True on the object. Coordinates are (x, y) on pixel edges: pixel (0, 0) covers
the square from 0 to 1, so a mask of the whole image has the box 0, 0, W, H and its polygon the same corners.
"""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError

Mask = NDArray[np.bool_]


def as_mask(mask: NDArray[Any]) -> Mask:
    """The mask as an (H, W) bool array, a view if it is one already; whole numbers, 0 and one other, count as one.

    Raises
    ------
    ImageError
        Another number of axes; probabilities, logits, NaN, None; the numbers of several objects.
    """
    values = np.asarray(mask)
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise ImageError(
            f"Expected a mask of shape (H, W) and dtype bool, got shape {values.shape} and dtype {values.dtype}. "
            "Take one mask of several with masks[0]; turn logits into a mask with logits > 0."
        )
    if values.dtype.kind == "b" or not values.size:
        return cast(Mask, values.astype(np.bool_, copy=False))
    other = values.max() or values.min()
    if values.dtype.kind == "f" or not ((values == 0) | (values == other)).all():
        raise ImageError(f"Expected a mask of dtype bool, or of 0 and one other whole number; {_how_to_decide(values)}")
    return cast(Mask, values != 0)


def _how_to_decide(values: NDArray[Any]) -> str:
    """What values that are no mask seem to be, and the comparison that makes one of them."""
    if values.dtype.kind in "ui":
        low, high = int(values.min()), int(values.max())
        return f"got whole numbers from {low} to {high}. One object of a label map is labels == {high}."
    if np.isnan(values).any():
        return "got NaN. Say what is on the object: values > 0.5 is False for NaN."
    least, most = float(values.min()), float(values.max())
    if least >= 0 and most <= 1:
        how = "A threshold decides: probabilities > 0.5, logits > 0."
        return f"got numbers from {least:g} to {most:g}, as of probabilities. {how}"
    return f"got numbers from {least:g} to {most:g}, as of logits. A threshold decides: logits > 0."


def mask_bbox(mask: NDArray[Any]) -> tuple[int, int, int, int]:
    """The smallest box around a mask, in whole pixels.

    Parameters
    ----------
    mask : (H, W) bool
        True on the object.

    Returns
    -------
    (x, y, width, height)
        Column and row of its first pixel, then its size: COCO's "bbox". (0, 0, 0, 0) for an empty mask.

    Raises
    ------
    ImageError
        It is no mask: not two axes, probabilities or logits, or several objects in one array.

    Examples
    --------
    >>> mask_bbox(np.array([[0, 0, 0], [0, 1, 1]], bool))
    (1, 1, 2, 1)
    """
    on = as_mask(mask)
    columns, rows = np.flatnonzero(on.any(axis=0)), np.flatnonzero(on.any(axis=1))
    if not len(columns):
        return (0, 0, 0, 0)
    x, y = int(columns[0]), int(rows[0])
    return (x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def mask_area(mask: NDArray[Any]) -> int:
    """Number of pixels that a mask covers.

    Parameters
    ----------
    mask : (H, W) bool
        True on the object.

    Returns
    -------
    int
        0 for an empty mask.

    Raises
    ------
    ImageError
        It is no mask: not two axes, probabilities or logits, or several objects in one array.

    Examples
    --------
    >>> mask_area(np.array([[0, 1, 1], [0, 1, 0]], bool))
    3
    """
    return int(np.count_nonzero(as_mask(mask)))


def mask_iou(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Intersection over union of two masks: how well they agree.

    Parameters
    ----------
    a, b : (H, W) bool
        Masks of one size; their order does not matter.

    Returns
    -------
    float
        The pixels of both over the pixels of either: 0.0 where they share none, 1.0 for equal masks. Two empty masks
        have nothing in common: 0.0.

    Raises
    ------
    ImageError
        The masks have different sizes, or one is no mask: not two axes, probabilities or logits, or several objects in
        one array.

    Examples
    --------
    >>> mask_iou(np.array([[1, 1, 0]], bool), np.array([[0, 1, 1]], bool))
    0.3333333333333333
    """
    first, second = as_mask(a), as_mask(b)
    if first.shape != second.shape:
        raise ImageError(f"Expected two masks of one size, got {first.shape} and {second.shape}.")
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 0.0


def overlap_of_smaller(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The share of the smaller of two masks that is in the other, 0 to 1.

    Not the IoU: half of an object found beside the whole of it is a double, and has an IoU of only 0.5.

    Examples
    --------
    >>> whole, part = np.ones((4, 4), bool), np.eye(4, dtype=bool)
    >>> overlap_of_smaller(whole, part)
    1.0
    """
    smaller = min(int(one.sum()), int(other.sum()))
    return float((one & other).sum() / smaller) if smaller else 0.0


def clean_mask(mask: NDArray[Any], *, min_area: int = 0, fill_holes: bool = False, keep_largest: bool = False) -> Mask:
    """A cleaned copy of a mask: first holes are filled, then parts are removed.

    Parameters
    ----------
    mask : (H, W) bool
        True on the object.
    min_area : int
        Parts of fewer pixels are removed; 0 keeps all. Parts that touch at a corner are one part.
    fill_holes : bool
        Fill enclosed areas; a bay that reaches the picture's border is not a hole.
    keep_largest : bool
        Keep only the part with most pixels; of equal ones that nearest the top.

    Returns
    -------
    (H, W) bool
        A new array, also where nothing changed.

    Raises
    ------
    ImageError
        It is no mask: not two axes, probabilities or logits, or several objects in one array.

    Examples
    --------
    >>> dots = np.array([[1, 0, 1, 1]], bool)
    >>> clean_mask(dots, keep_largest=True).astype(int).tolist()
    [[0, 0, 1, 1]]
    """
    cleaned = as_mask(mask).copy()
    if fill_holes:
        cleaned = _without_holes(cleaned)
    if min_area > 1 or keep_largest:
        count, labels, stats, _ = cv2.connectedComponentsWithStats(cleaned.astype(np.uint8), connectivity=8)
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0
        keep = areas >= max(min_area, 1)
        if keep_largest and count > 1:
            keep &= np.arange(count) == areas.argmax()
        cleaned = keep[labels]
    return cleaned


def _without_holes(mask: Mask) -> Mask:
    around = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(around, connectivity=4)
    return cast(Mask, (labels != labels[0, 0])[1:-1, 1:-1])
