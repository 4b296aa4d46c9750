"""The parts around the canvas: they show what they are told and call back; they know no session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
from numpy.typing import NDArray

from . import style

__all__ = ["Candidates", "Categories", "Counts", "Entries", "Entry", "header"]

_NUMERALS = "①②③④⑤⑥⑦⑧⑨"
_ENTRIES_SHOWN = 60


@dataclass(frozen=True)
class Counts:
    """The figures of the header."""

    position: int
    images: int
    annotated: int
    cached: int


def header(session_name: str, dataset: str, filename: str, counts: Counts) -> str:
    """The header as HTML: where we are on the left, how far on the right."""
    left = style.span(session_name, "strong")
    if dataset:
        left += style.span(f" · {dataset}", "dim")
    if filename:
        left += style.span(f" · {filename}", "dim")
    right = f"{counts.position} / {counts.images} · {counts.annotated} annotated · ⚡ {counts.cached} cached"
    return f'<div class="samnb-spread"><span class="samnb-clip">{left}</span>{style.span(right, "number")}</div>'


class Candidates(ipywidgets.Box):
    """The candidate masks of a prediction as toggles: ① 0.94 ② 0.81 ③ 0.40."""

    def __init__(self, on_choose: Callable[[int], None]):
        self._on_choose = on_choose
        self._buttons: list[ipywidgets.Button] = []
        super().__init__()
        self.add_class("samnb-row")
        self.show((), 0)

    def show(self, scores: Sequence[float] | NDArray[Any], chosen: int) -> None:
        """One toggle for each score; three dead ones while there is no prediction."""
        texts = [f"{_NUMERALS[i]} {float(s):.2f}" for i, s in enumerate(scores[:9])]
        for i, text in enumerate(texts or [f"{numeral} –" for numeral in _NUMERALS[:3]]):
            toggle = self._button(i)
            toggle.description, toggle.disabled = text, not texts
            _set_class(toggle, "samnb-chosen", bool(texts) and i == chosen)
        shown = tuple(self._buttons[: len(texts) or 3])
        _set_children(self, shown)

    def _button(self, index: int) -> ipywidgets.Button:
        while len(self._buttons) <= index:
            number = len(self._buttons)
            toggle = style.button("", "samnb-grow", tooltip=f"Mask {number + 1} (key {number + 1})")
            toggle.on_click(lambda _, number=number: self._on_choose(number))
            self._buttons.append(toggle)
        return self._buttons[index]


class Categories(ipywidgets.Box):
    """The categories as chips with their colours, and a field for a new one."""

    def __init__(self, on_choose: Callable[[str], None]):
        self._on_choose = on_choose
        self._chips: dict[str, ipywidgets.Button] = {}
        self._new = ipywidgets.Text(
            placeholder="new category", continuous_update=False, layout=ipywidgets.Layout(width="120px")
        )
        self._new.add_class("samnb-new")
        self._new.observe(self._on_text, "value")
        super().__init__()
        self.add_class("samnb-row")

    def show(self, names: Sequence[str], chosen: str) -> None:
        """A chip for each name, in this order; the order also gives the colour."""
        for index, name in enumerate(names):
            if name not in self._chips:
                chip = style.button(name, "samnb-chip", style.color_class(index), tooltip=f"Accept as {name}")
                chip.on_click(lambda _, name=name: self._on_choose(name))
                self._chips[name] = chip
            _set_class(self._chips[name], "samnb-chosen", name == chosen)
        shown = (*(self._chips[name] for name in names), self._new)
        _set_children(self, shown)

    def _on_text(self, change: dict[str, Any]) -> None:
        name = change["new"].strip()
        if name:
            self._new.value = ""
            self._on_choose(name)


@dataclass(frozen=True)
class Entry:
    """One line of the list of annotations."""

    id: int
    category: str
    score: float
    color_index: int


class Entries(ipywidgets.Box):
    """The annotations of the image in hand, the latest on top, each with a button that deletes it."""

    def __init__(self, on_remove: Callable[[int], None]):
        self._on_remove = on_remove
        self._rows: list[_Row] = []
        self._title = style.html()
        self._list = ipywidgets.VBox()
        self._list.add_class("samnb-list")
        super().__init__([self._title, self._list], layout=ipywidgets.Layout(flex_flow="column", overflow="hidden"))

    def show(self, entries: Sequence[Entry]) -> None:
        """These annotations; rows are reused, since each new one is a handful of messages to the page."""
        shown = list(reversed(entries))[:_ENTRIES_SHOWN]
        more = len(entries) - len(shown)
        count = f"annotations · {len(entries)}" + (f", the latest {len(shown)} shown" if more else "")
        self._title.value = style.span(count if entries else "no annotations yet", "label")
        while len(self._rows) < len(shown):
            self._rows.append(_Row(self._on_remove))
        for row, entry in zip(self._rows, shown, strict=False):
            row.show(entry)
        children = tuple(row.widget for row in self._rows[: len(shown)])
        _set_children(self._list, children)


class _Row:
    def __init__(self, on_remove: Callable[[int], None]):
        self._id = 0
        self._text = style.html("", "samnb-number")
        delete = style.button("✕", "samnb-plain", tooltip="Delete this annotation")
        delete.on_click(lambda _: on_remove(self._id))
        self.widget = style.box(self._text, delete, classes=("samnb-entry",))

    def show(self, entry: Entry) -> None:
        self._id = entry.id
        dot = f'<span class="samnb-dot {style.color_class(entry.color_index)}"></span>'
        score = style.span(f"{entry.score:.2f}", "dim")
        self._text.value = f'<div class="samnb-clip">{dot}{style.span(entry.category)} {score}</div>'


def _set_class(widget: ipywidgets.DOMWidget, name: str, wanted: bool) -> None:
    if wanted:
        widget.add_class(name)
    else:
        widget.remove_class(name)


def _set_children(box: Any, children: tuple[ipywidgets.Widget, ...]) -> None:
    # Setting them again would make the page build all their views anew.
    if box.children != children:
        box.children = children
