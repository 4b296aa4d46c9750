"""Grey textures made of noise and formulas: the surfaces of the procedural scenes.

Every texture is a float32 (H, W) field of about zero mean and unit deviation; whoever paints with it chooses mean
colour and contrast. No photograph enters here, so no evaluation picture can leak into training.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[Any]  # float32; cv2's types know no more

TILE = 512


def standardise(field: npt.NDArray[Any]) -> Field:
    """Shift and scale `field` to zero mean and unit deviation."""
    field = field.astype(np.float32)
    return (field - field.mean()) / (field.std() + 1e-6)


def fbm(rng: np.random.Generator, size: int, roughness: float, coarsest: int = 2) -> Field:
    """Fractal noise: white noise at doubling resolutions, amplitude times `roughness` (0..1) at every doubling."""
    field = np.zeros((size, size), np.float32)
    cells, amplitude = coarsest, 1.0
    while cells <= size:
        noise = rng.standard_normal((cells, cells), dtype=np.float32)
        field += amplitude * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
        cells, amplitude = cells * 2, amplitude * roughness
    return standardise(field)


def grating(rng: np.random.Generator, size: int) -> Field:
    """Parallel stripes, straight or bent, sine or square."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(4), np.log(60)))
    bend = fbm(rng, size, 0.4) * rng.choice([0.0, 1.0, 3.0])
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + bend)
    return standardise(np.sign(wave) if rng.random() < 0.4 else wave)


def checks(rng: np.random.Generator, size: int) -> Field:
    """A chequered board, turned."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(6), np.log(50)))
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    return standardise(np.sign(np.sin(u * np.pi / period) * np.sin(v * np.pi / period)))


def speckle(rng: np.random.Generator, size: int) -> Field:
    """Dots or grains of one size, sparse or dense."""
    noise = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), rng.uniform(0.6, 4))
    noise = standardise(noise)
    return standardise((noise > rng.uniform(0.3, 2)).astype(np.float32)) if rng.random() < 0.5 else noise


def cells(rng: np.random.Generator, size: int) -> Field:
    """Distance to the nearest of scattered points (Worley noise): pebbles, leather, scales."""
    seeds = np.full((size, size), 255, np.uint8)
    count = int(np.exp(rng.uniform(np.log(40), np.log(2500))))
    seeds[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    return standardise(np.minimum(cv2.distanceTransform(seeds, cv2.DIST_L2, 3), 60))


def any_texture(rng: np.random.Generator, size: int = TILE) -> Field:
    """Draw one texture of a random kind; fractal noise is the most frequent."""
    kind = rng.choice(["fbm", "fbm", "fbm", "fbm", "grating", "checks", "speckle", "speckle", "cells"])
    if kind == "fbm":
        return fbm(rng, size, rng.uniform(0.3, 0.95), int(rng.choice([2, 4, 8, 16])))
    return {"grating": grating, "checks": checks, "speckle": speckle, "cells": cells}[kind](rng, size)


class TextureBank:
    """A set of ready textures to cut patches from: drawing a patch costs one small warp.

    Parameters
    ----------
    rng
        Decides every texture and every patch.
    count
        Number of TILE×TILE textures.
    """

    def __init__(self, rng: np.random.Generator, count: int = 24) -> None:
        self._tiles = [any_texture(rng) for _ in range(count)]

    def patch(self, rng: np.random.Generator, height: int, width: int) -> Field:
        """Cut a (height, width) patch at a random place, turn and scale; outside a tile it is mirrored."""
        tile = self._tiles[rng.integers(len(self._tiles))]
        angle, scale = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(0.5), np.log(2.5)))
        c, s = np.cos(angle) / scale, np.sin(angle) / scale
        cx, cy = rng.uniform(0.25 * TILE, 0.75 * TILE, 2)
        matrix = np.array([[c, -s, cx - c * width / 2 + s * height / 2], [s, c, cy - s * width / 2 - c * height / 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(tile, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
