"""Draws the annotations of a picture: sure and unsure ones, the selected, overlaps, and what is offered under them."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import ipycanvas

from .prompt_drawing import draw_label
from .shapes import Look, Shape, draw_shapes
from .viewport import Viewport

# Question marks: with more, they hide the picture.
_MOST_SIGNS = 200


def draw_offered(canvas: ipycanvas.Canvas, shapes: Sequence[Shape], view: Viewport) -> None:
    """Quiet outlines, each light on dark, so that they are seen on any picture."""
    draw_shapes(canvas, shapes, view, alpha=0, line=2.25, rgb=(0, 0, 0))
    draw_shapes(canvas, shapes, view, alpha=0, line=1.0)


def draw_saved(
    canvas: ipycanvas.Canvas,
    shapes: Sequence[Shape],
    view: Viewport,
    look: Look,
    *,
    selected: AbstractSet[int] = frozenset(),
    overlap: Shape | None = None,
) -> None:
    """Annotations in their order, the selected ones, by id, last and with their labels."""
    alpha = 0.0 if look.contour else 0.9 * look.opacity
    sure, unsure = [s for s in shapes if not s.unsure], [s for s in shapes if s.unsure]
    draw_shapes(canvas, sure, view, alpha=alpha, line=1.5)
    if unsure:
        _draw_unsure(canvas, unsure, view, 0.5 * alpha)
    if overlap is not None:
        draw_shapes(canvas, (overlap,), view, alpha=0.85, line=1.0)
    chosen = [shape for shape in shapes if shape.id in selected]
    for dashed in (False, True):
        some = [shape for shape in chosen if shape.unsure is dashed]
        draw_shapes(canvas, some, view, alpha=alpha, line=3.0, halo=not dashed, dashed=dashed)
    for shape in chosen:
        if shape.label:
            [place] = view.to_canvas([shape.box[:2]]).tolist()
            draw_label(canvas, shape.label, place, view.backing)


def _draw_unsure(canvas: ipycanvas.Canvas, shapes: Sequence[Shape], view: Viewport, alpha: float) -> None:
    """What awaits a review: fainter, dashed, with a question mark."""
    draw_shapes(canvas, shapes, view, alpha=alpha, line=2.0, halo=True, dashed=True)
    if len(shapes) <= _MOST_SIGNS:
        for shape in shapes:
            x0, y0, x1, y1 = shape.box
            [place] = view.to_canvas([((x0 + x1) / 2, (y0 + y1) / 2)]).tolist()
            draw_label(canvas, "?", place, view.backing)
