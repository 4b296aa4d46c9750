"""Categories in their order, which is also the order of their colours."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import PromptError
from ..masks import category_color

__all__ = ["Palette"]

_STAND_IN = "object"


class Palette:
    """The categories of a session and the one that is chosen.

    Parameters
    ----------
    names : sequence of str
        In the order of their first use; with none at all, "object" stands in until a name is given.

    Examples
    --------
    >>> palette = Palette([])
    >>> palette.choose("coin")
    >>> palette.names, palette.color("coin")
    (('coin',), '#e69f00')
    """

    def __init__(self, names: Sequence[str]):
        self.names: tuple[str, ...] = tuple(names) or (_STAND_IN,)
        self.chosen = self.names[0]
        self._stands_in = not names

    def choose(self, name: str) -> None:
        """Take that category, a new one if nobody knows it yet.

        Raises
        ------
        PromptError
            An empty name.
        """
        name = str(name).strip()
        if not name:
            raise PromptError("category: expected a name such as 'coin'; got an empty one.")
        if self._stands_in and name != _STAND_IN:
            self.names = ()
        self.index(name)
        self.chosen = name

    def index(self, name: str) -> int:
        """The place of a category, and so its colour; one not seen before comes last."""
        self._stands_in = False
        if name not in self.names:
            self.names = (*self.names, name)
        return self.names.index(name)

    def color(self, name: str) -> str:
        """The category's "#rrggbb"."""
        return category_color(self.index(name))
