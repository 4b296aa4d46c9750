"""Flood-fill maps: the cells whose colour is like that of the clicked ones and connected to them, by tolerance.

A small network takes long to learn to follow a thin stroke or a leg to its end. A flood fill does it at once, if only
one knew how much the colour may differ; so the network gets the fills of several tolerances as maps and learns which
one to use. The fills are computed on colours averaged over 4×4 pixels, which are part of the embedding; they have no
weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import config

TOLERANCES = (0.08, 0.15, 0.25, 0.35, 0.5, 0.65, 0.8, 1.0)
"""Tolerances of the fills: distance from the clicked colour, in units of the image's root mean square distance."""

COLOUR_LEVELS = 47
"""Levels in a unit of normalised colour, a little over a grey level each. From -2.2 to 2.7 they are fewer than an int8
has numbers, so colours come out of any storage the same, and a fill ends at the same squares."""

FILL_MAPS = 2 * (len(TOLERANCES) + 1)
"""For foreground and for background clicks: a fill for each tolerance, and the likeness of each colour anywhere."""


def quantize(colour: Tensor) -> Tensor:
    """Round normalised colours to whole levels; zero, which is padding, stays zero."""
    return (colour.float() * COLOUR_LEVELS).round().to(colour.dtype) / COLOUR_LEVELS


@torch.no_grad()
def colour_levels(colour: Tensor) -> np.ndarray:
    """Read the colours of an embedding as whole levels.

    Parameters
    ----------
    colour
        (1 or B, 12, H, W): normalised RGB of 4×4 pixels, 2×2 packed into a cell; padding is zero.

    Returns
    -------
    numpy.ndarray
        (1 or B, 3, 2 H, 2 W): the same for all clicks on an image.
    """
    return np.asarray(np.rint(F.pixel_shuffle(colour.float(), 2).cpu().numpy() * COLOUR_LEVELS))


def draw_marks(coords: Tensor, labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Mark the clicked squares of 4×4 pixels.

    Parameters
    ----------
    coords, labels
        (B, N, 2) x, y in pixels, and (B, N): 1 foreground, 0 background, others are no clicks.
    size
        Height and width of the embedding in cells of 8×8 pixels.

    Returns
    -------
    Tensor
        (B, 8, H, W): foreground and background marks, each 2×2 packed into a cell.
    """
    height, width = 2 * size[0], 2 * size[1]
    side = config.STRIDE / 2
    x = (coords[..., 0] / side).long().clamp(0, width - 1)
    y = (coords[..., 1] / side).long().clamp(0, height - 1)
    marks = coords.new_zeros((len(coords), 2, height * width))
    for index, kind in enumerate((1, 0)):
        marks[:, index].scatter_add_(1, y * width + x, (labels == kind).to(marks))
    return F.pixel_unshuffle(marks.clamp(max=1).unflatten(2, (height, width)), 2)


@torch.no_grad()
def flood_fill_maps(colours: np.ndarray, marks: Tensor) -> Tensor:
    """Fill outward from the marks.

    Parameters
    ----------
    colours
        (1 or B, 3, 2 H, 2 W), see `colour_levels`.
    marks
        (B, 8, H, W), see `draw_marks`.

    Returns
    -------
    Tensor
        (B, FILL_MAPS, 2 H, 2 W) in 0..1, on the device of `marks`; zero for a kind of click that there is none of.
    """
    clicks = F.pixel_shuffle(marks.float(), 2).cpu().numpy() > 0.5
    maps = np.zeros((len(clicks), FILL_MAPS, *clicks.shape[2:]), np.float32)
    half = FILL_MAPS // 2
    for i, clicked in enumerate(clicks):
        picture = colours[i if len(colours) > 1 else 0]
        for kind in range(2):
            if clicked[kind].any():
                fill(picture, clicked[kind], maps[i, kind * half : (kind + 1) * half])
    return torch.from_numpy(maps).to(marks.device)


def fill(picture: np.ndarray, clicked: np.ndarray, maps: np.ndarray, tolerances: Sequence[float] = TOLERANCES) -> None:
    """Write the (len(tolerances) + 1, h, w) maps of one kind of click; `picture` (3, h, w) levels, `clicked` (h, w)."""
    rows = picture.reshape(3, -1)
    marks = [(int(x), int(y)) for y, x in zip(*np.nonzero(clicked), strict=True)]
    squares = np.stack([((rows - picture[:, y, x][:, None]) ** 2).sum(0) for x, y in marks]).min(0)
    inside = rows.any(0)  # zero in all three channels is padding; a square of just this colour is rare
    far = np.sqrt(squares / max(float(squares[inside].mean()) if inside.any() else 0.0, 1e-3))
    far[~inside] = np.inf
    distance = far.reshape(clicked.shape)
    for tolerance, target in zip(tolerances, maps, strict=False):
        near = (distance <= tolerance).view(np.uint8)
        for mark in marks:
            if near[mark[1], mark[0]] == 1:
                cv2.floodFill(near, None, mark, 2, flags=8)  # the eight cells around, or thin strokes fall apart
        target[:] = near == 2
    maps[-1] = np.exp(-2 * distance)
