"""Scenes pasted together: cut-outs of things on photographs, and the surfaces that photographs themselves show.

Cut, paste and learn (Dwibedi, Misra & Hebert, ICCV 2017): that outlines agree with textures matters more than that
scenes make sense.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from training.canvas import Canvas
from training.pictures import Pictures
from training.textures import Field

PARTS_SHARE = 0.5
"""How often the regions of one colour inside a thing are labelled as its parts."""


def paint_collage(canvas: Canvas, pictures: Pictures) -> None:
    """Paste one to fourteen things on a photograph, or on a plain ground."""
    rng = canvas.rng
    if rng.random() < 0.75:
        canvas.pixels = pictures.photograph_patch(rng, canvas.size, canvas.size)
        if rng.random() < 0.35:  # out of focus
            canvas.pixels = cv2.GaussianBlur(canvas.pixels, (0, 0), rng.uniform(1, 6))
    else:
        canvas.cover(canvas.random_paint())
    crowd = int(rng.choice([1, 2, 4, 8, 14], p=[0.15, 0.25, 0.3, 0.2, 0.1]))
    largest = 0.95 if crowd < 3 else 0.6
    sides = np.exp(rng.uniform(np.log(0.09), np.log(largest), crowd)) * canvas.size
    repeated = pictures.cutout(rng) if rng.random() < 0.15 else None  # many of a kind
    for side in sorted(sides, reverse=True):
        paste(canvas, pictures, pictures.cutout(rng) if repeated is None else repeated, float(side))


def paint_outlines(canvas: Canvas, pictures: Pictures) -> None:
    """Cut one to four things out of one surface and lay them on another: nothing but their texture tells them apart."""
    rng = canvas.rng
    canvas.pixels = pictures.photograph_patch(rng, canvas.size, canvas.size)
    sides = np.exp(rng.uniform(np.log(0.3), np.log(0.95), int(rng.integers(1, 5)))) * canvas.size
    for side in sorted(sides, reverse=True):
        paste(canvas, pictures, pictures.cutout(rng), float(side), only_outline=True)
    if rng.random() < 0.5:  # nor does a colour
        canvas.pixels = np.repeat(canvas.pixels.mean(-1, keepdims=True), 3, -1)


def paste(
    canvas: Canvas, pictures: Pictures, cutout: npt.NDArray[np.uint8], side: float, only_outline: bool = False
) -> None:
    """Paste one cut-out, turned, stretched and recoloured, `side` pixels long; or its outline, filled anew."""
    rng = canvas.rng
    colours, alpha = _turned(rng, cutout, side)
    height, width = alpha.shape
    y = int(rng.uniform(-0.25 * height, canvas.size - 0.75 * height))
    x = int(rng.uniform(-0.25 * width, canvas.size - 0.75 * width))
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + height, canvas.size), min(x + width, canvas.size)
    if bottom - top < 8 or right - left < 8:
        return
    window = slice(top, bottom), slice(left, right)
    inner = slice(top - y, bottom - y), slice(left - x, right - x)
    alpha, colours = alpha[inner], colours[inner]
    kind = rng.uniform(0, 0.3) if only_outline else rng.random()
    if kind < 0.2:  # only the outline is that of the thing
        colours = pictures.photograph_patch(rng, *alpha.shape)
    elif kind < 0.3:
        colours = canvas.surface(canvas.random_paint(), *alpha.shape)
    else:
        colours = _recoloured(rng, colours)
    if rng.random() < 0.35:
        _cast_shadow(canvas, window, alpha)
    number = canvas.number()
    soft = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.4, 1.2)) if rng.random() < 0.6 else alpha
    canvas.blend(window, soft, colours)
    solid = alpha > 0.5
    canvas.whole[window][solid] = number
    canvas.part[window][solid] = 0
    if rng.random() < PARTS_SHARE:
        for region in colour_regions(colours, solid):
            canvas.part[window][region] = canvas.number()


def _turned(rng: np.random.Generator, cutout: npt.NDArray[np.uint8], side: float) -> tuple[Field, Field]:
    """Scale, turn, stretch and mirror: colours (h, w, 3) and alpha (h, w) 0..1."""
    h, w = cutout.shape[:2]
    scale = side / max(h, w)
    stretch = np.exp(rng.normal(0, 0.12))
    angle = rng.uniform(-180, 180) if rng.random() < 0.25 else rng.normal(0, 12)
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), angle, scale)
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, w], [0, 1, 0], [0, 0, 1]], float)
    matrix[0] *= stretch
    corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]], float) @ matrix.T
    low = corners.min(0)
    matrix[:, 2] -= low
    width, height = (int(v) + 1 for v in corners.max(0) - low)
    source = cutout.astype(np.float32)
    source[..., :3] *= source[..., 3:] / 255
    if scale < 0.7:
        source = cv2.GaussianBlur(source, (0, 0), 0.35 / scale)
    warped = cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR)
    alpha = warped[..., 3] / 255
    return warped[..., :3] / np.maximum(alpha, 1e-3)[..., None], alpha


def _recoloured(rng: np.random.Generator, colours: Field) -> Field:
    """Change contrast, brightness and tint a little."""
    tint = 1 + 0.12 * rng.standard_normal(3).astype(np.float32)
    return (colours - 128) * np.float32(rng.uniform(0.6, 1.2)) * tint + 128 + np.float32(rng.normal(0, 18))


def _cast_shadow(canvas: Canvas, window: tuple[slice, slice], alpha: Field) -> None:
    """Darken the ground beside the thing."""
    rng = canvas.rng
    reach = float(max(alpha.shape)) * 0.08
    moved = np.float32([[1, 0, rng.normal(0, reach)], [0, 1, abs(rng.normal(0, reach))]])
    shade = cv2.warpAffine(alpha, moved, alpha.shape[::-1])
    shade = cv2.GaussianBlur(shade, (0, 0), rng.uniform(1.5, 2 + reach))
    canvas.pixels[window] *= 1 - np.float32(rng.uniform(0.2, 0.6)) * shade[..., None]


def colour_regions(colours: Field, solid: npt.NDArray[np.bool_], limit: int = 5) -> list[npt.NDArray[np.bool_]]:
    """Find the largest connected regions of about one colour inside a thing: its parts.

    Regions hold between 4 and 75 % of the thing and at least 60 pixels.
    """
    if solid.sum() < 300:
        return []
    smooth = cv2.GaussianBlur(np.clip(colours, 0, 255).astype(np.uint8), (0, 0), 1.5)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)[solid].astype(np.float32)
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 8, 2.0)
    few = lab[:: max(len(lab) // 2000, 1)]
    centres = cv2.kmeans(few, 4, None, stop, 1, cv2.KMEANS_PP_CENTERS)[2]  # type: ignore[call-overload]
    nearest = ((lab[:, None] - centres[None]) ** 2).sum(2).argmin(1)
    clusters = np.full(solid.shape, -1, np.int32)
    clusters[solid] = nearest
    found: list[tuple[int, npt.NDArray[np.bool_]]] = []
    for cluster in range(4):
        mask = cv2.morphologyEx((clusters == cluster).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for piece in range(1, len(stats)):
            area = int(stats[piece, cv2.CC_STAT_AREA])
            if max(60, 0.04 * solid.sum()) <= area <= 0.75 * solid.sum():
                found.append((area, pieces == piece))
    found.sort(key=lambda pair: -pair[0])
    return [mask for _, mask in found[:limit]]


def paint_surfaces(canvas: Canvas, pictures: Pictures) -> None:
    """Show a photograph as it is; its surfaces are what Felzenszwalb's method (IJCV 59, 2004) joins.

    Coarse regions are the wholes, fine ones the parts. They teach no things, only where natural surfaces end.
    """
    from skimage.segmentation import felzenszwalb

    rng = canvas.rng
    canvas.pixels = pictures.photograph_patch(rng, canvas.size, canvas.size)
    smooth = cv2.bilateralFilter(np.clip(canvas.pixels, 0, 255).astype(np.uint8), 5, 30, 3)
    coarse = felzenszwalb(smooth, scale=float(rng.choice([400, 800, 1600])), sigma=0.8, min_size=700)
    fine = felzenszwalb(smooth, scale=120, sigma=0.6, min_size=150)
    canvas.whole = _numbered(canvas, coarse, 700)
    canvas.part = _numbered(canvas, fine, 200)


def _numbered(canvas: Canvas, regions: npt.NDArray[np.int64], least: int) -> npt.NDArray[np.uint16]:
    """Number compact regions of at least `least` pixels; the straggling rest is background."""
    numbered = np.zeros(regions.shape, np.uint16)
    kernel = np.ones((3, 3), np.uint8)
    for region in range(int(regions.max()) + 1):
        mask = (regions == region).astype(np.uint8)
        if mask.sum() < least:
            continue
        core = int(cv2.erode(mask, kernel, iterations=2).sum())
        if core > 0.55 * int(mask.sum()):
            numbered[cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel) > 0] = canvas.number()
    return numbered
