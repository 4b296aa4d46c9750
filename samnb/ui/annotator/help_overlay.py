"""The help overlay (`?`): mouse and keys, from the table of key bindings."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets

from ..common import style
from .key_bindings import shown_lines


class HelpOverlay(ipywidgets.Box):
    """Covers the annotator until it is closed."""

    def __init__(self, on_close: Callable[[], None]):
        self.is_open = False
        self._close = style.tool("Close", on_close, "Close the help (Esc or ?)")
        title = style.html(style.span("Mouse and keys", "strong"), "samnb-grow")
        hint = style.html(
            style.span("Keys count while the picture or something else in the annotator has the focus: click it once. "
                       "Whatever they do is also a method of the annotator.", "dim")
        )  # fmt: skip
        super().__init__([style.box(title, self._close, classes=("samnb-row",)), style.html(_table()), hint])
        self.add_class("samnb-help")
        style.show(self, False)

    def toggle(self) -> None:
        """Open or close it."""
        self.is_open = not self.is_open
        style.show(self, self.is_open)
        if self.is_open:
            self._close.focus()


def _table() -> str:
    sections = []
    for group, lines in shown_lines():
        rows = "".join(f"<dt>{_caps(keys)}</dt><dd>{escape(does)}</dd>" for keys, does in lines)
        sections.append(f'<section><div class="samnb-label">{escape(group)}</div><dl>{rows}</dl></section>')
    return f'<div class="samnb-keys">{"".join(sections)}</div>'


def _caps(keys: str) -> str:
    if keys[:1].islower():
        return escape(keys)
    return " ".join(f"<kbd>{escape(key)}</kbd>" if key != "…" else key for key in keys.split())
