"""The help overlay (`?`): mouse and keys, from the table of key bindings."""

from __future__ import annotations

from collections.abc import Callable, Collection
from html import escape

import ipywidgets

from ..common import style
from .key_bindings import shown_lines

_HINT = (
    "Keys count while the picture or something else in the annotator has the focus: click it once. Whatever they do is "
    "also a method of the annotator."
)


class HelpOverlay(ipywidgets.Box):
    """Covers the annotator until it is closed."""

    def __init__(self, on_close: Callable[[], None]):
        self.is_open = False
        self._close = style.tool("Close", on_close, "Close the help (Esc or ?)")
        title = style.html(style.span("Mouse and keys", "strong"), "samnb-grow")
        self._table, self._hint = style.html(""), style.html("")
        self.leave_out(())
        super().__init__([style.box(title, self._close, classes=("samnb-row",)), self._table, self._hint])
        self.add_class("samnb-help")
        style.show(self, False)

    def leave_out(self, names: Collection[str]) -> None:
        """Show no keys that mean something else, and say so: they are those of the widget around the annotator."""
        others = f" {len(names)} keys are not listed: they are those of the review, on its last line." if names else ""
        self._table.value = _table(names)
        self._hint.value = style.span(f"{_HINT}{others}", "dim")

    def toggle(self) -> None:
        """Open or close it."""
        self.is_open = not self.is_open
        style.show(self, self.is_open)
        if self.is_open:
            self._close.focus()


def _table(without: Collection[str]) -> str:
    sections = []
    for group, lines in shown_lines(without):
        rows = "".join(f"<dt>{_caps(keys)}</dt><dd>{escape(does)}</dd>" for keys, does in lines)
        sections.append(f'<section><div class="samnb-label">{escape(group)}</div><dl>{rows}</dl></section>')
    return f'<div class="samnb-keys">{"".join(sections)}</div>'


def _caps(keys: str) -> str:
    if keys[:1].islower():
        return escape(keys)
    return " ".join(f"<kbd>{escape(key)}</kbd>" if key != "…" else key for key in keys.split())
