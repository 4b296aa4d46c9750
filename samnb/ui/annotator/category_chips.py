"""`CategoryChips`: the categories as chips: legend, choice, and an editor of names and colours."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import ipywidgets

from ..common import style
from .category_editor import CategoryEditor
from .category_palette import Chip, Palette


class ChipActions(Protocol):
    """The calls that the chips make."""

    def choose_category(self, name: str) -> None: ...
    def toggle_category(self, name: str) -> None: ...
    def rename_category(self, old: str, new: str) -> None: ...
    def recolor_category(self, name: str, color: str) -> None: ...
    def move_category(self, name: str, by: int) -> None: ...
    def merge_category(self, name: str, into: str) -> None: ...
    def remove_category(self, name: str) -> None: ...


class CategoryChips(ipywidgets.Box):
    """A chip for each category with its colour, digit key and count, a field for a new one, and an editor.

    Parameters
    ----------
    actions : ChipActions
    """

    def __init__(self, actions: ChipActions):
        self._actions = actions
        self._chips: list[ipywidgets.Button] = []
        self._shown: tuple[Chip, ...] = ()
        self._chosen = ""
        self._counts: Mapping[str, int] = {}
        self._hidden: frozenset[str] = frozenset()
        self._eyes: list[ipywidgets.Button] = []
        self._rules = style.html()
        self._rules.add_class("samnb-sheet")
        self._new = ipywidgets.Text(placeholder="new category", continuous_update=False)
        self._new.tooltip = "Name of a new category, then Enter"
        self._new.add_class("samnb-new")
        self._new.observe(self._on_text, "value")
        self._pencil = style.tool(
            "", self.toggle_editor, "Rename or recolour the chosen category", "samnb-plain", icon="pencil"
        )
        self.editor = CategoryEditor(actions, self.toggle_editor)
        super().__init__()
        for name in ("samnb-row", "samnb-chips"):
            self.add_class(name)

    def show(
        self,
        categories: Sequence[Any],
        chosen: str,
        counts: Mapping[str, int] | None = None,
        *,
        hidden: Collection[str] = (),
    ) -> None:
        """A chip for each name or record, in this order.

        Parameters
        ----------
        counts : mapping, optional
            Annotations of the image shown, by category; None leaves them as they are.
        hidden : collection of str
            Those that are not drawn.
        """
        self._hidden = frozenset(hidden)
        plain = all(isinstance(each, str) for each in categories)
        chips = Palette(categories).chips if plain and categories else tuple(Chip(c.name, c.color) for c in categories)
        self._counts = self._counts if counts is None else counts
        if {chip.color for chip in chips} != {chip.color for chip in self._shown}:
            self._rules.value = f"<style>{style.color_rules(chip.color for chip in chips)}</style>"
        self._shown, self._chosen = chips, chosen
        self._draw()

    def show_counts(self, counts: Mapping[str, int]) -> None:
        """Show the number of annotations of each category."""
        self._counts = counts
        self._draw()

    def toggle_editor(self) -> None:
        """Open the fields for the chosen category's name and colour, or close them."""
        if self.editor.is_open:
            self.editor.close_fields()
        else:
            self.editor.open_fields(self._chip_called(self._chosen), self._names())

    def name_at(self, number: int) -> str | None:
        """The category of a digit key, from 1."""
        return self._shown[number - 1].name if 0 < number <= len(self._shown) else None

    def _draw(self) -> None:
        while len(self._chips) < len(self._shown):
            place = len(self._chips)
            self._chips.append(style.tool("", partial(self._choose, place), "", "samnb-chip"))
            self._eyes.append(style.tool("", partial(self._hide, place), "", "samnb-plain", "samnb-eye", icon="eye"))
        for number, (widget, chip) in enumerate(zip(self._chips, self._shown, strict=False), 1):
            count = self._counts.get(chip.name, 0)
            key = f" (key {number})" if number <= 9 else ""
            widget.description = " ".join(
                filter(None, [str(number) if number <= 9 else "", chip.name, f"· {count}" if count else ""])
            )
            widget.tooltip = f"Accept as {chip.name}{key}; {count} on this image"
            widget._dom_classes = _classes(chip, chip.name == self._chosen)
            eye, hidden = self._eyes[number - 1], chip.name in self._hidden
            eye.icon = "eye-slash" if hidden else "eye"
            eye.tooltip = f"{'Show' if hidden else 'Hide'} {chip.name} on the picture"
        if self.editor.is_open and self.editor.name != self._chosen and self._chosen in {c.name for c in self._shown}:
            self.editor.open_fields(self._chip_called(self._chosen), self._names())
        pairs = zip(self._chips[: len(self._shown)], self._eyes, strict=False)
        chips = (widget for pair in pairs for widget in pair)
        style.set_children(self, (self._rules, *chips, self._pencil, self.editor, self._new))

    def _chip_called(self, name: str) -> Chip:
        return next((chip for chip in self._shown if chip.name == name), Chip(name, "#888888"))

    def _names(self) -> list[str]:
        return [chip.name for chip in self._shown]

    def _hide(self, place: int) -> None:
        self._actions.toggle_category(self._shown[place].name)

    def _choose(self, place: int) -> None:
        self._actions.choose_category(self._shown[place].name)

    def _on_text(self, change: dict[str, Any]) -> None:
        name = change["new"].strip()
        if name:
            self._new.value = ""
            self._actions.choose_category(name)


def _classes(chip: Chip, chosen: bool) -> list[str]:
    names = ["samnb-button", "samnb-chip", style.color_class(chip.color)]
    return [*names, "samnb-chosen"] if chosen else names
