"""Outlines of procedural objects: closed polygons around the origin, and how to fill them.

An outline is a float32 (N, 2) array of (x, y) vertices in units of the object's radius.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Outline = npt.NDArray[np.float32]

_SHIFT = 4  # cv2 draws at 1/16 pixel


def ellipse(rng: np.random.Generator, flattest: float = 0.35) -> Outline:
    """An ellipse whose shorter axis is at least `flattest` of the longer."""
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return np.stack([np.cos(t), np.sin(t) * rng.uniform(flattest, 1)], 1).astype(np.float32)


def polygon(rng: np.random.Generator) -> Outline:
    """A polygon of 3 to 8 corners, regular or ragged."""
    corners = int(rng.integers(3, 9))
    t = (np.arange(corners) + rng.uniform(-0.35, 0.35, corners) * rng.integers(0, 2)) * 2 * np.pi / corners
    radius = rng.uniform(0.6, 1, corners)
    return np.stack([np.cos(t) * radius, np.sin(t) * radius], 1).astype(np.float32)


def rectangle(rng: np.random.Generator) -> Outline:
    """A rectangle of sides up to 4:1."""
    w, h = 1.0, rng.uniform(0.25, 1)
    return np.array([[-w, -h], [w, -h], [w, h], [-w, h]], np.float32)


def blob(rng: np.random.Generator, wobble: float | None = None, flattest: float = 0.4) -> Outline:
    """A circle whose radius is disturbed by a few low harmonics; `wobble` is their size (0..0.5)."""
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    wobble = rng.uniform(0.05, 0.45) if wobble is None else wobble
    radius = np.ones_like(t)
    for harmonic in range(2, 8):
        radius += wobble * rng.normal() / harmonic**0.8 * np.cos(harmonic * t + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.15, None) / max(float(radius.max()), 0.2)
    squash = rng.uniform(flattest, 1)
    return np.stack([np.cos(t) * radius, np.sin(t) * radius * squash], 1).astype(np.float32)


def superformula(rng: np.random.Generator) -> Outline:
    """Gielis' superformula: stars, petals, rounded polygons (J. Gielis, Am. J. Botany 90, 2003)."""
    t = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    m, n1 = int(rng.integers(2, 9)), rng.uniform(0.6, 6)
    n2 = rng.uniform(0.6, 6)
    radius = (np.abs(np.cos(m * t / 4)) ** n2 + np.abs(np.sin(m * t / 4)) ** n2 + 1e-6) ** (-1 / n1)
    radius = np.clip(radius / radius.max(), 0.15, 1)
    return np.stack([np.cos(t) * radius, np.sin(t) * radius], 1).astype(np.float32)


def any_outline(rng: np.random.Generator) -> Outline:
    """Draw an outline of a random kind."""
    makers = [ellipse, ellipse, polygon, rectangle, blob, blob, blob, superformula]
    return makers[rng.integers(len(makers))](rng)


def place(outline: Outline, centre: tuple[float, float], radius: float, angle: float) -> Outline:
    """Turn by `angle` (radians), scale to `radius` and move to `centre`, both in pixels."""
    c, s = np.cos(angle), np.sin(angle)
    turned = outline @ np.array([[c, s], [-s, c]], np.float32)
    return (turned * radius + np.asarray(centre, np.float32)).astype(np.float32)


def bounds(outline: Outline, size: int) -> tuple[slice, slice] | None:
    """Rows and columns that hold the outline inside a `size`×`size` picture; None where it lies outside."""
    x0, y0 = np.floor(outline.min(0)).astype(int) - 2
    x1, y1 = np.ceil(outline.max(0)).astype(int) + 3
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, size), min(y1, size)
    return (slice(y0, y1), slice(x0, x1)) if x1 - x0 > 2 and y1 - y0 > 2 else None


def fill(outline: Outline, window: tuple[slice, slice]) -> npt.NDArray[np.float32]:
    """Coverage (0..1) of the outline over `window`, antialiased."""
    rows, columns = window
    canvas = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    points = (outline - np.array([columns.start, rows.start], np.float32)) * (1 << _SHIFT)
    cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
    return (canvas / 255).astype(np.float32)
