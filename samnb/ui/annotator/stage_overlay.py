"""`StageOverlay`: what moves over the stage without the kernel: dashes, crosshair, the map of a zoomed picture."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray
from PIL import Image

from ...images import thumbnail
from ..common.script_widget import ScriptWidget, script
from .shapes import Shape
from .viewport import Viewport

_log = logging.getLogger("samnb.widgets")

# CSS pixels: the longer side of the map. Corners of an outline beyond which the dashes stand still.
_MAP_SIDE, _MOST_CORNERS = 150, 6000

_CSS = """
.samnb-overlay { position: absolute !important; inset: 0; z-index: 2; margin: 0 !important; overflow: hidden;
  pointer-events: none; }
.samnb-overlay svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.samnb-dashes { fill: none; stroke: #fff; stroke-width: 1.5px; vector-effect: non-scaling-stroke; stroke-dasharray: 5 7;
  animation: samnb-dashes 900ms linear infinite; }
@keyframes samnb-dashes { to { stroke-dashoffset: -12; } }
@media (prefers-reduced-motion: reduce) { .samnb-dashes { animation: none; } }
.samnb-cross { position: absolute; background: rgba(255,255,255,.85); mix-blend-mode: difference; }
.samnb-across { left: 0; right: 0; height: 1px; }
.samnb-down { top: 0; bottom: 0; width: 1px; }
.samnb-map { position: absolute; right: 8px; bottom: 8px; border: 1px solid rgba(255,255,255,.8); line-height: 0;
  box-shadow: 0 0 0 1px rgba(0,0,0,.5); pointer-events: auto; cursor: pointer; touch-action: none; overflow: hidden; }
.samnb-map img { display: block; max-width: 150px; max-height: 150px; }
.samnb-part { position: absolute; box-sizing: border-box; border: 1.5px solid #fff;
  box-shadow: 0 0 0 999px rgba(0,0,0,.45); pointer-events: none; }
.samnb-zoom { position: absolute; left: 8px; top: 8px; padding: 0 6px; border-radius: 3px; background: rgba(0,0,0,.6);
  color: #fff; font-size: 12px; line-height: 20px; font-variant-numeric: tabular-nums; }
"""


class StageOverlay(ScriptWidget):
    """Over the canvas of a stage; its style and positions are the page's.

    Parameters
    ----------
    on_center : callable
        Called with (x, y), fractions of the picture, to bring into the middle.
    """

    _esm = script(__package__, "stage_overlay")
    _css = _CSS
    size: traitlets.List = traitlets.List([1, 1]).tag(sync=True)
    dashes = traitlets.Unicode("").tag(sync=True)
    picture = traitlets.Bytes(b"").tag(sync=True)
    # (x0, y0, x1, y1), fractions of the picture; empty while all of it is in view.
    visible: traitlets.List = traitlets.List([]).tag(sync=True)
    zoom = traitlets.Unicode("").tag(sync=True)
    crosshair = traitlets.Bool(False).tag(sync=True)

    def __init__(self, on_center: Callable[[float, float], None]):
        super().__init__()
        self._on_center = on_center
        self._pixels: NDArray[np.uint8] | None = None
        self.on_msg(self._on_message)

    def show_picture(self, pixels: NDArray[np.uint8]) -> None:
        """Another picture, (H, W, 3); its map is made when it is zoomed."""
        self._pixels = pixels
        self.visible, self.picture = [], b""

    def show_view(self, view: Viewport) -> None:
        """Show the map and the zoom, or hide them while the whole picture is in view."""
        if view.zoom <= 1.0 or self._pixels is None:
            self.visible, self.zoom = [], ""
            return
        if not self.picture:
            # Few of the pixels of a large picture: averaging them all would delay the zoom.
            step = max(1, max(self._pixels.shape[:2]) // (4 * _MAP_SIDE))
            self.picture = _jpeg(thumbnail(np.ascontiguousarray(self._pixels[::step, ::step]), _MAP_SIDE))
        width, height = view.image_size
        x0, y0, x1, y1 = view.visible
        self.visible = [round(each, 5) for each in (x0 / width, y0 / height, x1 / width, y1 / height)]
        self.zoom = f"{100 * view.scale * view.backing:.0f} %"

    def show_mask(self, shape: Shape | None, view: Viewport) -> None:
        """Show moving dashes round a mask, or none."""
        rings = shape.rings if shape is not None else []
        if sum(len(ring) for ring in rings) > _MOST_CORNERS:
            rings = []
        self.size = [round(side, 2) for side in view.stage_size]
        self.dashes = " ".join(_path(view.to_canvas(ring) / view.backing) for ring in rings)

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        center: Sequence[Any] = content.get("center") or ()
        try:
            x, y = (float(each) for each in center)
            self._on_center(x, y)
        except Exception:
            _log.exception("the map's message was not understood")


def _path(points: NDArray[np.float64]) -> str:
    """Corners, (N, 2) CSS pixels, as a closed path of SVG."""
    return "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in points.tolist()) + "Z"


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
