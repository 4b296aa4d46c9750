"""Outlines of masks for formats without holes and parts: one ring with cuts of zero width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...masks import Polygon

Ring = NDArray[np.float64]


def without_holes(polygon: Polygon) -> Ring:
    """(N, 2): one ring along the exterior and, joined by cuts of zero width, around each hole.

    Filled by the even-odd rule, it gives the polygon. A reader that also paints the outline paints the cuts.
    """
    return _joined(polygon.exterior, polygon.holes)


def bridged(polygons: Sequence[Polygon]) -> Ring:
    """(N, 2): all parts with their holes as one ring."""
    rings = [without_holes(polygon) for polygon in polygons]
    return _joined(rings[0], rings[1:])


def _joined(ring: Ring, others: Sequence[Ring]) -> Ring:
    for other in others:
        nearest = int(((ring - other[0]) ** 2).sum(1).argmin())
        ring = np.concatenate([ring[: nearest + 1], other, other[:1], ring[nearest:]])
    return ring
