"""`ObjectActions`: duplicate, merge, split and cut selected annotations, and give them a category; each is one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ...cards import count_text
from ...errors import PromptError
from ...masks.part import MaskPart
from ..common.error_line import show_errors
from .history import Change
from .popup_menu import MenuItem, PopupMenu
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from ..session_protocol import AnnotatorSession
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .category_actions import CategoryActions
    from .editor import Editor
    from .layout import AnnotatorLayout
    from .tool_settings import ToolSettings
    from .unsure import UnsureActions


# Of an image of gigapixels, whole masks take gigabytes.
_OF_WHOLE_MASKS = ("duplicate", "merge", "split", "cut")


@dataclass(eq=False)
class ObjectActions(AnnotatorPart):
    """What is done with annotations as a whole, by keys and by the menu."""

    session: AnnotatorSession
    editor: Editor
    annotations: AnnotationSet
    actions: AnnotationActions
    categories: CategoryActions
    settings: ToolSettings
    unsure: UnsureActions
    layout: AnnotatorLayout

    # -- the selected annotations ----------------------------------------------------------------------

    @show_errors("The annotation was not duplicated")
    def duplicate_selected(self) -> None:
        """Save a copy of each selected annotation; the copies are selected then."""
        image, these = self.editor.image, self._selected("duplicate")
        if not these or image is None:
            return
        with self.actions.follower.own_change():
            copies = list(self.session.copy_annotations(these, image))
        self.actions.done("duplicate", *(Change(None, copy) for copy in copies))
        self._select(copies)
        self.layout.say(f"{_count(copies)} duplicated: the {'copy is' if len(copies) == 1 else 'copies are'} selected")

    @show_errors("The annotations were not merged")
    def merge_selected(self) -> None:
        """Make one annotation of the selected ones: the one selected first gets the pixels of all."""
        these = self._selected("merge")
        if not these:
            return
        if len(these) < 2:
            self.layout.say("merge what? Shift-click selects more annotations (V)")
            return
        with self.actions.follower.own_change():
            merged = self.session.merge(these)
        self.actions.done("merge", Change(these[0], merged), *(Change(each, None) for each in these[1:]))
        self._select([merged])
        self.layout.say(f"{_count(these)} merged into one {merged.category}")

    @show_errors("The annotation was not split")
    def split_selected(self) -> None:
        """Make an annotation of each connected part of the selected one."""
        these = self._selected("split")
        if not these:
            return
        with self.actions.follower.own_change():
            parts = self.session.split(these[-1])
        self.actions.done("split", Change(these[-1], parts[0]), *(Change(None, part) for part in parts[1:]))
        self._select(parts)
        self.layout.say(f"{these[-1].category} split into {len(parts)}: all are selected")

    @show_errors("The neighbours were not cut out")
    def subtract_neighbours(self) -> None:
        """Take the pixels of all other annotations away from the selected ones."""
        these = self._selected("cut")
        if not these:
            return
        ids = {annotation.id for annotation in these}
        others = [annotation for annotation in self.annotations if annotation.id not in ids]
        parts = [(annotation, without_neighbours(annotation, others)) for annotation in these]
        cut = [(annotation, part) for annotation, part in parts if part.area < annotation.area]
        if any(not part.area for _, part in cut):
            raise PromptError("Other annotations cover it entirely: nothing would be left. Delete it instead (Del).")
        if not cut:
            self.layout.say("no other annotation overlaps it")
            return
        changes = self.actions.change_all("cut out neighbours", [(each, {"mask": part}) for each, part in cut])
        pixels = sum(change.before.area - change.after.area for change in changes)
        self.layout.say(f"{pixels:,} px of neighbours cut out of {_count(cut)}")

    def _selected(self, what: str) -> list[Annotation]:
        """The selected annotations; none, with a message, if there are none or a mask is still being edited."""
        these = [self.annotations.find(each) for each in self.annotations.selection]
        if self.editor.draft:
            self.layout.say("accept (Enter) or clear (Esc) the mask first")
            return []
        if self.editor.is_large and what in _OF_WHOLE_MASKS:
            self.layout.say("masks of an image of this size are corrected with clicks alone")
            return []
        if not these:
            self.layout.say(f"{what} what? Select an annotation: V, then a click")
        return these

    def _select(self, annotations: Sequence[Annotation]) -> None:
        self.annotations.select_only(annotation.id for annotation in annotations)
        self.renderer.draw_annotations()

    # -- menus -----------------------------------------------------------------------------------------

    @property
    def _menu(self) -> PopupMenu:
        return self.layout.menu

    @show_errors("No menu")
    def open_menu_at(self, x: float, y: float) -> None:
        """Open the menu of the topmost annotation there, and select it."""
        found = self.annotations.topmost(x, y)
        if found is None:
            self.layout.say("no annotation here")
        else:
            self.open_menu(found.id)

    @show_errors("No menu")
    def open_menu(self, annotation_id: int | None = None) -> None:
        """Open the menu of an annotation, and select it unless it is; None: of those that are selected."""
        if annotation_id is not None and annotation_id not in self.annotations.selection:
            self.actions.select(annotation_id)
        these = self._selected("menu of")
        if these:
            self._menu.show(f"{these[-1].category}" if len(these) == 1 else _count(these), self._items(these))

    def _items(self, these: Sequence[Annotation]) -> list[MenuItem]:
        last, one = these[-1].id, len(these) == 1
        actions, settings = self.actions, self.settings
        return [
            MenuItem("Edit with its prompt", lambda: actions.edit(last), "double-click", enabled=one),
            MenuItem("Drag its vertices", lambda: settings.take_tool("polygon"), "U", enabled=one),
            MenuItem("Category …", self.open_category_search, "I"),
            MenuItem("Duplicate", self.duplicate_selected, "Ctrl D"),
            MenuItem("Merge the selected", self.merge_selected, "J", enabled=not one),
            MenuItem("Split into its parts", self.split_selected, "Shift J", enabled=one),
            MenuItem("Cut out its neighbours", self.subtract_neighbours, "Y"),
            MenuItem("Draw over the others", lambda: actions.raise_(last), enabled=one),
            MenuItem("Draw under the others", lambda: actions.lower(last), enabled=one),
            MenuItem("Delete", self.unsure.remove_selected, "Del"),
        ]

    @show_errors("No categories")
    def open_category_search(self) -> None:
        """Search a category by its name, for the selected annotations, or for what comes next."""
        relabels = bool(self.annotations.selection) and not self.editor.draft

        def choose(name: str) -> None:
            self.categories.choose_category(name)
            if relabels:
                self.actions.set_category_of_selected(self.actions.palette.chosen)

        items = [
            MenuItem(
                name,
                partial(choose, name),
                str(place + 1) if place < 9 else "",
                self.actions.palette.color(name),
            )
            for place, name in enumerate(self.actions.palette.names)
        ]
        what = f"Category of {_count(self.annotations.selection)}" if relabels else "Category of what comes next"
        self._menu.show(what, items, on_new=choose)


def without_neighbours(annotation: Annotation, others: Sequence[Annotation]) -> MaskPart:
    """The mask without the pixels of others, of which only those are decoded whose box meets its box."""
    part = annotation.part
    x0, y0, x1, y1 = part.box
    left = part.mask.copy()
    for other in others:
        x, y, width, height = other.bbox
        if x < x1 and y < y1 and x + width > x0 and y + height > y0 and other.part.size_hw == part.size_hw:
            left &= ~other.part.inside(part.box)
    return MaskPart.of(left, part.corner, part.size_hw)


def _count(these: Sequence[object]) -> str:
    return count_text(len(these), "annotation")
