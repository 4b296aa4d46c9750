"""`VertexOverlay`: vertices over the stage, and what a drag does to them, drawn by the page alone.

Not on the canvas of the stage: each frame of a drag would wait for the kernel, and a busy kernel would stop the drag.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import traitlets
from numpy.typing import NDArray

from ..common import style
from ..common.script_widget import ScriptWidget, script
from .viewport import Viewport

_CSS = """
.samnb-vertices { position: absolute !important; inset: 0; z-index: 2; pointer-events: none; margin: 0 !important;
  overflow: hidden; }
"""


class VertexOverlay(ScriptWidget):
    """Shows rings of vertices; while the polygon tool or the lasso is taken, also what the pointer does."""

    _esm = script(__package__, "vertex_overlay")
    _css = _CSS
    # (N, 2) float32 of all rings, image pixels.
    points = traitlets.Bytes().tag(sync=True)
    lengths: traitlets.List = traitlets.List().tag(sync=True)
    still_open = traitlets.Bool(False).tag(sync=True)
    # CSS pixels for an image pixel, left, top, width of the stage; width and height of the image.
    view: traitlets.List = traitlets.List([1.0, 0.0, 0.0, 1.0]).tag(sync=True)
    size: traitlets.List = traitlets.List([1, 1]).tag(sync=True)
    tool = traitlets.Unicode("prompt").tag(sync=True)
    color = traitlets.Unicode(style.ACCENT).tag(sync=True)
    # Another number with each answer: the page then drops its own drawing of a drag.
    version = traitlets.Int(0).tag(sync=True)

    def show(self, rings: Sequence[NDArray[np.float64]], view: Viewport, *, still_open: bool = False) -> None:
        """Show rings, (N, 2) image pixels each; `still_open`: the one ring is still being drawn."""
        flat = np.concatenate([*rings, np.zeros((0, 2))]).astype("<f4")
        left, top = view.offset
        with self.hold_sync():
            self.points, self.lengths = flat.tobytes(), [len(ring) for ring in rings]
            self.still_open = still_open
            self.view, self.size = [view.scale, left, top, view.stage_size[0]], list(view.image_size)
            self.version += 1
