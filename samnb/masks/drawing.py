"""Pictures of masks: category colours, masks drawn on an image, contact sheets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

import cv2
import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .. import images
from ..errors import ImageError
from ..images import thumbnail
from ..images.reading import Pixels
from .geometry import Mask, as_mask, mask_bbox
from .polygons import mask_polygons

Rings = list[NDArray[np.int32]]

CATEGORY_COLORS = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#882255", "#44aa99", "#999933", "#332288", "#cc6677"),
)
"""Okabe and Ito's colours without black, then five of Paul Tol's "muted": distinguishable with colour blindness."""


def category_color(index: int) -> str:
    """The colour of the category at that position; the colours repeat after the last.

    Parameters
    ----------
    index : int
        0 for the first category.

    Returns
    -------
    str
        "#rrggbb", from `CATEGORY_COLORS`.

    Examples
    --------
    >>> category_color(0), category_color(len(CATEGORY_COLORS))
    ('#e69f00', '#e69f00')
    """
    return CATEGORY_COLORS[index % len(CATEGORY_COLORS)]


def color_rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255 each, of a "#rrggbb" colour.

    Examples
    --------
    >>> color_rgb("#e69f00")
    (230, 159, 0)
    """
    try:
        red, green, blue = bytes.fromhex(color.removeprefix("#"))
    except ValueError as error:
        raise ImageError(f'Expected a color like "#e69f00", got {color!r}.') from error
    return red, green, blue


def overlay(
    pixels: Pixels,
    masks: Sequence[NDArray[Any]] | NDArray[Any],
    *,
    colors: Sequence[str] | None = None,
    alpha: float = 0.45,
) -> Pixels:
    """A copy of the image with masks drawn on it: tinted inside, the pixels at the edge in full colour.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        The image, RGB: `Session.pixels`. It stays as it is.
    masks : sequence of (H, W) bool, or (N, H, W)
        Of the image's size; later ones are drawn on top.
    colors : sequence of "#rrggbb", optional
        One for each mask; default `category_color` of its position.
    alpha : float
        Strength of the tint, 0 to 1; 0: the edges alone.

    Returns
    -------
    (H, W, 3) uint8
        The new picture, RGB.

    Raises
    ------
    ImageError
        Pixels that are not (H, W, 3) uint8; a mask of another size, or that is no mask; another number of colours than
        of masks, or one that is not "#rrggbb"; an `alpha` outside 0 to 1.

    Examples
    --------
    >>> overlay(np.zeros((2, 2, 3), np.uint8), [np.ones((2, 2), bool)], colors=["#ff8000"])[0, 0].tolist()
    [255, 128, 0]
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[2:] != (3,):
        found = np.asarray(pixels)
        raise ImageError(
            f"Expected a picture of shape (H, W, 3) and dtype uint8, got shape {found.shape} and dtype {found.dtype}. "
            "session.pixels(image) gives one."
        )
    if not 0 <= alpha <= 1:
        raise ImageError(f"alpha: expected a number from 0 to 1; got {alpha}.")
    colors = [category_color(i) for i in range(len(masks))] if colors is None else colors
    if len(colors) != len(masks):
        raise ImageError(f"Expected {len(masks)} colors, one for each mask; got {len(colors)}.")
    shown = pixels.copy()
    for mask, color in zip(masks, colors, strict=True):
        on = as_mask(mask)
        if on.shape != pixels.shape[:2]:
            raise ImageError(f"Expected masks of the picture's size {pixels.shape[:2]}, got {on.shape}.")
        x, y, width, height = mask_bbox(on)
        if width:
            _tint(shown[y : y + height, x : x + width], on[y : y + height, x : x + width], color_rgb(color), alpha)
    return shown


class OutlineCache:
    """The outlines of the masks that were drawn last; for a picture that is drawn again and again."""

    def __init__(self, size: int = 1024):
        # With the mask: while it is kept, its id belongs to no other array.
        self._found: LRUCache[tuple[int, tuple[int, int]], tuple[Mask, Rings]] = LRUCache(size)
        self._lock = Lock()

    def rings(self, mask: Mask, size_hw: tuple[int, int]) -> Rings:
        """The outlines, (N, 2) int32 (x, y) each, of a mask that is scaled to that size."""
        key = (id(mask), size_hw)
        with self._lock:
            found = self._found.get(key)
        if found is None:
            found = (mask, _rings(mask, size_hw))
            with self._lock:
                self._found[key] = found
        return found[1]


def draw_masks(
    picture: Pixels,
    masks: Iterable[Mask],
    color: str,
    *,
    alpha: float = 0.28,
    width: int = 2,
    layered: bool = False,
    outlines: OutlineCache | None = None,
) -> Pixels:
    """Draw masks with smooth outlines on a picture, in place; returns the picture.

    Parameters
    ----------
    picture : (H, W, 3) uint8
    masks : iterable of (h, w) bool
        Each is scaled to the picture.
    color : "#rrggbb"
    alpha : float
        Strength of the tint inside, 0 to 1; 0: outlines alone.
    width : int
        Of the outlines, in pixels.
    layered : bool
        For overlapping masks: True draws one mask over the other, False tints the pixels once, below all outlines.
        True also cuts fractions of a grey level off, where False rounds them.
    outlines : OutlineCache, optional
        For masks that are drawn again and again.

    Examples
    --------
    >>> draw_masks(np.zeros((9, 9, 3), np.uint8), [np.ones((3, 3), bool)], "#ff8000", alpha=0.5)[4, 4].tolist()
    [128, 64, 0]
    """
    rgb, size_hw = color_rgb(color), picture.shape[:2]
    find = _rings if outlines is None else outlines.rings
    found = [rings for mask in masks if (rings := find(mask, size_hw))]
    for group in [[rings] for rings in found] if layered else [found]:
        if alpha and group:
            _tint_rings(picture, group, rgb, alpha, cut=layered)
        for rings in group:
            cv2.polylines(picture, rings, True, rgb, width, cv2.LINE_AA)
    return picture


def contact_sheet(
    tiles: Sequence[Pixels], *, columns: int = 4, tile: int = 256, captions: Sequence[str] | None = None
) -> Pixels:
    """Many pictures on one sheet, row by row, each fitted into a square and centred.

    Parameters
    ----------
    tiles : sequence of (H, W, 3) uint8
        The pictures, RGB, of any sizes.
    columns : int
        The maximum number in a row, from 1.
    tile : int
        Side of a square in pixels, from 1; pictures are shrunk to it, never enlarged.
    captions : sequence of str, optional
        One for each picture, written below it, cut to the width. None: no captions.

    Returns
    -------
    (height, width, 3) uint8
        The sheet, RGB: as wide as its columns, and a strip higher for each row of captions.

    Raises
    ------
    ImageError
        No pictures, or one of floats; `columns` or `tile` below 1; another number of captions than of pictures; a sheet
        of more than `samnb.images.MAX_PIXELS` pixels.

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
    if (size := columns * tile * rows * (tile + strip)) > images.MAX_PIXELS:
        raise ImageError(
            f"{len(tiles)} pictures with tile={tile}: a sheet of {size:,} pixels, more than the limit of "
            f"{images.MAX_PIXELS:,}. Expected a smaller tile, or fewer pictures."
        )
    sheet = Image.new("RGB", (columns * tile, rows * (tile + strip)), "#f4f4f4")
    for index, pixels in enumerate(tiles):
        small = _shrunk(pixels, tile)
        left, top = index % columns * tile, index // columns * (tile + strip)
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        if captions is not None:
            _write(sheet, captions[index], (left, top + tile, tile, strip))
    return np.array(sheet)


