"""`PolygonTool`: the outline of a mask as vertices to drag, add and remove; a polygon drawn from nothing."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from math import hypot
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache

from ...cards import count_text
from ...errors import PromptError
from ...masks.outline import Outline
from ...prompts import Point
from ..common.error_line import show_errors
from .draft import Draft, PackedMask
from .gestures import POINT_RADIUS, Click, DoubleClick, Trace
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ...masks.geometry import Mask
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .editor import Editor
    from .gestures import Gesture
    from .layout import AnnotatorLayout
    from .mask_edits import MaskEdits
    from .object_actions import ObjectActions
    from .tool_settings import ToolSettings


# CSS pixels: distance of an edge that a press still means; of the mask's edge from the vertices at first.
_EDGE_RADIUS, _TOLERANCE = 7.0, 1.5
# Masks whose vertices are kept: undo shows those again that a drag has moved.
_KEPT = 200


@dataclass(eq=False)
class PolygonTool(AnnotatorPart):
    """Edits the mask of the draft, or of the selected annotation, by its vertices; or draws a polygon.

    The page draws what is dragged by itself (`VertexOverlay`); here only the finished drag counts.
    """

    editor: Editor
    annotations: AnnotationSet
    actions: AnnotationActions
    objects: ObjectActions
    edits: MaskEdits
    settings: ToolSettings
    layout: AnnotatorLayout

    _outline: Outline | None = None
    _mask: PackedMask | None = None
    _kept: MutableMapping[PackedMask, Outline] = field(default_factory=lambda: LRUCache(_KEPT))

    def handle(self, gesture: Gesture) -> bool:
        """A drag moves a vertex, or adds one to an edge; a click draws; Alt-click and right-click remove a vertex."""
        match gesture:
            case Trace() if gesture.done and not gesture.lost and not gesture.away:
                self.drag_vertex(gesture.points[0], gesture.points[-1])
            case Trace():
                if gesture.done:
                    self.draw()
            case Click() if (gesture.alt or gesture.right) and self._vertex(gesture.x, gesture.y) is not None:
                self.remove_vertex(gesture.x, gesture.y)
            case Click(alt=True):
                self.actions.select_at(gesture.x, gesture.y, below=True)
            case Click(right=True):
                self.objects.open_menu_at(gesture.x, gesture.y)
            case Click():
                if not self.edits.are_refused():
                    self._clicked(gesture.x, gesture.y)
            case DoubleClick():
                self._forget_second_click()
                self.close_polygon()
            case _:
                return False
        return True

    # -- what is shown -----------------------------------------------------------------------------

    @property
    def vertices(self) -> list[np.ndarray]:
        """The vertices shown: (N, 2) of each ring, image pixels."""
        ring = self.editor.draft.ring
        if ring:
            return [np.array(ring, np.float64)]
        return [] if self._outline is None else list(self._outline.rings)

    def draw(self) -> None:
        """Show the vertices while this is the tool; called whenever the draft, an annotation or the tool changed."""
        if self.settings.tool != "polygon":
            self._outline = self._mask = None
            self.layout.stage.show_vertices(())
            return
        ring, mask = self.editor.draft.ring, self.edits.mask
        if ring or mask is None or not mask.any():
            self._outline = self._mask = None
        else:
            packed = PackedMask.of(mask)
            if packed != self._mask:
                tolerance = max(1.0, _TOLERANCE / self.layout.stage.view.scale)
                self._outline = self._kept.get(packed) or Outline.of(mask, tolerance=tolerance)
                self._mask = packed
        self.layout.stage.show_vertices(self.vertices, still_open=bool(ring))

    # -- vertices ----------------------------------------------------------------------------------

    @show_errors("The vertex was not moved")
    def drag_vertex(self, start: Point, end: Point) -> None:
        """Move the vertex under `start`, or add one to the edge there; while drawing, elsewhere, add one at `end`."""
        try:
            self._drag_vertex(start, self._inside(end))
        finally:
            self.draw()  # in any case: the page shows the drag until it hears of the outcome

    def _drag_vertex(self, start: Point, end: Point) -> None:
        draft, vertex = self.editor.draft, self._vertex(*start)
        if draft.ring:
            if vertex is None:
                self.add_vertex(*end)
            else:
                self.editor.do("move vertex", replace(draft, ring=_with(draft.ring, vertex[1], end)))
            return
        outline, edge = self._outline, self._edge(*start)
        if outline is not None and vertex is not None:
            self._change("move vertex", outline.moved(*vertex, end))
        elif outline is not None and edge is not None:
            self._change("add vertex", outline.added(*edge, end))
        else:
            self.layout.say("drag a vertex, or an edge: it gets a vertex there" if outline else _HOW)

    @show_errors("The vertex was not removed")
    def remove_vertex(self, x: float, y: float) -> None:
        """Remove the vertex there; the last of three takes their part of the mask with it."""
        draft, vertex = self.editor.draft, self._vertex(x, y)
        if vertex is None:
            self.layout.say("no vertex here")
        elif draft.ring:
            ring = draft.ring[: vertex[1]] + draft.ring[vertex[1] + 1 :]
            self.editor.do("remove vertex", replace(draft, ring=ring))
        elif self._outline is not None:
            self._change("remove vertex", self._outline.removed(*vertex))

    @show_errors("The outline was not simplified")
    def simplify_outline(self) -> None:
        """Make the outline that is shown from fewer vertices; again: from still fewer."""
        mask, draft = self.edits.mask, self.editor.draft
        if mask is None or draft.ring:
            self.layout.say("no mask to simplify: click an object, or select an annotation")
            return
        outline = self._outline or self._kept.get(PackedMask.of(mask)) or Outline.of(mask)
        simple = outline.simplified(2 * max(outline.tolerance, 1.0))

        def change(mask: Mask) -> Mask:
            filled = simple.fill((mask.shape[0], mask.shape[1]))
            self._kept[PackedMask.of(filled)] = simple
            return filled

        if self.edits.change("simplify", change):
            self.layout.say(f"simplify: {outline.count:,} vertices became {simple.count:,}")

    def _change(self, what: str, after: Outline) -> None:
        outline = self._outline
        assert outline is not None

        def change(mask: Mask) -> Mask:
            edited = outline.edited(mask, after)
            self._kept[PackedMask.of(edited)] = after
            return edited

        self.edits.change(what, change)

    # -- a polygon from nothing --------------------------------------------------------------------

    @show_errors("The vertex was not added")
    def add_vertex(self, x: float, y: float) -> None:
        """Add a vertex to the polygon being drawn; the first one begins a polygon, a new object."""
        draft = self.editor.draft
        if self.editor.accept_is_pending():
            return
        if draft and not draft.ring:
            raise PromptError("There is a mask already: accept it (Enter) or clear it (Esc), then draw a polygon.")
        x, y = self._inside((x, y))
        self.annotations.selected = None
        self.editor.do("vertex", replace(draft if draft else Draft(), ring=(*draft.ring, (x, y))))
        count = len(draft.ring) + 1
        more = "Enter accepts, a click on the first one closes" if count > 2 else "three make a polygon"
        self.layout.say(f"{count_text(count, 'vertex', 'vertices')} · {more} · Z takes one back")

    @show_errors("The polygon was not closed")
    def close_polygon(self) -> None:
        """Close the polygon being drawn: it is a mask then, its vertices can be dragged, Enter accepts it."""
        draft, image = self.editor.draft, self.editor.image
        if not draft.ring or image is None:
            return
        if len(draft.ring) < 3:
            self.layout.say("a polygon needs three vertices")
            return
        closed = draft.closed(image.size_hw)
        outline = Outline((np.array(draft.ring, np.float64),))
        self._kept[PackedMask.of(outline.fill(image.size_hw))] = outline
        self.editor.do("polygon", closed)
        self.layout.say("polygon closed: drag its vertices, Enter accepts")

    def _clicked(self, x: float, y: float) -> None:
        draft, vertex = self.editor.draft, self._vertex(x, y)
        if len(draft.ring) > 2 and vertex == (0, 0):
            self.close_polygon()
        elif draft.ring or (not draft and self.annotations.selected is None):
            self.add_vertex(x, y)
        elif not draft and (other := self.annotations.topmost(x, y)) is not None:
            self.actions.select(other.id)
        else:
            self.layout.say(_HOW if draft else "Esc lets go of the annotation; then clicks draw a polygon")

    def _forget_second_click(self) -> None:
        """Both clicks of a double click have added a vertex."""
        ring, near = self.editor.draft.ring, POINT_RADIUS / self.layout.stage.view.scale
        if len(ring) > 1 and hypot(ring[-1][0] - ring[-2][0], ring[-1][1] - ring[-2][1]) <= near:
            self.editor.take_back("vertex")

    # -- places ------------------------------------------------------------------------------------

    def _vertex(self, x: float, y: float) -> tuple[int, int] | None:
        ring = self.editor.draft.ring
        outline = Outline((np.array(ring, np.float64),)) if ring else self._outline
        return None if outline is None else outline.vertex_at(x, y, POINT_RADIUS / self.layout.stage.view.scale)

    def _edge(self, x: float, y: float) -> tuple[int, int] | None:
        within = _EDGE_RADIUS / self.layout.stage.view.scale
        return None if self._outline is None else self._outline.edge_at(x, y, within)

    def _inside(self, place: Point) -> Point:
        """The place, at the edge of the picture if it lies outside. Raises `PromptError` for what is no number."""
        image = self.editor.image
        if image is None or not np.isfinite(place).all():
            raise PromptError(f"vertex: expected (x, y) on a picture; got {place!r}.")
        return min(max(float(place[0]), 0.0), float(image.width)), min(max(float(place[1]), 0.0), float(image.height))


_HOW = "Enter accepts the mask, Esc clears it; drag its vertices, or an edge for one more"


def _with(ring: Sequence[Point], number: int, place: Point) -> tuple[Point, ...]:
    return (*ring[:number], place, *ring[number + 1 :])
