"""Masks as arrays, run lengths and polygons, and pictures of them. Pure NumPy, OpenCV and Pillow; no model.

A mask is an (H, W) bool array, True on the object. Coordinates are (x, y) on pixel edges: pixel (0, 0) covers
the square from 0 to 1, so a mask of the whole picture has the box 0, 0, W, H and its polygon the same corners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..errors import ImageError
from ..images import thumbnail
from ..images.reading import Pixels

__all__ = [
    "CATEGORY_COLORS",
    "Polygon",
    "category_color",
    "clean_mask",
    "contact_sheet",
    "decode_rle",
    "encode_rle",
    "mask_area",
    "mask_bbox",
    "mask_iou",
    "mask_polygons",
    "overlay",
]

Mask = NDArray[np.bool_]

CATEGORY_COLORS = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#882255", "#44aa99", "#999933", "#332288", "#cc6677"),
)
"""Okabe and Ito's colours without black, then five of Paul Tol's "muted": told apart with colour blindness."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """One connected part of a mask.

    Parameters
    ----------
    exterior : (N, 2) float64
        (x, y) corners on pixel edges, clockwise as seen on the screen, not closed.
    holes : tuple of (M, 2) float64
        The same for each hole, counter-clockwise.
    """

    exterior: NDArray[np.float64]
    holes: tuple[NDArray[np.float64], ...] = ()


def encode_rle(mask: NDArray[Any]) -> dict[str, Any]:
    """COCO's uncompressed run lengths: column by column, zeros first.

    Returns
    -------
    dict
        ``{"size": [H, W], "counts": [int, ...]}``, plain numbers, ready for JSON.

    Examples
    --------
    >>> encode_rle(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': [2, 2]}
    >>> encode_rle(np.array([[True]]))
    {'size': [1, 1], 'counts': [0, 1]}
    """
    flat = _as_mask(mask).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    starts_on = bool(flat.size and flat[0])
    return {"size": list(mask.shape), "counts": [0, *counts] if starts_on else counts}


def decode_rle(rle: Mapping[str, Any]) -> Mask:
    """The (H, W) bool mask of COCO's uncompressed run lengths.

    Raises
    ------
    ImageError
        Compressed counts, counts that are no whole numbers, or that do not fill the size.

    Examples
    --------
    >>> decode_rle({"size": [2, 2], "counts": [2, 2]}).astype(int).tolist()
    [[0, 1], [0, 1]]
    """
    height, width = (int(v) for v in rle["size"])
    if isinstance(rle["counts"], str | bytes):
        raise ImageError(
            "Expected uncompressed run lengths, a list of numbers, got compressed ones. "
            "pycocotools.mask.decode(rle) reads them; encode_rle of that mask gives the list."
        )
    counts = np.asarray(rle["counts"])
    # Made whole by cutting them off, fractions may still fill the size, with another mask.
    if counts.dtype.kind == "f" and not (whole := counts % 1 == 0).all():
        where = int(np.argmin(whole))
        raise ImageError(
            f"Expected run lengths that are whole numbers, got {counts.flat[where]} as number {where + 1} of "
            f"{counts.size:,}. The record is damaged: write it anew with the tool that made it."
        )
    counts = counts.astype(np.int64)
    # Each by itself, too: a sum of int64 can wrap around to the right one.
    if counts.sum() != height * width or (counts < 0).any() or (counts > height * width).any():
        raise ImageError(
            f"Run lengths of {int(counts.sum()):,} pixels do not fill a mask of {height} x {width} = "
            f"{height * width:,}. The record is damaged, or its size is written as [width, height]."
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((height, width), order="F")


def mask_bbox(mask: NDArray[Any]) -> tuple[int, int, int, int]:
    """The smallest (x, y, width, height) around a mask, in whole pixels; an empty mask gives (0, 0, 0, 0).

    Examples
    --------
    >>> mask_bbox(np.array([[0, 0, 0], [0, 1, 1]], bool))
    (1, 1, 2, 1)
    """
    on = _as_mask(mask)
    columns, rows = np.flatnonzero(on.any(axis=0)), np.flatnonzero(on.any(axis=1))
    if not len(columns):
        return (0, 0, 0, 0)
    x, y = int(columns[0]), int(rows[0])
    return (x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def mask_area(mask: NDArray[Any]) -> int:
    """How many pixels a mask covers."""
    return int(np.count_nonzero(_as_mask(mask)))


def mask_iou(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Intersection over union of two masks of one size, 0 to 1. Two empty masks have nothing in common: 0.0.

    Examples
    --------
    >>> mask_iou(np.array([[1, 1, 0]], bool), np.array([[0, 1, 1]], bool))
    0.3333333333333333
    """
    first, second = _as_mask(a), _as_mask(b)
    if first.shape != second.shape:
        raise ImageError(f"Expected two masks of one size, got {first.shape} and {second.shape}.")
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 0.0


def clean_mask(mask: NDArray[Any], *, min_area: int = 0, fill_holes: bool = False, keep_largest: bool = False) -> Mask:
    """A tidied copy of a mask: first holes are filled, then parts are dropped.

    Parameters
    ----------
    mask : (H, W) bool
    min_area : int
        Parts of fewer pixels are dropped. Parts that touch at a corner are one part.
    fill_holes : bool
        Fill what is enclosed on all sides; a bay that reaches the picture's border is no hole.
    keep_largest : bool
        Keep only the part with most pixels; of equal ones that nearest the top.

    Examples
    --------
    >>> dots = np.array([[1, 0, 1, 1]], bool)
    >>> clean_mask(dots, keep_largest=True).astype(int).tolist()
    [[0, 0, 1, 1]]
    """
    cleaned = _as_mask(mask).copy()
    if fill_holes:
        cleaned = _filled(cleaned)
    if min_area > 1 or keep_largest:
        count, labels, stats, _ = cv2.connectedComponentsWithStats(cleaned.astype(np.uint8), connectivity=8)
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0
        keep = areas >= max(min_area, 1)
        if keep_largest and count > 1:
            keep &= np.arange(count) == areas.argmax()
        cleaned = keep[labels]
    return cleaned


def mask_polygons(mask: NDArray[Any], *, tolerance: float = 0.5) -> list[Polygon]:
    """The outlines of a mask: one polygon for each part, with its holes.

    Parameters
    ----------
    mask : (H, W) bool
    tolerance : float
        How far, in pixels, a simplified outline may leave the pixels' edges; 0 keeps every corner, and
        filling the polygons then gives back the mask exactly.

    Returns
    -------
    list of Polygon
        From top to bottom; parts that touch only at a corner are separate. Empty for an empty mask.

    Examples
    --------
    >>> [polygon] = mask_polygons(np.ones((4, 6), bool))
    >>> sorted(map(tuple, polygon.exterior.tolist()))
    [(0.0, 0.0), (0.0, 4.0), (6.0, 0.0), (6.0, 4.0)]
    """
    left, top, full_width, full_height = mask_bbox(mask)
    if not full_width:
        return []
    # Only the box around it: looking for parts takes as long as there are pixels.
    on = _as_mask(mask)[top : top + full_height, left : left + full_width].astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(on, connectivity=4)
    polygons = []
    for part in range(1, count):
        x, y, width, height = (int(v) for v in stats[part, :4])
        inside = labels[y : y + height, x : x + width] == part
        rings = [_simplified(ring, tolerance) + np.array([left + x, top + y]) for ring in _rings(inside)]
        polygons.append(Polygon(rings[0], tuple(rings[1:])))
    return polygons


def overlay(
    pixels: Pixels,
    masks: Sequence[NDArray[Any]] | NDArray[Any],
    *,
    colors: Sequence[str] | None = None,
    alpha: float = 0.45,
) -> Pixels:
    """A copy of the picture with masks laid over it, tinted inside and with a solid edge.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
    masks : sequence of (H, W) bool, or (N, H, W)
        Later ones lie on top.
    colors : sequence of "#rrggbb", optional
        One for each mask; `category_color` of its position unless given.
    alpha : float
        Strength of the tint, 0 to 1.

    Examples
    --------
    >>> overlay(np.zeros((2, 2, 3), np.uint8), [np.ones((2, 2), bool)], colors=["#ff8000"])[0, 0].tolist()
    [255, 128, 0]
    """
    colors = [category_color(i) for i in range(len(masks))] if colors is None else colors
    if len(colors) != len(masks):
        raise ImageError(f"Expected {len(masks)} colors, one for each mask; got {len(colors)}.")
    shown = pixels.copy()
    for mask, color in zip(masks, colors, strict=True):
        on = _as_mask(mask)
        if on.shape != pixels.shape[:2]:
            raise ImageError(f"Expected masks of the picture's size {pixels.shape[:2]}, got {on.shape}.")
        x, y, width, height = mask_bbox(on)
        if width:
            _tint(shown[y : y + height, x : x + width], on[y : y + height, x : x + width], _rgb(color), alpha)
    return shown


def category_color(index: int) -> str:
    """The "#rrggbb" colour of the category at that position; after the last the first comes again.

    Examples
    --------
    >>> category_color(0) == category_color(len(CATEGORY_COLORS))
    True
    """
    return CATEGORY_COLORS[index % len(CATEGORY_COLORS)]


def contact_sheet(
    tiles: Sequence[Pixels], *, columns: int = 4, tile: int = 256, captions: Sequence[str] | None = None
) -> Pixels:
    """Many pictures on one sheet, row by row, each fitted into a square and centred.

    Parameters
    ----------
    tiles : sequence of (H, W, 3) uint8
    columns : int
        At most so many in a row.
    tile : int
        Side of a square in pixels; pictures are shrunk to it, never enlarged.
    captions : sequence of str, optional
        One for each picture, written below it, cut to the width.

    Examples
    --------
    >>> contact_sheet([np.zeros((50, 80, 3), np.uint8)] * 5, columns=3, tile=40).shape
    (80, 120, 3)
    """
    if not len(tiles) or columns < 1 or tile < 1:
        raise ImageError(f"Expected pictures, columns and tile above 0; got {len(tiles)}, {columns} and {tile}.")
    if captions is not None and len(captions) != len(tiles):
        raise ImageError(f"Expected {len(tiles)} captions, one for each picture; got {len(captions)}.")
    columns = min(columns, len(tiles))
    strip = 0 if captions is None else max(12, tile // 10)
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * tile, rows * (tile + strip)), "#f4f4f4")
    for index, pixels in enumerate(tiles):
        small = Image.fromarray(thumbnail(pixels, tile))
        left, top = index % columns * tile, index // columns * (tile + strip)
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        if captions is not None:
            _write(sheet, captions[index], (left, top + tile, tile, strip))
    return np.array(sheet)


