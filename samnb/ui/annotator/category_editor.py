"""`CategoryEditor`: name, colour, place, merge and delete of one category, in the row of the chips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ipywidgets

from ..common import style
from .category_palette import Chip


class CategoryEditorActions(Protocol):
    """The calls that the editor makes."""

    def rename_category(self, old: str, new: str) -> None: ...
    def recolor_category(self, name: str, color: str) -> None: ...
    def move_category(self, name: str, by: int) -> None: ...
    def merge_category(self, name: str, into: str) -> None: ...
    def remove_category(self, name: str) -> None: ...


class CategoryEditor(ipywidgets.Box):
    """Fields for colour and name, each in effect when it loses the focus, and buttons for the rest.

    Parameters
    ----------
    actions : CategoryEditorActions
    close : callable
        Closes the fields.
    """

    def __init__(self, actions: CategoryEditorActions, close: Callable[[], None]):
        self.name = ""
        self.is_open = False
        self._filling = False
        self._actions = actions
        self.color = ipywidgets.ColorPicker(concise=True, layout=ipywidgets.Layout(width="32px"))
        self.color.tooltip = "Colour of this category"
        self.text = ipywidgets.Text(continuous_update=False)
        self.text.tooltip = "New name of this category, then Enter"
        self.text.add_class("samnb-new")
        self.into = ipywidgets.Dropdown(options=[("merge into …", "")])
        self.into.tooltip = "Give all its annotations another category, and remove this one"
        self.into.add_class("samnb-merge")
        self.color.observe(self._on_color, "value")
        self.text.observe(self._on_name, "value")
        self.into.observe(self._on_into, "value")

        def plain(icon: str, tooltip: str, action: Callable[[], Any]) -> ipywidgets.Button:
            return style.tool("", action, tooltip, "samnb-plain", icon=icon)

        self.buttons = (
            plain(
                "arrow-left",
                "Move it forward: it gets the digit key before",
                lambda: actions.move_category(self.name, -1),
            ),
            plain(
                "arrow-right", "Move it back: it gets the next digit key", lambda: actions.move_category(self.name, +1)
            ),
            plain("trash", "Remove this category, if nothing is of it", lambda: actions.remove_category(self.name)),
            plain("check", "Done", close),
        )
        super().__init__([self.color, self.text, *self.buttons[:2], self.into, *self.buttons[2:]])
        self.add_class("samnb-group")
        style.show(self, False)

    def open_fields(self, chip: Chip, names: Sequence[str] = ()) -> None:
        """Show the values of a category; `names` are those it can be merged into."""
        self._filling = True
        try:
            self.name, self.text.value, self.color.value = chip.name, chip.name, chip.color
            self.into.options = [("merge into …", ""), *((name, name) for name in names if name != chip.name)]
            self.into.value = ""
        finally:
            self._filling = False
        self.is_open = True
        style.show(self, True)

    def close_fields(self) -> None:
        """Hide the fields."""
        self.is_open = False
        style.show(self, False)

    def _on_name(self, change: dict[str, Any]) -> None:
        new = change["new"].strip()
        if self._filling or not new or new == self.name:
            return
        old, self.name = self.name, new
        self._actions.rename_category(old, new)

    def _on_color(self, change: dict[str, Any]) -> None:
        if not self._filling:
            self._actions.recolor_category(self.name, change["new"])

    def _on_into(self, change: dict[str, Any]) -> None:
        if not self._filling and change["new"]:
            self._actions.merge_category(self.name, change["new"])
