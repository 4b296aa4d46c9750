"""What becomes of masks: accepted, edited again, deleted, moved up and down; undo and redo over all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import UnknownName
from ...prompts import Prompt
from ..common.error_line import show_errors
from .draft import Draft, PackedMask
from .history import Change
from .rendering import Renderer

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation

__all__ = ["AnnotationActions"]

# The two clicks that make a double click lie this near to it, in CSS pixels.
_DOUBLE_CLICK_NEAR = 8.0


class AnnotationActions(Renderer):
    """Annotations of the image shown, and the steps that made them."""

    # -- accept ------------------------------------------------------------------------------------

    @show_errors("Nothing was accepted")
    def accept(self, category: str | None = None) -> None:
        """Keep the mask in hand as an annotation; while it is still computed, keep it as soon as it is there.

        Without a category it is of the chosen one.
        """
        with self._lock:
            self._hover.end()
            if not self._editor.draft:
                self._layout.say("nothing to accept yet: click an object first")
            elif not self._editor.is_ready:
                self._editor.accept_when_ready, self._accept_as = True, category or self._palette.chosen
                self._layout.say("will be accepted when its mask is there …")
            else:
                change = self._keep(self._editor.draft, category or self._palette.chosen)
                self._editor.do("accept", Draft(), [change])
                self._annotations_changed([change])
                self._layout.say(f"kept as {change.after.category}, score {change.after.score:.2f}")

    def _keep(self, draft: Draft, category: str) -> Change:
        """Save the mask in hand; the annotation it replaces keeps its id."""
        editing, prediction = self._editor, self._editor.prediction
        mask = editing.mask
        assert mask is not None
        assert editing.image is not None
        score = draft.score if prediction is None else float(prediction.scores[editing.chosen])
        before = self._annotations.get(draft.replaces) if draft.replaces is not None else None
        with self._acts():
            if before is not None:
                try:
                    prompt = draft.prompt or None
                    after = self.session.update(before, mask=mask, category=category, prompt=prompt, score=score)
                    return Change(before, after)
                except UnknownName:
                    # Somebody deleted it meanwhile: what was drawn is kept all the same, as a new one.
                    self._annotations_changed([Change(before, None)])
            if prediction is not None and not draft.is_painted:
                return Change(None, self.session.accept(prediction, category=category, index=editing.chosen))
            new = self.session.accept_mask(
                editing.image, mask, category=category, prompt=draft.prompt or None, score=score
            )
            return Change(None, new)

    # -- undo, redo ----------------------------------------------------------------------------------

    @show_errors("Undo failed")
    def undo(self) -> None:
        """Take the last thing back, whatever it was: a click, a stroke, an accept, a delete."""
        self._go(back=True)

    @show_errors("Redo failed")
    def redo(self) -> None:
        """Do again what was undone last."""
        self._go(back=False)

    def _go(self, *, back: bool) -> None:
        with self._lock:
            self._hover.end()
            history = self._editor.history if self.image is not None else None
            step = None if history is None else history.last if back else history.following
            if history is None or step is None:
                self._layout.say("nothing to undo on this image" if back else "nothing to do again")
                return
            changes = [change.backwards for change in reversed(step.changes)] if back else list(step.changes)
            try:
                self._make(changes)
            except UnknownName:
                history.forget(undone=not back)
                raise
            self._editor.move(back=back)
            if changes:
                self._annotations_changed(changes)
                self._layout.say(f"{'undone' if back else 'done again'}: {step.what}")

    def _make(self, changes: Iterable[Change]) -> None:
        with self._acts():
            for change in changes:
                if change.after is None:
                    self.session.remove(change.before)
                else:
                    self.session.restore([change.after], changed_from=[change.before] if change.before else [])

    # -- annotations -----------------------------------------------------------------------------------

    @show_errors("The annotation was not selected")
    def select(self, annotation_id: int | None) -> None:
        """Point out an annotation of this image, for the tools; None: none of them."""
        with self._lock:
            self._selected = None if annotation_id is None else self._called(annotation_id).id
            self._draw_annotations()

    @show_errors("The annotation cannot be edited")
    def edit(self, annotation_id: int) -> None:
        """Take an annotation in hand again, with its prompt; accepting replaces it, clearing leaves it as it was."""
        with self._lock:
            self._hover.end()
            if self._waits_for_accept():
                return
            annotation = self._called(annotation_id)
            assert self.image is not None
            if annotation.mask.shape != self.image.size_hw:
                raise UnknownName(f"annotation of this picture (its size is {self.image.size_hw}):", annotation_id, [])
            self._palette.choose(annotation.category)
            self._selected = annotation.id
            prompt = _prompt_of(annotation)
            drawn, score = PackedMask.of(annotation.mask), float(annotation.score)
            self._editor.do("edit", Draft(prompt, drawn=drawn, score=score, replaces=annotation.id))
            self._draw_annotations()

    def edit_at(self, x: float, y: float) -> None:
        """Edit the topmost annotation at that place; nothing happens where there is none."""
        with self._lock:
            found = self._topmost(x, y)
            if found is not None and not self._waits_for_accept():
                self._forget_clicks(x, y)
                self.edit(found.id)

    def _forget_clicks(self, x: float, y: float) -> None:
        """The two clicks of a double click were not meant as points."""
        near = _DOUBLE_CLICK_NEAR / self._layout.stage.view.scale
        for _ in range(2):
            last = self._editor.history.last
            if last is not None and last.what == "point":
                px, py = last.after.prompt.points[-1]
                if abs(px - x) <= near and abs(py - y) <= near:
                    self._editor.history.take_back()

    def select_at(self, x: float, y: float) -> None:
        """Select the topmost annotation at that place, or none."""
        with self._lock:
            found = self._topmost(x, y)
            self.select(None if found is None else found.id)

    @show_errors("The annotation was not deleted")
    def remove(self, annotation_id: int) -> None:
        """Delete an annotation of this image; undo brings it back."""
        with self._lock:
            annotation = self._called(annotation_id)
            with self._acts():
                self.session.remove(annotation)
            self._done("delete", Change(annotation, None))

    def remove_selected(self) -> None:
        """Delete the selected annotation."""
        with self._lock:
            if self._selected is not None:
                self.remove(self._selected)
            else:
                self._layout.say("no annotation is selected")

    @show_errors("The category was not changed")
    def set_category_of(self, annotation_id: int, name: str) -> None:
        """Make an annotation one of another category."""
        with self._lock:
            annotation = self._called(annotation_id)
            if name != annotation.category:
                self._change("category", annotation, category=name)

    @show_errors("The annotation was not moved up")
    def raise_(self, annotation_id: int) -> None:
        """Put an annotation over all others of the image."""
        with self._lock:
            annotation, order = self._called(annotation_id), self.annotations
            if order[-1].id != annotation.id:
                self._change("move up", annotation, layer=_layer(order[-1]) + 1)

    @show_errors("The annotation was not moved down")
    def lower(self, annotation_id: int) -> None:
        """Put an annotation under all others of the image."""
        with self._lock:
            annotation, order = self._called(annotation_id), self.annotations
            if order[0].id != annotation.id:
                self._change("move down", annotation, layer=_layer(order[0]) - 1)

    def _change(self, what: str, annotation: Annotation, **values: Any) -> None:
        with self._acts():
            after = self.session.update(annotation, **values)
        self._done(what, Change(annotation, after))

    def _done(self, what: str, change: Change) -> None:
        """A step that leaves what is in hand as it is."""
        self._editor.history.do(what, self._editor.draft, [change])
        self._annotations_changed([change])

    def _called(self, annotation_id: int) -> Annotation:
        if annotation_id not in self._annotations:
            raise UnknownName("annotation of this image:", annotation_id, [str(each) for each in self._annotations])
        return self._annotations[annotation_id]

    def _topmost(self, x: float, y: float) -> Annotation | None:
        for annotation in reversed(self.annotations):
            left, top, width, height = annotation.bbox
            inside = left <= x < left + width and top <= y < top + height
            if inside and annotation.mask[int(y), int(x)]:
                return annotation
        return None

    # -- categories ------------------------------------------------------------------------------------

    @property
    def category(self) -> str:
        """What the next accepted mask is; a new name becomes a new category."""
        return self._palette.chosen

    @category.setter
    def category(self, name: str) -> None:
        with self._lock:
            self._palette.choose(name)
            self._draw_categories()

    @show_errors("No such category")
    def choose_category(self, name: str) -> None:
        """What the chips and the field of the categories do."""
        self.category = name

    @show_errors("No such category")
    def choose_category_number(self, number: int) -> None:
        """The category at that place, counted from 1, as the keys are."""
        with self._lock:
            if number <= len(self._palette.names):
                self.category = self._palette.names[number - 1]

    @show_errors("No such category")
    def category_step(self, by: int) -> None:
        """The category so many places on, round and round."""
        with self._lock:
            self.category = self._palette.step(by)

    @show_errors("The category was not added")
    def add_category(self, name: str, color: str | None = None) -> None:
        """A new category, which is chosen."""
        with self._lock:
            with self._acts():
                self.session.add_category(name, color=color)
            self._palette.renew(self.session.category_records())
            self.category = name

    @show_errors("The category was not renamed")
    def rename_category(self, old: str, new: str) -> None:
        """Call a category something else, in its annotations too; undo of earlier steps uses the new name."""
        with self._lock:
            new = new.strip()
            if old == new:
                return
            if old in self.session.categories():
                with self._acts():
                    self.session.rename_category(old, new)
                self._annotations = self._read_here()
                self._edit_state.rewrite(lambda annotation: _renamed(annotation, old, new))
            self._palette.rename(old, new)
            self._draw_annotations()

    @show_errors("The colour was not changed")
    def recolor_category(self, name: str, color: str) -> None:
        """Show a category in another colour, "#rrggbb"."""
        with self._lock:
            self._palette.recolor(name, color)
            with self._acts():
                self.session.add_category(name, color=color)
            self._draw_annotations()

    def _read_here(self) -> dict[int, Annotation]:
        return {} if self.image is None else self._read(self.image)


def _prompt_of(annotation: Annotation) -> Prompt:
    """The prompt an annotation was made with; empty for one that was drawn or read from a file."""
    values = annotation.prompt
    if isinstance(values, Prompt):
        return values
    return Prompt.from_dict(values) if values.get("points") or values.get("box") else Prompt()


def _renamed(annotation: Any, old: str, new: str) -> Any:
    if annotation.category != old:
        return annotation
    return type(annotation)(replace(annotation.record, category=new))


def _layer(annotation: Annotation) -> int:
    return int(getattr(annotation, "layer", 0))
