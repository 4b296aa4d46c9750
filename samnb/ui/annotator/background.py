"""`Background`: the picture under everything else, drawn at once from what the page has, then sharp."""

from __future__ import annotations

import logging
from functools import partial

import ipycanvas
import ipycanvas.canvas
import numpy as np
from numpy.typing import NDArray

from ..common.background import LatestOnlyWorker
from ..common.closing import close_tree
from .image_pyramid import ImagePyramid, Raster, render, render_coarse
from .picture_look import AS_IT_IS, PictureLook
from .shapes import LOCK, drawing
from .viewport import Viewport

_log = logging.getLogger("samnb.widgets")

# Pictures up to this number of pixels are shrunk in some hundredths of a second, so they need no coarse first version.
_QUICK_PIXELS = 3_000_000


class Background:
    """Draws a picture on a layer, for any view.

    Parameters
    ----------
    layer : ipycanvas.Canvas
        The visible layer; cleared at each drawing.
    """

    def __init__(self, layer: ipycanvas.Canvas):
        self._layer = layer
        self._worker = LatestOnlyWorker()
        self._pyramid: ImagePyramid | None = None
        self._frame: Viewport | None = None
        self._look = AS_IT_IS
        self._whole = _Tile()
        # Two, so that the part in view stays there while the next one is drawn.
        self._part, self._spare = _Tile(), _Tile()

    def show(self, picture: NDArray[np.uint8] | ImagePyramid, view: Viewport) -> None:
        """Another picture; a large one is read in parts, and has a small version ready."""
        fitted, look, quick = view.fitted(), self._look, True
        if isinstance(picture, ImagePyramid):
            pyramid, raster = picture, render(picture, fitted, look)
        else:
            pyramid, quick = ImagePyramid(picture), picture.shape[0] * picture.shape[1] <= _QUICK_PIXELS
            raster = render(pyramid, fitted, look) if quick else render_coarse(picture, fitted, look)
        with LOCK:
            self._pyramid = pyramid
            self._part.raster = None
            with drawing():
                self._whole.put(raster)
                self.draw(view, coarse=not quick)

    def draw(self, view: Viewport, *, coarse: bool = False) -> None:
        """Draw the picture in that view as sharp as possible now, and sharper when more is loaded."""
        with LOCK, drawing():
            self._frame = view
            self._layer.clear()
            # Many small pixels are smoothed, few large ones are shown as the squares they are.
            self._layer.image_smoothing_enabled = view.scale < 8
            for tile in (self._whole, self._part):
                tile.draw(self._layer, view)
            if self._pyramid is not None and (coarse or not self._sharp(view)):
                work = partial(_rendered, self._pyramid, view, coarse or self._stale(view), self._look)
                self._worker.submit(work, self._take)

    def set_look(self, look: PictureLook, view: Viewport) -> None:
        """Show the picture brighter, with more contrast, or one channel of it."""
        with LOCK:
            self._look = look
            if self._pyramid is not None:
                self._frame = view
                self._worker.submit(partial(_rendered, self._pyramid, view, True, look), self._take)

    def send_again(self) -> None:
        """Send all files again, for a reloaded page."""
        with LOCK, drawing():
            for tile in (self._whole, self._part):
                if tile.raster is not None:
                    tile.put(tile.raster)

    def wait(self, timeout: float = 30.0) -> None:
        """Block until the picture is as sharp as possible; for scripts and tests."""
        self._worker.wait(timeout)

    def close(self) -> None:
        """Release the browser's objects."""
        self._pyramid = None
        for tile in (self._whole, self._part, self._spare):
            close_tree(tile.canvas)

    def _sharp(self, view: Viewport) -> bool:
        return any(tile.raster is not None and tile.raster.suffices(view) for tile in (self._whole, self._part))

    def _stale(self, view: Viewport) -> bool:
        return self._whole.raster is None or not self._whole.raster.suffices(view.fitted())

    def _take(self, found: tuple[ImagePyramid, Raster | None, Raster | None] | None, error: Exception | None) -> None:
        if error is not None or found is None:
            _log.warning("a part of the picture could not be drawn", exc_info=error)
            return
        pyramid, whole, part = found
        with LOCK, drawing():
            if pyramid is not self._pyramid or self._frame is None:
                return
            if whole is not None:
                self._whole.put(whole)
            if part is not None:
                self._spare.put(part)
                self._part, self._spare = self._spare, self._part
            self.draw(self._frame)


def _rendered(
    pyramid: ImagePyramid, view: Viewport, whole: bool, look: PictureLook
) -> tuple[ImagePyramid, Raster | None, Raster | None]:
    base = render(pyramid, view.fitted(), look) if whole else None
    return pyramid, base, None if base is not None and base.suffices(view) else render(pyramid, view, look)


class _Tile:
    """A hidden canvas to draw from: the page decodes a file once and not at each drawing.

    It is reused and never closed: a command for a canvas that the page no longer has would stop all drawing.
    """

    def __init__(self) -> None:
        self.canvas = ipycanvas.Canvas(width=1, height=1, _send_client_ready_event=False)
        self.raster: Raster | None = None

    def put(self, raster: Raster) -> None:
        """Load another file."""
        width, height = raster.size
        if (self.canvas.width, self.canvas.height) != (width, height):
            self.canvas.width, self.canvas.height = width, height
        self.raster = raster
        with drawing():
            self.canvas.clear()
            # put_image_data would encode once more: RGB as a coarse JPEG, RGBA slowly.
            self.canvas._canvas_manager.send_draw_command(
                self.canvas, ipycanvas.canvas.COMMANDS["putImageData"], [0, 0], [raster.data]
            )

    def draw(self, layer: ipycanvas.Canvas, view: Viewport) -> None:
        """Draw its part of the picture at the position in that view."""
        if self.raster is None:
            return
        (x, y), (right, bottom) = view.to_canvas([self.raster.box[:2], self.raster.box[2:]]).round(3).tolist()
        if right > 0 and bottom > 0 and x < layer.width and y < layer.height:
            layer.draw_image(self.canvas, x, y, right - x, bottom - y)
