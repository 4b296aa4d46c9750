"""Closing a widget with everything in it: ipywidgets closes only the outermost, and keeps the others for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets


def close_tree(root: ipywidgets.Widget) -> None:
    """Close a widget and all below it, with their layouts and styles."""
    for widget in [*_below(root)]:
        # Not its own method, which may be the caller.
        ipywidgets.Widget.close(widget)


def _below(widget: Any) -> Iterator[ipywidgets.Widget]:
    for child in (*getattr(widget, "children", ()), *getattr(widget, "_canvases", ())):
        yield from _below(child)
    for part in (getattr(widget, "layout", None), getattr(widget, "style", None)):
        if isinstance(part, ipywidgets.Widget):
            yield part
    yield widget
