"""The canvas of the annotator: four layers to draw on, and a hand on top of them."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ipycanvas.canvas
import ipyevents
import ipywidgets
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..images import encode_png
from ..masks import Polygon
from ..prompts import FOREGROUND, Prompt
from .frame import Frame
from .gestures import BoxDrag, Click, Gestures
from .strokes import draw_box, draw_point, stroke, trace

__all__ = ["Shape", "Stage"]

PICTURE, SAVED, MASK, PROMPT = range(4)

_MOVES_EVERY_MS = 40
_SETTLE_SECONDS = 0.5
# PNG keeps small pictures exact; above this many pixels it takes hundreds of milliseconds and JPEG looks the same.
_PNG_PIXELS = 400_000

# hold_canvas is one switch for all canvases of the kernel: two threads drawing at once paint on each other's layers.
_DRAWING = threading.RLock()


@dataclass(frozen=True, eq=False)
class Shape:
    """The outlines of a mask and the colour it is drawn in."""

    polygons: tuple[Polygon, ...]
    color: str


class Stage:
    """Shows one picture with what lies on it, and turns the mouse into clicks and boxes in image pixels.

    Parameters
    ----------
    size : (width, height)
        CSS pixels.
    on_gesture : callable
        Called with a `Click` or a `BoxDrag` in image pixels; a drag comes several times before it is done.
    on_key : callable
        Called with a key's name and whether Ctrl or Cmd is down, while the pointer is over the stage.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        on_gesture: Callable[[Click | BoxDrag], None],
        on_key: Callable[[str, bool], None],
    ):
        self.frame = Frame(size, size)
        self._on_gesture, self._on_key = on_gesture, on_key
        self._gestures = Gestures()
        self._picture: ipywidgets.Image | None = None
        self._picture_drawn_at = 0.0
        self._saved: Sequence[Shape] = ()
        self._mask: Shape | None = None
        self._prompt = Prompt()
        width, height = (side * self.frame.backing for side in size)
        self.canvas = ipycanvas.MultiCanvas(4, width=width, height=height)
        # The page scales the canvas with its box, so a narrow notebook shrinks it and coordinates stay right.
        self.canvas.layout = ipywidgets.Layout(width="100%", height="auto")
        self.canvas.on_client_ready(self._on_client_ready)
        self.widget = ipywidgets.Box([self.canvas])
        self.widget.layout = ipywidgets.Layout(max_width=f"{size[0]}px")
        self.widget.add_class("samnb-stage")
        self._listen()

    # -- what is shown -----------------------------------------------------------------------------

    def show_picture(self, pixels: NDArray[np.uint8]) -> None:
        """Another picture; everything that lay on the last one is gone."""
        height, width = pixels.shape[:2]
        frame = Frame((width, height), self.frame.stage_size)
        # A new widget each time: commands and states travel apart, so a reused one may be drawn with its old picture.
        value, kind = _encoded(pixels, frame)
        picture = ipywidgets.Image(value=value, format=kind)
        previous, self._picture, self.frame = self._picture, picture, frame
        self._saved, self._mask, self._prompt = (), None, Prompt()
        self._draw_picture()
        self._draw_shapes()
        self._draw_prompt(self._prompt, None)
        if previous is not None:
            previous.close()

    def show_saved(self, shapes: Sequence[Shape]) -> None:
        """The annotations of this picture."""
        self._saved = tuple(shapes)
        with drawing():
            self._fill(SAVED, self._saved, alpha=0.35, line=1.5)

    def show_mask(self, shape: Shape | None) -> None:
        """The mask in hand, or none."""
        self._mask = shape
        with drawing():
            self._fill(MASK, (shape,) if shape else (), alpha=0.45, line=2.0, halo=True)

    def show_prompt(self, prompt: Prompt, *, band: BoxDrag | None = None) -> None:
        """The points and box in hand; `band`, a box in image pixels, is one still being drawn."""
        self._prompt = prompt
        self._draw_prompt(prompt, band)

    def redraw(self) -> None:
        """Everything again, for a page that was loaded anew and starts blank."""
        self._draw_picture()
        self._draw_shapes()
        self._draw_prompt(self._prompt, None)

    # -- drawing -----------------------------------------------------------------------------------

    def _draw_picture(self) -> None:
        layer = self.canvas[PICTURE]
        corners = self.frame.to_canvas([(0, 0), self.frame.image_size])
        (x, y), (right, bottom) = corners.tolist()
        with drawing():
            layer.clear()
            if self._picture is not None:
                # Many small pixels are smoothed, few large ones are shown as the squares they are.
                layer.image_smoothing_enabled = self.frame.scale < 8
                # Last of its batch: the page decodes the picture meanwhile and would put what follows elsewhere.
                layer.draw_image(self._picture, x, y, right - x, bottom - y)
        self._settle()

    def _settle(self) -> None:
        """Two pictures in quick succession may be decoded in the wrong order: draw the latest once more."""
        now, before = time.monotonic(), self._picture_drawn_at
        self._picture_drawn_at = now
        if now - before > _SETTLE_SECONDS:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return

        def again() -> None:
            if self._picture_drawn_at == now:
                self._draw_picture()

        loop.call_later(_SETTLE_SECONDS * 1.2, again)

    def _draw_shapes(self) -> None:
        self.show_saved(self._saved)
        self.show_mask(self._mask)

    def _fill(self, layer: int, shapes: Sequence[Shape], *, alpha: float, line: float, halo: bool = False) -> None:
        canvas = self.canvas[layer]
        canvas.clear()
        for shape in shapes:
            trace(canvas, shape.polygons, self.frame)
            canvas.global_alpha = alpha
            canvas.fill_style = shape.color
            canvas.fill("evenodd")
            canvas.global_alpha = 0.9
            if halo:
                stroke(canvas, "#ffffff", (line + 2) * self.frame.backing)
            canvas.global_alpha = 1.0
            stroke(canvas, shape.color, line * self.frame.backing)

    def _draw_prompt(self, prompt: Prompt, band: BoxDrag | None) -> None:
        canvas, unit = self.canvas[PROMPT], float(self.frame.backing)
        points = self.frame.to_canvas(prompt.points).tolist()
        boxes = [box for box in (prompt.box, (band.x0, band.y0, band.x1, band.y1) if band else None) if box]
        with drawing():
            canvas.clear()
            for index, box in enumerate(boxes):
                dashed = band is not None and index == len(boxes) - 1
                draw_box(canvas, self.frame.to_canvas([box[:2], box[2:]]).tolist(), unit, dashed=dashed)
            for place, label in zip(points, prompt.point_labels, strict=True):
                draw_point(canvas, place, unit, foreground=label == FOREGROUND)

    # -- the hand ----------------------------------------------------------------------------------

    def _listen(self) -> None:
        presses = ipyevents.Event(
            source=self.widget,
            watched_events=["mousedown", "mouseup", "mouseleave", "mouseenter", "contextmenu"],
            prevent_default_action=True,
        )
        # Watched only while a button is down: nothing is shown for a mere move, and each one would wake the kernel.
        self._moves = ipyevents.Event(
            source=self.widget,
            watched_events=[],
            prevent_default_action=True,
            throttle_or_debounce="throttle",
            wait=_MOVES_EVERY_MS,
        )
        pressed_keys = ipyevents.Event(source=self.widget, watched_events=["keydown"], ignore_modifier_key_events=True)
        presses.on_dom_event(self._on_mouse)
        self._moves.on_dom_event(self._on_mouse)
        pressed_keys.on_dom_event(
            lambda event: self._on_key(str(event.get("key", "")), bool(event.get("ctrlKey") or event.get("metaKey")))
        )
        self._events = (presses, self._moves, pressed_keys)

    def _on_mouse(self, event: dict[str, Any]) -> None:
        meant = self._gestures.read(event)
        self._moves.watched_events = ["mousemove"] if self._gestures.pressed else []
        if isinstance(meant, Click):
            self._on_gesture(Click(*self.frame.to_image(meant.x, meant.y), background=meant.background))
        elif meant is not None:
            (x0, y0), (x1, y1) = self.frame.to_image(meant.x0, meant.y0), self.frame.to_image(meant.x1, meant.y1)
            self._on_gesture(BoxDrag(x0, y0, x1, y1, meant.done))

    def _on_client_ready(self) -> None:
        with _DRAWING:
            # ipycanvas still believes the page knows the layer drawn last; the new page does not (ipycanvas#322).
            ipycanvas.canvas._CANVAS_MANAGER._current_canvas = None
            self.redraw()

    def close(self) -> None:
        """Let go of the browser's objects."""
        for widget in (*self._events, self.canvas, self.widget, *filter(None, [self._picture])):
            widget.close()


@contextmanager
def drawing() -> Iterator[None]:
    """Send the drawing inside as one message, or none of it when it fails.

    `hold_canvas` alone leaves the canvas held after an exception: all later drawing of every canvas is then
    queued and never sent.
    """
    manager = ipycanvas.canvas._CANVAS_MANAGER
    with _DRAWING:
        held = manager._caching
        try:
            with ipycanvas.hold_canvas():
                yield
        except BaseException:
            manager._commands_cache, manager._buffers_cache = [], []
            manager._caching, manager._current_canvas = held, None
            raise


def _encoded(pixels: NDArray[np.uint8], frame: Frame) -> tuple[bytes, str]:
    """The picture as a file, not larger than the canvas can show, and "png" or "jpeg"."""
    height, width = pixels.shape[:2]
    factor = frame.scale * frame.backing
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
    if pixels.shape[0] * pixels.shape[1] <= _PNG_PIXELS:
        return encode_png(pixels), "png"
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=93, subsampling=0)
    return buffer.getvalue(), "jpeg"
