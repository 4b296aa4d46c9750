"""`AnnotatorLayout`: the widgets of the annotator in their places. It knows no session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets

from ..common import style
from ..common.accessibility import Accessibility
from ..common.error_line import ErrorLine
from .annotation_list import AnnotationList, AnnotationListActions, AnnotationRow
from .attribute_panel import AttributePanel, AttributePanelActions
from .category_chips import CategoryChips, ChipActions
from .filmstrip import Filmstrip, FilmstripActions
from .help_overlay import HelpOverlay
from .image_list import ImageList
from .page import Page
from .popup_menu import PopupMenu
from .shapes import Shape
from .side_panel import Candidates, Counts, header
from .stack_bar import StackActions, StackBar
from .stage import Stage
from .toolbar import MaskToolActions, MaskTools, Toolbar, ToolbarActions

if TYPE_CHECKING:
    from ...records import AttributeRecord

_HINTS = {
    "prompt": "click adds · shift-click takes away · drag a box · Enter accepts",
    "select": "click selects · shift-click selects more · double-click edits",
    "brush": "drag paints · [ ] size · Enter accepts",
    "erase": "drag erases · [ ] size · Enter accepts",
    "lasso": "drag round what to add, with Shift what to take away · Enter accepts",
    "polygon": "click adds a vertex · drag moves one · Enter accepts",
    "proposals": "click takes · drag takes all it touches · shift-click never offers it again · wheel: part to whole",
}
"""What holds for each tool, on the right of the status line."""


class AnnotatorActions(
    ToolbarActions,
    MaskToolActions,
    ChipActions,
    AnnotationListActions,
    AttributePanelActions,
    FilmstripActions,
    StackActions,
    Protocol,
):
    """The calls that the parts of the layout make: the annotator."""

    def accept(self) -> None: ...
    def clear(self) -> None: ...
    def choose(self, index: int) -> None: ...
    def key(self, name: str, ctrl: bool = False, shift: bool = False, alt: bool = False) -> None: ...
    def key_up(self, name: str) -> None: ...
    def gesture(self, gesture: Any) -> None: ...
    def view_changed(self) -> None: ...


class AnnotatorLayout:
    """Header, tools, categories, stage, side panel, filmstrip, status, error line and help.

    Parameters
    ----------
    actions : AnnotatorActions
        Its methods are what buttons, keys and the mouse do; they are looked up when they are called.
    size : (width, height)
        Of the stage, CSS pixels.
    """

    def __init__(self, actions: AnnotatorActions, size: tuple[int, int]):
        self._actions = actions
        self.stage = Stage(
            size,
            on_gesture=actions.gesture,
            on_key=self._on_key,
            on_key_up=lambda name: actions.key_up(name),
            on_view=lambda: actions.view_changed(),
        )
        self.error_line = ErrorLine()
        self.status, self._hint = "", _HINTS["prompt"]
        self._said, self._stands = "", False
        self.is_closed = False
        """True from `close` on: nothing is to be drawn any more."""
        self.shapes: tuple[Shape, ...] = ()
        self.on_changed: Callable[[], None] = lambda: None
        """Called when a snapshot would look different."""
        self.strip = Filmstrip(actions)
        self._header, self._status = style.html("", "samnb-head"), style.html("", "samnb-foot")
        self._toolbar = Toolbar(actions)
        self._candidates = Candidates(lambda index: actions.choose(index))
        self._chips = CategoryChips(actions)
        self.stack_bar = StackBar(actions)
        self._list = AnnotationList(actions)
        self._mask_tools = MaskTools(actions)
        self._attributes = AttributePanel(actions)
        self._help = HelpOverlay(self.toggle_help)
        self.menu = PopupMenu()
        self._accept = style.tool("Accept ⏎", lambda: actions.accept(), "Keep this mask (Enter)", "samnb-primary")
        self._clear = style.tool("Clear", lambda: actions.clear(), "Start this object again (Esc)")
        self.page = Page(self.say)
        self.advice = ErrorLine()
        self.advice.add_class("samnb-note")
        self._empty = style.box(classes=("samnb-nothing",))
        style.show(self._empty, False)
        # In the order of the Tab key; the style sheet gives each its place.
        body = style.box(
            *(self._header, self.stage.widget, self._toolbar, self._chips),
            *(self.stack_bar, self._side(), self.strip, self._status),
            *(self._empty, self.error_line, self._help, self.menu, self.page, Accessibility()),
            classes=("samnb-annotator",),
        )
        self.parts = (style.sheet(), body)
        self.show_categories((), "")

    def _side(self) -> ipywidgets.VBox:
        side = ipywidgets.VBox(
            [
                style.html(style.span("this object", "label")),
                self._candidates,
                style.box(self._accept, self._clear, classes=("samnb-row",)),
                self._mask_tools,
                self._attributes,
                self.advice,
                self._list,
            ]
        )
        side.add_class("samnb-side")
        return side

    def show_empty(self, instead: ipywidgets.Widget | None) -> None:
        """Show a widget in the place of the picture and the panel; None: show these again."""
        self._empty.children = () if instead is None else (instead,)
        style.show(self._empty, instead is not None)

    # -- header and filmstrip ----------------------------------------------------------------------

    def show_header(self, session_name: str, dataset: str, filename: str, counts: Counts) -> None:
        """Show session, dataset, image and counts."""
        self._header.value = header(session_name, dataset, filename, counts)
        self.on_changed()

    def show_strip(self, image_list: ImageList) -> None:
        """Show the images and the current one; called when either changed, or an image's badges."""
        self.strip.show(image_list)

    def ask_for_name(self) -> None:
        """Put the cursor into the field for a file name."""
        self.strip.name.focus()

    # -- the draft ---------------------------------------------------------------------------

    def show_candidates(self, scores: Sequence[float], thumbnails: Sequence[bytes] = (), chosen: int = 0) -> None:
        """Show the candidate masks: scores, small PNGs (see `thumbnails.mask_thumbnail`), and the chosen one."""
        self._candidates.show(scores, chosen, thumbnails)
        self.on_changed()

    def allow(self, *, accept: bool, undo: bool, redo: bool, edit: bool | None = None) -> None:
        """Enable the possible actions: accept, undo, redo, correct a mask (None: as `accept`)."""
        self._accept.disabled = not accept
        self._mask_tools.allow(accept if edit is None else edit)
        self._toolbar.allow(undo=undo, redo=redo)

    # -- annotations ------------------------------------------------------------------------------

    def show_categories(self, records: Sequence[Any], chosen: str, hidden: Collection[str] = ()) -> None:
        """The categories as chips: records with `name` and `color`, or names; those `hidden` are not drawn."""
        self._chips.show(records, chosen, hidden=hidden)
        self._list.show_names([each if isinstance(each, str) else each.name for each in records])

    def show_annotations(
        self, shapes: Sequence[Shape], entries: Sequence[AnnotationRow], selected: Sequence[int] = ()
    ) -> None:
        """The annotations of the image, on the picture and as a list."""
        self.shapes = _reused(shapes, self.shapes)
        self.stage.show_saved(self.shapes, selected)
        self._list.show(entries, selected)
        self._chips.show_counts(Counter(entry.category for entry in entries))
        self.on_changed()

    def show_attributes(self, records: Sequence[AttributeRecord], values: Mapping[str, bool | str] | None) -> None:
        """The declared attributes, with the values of the object being edited, or of the selected annotation."""
        self._attributes.show(records, values)

    def show_highlight(self, shape: Shape | None, annotation_id: int | None) -> None:
        """Lift out an annotation on the picture and in the list, or none."""
        self.stage.show_highlight(shape)
        self._list.show_highlight(annotation_id)

    def show_crops(self, crops: Mapping[int, bytes]) -> None:
        """The small pictures of annotations in the list, PNGs by id."""
        self._list.show_crops(crops)

    # -- tools and look ----------------------------------------------------------------------------

    def show_tool(self, name: str, *, hover: bool = False, detail: bool = False, on_next: bool = False) -> None:
        """The chosen tool: "prompt", "brush" or "erase"; whether hover, detail and accept on next are on."""
        self._toolbar.show_tool(name, hover=hover, detail=detail, on_next=on_next)
        self._hint = _HINTS[name]
        self._show_status(self.status)

    def show_brush_size(self, radius: float) -> None:
        """The brush's radius in image pixels."""
        self._toolbar.show_brush_size(radius)

    def show_look(self, opacity: float, contour: bool) -> None:
        """Set the style of masks."""
        self._toolbar.view.show(opacity=opacity, contour=contour)

    def show_view(self, **values: Any) -> None:
        """The other settings of the view panel, by the names of `ViewActions`."""
        self._toolbar.view.show(**values)

    # -- words -------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show what an action did, in the left part of the status line: it stays until the next action begins.

        One that ends with "…" tells of work that goes on, and stays until anything else is to be said.
        """
        self._said = "" if text.endswith("…") else text
        self._stands = bool(self._said)
        self._show_status(text)

    def note(self, text: str) -> None:
        """Show what comes along, or nothing; what an action said stays."""
        if not self._stands:
            self._show_status(text)

    def tell(self, news: str) -> None:
        """Show what others did, or a background action, beside what an action said; the last news alone."""
        self._show_status(f"{self._said} · {news}" if self._said else news)
        self._stands = True

    def begin_action(self) -> None:
        """The user does something: what the last action said may be replaced."""
        self._said, self._stands = "", False

    def _show_status(self, text: str) -> None:
        """The status line; what the tool does stays on the right."""
        self.status = text
        keys = f"{self._hint} · ? all keys"
        hint = f'<span class="samnb-dim samnb-clip" title="{keys}">{keys}</span>'
        self._status.value = f'<div class="samnb-status" role="status">{style.span(text, "number")}{hint}</div>'

    def leave_out_keys(self, names: Collection[str]) -> None:
        """Keys that the help does not show: they mean something else here."""
        self._help.leave_out(names)

    @property
    def help_is_open(self) -> bool:
        """True while the help covers the rest."""
        return self._help.is_open

    def toggle_help(self) -> None:
        """Show or hide the keys."""
        self._help.toggle()

    def close(self) -> None:
        """Release the browser's objects."""
        self.is_closed = True
        self.stage.close()
        self.strip.close()

    def _on_key(self, name: str, *modifiers: bool) -> None:
        if self._help.is_open and name == "Escape":
            self.toggle_help()
        else:
            self._actions.key(name, *modifiers)


def _reused(shapes: Sequence[Shape], before: Sequence[Shape]) -> tuple[Shape, ...]:
    """The shapes, reusing equal earlier ones, which have cached outlines."""
    known = {shape.id: shape for shape in before}

    def same(shape: Shape) -> Shape:
        old = known.get(shape.id)
        if old is None or old.polygons is not shape.polygons:
            return shape
        return old if (old.color, old.label, old.unsure) == (shape.color, shape.label, shape.unsure) else shape

    return tuple(same(shape) for shape in shapes)
