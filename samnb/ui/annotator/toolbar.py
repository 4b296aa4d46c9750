"""`Toolbar`: the row of tools over the picture; `MaskTools`: the buttons that correct a mask."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import ipywidgets

from ..common import style
from .view_panel import ViewActions, ViewPanel

# Icons of Font Awesome 4, which nbclassic has; JupyterLab knows these names too.
_TOOLS = (
    ("prompt", "crosshairs", "Points and boxes (P)"),
    ("select", "mouse-pointer", "Select annotations: click, Shift-click one more, right-click: menu (V)"),
    ("brush", "paint-brush", "Brush: add to the mask by hand (B)"),
    ("erase", "eraser", "Eraser: take away from the mask by hand (E)"),
    ("lasso", "circle-o-notch", "Lasso: draw round what to add, with Shift round what to take away (Q)"),
    ("polygon", "object-ungroup", "Polygon: drag the vertices of a mask, or click a new one (U)"),
    ("proposals", "th-large", "All objects that a search finds: click or drag takes them (A)"),
)
# Without the kernel: `page.js` handles their clicks.
_PAGE_TOOLS = (
    ("samnb-to-tab", "external-link", "Move the annotator to a tab of its own"),
    ("samnb-to-fullscreen", "arrows-alt", "Fullscreen (Esc leaves it)"),
)
# Image pixels; the keys go further.
_BRUSH_SIZES = (1, 100)


class ToolbarActions(ViewActions, Protocol):
    """The settings and calls of the toolbar."""

    tool: str
    hover_on: bool
    detail_on: bool
    brush_radius: float

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
    def toggle_accept_on_next(self) -> None: ...


class MaskToolActions(Protocol):
    """The calls that the mask tools make."""

    def fill_holes(self) -> None: ...
    def drop_specks(self) -> None: ...
    def smooth(self) -> None: ...
    def simplify_outline(self) -> None: ...


class Toolbar(ipywidgets.Box):
    """Image, view, undo, tools, hover, look and help, in groups, with sliders for the brush and the look of masks.

    Parameters
    ----------
    actions : ToolbarActions
    """

    def __init__(self, actions: ToolbarActions):
        self._actions = actions
        self._filling = False
        self.undo = style.tool("", lambda: actions.undo(), "Undo (Ctrl Z)", icon="undo")
        self.redo = style.tool("", lambda: actions.redo(), "Redo (Ctrl Shift Z)", icon="repeat")
        self._tools = {
            name: style.tool("", partial(self._take, name), tooltip, icon=icon) for name, icon, tooltip in _TOOLS
        }
        self._hover = style.tool("Hover", lambda: self._toggle_hover(), "")
        self._detail = style.tool("Detail", lambda: self._toggle_detail(), "")
        self._on_next = style.tool("Auto ⏎", lambda: actions.toggle_accept_on_next(), "")
        self._look = style.tool("", self.toggle_look, "How picture and masks look, and what is drawn", icon="adjust")
        self._brush_extra, self.view = self._make_brush(), ViewPanel(actions)
        groups = (
            _group(
                style.tool("", lambda: actions.previous(), "Previous image (←)", icon="chevron-left"),
                style.tool("", lambda: actions.next(), "Next image (→)", icon="chevron-right"),
                style.tool("", lambda: actions.next_open(), "Next open image (N)", icon="forward"),
            ),
            _group(
                style.tool("Fit", lambda: actions.fit(), "Fit the picture (F)"),
                style.tool("100 %", lambda: actions.actual_size(), "One image pixel, one screen pixel (0)"),
                style.tool("", lambda: actions.zoom_out(), "Zoom out (−)", icon="search-minus"),
                style.tool("", lambda: actions.zoom_in(), "Zoom in (+)", icon="search-plus"),
            ),
            _group(self.undo, self.redo),
            _group(*self._tools.values()),
            self._brush_extra,
            _group(self._hover, self._detail, self._on_next, self._look),
            style.box(
                *(_page_tool(*each) for each in _PAGE_TOOLS),
                style.tool("?", lambda: actions.toggle_help(), "Keys and help (?)", "samnb-icon"),
                classes=("samnb-group", "samnb-push"),
            ),
            self.view,
        )
        super().__init__(groups)
        for name in ("samnb-row", "samnb-tools"):
            self.add_class(name)
        self.show_tool("prompt", hover=False)
        self.allow(undo=False, redo=False)

    def show_tool(self, name: str, *, hover: bool, detail: bool = False, on_next: bool = False) -> None:
        """The chosen tool, and whether hover, detail and accept on next are on."""
        for each, _, tooltip in _TOOLS:
            widget = self._tools[each]
            widget.tooltip = tooltip + (", taken" if each == name else "")
            style.set_class(widget, "samnb-chosen", each == name)
        self._hover.tooltip = f"The mask under the mouse before a click (H): {'on' if hover else 'off'}"
        style.set_class(self._hover, "samnb-chosen", hover)
        what = "Show the model what is on the screen alone: small objects keep their detail (D)"
        self._detail.tooltip = f"{what}: {'on' if detail else 'off'}"
        style.set_class(self._detail, "samnb-chosen", detail)
        what = "A new box, or a click elsewhere, first accepts this mask (O)"
        self._on_next.tooltip = f"{what}: {'on' if on_next else 'off'}"
        style.set_class(self._on_next, "samnb-chosen", on_next)
        painting = name in ("brush", "erase")
        style.show(self._brush_extra, painting)
        # In its place: they are about prompts, and one row on a laptop holds no more.
        for widget in (self._hover, self._detail, self._on_next):
            style.show(widget, not painting)

    def allow(self, *, undo: bool, redo: bool) -> None:
        """Enable undo and redo."""
        self.undo.disabled, self.redo.disabled = not undo, not redo

    def show_brush_size(self, radius: float) -> None:
        """The brush's radius in image pixels."""
        self._fill(self._size, min(max(round(radius), _BRUSH_SIZES[0]), _BRUSH_SIZES[1]))

    def toggle_look(self) -> None:
        """Open or close the panel for how picture and masks look."""
        wanted = not self.view.is_open
        style.show(self.view, wanted)
        style.set_class(self._look, "samnb-chosen", wanted)

    def _take(self, name: str) -> None:
        self._actions.tool = name

    def _toggle_hover(self) -> None:
        self._actions.hover_on = not self._actions.hover_on

    def _toggle_detail(self) -> None:
        self._actions.detail_on = not self._actions.detail_on

    def _make_brush(self) -> ipywidgets.Box:
        low, high = _BRUSH_SIZES
        self._size = ipywidgets.IntSlider(8, low, high, 1)
        self._size.tooltip = "Radius of the brush in image pixels ([ and ], or the wheel with Ctrl)"
        self._size.observe(lambda change: self._set("brush_radius", change["new"]), "value")
        return _hidden(self._size)

    def _set(self, name: str, value: Any) -> None:
        if not self._filling:
            setattr(self._actions, name, value)

    def _fill(self, widget: Any, value: Any) -> None:
        self._filling = True
        try:
            widget.value = value
        finally:
            self._filling = False


