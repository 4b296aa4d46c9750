"""`AnnotationActions`: accept, edit, delete and order annotations; undo and redo of everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...cards import count_text
from ...errors import SamnbError, UnknownName
from ...prompts import Prompt
from ..common.error_line import show_errors
from .draft import Draft, PackedMask
from .history import Change
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from ...masks.geometry import Mask
    from ...masks.part import MaskPart
    from ...proposals import Proposal
    from ..session_protocol import AnnotatorSession
    from .annotation_set import AnnotationSet
    from .category_palette import Palette
    from .change_follower import ChangeFollower
    from .editor import Editor
    from .hover import HoverPreview
    from .layout import AnnotatorLayout


# Maximum distance of the two clicks of a double click from it, in CSS pixels.
_DOUBLE_CLICK_NEAR = 8.0


@dataclass(eq=False)
class AnnotationActions(AnnotatorPart):
    """Changes the annotations of the image shown, in the session and on the screen; each change is a step of undo."""

    session: AnnotatorSession
    editor: Editor
    annotations: AnnotationSet
    palette: Palette
    follower: ChangeFollower
    hover: HoverPreview
    layout: AnnotatorLayout

    # -- accept ----------------------------------------------------------------------------------------

    @show_errors("Nothing was accepted")
    def accept(self, category: str | None = None) -> None:
        """Save the draft's mask as an annotation; while it is still computed, save it as soon as it is there.

        Parameters
        ----------
        category : str, optional
            None: the chosen one.
        """
        editor = self.editor
        self.hover.end()
        if not editor.draft:
            self.layout.say("nothing to accept yet: click an object first")
        elif 0 < len(editor.draft.ring) < 3:
            self.layout.say("a polygon needs three vertices")
        elif editor.is_renewing():
            pass
        elif not editor.is_ready:
            editor.accept_when_ready, editor.accept_as = True, category or self.palette.chosen
            self.layout.say("will be accepted when its mask is there …")
        else:
            name = self._checked(category or self.palette.chosen)
            change, problem = self._with_attributes(self._save(editor.draft, name), editor.draft)
            editor.last_accepted = change.after
            editor.do("accept", Draft(), [change])
            self.renderer.apply([change])
            self.layout.say(f"kept as {change.after.category}, score {change.after.score:.2f}{self._twin_text(change)}")
            if problem is not None:
                self.show_error("It was kept without its attributes", problem)

    def _twin_text(self, change: Change) -> str:
        """That the same object was there before; "" if it was not."""
        twin = self.annotations.nearly_same(change.after.id) if change.before is None else None
        if twin is None:
            return ""
        other, iou = twin
        return f" · nearly the same as {other.category} {other.id} (IoU {iou:.2f}): Ctrl Z takes this one back"

    def _checked(self, category: str) -> str:
        """A category under the name that it has in the session now.

        Raises
        ------
        UnknownName
            It was removed there: saving would bring it back.
        """
        was_saved = self.palette.is_saved(category)
        renamed = self.follower.renew_categories()
        if was_saved and category not in renamed and not self.palette.is_saved(category):
            self.renderer.draw_categories()
            raise UnknownName("category", category, self.palette.names)
        if renamed:
            self.renderer.draw_categories()
        return renamed.get(category, category)

    def _save(self, draft: Draft, category: str) -> Change:
        """Save the draft's mask; the annotation it replaces keeps its id."""
        editor, prediction = self.editor, self.editor.prediction
        mask: Mask | MaskPart | None = editor.part if editor.is_large else editor.mask
        assert mask is not None
        assert editor.image is not None
        score = draft.score if prediction is None else float(prediction.scores[editor.chosen])
        prompt, before = draft.prompt or None, self.annotations.get(draft.replaces)
        with self.follower.own_change():
            if before is not None:
                # A score that came with an import may be any number: it stays unless a model gave another.
                other = None if score == before.score else score
                try:
                    after = self.session.update(before, mask=mask, category=category, prompt=prompt, score=other)
                    return Change(before, after)
                except UnknownName:
                    # It was deleted elsewhere meanwhile: the draft is still saved, as a new annotation.
                    self.renderer.apply([Change(before, None)])
            if prediction is not None and not draft.is_painted:
                return Change(None, self.session.accept(prediction, category=category, index=editor.chosen))
            if draft.replaces is not None and prediction is None:
                score = min(max(score, 0.0), 1.0)  # of the deleted one, which may have been imported, too
            new = self.session.accept_mask(editor.image, mask, category=category, prompt=prompt, score=score)
            return Change(None, new)

    def _with_attributes(self, change: Change, draft: Draft) -> tuple[Change, SamnbError | None]:
        """The change with the draft's attributes, or why they do not fit: they were declared anew elsewhere."""
        if draft.attributes is None:
            return change, None
        try:
            with self.follower.own_change():
                after = self.session.update(change.after, attributes=dict(draft.attributes))
        except SamnbError as error:  # the mask is saved already, and a second Enter would save it twice
            return change, error
        return Change(change.before, after), None

    @show_errors("Nothing was taken")
    def take(self, proposals: Sequence[Proposal]) -> None:
        """Save proposals as annotations of the chosen category, as one step."""
        if self.editor.is_renewing():
            return
        name = self._checked(self.palette.chosen)
        assert self.editor.image is not None
        there = {annotation.id for annotation in self.session.annotations(image=self.editor.image)}
        with self.follower.own_change():
            saved = self.session.accept_proposals(proposals, category=name)
        self.palette.note_saved(self.session.category_records())
        # Of what somebody else had annotated in the meantime, nothing is to be undone.
        new = [Change(None, annotation) for annotation in saved if annotation.id not in there]
        if new:
            self.editor.history.do("take", self.editor.draft, new)
        self.renderer.apply([Change(None, annotation) for annotation in saved])
        before = len(saved) - len(new)
        self.layout.say(f"{len(new)} kept as {name}" + (f" · {before} annotated before" if before else ""))

    def reject(self, proposals: Sequence[Proposal]) -> None:
        """Mark proposals as wrong, as one step: they are not offered again."""
        self.session.reject_proposals(proposals)
        self.editor.history.do("reject", self.editor.draft, rejected=proposals)
        self.renderer.draw_buttons()

    # -- undo, redo ------------------------------------------------------------------------------------

    @show_errors("Undo failed")
    def undo(self) -> None:
        """Undo the last step: a click, a stroke, an accept, a delete, a rejected proposal."""
        self._move(back=True)

    @show_errors("Redo failed")
    def redo(self) -> None:
        """Redo the step that was undone last."""
        self._move(back=False)

    def _move(self, *, back: bool) -> None:
        self.hover.end()
        self.follower.renew_categories()
        history = self.editor.history if self.editor.image is not None else None
        step = None if history is None else history.last if back else history.following
        if history is None or step is None:
            self.layout.error_line.dismiss()
            self.layout.say("nothing to undo on this image" if back else "nothing to do again")
            return
        changes = [change.backwards for change in reversed(step.changes)] if back else list(step.changes)
        try:
            self._make(changes)
            if step.rejected:
                (self.session.unreview_proposals if back else self.session.reject_proposals)(step.rejected)
        except UnknownName:
            history.forget(undone=not back)
            raise
        self.editor.move(back=back)
        if changes or step.rejected:
            self.renderer.apply(changes)
            self.layout.say(f"{'undone' if back else 'done again'}: {step.what}")

    def _make(self, changes: Iterable[Change]) -> None:
        with self.follower.own_change():
            for change in changes:
                if change.after is None:
                    self.session.remove(change.before)
                else:
                    self.session.restore([change.after], changed_from=[change.before] if change.before else [])
        self.palette.note_saved(self.session.category_records())

    # -- annotations -----------------------------------------------------------------------------------

    @show_errors("The annotation was not selected")
    def select(self, annotation_id: int | None) -> None:
        """Select an annotation of this image for the tools; None: none of them."""
        self.annotations.selected = None if annotation_id is None else self.annotations.find(annotation_id).id
        self.renderer.draw_annotations()

    def select_at(self, x: float, y: float, below: bool = False) -> None:
        """Select the topmost annotation at that place, or none; with `below` the one under the selected one."""
        found = self.annotations.below_selected(x, y) if below else self.annotations.topmost(x, y)
        self.select(None if found is None else found.id)
        if found is not None:
            self.layout.say(f"{found.category}, score {found.score:.2f}, {found.area:,} px selected")

    @show_errors("The annotation was not selected")
    def select_more(self, annotation_id: int) -> None:
        """Select one more annotation, or let go of one that is selected."""
        self.annotations.select_more(self.annotations.find(annotation_id).id)
        self.renderer.draw_annotations()
        count = len(self.annotations.selection)
        self.layout.say(f"{count} selected" + (" · J joins them" if count > 1 else ""))

    def select_more_at(self, x: float, y: float) -> None:
        """Select the topmost annotation at that place as well, or let go of it."""
        found = self.annotations.topmost(x, y)
        if found is not None:
            self.select_more(found.id)

    @show_errors("The annotation cannot be edited")
    def edit(self, annotation_id: int) -> None:
        """Make a draft of an annotation, with its prompt; accepting replaces it, clearing leaves it as it was."""
        editor = self.editor
        self.hover.end()
        if editor.accept_is_pending():
            return
        annotation = self.annotations.find(annotation_id)
        assert editor.image is not None
        if annotation.part.size_hw != editor.image.size_hw:
            raise UnknownName(f"annotation of this picture (its size is {editor.image.size_hw}):", annotation_id, [])
        self.palette.choose(annotation.category)
        self.annotations.selected = annotation.id
        drawn, score = PackedMask.of_part(annotation.part), float(annotation.score)
        draft = Draft(_prompt_of(annotation), drawn=drawn, score=score, replaces=annotation.id)
        if draft != editor.draft:  # else undo would have a step without effect
            editor.do("edit", draft)
        self.renderer.draw_annotations()

    def edit_at(self, x: float, y: float) -> None:
        """Edit the topmost annotation at that place; nothing happens if there is none."""
        found = self.annotations.topmost(x, y)
        if found is not None and not self.editor.accept_is_pending():
            self._forget_clicks(x, y)
            self.edit(found.id)

    def _forget_clicks(self, x: float, y: float) -> None:
        """Undo the two clicks of a double click: they were not meant as points."""
        near, history = _DOUBLE_CLICK_NEAR / self.layout.stage.view.scale, self.editor.history
        for _ in range(2):
            last = history.last
            if last is not None and last.what == "point":
                px, py = last.after.prompt.points[-1]
                if abs(px - x) <= near and abs(py - y) <= near:
                    history.take_back()

    @show_errors("The annotation was not deleted")
    def remove(self, annotation_id: int) -> None:
        """Delete an annotation of this image; undo brings it back."""
        annotation = self.annotations.find(annotation_id)
        self._remove([annotation])

    @show_errors("The annotations were not deleted")
    def remove_selected(self) -> None:
        """Delete the selected annotations, as one step."""
        selected = [self.annotations.find(each) for each in self.annotations.selection]
        if selected:
            self._remove(selected)
        else:
            self.layout.say("no annotation is selected")

    def _remove(self, annotations: Sequence[Annotation]) -> None:
        here: list[Annotation] = []
        gone: list[Annotation] = []
        try:
            with self.follower.own_change():
                for annotation in annotations:
                    (here if self.session.remove(annotation) else gone).append(annotation)
        finally:
            # Undo brings back what was deleted here alone, also where a later one could not be.
            if gone:
                self.renderer.apply([Change(annotation, None) for annotation in gone])
            if here:
                self.done("delete", *(Change(annotation, None) for annotation in here))
        if not here:
            self.layout.say("it was deleted elsewhere before")
            return
        self.palette.note_saved(self.session.category_records())
        one = len(here) == 1
        what = here[0].category if one else count_text(len(here), "annotation")
        self.layout.say(f"{what} deleted · Z brings {'it' if one else 'them'} back")

    @show_errors("The category was not changed")
    def set_category_of(self, annotation_id: int, name: str) -> None:
        """Give an annotation another category."""
        self._relabel([self.annotations.find(annotation_id)], name)

    @show_errors("The category was not changed")
    def set_category_of_selected(self, name: str) -> None:
        """Give the selected annotations another category, as one step."""
        self._relabel([self.annotations.find(each) for each in self.annotations.selection], name)

    def _relabel(self, annotations: Sequence[Annotation], name: str) -> None:
        others = [annotation for annotation in annotations if annotation.category != name]
        if not others:
            self.layout.error_line.dismiss()
            return
        name = self._checked(name)
        self.change_all("category", [(each, {"category": name}) for each in others])
        what = others[0].category if len(others) == 1 else count_text(len(others), "annotation")
        self.layout.say(f"{what} {'is' if len(others) == 1 else 'are'} {name} now")

    @show_errors("The annotation was not moved up")
    def raise_(self, annotation_id: int) -> None:
        """Put an annotation over all others of the image."""
        annotation, top = self.annotations.find(annotation_id), self.annotations.in_drawing_order[-1]
        if top.id != annotation.id:
            self.change("move up", annotation, layer=int(top.layer) + 1)
        else:
            self._nothing_to_do(annotation, "lies over the others already")

    @show_errors("The annotation was not moved down")
    def lower(self, annotation_id: int) -> None:
        """Put an annotation under all others of the image."""
        annotation, lowest = self.annotations.find(annotation_id), self.annotations.in_drawing_order[0]
        if lowest.id != annotation.id:
            self.change("move down", annotation, layer=int(lowest.layer) - 1)
        else:
            self._nothing_to_do(annotation, "lies under the others already")

    def _nothing_to_do(self, annotation: Annotation, why: str) -> None:
        """Say so; the error of an earlier action would look like that of this one."""
        self.layout.error_line.dismiss()
        self.layout.say(f"{annotation.category} {why}")

    def change(self, what: str, annotation: Annotation, **values: Any) -> None:
        """Change values of an annotation, as `Session.update` has them, as one step; `what` names the step."""
        self.change_all(what, [(annotation, values)])

    def change_all(self, what: str, wanted: Iterable[tuple[Annotation, Mapping[str, Any]]]) -> list[Change]:
        """`change` of several, as one step: of those before the first that cannot be changed, if there is one."""
        changes: list[Change] = []
        try:
            with self.follower.own_change():
                for annotation, values in wanted:
                    changes.append(Change(annotation, self.session.update(annotation, **values)))
        finally:
            if changes:
                self.done(what, *changes)
        return changes

    def done(self, what: str, *changes: Change) -> None:
        """Add a step, made in the session already, that leaves the draft as it is; show it."""
        self.editor.history.do(what, self.editor.draft, changes)
        self.renderer.apply(changes)


def _prompt_of(annotation: Annotation) -> Prompt:
    """The prompt an annotation was made with; empty for one that was drawn or read from a file."""
    values = annotation.prompt
    if isinstance(values, Prompt):
        return values
    return Prompt.from_dict(values) if values.get("points") or values.get("box") else Prompt()
