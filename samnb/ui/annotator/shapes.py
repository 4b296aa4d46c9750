"""Draws outlines on a canvas: thousands of them in a few commands, all or nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import ipycanvas.canvas
import numpy as np
from numpy.typing import NDArray

from ...masks import Polygon
from .viewport import Viewport

# hold_canvas is one switch for all canvases of the kernel: two threads drawing at once paint on each other's layers.
LOCK = threading.RLock()

_MANY = 200

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """The outlines of a mask, its colour, and the id of its annotation.

    Parameters
    ----------
    polygons : tuple of Polygon
        In image pixels.
    color : str
        "#rrggbb".
    id : int
        Of the annotation; 0: none.
    label : str
        Text beside it while it is selected.
    unsure : bool
        Drawn with a dashed outline and a question mark.
    """

    polygons: tuple[Polygon, ...]
    color: str
    id: int = 0
    label: str = ""
    unsure: bool = False

    @cached_property
    def rings(self) -> list[Points]:
        """Each outline, (N, 2) image pixels."""
        return [ring for polygon in self.polygons for ring in (polygon.exterior, *polygon.holes) if len(ring) > 2]

    @cached_property
    def keyholes(self) -> list[Points]:
        """One outline for each part, its holes joined to it by a cut of zero width.

        The page fills many polygons of one ring each in one command, but without holes.
        """
        joined = []
        for polygon in self.polygons:
            start = polygon.exterior[:1]
            cuts = [piece for hole in polygon.holes if len(hole) > 2 for piece in (start, hole, hole[:1])]
            if len(polygon.exterior) > 2:
                joined.append(np.concatenate([polygon.exterior, *cuts, start] if cuts else [polygon.exterior]))
        return joined

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) in image pixels; all 0 when there is nothing."""
        outer = [polygon.exterior for polygon in self.polygons if len(polygon.exterior)]
        if not outer:
            return (0.0, 0.0, 0.0, 0.0)
        points = np.concatenate(outer)
        (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return x0, y0, x1, y1

    @cached_property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three numbers, 0 to 255."""
        return int(self.color[1:3], 16), int(self.color[3:5], 16), int(self.color[5:7], 16)


@dataclass(frozen=True)
class Look:
    """The style of masks.

    Parameters
    ----------
    opacity : float
        Of the inside, 0 to 1.
    contour : bool
        Outlines only.
    saved : bool
        Whether annotations are shown at all.
    """

    opacity: float = 0.4
    contour: bool = False
    saved: bool = True


def draw_shapes(
    canvas: ipycanvas.Canvas,
    shapes: Sequence[Shape],
    view: Viewport,
    *,
    alpha: float,
    line: float,
    halo: bool = False,
    dashed: bool = False,
    rgb: tuple[int, int, int] | None = None,
) -> None:
    """Fill and outline shapes in their order, those outside the view left out; `line` in CSS pixels, `alpha` 0 to 1.

    `rgb` is the colour of all outlines; None: each shape's own.
    """
    x0, y0, x1, y1 = view.visible
    seen = [s for s in shapes if s.box[0] <= x1 and s.box[2] >= x0 and s.box[1] <= y1 and s.box[3] >= y0]
    if alpha > 0:
        fills = [(ring, shape.rgb) for shape in seen for ring in shape.keyholes]
        if fills:
            points, sizes, colors = _flat(fills, view)
            canvas.fill_styled_polygons(points, colors, np.full(len(sizes), alpha, np.float32), sizes)
    lines = [(ring, rgb or shape.rgb) for shape in seen for ring in shape.rings]
    if not lines:
        return
    points, sizes, colors = _flat(lines, view)
    canvas.line_join = "round"
    if halo:
        canvas.line_width = float((line + 2) * view.backing)
        white = np.full_like(colors, 255)
        canvas.stroke_styled_polygons(points, white, np.full(len(sizes), 0.9, np.float32), sizes)
    canvas.line_width = float(line * view.backing)
    if dashed:
        canvas.set_line_dash([6 * view.backing, 4 * view.backing])
    canvas.stroke_styled_polygons(points, colors, np.ones(len(sizes), np.float32), sizes)
    if dashed:
        canvas.set_line_dash([])


def _flat(
    rings: Sequence[tuple[Points, tuple[int, int, int]]], view: Viewport
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.uint8]]:
    """(N, 2) canvas pixels of all rings, the length of each, the colour of each; points on the same pixel only once."""
    lengths = np.array([len(ring) for ring, _ in rings])
    places = view.to_canvas(np.concatenate([ring for ring, _ in rings]))
    owner = np.repeat(np.arange(len(rings)), lengths)
    # In many small outlines the half pixels of a HiDPI screen are invisible, and double the message.
    pixel = np.rint(places / view.backing if len(rings) > _MANY else places)
    fresh = np.ones(len(places), bool)
    fresh[1:] = (pixel[1:] != pixel[:-1]).any(axis=1) | (owner[1:] != owner[:-1])
    # An outline that would become less than a triangle is not reduced.
    left = np.bincount(owner, weights=fresh, minlength=len(rings))
    fresh |= (left < 3)[owner]
    sizes = np.bincount(owner[fresh], minlength=len(rings)).astype(np.int32)
    colors = np.array([color for _, color in rings], np.uint8)
    return places[fresh].astype(np.float32), sizes, colors


@contextmanager
def drawing() -> Iterator[None]:
    """Send the drawing inside as one message, or none of it if it fails; may be nested.

    `hold_canvas` alone leaves the canvas held after an exception: all later drawing of every canvas is then
    queued and never sent.
    """
    manager = ipycanvas.canvas._CANVAS_MANAGER
    with LOCK:
        if manager._caching:
            yield
            return
        try:
            with ipycanvas.hold_canvas():
                yield
        except BaseException:
            manager._commands_cache, manager._buffers_cache = [], []
            manager._caching, manager._current_canvas = False, None
            raise


def page_is_new() -> None:
    """Reset the layer that the page drew on last: a new page does not know it (ipycanvas#322)."""
    with LOCK:
        ipycanvas.canvas._CANVAS_MANAGER._current_canvas = None
