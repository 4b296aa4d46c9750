"""`Review`: the objects a template was not sure of, one after the other, and the question whether they are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError
from ...images import thumbnail
from ...masks import category_color, decode_rle
from ...records import ACCEPTED, REJECTED
from ..annotator.annotator import Annotator
from ..common import style
from ..common.closeup import CSS, closeup, closeup_figure, whereabouts, window_round
from ..common.error_line import show_errors
from ..common.own_changes import OwnChanges
from .review_widget import ReviewWidget

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from ..session_protocol import ReviewSession


_SAID = {ACCEPTED: "accepted", REJECTED: "rejected"}


class Review(ReviewWidget):
    """Asks about the annotations that templates left and were not sure of, the least sure first.

    Everything the keys do is a method here and works without a browser. Each verdict is in the catalog when the method
    returns, so a review continues where it stopped. Only the current picture is read. Handlers never raise: errors are
    shown in a red line and logged to "samnb.widgets".

    Parameters
    ----------
    session : Session
    dataset : str, optional
        None: all images.
    template : str, optional
        Only annotations of this one.

    Raises
    ------
    UnknownName
        No such dataset.

    Examples
    --------
    >>> template = session.template("coins", max_objects=3, review_score=1)  # a score below 1 waits for a review
    >>> done = session.apply(template, images=["coins_1.png"], show=False).wait()
    >>> review = Review(session, template="coins")
    >>> review.accept()
    >>> review.left == done["unsure"] - 1
    True
    >>> review.close()
    """

    noun = "object"
    css = CSS

    def __init__(self, session: ReviewSession, *, dataset: str | None = None, template: str | None = None):
        super().__init__(session, dataset)
        self.template = template
        self.objects: list[Annotation] = list(session.to_review(dataset, template=template))
        self.annotator: Annotator | None = None
        # As they were when they were opened in the annotator: what becomes of them there is followed.
        self._fixing: dict[int, Annotation] = {}
        self._mask_on, self._own = True, OwnChanges()
        self._accept = style.tool("Accept", self.accept, "It is right (A)", "samnb-answer")
        self._reject = style.tool("Reject", self.reject, "It is wrong (R)", "samnb-answer")
        self._fix = style.tool("Fix", self.fix, "Change it in the annotator, or go back to the picture (F)")
        self._toggle = style.tool("Mask", self.toggle_mask, "Show or hide the mask (M)")
        self._workplace, self._open_id, self._was_open = style.box(), 0, False
        self._build(self._accept, self._reject, self._fix, self._toggle, instead=(self._workplace,))
        self._draw()
        session.changes.subscribe(self._annotations_changed)

    # -- actions -----------------------------------------------------------------------------------

    def accept(self) -> None:
        """Say that the object is right, and go to the next one without an answer.

        While it is open in the annotator: accept it as it is there.
        """
        if self._was_left():
            return
        if self._is_open and self.annotator is not None:
            self.annotator.accept()
            if self.annotator.editing:
                return  # its mask is still computed, or was refused: the annotator says so
            if self.answers.get(self._open_id) == ACCEPTED:
                self._place, self._open_id = self._next_open(), 0
                self._draw()
                return
        self._answer(ACCEPTED)

    def reject(self) -> None:
        """Say that it is wrong, and go to the next one without an answer."""
        if not self._was_left():
            self._answer(REJECTED)

    @show_errors("It cannot be fixed here")
    def fix(self) -> None:
        """Edit this object in the annotator, in place of the picture; what is accepted there counts as accepted here.

        While it is open: go back to the picture.
        """
        shown = self.shown
        if self._is_open:
            self._open_id = 0
            self._draw()
            return
        if shown is None:
            self._say("nothing is left to fix")
            return
        if self.answers.get(shown.id) == REJECTED:
            self._say("it was rejected: U takes that back")
            return
        if self.annotator is None:
            self.annotator = Annotator(self.session, image=shown.image_id)
            # Also those that come when it is closed, pressed before the page had followed: they mean what is shown now.
            self.annotator.yield_keys(self._keys, self.key)
            self._workplace.children = (self.annotator,)
        else:
            self.annotator.show(shown.image_id)
        self._fixing.setdefault(shown.id, shown)
        self.annotator.edit(shown.id)
        self._open_id, self._mask_on = shown.id, True
        self.annotator.hide_masks(False)
        self._draw()
        self._say("change it; A keeps it, F goes back")

    @show_errors("The mask stays as it is")
    def toggle_mask(self) -> None:
        """Hide or show the mask of the object; while it is open in the annotator, all masks there."""
        self._mask_on = not self._mask_on
        if self.annotator is not None:
            self.annotator.hide_masks(not self._mask_on)
        self._draw()

    # -- state -------------------------------------------------------------------------------------

    @property
    def shown(self) -> Annotation | None:
        """The current annotation; None past the last."""
        shown: Annotation | None = self._shown
        return shown

    @property
    def _is_open(self) -> bool:
        """True while the object is open in the annotator."""
        return self.shown is not None and self.shown.id == self._open_id

    @property
    def hint(self) -> str:
        """The keys: while an object is open, they are the same on the picture, and all others are the annotator's."""
        fix = "F back" if self._is_open else "F fix"
        others = " · others: the annotator's" if self._is_open else ""
        return f"A accept · R reject · {fix} · ← → object · U undo · M mask{others}"

    def _was_left(self) -> bool:
        """True if the annotator is open and no longer edits the object; the object is shown then, to be judged."""
        if not self._is_open or (self.annotator is not None and self.annotator.edits(self._open_id)):
            return False
        self._open_id = 0
        self._draw()
        self._say("the annotator had gone on to something else: this is the object to answer")
        return True

    @property
    def left(self) -> int:
        """The number without an answer."""
        return sum(each.id not in self.answers for each in self.objects)

    def snapshot(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: the current object, large."""
        shown = self.shown
        if shown is None:
            return np.full((64, 96, 3), 240, np.uint8)
        pixels = self.session.pixels(shown.image_id)
        return closeup(pixels, _mask(shown), window_round(shown.bbox, pixels.shape[:2]), self._color(shown))

    def close(self) -> None:
        """Release the browser's objects."""
        # ipywidgets also closes a widget whose constructor raised.
        if hasattr(self, "_key_listener"):
            self.session.changes.unsubscribe(self._annotations_changed)
            if self.annotator is not None:
                self.annotator.close()
        super().close()

    def __repr__(self) -> str:
        where = " · ".join(filter(None, [self.session.name, self.dataset, self.template]))
        return f"<Review {where}: {len(self.objects)} unsure, {self._counts().replace(' ·', ',')}>"

    # -- verdicts ----------------------------------------------------------------------------------

    @show_errors("This answer was not kept")
    def _answer(self, review: str) -> None:
        shown = self.shown
        if shown is None:
            self._say("nothing is left to answer")
            return
        self._put(shown, review)
        self._place = self._next_open()
        self._draw()

    def _put(self, shown: Annotation, review: str) -> None:
        say = self.session.approve if review == ACCEPTED else self.session.reject
        with self._own.block():
            after = say(shown.id)
        self._undo.append((self._place, shown, False))
        self.objects[self._place] = after
        self.answers[after.id] = review
        if review == REJECTED:
            self._fixing.pop(after.id, None)
        self._error_line.dismiss()

    def _restore(self, before: Annotation, fixed: bool) -> None:
        with self._own.block():
            if fixed:
                self.session.restore([before])
            else:
                # Only the answer: other changes made meanwhile stay.
                before = self.session.unreview(before)
        place = next(place for place, each in enumerate(self.objects) if each.id == before.id)
        self.objects[place] = before
        self._error_line.dismiss()

    def _annotations_changed(self, image_id: str) -> None:
        """Follow what becomes of the objects that were opened to be fixed; called on any thread."""
        for before in list(self._fixing.values()):
            if not self._own.here and image_id in ("", before.image_id):
                self._follow(before)

    @show_errors("What was fixed was not kept as accepted")
    def _follow(self, before: Annotation) -> None:
        here = self.session.annotations(image=before.image_id)
        now = next((each for each in here if each.id == before.id), None)
        place = next(place for place, each in enumerate(self.objects) if each.id == before.id)
        answer = self.answers.get(before.id)
        if now is None:
            self.answers[before.id] = REJECTED
            said = "deleted in the annotator: Ctrl Z there brings it back"
        elif (_kept(now), now.review) == (_kept(before), before.review):
            if answer is None or (answer == REJECTED and now.review == REJECTED):
                return
            del self.answers[before.id]
            self._undo = [step for step in self._undo if step[1].id != before.id]
            said = "undone in the annotator: it is open again"
        elif _kept(now) == _kept(self.objects[place]) and (answer == ACCEPTED or now.review != ACCEPTED):
            return
        else:
            self._accept_fixed(now)
            self._undo = [step for step in self._undo if step[1].id != before.id]
            # Undo restores the values before the annotator changed them.
            self._undo.append((place, before, True))
            self._open_id = 0
            said = "fixed, and accepted: → goes on"
        if now is not None:
            self.objects[place] = now
        self._place = place
        self._error_line.dismiss()
        self._draw()
        self._say(said)

    def _accept_fixed(self, now: Annotation) -> None:
        if now.review != ACCEPTED:
            with self._own.block():
                self.session.approve(now.id)
        self.answers[now.id] = ACCEPTED

    def _take_back(self) -> None:
        place, before, fixed = self._undo.pop()  # first: what is gone cannot be restored, and earlier answers can
        self._restore(before, fixed)
        self.answers.pop(before.id, None)
        self._go(place)

    # -- methods that the base calls ---------------------------------------------------------------

    @property
    def _items(self) -> list[Annotation]:
        return self.objects

    def _key_of(self, item: Annotation) -> int:
        annotation_id: int = item.id
        return annotation_id

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {"a": self.accept, "r": self.reject, "f": self.fix, "m": self.toggle_mask}

    def _picture(self) -> NDArray[np.uint8]:
        return thumbnail(self.snapshot(), 320)

    def _draw(self) -> None:
        super()._draw()
        is_open, was_open, self._was_open = self._is_open, self._was_open, self._is_open
        if was_open and not is_open:
            self._key_listener.take_focus()  # before the picture that has it goes: a key in between would be the page's
        style.show(self._workplace, is_open)
        style.show(self._view, not is_open)
        style.set_class(self._fix, "samnb-chosen", is_open)
        answer = self._answer_to(self.shown)
        style.set_class(self._toggle, "samnb-chosen", self._mask_on and self.shown is not None)
        style.set_class(self._accept, "samnb-chosen", answer == ACCEPTED)
        style.set_class(self._reject, "samnb-chosen", answer == REJECTED)

    def _show(self, item: Annotation) -> tuple[str, str]:
        return self._pictures(item), f"{item.image} · {item.area:,} px"

    def _pictures(self, shown: Annotation) -> str:
        name = f"{shown.category} on {shown.dataset}/{shown.image}"
        said = f"{shown.source.removeprefix('template:')} · score "
        caption = style.span(shown.category, "strong") + style.span(f" · {said}", "dim")
        caption += style.span(f"{shown.score:.2f}", "number", "strong")
        try:
            pixels = self.session.pixels(shown.image_id)
        except ImageError as error:
            return f'<div class="samnb-finished">⚠ {style.span(error)}</div>'
        mask = _mask(shown)
        if pixels.shape[:2] != mask.shape:
            text = f"The picture is now {pixels.shape[:2]}, the mask {mask.shape}: reject it."
            return f'<div class="samnb-finished">⚠ {style.span(text)}</div>'
        window, color = window_round(shown.bbox, pixels.shape[:2]), self._color(shown)
        large = closeup(pixels, mask, window, color, with_mask=self._mask_on)
        where = style.span(f"{shown.dataset}/{shown.image}", "dim")
        figures = closeup_figure(large, name, caption, "large")
        figures += closeup_figure(whereabouts(pixels, window, color), f"where it is on {shown.image}", where, "whole")
        return f'<div class="samnb-closeup">{figures}</div>'

    def _color(self, shown: Annotation) -> str:
        known = {category.name: category.color for category in self.session.category_records()}
        return known.get(shown.category) or category_color(0)

    def _titles(self) -> list[str | None]:
        return [self.dataset, self.template, "review"]

    def _verdict(self, answer: str) -> tuple[str, bool]:
        return _SAID[answer], answer == ACCEPTED

    def _counts(self) -> str:
        answers = list(self.answers.values())
        return f"{answers.count(ACCEPTED)} accepted · {answers.count(REJECTED)} rejected"

    def _finished_text(self) -> str:
        if self.left:
            return f"The last object. {self.left} without an answer: ← leads back."
        if not self.objects:
            return "Nothing to review: no template left anything it was not sure of."
        return f"Nothing is left. {self._counts().replace(' ·', ',')}."


def _mask(annotation: Annotation) -> NDArray[np.bool_]:
    """(H, W) bool, decoded anew: kept with each object, masks would fill the memory."""
    return decode_rle(annotation.rle)


def _kept(annotation: Annotation) -> tuple[object, str]:
    """The values that a fix changes."""
    return annotation.rle, annotation.category
