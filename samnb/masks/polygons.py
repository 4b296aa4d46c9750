"""Masks as polygons and back: the outlines of a mask, and the mask inside a polygon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .geometry import Mask, as_mask, mask_bbox

# Edge crossings computed at a time: with all at once, a polygon of many long edges takes more memory than its image.
_MAX_CROSSINGS = 1_000_000
_MAX_TOLERANCE = 1e9  # OpenCV takes no infinite one


@dataclass(frozen=True, eq=False)
class Polygon:
    """One connected part of a mask.

    Parameters
    ----------
    exterior : (N, 2) float64
        (x, y) corners on pixel edges, clockwise as seen on the screen, not closed.
    holes : tuple of (M, 2) float64
        The same for each hole, counter-clockwise.

    Examples
    --------
    >>> mask = np.ones((5, 5), bool)
    >>> mask[2, 2] = False
    >>> [polygon] = mask_polygons(mask)
    >>> len(polygon.exterior), [hole.min(axis=0).tolist() for hole in polygon.holes]
    (4, [[2.0, 2.0]])
    """

    exterior: NDArray[np.float64]
    holes: tuple[NDArray[np.float64], ...] = ()

    def moved(self, x: float, y: float) -> Polygon:
        """The same polygon at another place.

        Parameters
        ----------
        x : float
            Pixels to the right; negative to the left.
        y : float
            Pixels down; negative up.

        Returns
        -------
        Polygon
            A new one, with its holes.

        Examples
        --------
        From the place in a crop to that in the whole image:

        >>> [polygon] = mask_polygons(np.ones((4, 6), bool))
        >>> polygon.moved(100, 50).exterior.min(axis=0).tolist()
        [100.0, 50.0]
        """
        by = np.array([x, y], np.float64)
        return Polygon(self.exterior + by, tuple(hole + by for hole in self.holes))


def mask_polygons(mask: NDArray[Any], *, tolerance: float = 0.5, exact: bool = True) -> list[Polygon]:
    """The outlines of a mask: one polygon for each part, with its holes.

    Parameters
    ----------
    mask : (H, W) bool
        True on the object.
    tolerance : float
        The maximum distance, in pixels, of a simplified outline from the pixels' edges; 0 keeps every corner, and
        filling the polygons then gives the exact mask.
    exact : bool
        False: outlines for display. They take a tenth of the time, lie up to a quarter of a pixel beside the exact
        ones, and parts that touch at a corner are one part. With a tolerance of 0 they are still exact.

    Returns
    -------
    list of Polygon
        From top to bottom; exact parts that touch only at a corner are separate. Empty for an empty mask.

    Raises
    ------
    ImageError
        `mask` is no mask: not two axes, probabilities or logits, or several objects in one array. Or the tolerance is
        NaN, or a billion pixels and more.

    Examples
    --------
    >>> [polygon] = mask_polygons(np.ones((4, 6), bool))
    >>> sorted(map(tuple, polygon.exterior.tolist()))
    [(0.0, 0.0), (0.0, 4.0), (6.0, 0.0), (6.0, 4.0)]
    """
    if not tolerance < _MAX_TOLERANCE:
        raise ImageError(f"tolerance: expected a number of pixels, such as 0.5; got {tolerance}.")
    left, top, full_width, full_height = mask_bbox(mask)
    if not full_width:
        return []
    # Only the box around it: the time to find parts grows with the number of pixels.
    on = as_mask(mask)[top : top + full_height, left : left + full_width].view(np.uint8)
    if not exact and tolerance > 0:
        return _quick_polygons(on, np.array([left, top], np.float64), tolerance)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(on, connectivity=4)
    polygons = []
    for part in range(1, count):
        x, y, width, height = (int(v) for v in stats[part, :4])
        inside = labels[y : y + height, x : x + width] == part
        rings = [simplify_ring(ring, tolerance) + np.array([left + x, top + y]) for ring in _rings(inside)]
        polygons.append(Polygon(rings[0], tuple(rings[1:])))
    return polygons


def fill_polygon(ring: NDArray[np.float64], size_hw: tuple[int, int], *, overlaps: bool = False) -> Mask:
    """The (H, W) mask of all pixels whose centre lies in a polygon, by the even-odd rule.

    OpenCV and Pillow also fill pixels that a polygon only touches, half a pixel too much on every side. The cuts of
    zero width that join the holes of COCO's polygons cancel here.

    Parameters
    ----------
    ring : (N, 2) float
        (x, y) corners on pixel edges.
    overlaps : bool
        True: what the line surrounds more than once is inside too (the non-zero winding rule), and not only what it
        surrounds an odd number of times.

    Examples
    --------
    >>> fill_polygon(np.array([[1, 0], [3, 0], [3, 2], [1, 2]], float), (2, 4)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 1, 1, 0]]
    """
    mask = np.zeros(size_hw, bool)
    x0, y0 = np.asarray(ring, np.float64).T
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    # Rows whose centre lies between an edge's ends, the lower end not included.
    first, last = _centres(np.minimum(y0, y1), size_hw[0]), _centres(np.maximum(y0, y1), size_hw[0])
    counts = last - first
    if not counts.any():
        return mask
    # Outside the box of all crossings their number is even.
    top, bottom = int(first[counts > 0].min()), int(last.max())
    left, right = (int(end) for end in _centres(np.array([x0.min(), x0.max()]), size_hw[1]))
    crossed = np.zeros((bottom - top, right - left + 1), np.int32)
    for edges in np.array_split(np.arange(len(counts)), 1 + int(counts.sum()) // _MAX_CROSSINGS):
        edge = np.repeat(edges, counts[edges])
        rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts[edges]) - counts[edges] - first[edges], counts[edges])
        x = x0[edge] + (rows + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
        turns = np.where(y1 > y0, 1, -1)[edge] if overlaps else 1
        np.add.at(crossed, (rows - top, np.clip(_centres(x, size_hw[1]), left, right) - left), turns)
    times = np.cumsum(crossed[:, :-1], axis=1)
    mask[top:bottom, left:right] = times != 0 if overlaps else times % 2 == 1
    return mask


def _centres(place: NDArray[np.float64], end: int) -> NDArray[np.int_]:
    """The number of pixel centres before each position, of `end` in all."""
    return np.clip(np.ceil(place - 0.5), 0, end).astype(int)


def _quick_polygons(mask: NDArray[np.uint8], offset: NDArray[np.float64], tolerance: float) -> list[Polygon]:
    """Outlines through the pixels' centres, as OpenCV finds them, of pixels half as large: a quarter from the edge."""
    fine = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes: dict[int, list[NDArray[np.float64]]] = {}
    outer, rings = [], []
    for number, (contour, (*_, parent)) in enumerate(zip(contours, tree[0].tolist(), strict=True)):
        rings.append((simplify_ring(contour[:, 0], 2 * tolerance) + 0.5) / 2 + offset)
        outer.append(number) if parent < 0 else holes.setdefault(parent, []).append(rings[-1])
    return [Polygon(rings[number], tuple(holes.get(number, ()))) for number in reversed(outer)]


