"""Mask editing: strokes of a brush and an eraser, holes, specks, outlines. Pure functions; each returns a new mask.

A mask is an (H, W) bool array. Points are (x, y) in image pixels, on pixel edges as everywhere: the pixel in column 3
of row 7 is the square from (3, 7) to (4, 8), and its middle is (3.5, 7.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PromptError
from ..prompts import FOREGROUND, Point, Prompt
from .geometry import Mask, clean_mask, mask_bbox
from .polygons import fill_polygon

SPECK = 0.01
"""Parts smaller than this share of the largest one are specks."""

# A pixel is painted if its middle is that near; with less, a small brush would miss the pixel under it.
_LEAST_RADIUS = 0.71

_MANY_OUTLINES = 1000


def stroke_mask(size_hw: tuple[int, int], points: Sequence[Sequence[float]], radius: float) -> Mask:
    """The pixels that a round brush touches along some points.

    Parameters
    ----------
    size_hw : (H, W)
        Of the mask.
    points : sequence of (x, y)
        Image pixels; may lie outside. One point is a dab.
    radius : float
        Image pixels; below 1 the brush paints one pixel.

    Raises
    ------
    PromptError
        No point, or numbers that are not finite.

    Examples
    --------
    >>> stroke_mask((3, 5), [(0.5, 1.5), (4.5, 1.5)], 0.5).astype(int).tolist()
    [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    """
    path = np.asarray(points, np.float64).reshape(-1, 2)
    if not len(path) or not np.isfinite(path).all() or not np.isfinite(radius):
        raise PromptError(f"stroke: expected finite (x, y) pairs and a finite radius; got {points!r} and {radius!r}.")
    height, width = size_hw
    radius = min(max(float(radius), _LEAST_RADIUS), float(max(height, width)))
    # Farther out nothing can be touched; huge numbers would only take time.
    path = path.clip(-2 * radius - 1, np.array([width, height]) + 2 * radius + 1)
    touched = np.zeros(size_hw, bool)
    for start, end in _pieces(path, max(64.0, 4 * radius)):
        _touch(touched, start, end, radius)
    return touched


def brush(mask: NDArray[np.bool_], points: Sequence[Sequence[float]], radius: float) -> Mask:
    """The mask with a stroke painted on; see `stroke_mask`.

    Examples
    --------
    >>> brush(np.zeros((1, 4), bool), [(0.5, 0.5), (1.5, 0.5)], 0.5).astype(int).tolist()
    [[1, 1, 0, 0]]
    """
    return mask | stroke_mask(_size(mask), points, radius)


def erase(mask: NDArray[np.bool_], points: Sequence[Sequence[float]], radius: float) -> Mask:
    """The mask with a stroke erased; see `stroke_mask`.

    Examples
    --------
    >>> erase(np.ones((1, 4), bool), [(0.5, 0.5)], 0.5).astype(int).tolist()
    [[0, 1, 1, 1]]
    """
    return mask & ~stroke_mask(_size(mask), points, radius)


def lasso_mask(size_hw: tuple[int, int], points: Sequence[Sequence[float]]) -> Mask:
    """The pixels that a line drawn by hand surrounds, closed from its end to its start; loops in it count as inside.

    Parameters
    ----------
    size_hw : (H, W)
        Of the mask.
    points : sequence of (x, y)
        Image pixels; may lie outside. Fewer than three surround nothing.

    Raises
    ------
    PromptError
        Numbers that are not finite.

    Examples
    --------
    >>> lasso_mask((2, 4), [(1, 0), (3, 0), (3, 2), (1, 2)]).astype(int).tolist()
    [[0, 1, 1, 0], [0, 1, 1, 0]]
    """
    path = np.asarray(points, np.float64).reshape(-1, 2)
    if not np.isfinite(path).all():
        raise PromptError(f"lasso: expected finite (x, y) pairs; got {points!r}.")
    if len(path) < 3:
        return np.zeros(size_hw, bool)
    height, width = size_hw
    # As in a stroke: huge numbers would only take time, and lose the precision of the others.
    return fill_polygon(path.clip(-1e6, 1e6 + max(height, width)), size_hw, overlaps=True)


def fill_holes(mask: NDArray[np.bool_], *, max_area: int | None = None, keep: Iterable[Point] = ()) -> Mask:
    """The mask without its holes; a bay that reaches the picture's border is no hole.

    Parameters
    ----------
    mask : (H, W) bool
    max_area : int, optional
        Larger holes stay; in pixels. None: none stays.
    keep : iterable of (x, y)
        Holes that contain one of these points stay.

    Examples
    --------
    >>> ring = np.ones((3, 3), bool)
    >>> ring[1, 1] = False
    >>> bool(fill_holes(ring).all()), bool(fill_holes(ring, keep=[(1.5, 1.5)]).all())
    (True, False)
    """
    filled = mask.copy()
    here = _around(mask)
    holes = clean_mask(mask[here], fill_holes=True) & ~mask[here]
    filled[here] |= _parts(holes, _moved(keep, here), most=max_area, connectivity=4)
    return filled


def drop_specks(mask: NDArray[np.bool_], *, min_area: int | None = None, keep: Iterable[Point] = ()) -> Mask:
    """The mask without its smallest parts; the largest always stays.

    Parameters
    ----------
    mask : (H, W) bool
    min_area : int, optional
        Smaller parts are removed; in pixels. None: a hundredth of the largest part, see `SPECK`. Parts that touch at a
        corner are one.
    keep : iterable of (x, y)
        Parts that contain one of these points stay.

    Examples
    --------
    >>> mask = np.array([[1, 1, 1, 0, 1]], bool)
    >>> drop_specks(mask, min_area=2).astype(int).tolist()
    [[1, 1, 1, 0, 0]]
    >>> drop_specks(mask, min_area=2, keep=[(4.5, 0.5)]).astype(int).tolist()
    [[1, 1, 1, 0, 1]]
    """
    kept = np.zeros_like(mask)
    here = _around(mask)
    kept[here] = _large_parts(mask[here], min_area, _moved(keep, here))
    return kept


def smooth(mask: NDArray[np.bool_], *, radius: float = 2.0) -> Mask:
    """The mask with a smoother outline: bumps and bays smaller than the radius are removed.

    The mask is assumed to continue beyond the picture's border. A mask so thin that nothing would be left is unchanged.

    Parameters
    ----------
    mask : (H, W) bool
    radius : float
        Image pixels.

    Raises
    ------
    PromptError
        A radius that is not a finite number above 0.

    Examples
    --------
    >>> mask = np.zeros((9, 9), bool)
    >>> mask[4:] = True
    >>> mask[3, 4] = True
    >>> int(smooth(mask)[3].sum()), bool(smooth(mask)[4:].all())
    (0, True)
    """
    if not (np.isfinite(radius) and radius > 0):
        raise PromptError(f"smooth: expected a radius above 0; got {radius!r}.")
    smoothed = mask.copy()
    here = _around(mask, margin=int(4 * radius) + 2)
    if not mask[here].size:
        return smoothed
    blurred = cv2.GaussianBlur(mask[here].astype(np.float32), (0, 0), radius, borderType=cv2.BORDER_REPLICATE)
    calm = blurred > 0.5
    if calm.any():
        smoothed[here] = calm
    return smoothed


def pieces(mask: NDArray[np.bool_]) -> list[Mask]:
    """The connected parts of a mask, each as a mask, the largest first; parts that touch at a corner are one.

    Examples
    --------
    >>> [part.astype(int).tolist() for part in pieces(np.array([[1, 0, 1, 1]], bool))]
    [[[0, 0, 1, 1]], [[1, 0, 0, 0]]]
    """
    here = _around(mask)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask[here].astype(np.uint8), connectivity=8)
    parts = []
    for label in sorted(range(1, count), key=lambda label: -int(stats[label, cv2.CC_STAT_AREA])):
        part = np.zeros_like(mask)
        part[here] = labels == label
        parts.append(part)
    return parts


def tidy(mask: NDArray[np.bool_], prompt: Prompt) -> Mask:
    """A model's mask without specks and pinholes, unless a point of the prompt is on them.

    Parts and holes below a hundredth of the largest part are removed, unless a foreground point is on the part, or a
    background point in the hole.

    Examples
    --------
    >>> mask = np.zeros((40, 40), bool)
    >>> mask[5:30, 5:30] = True
    >>> mask[10, 10], mask[35, 35] = False, True
    >>> int(tidy(mask, Prompt.of(points=[(20, 20)])).sum()) == 25 * 25
    True
    """
    labels = tuple(zip(prompt.points, prompt.point_labels, strict=True))
    on = [point for point, label in labels if label == FOREGROUND]
    off = [point for point, label in labels if label != FOREGROUND]
    here = _around(mask)
    tidied = mask.copy()
    inside = _tidied_by_outlines(mask[here], _moved(on, here), _moved(off, here))
    if inside is None:
        kept = drop_specks(mask, keep=on)
        return fill_holes(kept, max_area=_pinhole(kept), keep=off)
    tidied[here] = inside
    return tidied


# ---------------------------------------------------------------- inside


def _size(mask: NDArray[np.bool_]) -> tuple[int, int]:
    return (mask.shape[0], mask.shape[1])


def _pieces(path: NDArray[np.float64], longest: float) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The path's pieces, none much longer than that: most pixels in the box of a long diagonal are not touched."""
    if len(path) == 1:
        yield path[0], path[0]
    for start, end in pairwise(path):
        cuts = max(1, int(np.ceil(np.abs(end - start).max() / longest)))
        places = [start + (end - start) * (i / cuts) for i in range(cuts + 1)]
        yield from pairwise(places)


def _touch(touched: Mask, start: NDArray[np.float64], end: NDArray[np.float64], radius: float) -> None:
    """Set the pixels whose middles are at most `radius` from a straight piece."""
    height, width = touched.shape
    x0, y0 = np.floor(np.minimum(start, end) - radius).clip(0, (width, height)).astype(int)
    x1, y1 = np.ceil(np.maximum(start, end) + radius + 1).clip(0, (width, height)).astype(int)
    if x0 >= x1 or y0 >= y1:
        return
    columns = np.arange(x0, x1)[None, :] + 0.5 - start[0]
    rows = np.arange(y0, y1)[:, None] + 0.5 - start[1]
    along = end - start
    length = float(along @ along)
    share = ((columns * along[0] + rows * along[1]) / length).clip(0, 1) if length else np.zeros((1, 1))
    near = (columns - share * along[0]) ** 2 + (rows - share * along[1]) ** 2 <= radius**2
    touched[y0:y1, x0:x1] |= near


def _around(mask: NDArray[np.bool_], margin: int = 1) -> tuple[slice, slice]:
    """The box of the mask, with a margin: large pictures are mostly empty."""
    x, y, width, height = mask_bbox(mask)
    return (slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin))


