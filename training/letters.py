"""Pages of text: letters in the fonts that matplotlib ships, each piece of ink an object of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.canvas import Canvas
from training.textures import standardise

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789&?%@"


@cache
def font_files() -> list[Path]:
    """Fonts with plain letters."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(
        path for path in folder.glob("*.ttf") if path.name.startswith(("DejaVuSa", "DejaVuSe", "STIXGeneral"))
    )


def paint_letters(canvas: Canvas) -> None:
    """Print lines of letters, or draw a few loose ones, on paper."""
    rng = canvas.rng
    paper = canvas.random_paint()
    canvas.cover(paper)
    ink = canvas.random_paint(paper.colour, float(np.exp(rng.uniform(np.log(30), np.log(150)))))
    by_pen = rng.random() < 0.3
    alpha = _penned(rng, canvas.size) if by_pen else _written(rng, canvas.size)
    if rng.random() < 0.4:  # by hand: wavy strokes
        alpha = _wavy(rng, alpha)
    if rng.random() < 0.4:  # scanned coarsely and enlarged: edges several pixels wide
        coarse = int(canvas.size / rng.uniform(1.5, 4))
        small = cv2.resize(alpha, (coarse, coarse), interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(small, (canvas.size, canvas.size), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    solid = (alpha > 0.5).astype(np.uint8)
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    canvas.blend((slice(None), slice(None)), alpha, ink)
    kept = np.zeros(len(stats), np.uint16)
    for piece in range(1, len(stats)):
        if stats[piece, cv2.CC_STAT_AREA] >= 25:
            kept[piece] = canvas.number()
    canvas.whole = kept[pieces]


def _written(rng: np.random.Generator, size: int) -> np.ndarray:
    """Ink coverage 0..1 of lines of random words."""
    page = Image.new("L", (size, size))
    draw = ImageDraw.Draw(page)
    files = font_files()
    height = int(np.exp(rng.uniform(np.log(13), np.log(130))))
    font = ImageFont.truetype(str(files[int(rng.integers(len(files)))]), height)
    spacing = rng.uniform(0.0, 0.35) * height
    y = rng.uniform(-0.5, 1) * height
    while y < size:
        x = rng.uniform(-1, 2) * height
        while x < size:
            if rng.random() < 0.16:
                x += 0.5 * height
            letter = str(rng.choice(list(LETTERS)))
            draw.text((x, y), letter, fill=255, font=font)
            x += draw.textlength(letter, font=font) + spacing
        y += height * rng.uniform(1.1, 1.7)
    turned = page.rotate(float(rng.normal(0, 5)), Image.Resampling.BICUBIC)
    return np.asarray(turned, np.float32) / 255


def _penned(rng: np.random.Generator, size: int) -> np.ndarray:
    """Ink coverage 0..1 of words written with a pen: strokes that bend smoothly, some of them crossing, some ruled."""
    page = np.zeros((size, size), np.uint8)
    height = float(np.exp(rng.uniform(np.log(18), np.log(120))))
    width = int(np.clip(height * rng.uniform(0.05, 0.2), 2, 14))
    slant, y = rng.normal(0, 0.3), rng.uniform(0, 1) * height
    for _ in range(int(rng.integers(0, 4))):  # rules, and what is struck out
        ends = rng.uniform(-0.2, 1.2, (2, 2)) * size
        cv2.line(page, *[tuple(int(v) for v in end) for end in ends], 255, width, cv2.LINE_AA)
    while y < size:
        x = rng.uniform(-0.5, 1) * height
        while x < size:
            count = int(rng.integers(3, 7))
            knots = np.cumsum(rng.uniform(-0.45, 0.6, (count, 2)) * height, 0) * [rng.uniform(0.4, 1.2), 1]
            knots -= knots.mean(0)
            knots[:, 0] += slant * knots[:, 1]
            t = np.linspace(0, count - 1, 24)
            curve = np.stack([np.interp(t, np.arange(count), knots[:, axis]) for axis in (0, 1)], 1)
            curve = cv2.GaussianBlur(curve.astype(np.float32), (1, 9), 0, borderType=cv2.BORDER_REPLICATE)
            cv2.polylines(page, [(curve + np.array([x, y])).astype(np.int32)], False, 255, width, cv2.LINE_AA)
            x += height * rng.uniform(0.5, 1.4)
        y += height * rng.uniform(1.1, 2.2)
    return page.astype(np.float32) / 255


def _wavy(rng: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    size = alpha.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    cells = int(rng.integers(6, 20))
    reach = rng.uniform(0.1, 0.35) * size / cells
    moves = [
        standardise(cv2.resize(rng.standard_normal((cells, cells), dtype=np.float32), (size, size), interpolation=2))
        for _ in range(2)
    ]
    return np.asarray(cv2.remap(alpha, x + moves[0] * reach, y + moves[1] * reach, cv2.INTER_LINEAR))
