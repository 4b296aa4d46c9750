"""`CategoryActions`: choose, add, rename and recolour categories."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..common.error_line import show_errors
from .change_follower import with_new_name
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ..session_protocol import AnnotatorSession
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .category_palette import Palette
    from .change_follower import ChangeFollower
    from .editor import Editor
    from .history import EditState


@dataclass(eq=False)
class CategoryActions(AnnotatorPart):
    """Changes the categories, in the session and on the screen."""

    session: AnnotatorSession
    palette: Palette
    edit_state: EditState
    editor: Editor
    annotations: AnnotationSet
    follower: ChangeFollower
    actions: AnnotationActions

    @property
    def category(self) -> str:
        """The category of the next accepted mask; a new name becomes a new category."""
        return self.palette.chosen

    @category.setter
    def category(self, name: str) -> None:
        self.palette.choose(name)
        if not self.palette.is_saved(self.palette.chosen):
            # At once, not with its first annotation: until then it would be lost with the kernel.
            with self.follower.own_change():
                self.session.add_category(self.palette.chosen)
            self.follower.renew_categories()
            self._say_alike(self.palette.chosen)
        self.renderer.draw_categories()

    def _say_alike(self, name: str) -> None:
        """Tell a category that is probably the same as a new one: both remain possible."""
        other = self.palette.alike(name)
        if other is not None:
            self.renderer.say(f"{name!r} is a category now; there is also {other!r}")

    @show_errors("No such category")
    def choose_category(self, name: str) -> None:
        """Choose a category by its name, as the chips and the text field do."""
        self.category = name

    @show_errors("No such category")
    def choose_category_number(self, number: int) -> None:
        """Choose a category by its place, counted from 1, as the keys do; the selected annotations get it too."""
        if number > len(self.palette.names):
            return
        self.category = self.palette.names[number - 1]
        # An annotation that is edited gets it when it is accepted.
        if not self.editor.draft:
            self.actions.set_category_of_selected(self.category)

    @show_errors("No such category")
    def category_step(self, by: int) -> None:
        """Choose the category `by` places further, cyclically."""
        self.category = self.palette.step(by)

    @show_errors("The category was not added")
    def add_category(self, name: str, color: str | None = None) -> None:
        """Add a category, and choose it."""
        before = self.palette.names
        with self.follower.own_change():
            self.session.add_category(name, color=color)
        self.follower.renew_categories()
        self.category = name
        if self.category not in before:
            self._say_alike(self.category)

    @show_errors("The category was not renamed")
    def rename_category(self, old: str, new: str) -> None:
        """Rename a category, in its annotations too; undo of earlier steps uses the new name."""
        new = new.strip()
        if old == new:
            return
        if old in self.session.categories():
            with self.follower.own_change():
                self.session.rename_category(old, new)
            if self.editor.image is not None:
                self.annotations.replace(self.session.annotations(image=self.editor.image))
            self.edit_state.rewrite(partial(with_new_name, {old: new}))
        self.palette.rename(old, new)
        self.renderer.draw_annotations()
        self._say_alike(new)

    @show_errors("The category was not moved")
    def move_category(self, name: str, by: int) -> None:
        """Put a category `by` places further back, or with a negative number further to the front."""
        place = self.palette.names.index(name) + by
        if 0 <= place < len(self.palette.names):
            with self.follower.own_change():
                self.session.move_category(name, place)
            self.follower.renew_categories()
            self.renderer.draw_annotations()

    @show_errors("The categories were not merged")
    def merge_category(self, name: str, into: str) -> None:
        """Give all annotations of a category another one, and remove it; undo of earlier steps uses the other one."""
        with self.follower.own_change():
            moved = self.session.merge_category(name, into)
        self._gone(name, into)
        self.renderer.say(f"{moved} of {name} are {into} now")

    @show_errors("The category was not removed")
    def remove_category(self, name: str) -> None:
        """Remove a category without annotations; one with some can be merged into another."""
        with self.follower.own_change():
            self.session.remove_category(name)
        self._gone(name, "")
        self.renderer.say(f"{name} is gone")

    def _gone(self, name: str, into: str) -> None:
        if into:
            if self.editor.image is not None:
                self.annotations.replace(self.session.annotations(image=self.editor.image))
            self.edit_state.rewrite(partial(with_new_name, {name: into}))
            self.palette.chosen = into if self.palette.chosen == name else self.palette.chosen
        self.follower.renew_categories()
        self.renderer.draw_annotations()

    @show_errors("The colour was not changed")
    def recolor_category(self, name: str, color: str) -> None:
        """Show a category in another colour, "#rrggbb"."""
        self.palette.recolor(name, color)
        with self.follower.own_change():
            self.session.add_category(name, color=color)
        self.renderer.draw_annotations()
