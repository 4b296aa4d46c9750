"""What is being drawn and not kept yet: for each image a list of immutable prompts that undo walks back."""

from __future__ import annotations

from ..prompts import Prompt

__all__ = ["Draft"]

_MOST = 1000


class Draft:
    """The prompts of one object, each step one entry; starts empty.

    Examples
    --------
    >>> draft = Draft()
    >>> draft.push(draft.prompt.with_point(3, 4))
    >>> draft.push(Prompt())
    >>> draft.undo(), draft.prompt.points
    (True, ((3.0, 4.0),))
    """

    def __init__(self) -> None:
        self._history: list[Prompt] = [Prompt()]

    @property
    def prompt(self) -> Prompt:
        """The prompt as it stands."""
        return self._history[-1]

    @property
    def can_undo(self) -> bool:
        """True unless nothing was done since the start."""
        return len(self._history) > 1

    def push(self, prompt: Prompt) -> None:
        """One more step."""
        self._history = [*self._history[-_MOST:], prompt]

    def undo(self) -> bool:
        """One step back; False when there was none."""
        if not self.can_undo:
            return False
        self._history = self._history[:-1]
        return True

    def reset(self) -> None:
        """Start the next object."""
        self._history = [Prompt()]
