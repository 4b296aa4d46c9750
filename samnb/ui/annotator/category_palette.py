"""`Palette`: the categories in their order, each with its colour."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import PromptError
from ...masks import CATEGORY_COLORS, category_color

_STAND_IN = "object"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def is_color(text: object) -> bool:
    """True for "#rrggbb"."""
    return isinstance(text, str) and bool(_COLOR.fullmatch(text))


@dataclass(frozen=True)
class Chip:
    """A category as it is shown."""

    name: str
    color: str
    created_at: str = field(default="", compare=False, repr=False)


class Palette:
    """The categories of a session and the one that is chosen.

    Parameters
    ----------
    categories : sequence of str or of records with `name` and `color`
        In their order; if there are none, "object" is used until a name is given. A category without a colour gets the
        first unused one of a palette that colour-blind people can distinguish.
    chosen : sequence of str or None
        The first of these that there is is chosen at the start; else the first category.
    on_chosen : callable
        Called with the name whenever another category is chosen.

    Examples
    --------
    >>> palette = Palette([])
    >>> palette.choose("coin")
    >>> palette.names, palette.color("coin")
    (('coin',), '#e69f00')
    >>> palette.recolor("coin", "#112233")
    >>> palette.rename("coin", "token")
    >>> palette.chips, palette.chosen
    ((Chip(name='token', color='#112233'),), 'token')
    """

    def __init__(
        self,
        categories: Sequence[Any],
        *,
        chosen: Iterable[str | None] = (),
        on_chosen: Callable[[str], object] = lambda name: None,
    ):
        self._colors: dict[str, str] = {}
        self._saved: tuple[Chip, ...] = ()
        self._stands_in = True
        self._on_chosen: Callable[[str], object] = lambda name: None
        there = {_name(each) for each in categories}
        self._chosen = next((name for name in chosen if name in there), _STAND_IN)
        self.renew(categories)
        self._on_chosen = on_chosen

    @property
    def chosen(self) -> str:
        """The category of the next mask."""
        return self._chosen

    @chosen.setter
    def chosen(self, name: str) -> None:
        if name != self._chosen:
            self._chosen = name
            self._on_chosen(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The categories in their order."""
        return tuple(self._colors)

    @property
    def chips(self) -> tuple[Chip, ...]:
        """The categories with their colours."""
        return tuple(Chip(name, color) for name, color in self._colors.items())

    def is_saved(self, name: str) -> bool:
        """Whether the session had that category when it was last read."""
        return any(chip.name == name for chip in self._saved)

    def renew(self, categories: Sequence[Any]) -> dict[str, str]:
        """Update to the session's categories; returns the new names of those that were renamed there.

        A renamed category stays chosen. One that was removed there does not: accepted, it would come back. A new one
        that the session does not have yet stays.
        """
        known = {_name(each): _color(each) for each in categories}
        before = self._saved
        self.note_saved(categories)
        gone = {chip.name for chip in before} - known.keys()
        new = known.keys() - {chip.name for chip in before}
        # A rename keeps place and colour, which one made in its stead may have too, and the time when it was made.
        renamed = {
            old.name: there.name
            for old, there in zip(before, self._saved, strict=False)
            if old.name in gone
            and there.name in new
            and old.color == there.color
            and old.created_at in ("", there.created_at)
        }
        self.chosen = renamed.get(self.chosen, self.chosen)
        kept = () if self._stands_in or self.chosen in gone else (self.chosen,)
        wanted = {**known, **{name: self._colors.get(name, "") for name in kept if name not in known}}
        self._stands_in = not wanted
        self._colors = _filled(wanted or {_STAND_IN: ""})
        if self.chosen not in self._colors:
            self.chosen = self.names[0]
        return renamed

    def alike(self, name: str) -> str | None:
        """Another category whose name differs in case or outer spaces alone; None: there is none."""
        plain = name.strip().casefold()
        return next((each for each in self.names if each != name and each.strip().casefold() == plain), None)

    def note_saved(self, categories: Sequence[Any]) -> None:
        """The session's categories after a change made here: one that is gone with its last annotation stays here."""
        self._saved = tuple(Chip(_name(each), _color(each), getattr(each, "created_at", "")) for each in categories)

    def choose(self, name: str) -> None:
        """Choose that category; a new one is added.

        Raises
        ------
        PromptError
            An empty name.
        """
        name = _checked(name)
        if self._stands_in and name != _STAND_IN:
            self._colors = {}
        self.index(name)
        self.chosen = name

    def step(self, by: int) -> str:
        """Choose the category `by` places further, cyclically."""
        return self.names[(self.names.index(self.chosen) + by) % len(self.names)]

    def rename(self, old: str, new: str) -> None:
        """Rename a category; its place and colour stay.

        Raises
        ------
        PromptError
            An empty name.
        """
        new = _checked(new)
        self._colors = {new if name == old else name: color for name, color in self._colors.items()}
        self._saved = tuple(replace(chip, name=new) if chip.name == old else chip for chip in self._saved)
        self.chosen = new if self.chosen == old else self.chosen
        self._stands_in = False

    def recolor(self, name: str, color: str) -> None:
        """Change a colour.

        Raises
        ------
        PromptError
            It is not "#rrggbb".
        """
        if not is_color(color):
            raise PromptError(f"color of {name!r}: expected one such as '#e69f00'; got {color!r}.")
        self.index(name)
        self._colors[name] = color.lower()
        self._saved = tuple(replace(chip, color=color.lower()) if chip.name == name else chip for chip in self._saved)

    def index(self, name: str) -> int:
        """The index of a category; a new one comes last."""
        self._stands_in = False
        if name not in self._colors:
            self._colors = _filled({**self._colors, name: ""})
        return self.names.index(name)

    def color(self, name: str) -> str:
        """The category's "#rrggbb"."""
        self.index(name)
        return self._colors[name]


def _filled(colors: dict[str, str]) -> dict[str, str]:
    """Colours for those without one: the first free colour, starting at the category's own index."""
    taken = {color for color in colors.values() if color}
    filled = {}
    for index, (name, color) in enumerate(colors.items()):
        filled[name] = color or _free(index, taken)
        taken.add(filled[name])
    return filled


def _free(index: int, taken: Iterable[str]) -> str:
    count = len(CATEGORY_COLORS)
    candidates = (category_color(index + step) for step in range(count))
    return next((color for color in candidates if color not in taken), category_color(index))


def _checked(name: str) -> str:
    name = str(name).strip()
    if not name:
        raise PromptError("category: expected a name such as 'coin'; got an empty one.")
    return name


def _name(category: Any) -> str:
    return category if isinstance(category, str) else str(category.name)


def _color(category: Any) -> str:
    color = "" if isinstance(category, str) else category.color
    return color.lower() if is_color(color) else ""
