"""`KeyboardCursor`: a place on the picture that the arrow keys move, to click without a mouse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .gestures import Click
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from .editor import Editor
    from .layout import AnnotatorLayout

# CSS pixels that one press of an arrow key moves it.
_STEP = 16.0


@dataclass(eq=False)
class KeyboardCursor(AnnotatorPart):
    """Starts in the middle of what is visible; the view follows it.

    Parameters
    ----------
    on_click : callable
        Called with the `Click` of the chosen tool.
    """

    editor: Editor
    layout: AnnotatorLayout
    on_click: Callable[[Click], None]
    place: tuple[float, float] | None = None

    def move(self, across: int, down: int, fine: bool = False) -> None:
        """Move it by a step to the right and down, or by one image pixel."""
        image, stage = self.editor.image, self.layout.stage
        if image is None:
            return
        x0, y0, x1, y1 = stage.view.visible
        if self.place is None:
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
        else:
            step = 1.0 if fine else max(_STEP / stage.view.scale, 1.0)
            x, y = self.place[0] + step * across, self.place[1] + step * down
        x, y = min(max(x, 0.0), image.width - 1.0), min(max(y, 0.0), image.height - 1.0)
        over = (min(x - x0, 0) + max(x - x1, 0), min(y - y0, 0) + max(y - y1, 0))
        if any(over):
            stage.pan(-over[0] * stage.view.scale, -over[1] * stage.view.scale)
        self._show((x, y))
        self.layout.say(f"cursor at {x:.0f}, {y:.0f} · Shift Space clicks there")

    def click(self, background: bool = False) -> None:
        """What a click at the cursor does; without a cursor, show it."""
        if self.place is None:
            self.move(0, 0)
        else:
            place = self.place
            self.on_click(Click(*place, background=background))
            self._show(place)  # a click of the mouse hides it

    def _show(self, place: tuple[float, float]) -> None:
        self.place = place
        self.layout.stage.show_cursor(place)

    def hide(self) -> None:
        """Take it away, until an arrow key moves it again."""
        if self.place is not None:
            self.place = None
            self.layout.stage.show_cursor(None)
