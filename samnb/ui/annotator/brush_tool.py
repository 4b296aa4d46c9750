"""`BrushTool`: brush, eraser and one-click corrections of a mask: the draft's, or else the selected annotation's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import PromptError
from ...masks.editing import drop_specks, fill_holes, smooth, stroke_mask
from ..common.error_line import show_errors
from .draft import Draft
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ...masks.geometry import Mask
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .editor import Editor
    from .tool_settings import ToolSettings


# A preview of a stroke processes all pixels at each move of the mouse.
_PREVIEW_PIXELS = 12_000_000


@dataclass(eq=False)
class BrushTool(AnnotatorPart):
    """Changes masks by hand."""

    editor: Editor
    annotations: AnnotationSet
    actions: AnnotationActions
    settings: ToolSettings

    # -- strokes ---------------------------------------------------------------------------------------

    @show_errors("This stroke was not used")
    def stroke(self, points: Sequence[Sequence[float]], erase: bool = False) -> None:
        """Paint along these image pixels, or erase; one stroke is one step.

        Without a draft or a selected annotation, painting begins a new object.
        """
        image, draft = self.editor.image, self.editor.draft
        if self.editor.accept_is_pending() or image is None:
            return
        touched = stroke_mask(image.size_hw, points, self.settings.brush_radius)
        what, selected = "erase" if erase else "stroke", self.annotations.selected
        if draft or (selected is None and not erase):
            if touched.any():
                self.editor.do(what, _stroked(draft, touched, erase=erase))
        elif selected is not None:
            self._change_selected(what, lambda mask: mask & ~touched if erase else mask | touched)
        else:
            self.renderer.say("nothing to erase: click an object, or select an annotation")

    def preview_stroke(self, points: Sequence[Sequence[float]], erase: bool) -> None:
        """Show what the stroke has touched so far."""
        image = self.editor.image
        if image is None or image.width * image.height > _PREVIEW_PIXELS:
            return
        mask, selected = self.editor.mask, self.annotations.get(self.annotations.selected)
        if mask is None and selected is not None and selected.mask.shape == image.size_hw:
            mask = selected.mask
        mask = np.zeros(image.size_hw, bool) if mask is None else mask
        touched = stroke_mask(image.size_hw, points, self.settings.brush_radius)
        self.renderer.draw_edited(mask & ~touched if erase else mask | touched)

    # -- corrections -----------------------------------------------------------------------------------

    @show_errors("The holes were not filled")
    def fill_holes(self) -> None:
        """Fill the holes of the draft's mask, or of the selected annotation."""
        self._correct("fill holes", fill_holes)

    @show_errors("The specks were not dropped")
    def drop_specks(self) -> None:
        """Drop the small parts of the draft's mask, or of the selected annotation."""
        self._correct("drop specks", drop_specks)

    @show_errors("The outline was not smoothed")
    def smooth(self) -> None:
        """Smooth the outline of the draft's mask, or of the selected annotation."""
        self._correct("smooth", smooth)

    def _correct(self, what: str, change: Callable[[Mask], Mask]) -> None:
        mask, draft = self.editor.mask, self.editor.draft
        if draft and (mask is None or not self.editor.is_ready):
            self.renderer.say("one moment: the mask is still computed")
        elif draft and mask is not None:
            after = change(mask)
            if (after != mask).any():
                self.editor.do(what, draft.painted(mask, after))
            else:
                self.renderer.say(f"{what}: nothing to change")
        elif self.annotations.selected is not None:
            self._change_selected(what, change)
        else:
            self.renderer.say("no mask to mend: click an object, or select an annotation")

    def _change_selected(self, what: str, change: Callable[[Mask], Mask]) -> None:
        annotation, image = self.annotations.get(self.annotations.selected), self.editor.image
        assert annotation is not None
        mask = annotation.mask
        if image is not None and mask.shape != image.size_hw:
            raise PromptError("This annotation belongs to an earlier picture under this name. Delete it (Del).")
        after = change(mask)
        if not after.any():
            raise PromptError("Nothing of the annotation would be left. Delete it instead (Del).")
        if (after == mask).all():
            self.renderer.say(f"{what}: nothing to change")
        else:
            self.actions.change(what, annotation, mask=after)


def _stroked(draft: Draft, touched: Mask, *, erase: bool) -> Draft:
    """Painting needs no mask below it, so a stroke is possible while the model is still computing."""
    nothing = np.zeros_like(touched)
    return draft.painted(touched, nothing) if erase else draft.painted(nothing, touched)
