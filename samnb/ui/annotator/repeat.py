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
    from .draft import Draft
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
    """What to do once the mask is there, in its order."""
    _waits_for: Draft | None = None

    def begin(self, action: Callable[[], object], point: tuple[float, float] | None = None) -> bool:
        """Accept the draft if the next object begins; True if the caller may go on with its prompt.

        False while the draft's mask is still computed: `action` is called once it was accepted, or for a click once
        the mask tells whether it is near. False, too, if it could not be accepted.

        Parameters
        ----------
        point : (x, y), optional
            Of a click, which begins another object only away from the draft's mask. None: a box, which always does.
        """
        editor = self.editor
        if not editor.draft:
            self.waiting.clear()
        if not self.settings.accept_on_next or not editor.draft:
            return True
        if self.is_after_others(action):
            return False
        near = None if point is None else self._is_near(*point)
        if near and not editor.accept_when_ready:
            return True
        if point is None or near is False:
            if not editor.accept_when_ready:
                self.actions.accept()
            if not editor.accept_when_ready:
                return not editor.draft
        self._wait([action])
        self.layout.say("this waits for the mask …")
        return False

    def is_after_others(self, action: Callable[[], object]) -> bool:
        """True if others wait for a mask: the action is done after them."""
        if not self.waits():
            return False
        self.waiting.append(action)
        return True

    def go_on(self) -> None:
        """Do what waited for the mask that is there now, or was accepted."""
        editor = self.editor
        while self.waits() and not editor.accept_when_ready and (not editor.draft or editor.is_ready):
            (first, *rest), self.waiting, image = self.waiting, [], editor.image
            first()
            if rest and editor.image is image:
                self._wait([*self.waiting, *rest])

    def _wait(self, actions: list[Callable[[], object]]) -> None:
        self.waiting, last = actions, self.editor.history.last
        self._waits_for = last.after if last is not None else None

    def waits(self) -> bool:
        """Whether something waits; what was meant to follow a step that was undone, or another image, is forgotten."""
        after = self._waits_for
        if self.waiting and after is not None and not self.editor.history.holds(after):
            self.waiting.clear()
            self.layout.say("what waited for the mask was let go")
        return bool(self.waiting)

    def give_up(self) -> None:
        """Forget what waits: the mask could not be made."""
        self.waiting.clear()

    def _is_near(self, x: float, y: float) -> bool | None:
        """True near the mask or inside its box: there a click corrects the mask. None: it is not there yet."""
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
        if boxes:
            return False
        return True if editor.is_ready else None

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
