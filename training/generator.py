"""Procedural scenes: what the embedded model has seen of the world.

``render_scene(seed)`` paints one scene of a random kind; the same seed gives the same scene. Colours, textures and
outlines are formulas and noise, in the line of dead leaves (Lee, Mumford & Huang, IJCV 41, 2001) and of formula-driven
supervision (Shinoda et al., SegRCDB, ICCV 2023): diversity counts, realism does not.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training import painters, shapes
from training.canvas import Canvas, Scene
from training.collage import paint_collage, paint_outlines, paint_surfaces
from training.discs import paint_discs
from training.letters import paint_letters
from training.nuclei import paint_nuclei
from training.pictures import Pictures
from training.textures import TextureBank, standardise

SIZE = 448

_banks: dict[int, TextureBank] = {}


def _bank(seed: int) -> TextureBank:
    """Return the texture bank of a seed; 16 banks in all, since making one costs as much as ten scenes."""
    key = seed // 250 % 16
    if key not in _banks:
        _banks.clear()
        _banks[key] = TextureBank(np.random.default_rng([7, key]))
    return _banks[key]


KINDS: dict[str, tuple[float, Callable[[Canvas], None]]] = {
    "leaves": (0.30, painters.paint_leaves),
    "discs": (0.24, paint_discs),
    "cells": (0.14, painters.paint_cells),
    "mosaic": (0.06, painters.paint_mosaic),
    "products": (0.20, painters.paint_products),
    "glyphs": (0.06, painters.paint_glyphs),
    "letters": (0.08, paint_letters),
    "nuclei": (0.0, paint_nuclei),  # by name only: a weight would change what the seeds of earlier runs paint
}

PASTED: dict[str, tuple[float, Callable[[Canvas, Pictures], None]]] = {
    "collage": (1.0, paint_collage),
    "surfaces": (0.15, paint_surfaces),
    "outlines": (0.0, paint_outlines),  # by name only, too
}
"""Kinds that need pictures; their weights stand beside those of `KINDS`."""


def _weather(canvas: Canvas) -> None:
    """What a camera adds: uneven light, a large shadow, blur, noise."""
    rng = canvas.rng
    size = canvas.size
    if rng.random() < 0.5:
        light = cv2.resize(rng.standard_normal((3, 3), dtype=np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        dim = np.clip(1 + standardise(light) * np.float32(rng.uniform(0, 0.3)), 0.25, 2)
        canvas.pixels = canvas.pixels * dim[..., None]
    if rng.random() < 0.15:
        outline = shapes.place(shapes.blob(rng), tuple(rng.uniform(0, size, 2)), size * 0.5, rng.uniform(0, 6.3))
        canvas.shadow(outline, (0, 0), rng.uniform(2, 20), rng.uniform(0.2, 0.6))
    if rng.random() < 0.4:
        canvas.pixels = cv2.GaussianBlur(canvas.pixels, (0, 0), rng.uniform(0.3, 1.6))
    if rng.random() < 0.6:
        grain = rng.standard_normal((size, size, 1 if rng.random() < 0.5 else 3), dtype=np.float32)
        canvas.pixels = canvas.pixels + grain * rng.uniform(0.5, 12)


def render_scene(seed: int, size: int = SIZE, kind: str | None = None, pictures: Pictures | None = None) -> Scene:
    """Paint the scene of a seed.

    Parameters
    ----------
    seed
        0 or more; the same seed, size, kind and pictures give the same scene.
    size
        Side in pixels.
    kind
        A key of `KINDS`, or of `PASTED` where there are pictures; drawn by its weight where None.
    pictures
        What collages are pasted from; None: formulas and noise only.
    """
    rng = np.random.default_rng([1, seed])
    painters_of = dict(KINDS) | ({} if pictures is None else {name: PASTED[name] for name in PASTED})
    weights = np.array([weight for weight, _ in painters_of.values()])
    drawn = kind or str(rng.choice(list(painters_of), p=weights / weights.sum()))
    canvas = Canvas(rng, _bank(seed), size)
    if drawn in PASTED:
        if pictures is None:
            raise ValueError(f"{drawn}: a kind that needs pictures; see training/pictures.py")
        PASTED[drawn][1](canvas, pictures)
    else:
        KINDS[drawn][1](canvas)
    _weather(canvas)
    return canvas.scene()
