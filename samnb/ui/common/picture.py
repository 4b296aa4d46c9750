"""The annotator as a still picture, for pages without a kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...masks import overlay
from ...prompts import FOREGROUND, Prompt
from . import style

__all__ = ["draw_annotated"]


def draw_annotated(
    pixels: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]], colors: Sequence[str], prompt: Prompt
) -> NDArray[np.uint8]:
    """A copy of (H, W, 3) pixels with masks in these "#rrggbb" colours, the prompt's points and its box.

    Examples
    --------
    >>> draw_annotated(np.zeros((20, 30, 3), np.uint8), [], [], Prompt.of(points=[(15, 10)]))[10, 13].tolist()
    [27, 158, 87]
    """
    picture = Image.fromarray(overlay(pixels, masks, colors=colors) if len(masks) else pixels.copy())
    draw = ImageDraw.Draw(picture)
    unit = max(1.0, max(pixels.shape[:2]) / 400)
    if prompt.box is not None:
        draw.rectangle(prompt.box, outline=style.ACCENT, width=round(2 * unit))
    for (x, y), label in zip(prompt.points, prompt.point_labels, strict=True):
        color = style.FOREGROUND_POINT if label == FOREGROUND else style.BACKGROUND_POINT
        radius = 4 * unit
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline="white", width=round(unit))
    return np.asarray(picture)
