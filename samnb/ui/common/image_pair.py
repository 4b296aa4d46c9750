"""Two pictures side by side, and their differences, as HTML. No session, no widgets."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...cards import size_text
from ...images import thumbnail
from ...images.thumbnails import jpeg_url
from ...records import ImageRecord

SIDE = 640
"""The longest side, in pixels, of pictures sent to the page."""

GAIN = 4
"""Amplification of differences: a re-compression changes values by a few of 255."""

CSS = """
.samnb .samnb-pair { display: flex; flex-flow: row wrap; gap: 12px; margin: var(--samnb-gap) 0; }
.samnb .samnb-pair figure { flex: 1 1 200px; min-width: 0; margin: 0; border-radius: var(--samnb-radius);
  border: 2px solid var(--samnb-line); overflow: hidden; }
.samnb .samnb-pair figure.samnb-stays { border-color: var(--samnb-accent); }
.samnb .samnb-pair img, .samnb .samnb-pair .samnb-unread { display: block; width: 100%;
  height: clamp(240px, min(40vh, 24vw), 600px);
  object-fit: contain; background: var(--samnb-sunk); }
.samnb .samnb-pair .samnb-unread { box-sizing: border-box; padding: 16px; color: var(--samnb-bad);
  overflow-wrap: anywhere; white-space: normal; }
.samnb .samnb-pair figcaption { padding: 6px 8px; line-height: 18px; overflow-wrap: anywhere; }
.samnb .samnb-pair .samnb-star { color: var(--samnb-accent); font-weight: 600; margin-left: 10px; white-space: nowrap; }
"""

Pixels = NDArray[np.uint8]


def difference(first: Pixels, second: Pixels) -> Pixels:
    """The differences of two pictures: orange on a dark grey version of the first.

    The second is scaled to the size of the first, and gets its brightness and contrast: otherwise a darker picture
    would differ everywhere.

    Parameters
    ----------
    first, second : (H, W, 3) uint8

    Returns
    -------
    (h, w, 3) uint8
        At most `SIDE` pixels wide and high.
    """
    small = thumbnail(first, SIDE)
    # Compared with an enlarged picture, the other one's sharpness would be the difference.
    size = (min(small.shape[1], second.shape[1]), min(small.shape[0], second.shape[0]))
    one, other = (_resized(pixels, size) for pixels in (first, second))
    middle, spread = other.mean(axis=(0, 1)), other.std(axis=(0, 1))
    other = (other - middle) * (one.std(axis=(0, 1)) / np.maximum(spread, 1)) + one.mean(axis=(0, 1))
    share = (np.abs(one - other).max(axis=2, keepdims=True) * GAIN / 255).clip(0, 1)
    ground = one.mean(axis=2, keepdims=True) * 0.3
    return (ground * (1 - share) + share * np.array([255, 150, 40])).clip(0, 255).astype(np.uint8)


def figure(image: ImageRecord, pixels: Pixels | Exception, *, stays: bool) -> str:
    """One of the two: picture, name, size; for an unreadable one the reason."""
    name = f"{image.dataset}/{image.filename}"
    size = f"{image.width} × {image.height} px"
    star = _span("★ stays", "samnb-star") if stays else ""
    caption = f"{_span(name, 'samnb-strong')}<br>{_span(f'{size} · {size_text(image.size_bytes)}', 'samnb-dim')}{star}"
    return _figure(pixels, name, caption, stays=stays)


def difference_figure(first: Pixels | Exception, second: Pixels | Exception) -> str:
    """The difference of the two."""
    if isinstance(first, Exception) or isinstance(second, Exception):
        return _figure(ValueError("One of them cannot be read."), "", _span("Difference", "samnb-strong"))
    caption = _span("Difference", "samnb-strong") + "<br>" + _span("orange, brightness evened out", "samnb-dim")
    return _figure(difference(first, second), "where they differ", caption)


def side_by_side(pixels: list[Pixels | Exception], height: int = 240) -> Pixels:
    """(height, W, 3): the pictures in a row, for pages without a kernel; grey for an unreadable one."""
    shown = [np.full((height, height, 3), 200, np.uint8) if isinstance(each, Exception) else each for each in pixels]
    sizes = [(max(1, round(each.shape[1] * height / each.shape[0])), height) for each in shown]
    gap = np.full((height, 12, 3), 255, np.uint8)
    row = [part for each, size in zip(shown, sizes, strict=True) for part in (_resized(each, size), gap)]
    return np.concatenate(row[:-1], axis=1).astype(np.uint8)


def _figure(pixels: Pixels | Exception, alt: str, caption: str, *, stays: bool = False) -> str:
    if isinstance(pixels, Exception):
        shown = f'<div class="samnb-unread">⚠ {escape(str(pixels))}</div>'
    else:
        shown = f'<img alt="{escape(alt)}" src="{jpeg_url(thumbnail(pixels, SIDE))}">'
    return f'<figure class="{"samnb-stays" if stays else ""}">{shown}<figcaption>{caption}</figcaption></figure>'


def _resized(pixels: Pixels, size: tuple[int, int]) -> NDArray[np.float64]:
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), np.float64)


def _span(text: str, name: str) -> str:
    return f'<span class="{name}">{escape(text)}</span>'
