"""`UnsureActions`: accepts and rejects the unsure finds of templates where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...records import UNSURE
from ..common.error_line import show_errors
from .history import Change
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ..session_protocol import AnnotatorSession
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .change_follower import ChangeFollower
    from .editor import Editor
    from .layout import AnnotatorLayout


@dataclass(eq=False)
class UnsureActions(AnnotatorPart):
    """Decides on finds whose score is below a template's `review_score`; each decision is a step of undo."""

    session: AnnotatorSession
    editor: Editor
    annotations: AnnotationSet
    follower: ChangeFollower
    actions: AnnotationActions
    layout: AnnotatorLayout

    def is_unsure(self, annotation_id: int | None) -> bool:
        """True for an annotation of this image that awaits a review."""
        found = self.annotations.get(annotation_id)
        return found is not None and found.review == UNSURE

    @show_errors("It was not accepted")
    def approve(self, annotation_id: int | None = None) -> None:
        """Accept an unsure find as it is, by default the selected one, and select the next."""
        self._decide(annotation_id, accepted=True)

    @show_errors("It was not rejected")
    def reject(self, annotation_id: int | None = None) -> None:
        """Reject an unsure find, by default the selected one, and select the next: its template keeps it out."""
        self._decide(annotation_id, accepted=False)

    def accept(self, category: str | None = None) -> None:
        """Save the draft's mask, see `AnnotationActions.accept`; without a draft, accept the selected unsure find."""
        if not self.editor.draft and self.is_unsure(self.annotations.selected):
            self.approve()
        else:
            self.actions.accept(category)

    def remove(self, annotation_id: int) -> None:
        """Delete an annotation of this image, or reject an unsure find; undo brings it back."""
        (self.reject if self.is_unsure(annotation_id) else self.actions.remove)(annotation_id)

    def remove_selected(self) -> None:
        """Delete the selected annotations; those that are unsure finds are rejected."""
        selected = self.annotations.selection
        unsure = [each for each in selected if self.is_unsure(each)]
        for each in unsure:
            self.reject(each)
        if len(unsure) < len(selected) or not selected:
            self.annotations.select_only(each for each in selected if each not in unsure)
            self.actions.remove_selected()

    def select_next(self) -> bool:
        """Select the next unsure find of this image, after the selected one; False: there is none."""
        order = [annotation.id for annotation in self.annotations if annotation.review == UNSURE]
        selected = self.annotations.selected
        later = [each for each in order if selected is None or each > selected]
        if not later:
            return False
        self.actions.select(later[0])
        found = self.annotations.find(later[0])
        about = f"{found.category}, score {found.score:.2f}, {found.source}"
        self.layout.say(f"unsure: {about} · Enter accepts, Del rejects, N the next")
        return True

    def _decide(self, annotation_id: int | None, *, accepted: bool) -> None:
        chosen = self.annotations.selected if annotation_id is None else annotation_id
        if chosen is None or not self.is_unsure(chosen):
            self.layout.say("no unsure find is selected (N selects the next)")
            return
        before = self.annotations.find(chosen)
        with self.follower.own_change():
            after = self.session.approve(before) if accepted else self.session.reject(before)
        change = Change(before, after)
        self.editor.history.do("review", self.editor.draft, [change])
        self.renderer.apply([change])
        left = [annotation.id for annotation in self.annotations if annotation.review == UNSURE]
        self.actions.select(next((each for each in left if each > chosen), left[0] if left else None))
        verdict = "accepted" if accepted else "rejected"
        self.layout.say(f"{before.category} {verdict} · {len(left)} unsure left here · Z undoes")
