"""`ToolSettings`: the chosen tool, its size, and the style of masks."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import TYPE_CHECKING

import numpy as np

from ...errors import PromptError, UnknownName
from ..common.error_line import show_errors

if TYPE_CHECKING:
    from .hover import HoverPreview
    from .layout import AnnotatorLayout
    from .rendering import Renderer


TOOLS = ("prompt", "select", "brush", "erase", "lasso", "polygon", "proposals")

# The tools that show what is under the pointer.
_HOVERING = ("select", "proposals")

_RADII = (1.0, 200.0)
# Of the logarithm of the radius, for each CSS pixel of the wheel with Ctrl: a fifth for a notch of 400.
_WHEEL = 0.00045


class ToolSettings:
    """The settings of the toolbar; setting one shows it on the layout.

    Parameters
    ----------
    renderer : Renderer
        Shows errors.
    layout : AnnotatorLayout
    hover : HoverPreview
        Its preview ends when the tool changes.
    """

    def __init__(self, renderer: Renderer, layout: AnnotatorLayout, hover: HoverPreview):
        self.show_error = renderer.show_error
        self._layout, self._hover = layout, hover
        self.on_tool: Callable[[], None] = lambda: None
        """Called when another tool was taken."""
        self._tool, self._hover_on, self._detail_on = "prompt", False, False
        self._accept_on_next = False
        self._brush_radius, self._opacity, self._contour = 8.0, 0.4, False
        self._show_tool()
        self.brush_radius = self._brush_radius

    @property
    def tool(self) -> str:
        """The meaning of clicks and drags, one of `TOOLS`."""
        return self._tool

    @tool.setter
    def tool(self, name: str) -> None:
        if name not in TOOLS:
            raise UnknownName("tool", name, TOOLS)
        self._hover.end()
        self._tool = name
        self._show_tool()
        self.on_tool()

    @show_errors("No such tool")
    def take_tool(self, name: str) -> None:
        """Choose a tool, as the keys do."""
        self.tool = name

    @property
    def hover_on(self) -> bool:
        """Whether the mask under the pointer is shown before a click."""
        return self._hover_on

    @hover_on.setter
    def hover_on(self, wanted: bool) -> None:
        self._hover.end()
        self._hover_on = bool(wanted)
        self._show_tool()

    @property
    def detail_on(self) -> bool:
        """Whether the model gets only the visible part of the image, and not all of it."""
        return self._detail_on

    @detail_on.setter
    def detail_on(self, wanted: bool) -> None:
        self._hover.end()
        self._detail_on = bool(wanted)
        self._show_tool()

    @property
    def accept_on_next(self) -> bool:
        """Whether a new box, or a click elsewhere, first accepts the mask that is shown."""
        return self._accept_on_next

    @accept_on_next.setter
    def accept_on_next(self, wanted: bool) -> None:
        self._accept_on_next = bool(wanted)
        self._show_tool()

    def _show_tool(self) -> None:
        self._layout.stage.tool = self._tool
        self._layout.stage.wants_hover = self._tool in _HOVERING or (self._hover_on and self._tool == "prompt")
        self._layout.show_tool(self._tool, hover=self._hover_on, detail=self._detail_on, on_next=self._accept_on_next)

    @property
    def brush_radius(self) -> float:
        """Radius of brush and eraser, in image pixels."""
        return self._brush_radius

    @brush_radius.setter
    def brush_radius(self, radius: float) -> None:
        if not np.isfinite(radius):
            raise PromptError(f"brush_radius: expected a finite number of image pixels; got {radius!r}.")
        self._brush_radius = min(max(float(radius), _RADII[0]), _RADII[1])
        self._layout.stage.brush_radius = self._brush_radius
        self._layout.show_brush_size(self._brush_radius)

    @show_errors("The brush stays as it is")
    def resize_brush(self, by: int) -> None:
        """Make the brush larger or smaller, by a fifth and at least by one pixel."""
        step = max(1.0, round(0.2 * self._brush_radius))
        self.brush_radius = self._brush_radius + by * step

    @show_errors("The brush stays as it is")
    def scale_brush(self, delta: float) -> None:
        """Make the brush larger or smaller with the wheel, CSS pixels: up is less than 0 and makes it larger."""
        self.brush_radius = self._brush_radius * exp(-_WHEEL * min(max(delta, -2000.0), 2000.0))

    @property
    def opacity(self) -> float:
        """Opacity of masks, 0 to 1."""
        return self._opacity

    @opacity.setter
    def opacity(self, value: float) -> None:
        self._opacity = min(max(float(value), 0.0), 1.0)
        self._show_look()

    @property
    def contour(self) -> bool:
        """Whether masks are drawn as outlines alone."""
        return self._contour

    @contour.setter
    def contour(self, value: bool) -> None:
        self._contour = bool(value)
        self._show_look()

    def _show_look(self) -> None:
        self._layout.stage.set_look(opacity=self._opacity, contour=self._contour, saved=True)
        self._layout.show_look(self._opacity, self._contour)
