"""`HoverPreview`: the mask that a click at the pointer would give. Nothing is ever encoded for it. No widgets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ...errors import PromptError, SamnbError
from ...masks.geometry import Mask
from ...masks.part import MaskPart
from .annotation_outlines import Outlines
from .draft import Draft
from .editor import HOVER, Editor

if TYPE_CHECKING:
    from ...records import ImageRecord


_log = logging.getLogger("samnb.widgets")


class HoverPreview:
    """Requests the mask that a click would give, with a lower priority than all real actions.

    Parameters
    ----------
    editor : Editor
        Its draft is extended, and its worker is used.
    outline : callable
        A mask's outlines; called on the worker's thread.
    show : callable
        With outlines, or with None when there is nothing to show.
    """

    def __init__(
        self,
        editor: Editor,
        *,
        outline: Callable[[Mask | MaskPart], Outlines],
        show: Callable[[Outlines | None], None],
    ):
        self._editor = editor
        self._outline, self._show = outline, show
        self._turn = 0
        self.is_shown = False

    def at(self, x: float, y: float) -> None:
        """The pointer is there, in image pixels."""
        editor = self._editor
        try:
            prompt = editor.draft.prompt.with_point(x, y)
        except PromptError:  # a place that is none; a click there says so
            self.end()
            return
        self.preview(editor.with_prompt(prompt, refine=True))

    def preview(self, draft: Draft) -> None:
        """Show what this draft would give, unless the image is not encoded yet."""
        image = self._editor.image
        if image is None or not draft.prompt or not self._editor.is_encoded(image, draft):
            self.end()
            return
        work = partial(self._outlines, image, draft)
        self._editor.worker.submit(work, partial(self._answered, self._turn), priority=HOVER)

    def end(self) -> None:
        """Show no preview; one that is still being computed is not shown."""
        self._turn += 1
        self._editor.worker.cancel(priority=HOVER)
        if self.is_shown:
            self.is_shown = False
            self._show(None)

    def _outlines(self, image: ImageRecord, draft: Draft) -> Outlines:
        draft.prompt.check_inside(image.size_hw, image.filename)
        prediction = self._editor.predict(image, draft)
        corner, mask = prediction.part_of(prediction.best_for(draft.prompt))
        if self._editor.is_large:
            return self._outline(MaskPart.of(mask, corner, image.size_hw))
        return self._outline(draft.composed(mask, image.size_hw))

    def _answered(self, turn: int, outlines: Outlines | None, error: Exception | None) -> None:
        if error is not None:
            # No error line for a preview: the click that follows shows what is wrong.
            level = logging.DEBUG if isinstance(error, SamnbError) else logging.WARNING
            _log.log(level, "no preview: %s: %s", type(error).__name__, error)
        elif turn == self._turn and outlines:
            self.is_shown = True
            self._show(outlines)
