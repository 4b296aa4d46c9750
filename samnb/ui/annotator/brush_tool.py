"""`BrushTool`: brush, eraser and one-click corrections of a mask: the draft's, or else the selected annotation's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...masks.editing import drop_specks, fill_holes, smooth, stroke_mask
from ..common.error_line import show_errors
from .gestures import BrushScroll, Stroke
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from .annotation_set import AnnotationSet
    from .editor import Editor
    from .gestures import Gesture
    from .mask_edits import MaskEdits
    from .tool_settings import ToolSettings


# A preview of a stroke processes all pixels at each move of the mouse.
_PREVIEW_PIXELS = 12_000_000


@dataclass(eq=False)
class BrushTool(AnnotatorPart):
    """Changes masks by hand."""

    editor: Editor
    annotations: AnnotationSet
    edits: MaskEdits
    settings: ToolSettings

    def handle(self, gesture: Gesture) -> bool:
        """A drag paints, or erases with the eraser; the wheel with Ctrl changes the size."""
        match gesture:
            case Stroke(lost=True):
                self.renderer.end_preview()
            case Stroke() if gesture.done:
                self.stroke(gesture.points, erase=self.settings.tool == "erase")
            case Stroke():
                self.preview_stroke(gesture.points, self.settings.tool == "erase")
            case BrushScroll():
                self.settings.scale_brush(gesture.delta)
            case _:
                return False
        return True

    # -- strokes ---------------------------------------------------------------------------------------

    @show_errors("This stroke was not used")
    def stroke(self, points: Sequence[Sequence[float]], erase: bool = False) -> None:
        """Paint along these image pixels, or erase; one stroke is one step.

        Without a draft or a selected annotation, painting begins a new object.
        """
        image = self.editor.image
        if image is not None and not self.editor.accept_is_pending() and not self.edits.are_refused():
            touched, before = stroke_mask(image.size_hw, points, self.settings.brush_radius), self.editor.history.last
            try:
                self.edits.paint("erase" if erase else "stroke", touched, away=erase)
            finally:
                if self.editor.history.last is before:
                    self.renderer.end_preview()

    def preview_stroke(self, points: Sequence[Sequence[float]], erase: bool) -> None:
        """Show what the stroke has touched so far."""
        image = self.editor.image
        if image is None or image.width * image.height > _PREVIEW_PIXELS:
            return
        mask, selected = self.editor.mask, self.annotations.get(self.annotations.selected)
        if mask is None and selected is not None and selected.part.size_hw == image.size_hw:
            mask = selected.part.whole
        mask = np.zeros(image.size_hw, bool) if mask is None else mask
        touched = stroke_mask(image.size_hw, points, self.settings.brush_radius)
        self.renderer.draw_edited(mask & ~touched if erase else mask | touched)

    # -- corrections -----------------------------------------------------------------------------------

    @show_errors("The holes were not filled")
    def fill_holes(self) -> None:
        """Fill the holes of the draft's mask, or of the selected annotation."""
        self.edits.change("fill holes", fill_holes)

    @show_errors("The specks were not dropped")
    def drop_specks(self) -> None:
        """Drop the small parts of the draft's mask, or of the selected annotation."""
        self.edits.change("drop specks", drop_specks)

    @show_errors("The outline was not smoothed")
    def smooth(self) -> None:
        """Smooth the outline of the draft's mask, or of the selected annotation."""
        self.edits.change("smooth", smooth)
