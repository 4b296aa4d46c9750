"""`Snapshot`: a picture of the annotator under its output, for pages without a kernel.

The style sheet hides it in a running notebook. It is the last state; a widget's own saved picture would be the first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...images import encode_png, thumbnail
from ...masks import overlay
from ...masks.drawing import color_rgb
from ...prompts import FOREGROUND, Prompt
from ..common import style
from ..common.background import LatestOnlyWorker
from .shapes import Shape

_log = logging.getLogger("samnb.widgets")

# Seconds without a change before the picture is updated: each update is a message and changes the notebook's file.
_QUIET = 1.5
_LINE, _INK, _DIM, _PAPER = 22, (34, 34, 34), (110, 110, 110), (255, 255, 255)


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


def draw_snapshot(
    pixels: NDArray[np.uint8],
    shapes: Sequence[Shape] = (),
    *,
    size_hw: tuple[int, int] | None = None,
    mask: NDArray[np.bool_] | None = None,
    prompt: Prompt | None = None,
    title: str = "",
    legend: Sequence[tuple[str, str]] = (),
    side: int = style.PICTURE_SIZE[0],
) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of the picture made small, with annotations, the draft's mask and prompt, title and legend.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
    shapes : sequence of Shape
        Outlines in image pixels; they are drawn small, so that thousands on a large image are quick.
    size_hw : (H, W), optional
        Of the image, where the pixels are those of a smaller version.
    legend : sequence of (text, "#rrggbb")

    Examples
    --------
    >>> picture = draw_snapshot(np.zeros((100, 200, 3), np.uint8), title="coins", legend=[("coin · 2", "#e69f00")])
    >>> picture.shape
    (144, 200, 3)
    """
    small = thumbnail(pixels, side)
    factor = max(small.shape[:2]) / max(size_hw or pixels.shape[:2])
    for shape in shapes:
        _fill(small, shape, factor)
    given = prompt or Prompt()
    little = Prompt(
        tuple((x * factor, y * factor) for x, y in given.points),
        given.point_labels,
        None if given.box is None else tuple(side * factor for side in given.box),  # type: ignore[arg-type]
    )
    masks = []
    if mask is not None:
        masks = [cv2.resize(mask.view(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(bool)]
    return _with_words(draw_annotated(small, masks, [style.ACCENT][: len(masks)], little), title, legend)


def _fill(pixels: NDArray[np.uint8], shape: Shape, factor: float) -> None:
    # Sixteenths of a pixel: OpenCV's fixed-point coordinates.
    rings = [
        np.round(ring * factor * 16).astype(np.int32)
        for polygon in shape.polygons
        for ring in (polygon.exterior, *polygon.holes)
    ]
    if not rings:
        return
    everything = np.concatenate(rings)
    x0, y0 = np.maximum(everything.min(axis=0) // 16 - 1, 0)
    x1, y1 = everything.max(axis=0) // 16 + 2
    part = pixels[y0:y1, x0:x1]
    if not part.size:
        return
    moved = [ring - np.array([x0, y0], np.int32) * 16 for ring in rings]
    color = color_rgb(shape.color)
    filled = cv2.fillPoly(part.copy(), moved, color, lineType=cv2.LINE_AA, shift=4)
    part[:] = cv2.addWeighted(part, 0.6, filled, 0.4, 0)
    outlined = part.copy()
    cv2.polylines(outlined, moved, True, color, 1, cv2.LINE_AA, 4)
    part[:] = outlined


def _with_words(pixels: NDArray[np.uint8], title: str, legend: Sequence[tuple[str, str]]) -> NDArray[np.uint8]:
    lines = [*([title] if title else []), *([legend] if legend else [])]
    if not lines:
        return pixels
    height, width = pixels.shape[:2]
    page = Image.new("RGB", (width, height + _LINE * len(lines)), _PAPER)
    page.paste(Image.fromarray(pixels), (0, _LINE if title else 0))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    if title:
        draw.text((2, 2), title, _INK, font)
    x, y = 4.0, page.height - _LINE + 4
    for text, color in legend:
        draw.ellipse((x, y + 3, x + 10, y + 13), fill=color, outline=_DIM)
        draw.text((x + 15, y), text, _INK, font)
        x += 15 + draw.textlength(text, font) + 16
    return np.asarray(page)


def show_with_snapshot(bundle: dict[str, Any], snapshot: Snapshot) -> None:
    """Display a widget's bundle, and its snapshot as an output of its own where that can be hidden.

    One output of both would be simpler; but it can only be updated together with the widget, which would flicker, and
    interrupt a drag.
    """
    from IPython.display import publish_display_data

    apart = snapshot.is_hidden_here()
    publish_display_data({kind: data for kind, data in bundle.items() if not (apart and kind == "image/png")})
    if apart:
        snapshot.display()


class Snapshot:
    """Puts the picture under the widget's output, and a new one in its place some time after each change.

    Parameters
    ----------
    draw : callable
        Returns the pixels; called on another thread.
    """

    def __init__(self, draw: Callable[[], NDArray[np.uint8]]):
        self._draw = draw
        self._id = f"samnb-{uuid4().hex}"
        self._worker = LatestOnlyWorker()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._shown = b""
        self._displayed = False
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def is_hidden_here() -> bool:
        """False if the style sheet does not know the page: there the picture would be visible beside the widget."""
        return "google.colab" not in sys.modules and not any(name.startswith("VSCODE_") for name in os.environ)

    def display(self) -> None:
        """Show it, in the cell that runs now."""
        self._displayed = True
        self._publish(encode_png(self._draw()), update=False)

    def changed(self) -> None:
        """Draw it again once nothing has changed for a while; returns at once, on any thread."""
        loop = self._loop
        if not self._displayed or loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._restart_timer, loop)
        except RuntimeError:
            _log.debug("event loop closed before a snapshot was drawn")

    def close(self) -> None:
        """Leave the picture as it is."""
        self._displayed = False

    def _restart_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(_QUIET, self._renew)

    def _renew(self) -> None:
        self._worker.submit(lambda: encode_png(self._draw()), self._take)

    def _take(self, picture: bytes | None, error: Exception | None) -> None:
        if error is not None:
            # The widget itself shows what is wrong with an image.
            _log.info("no snapshot: %s", error)
        elif picture is not None and picture != self._shown and self._displayed:
            self._publish(picture, update=True)

    def _publish(self, picture: bytes, *, update: bool) -> None:
        from IPython.display import publish_display_data

        self._shown = picture
        data: dict[str, Any] = {"image/png": b64encode(picture).decode(), "text/plain": "<the annotator, as it was>"}
        # With this the style sheet distinguishes it from other pictures of the cell.
        metadata = {"needs_background": "light"}
        publish_display_data(data, metadata, transient={"display_id": self._id}, update=update)
