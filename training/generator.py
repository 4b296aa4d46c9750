"""Procedural scenes: what the embedded model has seen of the world.

``render_scene(seed)`` paints one scene of a random kind; the same seed gives the same scene. Colours, textures and
outlines are formulas and noise, in the line of dead leaves (Lee, Mumford & Huang, IJCV 41, 2001) and of formula-driven
supervision (Shinoda et al., SegRCDB, ICCV 2023): diversity counts, realism does not.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training import shapes
from training.canvas import Canvas, Scene
from training.textures import TextureBank, fbm, standardise

SIZE = 448

_banks: dict[int, TextureBank] = {}


def _bank(seed: int) -> TextureBank:
    """Return the texture bank of a seed; 16 banks in all, since making one costs as much as ten scenes."""
    key = seed // 250 % 16
    if key not in _banks:
        _banks.clear()
        _banks[key] = TextureBank(np.random.default_rng([7, key]))
    return _banks[key]


def _power_radius(rng: np.random.Generator, low: float, high: float, power: float = 3.0) -> float:
    """Draw a radius of density r^-power between `low` and `high` pixels, as in natural images."""
    k = 1 - power
    return float((low**k + rng.random() * (high**k - low**k)) ** (1 / k))


def _scatter(rng: np.random.Generator, size: int, radius: float, gap: float, count: int) -> list[tuple[float, float]]:
    """Up to `count` centres at least ``2 * radius * gap`` apart, by dart throwing."""
    centres: list[tuple[float, float]] = []
    for _ in range(count * 6):
        x, y = rng.uniform(-0.3 * radius, size + 0.3 * radius, 2)
        if all((x - a) ** 2 + (y - b) ** 2 > (2 * radius * gap) ** 2 for a, b in centres):
            centres.append((float(x), float(y)))
        if len(centres) == count:
            break
    return centres


def _lattice(rng: np.random.Generator, size: int, pitch: float) -> list[tuple[float, float]]:
    """Centres of a jittered grid, every `pitch` pixels: things laid out on a table."""
    ticks = np.arange(pitch * rng.uniform(0.3, 0.8), size, pitch)
    jitter = pitch * rng.uniform(0, 0.12)
    return [(float(x + rng.normal() * jitter), float(y + rng.normal() * jitter)) for y in ticks for x in ticks]


def paint_leaves(canvas: Canvas) -> None:
    """Dead leaves: opaque textured shapes of power-law sizes, each hiding what is under it."""
    rng = canvas.rng
    canvas.cover(canvas.random_paint())
    smallest = float(rng.choice([8, 14, 22]))
    count = int(rng.integers(15, 160) * (14 / smallest) ** 0.5)
    distance = np.exp(rng.uniform(np.log(10), np.log(110))) if rng.random() < 0.6 else None
    base = canvas.random_paint().colour
    outline_of = shapes.any_outline if rng.random() < 0.7 else (lambda r: shapes.blob(r))
    radii = sorted((_power_radius(rng, smallest, 150, 2.4) for _ in range(count)), reverse=rng.random() < 0.7)
    for radius in radii:
        centre = tuple(rng.uniform(0, canvas.size, 2))
        outline = shapes.place(outline_of(rng), centre, radius, rng.uniform(0, 6.3))
        if rng.random() < 0.3:
            canvas.shadow(outline, tuple(rng.normal(0, 4, 2)), rng.uniform(1, 5), rng.uniform(0.1, 0.6))
        paint = canvas.random_paint(base, distance) if distance else canvas.random_paint()
        number = canvas.number()
        if canvas.stamp(outline, paint, whole=number) and radius > 18 and rng.random() < 0.35:
            _add_parts(canvas, number, centre, radius, paint.colour)


def _add_parts(canvas: Canvas, number: int, centre: tuple[float, float], radius: float, colour: np.ndarray) -> None:
    """Paint one to four parts inside an object: windows, spots, stripes, lids."""
    rng = canvas.rng
    for _ in range(int(rng.integers(1, 5))):
        shift = rng.normal(0, 0.4, 2) * radius
        small = shapes.place(shapes.any_outline(rng), (centre[0] + shift[0], centre[1] + shift[1]),
                             radius * rng.uniform(0.15, 0.6), rng.uniform(0, 6.3))
        distance = float(np.exp(rng.uniform(np.log(12), np.log(90))))
        canvas.stamp(small, canvas.random_paint(colour, distance), part=canvas.number(), inside=number)


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
        at_text = (int(side * rng.uniform(0.2, 0.6)), int(side * rng.uniform(0.4, 0.8)))
        cv2.putText(figure, text, at_text, int(rng.integers(0, 8)), radius / 45, 255, max(1, int(radius / 18)))
    height += rng.uniform(0.3, 1.5) * cv2.GaussianBlur(figure.astype(np.float32) / 255, (0, 0), 0.03 * radius + 0.5)
    height += rng.uniform(0, 0.5) * canvas.bank.patch(rng, side, side) * 0.3
    return height * (r < 1.02)


def _paint_disc(canvas: Canvas, centre: tuple[float, float], radius: float, colour: np.ndarray,
                light: tuple[float, float], outline: shapes.Outline) -> None:
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
    corner = np.float32([[1, 0, side / 2 - centre[0] + window[1].start], [0, 1, side / 2 - centre[1] + window[0].start]])
    shape = (window[1].stop - window[1].start, window[0].stop - window[0].start)
    lit = cv2.warpAffine(lit.astype(np.float32), corner, shape, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    canvas.stamp(placed, np.float32(colour) + lit[..., None], whole=canvas.number())


def paint_discs(canvas: Canvas) -> None:
    """Coins, buttons, tablets: discs with relief, rim lights and shadows, laid out or scattered on a noisy table."""
    rng = canvas.rng
    table = canvas.random_paint(np.full(3, rng.uniform(15, 150)) if rng.random() < 0.7 else None, 5.0)
    canvas.cover(table)
    canvas.pixels += fbm(rng, canvas.size, 0.6)[..., None] * rng.uniform(0, 25)
    radius = float(np.exp(rng.uniform(np.log(12), np.log(80))))
    if rng.random() < 0.6:
        centres = _lattice(rng, canvas.size, 2 * radius * rng.uniform(1.1, 1.9))
    else:
        centres = _scatter(rng, canvas.size, radius, rng.uniform(0.75, 1.4), int(rng.integers(4, 50)))
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


def paint_cells(canvas: Canvas) -> None:
    """Cells: touching blobs, lighter or darker than their ground, some with a nucleus, rim or halo; then a blur."""
    rng = canvas.rng
    ground = canvas.random_paint()
    canvas.cover(ground)
    radius = float(np.exp(rng.uniform(np.log(8), np.log(60))))
    body = canvas.random_paint(ground.colour, float(np.exp(rng.uniform(np.log(12), np.log(100)))))
    nucleus = canvas.random_paint(body.colour, float(np.exp(rng.uniform(np.log(12), np.log(80)))))
    with_nucleus, rim = rng.random() < 0.5, rng.random() < 0.5
    rim_colour = np.float32(np.clip(body.colour + rng.choice([-1, 1]) * rng.uniform(10, 60), 0, 255))
    for centre in _scatter(rng, canvas.size, radius, rng.uniform(0.6, 1.2), int(rng.integers(10, 150))):
        outline = shapes.place(shapes.blob(rng, rng.uniform(0, 0.25)), centre, radius * rng.uniform(0.6, 1.2),
                               rng.uniform(0, 6.3))
        number = canvas.number()
        if not canvas.stamp(outline, body, whole=number, opacity=rng.uniform(0.6, 1)):
            continue
        if rim:
            window = shapes.bounds(outline, canvas.size)
            inner = (outline - np.float32(centre)) * rng.uniform(0.75, 0.92) + np.float32(centre)
            assert window is not None
            edge = np.clip(shapes.fill(outline, window) - shapes.fill(inner, window), 0, 1)
            canvas.blend(window, edge * 0.8, np.broadcast_to(rim_colour, (*edge.shape, 3)))
        if with_nucleus:
            inner = shapes.place(shapes.blob(rng, 0.1), centre, radius * rng.uniform(0.2, 0.5), 0)
            canvas.stamp(inner, nucleus, part=canvas.number(), inside=number)
    canvas.pixels = cv2.GaussianBlur(canvas.pixels, (0, 0), rng.uniform(0.3, 2.5))


def paint_mosaic(canvas: Canvas) -> None:
    """A Voronoi mosaic with or without joints: stones, tissue, fields from above."""
    rng = canvas.rng
    count = int(np.exp(rng.uniform(np.log(12), np.log(260))))
    seeds = np.full((canvas.size, canvas.size), 255, np.uint8)
    at = rng.integers(0, canvas.size, (count, 2))
    seeds[at[:, 0], at[:, 1]] = 0
    distance, nearest = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)
    warp = fbm(rng, canvas.size, 0.5, 4), fbm(rng, canvas.size, 0.5, 4)
    y, x = np.mgrid[: canvas.size, : canvas.size].astype(np.float32)
    bend = rng.uniform(0, 6)
    maps = x + warp[0] * bend, y + warp[1] * bend
    nearest = cv2.remap(nearest.astype(np.float32), *maps, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    nearest = nearest.astype(np.uint16)
    base, apart = canvas.random_paint().colour, float(np.exp(rng.uniform(np.log(12), np.log(90))))
    tiles = np.unique(nearest)
    palette = np.zeros((int(tiles.max()) + 1, 3), np.float32)
    for tile in tiles:
        palette[tile] = canvas.random_paint(base, apart).colour
    canvas.pixels = palette[nearest] + canvas.bank.patch(rng, canvas.size, canvas.size)[..., None] * rng.uniform(0, 20)
    canvas.whole = nearest + 1
    if rng.random() < 0.6:
        joints = cv2.morphologyEx(nearest, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        joints = cv2.dilate(joints.astype(np.uint8), np.ones((2, 2), np.uint8), iterations=int(rng.integers(0, 4))) > 0
        canvas.pixels[joints] = canvas.random_paint().colour
        canvas.whole[joints] = 0


def paint_products(canvas: Canvas) -> None:
    """A few large objects made of parts, on a plain, graded or textured ground, with a cast shadow."""
    rng = canvas.rng
    ground = canvas.random_paint()
    canvas.cover(ground)
    for _ in range(int(rng.integers(1, 9))):
        radius = float(np.exp(rng.uniform(np.log(25), np.log(170))))
        centre = tuple(rng.uniform(0.1, 0.9, 2) * canvas.size)
        number = canvas.number()
        body = canvas.random_paint(ground.colour, float(np.exp(rng.uniform(np.log(15), np.log(110)))))
        pieces = [shapes.place(shapes.any_outline(rng), centre, radius, rng.uniform(0, 6.3))]
        for _ in range(int(rng.integers(0, 4))):  # handles, legs, heads: shapes that stick out
            shift = rng.normal(0, 0.6, 2) * radius
            at = (centre[0] + shift[0], centre[1] + shift[1])
            pieces.append(shapes.place(shapes.any_outline(rng), at, radius * rng.uniform(0.3, 0.7), rng.uniform(0, 6.3)))
        if rng.random() < 0.7:
            offset, depth = tuple(rng.normal(0, 0.1, 2) * radius), rng.uniform(0.1, 0.6)
            for piece in pieces:
                canvas.shadow(piece, offset, 0.05 * radius + 1, depth / len(pieces) ** 0.5)
        for index, piece in enumerate(pieces):
            own = rng.random() < 0.5
            paint = canvas.random_paint(body.colour, rng.uniform(10, 90)) if own and index else body
            canvas.stamp(piece, paint, whole=number, part=canvas.number() if own and index else 0)
        if rng.random() < 0.7:
            _add_parts(canvas, number, centre, radius, body.colour)
        _highlight(canvas, number, centre, radius)


def _highlight(canvas: Canvas, number: int, centre: tuple[float, float], radius: float) -> None:
    """Round an object off: light on one side, dark on the other, sometimes a glossy spot."""
    rng = canvas.rng
    y, x = np.mgrid[: canvas.size, : canvas.size].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    u, v = (x - centre[0]) / radius, (y - centre[1]) / radius
    field = (u * np.cos(angle) + v * np.sin(angle)) * rng.uniform(0, 45)
    field -= (u**2 + v**2) * rng.uniform(0, 30)
    spot = np.exp(-((u - 0.4 * np.cos(angle)) ** 2 + (v - 0.4 * np.sin(angle)) ** 2) / rng.uniform(0.005, 0.08))
    field += spot * rng.choice([0, 1]) * rng.uniform(20, 120)
    canvas.pixels += (np.clip(field, -90, 120) * (canvas.whole == number))[..., None]


def paint_glyphs(canvas: Canvas) -> None:
    """Letters, rings and curves: thin things with holes, whose inside is not theirs."""
    rng = canvas.rng
    ground = canvas.random_paint()
    canvas.cover(ground)
    ink = canvas.random_paint(ground.colour, float(np.exp(rng.uniform(np.log(25), np.log(110)))))
    same = rng.random() < 0.5
    for _ in range(int(rng.integers(5, 40))):
        mask = np.zeros((canvas.size, canvas.size), np.uint8)
        x, y = (int(v) for v in rng.integers(0, canvas.size, 2))
        size = float(np.exp(rng.uniform(np.log(15), np.log(90))))
        thick = int(np.clip(size * rng.uniform(0.06, 0.3), 2, 30))
        kind = rng.integers(3)
        if kind == 0:
            text = chr(int(rng.integers(33, 127)))
            cv2.putText(mask, text, (x, y), int(rng.integers(0, 8)), size / 14, 255, thick, cv2.LINE_AA)
        elif kind == 1:
            axes = (int(size / 2), int(size / 2 * rng.uniform(0.4, 1)))
            cv2.ellipse(mask, (x, y), axes, rng.uniform(0, 180), 0, float(rng.choice([360, 270])), 255, thick, cv2.LINE_AA)
        else:
            walk = np.cumsum(rng.normal(0, size / 4, (12, 2)), 0)
            cv2.polylines(mask, [(walk + (x, y)).astype(np.int32)], False, 255, thick, cv2.LINE_AA)
        paint = ink if same else canvas.random_paint(ground.colour, rng.uniform(25, 110))
        rows = columns = slice(0, canvas.size)
        canvas.blend((rows, columns), mask.astype(np.float32) / 255, paint)
        number = canvas.number()
        canvas.whole[mask > 127], canvas.part[mask > 127] = number, 0


KINDS: dict[str, tuple[float, Callable[[Canvas], None]]] = {
    "leaves": (0.30, paint_leaves),
    "discs": (0.24, paint_discs),
    "cells": (0.14, paint_cells),
    "mosaic": (0.06, paint_mosaic),
    "products": (0.20, paint_products),
    "glyphs": (0.06, paint_glyphs),
}


def _weather(canvas: Canvas) -> None:
    """What a camera adds: uneven light, a large shadow, blur, noise."""
    rng = canvas.rng
    size = canvas.size
    if rng.random() < 0.5:
        light = cv2.resize(rng.standard_normal((3, 3), dtype=np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        canvas.pixels *= np.clip(1 + standardise(light) * rng.uniform(0, 0.3), 0.25, 2)[..., None]
    if rng.random() < 0.15:
        outline = shapes.place(shapes.blob(rng), tuple(rng.uniform(0, size, 2)), size * 0.5, rng.uniform(0, 6.3))
        canvas.shadow(outline, (0, 0), rng.uniform(2, 20), rng.uniform(0.2, 0.6))
    if rng.random() < 0.4:
        canvas.pixels = cv2.GaussianBlur(canvas.pixels, (0, 0), rng.uniform(0.3, 1.6))
    if rng.random() < 0.6:
        grain = rng.standard_normal((size, size, 1 if rng.random() < 0.5 else 3), dtype=np.float32)
        canvas.pixels = canvas.pixels + grain * rng.uniform(0.5, 12)


def render_scene(seed: int, size: int = SIZE, kind: str | None = None) -> Scene:
    """Paint the scene of a seed.

    Parameters
    ----------
    seed
        0 or more; the same seed, size and kind give the same scene.
    size
        Side in pixels.
    kind
        A key of `KINDS`; drawn by its weight where None.
    """
    rng = np.random.default_rng([1, seed])
    weights = np.array([weight for weight, _ in KINDS.values()])
    drawn = str(rng.choice(list(KINDS), p=weights / weights.sum()))
    canvas = Canvas(rng, _bank(seed), size)
    KINDS[kind or drawn][1](canvas)
    _weather(canvas)
    return canvas.scene()
