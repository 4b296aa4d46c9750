"""`Outline`: the outlines of a mask as vertices to move, add and remove; the mask follows near the edit and only there.

Points are (x, y) in image pixels on pixel edges, as in `samnb.masks.editing`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..prompts import Point
from .editing import stroke_mask
from .geometry import Mask
from .polygons import fill_polygon, mask_polygons, simplify_ring

Ring = NDArray[np.float64]

# Outlines for display lie up to a quarter of a pixel beside the exact ones; a brush paints from its own middle.
_MARGIN = 1.0

_NONE = np.zeros((0, 2))


@dataclass(frozen=True, eq=False)
class Outline:
    """Rings of vertices, exteriors and holes alike; what is inside of an odd number of them is the mask.

    The vertices are fewer than the corners of the mask, so they describe it up to a tolerance. An edit therefore
    changes the mask itself, near the edges that moved, and nothing elsewhere: see `edited`. Each method returns another
    outline.

    Parameters
    ----------
    rings : tuple of (N, 2) float64
        (x, y) vertices, not closed. A ring without vertices was removed; the numbers of the others stay.
    tolerance : float
        Maximum distance, in pixels, of the mask's edge from the rings.

    Examples
    --------
    >>> mask = np.zeros((8, 8), bool)
    >>> mask[2:6, 2:6] = True
    >>> outline = Outline.of(mask)
    >>> outline.count
    4
    >>> corner = outline.vertex_at(6, 6, 0.5)
    >>> bigger = outline.moved(*corner, (8, 8))
    >>> int(mask.sum()), int(outline.edited(mask, bigger).sum())
    (16, 22)
    """

    rings: tuple[Ring, ...]
    tolerance: float = 0.0

    @classmethod
    def of(cls, mask: NDArray[np.bool_], *, tolerance: float = 1.0) -> Outline:
        """The outlines of an (H, W) mask, simplified by at most `tolerance` pixels."""
        polygons = mask_polygons(mask, tolerance=tolerance, exact=False)
        rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.holes)]
        return cls(tuple(np.asarray(ring, np.float64) for ring in rings), tolerance)

    @property
    def count(self) -> int:
        """The number of vertices."""
        return sum(len(ring) for ring in self.rings)

    def fill(self, size_hw: tuple[int, int]) -> Mask:
        """The (H, W) mask inside the rings."""
        return _filled(self.rings, size_hw, (0, 0))

    # -- places ------------------------------------------------------------------------------------

    def vertex_at(self, x: float, y: float, within: float) -> tuple[int, int] | None:
        """(ring, number) of the nearest vertex that is at most `within` pixels away."""
        return _nearest([np.hypot(*(ring - (x, y)).T) for ring in self.rings], within)

    def edge_at(self, x: float, y: float, within: float) -> tuple[int, int] | None:
        """(ring, number of its first vertex) of the nearest edge that is at most `within` pixels away."""
        return _nearest([_edge_distances(ring, np.array([x, y], np.float64)) for ring in self.rings], within)

    # -- edits -------------------------------------------------------------------------------------

    def moved(self, ring: int, number: int, to: Point) -> Outline:
        """With a vertex at another place."""
        vertices = self.rings[ring].copy()
        vertices[number] = to
        return self._with(ring, vertices)

    def added(self, ring: int, edge: int, at: Point) -> Outline:
        """With a vertex more, between vertex `edge` of the ring and the next one."""
        return self._with(ring, np.insert(self.rings[ring], edge + 1, at, axis=0))

    def removed(self, ring: int, number: int) -> Outline:
        """Without a vertex; a ring of fewer than three is removed."""
        vertices = np.delete(self.rings[ring], number, axis=0)
        return self._with(ring, vertices if len(vertices) > 2 else _NONE)

    def simplified(self, tolerance: float) -> Outline:
        """With fewer vertices: each ring within `tolerance` pixels of what it was."""
        rings = tuple(simplify_ring(ring, tolerance) if len(ring) else ring for ring in self.rings)
        return Outline(rings, max(self.tolerance, tolerance))

    def edited(self, mask: NDArray[np.bool_], after: Outline) -> Mask:
        """The mask after an edit of this outline of it.

        Only pixels change that lie between the old and the new edges, or within the tolerance of the old edges: there
        the mask gets the straight edges of the outline. All others stay, however coarse the outline is.

        Parameters
        ----------
        mask : (H, W) bool
        after : Outline
            This one with vertices moved, added or removed.
        """
        edited = mask.copy()
        for number, ring in enumerate(after.rings):
            before = self.rings[number] if number < len(self.rings) else _NONE
            if ring is not before:
                self._edit(edited, before, ring, after)
        return edited

    def _with(self, ring: int, vertices: Ring) -> Outline:
        return replace(self, rings=(*self.rings[:ring], vertices, *self.rings[ring + 1 :]))

    def _edit(self, mask: Mask, before: Ring, after: Ring, now: Outline) -> None:
        old, new = _stretches(before, after)
        touched = np.concatenate([old, new])
        if not len(touched):
            return
        reach = self.tolerance + _MARGIN
        height, width = mask.shape
        x0, y0 = np.floor(touched.min(axis=0) - reach).clip(0, (width, height)).astype(int)
        x1, y1 = np.ceil(touched.max(axis=0) + reach).clip(0, (width, height)).astype(int)
        if x0 >= x1 or y0 >= y1:
            return
        size, corner = (int(y1 - y0), int(x1 - x0)), (int(x0), int(y0))
        inside = _filled(now.rings, size, corner)
        changes = _filled((before, after), size, corner)
        if len(old):
            changes |= stroke_mask(size, (old - corner).tolist(), reach)
        mask[y0:y1, x0:x1] = np.where(changes, inside, mask[y0:y1, x0:x1])


def _filled(rings: tuple[Ring, ...], size_hw: tuple[int, int], corner: tuple[int, int]) -> Mask:
    """The pixels inside an odd number of the rings, in the part of the picture that begins at `corner`, (x, y)."""
    inside = np.zeros(size_hw, bool)
    for ring in rings:
        if len(ring) > 2:
            inside ^= fill_polygon(ring - corner, size_hw)
    return inside


def _stretches(before: Ring, after: Ring) -> tuple[Ring, Ring]:
    """The vertices in which two rings differ, with the neighbours on both sides, of each ring."""
    most = min(len(before), len(after))
    if not most:
        return _closed(before), _closed(after)
    unlike = np.flatnonzero((before[:most] != after[:most]).any(axis=1))
    if not len(unlike) and len(before) == len(after):
        return _NONE, _NONE
    first = int(unlike[0]) if len(unlike) else most
    unlike = np.flatnonzero((before[::-1][:most] != after[::-1][:most]).any(axis=1))
    last = min(int(unlike[0]) if len(unlike) else most, most - first)
    return _stretch(before, first, last), _stretch(after, first, last)


def _stretch(ring: Ring, first: int, last: int) -> Ring:
    return ring[np.arange(first - 1, len(ring) - last + 1) % len(ring)]


def _closed(ring: Ring) -> Ring:
    return np.concatenate([ring, ring[:1]])


def _nearest(distances: list[NDArray[Any]], within: float) -> tuple[int, int] | None:
    best, found = within, None
    for ring, each in enumerate(distances):
        if len(each) and each.min() <= best:
            best, found = float(each.min()), (ring, int(each.argmin()))
    return found


def _edge_distances(ring: Ring, place: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(ring) < 2:
        return np.zeros(0)
    along = np.roll(ring, -1, axis=0) - ring
    length = (along**2).sum(axis=1)
    share = ((place - ring) * along).sum(axis=1) / np.where(length > 0, length, 1)
    nearest = ring + share.clip(0, 1)[:, None] * along
    return np.asarray(np.hypot(*(nearest - place).T), np.float64)
