"""The mask under the mouse before a click: the latest place wins, and nothing is ever encoded for it. No widgets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ...errors import SamnbError
from ...masks import Polygon
from ...masks.geometry import Mask
from .draft import Draft
from .editor import HOVER, Editor

if TYPE_CHECKING:
    from ...catalog import ImageRecord
    from ...session import Session

__all__ = ["Hover"]

_log = logging.getLogger("samnb.widgets")

Outlines = tuple[Polygon, ...]


class Hover:
    """Request for the mask that a click would give, behind everything that the hand really does.

    Parameters
    ----------
    session : Session
    editing : Editor
        What is in hand, and whose worker is used.
    outline : callable
        A mask's outlines; called on the worker's thread.
    show : callable
        With outlines, or with None when there is nothing to show.
    """

    def __init__(
        self,
        session: Session,
        editing: Editor,
        *,
        outline: Callable[[Mask], Outlines],
        show: Callable[[Outlines | None], None],
    ):
        self._session, self._editor = session, editing
        self._outline, self._show = outline, show
        self._turn = 0
        self.is_shown = False

    def at(self, x: float, y: float) -> None:
        """The mouse is there, in image pixels."""
        editing = self._editor
        self.preview(editing.asked(editing.draft.prompt.with_point(x, y), refine=True))

    def preview(self, draft: Draft) -> None:
        """Show what this draft would give, unless the image is not encoded yet."""
        image = self._editor.image
        if image is None or not draft.prompt or not self._editor.is_encoded(image, draft):
            self.end()
            return
        work = partial(self._outlines, image, draft)
        self._editor.worker.submit(work, partial(self._answered, self._turn), priority=HOVER)

    def end(self) -> None:
        """The mouse is gone, or did something: what still comes is not shown."""
        self._turn += 1
        self._editor.worker.cancel(priority=HOVER)
        if self.is_shown:
            self.is_shown = False
            self._show(None)

    def _outlines(self, image: ImageRecord, draft: Draft) -> Outlines:
        draft.prompt.check_inside(image.size_hw, image.filename)
        prediction = self._editor.ask(image, draft)
        return self._outline(draft.composed(prediction.masks[prediction.best_for(draft.prompt)], image.size_hw))

    def _answered(self, turn: int, outlines: Outlines | None, error: Exception | None) -> None:
        if error is not None:
            # Nobody asked for a preview by a click: the click that follows says what is wrong.
            level = logging.DEBUG if isinstance(error, SamnbError) else logging.WARNING
            _log.log(level, "no preview: %s: %s", type(error).__name__, error)
        elif turn == self._turn and outlines:
            self.is_shown = True
            self._show(outlines)
