"""The methods of `samnb.session.Session` about the review of what templates found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..annotations.annotation import Annotation, Annotations
from ..records import ACCEPTED, REJECTED, UNSURE
from .parts import SessionParts, widget

if TYPE_CHECKING:
    from ..widgets import Review


class ReviewMethods(SessionParts):
    """Annotations of templates that a person accepts or rejects."""

    def to_review(self, dataset: str | None = None, *, template: str | None = None) -> Annotations:
        """Annotations of templates with a low score, the lowest first; `approve` or `reject` each.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        template : str, optional
            Only those of this one.
        """
        return self._annotations.to_review(dataset=dataset, template=template)

    def review(self, dataset: str | None = None, *, template: str | None = None) -> Review:
        """A widget that shows the objects of `to_review` one after the other: A accepts, R rejects, F fixes.

        For the last line of a notebook cell. Answers are saved, and not asked for again.
        """
        return widget("Review", self, dataset=dataset, template=template)

    def approve(self, annotation: Annotation | int) -> Annotation:
        """Mark an annotation as right: applying its template again leaves it as it is."""
        return self._annotations.review(annotation, ACCEPTED)

    def reject(self, annotation: Annotation | int) -> Annotation:
        """Mark an annotation as wrong: it is no longer listed, and its template does not find it again.

        `approve` brings it back.
        """
        return self._annotations.review(annotation, REJECTED)

    def unreview(self, annotation: Annotation | int) -> Annotation:
        """Undo an `approve` or `reject`: the annotation is in `to_review` again."""
        return self._annotations.review(annotation, UNSURE)