def _rings(part: Mask) -> list[NDArray[np.float64]]:
    """Exact outlines of one 4-connected part, the exterior first, then the holes.

    OpenCV's contours join pixel *centres*, half a pixel inside the edges. So the part is drawn on a lattice of
    twice the size, where even positions are the pixels' corners and edges: there the border runs along them.
    """
    height, width = part.shape
    lattice = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    lattice[1::2, 1::2] = part
    lattice = cv2.dilate(lattice, np.ones((3, 3), np.uint8))
    contours, hierarchy = cv2.findContours(lattice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    order = sorted(range(len(contours)), key=lambda i: hierarchy[0][i][3] >= 0)
    return [_corners(contours[i][:, 0]) / 2 for i in order]


def _corners(chain: NDArray[Any]) -> NDArray[np.float64]:
    """The lattice points at which the outline turns."""
    following = np.roll(chain, -1, axis=0)
    # A diagonal step cuts an inner corner; of the two points beside it, the corner has even coordinates.
    corner = np.where(chain % 2 == 0, chain, following)
    ring = np.stack([chain, np.where((chain != following).all(1, keepdims=True), corner, chain)], 1).reshape(-1, 2)
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(1)]
    incoming, outgoing = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[(incoming != outgoing).any(1)][::-1].astype(np.float64)


def simplify_ring(ring: NDArray[Any], tolerance: float) -> NDArray[Any]:
    """An (N, 2) ring with fewer corners, at most `tolerance` pixels from them; something smaller stays as it is."""
    if tolerance <= 0:
        return ring
    fewer = cv2.approxPolyDP(ring.astype(np.float32), tolerance, closed=True)[:, 0]
    # Something smaller than the tolerance would shrink to a line.
    return fewer.astype(np.float64) if len(fewer) > 2 else ring
