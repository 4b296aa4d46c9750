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
        """Annotations of templates, and masks drawn in imported boxes, with a low score, the lowest first.

        `approve` or `reject` each.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        template : str, optional
            Only those of this one, of all its versions.

        Returns
        -------
        Annotations
            Those with a score below "review_score" of their template, or below 0.88 of a box, that nobody reviewed yet.

        Raises
        ------
        UnknownName
            No such dataset.

        Examples
        --------
        >>> template = session.template("coins", max_objects=3, review_score=1)  # a score below 1 waits for a review
        >>> done = session.apply(template, images=["coins_1.png"], show=False).wait()
        >>> found = session.to_review("monday")
        >>> len(found) == done.details["unsure"], found[0].score <= found[-1].score
        (True, True)
        """
        return self._annotations.to_review(dataset=dataset, template=template)

    def review(self, dataset: str | None = None, *, template: str | None = None) -> Review:
        """A widget that shows the objects of `to_review` one after the other: A accepts, R rejects, F fixes.

        For the last line of a notebook cell. Answers are saved, and not asked for again.

        Parameters
        ----------
        dataset, template
            As in `to_review`.

        Returns
        -------
        Review

        Raises
        ------
        UnknownName
            No such dataset.

        Examples
        --------
        >>> review = session.review("monday")
        >>> review
        <Review session · monday: 0 unsure, 0 accepted, 0 rejected>
        >>> review.close()
        """
        return widget("Review", self, dataset=dataset, template=template)

    def approve(self, annotation: Annotation | int) -> Annotation:
        """Mark an annotation as right: applying its template again leaves it as it is.

        Parameters
        ----------
        annotation : Annotation or int
            Or its id.

        Returns
        -------
        Annotation
            As it is now; its `review` is "accepted".

        Raises
        ------
        UnknownName
            No such annotation.

        Examples
        --------
        >>> template = session.template("coins", max_objects=3, review_score=1)
        >>> done = session.apply(template, images=["coins_1.png"], show=False).wait()
        >>> session.approve(session.to_review()[0]).review
        'accepted'
        >>> len(session.to_review()) == done.details["unsure"] - 1
        True
        """
        return self._annotations.review(annotation, ACCEPTED)

    def reject(self, annotation: Annotation | int) -> Annotation:
        """Mark an annotation as wrong: it is no longer listed, and its template does not find it again.

        `approve` brings it back.

        Parameters
        ----------
        annotation : Annotation or int
            Or its id.

        Returns
        -------
        Annotation
            As it is now; its `review` is "rejected".

        Raises
        ------
        UnknownName
            No such annotation.

        Examples
        --------
        >>> template = session.template("coins", max_objects=3, review_score=1)
        >>> done = session.apply(template, images=["coins_1.png"], show=False).wait()
        >>> wrong = session.to_review()[0]
        >>> session.reject(wrong).review
        'rejected'
        >>> wrong.id in [annotation.id for annotation in session.annotations()]
        False
        """
        return self._annotations.review(annotation, REJECTED)

    def unreview(self, annotation: Annotation | int) -> Annotation:
        """Undo an `approve` or `reject`: an annotation of a template is in `to_review` again.

        Parameters
        ----------
        annotation : Annotation or int
            Or its id.

        Returns
        -------
        Annotation
            As it is now; its `review` is "unsure", or "" where it was made by hand.

        Raises
        ------
        UnknownName
            No such annotation.

        Examples
        --------
        >>> template = session.template("coins", max_objects=3, review_score=1)
        >>> done = session.apply(template, images=["coins_1.png"], show=False).wait()
        >>> found = session.approve(session.to_review()[0])
        >>> session.unreview(found).review, len(session.to_review()) == done.details["unsure"]
        ('unsure', True)
        """
        return self._annotations.review(annotation, UNSURE)