class MaskTools(ipywidgets.Box):
    """Buttons that correct a mask: the draft's, else the selected annotation's."""

    def __init__(self, actions: MaskToolActions):
        super().__init__(
            [
                style.tool("Fill", lambda: actions.fill_holes(), "Fill the holes of the mask"),
                style.tool("Despeck", lambda: actions.drop_specks(), "Drop the small specks of the mask"),
                style.tool("Smooth", lambda: actions.smooth(), "Smooth the outline of the mask"),
                style.tool("Simplify", lambda: actions.simplify_outline(), "Make the outline from fewer vertices (S)"),
            ]
        )
        for widget in self.children:
            widget.add_class("samnb-tight")
        self.add_class("samnb-group")

    def allow(self, allowed: bool) -> None:
        """Enable the buttons if there is a mask."""
        for widget in self.children:
            widget.disabled = not allowed


def _page_tool(name: str, icon: str, tooltip: str) -> ipywidgets.Button:
    return style.button("", "samnb-icon", name, icon=icon, tooltip=tooltip)


def _group(*children: ipywidgets.Widget) -> ipywidgets.Box:
    return style.box(*children, classes=("samnb-group",))


def _hidden(*children: ipywidgets.Widget) -> ipywidgets.Box:
    row = style.box(*children, classes=("samnb-extra",))
    style.show(row, False)
    return row
