"""Cases made by code: regions of the phantom, and a horse's silhouette laid on textures. Their masks are exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation_set.pictures import Pixels, read_picture

Mask = npt.NDArray[np.bool_]

SMALLEST = 100
CANVAS_HW = (384, 512)
SOFT = 0.8


class Silhouette(NamedTuple):
    """Where a horse stands and what it is filled with: a texture's name, or a flat grey or RGB colour."""

    ground: str
    filling: str | tuple[int, int, int]
    height: int
    x: int
    y: int
    mirrored: bool


# Fixed by hand, once: light, dark, coloured and textured horses on every ground, 150 to 350 pixels high.
SILHOUETTES = (
    Silhouette("brick", (40, 40, 40), 330, 60, 30, False),
    Silhouette("brick", (205, 205, 205), 220, 200, 120, True),
    Silhouette("brick", (120, 70, 40), 260, 20, 90, False),
    Silhouette("brick", "gravel", 300, 120, 50, True),
    Silhouette("grass", (25, 25, 25), 180, 250, 150, False),
    Silhouette("grass", (220, 220, 215), 340, 70, 20, True),
    Silhouette("grass", (60, 90, 150), 240, 30, 60, False),
    Silhouette("grass", "brick", 280, 130, 80, False),
    Silhouette("gravel", (30, 30, 30), 270, 40, 100, True),
    Silhouette("gravel", (235, 235, 235), 160, 290, 60, False),
    Silhouette("gravel", (150, 60, 50), 320, 80, 40, True),
    Silhouette("gravel", "grass", 300, 110, 60, False),
)


def phantom() -> Iterator[tuple[str, str, Pixels, Mask]]:
    """Yield every connected region of one grey of at least `SMALLEST` pixels; what surrounds the head is left out."""
    pixels = read_picture("phantom")
    grey = pixels[..., 0]
    for level in np.unique(grey):
        here = (grey == level).astype(np.uint8)
        count, labels, stats, middles = cv2.connectedComponentsWithStats(here, connectivity=4)
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] < SMALLEST or labels[0, 0] == number:
                continue
            x, y = middles[number].round().astype(int)
            yield "phantom", f"grey {level} around ({x}, {y})", pixels, labels == number


def lay(one: Silhouette) -> tuple[Pixels, Mask]:
    """Return the (384, 512, 3) picture of one silhouette, its outline softened as a lens would, and its exact mask."""
    horse = read_picture("horse")[..., 0] < 128
    wide = round(one.height * horse.shape[1] / horse.shape[0])
    small: Any = cv2.resize(horse.astype(np.float32), (wide, one.height), interpolation=cv2.INTER_AREA)
    alpha = np.zeros(CANVAS_HW, np.float32)
    rows, columns = CANVAS_HW[0] - one.y, CANVAS_HW[1] - one.x
    placed = (small[:, ::-1] if one.mirrored else small)[:rows, :columns]
    alpha[one.y : one.y + placed.shape[0], one.x : one.x + placed.shape[1]] = placed
    ground = read_picture(one.ground)[: CANVAS_HW[0], : CANVAS_HW[1]].astype(np.float32)
    if isinstance(one.filling, str):
        filling = read_picture(one.filling)[-CANVAS_HW[0] :, -CANVAS_HW[1] :].astype(np.float32)
    else:
        # A tenth of the ground shows through, so that no horse is one flat colour.
        filling = 0.9 * np.array(one.filling, np.float32) + 0.1 * ground
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), SOFT))[..., None]
    pixels = np.rint(soft * filling + (1 - soft) * ground).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels, alpha >= 0.5


def silhouettes() -> Iterator[tuple[str, str, Pixels, Mask]]:
    """Yield picture, label, pixels and mask of every horse."""
    for number, one in enumerate(SILHOUETTES, 1):
        pixels, mask = lay(one)
        filling = f"of {one.filling}" if isinstance(one.filling, str) else "rgb {} {} {}".format(*one.filling)
        yield f"horse {number} on {one.ground}", f"horse, {filling}", pixels, mask
