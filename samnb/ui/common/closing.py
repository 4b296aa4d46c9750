"""Closing a widget with everything in it: ipywidgets closes only the outermost, and keeps the others for ever."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from typing import Any

import ipywidgets

_COLLECTED_AFTER = 5
_closed = itertools.count(1)


def collect_closed() -> None:
    """To be called when a large widget was closed: every fifth time, its memory and that of the others is given back.

    The parts of a widget refer to each other, and Python's collector waits for a number of objects, whatever they hold.
    """
    if next(_closed) % _COLLECTED_AFTER == 0:
        gc.collect()


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
