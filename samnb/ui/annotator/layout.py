"""How the Annotator looks: its parts in their places. Shows what it is told; knows no session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ipywidgets

from ..common import style
from ..common.error_line import ErrorLine
from .annotation_list import AnnotationList, AnnotationRow
from .category_chips import CategoryChips
from .filmstrip import Filmstrip
from .help_overlay import HelpOverlay
from .image_list import ImageList
from .side_panel import Candidates, Counts, header
from .stage import Shape, Stage
from .toolbar import MaskTools, Toolbar

__all__ = ["AnnotatorActions", "AnnotatorLayout"]

_HINT = "click adds · shift-click takes away · drag a box · Enter accepts · ? all keys"


class AnnotatorActions(Protocol):
    """What the parts call back; coordinates are image pixels."""

    tool: str
    hover_on: bool
    detail_on: bool
    brush_radius: float
    opacity: float
    contour: bool

    def accept(self) -> None: ...
    def clear(self) -> None: ...
    def undo(self) -> None: ...
    def redo(self) -> None: ...
    def choose(self, index: int) -> None: ...
    def select(self, annotation_id: int | None) -> None: ...
    def edit(self, annotation_id: int) -> None: ...
    def remove(self, annotation_id: int) -> None: ...
    def raise_(self, annotation_id: int) -> None: ...
    def lower(self, annotation_id: int) -> None: ...
    def set_category_of(self, annotation_id: int, name: str) -> None: ...
    def fill_holes(self) -> None: ...
    def drop_specks(self) -> None: ...
    def smooth(self) -> None: ...
    def next(self) -> None: ...
    def previous(self) -> None: ...
    def next_open(self) -> None: ...
    def show(self, image: Any) -> None: ...
    def jump(self, text: str) -> bool: ...
    def filter(self, kind: str) -> None: ...
    def zoom_in(self) -> None: ...
    def zoom_out(self) -> None: ...
    def fit(self) -> None: ...
    def actual_size(self) -> None: ...
    def choose_category(self, name: str) -> None: ...
    def rename_category(self, old: str, new: str) -> None: ...
    def recolor_category(self, name: str, color: str) -> None: ...
    def key(self, name: str, ctrl: bool = False, shift: bool = False) -> None: ...
    def gesture(self, gesture: Any) -> None: ...
    def view_changed(self) -> None: ...
    def toggle_help(self) -> None: ...


class AnnotatorLayout:
    """Header, tools, categories, stage, side panel, filmstrip, status, notice and help.

    Parameters
    ----------
    hand : AnnotatorActions
        Its methods are what buttons, keys and the mouse do; they are looked up when they are called.
    size : (width, height)
        Of the stage, CSS pixels.
    """

    def __init__(self, hand: AnnotatorActions, size: tuple[int, int]):
        self._hand = hand
        self.stage = Stage(size, on_gesture=hand.gesture, on_key=self._on_key, on_view=lambda: hand.view_changed())
        self.error_line = ErrorLine()
        self.said = ""
        self.shapes: tuple[Shape, ...] = ()
        self.on_changed: Callable[[], None] = lambda: None
        """Called when a still picture of all this would be another one."""
        self.strip = Filmstrip(hand)
        self._header, self._status = style.html(), style.html()
        self._toolbar = Toolbar(hand)
        self._candidates = Candidates(lambda index: hand.choose(index))
        self._chips = CategoryChips(hand)
        self._list = AnnotationList(hand)
        self._mask_tools = MaskTools(hand)
        self._help = HelpOverlay(self.toggle_help)
        self._accept = style.tool("Accept ⏎", lambda: hand.accept(), "Keep this mask (Enter)", "samnb-primary")
        self._clear = style.tool("Clear", lambda: hand.clear(), "Start this object again (Esc)")
        body = style.box(self.stage.widget, self._side(size[1]), classes=("samnb-body",))
        self.parts = (
            *(style.sheet(), self._header, self._toolbar, self._chips, body),
            *(self.strip, self._status, self.error_line, self._help),
        )
        self.show_categories((), "")

    def _side(self, height: int) -> ipywidgets.VBox:
        side = ipywidgets.VBox(
            [
                style.html(style.span("this object", "label")),
                self._candidates,
                style.box(self._accept, self._clear, classes=("samnb-row",)),
                self._mask_tools,
                self._list,
            ]
        )
        side.add_class("samnb-side")
        side.layout.max_height = f"{max(height, 380)}px"
        return side

    # -- where we are ------------------------------------------------------------------------------

    def show_header(self, session_name: str, dataset: str, filename: str, counts: Counts) -> None:
        """Where we are and how far."""
        self._header.value = header(session_name, dataset, filename, counts)
        self.on_changed()

    def show_strip(self, image_list: ImageList) -> None:
        """The images and the one in hand; called when either changed, or what is known of an image."""
        self.strip.show(image_list)

    def ask_for_name(self) -> None:
        """Put the cursor into the field for a file name."""
        self.strip.name.focus()

    # -- what is in hand ---------------------------------------------------------------------------

    def show_candidates(self, scores: Sequence[float], thumbnails: Sequence[bytes] = (), chosen: int = 0) -> None:
        """The candidate masks: scores, small PNGs (see `thumbnails.mask_thumbnail`), and which is taken."""
        self._candidates.show(scores, chosen, thumbnails)
        self.on_changed()

    def allow(self, *, accept: bool, undo: bool, redo: bool, mend: bool | None = None) -> None:
        """Whether there is something to accept, to take back, to do again, and a mask to mend."""
        self._accept.disabled = not accept
        self._mask_tools.allow(accept if mend is None else mend)
        self._toolbar.allow(undo=undo, redo=redo)

    # -- what is kept ------------------------------------------------------------------------------

    def show_categories(self, records: Sequence[Any], chosen: str) -> None:
        """The categories as chips: records with `name` and `color`, or names."""
        self._chips.show(records, chosen)
        self._list.show_names([each if isinstance(each, str) else each.name for each in records])

    def show_annotations(
        self, shapes: Sequence[Shape], entries: Sequence[AnnotationRow], selected: int | None = None
    ) -> None:
        """The annotations of the image, on the picture and as a list."""
        self.shapes = _reused(shapes, self.shapes)
        self.stage.show_saved(self.shapes, selected)
        self._list.show(entries, selected)
        self._chips.show_counts(Counter(entry.category for entry in entries))
        self.on_changed()

    @property
    def categories_editor(self) -> CategoryChips:
        """The chips; `toggle_editor` opens the fields for the chosen one's name and colour."""
        return self._chips

    # -- tools and look ----------------------------------------------------------------------------

    def show_tool(self, name: str, *, hover: bool = False, detail: bool = False) -> None:
        """Which tool is taken: "prompt", "brush" or "erase"; and whether hover is on."""
        self._toolbar.show_tool(name, hover=hover, detail=detail)

    def show_brush_size(self, radius: float) -> None:
        """The brush's radius in image pixels."""
        self._toolbar.show_brush_size(radius)

    def show_look(self, opacity: float, contour: bool) -> None:
        """How masks are drawn."""
        self._toolbar.show_look(opacity, contour)

    # -- words -------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """The left part of the status line; the keys stay on the right."""
        self.said = text
        hint = f'<span class="samnb-dim samnb-clip" title="{_HINT}">{_HINT}</span>'
        self._status.value = f'<div class="samnb-status" role="status">{style.span(text, "number")}{hint}</div>'

    @property
    def help_is_open(self) -> bool:
        """True while the help covers the rest."""
        return self._help.is_open

    def toggle_help(self) -> None:
        """Show or hide the keys."""
        self._help.toggle()

    def close(self) -> None:
        """Let go of the browser's objects."""
        self.stage.close()
        self.strip.close()

    def _on_key(self, name: str, *modifiers: bool) -> None:
        if self._help.is_open and name == "Escape":
            self.toggle_help()
        else:
            self._hand.key(name, *modifiers)


def _reused(shapes: Sequence[Shape], before: Sequence[Shape]) -> tuple[Shape, ...]:
    """The same shapes, those of before where nothing differs: what 2,000 of them know of their outlines is kept."""
    known = {shape.id: shape for shape in before}

    def same(shape: Shape) -> Shape:
        old = known.get(shape.id)
        if old is None or old.polygons is not shape.polygons or (old.color, old.label) != (shape.color, shape.label):
            return shape
        return old

    return tuple(same(shape) for shape in shapes)
