"""`LassoTool`: adds what a freehand line surrounds to a mask, or takes it away. In image pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...masks.editing import lasso_mask
from ...prompts import Point
from ..common.error_line import show_errors
from .gestures import Click, DoubleClick, Trace
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from .annotation_actions import AnnotationActions
    from .editor import Editor
    from .gestures import Gesture
    from .layout import AnnotatorLayout
    from .mask_edits import MaskEdits
    from .object_actions import ObjectActions


@dataclass(eq=False)
class LassoTool(AnnotatorPart):
    """Changes the mask of the draft, or of the selected annotation; with neither it begins a draft."""

    editor: Editor
    actions: AnnotationActions
    objects: ObjectActions
    edits: MaskEdits
    layout: AnnotatorLayout

    def handle(self, gesture: Gesture) -> bool:
        """A drag adds; with Shift, Alt or the right button it takes away."""
        match gesture:
            case Trace():
                if gesture.done and not gesture.lost:
                    self.lasso(gesture.points, away=gesture.away)
                if gesture.done:
                    self.layout.stage.end_preview()
            case Click(alt=True):
                self.actions.select_at(gesture.x, gesture.y, below=True)
            case Click(right=True):
                self.objects.open_menu_at(gesture.x, gesture.y)
            case Click():
                self.layout.say("draw a line round what to add; with Shift round what to take away")
            case DoubleClick():
                pass
            case _:
                return False
        return True

    @show_errors("The lasso was not used")
    def lasso(self, points: Sequence[Point], away: bool = False) -> None:
        """Add what a line surrounds, closed from its end to its start, or take it away; one line is one step."""
        image = self.editor.image
        if image is None or self.edits.are_refused():
            return
        region = lasso_mask(image.size_hw, points)
        if region.any():
            self.edits.paint("lasso away" if away else "lasso", region, away=away)
        else:
            self.layout.say("the line surrounds nothing")
