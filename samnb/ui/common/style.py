"""Colours and small parts shared by all widgets; the style sheet is in `samnb.ui.common.stylesheet`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from html import escape
from typing import Any

import ipywidgets

from ...masks import CATEGORY_COLORS, category_color
from .stylesheet import CSS

ACCENT = "#1e88e5"
PROPOSAL = "#f5f5f5"
FOREGROUND_POINT = "#1b9e57"
BACKGROUND_POINT = "#d93f3f"

# (width, height) in CSS pixels: the maximum of a picture; wider does not fit a notebook beside the side panel.
PICTURE_SIZE = (720, 540)


@cache
def _css() -> str:
    return f"{CSS}\n{color_rules(CATEGORY_COLORS)}"


def sheet() -> ipywidgets.HTML:
    """The style sheet as a widget; each outermost widget contains one, since a notebook has no other place for it."""
    widget = html(f"<style>{_css()}</style>")
    widget.add_class("samnb-sheet")
    return widget


def color_class(color: int | str) -> str:
    """CSS class of the dot of a category: by its index, or by its "#rrggbb".

    Examples
    --------
    >>> color_class(0), color_class("#E69F00")
    ('samnb-color-e69f00', 'samnb-color-e69f00')
    """
    value = category_color(color) if isinstance(color, int) else color
    return f"samnb-color-{value.lstrip('#').lower()}"


def color_rules(colors: Iterable[str]) -> str:
    """The style sheet's lines for the dots of these "#rrggbb" colours."""
    names = {color_class(color): color for color in colors}
    return "\n".join(
        f".samnb .{name}::before, .samnb .samnb-dot.{name} {{ background: {color}; }}" for name, color in names.items()
    )


def html(value: str = "", *classes: str) -> ipywidgets.HTML:
    """A line of HTML without the default width."""
    widget = ipywidgets.HTML(value, layout=ipywidgets.Layout(width="auto"))
    for name in classes:
        widget.add_class(name)
    return widget


def button(text: str = "", *classes: str, icon: str = "", tooltip: str = "") -> ipywidgets.Button:
    """A button as wide as its text."""
    widget = ipywidgets.Button(description=text, icon=icon, tooltip=tooltip)
    for name in ("samnb-button", *classes):
        widget.add_class(name)
    return widget


def tool(text: str, action: Callable[[], Any], tooltip: str, *classes: str, icon: str = "") -> ipywidgets.Button:
    """A button that does something; with an icon it is square, and its tooltip is its name."""
    widget = button(text, *classes, *(("samnb-icon",) if icon and not text else ()), icon=icon, tooltip=tooltip)
    widget.on_click(lambda _: action())
    return widget


def box(*children: ipywidgets.Widget, classes: tuple[str, ...] = ()) -> ipywidgets.Box:
    """A box that the style sheet lays out."""
    widget = ipywidgets.Box(children)
    for name in classes:
        widget.add_class(name)
    return widget


def set_class(widget: ipywidgets.DOMWidget, name: str, wanted: bool) -> None:
    """Add or remove a CSS class; nothing is sent if nothing changes."""
    if wanted:
        widget.add_class(name)
    else:
        widget.remove_class(name)


def set_children(parent: Any, children: tuple[ipywidgets.Widget, ...]) -> None:
    """Set the children of a box if they differ; setting the same ones would rebuild all their views in the page."""
    if parent.children != children:
        parent.children = children


def show(widget: ipywidgets.DOMWidget, wanted: bool) -> None:
    """Show or hide a widget."""
    widget.layout.display = None if wanted else "none"


def span(text: object, *classes: str) -> str:
    """Escaped text in a span of these classes, without their "samnb-"."""
    names = " ".join(f"samnb-{name}" for name in classes)
    return f'<span class="{names}">{escape(str(text))}</span>'
