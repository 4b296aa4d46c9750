"""`History`: undo and redo of drafts and annotations; `EditState`: the histories of a session's images. No widgets."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from ...annotations.changes import AnnotationChanges
from .draft import Draft

_MOST_STEPS = 1000
# Logits are 128 kB a click for the largest models. Older steps, and images edited long ago, keep none: their masks are
# computed without them. 100 MB at most.
_MOST_HINTS, _MOST_IMAGES = 40, 20


@dataclass(frozen=True, eq=False)
class Change:
    """An annotation before and after a change; None: it did not exist, or was deleted."""

    before: Any
    after: Any

    @property
    def backwards(self) -> Change:
        """The inverse change."""
        return Change(self.after, self.before)


@dataclass(frozen=True, eq=False)
class Step:
    """The effect of one action.

    Parameters
    ----------
    what : str
        The name to show: "point", "accept", "stroke" …
    before, after : Draft
    changes : tuple of Change
        Changes of annotations.
    rejected : tuple of Proposal
        Proposals that are not offered again since.
    """

    what: str
    before: Draft
    after: Draft
    changes: tuple[Change, ...] = ()
    rejected: tuple[Any, ...] = ()


class History:
    """The steps on one image; undone steps can be redone until another step is added.

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
        """The step that `undo` would undo."""
        return self._done[-1] if self._done else None

    @property
    def following(self) -> Step | None:
        """The step that `redo` would repeat."""
        return self._undone[-1] if self._undone else None

    @property
    def can_undo(self) -> bool:
        """True if there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """True if there is a step to redo."""
        return bool(self._undone)

    def holds(self, draft: Draft) -> bool:
        """Whether a step that made this very draft is done, and was not undone."""
        return any(step.after is draft for step in reversed(self._done))

    def do(self, what: str, after: Draft, changes: Iterable[Change] = (), rejected: Iterable[Any] = ()) -> None:
        """Add a step, unless it changes nothing: erasing where nothing is would be a step back that does nothing."""
        # A copy has no decoded masks: a thousand steps would keep gigabytes of them.
        step = Step(what, self.draft, after, _rewritten(changes, copy), tuple(rejected))
        if not step.changes and not step.rejected and replace(after, hint=self.draft.hint) == self.draft:
            self.draft = after
            return
        self._done.append(step)
        del self._done[:-_MOST_STEPS]
        if len(self._done) > _MOST_HINTS:
            self._done[-_MOST_HINTS - 1] = _without_hints(self._done[-_MOST_HINTS - 1])
        self._undone.clear()
        self.draft = after

    def amend(self, draft: Draft) -> None:
        """Change the draft without a step, for another choice of mask."""
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
        """Drop the last step, or the last undone one, which others made impossible."""
        steps = self._undone if undone else self._done
        if steps:
            steps.pop()

    def slim(self) -> None:
        """Drop the logits of all steps, to save memory; the draft keeps its own."""
        for steps in (self._done, self._undone):
            steps[:] = [_without_hints(step) for step in steps]

    def take_back(self) -> None:
        """Undo the last step for good."""
        if self._done:
            self.draft = self._done.pop().before


class EditState:
    """The drafts and histories of a session's images, and one lock, shared by all annotators of it in this process.

    A reloaded page, a second view and a second annotator find everything as it was left.

    Attributes
    ----------
    lock : RLock
        Held while an annotator changes anything: handlers may come on any thread.
    changes : AnnotationChanges
        Called with the id of an image whose draft changed.
    category : str
        Chosen last in any of them; "" at the start.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changes, self.category = AnnotationChanges(), ""
        self._histories: OrderedDict[tuple[str, str], History] = OrderedDict()
        self._latest: tuple[str, str] | None = None

    def history(self, image_id: str, pixel_hash: str = "") -> History:
        """The history of an image, a new one if there is none; another picture under the same id gets a new one."""
        key = image_id, pixel_hash
        with self.lock:
            history = self._histories.setdefault(key, History())
            if key != self._latest:
                self._latest = key
                self._histories.move_to_end(key)
                for old in list(self._histories.values())[-_MOST_IMAGES - 1 : -_MOST_IMAGES]:
                    old.slim()
            return history

    def renew(self, image_id: str, before: str, after: str) -> None:
        """Give an image whose pixels have another hash now the history that it had; logits of the old ones go."""
        with self.lock:
            if before != after and (history := self._histories.pop((image_id, before), None)) is not None:
                history.slim()
                self._histories[image_id, after] = history

    def drafts(self) -> set[str]:
        """The ids of the images with a draft."""
        # Without the lock: the filmstrip asks while it holds its own, and is drawn with this one held.
        return {image_id for (image_id, _), history in list(self._histories.items()) if history.draft}

    def rewrite(self, of_annotation: Callable[[Any], Any]) -> None:
        """Replace each annotation that the histories hold, for example after a category was renamed."""
        with self.lock:
            for history in self._histories.values():
                for steps in (history._done, history._undone):
                    steps[:] = [replace(step, changes=_rewritten(step.changes, of_annotation)) for step in steps]


_edit_states: WeakKeyDictionary[object, EditState] = WeakKeyDictionary()
_edit_states_lock = threading.Lock()


def edit_state_of(session: object) -> EditState:
    """The edit state of a session; it lives as long as the session."""
    with _edit_states_lock:
        return _edit_states.setdefault(session, EditState())


def _without_hints(step: Step) -> Step:
    """Each draft is shared with the neighbouring step; the memory is freed once both have dropped it."""
    before, after = replace(step.before, hint=None), replace(step.after, hint=None)
    return replace(step, before=before, after=after)


def _rewritten(changes: Iterable[Change], of_annotation: Callable[[Any], Any]) -> tuple[Change, ...]:
    def new(annotation: Any) -> Any:
        return None if annotation is None else of_annotation(annotation)

    return tuple(Change(new(change.before), new(change.after)) for change in changes)
