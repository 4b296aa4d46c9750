"""The painters of five kinds of scene; discs, letters and nuclei have files of their own."""

from __future__ import annotations

import cv2
import numpy as np

from training import shapes
from training.canvas import Canvas
from training.discs import scatter
from training.textures import fbm


def _power_radius(rng: np.random.Generator, low: float, high: float, power: float = 3.0) -> float:
    """Draw a radius of density r^-power between `low` and `high` pixels, as in natural images."""
    k = 1 - power
    return float((low**k + rng.random() * (high**k - low**k)) ** (1 / k))


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
        small = shapes.place(
            shapes.any_outline(rng),
            (centre[0] + shift[0], centre[1] + shift[1]),
            radius * rng.uniform(0.15, 0.6),
            rng.uniform(0, 6.3),
        )
        distance = float(np.exp(rng.uniform(np.log(12), np.log(90))))
        canvas.stamp(small, canvas.random_paint(colour, distance), part=canvas.number(), inside=number)


def paint_cells(canvas: Canvas) -> None:
    """Cells: touching blobs, lighter or darker than their ground, some with a nucleus, rim or halo; then a blur."""
    rng = canvas.rng
    ground = canvas.random_paint()
    canvas.cover(ground)
    radius = float(np.exp(rng.uniform(np.log(8), np.log(60))))
    body = canvas.random_paint(ground.colour, float(np.exp(rng.uniform(np.log(12), np.log(100)))))
    nucleus = canvas.random_paint(body.colour, float(np.exp(rng.uniform(np.log(12), np.log(80)))))
    with_nucleus, rim = rng.random() < 0.5, rng.random() < 0.5
    rim_colour = np.clip(body.colour + np.float32(rng.choice([-1, 1]) * rng.uniform(10, 60)), 0, 255)
    for centre in scatter(rng, canvas.size, radius, rng.uniform(0.6, 1.2), int(rng.integers(10, 150))):
        outline = shapes.place(
            shapes.blob(rng, rng.uniform(0, 0.25)), centre, radius * rng.uniform(0.6, 1.2), rng.uniform(0, 6.3)
        )
        number = canvas.number()
        if not canvas.stamp(outline, body, whole=number, opacity=rng.uniform(0.6, 1)):
            continue
        if rim:
            window = shapes.bounds(outline, canvas.size)
            middle = np.asarray(centre, np.float32)
            inner = (outline - middle) * np.float32(rng.uniform(0.75, 0.92)) + middle
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
    _, nearest = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)
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
            smaller = shapes.any_outline(rng), at, radius * rng.uniform(0.3, 0.7), rng.uniform(0, 6.3)
            pieces.append(shapes.place(*smaller))
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
            turn, end = rng.uniform(0, 180), float(rng.choice([360, 270]))
            cv2.ellipse(mask, (x, y), axes, turn, 0, end, 255, thick, cv2.LINE_AA)
        else:
            walk = np.cumsum(rng.normal(0, size / 4, (12, 2)), 0)
            cv2.polylines(mask, [(walk + np.array([x, y])).astype(np.int32)], False, 255, thick, cv2.LINE_AA)
        paint = ink if same else canvas.random_paint(ground.colour, rng.uniform(25, 110))
        rows = columns = slice(0, canvas.size)
        canvas.blend((rows, columns), mask.astype(np.float32) / 255, paint)
        number = canvas.number()
        canvas.whole[mask > 127], canvas.part[mask > 127] = number, 0
