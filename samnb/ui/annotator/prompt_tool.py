"""`PromptTool`: points, boxes and candidate masks of one object. Coordinates are image pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ...encoding.regions import region_around
from ...prompts import BACKGROUND, FOREGROUND, Prompt
from ..common.error_line import show_errors
from .draft import Draft
from .gestures import BoxDrag, Click, DoubleClick, Hover, HoverEnd, PointDrag, PointRemove
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .editor import Editor
    from .gestures import Gesture
    from .hover import HoverPreview
    from .layout import AnnotatorLayout
    from .object_actions import ObjectActions
    from .repeat import Repeater
    from .tool_settings import ToolSettings


@dataclass(eq=False)
class PromptTool(AnnotatorPart):
    """Changes the draft's prompt, and shows what a click would give."""

    editor: Editor
    annotations: AnnotationSet
    actions: AnnotationActions
    objects: ObjectActions
    settings: ToolSettings
    hover_preview: HoverPreview
    layout: AnnotatorLayout
    repeater: Repeater

    def handle(self, gesture: Gesture) -> bool:
        """A click adds a point, a drag a box; Alt-click selects an annotation, right-click opens its menu."""
        match gesture:
            case Click(alt=True, right=False):
                self.actions.select_at(gesture.x, gesture.y, below=True)
            case Click(right=True) if not self.editor.draft:
                self.objects.open_menu_at(gesture.x, gesture.y)
            case Click():
                self.click(gesture.x, gesture.y, background=gesture.background)
            case DoubleClick():
                self.actions.edit_at(gesture.x, gesture.y)
            case BoxDrag():
                self.drag_band(gesture)
            case PointDrag():
                self.drag_point(gesture)
            case PointRemove():
                self.remove_point(gesture.index)
            case Hover():
                self.hover(gesture.x, gesture.y)
            case HoverEnd():
                self.hover_end()
            case _:
                return False
        return True

    @property
    def _prompt(self) -> Prompt:
        return self.editor.draft.prompt

    @show_errors("This click was not used")
    def click(self, x: float, y: float, background: bool = False) -> None:
        """Add a point: on the object, or with `background` where the object is not."""
        self.hover_preview.end()
        prompt, again = self._prompt, partial(self.click, x, y, background)
        begun = self.editor.draft.is_painted or prompt.box is not None or FOREGROUND in prompt.point_labels
        if background and not begun:
            # Alone it means nothing, and the model answers with any mask.
            self.layout.say("first a point on the object, or a box; then points where it is not")
        elif self.repeater.is_after_others(again) if background else not self.repeater.begin(again, (x, y)):
            return
        elif not self.editor.accept_is_pending():
            label = BACKGROUND if background else FOREGROUND
            self.editor.push("point", self._prompt.with_point(x, y, label=label), refine=True)

    @show_errors("This box was not used")
    def drag_box(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Put a box around the object, from any corner to the opposite one; replaces an earlier box."""
        self.hover_preview.end()
        self.layout.stage.show_prompt(self._prompt)
        if self.repeater.begin(partial(self.drag_box, x0, y0, x1, y1)) and not self.editor.accept_is_pending():
            box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            self.editor.push("box", self._prompt.with_box(box))

    @show_errors("The box was not changed")
    def resize_box(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Give the prompt's box other corners; it stays the same object."""
        self.hover_preview.end()
        self.layout.stage.show_prompt(self._prompt)
        if not self.editor.accept_is_pending():
            self.editor.push("box", self._prompt.with_box((x0, y0, x1, y1)))

    @show_errors("The point was not moved")
    def move_point(self, index: int, x: float, y: float) -> None:
        """Move a point of the prompt, counted from 0."""
        self.hover_preview.end()
        self.layout.stage.show_prompt(self._prompt)
        if self.editor.accept_is_pending():
            return
        if self._has_point(index) and self._prompt.points[index] != (x, y):
            self.editor.push("move", _moved(self._prompt, index, x, y))

    @show_errors("The point was not removed")
    def remove_point(self, index: int) -> None:
        """Remove a point of the prompt, counted from 0."""
        self.hover_preview.end()
        if self.editor.accept_is_pending():
            return
        if self._has_point(index):
            points, labels = list(self._prompt.points), list(self._prompt.point_labels)
            del points[index], labels[index]
            self.editor.push("remove point", Prompt(tuple(points), tuple(labels), self._prompt.box))

    @show_errors("Clear failed")
    def clear(self) -> None:
        """Start the object again; undo brings it back. Without a draft, leave the proposals, or deselect."""
        self.hover_preview.end()
        if self.editor.draft:
            self.repeater.give_up()
            self.editor.do("clear", Draft())
        elif self.settings.tool == "proposals":
            self.settings.tool = "prompt"
        elif self.annotations.selected is not None:
            self.annotations.selected = None
            self.renderer.draw_annotations()

    @show_errors("No such mask")
    def choose(self, index: int) -> None:
        """Choose another candidate mask, counted from 0."""
        self.editor.choose(index)

    def choose_number(self, number: int) -> None:
        """Choose another candidate mask, counted from 1, as the keys are."""
        self.choose(number - 1)

    @show_errors("No such mask")
    def choose_step(self, by: int) -> None:
        """Choose the candidate mask `by` places further, cyclically."""
        self.editor.choose_step(by)

    # -- before a click --------------------------------------------------------------------------------

    def toggle_hover(self) -> None:
        """Hover on or off."""
        self.settings.hover_on = not self.settings.hover_on

    @property
    def detail_on(self) -> bool:
        """Whether the model gets only the visible part of the image, and not all of it."""
        return self.settings.detail_on

    @detail_on.setter
    def detail_on(self, wanted: bool) -> None:
        self.settings.detail_on = wanted
        draft, image = self.editor.draft, self.editor.image
        if draft.prompt and draft.needs_model:
            again = self.editor.with_prompt(draft.prompt)
            if again.region != draft.region:
                self.editor.do("detail", again)
        view = self.layout.stage.view
        if wanted and (image is None or region_around(view.visible, image.size_hw) is None):
            self.layout.say("zoom in: from then on the model is shown what is on the screen, in full detail")

    @show_errors("Detail was not switched")
    def toggle_detail(self) -> None:
        """Detail on or off."""
        self.detail_on = not self.detail_on

    @show_errors("No preview")
    def hover(self, x: float, y: float) -> None:
        """Show the mask that a click at the pointer would give, if the image is encoded."""
        settings = self.settings
        if settings.hover_on and settings.tool == "prompt" and not self.editor.accept_when_ready:
            self.hover_preview.at(x, y)

    @show_errors("No preview")
    def hover_end(self) -> None:
        """Show no preview: the pointer has left the picture."""
        self.hover_preview.end()

    # -- while the mouse is dragged --------------------------------------------------------------------

    def drag_band(self, band: BoxDrag) -> None:
        """Show a box that is being drawn; use it when it is done."""
        prompt = self._prompt
        if band.x1 <= band.x0 or band.y1 <= band.y0:
            self.hover_preview.end()
            self.layout.stage.show_prompt(prompt)
            if band.done:
                self.layout.say("a box needs width and height")
        elif band.done and band.resizes:
            self.resize_box(band.x0, band.y0, band.x1, band.y1)
        elif band.done:
            self.drag_box(band.x0, band.y0, band.x1, band.y1)
        else:
            self.layout.stage.show_prompt(replace(prompt, box=None) if band.resizes else prompt, band=band)
            # Only for a box that is moved: for a new one, most of the boxes on the way mean nothing.
            if band.resizes and not self.editor.accept_when_ready:
                moved = prompt.with_box((band.x0, band.y0, band.x1, band.y1))
                self.hover_preview.preview(self.editor.with_prompt(moved))
            else:
                self.hover_preview.end()

    def drag_point(self, drag: PointDrag) -> None:
        """Show a point that is being moved, with the mask it would give; use it when it is done."""
        if drag.done:
            self.move_point(drag.index, drag.x, drag.y)
        elif self._has_point(drag.index):
            moved = _moved(self._prompt, drag.index, drag.x, drag.y)
            self.layout.stage.show_prompt(moved, active=drag.index)
            if not self.editor.accept_when_ready:
                self.hover_preview.preview(self.editor.with_prompt(moved))

    def _has_point(self, index: int) -> bool:
        return 0 <= index < len(self._prompt.points)


def _moved(prompt: Prompt, index: int, x: float, y: float) -> Prompt:
    points = [*prompt.points[:index], (float(x), float(y)), *prompt.points[index + 1 :]]
    return Prompt(tuple(points), prompt.point_labels, prompt.box)
