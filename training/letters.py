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
    alpha = _written(rng, canvas.size)
    if rng.random() < 0.4:  # by hand: wavy strokes
        alpha = _wavy(rng, alpha)
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
