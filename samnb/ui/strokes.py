"""How masks, boxes and points look on a canvas; coordinates and widths are canvas pixels."""

from __future__ import annotations

from collections.abc import Sequence

import ipycanvas

from ..masks import Polygon
from . import style
from .frame import Frame

__all__ = ["draw_box", "draw_point", "stroke", "trace"]


def trace(canvas: ipycanvas.Canvas, polygons: Sequence[Polygon], frame: Frame) -> None:
    """Make the outlines of a mask the current path; fill it with the rule evenodd to keep the holes open."""
    canvas.begin_path()
    for polygon in polygons:
        for ring in (polygon.exterior, *polygon.holes):
            # Tenths of a canvas pixel: nobody sees more, and the message is half as long.
            places = frame.to_canvas(ring).round(1).tolist()
            canvas.move_to(*places[0])
            for x, y in places[1:]:
                canvas.line_to(x, y)
            canvas.close_path()


def stroke(canvas: ipycanvas.Canvas, color: str, width: float) -> None:
    """Draw along the current path."""
    canvas.stroke_style = color
    canvas.line_width = float(width)
    canvas.line_join = "round"
    canvas.stroke()


def draw_box(canvas: ipycanvas.Canvas, corners: list[list[float]], unit: float, *, dashed: bool) -> None:
    """A box from its two corners; dashed while it is still being drawn."""
    (x0, y0), (x1, y1) = corners
    canvas.set_line_dash([5 * unit, 4 * unit] if dashed else [])
    for color, width in (("#ffffff", 3.5), (style.ACCENT, 1.75)):
        canvas.stroke_style = color
        canvas.line_width = width * unit
        canvas.stroke_rect(x0, y0, x1 - x0, y1 - y0)
    canvas.set_line_dash([])


def draw_point(canvas: ipycanvas.Canvas, place: list[float], unit: float, *, foreground: bool) -> None:
    """A point of a prompt; plus and minus tell the two kinds apart without their colours."""
    x, y = place
    canvas.fill_style = "#ffffff"
    canvas.fill_circle(x, y, 8 * unit)
    canvas.fill_style = style.FOREGROUND_POINT if foreground else style.BACKGROUND_POINT
    canvas.fill_circle(x, y, 6.5 * unit)
    canvas.stroke_style = "#ffffff"
    canvas.line_width = 1.75 * unit
    canvas.stroke_line(x - 3.25 * unit, y, x + 3.25 * unit, y)
    if foreground:
        canvas.stroke_line(x, y - 3.25 * unit, x, y + 3.25 * unit)
