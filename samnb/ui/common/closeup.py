"""Close-up of one object with its outline and surroundings, and its place on the picture. No session, no widgets."""

from __future__ import annotations

from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...images import thumbnail
from ...images.thumbnails import jpeg_url
from ...masks.drawing import color_rgb, draw_masks
from ...masks.geometry import Mask

SIDE = 840
"""The longest side, in pixels, of the object's picture as it is sent to the page; small ones are enlarged."""

SMALL = 260
"""The longest side of the whole picture beside it."""

ROUND = 0.75
"""The margin around an object on every side, in lengths of its longer side."""

LEAST = 24
"""The minimum margin in pixels."""

CSS = """
.samnb .samnb-closeup { display: flex; flex-flow: row wrap; gap: 12px; margin: var(--samnb-gap) 0; }
.samnb .samnb-closeup figure { margin: 0; min-width: 0; border: 1px solid var(--samnb-line); overflow: hidden;
  border-radius: var(--samnb-radius); align-self: flex-start; }
.samnb .samnb-closeup figure.samnb-large { flex: 3 1 320px; }
.samnb .samnb-closeup figure.samnb-whole { flex: 1 1 160px; max-width: 280px; }
.samnb .samnb-closeup img { display: block; width: 100%; object-fit: contain;
  height: clamp(300px, min(56vh, 52vw), 760px);
  background: var(--samnb-sunk); }
.samnb .samnb-closeup .samnb-whole img { height: 220px; }
.samnb .samnb-closeup figcaption { padding: 6px 8px; line-height: 18px; overflow-wrap: anywhere; }
"""

Pixels = NDArray[np.uint8]
Window = tuple[int, int, int, int]


def window_round(bbox: tuple[float, float, float, float], size_hw: tuple[int, int]) -> Window:
    """The part (x0, y0, x1, y1) of an image that shows an object and its surroundings, whole pixels.

    Examples
    --------
    >>> window_round((100, 100, 40, 20), (200, 300))
    (70, 70, 170, 150)
    """
    x, y, width, height = bbox
    margin = max(LEAST, ROUND * max(width, height))
    x0, y0 = max(0, int(x - margin)), max(0, int(y - margin))
    return x0, y0, min(size_hw[1], round(x + width + margin)), min(size_hw[0], round(y + height + margin))


def closeup(pixels: Pixels, mask: Mask, window: Window, color: str, *, with_mask: bool = True) -> Pixels:
    """(h, w, 3): that part of the picture, enlarged, with the object's outline on it."""
    x0, y0, x1, y1 = window
    part = pixels[y0:y1, x0:x1]
    factor = SIDE / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor)))
    shown = np.array(Image.fromarray(part).resize(size, Image.Resampling.BICUBIC), np.uint8)
    return draw_masks(shown, [mask[y0:y1, x0:x1]], color, layered=True) if with_mask else shown


def whereabouts(pixels: Pixels, window: Window, color: str) -> Pixels:
    """(h, w, 3): the whole picture, small, with a frame around that part."""
    small = thumbnail(pixels, SMALL).copy()
    scale = small.shape[1] / pixels.shape[1]
    x0, y0, x1, y1 = (round(value * scale) for value in window)
    cv2.rectangle(small, (x0, y0), (max(x0 + 1, x1 - 1), max(y0 + 1, y1 - 1)), color_rgb(color), 2)
    return small


def closeup_figure(pixels: Pixels, name: str, caption: str, kind: str) -> str:
    """One picture as HTML; `caption` is HTML already."""
    image = f'<img alt="{escape(name, quote=True)}" src="{jpeg_url(pixels)}">'
    return f'<figure class="samnb-{kind}">{image}<figcaption>{caption}</figcaption></figure>'
