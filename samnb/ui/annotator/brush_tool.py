"""Brush, eraser and the tools that mend a mask: on the one in hand, or else on the selected annotation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...errors import PromptError, UnknownName
from ...masks import editing as mask_edits
from ...masks.geometry import Mask
from ..common import style
from ..common.error_line import show_errors
from .draft import Draft
from .history import Change
from .rendering import Renderer
from .stage import Shape

__all__ = ["TOOLS", "BrushTool"]

TOOLS = ("prompt", "brush", "erase", "select")

_RADII = (1.0, 200.0)
# A preview of a stroke goes over all pixels at each move of the mouse.
_PREVIEW_PIXELS = 12_000_000


class BrushTool(Renderer):
    """Strokes and mending tools."""

    _tool: str
    _hover_on: bool
    _detail_on: bool
    _brush_radius: float

    # -- tools -----------------------------------------------------------------------------------------

    @property
    def tool(self) -> str:
        """What a drag of the mouse does: "prompt", "brush", "erase" or "select"."""
        return self._tool

    @tool.setter
    def tool(self, name: str) -> None:
        if name not in TOOLS:
            raise UnknownName("tool", name, TOOLS)
        with self._lock:
            self._hover.end()
            self._tool = name
            self._layout.stage.tool = name
            self._layout.stage.wants_hover = self._hover_on and name == "prompt"
            self._layout.show_tool(name, hover=self._hover_on, detail=self._detail_on)

    @show_errors("No such tool")
    def take_tool(self, name: str) -> None:
        """The same, as the keys do it."""
        self.tool = name

    @property
    def brush_radius(self) -> float:
        """Of brush and eraser, in image pixels."""
        return self._brush_radius

    @brush_radius.setter
    def brush_radius(self, radius: float) -> None:
        if not np.isfinite(radius):
            raise PromptError(f"brush_radius: expected a finite number of image pixels; got {radius!r}.")
        with self._lock:
            self._brush_radius = min(max(float(radius), _RADII[0]), _RADII[1])
            self._layout.stage.brush_radius = self._brush_radius
            self._layout.show_brush_size(self._brush_radius)

    @show_errors("The brush stays as it is")
    def resize_brush(self, by: int) -> None:
        """A larger or a smaller brush, by a fifth at least one pixel."""
        step = max(1.0, round(0.2 * self._brush_radius))
        self.brush_radius = self._brush_radius + by * step

    # -- strokes ---------------------------------------------------------------------------------------

    @show_errors("This stroke was not used")
    def stroke(self, points: Sequence[Sequence[float]], erase: bool = False) -> None:
        """Paint along these image pixels, or erase; one stroke is one step.

        Without anything in hand or selected, painting begins a new object.
        """
        with self._lock:
            if self._waits_for_accept() or self.image is None:
                return
            touched = mask_edits.stroke_mask(self.image.size_hw, points, self._brush_radius)
            what, draft = "erase" if erase else "stroke", self._editor.draft
            if draft or (self._selected is None and not erase):
                if touched.any():
                    self._editor.do(what, _cleared(_stroked(draft, touched, erase=erase)))
            elif self._selected is not None:
                self._mend_selected(what, lambda mask: mask & ~touched if erase else mask | touched)
            else:
                self._layout.say("nothing to erase: click an object, or select an annotation")

    def _preview_stroke(self, points: Sequence[Sequence[float]], erase: bool) -> None:
        """What the stroke has touched so far."""
        image = self.image
        if image is None or image.width * image.height > _PREVIEW_PIXELS:
            return
        mask, chosen = self.mask, self._annotations.get(self._selected or 0)
        if mask is None and chosen is not None and chosen.mask.shape == image.size_hw:
            mask = chosen.mask
        mask = np.zeros(image.size_hw, bool) if mask is None else mask
        touched = mask_edits.stroke_mask(image.size_hw, points, self._brush_radius)
        shown = mask & ~touched if erase else mask | touched
        self._layout.stage.show_mask(Shape(self._outlines(shown), style.ACCENT))

    # -- mending ---------------------------------------------------------------------------------------

    @show_errors("The holes were not filled")
    def fill_holes(self) -> None:
        """Fill the holes of the mask in hand, or of the selected annotation."""
        self._mend("fill holes", mask_edits.fill_holes)

    @show_errors("The specks were not dropped")
    def drop_specks(self) -> None:
        """Drop the small parts of the mask in hand, or of the selected annotation."""
        self._mend("drop specks", mask_edits.drop_specks)

    @show_errors("The outline was not smoothed")
    def smooth(self) -> None:
        """Calm the outline of the mask in hand, or of the selected annotation."""
        self._mend("smooth", mask_edits.smooth)

    def _mend(self, what: str, change: Callable[[Mask], Mask]) -> None:
        with self._lock:
            mask, draft = self._editor.mask, self._editor.draft
            if draft and (mask is None or not self._editor.is_ready):
                self._layout.say("one moment: the mask is still computed")
            elif draft and mask is not None:
                mended = change(mask)
                if (mended != mask).any():
                    self._editor.do(what, _cleared(draft.painted(mask, mended)))
                else:
                    self._layout.say(f"{what}: nothing to change")
            elif self._selected is not None:
                self._mend_selected(what, change)
            else:
                self._layout.say("no mask to mend: click an object, or select an annotation")

    def _mend_selected(self, what: str, change: Callable[[Mask], Mask]) -> None:
        assert self._selected is not None
        annotation = self._annotations[self._selected]
        mask = annotation.mask
        if self.image is not None and mask.shape != self.image.size_hw:
            raise PromptError("This annotation belongs to an earlier picture under this name. Delete it (Del).")
        mended = change(mask)
        if not mended.any():
            raise PromptError("Nothing of the annotation would be left. Delete it instead (Del).")
        if (mended == mask).all():
            self._layout.say(f"{what}: nothing to change")
            return
        with self._acts():
            after = self.session.update(annotation, mask=mended)
        self._editor.history.do(what, self._editor.draft, [Change(annotation, after)])
        self._annotations_changed([Change(annotation, after)])


def _stroked(draft: Draft, touched: Mask, *, erase: bool) -> Draft:
    """Paint needs no mask below it, so a stroke counts while the model is still asked."""
    nothing = np.zeros_like(touched)
    return draft.painted(touched, nothing) if erase else draft.painted(nothing, touched)


def _cleared(draft: Draft) -> Draft:
    """Nothing in hand at all, where all paint was erased."""
    return draft if draft else Draft()
