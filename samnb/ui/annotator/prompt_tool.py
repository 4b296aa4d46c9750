"""What the hand says about one object: points, boxes, candidates, previews. Image pixels everywhere."""

from __future__ import annotations

from ...encoding.regions import Region, region_around
from ...prompts import BACKGROUND, FOREGROUND, Prompt
from ..common import style
from ..common.error_line import show_errors
from .draft import Draft
from .gestures import BoxDrag
from .hover import Outlines
from .rendering import Renderer
from .stage import Shape

__all__ = ["PromptTool"]


class PromptTool(Renderer):
    """Points, boxes and candidates."""

    _hover_on: bool
    _detail_on: bool
    _tool: str

    @show_errors("This click was not used")
    def click(self, x: float, y: float, background: bool = False) -> None:
        """Add a point: on the object, or with `background` where the object is not."""
        with self._lock:
            self._hover.end()
            if self._waits_for_accept():
                return
            label = BACKGROUND if background else FOREGROUND
            self._editor.push("point", self.prompt.with_point(x, y, label=label), refine=True)

    @show_errors("This box was not used")
    def drag_box(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Put a box round the object, from any corner to the opposite one; replaces an earlier box."""
        with self._lock:
            self._hover.end()
            self._layout.stage.show_prompt(self.prompt)
            if self._waits_for_accept():
                return
            self._editor.push("box", self.prompt.with_box((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))))

    @show_errors("The point was not moved")
    def move_point(self, index: int, x: float, y: float) -> None:
        """Put a point of the prompt, counted from 0, somewhere else."""
        with self._lock:
            self._hover.end()
            self._layout.stage.show_prompt(self.prompt)
            if self._waits_for_accept():
                return
            if self._has_point(index) and self.prompt.points[index] != (x, y):
                self._editor.push("move", _moved(self.prompt, index, x, y))

    @show_errors("The point was not removed")
    def remove_point(self, index: int) -> None:
        """Take a point of the prompt, counted from 0, away."""
        with self._lock:
            self._hover.end()
            if self._waits_for_accept():
                return
            if self._has_point(index):
                points, labels = list(self.prompt.points), list(self.prompt.point_labels)
                del points[index], labels[index]
                self._editor.push("remove point", Prompt(tuple(points), tuple(labels), self.prompt.box))

    @show_errors("Clear failed")
    def clear(self) -> None:
        """Start the object in hand again; undo brings it back. Without one, let go of the selection."""
        with self._lock:
            self._hover.end()
            if self._editor.draft:
                self._editor.do("clear", Draft())
            elif self._selected is not None:
                self._selected = None
                self._draw_annotations()

    @show_errors("No such mask")
    def choose(self, index: int) -> None:
        """Take another one of the candidate masks, counted from 0."""
        self._editor.choose(index)

    def choose_number(self, number: int) -> None:
        """The same, counted from 1, as the keys are."""
        self.choose(number - 1)

    @show_errors("No such mask")
    def choose_step(self, by: int) -> None:
        """The candidate mask so many places on, round and round."""
        with self._lock:
            if self.prediction is not None:
                self._editor.choose((self._editor.chosen + by) % len(self.prediction.masks))

    # -- before a click ----------------------------------------------------------------------------

    @property
    def hover_on(self) -> bool:
        """Whether the mask under the mouse is shown before a click."""
        return self._hover_on

    @hover_on.setter
    def hover_on(self, wanted: bool) -> None:
        with self._lock:
            self._hover_on = bool(wanted)
            self._layout.stage.wants_hover = self._hover_on and self._tool == "prompt"
            self._hover.end()
            self._layout.show_tool(self._tool, hover=self._hover_on, detail=self._detail_on)

    def toggle_hover(self) -> None:
        """Hover on or off."""
        self.hover_on = not self._hover_on

    @property
    def detail_on(self) -> bool:
        """Whether the model is shown the part of the image that is on the screen, and not all of it."""
        return self._detail_on

    @detail_on.setter
    def detail_on(self, wanted: bool) -> None:
        with self._lock:
            self._detail_on = bool(wanted)
            self._hover.end()
            self._layout.show_tool(self._tool, hover=self._hover_on, detail=self._detail_on)
            if self.prompt and self._editor.draft.needs_model:
                again = self._editor.asked(self.prompt)
                if again.region != self._editor.draft.region:
                    self._editor.do("detail", again)
            if self._detail_on and self._visible_region() is None:
                self._layout.say("zoom in: from then on the model is shown what is on the screen, in full detail")

    @show_errors("Detail was not switched")
    def toggle_detail(self) -> None:
        """Detail on or off."""
        self.detail_on = not self._detail_on

    def _on_screen(self) -> tuple[float, float, float, float] | None:
        """What `Editor.detail` asks for."""
        return self._layout.stage.view.visible if self._detail_on else None

    def _visible_region(self) -> Region | None:
        return None if self.image is None else region_around(self._layout.stage.view.visible, self.image.size_hw)

    @show_errors("No preview")
    def hover(self, x: float, y: float) -> None:
        """The mouse is there: show the mask a click would give, if the image is encoded."""
        with self._lock:
            if self._hover_on and self._tool == "prompt" and not self._editor.accept_when_ready:
                self._hover.at(x, y)

    @show_errors("No preview")
    def hover_end(self) -> None:
        """The mouse is gone."""
        with self._lock:
            self._hover.end()

    def _drag_band(self, band: BoxDrag) -> None:
        if band.done and band.x1 > band.x0 and band.y1 > band.y0:
            self.drag_box(band.x0, band.y0, band.x1, band.y1)
            return
        self._hover.end()
        self._layout.stage.show_prompt(self.prompt, band=None if band.done else band)
        if band.done:
            self._layout.say("a box needs width and height")

    def _drag_point(self, index: int, x: float, y: float, done: bool) -> None:
        if done:
            self.move_point(index, x, y)
        elif self._has_point(index):
            moved = _moved(self.prompt, index, x, y)
            self._layout.stage.show_prompt(moved, active=index)
            if not self._editor.accept_when_ready:
                self._hover.preview(self._editor.asked(moved))

    def _has_point(self, index: int) -> bool:
        return 0 <= index < len(self.prompt.points)

    def _draw_hover(self, outlines: Outlines | None) -> None:
        with self._lock:
            self._layout.stage.show_hover(Shape(outlines, style.ACCENT) if outlines else None)


def _moved(prompt: Prompt, index: int, x: float, y: float) -> Prompt:
    points = [*prompt.points[:index], (float(x), float(y)), *prompt.points[index + 1 :]]
    return Prompt(tuple(points), prompt.point_labels, prompt.box)
