"""`AnnotationList`: the annotations of the image shown as a list, with buttons for the selected one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ipywidgets

from ..common import style
from ..common.thumbnails import BLANK
from .row_listener import RowListener

# Rows are widgets: a page is fast with a few dozen at once. The others are shown on paging.
_ROWS = 40


@dataclass(frozen=True)
class AnnotationRow:
    """One line of the list of annotations.

    Parameters
    ----------
    color : str
        "#rrggbb", or "" for that of the category's place.
    unsure : str
        Where a find comes from that awaits a review; "" for others.
    """

    id: int
    category: str
    score: float
    color_index: int = 0
    color: str = ""
    unsure: str = ""


class AnnotationListActions(Protocol):
    """The calls that the list makes."""

    def select(self, annotation_id: int | None) -> None: ...
    def select_more(self, annotation_id: int) -> None: ...
    def highlight(self, annotation_id: int | None) -> None: ...
    def show_crops_of(self, annotation_ids: Sequence[int]) -> None: ...
    def open_menu(self, annotation_id: int | None = None) -> None: ...
    def edit(self, annotation_id: int) -> None: ...
    def remove(self, annotation_id: int) -> None: ...
    def approve(self, annotation_id: int) -> None: ...
    def set_category_of_selected(self, name: str) -> None: ...
    def remove_selected(self) -> None: ...


class AnnotationList(ipywidgets.Box):
    """The annotations of the image shown, the latest on top; a window of reused rows keeps thousands of them fast.

    Parameters
    ----------
    actions : AnnotationListActions
    """

    def __init__(self, actions: AnnotationListActions):
        self._actions = actions
        self._rows: list[_Row] = []
        self._entries: tuple[AnnotationRow, ...] = ()
        self._selection: tuple[int, ...] = ()
        self._highlighted: int | None = None
        self._first = 0
        self._title = style.html("", "samnb-grow")
        self._newer = style.tool("", lambda: self.turn(-1), "Later annotations", "samnb-plain", icon="chevron-up")
        self._older = style.tool("", lambda: self.turn(+1), "Earlier annotations", "samnb-plain", icon="chevron-down")
        self._tools = _Actions(actions)
        self._list = ipywidgets.VBox()
        self._list.add_class("samnb-list")
        self._listener = RowListener(self._on_row)
        head = style.box(self._title, self._newer, self._older, classes=("samnb-entry",))
        super().__init__(
            [head, self._tools, self._list, self._listener],
            layout=ipywidgets.Layout(flex_flow="column", overflow="hidden"),
        )

    def show(self, entries: Sequence[AnnotationRow], selection: Sequence[int] = ()) -> None:
        """These annotations, in the order they were made, and the selected ones; rows are reused."""
        ids = {entry.id for entry in entries}
        selection = tuple(each for each in selection if each in ids)
        moved = bool(selection) and selection[-1:] != self._selection[-1:]
        self._entries, self._selection = tuple(reversed(entries)), selection
        place = 0
        if moved:
            place = next(i for i, entry in enumerate(self._entries) if entry.id == selection[-1])
            if not self._first <= place < self._first + _ROWS:
                self._first = place - place % _ROWS
        self._first = min(self._first, max(len(self._entries) - 1, 0) // _ROWS * _ROWS)
        self._draw()
        if moved:
            self._listener.reveal(place - self._first)

    def turn(self, by: int) -> None:
        """Show the rows `by` windows further."""
        first = self._first + by * _ROWS
        if 0 <= first < len(self._entries):
            self._first = first
            self._draw()

    def show_names(self, names: Sequence[str]) -> None:
        """The categories an annotation can be given."""
        self._tools.show_names(names)

    def show_highlight(self, annotation_id: int | None) -> None:
        """Lift out the row of an annotation, if it is in the window, or none."""
        self._highlighted = annotation_id
        for row in self._shown_rows:
            row.show_highlight(annotation_id)

    def show_crops(self, crops: Mapping[int, bytes]) -> None:
        """The small pictures of annotations, PNGs by id; those of others stay as they are."""
        for row in self._shown_rows:
            if row.id in crops:
                row.show_crop(crops[row.id])

    @property
    def _shown(self) -> tuple[AnnotationRow, ...]:
        return self._entries[self._first : self._first + _ROWS]

    @property
    def _shown_rows(self) -> list[_Row]:
        return self._rows[: len(self._shown)]

    def _draw(self) -> None:
        count, shown = len(self._entries), self._shown
        text = f"annotations · {count}" if count else "no annotations yet"
        if count > _ROWS:
            text += f", {count - self._first - len(shown) + 1}–{count - self._first} shown"
        self._title.value = style.span(text, "label")
        style.show(self._newer, count > _ROWS)
        style.show(self._older, count > _ROWS)
        self._newer.disabled, self._older.disabled = self._first == 0, self._first + _ROWS >= count
        while len(self._rows) < len(shown):
            self._rows.append(_Row(self._actions))
        for row, entry in zip(self._rows, shown, strict=False):
            row.show(entry, entry.id in self._selection)
            row.show_highlight(self._highlighted)
        style.set_children(self._list, tuple(row.widget for row in self._rows[: len(shown)]))
        last = self._selection[-1] if self._selection else None
        self._tools.show(next((entry for entry in self._entries if entry.id == last), None), len(self._selection))
        self._actions.show_crops_of([entry.id for entry in shown])

    def _on_row(self, event: str, number: int) -> None:
        entry = self._shown[number] if 0 <= number < len(self._shown) else None
        if event == "over":
            self._actions.highlight(None if entry is None else entry.id)
        elif entry is not None:
            {"menu": self._actions.open_menu, "more": self._actions.select_more, "edit": self._actions.edit}[event](
                entry.id
            )


class _Row:
    def __init__(self, actions: AnnotationListActions):
        self.id, self._selected = 0, False
        self._crop = ipywidgets.Image(value=BLANK, format="png")
        self._crop.add_class("samnb-crop")
        self._name = style.tool("", lambda: actions.select(None if self._selected else self.id), "", "samnb-chip")
        self._delete = style.tool("✕", lambda: actions.remove(self.id), "", "samnb-plain")
        self._actions = actions
        self._accept: ipywidgets.Button | None = None  # made for the first unsure find: opening is faster without
        self.widget = style.box(self._crop, self._name, self._delete, classes=("samnb-entry",))

    def show(self, entry: AnnotationRow, selected: bool) -> None:
        if entry.id != self.id and self._crop.value != BLANK:
            self._crop.value = BLANK
        self.id, self._selected = entry.id, selected
        self._name.description = f"{'? ' if entry.unsure else ''}{entry.category}  {entry.score:.2f}"
        self._show_accept(entry)
        state = "selected; click to let go" if selected else "click to select, Shift-click one more, right-click: menu"
        source = f", unsure, from {entry.unsure}" if entry.unsure else ""
        self._name.tooltip = f"{entry.category}, score {entry.score:.2f}{source}: {state}"
        self._delete.tooltip = f"{'Reject' if entry.unsure else 'Delete'} this {entry.category}"
        classes = ["samnb-button", "samnb-chip", style.color_class(entry.color or entry.color_index)]
        self._name._dom_classes = [*classes, "samnb-chosen"] if selected else classes

    def _show_accept(self, entry: AnnotationRow) -> None:
        if self._accept is None and entry.unsure:
            self._accept = style.tool("✓", lambda: self._actions.approve(self.id), "", "samnb-plain")
        if self._accept is not None:
            accept = (self._accept,) if entry.unsure else ()
            style.set_children(self.widget, (self._crop, self._name, *accept, self._delete))
            self._accept.tooltip = f"Accept this {entry.category}"

    def show_crop(self, crop: bytes) -> None:
        if self._crop.value != crop:
            self._crop.value = crop

    def show_highlight(self, annotation_id: int | None) -> None:
        style.set_class(self.widget, "samnb-lit", self.id == annotation_id)


class _Actions(ipywidgets.Box):
    """The actions for the selected annotations; hidden if none is selected."""

    def __init__(self, actions: AnnotationListActions):
        self._actions = actions
        self._entry: AnnotationRow | None = None
        self._filling = False
        self._category = ipywidgets.Dropdown()
        self._category.tooltip = "Category of the selected annotation"
        self._category.observe(self._on_category, "value")
        edit = self._tool("edit", "Edit: its prompt comes back, Enter keeps the new mask in its place", "pencil")
        delete = style.tool(
            "", lambda: actions.remove_selected(), "Delete the selected annotations (Del)", "samnb-plain", icon="trash"
        )
        more = self._tool("open_menu", "More: order, duplicate, merge, split … (also right-click)", "ellipsis-v")
        self._edit = edit
        super().__init__([self._category, edit, delete, more])
        for name in ("samnb-entry", "samnb-selected"):
            self.add_class(name)
        style.show(self, False)

    def show(self, entry: AnnotationRow | None, count: int = 1) -> None:
        """The annotation selected last, of so many."""
        self._entry = entry
        style.show(self._edit, count == 1)
        if entry is not None:
            self._fill([*self._category.options, *({entry.category} - set(self._category.options))], entry.category)
        style.show(self, entry is not None)

    def show_names(self, names: Sequence[str]) -> None:
        own = self._entry.category if self._entry is not None else None
        self._fill([*names, *([own] if own is not None and own not in names else [])], own)

    def _fill(self, names: Sequence[str], value: str | None) -> None:
        self._filling = True
        try:
            if tuple(self._category.options) != tuple(names):
                self._category.options = tuple(names)
            if value is not None and self._category.value != value:
                self._category.value = value
        finally:
            self._filling = False

    def _on_category(self, change: dict[str, Any]) -> None:
        if not self._filling and self._entry is not None and change["new"] not in (None, self._entry.category):
            self._actions.set_category_of_selected(change["new"])

    def _tool(self, method: str, tooltip: str, icon: str) -> ipywidgets.Button:
        return style.tool("", lambda: self._act(method), tooltip, "samnb-plain", icon=icon)

    def _act(self, method: str) -> None:
        if self._entry is not None:
            getattr(self._actions, method)(self._entry.id)
