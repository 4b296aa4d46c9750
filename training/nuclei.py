"""Fluorescence microscopy: glowing ellipses on black, some hardly brighter than their ground, some hiding others."""

from __future__ import annotations

import cv2
import numpy as np

from training import shapes
from training.canvas import Canvas
from training.discs import scatter
from training.textures import Field


def paint_nuclei(canvas: Canvas) -> None:
    """Lay glowing nuclei over one another, in one stain; where two overlap, their light adds up.

    Between neighbours of one brightness there is no edge, only a waist and perhaps a lighter lens: their shapes tell
    them apart.
    """
    rng = canvas.rng
    size = canvas.size
    radius = float(np.exp(rng.uniform(np.log(9), np.log(48))))
    dark = rng.uniform(4, 30)
    usual = rng.uniform(20, 110)
    spread = rng.uniform(0.1, 0.5)
    mitotic = rng.choice([0.0, 0.1])
    soft = rng.uniform(0.02, 0.1) * radius
    adds_up = rng.uniform(0.2, 1)
    light = np.zeros((size, size), np.float32)
    for centre in scatter(rng, size, radius, rng.uniform(0.4, 1), int(rng.integers(10, 200))):
        bright = usual * np.exp(rng.normal(0, spread))
        scale = radius * rng.uniform(0.65, 1.15)
        flattest = 0.5
        if rng.random() < mitotic:  # about to divide: small, dense, longish
            bright, scale, flattest = min(bright * rng.uniform(2.5, 6), 235.0), scale * 0.6, 0.3
        outline = shapes.blob(rng, rng.uniform(0, 0.1), flattest)
        outline = shapes.place(outline, centre, scale, rng.uniform(0, 6.3))
        if (window := shapes.bounds(outline, size)) is None:
            continue
        glow = cv2.GaussianBlur(shapes.fill(outline, window), (0, 0), max(soft, 0.3))
        height, width = glow.shape
        glow = glow * (1 + rng.uniform(0, 0.2) * canvas.bank.patch(rng, height, width)) * bright
        under = light[window]
        light[window] = np.maximum(under, glow) + adds_up * np.minimum(under, glow)
        inside = shapes.fill(outline, window) > 0.5
        canvas.whole[window][inside & (glow >= 0.7 * under)] = canvas.number()  # else it is behind, the rest of it seen
    canvas.pixels = (dark + _haze(rng, light) + light)[..., None] * _stain(rng)
    if rng.random() < 0.3:  # dyed on white instead of glowing on black
        canvas.pixels = 255 - canvas.pixels


def _haze(rng: np.random.Generator, light: Field) -> Field:
    """Light from above and below the plane in focus."""
    wide = cv2.GaussianBlur(light, (0, 0), float(rng.uniform(8, 30)))
    return np.asarray(wide * np.float32(rng.uniform(0, 0.5)), np.float32)


def _stain(rng: np.random.Generator) -> Field:
    """Colour (3,) of the light: mostly none."""
    if rng.random() < 0.7:
        return np.ones(3, np.float32)
    stain = rng.uniform(0.1, 1, 3)
    return (stain / stain.max()).astype(np.float32)
