"""`MaskEdits`: changes the mask being edited by hand: the draft's, or else that of the selected annotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import PromptError
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ...masks.geometry import Mask
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .editor import Editor


@dataclass(eq=False)
class MaskEdits(AnnotatorPart):
    """For the tools that change masks by hand: brush, lasso, polygon, corrections. Each change is one step."""

    editor: Editor
    annotations: AnnotationSet
    actions: AnnotationActions

    @property
    def mask(self) -> Mask | None:
        """(H, W) bool: the mask that a change would start from; None if there is none, or it is still computed."""
        editor, image = self.editor, self.editor.image
        if editor.is_large:
            return None
        if editor.draft:
            return editor.mask if editor.is_ready else None
        selected = self.annotations.get(self.annotations.selected)
        return (
            None if selected is None or image is None or selected.part.size_hw != image.size_hw else selected.part.whole
        )

    def are_refused(self) -> bool:
        """True, with a message, on a large image: these tools work on whole masks, which would take gigabytes."""
        if self.editor.is_large:
            self.renderer.say("masks of an image of this size are corrected with clicks alone")
        return self.editor.is_large

    def paint(self, what: str, region: Mask, *, away: bool) -> None:
        """Add the pixels of a region to the mask, or take them away.

        Without a draft or a selected annotation, adding begins a new object. A draft can be painted while its mask is
        still computed.
        """
        draft, selected = self.editor.draft, self.annotations.selected
        if self.editor.accept_is_pending():
            return
        if draft or (selected is None and not away):
            if region.any():
                nothing = np.zeros_like(region)
                draft = draft.closed(region.shape)  # else its polygon would be filled over what is taken away
                self.editor.do(what, draft.painted(region, nothing) if away else draft.painted(nothing, region))
        elif selected is not None:
            self.change(what, lambda mask: mask & ~region if away else mask | region)
        else:
            self.renderer.say("nothing to take away from: click an object, or select an annotation")

    def change(self, what: str, change: Callable[[Mask], Mask]) -> bool:
        """Apply a function to the mask; True if it changed."""
        if self.are_refused():
            return False
        mask, draft = self.editor.mask, self.editor.draft
        if draft and (mask is None or not self.editor.is_ready):
            self.renderer.say("one moment: the mask is still computed")
        elif draft and mask is not None:
            after = change(mask)
            if (after != mask).any():
                self.editor.do(what, draft.closed(mask.shape).painted(mask, after))
                return True
            self.renderer.say(f"{what}: nothing to change")
        elif self.annotations.selected is not None:
            return self._change_selected(what, change)
        else:
            self.renderer.say("no mask to change: click an object, or select an annotation")
        return False

    def _change_selected(self, what: str, change: Callable[[Mask], Mask]) -> bool:
        annotation, image = self.annotations.get(self.annotations.selected), self.editor.image
        assert annotation is not None
        if image is not None and annotation.part.size_hw != image.size_hw:
            raise PromptError("This annotation belongs to an earlier picture under this name. Delete it (Del).")
        mask = annotation.part.whole
        after = change(mask)
        if not after.any():
            raise PromptError("Nothing of the annotation would be left. Delete it instead (Del).")
        if (after == mask).all():
            self.renderer.say(f"{what}: nothing to change")
            return False
        self.actions.change(what, annotation, mask=after)
        self.renderer.say(f"{what}: {annotation.category} · {np.count_nonzero(after):,} px")
        return True
