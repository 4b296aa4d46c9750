"""The row of tools over the picture, and what opens in it: the brush's size, how masks look."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import ipywidgets

from ..common import style

__all__ = ["MaskTools", "Toolbar"]

_TOOLS = (
    ("prompt", "crosshairs", "Points and boxes (P)"),
    ("brush", "paint-brush", "Brush: add to the mask by hand (B)"),
    ("erase", "eraser", "Eraser: take away from the mask by hand (E)"),
)
# Image pixels; the hand may go further with the keys.
_BRUSH_SIZES = (1, 100)


class _Hand(Protocol):
    tool: str
    hover_on: bool
    detail_on: bool
    brush_radius: float
    opacity: float
    contour: bool

    def previous(self) -> None: ...
    def next(self) -> None: ...
    def next_open(self) -> None: ...
    def fit(self) -> None: ...
    def actual_size(self) -> None: ...
    def zoom_in(self) -> None: ...
    def zoom_out(self) -> None: ...
    def undo(self) -> None: ...
    def redo(self) -> None: ...
    def toggle_help(self) -> None: ...
    def fill_holes(self) -> None: ...
    def drop_specks(self) -> None: ...
    def smooth(self) -> None: ...


class Toolbar(ipywidgets.Box):
    """Image, view, undo, tools, hover, look and help, in groups; sliders among them when they are asked for.

    Parameters
    ----------
    hand : object
        What the buttons do is its methods and attributes.
    """

    def __init__(self, hand: _Hand):
        self._hand = hand
        self._filling = False
        self.undo = style.tool("", lambda: hand.undo(), "Undo (Ctrl Z)", icon="undo")
        self.redo = style.tool("", lambda: hand.redo(), "Redo (Ctrl Shift Z)", icon="repeat")
        self._tools = {
            name: style.tool("", partial(self._take, name), tooltip, icon=icon) for name, icon, tooltip in _TOOLS
        }
        self._hover = style.tool("Hover", lambda: self._toggle_hover(), "")
        self._detail = style.tool("Detail", lambda: self._toggle_detail(), "")
        self._look = style.tool("", self.toggle_look, "How masks look: opacity, outlines", icon="adjust")
        self._brush_extra, self._look_extra = self._make_brush(), self._make_look()
        groups = (
            _group(
                style.tool("", lambda: hand.previous(), "Previous image (←)", icon="chevron-left"),
                style.tool("", lambda: hand.next(), "Next image (→)", icon="chevron-right"),
                style.tool("Next open", lambda: hand.next_open(), "Next image without annotations (N)"),
            ),
            _group(
                style.tool("Fit", lambda: hand.fit(), "Fit the picture (F)"),
                style.tool("100 %", lambda: hand.actual_size(), "One image pixel, one screen pixel (0)"),
                style.tool("", lambda: hand.zoom_out(), "Zoom out (−)", icon="search-minus"),
                style.tool("", lambda: hand.zoom_in(), "Zoom in (+)", icon="search-plus"),
            ),
            _group(self.undo, self.redo),
            _group(*self._tools.values()),
            self._brush_extra,
            _group(self._hover, self._detail, self._look),
            self._look_extra,
            style.tool("?", lambda: hand.toggle_help(), "Keys and help (?)", "samnb-icon", "samnb-push"),
        )
        super().__init__(groups)
        for name in ("samnb-row", "samnb-tools"):
            self.add_class(name)
        self.show_tool("prompt", hover=False)
        self.allow(undo=False, redo=False)

    def show_tool(self, name: str, *, hover: bool, detail: bool = False) -> None:
        """Which tool is taken, and whether masks are shown before a click."""
        for each, _, tooltip in _TOOLS:
            widget = self._tools[each]
            widget.tooltip = tooltip + (", taken" if each == name else "")
            style.set_class(widget, "samnb-chosen", each == name)
        self._hover.tooltip = f"The mask under the mouse before a click (H): {'on' if hover else 'off'}"
        style.set_class(self._hover, "samnb-chosen", hover)
        what = "Show the model what is on the screen alone: small objects keep their detail (D)"
        self._detail.tooltip = f"{what}: {'on' if detail else 'off'}"
        style.set_class(self._detail, "samnb-chosen", detail)
        style.show(self._brush_extra, name in ("brush", "erase"))

    def allow(self, *, undo: bool, redo: bool) -> None:
        """What there is to take back and to do again."""
        self.undo.disabled, self.redo.disabled = not undo, not redo

    def show_brush_size(self, radius: float) -> None:
        """The brush's radius in image pixels."""
        self._fill(self._size, min(max(round(radius), _BRUSH_SIZES[0]), _BRUSH_SIZES[1]))

    def show_look(self, opacity: float, contour: bool) -> None:
        """How masks are drawn: opacity 0 to 1, outlines alone or filled."""
        self._fill(self._opacity, round(100 * opacity))
        self._fill(self._contour, contour)

    def toggle_look(self) -> None:
        """Open or close opacity and outlines."""
        wanted = self._look_extra.layout.display == "none"
        style.show(self._look_extra, wanted)
        style.set_class(self._look, "samnb-chosen", wanted)

    def _take(self, name: str) -> None:
        self._hand.tool = name

    def _toggle_hover(self) -> None:
        self._hand.hover_on = not self._hand.hover_on

    def _toggle_detail(self) -> None:
        self._hand.detail_on = not self._hand.detail_on

    def _make_brush(self) -> ipywidgets.Box:
        low, high = _BRUSH_SIZES
        self._size = ipywidgets.IntSlider(8, low, high, 1, description="size")
        self._size.tooltip = "Radius of the brush in image pixels ([ and ])"
        self._size.observe(lambda change: self._tell("brush_radius", change["new"]), "value")
        return _hidden(self._size)

    def _make_look(self) -> ipywidgets.Box:
        self._opacity = ipywidgets.IntSlider(40, 0, 100, 5, description="opacity")
        self._opacity.tooltip = "Opacity of masks in per cent"
        self._opacity.observe(lambda change: self._tell("opacity", change["new"] / 100), "value")
        self._contour = ipywidgets.Checkbox(False, description="outlines only", indent=False)
        self._contour.tooltip = "Draw the outlines of masks and leave them unfilled"
        self._contour.layout.width = "auto"
        self._contour.observe(lambda change: self._tell("contour", change["new"]), "value")
        return _hidden(self._opacity, self._contour)

    def _tell(self, name: str, value: Any) -> None:
        if not self._filling:
            setattr(self._hand, name, value)

    def _fill(self, widget: Any, value: Any) -> None:
        self._filling = True
        try:
            widget.value = value
        finally:
            self._filling = False


class MaskTools(ipywidgets.Box):
    """What mends a mask at one stroke: the one in hand, else the selected annotation's."""

    def __init__(self, hand: _Hand):
        super().__init__(
            [
                style.tool("Fill", lambda: hand.fill_holes(), "Fill the holes of the mask"),
                style.tool("Despeck", lambda: hand.drop_specks(), "Drop the small specks of the mask"),
                style.tool("Smooth", lambda: hand.smooth(), "Smooth the outline of the mask"),
            ]
        )
        for widget in self.children:
            widget.add_class("samnb-grow")
        self.add_class("samnb-group")

    def allow(self, allowed: bool) -> None:
        """Whether there is a mask to mend."""
        for widget in self.children:
            widget.disabled = not allowed


def _group(*children: ipywidgets.Widget) -> ipywidgets.Box:
    return style.box(*children, classes=("samnb-group",))


def _hidden(*children: ipywidgets.Widget) -> ipywidgets.Box:
    row = style.box(*children, classes=("samnb-extra",))
    style.show(row, False)
    return row
