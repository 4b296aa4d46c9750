"""Masks drawn over a small picture again and again: their outlines are found once, one tint a colour.

`closeup.outlined` does the same for one large picture; a gallery of twelve has to be redrawn while a slider moves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from ...masks import mask_polygons

__all__ = ["Outlines"]

_KEPT = 1024

Mask = NDArray[np.bool_]
Rings = list[NDArray[np.int32]]


class Outlines:
    """The outlines of masks as large as their picture, remembered for the masks that were drawn last."""

    def __init__(self) -> None:
        # With the mask, so that its id is not given to another.
        self._known: OrderedDict[int, tuple[Mask, Rings]] = OrderedDict()

    def of(self, mask: Mask) -> Rings:
        """Its rings, (N, 2) int32 each."""
        known = self._known.get(id(mask))
        if known is None:
            parts = mask_polygons(mask, tolerance=0.7)
            known = (mask, [np.round(ring).astype(np.int32) for p in parts for ring in (p.exterior, *p.holes)])
            self._known[id(mask)] = known
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known[1]

    def draw(
        self, shown: NDArray[np.uint8], masks: Iterable[Mask], color: str, *, alpha: float = 0.28, width: int = 2
    ) -> None:
        """Tint and outline masks on a picture, in place.

        Parameters
        ----------
        shown : (H, W, 3) uint8
        masks : iterable of (H, W) bool
        color : "#rrggbb"
        alpha : float
            0: outlines alone.
        width : int
            Of the outlines, in pixels.
        """
        rgb = tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))
        rings = [self.of(mask) for mask in masks]
        if alpha and any(rings):
            tint = shown.copy()
            for each in filter(None, rings):
                cv2.fillPoly(tint, each, rgb)
            cv2.addWeighted(tint, alpha, shown, 1 - alpha, 0, dst=shown)
        for each in filter(None, rings):
            cv2.polylines(shown, each, True, rgb, width, cv2.LINE_AA)