# ---------------------------------------------------------------- inside


def _as_mask(mask: NDArray[Any]) -> Mask:
    values = np.asarray(mask)
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise ImageError(
            f"Expected a mask of shape (H, W) and dtype bool, got shape {values.shape} and dtype {values.dtype}. "
            "Take one mask of several with masks[0]; turn logits into a mask with logits > 0."
        )
    return cast(Mask, values.astype(np.bool_, copy=False))


def _filled(mask: Mask) -> Mask:
    around = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(around, connectivity=4)
    return cast(Mask, (labels != labels[0, 0])[1:-1, 1:-1])


def _rings(part: Mask) -> list[NDArray[np.float64]]:
    """Exact outlines of one 4-connected part: the exterior first, then the holes.

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


def _simplified(ring: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    if tolerance <= 0:
        return ring
    fewer = cv2.approxPolyDP(ring.astype(np.float32), tolerance, closed=True)[:, 0]
    # Something smaller than the tolerance would shrink to a line.
    return fewer.astype(np.float64) if len(fewer) > 2 else ring


def _rgb(color: str) -> NDArray[np.float64]:
    try:
        red, green, blue = bytes.fromhex(color.removeprefix("#"))
    except ValueError as error:
        raise ImageError(f'Expected a color like "#e69f00", got {color!r}.') from error
    return np.array([red, green, blue], np.float64)


def _tint(view: Pixels, mask: Mask, rgb: NDArray[np.float64], alpha: float) -> None:
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    table = (np.arange(256)[:, None, None] * (1 - alpha) + rgb * alpha).clip(0, 255).round().astype(np.uint8)
    np.copyto(view, cv2.LUT(view, table), where=mask[..., None])
    view[mask & (inner == 0)] = rgb.astype(np.uint8)


def _write(sheet: Image.Image, caption: str, place: tuple[int, int, int, int]) -> None:
    left, top, width, height = place
    font = ImageFont.load_default(size=max(8, round(height * 0.7)))
    text = " ".join(caption.split())
    while len(text) > 1 and font.getlength(text) > width - 4:
        text = text.removesuffix("…")[:-1] + "…"
    ImageDraw.Draw(sheet).text((left + width / 2, top + height / 2), text, fill="#222222", font=font, anchor="mm")
