"""Coins, buttons, tablets: discs with relief, and how things are laid out on a table."""

from __future__ import annotations

import cv2
import numpy as np

from training import shapes
from training.canvas import Canvas
from training.textures import fbm


def scatter(rng: np.random.Generator, size: int, radius: float, gap: float, count: int) -> list[tuple[float, float]]:
    """Up to `count` centres at least ``2 * radius * gap`` apart, by dart throwing."""
    centres: list[tuple[float, float]] = []
    for _ in range(count * 6):
        x, y = rng.uniform(-0.3 * radius, size + 0.3 * radius, 2)
        if all((x - a) ** 2 + (y - b) ** 2 > (2 * radius * gap) ** 2 for a, b in centres):
            centres.append((float(x), float(y)))
        if len(centres) == count:
            break
    return centres


def lattice(rng: np.random.Generator, size: int, pitch: float) -> list[tuple[float, float]]:
    """Centres of a jittered grid, every `pitch` pixels: things laid out on a table."""
    ticks = np.arange(pitch * rng.uniform(0.3, 0.8), size, pitch)
    jitter = pitch * rng.uniform(0, 0.12)
    return [(float(x + rng.normal() * jitter), float(y + rng.normal() * jitter)) for y in ticks for x in ticks]


def _relief(canvas: Canvas, side: int, radius: float) -> np.ndarray:
    """Height of a struck disc over a (side, side) window: rims, rings, and a raised figure, worn by noise."""
    rng = canvas.rng
    y, x = (np.mgrid[:side, :side].astype(np.float32) - side / 2) / radius
    r = np.hypot(x, y)
    height = rng.uniform(0, 1.5) * np.exp(-(((r - rng.uniform(0.85, 0.97)) / 0.05) ** 2))
    for _ in range(int(rng.integers(0, 3))):
        height += rng.uniform(-1, 1) * np.exp(-(((r - rng.uniform(0.3, 0.85)) / rng.uniform(0.02, 0.08)) ** 2))
    figure = np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(0, 6))):
        at = (side / 2 + rng.normal() * 0.3 * radius, side / 2 + rng.normal() * 0.3 * radius)
        outline = shapes.place(shapes.any_outline(rng), at, radius * rng.uniform(0.08, 0.5), rng.uniform(0, 6.3))
        cv2.fillPoly(figure, [outline.astype(np.int32)], int(rng.integers(80, 255)), cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 4))):
        text = chr(int(rng.integers(48, 91)))
        origin = (int(side * rng.uniform(0.2, 0.6)), int(side * rng.uniform(0.4, 0.8)))
        cv2.putText(figure, text, origin, int(rng.integers(0, 8)), radius / 45, 255, max(1, int(radius / 18)))
    height += rng.uniform(0.3, 1.5) * cv2.GaussianBlur(figure.astype(np.float32) / 255, (0, 0), 0.03 * radius + 0.5)
    height += rng.uniform(0, 0.5) * canvas.bank.patch(rng, side, side) * 0.3
    return height * (r < 1.02)


def _paint_disc(
    canvas: Canvas,
    centre: tuple[float, float],
    radius: float,
    colour: np.ndarray,
    light: tuple[float, float],
    outline: shapes.Outline,
) -> None:
    """One disc with relief, lit from the direction `light`."""
    rng = canvas.rng
    placed = shapes.place(outline, centre, radius, rng.uniform(0, 6.3))
    window = shapes.bounds(placed, canvas.size)
    if window is None:
        return
    side = int(2 * radius) + 8
    slope = _relief(canvas, side, radius)
    lit = cv2.Sobel(slope, cv2.CV_32F, 1, 0) * light[0] + cv2.Sobel(slope, cv2.CV_32F, 0, 1) * light[1]
    lit = np.clip(lit * radius / 40, -2.5, 2.5) * rng.uniform(5, 45)
    lit += canvas.bank.patch(rng, side, side) * rng.uniform(0, 18)
    shift = window[1].start - centre[0] + side / 2, window[0].start - centre[1] + side / 2
    corner = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    shape = (window[1].stop - window[1].start, window[0].stop - window[0].start)
    lit = cv2.warpAffine(lit.astype(np.float32), corner, shape, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    canvas.stamp(placed, colour.astype(np.float32) + lit[..., None], whole=canvas.number())


def paint_discs(canvas: Canvas) -> None:
    """Coins, buttons, tablets: discs with relief, rim lights and shadows, laid out or scattered on a noisy table."""
    rng = canvas.rng
    table = canvas.random_paint(np.full(3, rng.uniform(15, 150)) if rng.random() < 0.7 else None, 5.0)
    canvas.cover(table)
    canvas.pixels += fbm(rng, canvas.size, 0.6)[..., None] * rng.uniform(0, 25)
    radius = float(np.exp(rng.uniform(np.log(12), np.log(80))))
    if rng.random() < 0.6:
        centres = lattice(rng, canvas.size, 2 * radius * rng.uniform(1.1, 1.9))
    else:
        centres = scatter(rng, canvas.size, radius, rng.uniform(0.75, 1.4), int(rng.integers(4, 50)))
    spread, direction = rng.uniform(0, 0.3), rng.uniform(0, 2 * np.pi)
    light = (float(np.cos(direction)), float(np.sin(direction)))
    metal = canvas.random_paint(table.colour, float(np.exp(rng.uniform(np.log(12), np.log(110))))).colour
    cast = rng.random() < 0.6
    for centre in centres:
        size = radius * float(np.clip(1 + rng.normal() * spread, 0.5, 1.15))
        outline = shapes.blob(rng, rng.uniform(0, 0.03), 0.9) if rng.random() < 0.3 else shapes.ellipse(rng, 0.93)
        if cast:
            placed = shapes.place(outline, centre, size * 1.02, 0)
            offset = (-light[0] * size * 0.08, -light[1] * size * 0.08)
            canvas.shadow(placed, offset, size * 0.06 + 0.5, rng.uniform(0.2, 0.7))
        colour = metal + rng.normal(0, 1, 3) * 6 + rng.normal() * rng.choice([5, 20])
        _paint_disc(canvas, centre, size, np.clip(colour, 8, 248), light, outline)
