"""Draws points, boxes and strokes on a canvas; coordinates and widths are canvas pixels."""

from __future__ import annotations

import ipycanvas
import numpy as np
from numpy.typing import NDArray

from ..common import style


def draw_box(canvas: ipycanvas.Canvas, corners: list[list[float]], unit: float, *, dashed: bool) -> None:
    """A box from its two corners; dashed while it is still being drawn."""
    (x0, y0), (x1, y1) = corners
    canvas.set_line_dash([5 * unit, 4 * unit] if dashed else [])
    for color, width in (("#ffffff", 3.5), (style.ACCENT, 1.75)):
        canvas.stroke_style = color
        canvas.line_width = width * unit
        canvas.stroke_rect(x0, y0, x1 - x0, y1 - y0)
    canvas.set_line_dash([])


def draw_handles(canvas: ipycanvas.Canvas, places: NDArray[np.float64], unit: float) -> None:
    """Small squares, (N, 2), to drag a box by."""
    for color, side in ((style.ACCENT, 9.0), ("#ffffff", 6.0)):
        canvas.fill_style = color
        for x, y in (places - side / 2 * unit).tolist():
            canvas.fill_rect(x, y, side * unit, side * unit)


def draw_point(
    canvas: ipycanvas.Canvas, place: list[float], unit: float, *, foreground: bool, active: bool = False
) -> None:
    """A point of a prompt; plus and minus distinguish the two kinds without colours."""
    x, y = place
    if active:
        canvas.fill_style = style.ACCENT
        canvas.fill_circle(x, y, 10.5 * unit)
    canvas.fill_style = "#ffffff"
    canvas.fill_circle(x, y, 8 * unit)
    canvas.fill_style = style.FOREGROUND_POINT if foreground else style.BACKGROUND_POINT
    canvas.fill_circle(x, y, 6.5 * unit)
    canvas.stroke_style = "#ffffff"
    canvas.line_width = 1.75 * unit
    canvas.stroke_line(x - 3.25 * unit, y, x + 3.25 * unit, y)
    if foreground:
        canvas.stroke_line(x, y - 3.25 * unit, x, y + 3.25 * unit)


def draw_cursor(canvas: ipycanvas.Canvas, place: list[float], unit: float) -> None:
    """The keyboard's cursor: a cross that leaves its middle free."""
    x, y = place
    for color, width in (("#ffffff", 4.0), ("#000000", 1.5)):
        canvas.stroke_style, canvas.line_width = color, width * unit
        for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            near, far = 4 * unit, 14 * unit
            canvas.stroke_line(x + near * across, y + near * down, x + far * across, y + far * down)


def draw_trail(canvas: ipycanvas.Canvas, places: NDArray[np.float64], width: float, color: str) -> None:
    """The path of a brush, (N, 2), before the mask follows."""
    canvas.global_alpha = 0.45
    canvas.line_cap = canvas.line_join = "round"
    canvas.stroke_style = color
    canvas.line_width = float(width)
    # A line of zero length has no round ends either.
    points = places if len(places) > 1 else np.concatenate([places, places + 0.01])
    canvas.stroke_lines(points.astype(np.float32))
    canvas.global_alpha = 1.0
    canvas.line_cap = "butt"


def draw_label(canvas: ipycanvas.Canvas, text: str, place: list[float], unit: float) -> None:
    """Text with its lower left corner there, readable on any background."""
    canvas.font = f"600 {round(12 * unit)}px system-ui, sans-serif"
    x, y = place[0], max(place[1] - 4 * unit, 13 * unit)
    canvas.line_join, canvas.line_width = "round", 3 * unit
    canvas.stroke_style, canvas.fill_style = "#000000", "#ffffff"
    canvas.stroke_text(text, x, y)
    canvas.fill_text(text, x, y)
