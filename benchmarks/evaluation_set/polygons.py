"""Hand-drawn outlines: points in image pixels, a smooth line through them, and the pixels inside.

A file is ``{"image": name, "objects": [{"label": ..., "outlines": [[[x, y], ...], ...], ...}]}``. Points are (x, y),
(0, 0) the middle of the first pixel. The line is smooth through every point; a point written twice is a corner.
`holes`, outlines too, are cut out, and so are the objects whose labels stand in `minus`: they lie in front.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Points = list[list[float]]

STEPS = 8
FINER = 4


def curve(points: Points) -> npt.NDArray[np.float64]:
    """Return (M, 2) points of the closed smooth line (cubic Hermite, Catmull–Rom tangents) through `points`."""
    corners = np.asarray(points, float)
    t = np.linspace(0, 1, STEPS, endpoint=False)[:, None]
    pieces = []
    for index, start in enumerate(corners):
        before, end = corners[index - 1], corners[(index + 1) % len(corners)]
        after = corners[(index + 2) % len(corners)]
        if (start == end).all():
            continue
        leaving = end - start if (before == start).all() else (end - before) / 2
        arriving = end - start if (end == after).all() else (after - start) / 2
        pieces.append(
            (2 * t**3 - 3 * t**2 + 1) * start
            + (t**3 - 2 * t**2 + t) * leaving
            + (3 * t**2 - 2 * t**3) * end
            + (t**3 - t**2) * arriving
        )
    return np.concatenate(pieces)


def fill(points: Points, size_hw: tuple[int, int]) -> Mask:
    """Return the (H, W) pixels of which half or more lies inside the smooth line."""
    # cv2.fillPoly also takes every pixel the line touches, half a pixel too many all round: hence the finer grid, and
    # five eighths for half. skimage.draw.polygon is exact, and takes five seconds for this set.
    height, width = size_hw
    fine = np.zeros((height * FINER, width * FINER), np.uint8)
    cv2.fillPoly(fine, [np.rint((curve(points) + 0.5) * FINER - 0.5).astype(np.int32)], 255)
    return np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)) >= 160


def read_outlines(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return the picture's name and the objects of one file.

    Raises
    ------
    ValueError
        An object lacks its label or outlines, or an outline has fewer than three points.
    """
    stored = json.loads(path.read_text())
    for one in stored["objects"]:
        if not one.get("label") or not one.get("outlines"):
            raise ValueError(f"{path.name}: every object needs a label and outlines, not so {str(one)[:60]}")
        if any(len(points) < 3 for points in one["outlines"] + one.get("holes", [])):
            raise ValueError(f"{path.name}, {one['label']!r}: an outline needs three points or more")
    return stored["image"], stored["objects"]


def masks_of(objects: list[dict[str, Any]], size_hw: tuple[int, int]) -> dict[str, Mask]:
    """Return label: (H, W) mask for each object, holes and what lies in front cut out."""
    whole = {}
    for one in objects:
        mask = np.zeros(size_hw, bool)
        for points in one["outlines"]:
            mask |= fill(points, size_hw)
        for points in one.get("holes", []):
            mask &= ~fill(points, size_hw)
        whole[one["label"]] = mask
    cut = {}
    for one in objects:
        mask = whole[one["label"]].copy()
        for front in one.get("minus", []):
            mask &= ~whole[front]
        cut[one["label"]] = mask
    return cut