def _pinhole(mask: Mask) -> int:
    return max(1, int(SPECK * np.count_nonzero(mask)) - 1)


def _tidied_by_outlines(mask: Mask, on: Sequence[Point], off: Sequence[Point]) -> Mask | None:
    """`tidy` in a fifth of the time: outlines instead of a label for each pixel.

    None if a small part contains an island of another, and if all parts are specks: those few masks are processed
    pixel by pixel.
    """
    drawn = mask.astype(np.uint8)
    contours, tree = cv2.findContours(drawn, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    if len(contours) < 2:
        return mask
    if len(contours) > _MANY_OUTLINES:
        return None
    within: dict[int, list[int]] = {}
    parts: dict[int, None] = {}
    for number, (*_, parent) in enumerate(tree[0].tolist()):
        # Outlines of parts and of holes alternate from level to level.
        if parent not in parts:
            parts[number] = None
        within.setdefault(parent, []).append(number)
    holes = [number for number in range(len(contours)) if number not in parts]
    # Pick: the pixels on and in an outline of the pixels' middles, and those of a hole, which are in it alone.
    steps = {i: len(contours[i]) if len(contours[i]) > 1 else 0 for i in (*parts, *holes)}
    covers = {i: cv2.contourArea(contours[i]) + steps[i] / 2 + 1 for i in parts}
    spans = {i: cv2.contourArea(contours[i]) - steps[i] / 2 + 1 for i in holes}
    areas = {i: covers[i] - sum(spans[hole] for hole in within.get(i, ())) for i in parts}
    least = SPECK * max(areas.values())
    dropped = set()
    pointed = [point for point in on if _at(mask, point)]
    for part in parts:
        if areas[part] < least and not _holds_one(contours[part], pointed):
            if any(within.get(hole) for hole in within.get(part, ())):
                return None
            dropped.add(part)
            cv2.drawContours(drawn, [contours[part]], 0, (0,), cv2.FILLED)
    most = _pinhole(cast(Mask, drawn))
    pointed = [point for point in off if not _at(cast(Mask, drawn), point)]
    for hole in holes:
        islands = [part for part in within.get(hole, ()) if part not in dropped]
        if tree[0][hole][3] in dropped or spans[hole] - sum(covers[part] for part in islands) > most:
            continue
        if islands:
            return None
        if not _holds_one(contours[hole], pointed):
            cv2.drawContours(drawn, [contours[hole]], 0, (1,), cv2.FILLED)
    return cast(Mask, drawn.astype(bool))


def _at(mask: Mask, point: Point) -> bool:
    height, width = mask.shape
    x, y = point
    return 0 <= x < width and 0 <= y < height and bool(mask[int(y), int(x)])


def _holds_one(contour: NDArray[Any], points: Sequence[Point]) -> bool:
    return any(cv2.pointPolygonTest(contour, (float(int(x)), float(int(y))), False) >= 0 for x, y in points)


def _moved(points: Iterable[Point], here: tuple[slice, slice]) -> list[Point]:
    return [(x - here[1].start, y - here[0].start) for x, y in points]


def _large_parts(mask: Mask, min_area: int | None, keep: Sequence[Point]) -> Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if not len(areas):
        return mask
    least = SPECK * areas.max() if min_area is None else min_area
    stays = np.concatenate(([False], (areas >= least) | (areas == areas.max())))
    stays[_labels_at(labels, keep)] = True
    stays[0] = False
    return cast(Mask, stays[labels])


def _parts(mask: Mask, without: Sequence[Point], *, most: int | None, connectivity: int) -> Mask:
    """Those parts that are not larger and contain none of the points."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)
    stays = stats[:, cv2.CC_STAT_AREA] <= (mask.size if most is None else most)
    stays[_labels_at(labels, without)] = False
    stays[0] = False
    return cast(Mask, stays[labels])


def _labels_at(labels: NDArray[Any], points: Sequence[Point]) -> list[int]:
    height, width = labels.shape
    return [int(labels[int(y), int(x)]) for x, y in points if 0 <= x < width and 0 <= y < height]
