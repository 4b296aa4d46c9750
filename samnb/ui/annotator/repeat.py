"""`Repeater`: one action less for each object: accept on the next one, and the same again here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ...masks import mask_bbox
from ...prompts import Prompt
from ..common.error_line import show_errors
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from .annotation_actions import AnnotationActions
    from .category_actions import CategoryActions
    from .editor import Editor
    from .layout import AnnotatorLayout
    from .tool_settings import ToolSettings

# A click this near to the mask's box refines the mask: a quarter of the box's side, and at least some image pixels.
_NEAR, _LEAST = 0.25, 8.0


@dataclass(eq=False)
class Repeater(AnnotatorPart):
    """Begins the next object, and accepts the one before it first where that is wanted."""

    editor: Editor
    actions: AnnotationActions
    categories: CategoryActions
    settings: ToolSettings
    layout: AnnotatorLayout
    waiting: list[Callable[[], object]] = field(default_factory=list)
    """What to do once the mask that was accepted is there."""

    def begin(self, action: Callable[[], object], point: tuple[float, float] | None = None) -> bool:
        """Accept the draft if the next object begins; True if the caller may go on with its prompt.

        False while the draft's mask is still computed: `action` is called once it was accepted. False, too, if it could
        not be accepted.

        Parameters
        ----------
        point : (x, y), optional
            Of a click, which begins another object only away from the draft's mask. None: a box, which always does.
        """
        editor = self.editor
        if not self.settings.accept_on_next or not editor.draft or (point is not None and self._is_near(*point)):
            return True
        if not editor.accept_when_ready:
            self.waiting.clear()
            self.actions.accept()
        if editor.accept_when_ready:
            self.waiting.append(action)
            return False
        return not editor.draft

    def go_on(self) -> None:
        """Do what waited for the accepted mask."""
        if self.waiting and not self.editor.accept_when_ready:
            waiting, self.waiting = self.waiting, []
            waiting[0]()
            if waiting[1:] and self.editor.draft:
                self.actions.accept()
                self.waiting = waiting[1:]

    def give_up(self) -> None:
        """Forget what waits: the mask could not be made."""
        self.waiting.clear()

    def _is_near(self, x: float, y: float) -> bool:
        """True near the mask or inside its box: there a click corrects the mask."""
        editor, boxes = self.editor, []
        if editor.draft.prompt.box is not None:
            boxes.append(editor.draft.prompt.box)
        if editor.is_ready and editor.mask is not None and editor.mask.any():
            left, top, width, height = mask_bbox(editor.mask)
            boxes.append((float(left), float(top), float(left + width), float(top + height)))
        for x0, y0, x1, y1 in boxes:
            across, down = max(_NEAR * (x1 - x0), _LEAST), max(_NEAR * (y1 - y0), _LEAST)
            if x0 - across <= x <= x1 + across and y0 - down <= y <= y1 + down:
                return True
        return not boxes

    @show_errors("There is no object here")
    def same_again(self, x: float | None = None, y: float | None = None) -> None:
        """Put a box as large as the last accepted object round a place, by default the pointer's, of its category."""
        last, image = self.editor.last_accepted, self.editor.image
        pointer = self.layout.stage.pointer
        place = (x, y) if x is not None and y is not None else pointer
        if last is None or image is None or place is None:
            why = "accept an object first" if last is None else "put the pointer on the picture first"
            self.layout.say(f"the same again: {why}")
            return
        if not self.begin(partial(self.same_again, *place)) or self.editor.accept_is_pending():
            return
        _, _, width, height = last.bbox
        (at_x, at_y), (image_h, image_w) = place, image.size_hw
        left, top = max(at_x - width / 2, 0.0), max(at_y - height / 2, 0.0)
        box = (left, top, min(at_x + width / 2, float(image_w)), min(at_y + height / 2, float(image_h)))
        if last.category != self.categories.category:
            self.categories.choose_category(last.category)
        self.editor.push("same again", Prompt.of(box=box))

    def toggle_accept_on_next(self) -> None:
        """Accept on the next object, on or off."""
        self.settings.accept_on_next = not self.settings.accept_on_next
        on = "on: a new box, or a click elsewhere, keeps this mask first" if self.settings.accept_on_next else "off"
        self.layout.say(f"accept on the next object: {on}")