def _shrunk(pixels: Pixels, side: int) -> Image.Image:
    try:
        return Image.fromarray(thumbnail(pixels, side))
    except (TypeError, AttributeError) as error:  # floats, or no array
        found = np.asarray(pixels)
        raise ImageError(
            f"Expected pictures of shape (H, W, 3) and dtype uint8, got shape {found.shape} and dtype {found.dtype}."
        ) from error


def _rings(mask: Mask, size_hw: tuple[int, int]) -> Rings:
    scale = np.array([size_hw[1] / mask.shape[1], size_hw[0] / mask.shape[0]])
    parts = mask_polygons(mask, tolerance=0.7)
    return [np.round(ring * scale).astype(np.int32) for part in parts for ring in (part.exterior, *part.holes)]


def _tint(view: Pixels, mask: Mask, rgb: tuple[int, int, int], alpha: float) -> None:
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    table = (np.arange(256)[:, None, None] * (1 - alpha) + np.array(rgb) * alpha).clip(0, 255).round().astype(np.uint8)
    np.copyto(view, cv2.LUT(view, table), where=mask[..., None])
    view[mask & (inner == 0)] = rgb


def _tint_rings(picture: Pixels, masks: Sequence[Rings], rgb: tuple[int, int, int], alpha: float, *, cut: bool) -> None:
    """Tint what lies inside; `cut`: fractions of a grey level are cut off, not rounded."""
    if cut:
        inside = np.zeros(picture.shape[:2], np.uint8)
        for rings in masks:
            cv2.fillPoly(inside, rings, 1)
        on = inside.astype(bool)
        picture[on] = ((1 - alpha) * picture[on] + alpha * np.array(rgb)).astype(np.uint8)
    else:
        tinted = picture.copy()
        for rings in masks:
            cv2.fillPoly(tinted, rings, rgb)
        cv2.addWeighted(tinted, alpha, picture, 1 - alpha, 0, dst=picture)


def _write(sheet: Image.Image, caption: str, place: tuple[int, int, int, int]) -> None:
    left, top, width, height = place
    font = ImageFont.load_default(size=max(8, round(height * 0.7)))
    text = " ".join(caption.split())
    while len(text) > 1 and font.getlength(text) > width - 4:
        text = text.removesuffix("…")[:-1] + "…"
    ImageDraw.Draw(sheet).text((left + width / 2, top + height / 2), text, fill="#222222", font=font, anchor="mm")
