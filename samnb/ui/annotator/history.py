"""Undo and redo over everything: what is in hand on an image, what was kept, changed or deleted there. No widgets."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ...annotations.changes import AnnotationChanges
from .draft import Draft

__all__ = ["Change", "EditState", "History", "Step", "edit_state_of"]

_MOST_STEPS = 1000
# Logits are 128 kB a click for the largest models. Older steps, and images edited long ago, keep none: their masks are
# computed without them. 100 MB at most.
_MOST_HINTS, _MOST_IMAGES = 40, 20


@dataclass(frozen=True, eq=False)
class Change:
    """An annotation before and after; None: it was not there, it is gone."""

    before: Any
    after: Any

    @property
    def backwards(self) -> Change:
        """What takes it back."""
        return Change(self.after, self.before)


@dataclass(frozen=True, eq=False)
class Step:
    """What one act of the hand did.

    Parameters
    ----------
    what : str
        For people: "point", "accept", "stroke" …
    before, after : Draft
        What was in hand.
    changes : tuple of Change
        What happened to annotations.
    """

    what: str
    before: Draft
    after: Draft
    changes: tuple[Change, ...] = ()


class History:
    """The steps on one image; what is undone can be redone until something else is done.

    Examples
    --------
    >>> from samnb.prompts import Prompt
    >>> history = History()
    >>> history.do("point", Draft(Prompt.of(points=[(3, 4)])))
    >>> history.undo().what, history.draft == Draft(), history.can_redo
    ('point', True, True)
    >>> history.redo().what, history.draft.prompt.points
    ('point', ((3.0, 4.0),))
    """

    def __init__(self) -> None:
        self.draft = Draft()
        self.answered: set[Any] = set()
        self._done: list[Step] = []
        self._undone: list[Step] = []

    @property
    def last(self) -> Step | None:
        """The step that `undo` would take back."""
        return self._done[-1] if self._done else None

    @property
    def following(self) -> Step | None:
        """The step that `redo` would do again."""
        return self._undone[-1] if self._undone else None

    @property
    def can_undo(self) -> bool:
        """True unless nothing was done since the start."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """True after an undo."""
        return bool(self._undone)

    def do(self, what: str, after: Draft, changes: Iterable[Change] = ()) -> None:
        """One more step."""
        self._done.append(Step(what, self.draft, after, tuple(changes)))
        del self._done[:-_MOST_STEPS]
        if len(self._done) > _MOST_HINTS:
            self._done[-_MOST_HINTS - 1] = _without_hints(self._done[-_MOST_HINTS - 1])
        self._undone.clear()
        self.draft = after

    def amend(self, draft: Draft) -> None:
        """Another choice for what is in hand; no step of its own."""
        self.draft = draft

    def undo(self) -> Step | None:
        """One step back; None when there was none."""
        if not self._done:
            return None
        step = self._done.pop()
        self._undone.append(step)
        self.draft = step.before
        return step

    def redo(self) -> Step | None:
        """One undone step again; None when there was none."""
        if not self._undone:
            return None
        step = self._undone.pop()
        self._done.append(step)
        self.draft = step.after
        return step

    def forget(self, *, undone: bool = False) -> None:
        """Drop the step that cannot be taken back, or done again, because the world has changed."""
        steps = self._undone if undone else self._done
        if steps:
            steps.pop()

    def slim(self) -> None:
        """Let go of what only makes the way back exact; what is in hand stays as it is."""
        for steps in (self._done, self._undone):
            steps[:] = [_without_hints(step) for step in steps]

    def take_back(self) -> None:
        """Undo a step for good: it turned out not to work."""
        if self._done:
            self.draft = self._done.pop().before


class EditState:
    """What hands have begun on a session's images; all its annotators in this process share it, and one lock.

    A page that is loaded anew, a second view and a second annotator find everything as it was left.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changes = AnnotationChanges()
        self._histories: OrderedDict[tuple[str, str], History] = OrderedDict()
        self._latest: tuple[str, str] | None = None

    def history(self, image_id: str, pixel_hash: str = "") -> History:
        """That image's; made when there is none. Another picture under the same id begins anew."""
        key = image_id, pixel_hash
        with self.lock:
            history = self._histories.setdefault(key, History())
            if key != self._latest:
                self._latest = key
                self._histories.move_to_end(key)
                for old in list(self._histories.values())[-_MOST_IMAGES - 1 : -_MOST_IMAGES]:
                    old.slim()
            return history

    def rewrite(self, of_annotation: Callable[[Any], Any]) -> None:
        """Put each annotation that histories remember through a function, as after a category's new name."""
        with self.lock:
            for history in self._histories.values():
                for steps in (history._done, history._undone):
                    steps[:] = [replace(step, changes=_rewritten(step.changes, of_annotation)) for step in steps]


def edit_state_of(session: Any) -> EditState:
    """The hands of a session."""
    hands: EditState = session.unfinished.setdefault("hands", EditState())
    return hands


def _without_hints(step: Step) -> Step:
    """Both halves: each is shared with a neighbour, and the last of the two to let go frees it."""
    before, after = replace(step.before, hint=None), replace(step.after, hint=None)
    return replace(step, before=before, after=after)


def _rewritten(changes: tuple[Change, ...], of_annotation: Callable[[Any], Any]) -> tuple[Change, ...]:
    def new(annotation: Any) -> Any:
        return None if annotation is None else of_annotation(annotation)

    return tuple(Change(new(change.before), new(change.after)) for change in changes)
