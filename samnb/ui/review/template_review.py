"""The review of what templates were not sure of: one object after the other, and a person who says what is right."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError
from ...images import encode_png, thumbnail
from ...masks import category_color
from ...records import ACCEPTED, REJECTED
from ..annotator.annotator import Annotator
from ..common import style
from ..common.closeup import CSS, closeup, closeup_figure, whereabouts, window_round
from ..common.error_line import ErrorLine, show_errors
from ..common.image_pair import CSS as PAIR_CSS
from ..common.key_listener import KeyListener

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from ..session_protocol import ReviewSession

__all__ = ["Review"]

_HINT = "A accept · R reject · F fix · ← → object · U undo · M mask"
_SAID = {ACCEPTED: "accepted", REJECTED: "rejected"}


class Review(ipywidgets.VBox):
    """ImageList through the annotations that templates left and were not sure of, the least sure first.

    Everything the keys do is a method here and works without a browser. Each answer is in the catalog when the method
    returns, so a review goes on where it was left. Only the picture in view is read. Handlers never raise: what goes
    wrong is shown in a red line and logged to "samnb.widgets".

    Parameters
    ----------
    session : Session
    dataset : str, optional
        None: all images.
    template : str, optional
        Only what this one left.

    Raises
    ------
    UnknownName
        No such dataset.
    """

    def __init__(self, session: ReviewSession, *, dataset: str | None = None, template: str | None = None):
        self.session, self.dataset, self.template = session, dataset, template
        self.objects: list[Annotation] = list(session.to_review(dataset, template=template))
        self.answers: dict[int, str] = {}
        self.annotator: Annotator | None = None
        # As they were when they were taken in hand below; what becomes of them there is looked at, now and later.
        self._fixing: dict[int, Annotation] = {}
        self._undo: list[tuple[int, Annotation, bool]] = []
        self._place, self._mask_on, self._acting = 0, True, False
        self._build()
        self._draw()
        session.changes.subscribe(self._told)

    # -- what the hand does ------------------------------------------------------------------------

    def accept(self) -> None:
        """Say that the object is right, and go to the next one that is open."""
        self._answer(ACCEPTED)

    def reject(self) -> None:
        """Say that it is wrong, and go to the next one that is open."""
        self._answer(REJECTED)

    @show_errors("It cannot be fixed here")
    def fix(self) -> None:
        """Open the annotator below with this object in hand; what is accepted there counts as accepted here."""
        shown = self.shown
        if shown is None:
            self._say("nothing is left to fix")
            return
        if self.answers.get(shown.id) == REJECTED:
            self._say("it was rejected: U takes that back")
            return
        if self.annotator is None:
            self.annotator = Annotator(self.session, image=shown.image_id)
            self._below.children = (self.annotator,)
        else:
            self.annotator.show(shown.image_id)
        self._fixing.setdefault(shown.id, shown)
        self.annotator.edit(shown.id)
        style.show(self._below, True)
        self._say("change it below; Enter there keeps it")

    @show_errors("Undo failed")
    def undo(self) -> None:
        """Take the last answer back and show its object."""
        if not self._undo:
            self._say("nothing to undo")
            return
        place, before, fixed = self._undo[-1]
        self._undo.pop()  # first: what is gone cannot be brought back, and the answers before it can
        self._restore(before, fixed)
        self.answers.pop(before.id, None)
        self._go(place)

    @show_errors("The next object cannot be shown")
    def next(self) -> None:
        """The next object, answered or not; after the last, what it came to."""
        self._go(self._place + 1)

    @show_errors("The previous object cannot be shown")
    def previous(self) -> None:
        """The object before."""
        self._go(self._place - 1)

    @show_errors("The mask stays as it is")
    def toggle_mask(self) -> None:
        """Show the object without its mask, or with it again."""
        self._mask_on = not self._mask_on
        self._draw()

    @show_errors("This key did nothing")
    def key(self, name: str) -> None:
        """What a key does while the pointer is over the widget."""
        action = self._actions().get(name.lower())
        if action is not None:
            action()

    # -- what there is to see ----------------------------------------------------------------------

    @property
    def shown(self) -> Annotation | None:
        """The annotation in view; None past the last."""
        return self.objects[self._place] if self._place < len(self.objects) else None

    @property
    def left(self) -> int:
        """How many are without an answer."""
        return sum(each.id not in self.answers for each in self.objects)

    @property
    def error(self) -> str:
        """The red line, "" when there is none."""
        return self._error_line.text

    @property
    def status(self) -> str:
        """The left part of the status line."""
        return self._said

    def snapshot(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: the object in view, large."""
        shown = self.shown
        if shown is None:
            return np.full((64, 96, 3), 240, np.uint8)
        pixels = self.session.pixels(shown.image_id)
        return closeup(pixels, shown.mask, window_round(shown.bbox, pixels.shape[:2]), self._color(shown))

    def close(self) -> None:
        """Let go of the browser's objects."""
        # ipywidgets also closes what never came into being, when a constructor raised.
        if hasattr(self, "_key_listener"):
            self.session.changes.unsubscribe(self._told)
            self._key_listener.close()
            if self.annotator is not None:
                self.annotator.close()
        super().close()

    def show_error(self, what: str, error: Exception) -> None:
        """Show the red line."""
        self._error_line.show(what, error)

    def __repr__(self) -> str:
        where = " · ".join(filter(None, [self.session.name, self.dataset, self.template]))
        counts = f"{self._count(ACCEPTED)} accepted, {self._count(REJECTED)} rejected"
        return f"<Review {where}: {len(self.objects)} unsure, {counts}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        # For pages without a kernel: the object as a still picture.
        still = encode_png(thumbnail(self.snapshot(), 320))
        return {**bundle, "text/plain": repr(self), "image/png": b64encode(still).decode()}

    # -- answers -----------------------------------------------------------------------------------

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
        self._acting = True
        try:
            after = say(shown.id)
        finally:
            self._acting = False
        self._undo.append((self._place, shown, False))
        self.objects[self._place] = after
        self.answers[after.id] = review
        if review == REJECTED:
            self._fixing.pop(after.id, None)
        self._error_line.dismiss()

    def _restore(self, before: Annotation, fixed: bool) -> None:
        self._acting = True
        try:
            if fixed:
                self.session.restore([before])
            else:
                # Only the answer: what was changed elsewhere meanwhile stays changed.
                before = self.session.unreview(before)
        finally:
            self._acting = False
        place = next(place for place, each in enumerate(self.objects) if each.id == before.id)
        self.objects[place] = before
        self._error_line.dismiss()

    def _told(self, image_id: str) -> None:
        """Annotations changed, here or elsewhere, on whatever thread: what is being fixed may be done, or undone."""
        for before in list(self._fixing.values()):
            if not self._acting and image_id in ("", before.image_id):
                self._look_again(before)

    @show_errors("What was fixed was not kept as accepted")
    def _look_again(self, before: Annotation) -> None:
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
            # Undo brings back what was there before the annotator changed it.
            self._undo.append((place, before, True))
            said = "fixed, and accepted: → goes on"
        if now is not None:
            self.objects[place] = now
        self._place = place
        self._error_line.dismiss()
        self._draw()
        self._say(said)

    def _accept_fixed(self, now: Annotation) -> None:
        if now.review != ACCEPTED:
            self._acting = True
            try:
                self.session.approve(now.id)
            finally:
                self._acting = False
        self.answers[now.id] = ACCEPTED

    def _next_open(self) -> int:
        """The next object without an answer, also from the start again; past the last where there is none."""
        for place in (*range(self._place + 1, len(self.objects)), *range(self._place)):
            if self.objects[place].id not in self.answers:
                return place
        return len(self.objects)

    def _go(self, place: int) -> None:
        self._place = min(max(place, 0), len(self.objects))
        self._draw()

    def _count(self, review: str) -> int:
        return list(self.answers.values()).count(review)

    def _color(self, shown: Annotation) -> str:
        known = {category.name: category.color for category in self.session.category_records()}
        return known.get(shown.category) or category_color(0)

    # -- drawing -----------------------------------------------------------------------------------

    def _actions(self) -> dict[str, Any]:
        return {
            **{"arrowleft": self.previous, "arrowright": self.next, "a": self.accept, "r": self.reject},
            **{"f": self.fix, "u": self.undo, "m": self.toggle_mask},
        }

    def _build(self) -> None:
        self._said = ""
        self._header, self._view, self._status = style.html(), style.html(), style.html()
        self._error_line = ErrorLine()
        self._accept = style.tool("Accept", self.accept, "It is right (A)", "samnb-answer")
        self._reject = style.tool("Reject", self.reject, "It is wrong (R)", "samnb-answer")
        self._fix = style.tool("Fix", self.fix, "Change it in the annotator below (F)")
        self._toggle = style.tool("Mask", self.toggle_mask, "Show or hide the mask (M)")
        self._back = style.tool("", self.undo, "Undo the last answer (U)", icon="undo")
        tools = style.box(
            style.tool("", self.previous, "Previous object (←)", icon="chevron-left"),
            style.tool("", self.next, "Next object (→)", icon="chevron-right"),
            *(self._back, self._accept, self._reject, self._fix, self._toggle),
            classes=("samnb-row", "samnb-tools"),
        )
        self._below = style.box()
        style.show(self._below, False)
        own = style.html(f"<style>{PAIR_CSS}{CSS}</style>", "samnb-sheet")
        self._key_listener = KeyListener(self._actions(), self.key)
        parts = [
            style.sheet(),
            own,
            self._key_listener,
            self._header,
            self._view,
            tools,
            self._status,
            self._error_line,
        ]
        super().__init__([*parts, self._below])
        self.add_class("samnb")
        self.add_class("samnb-review")
        self.layout.max_width = "960px"

    def _draw(self) -> None:
        shown = self.shown
        self._header.value = self._header_text()
        for button in (self._accept, self._reject, self._fix, self._toggle):
            button.disabled = shown is None
        self._back.disabled = not self._undo
        answer = None if shown is None else self.answers.get(shown.id)
        style.set_class(self._toggle, "samnb-chosen", self._mask_on and shown is not None)
        style.set_class(self._accept, "samnb-chosen", answer == ACCEPTED)
        style.set_class(self._reject, "samnb-chosen", answer == REJECTED)
        if shown is None:
            self._view.value = f'<div class="samnb-finished">{self._finished_text()}</div>'
            self._say("")
            return
        self._view.value = self._pictures(shown)
        self._say(f"{shown.image} · {shown.area:,} px")

    def _pictures(self, shown: Annotation) -> str:
        name = f"{shown.category} on {shown.dataset}/{shown.image}"
        said = f"{shown.source.removeprefix('template:')} · score "
        caption = style.span(shown.category, "strong") + style.span(f" · {said}", "dim")
        caption += style.span(f"{shown.score:.2f}", "number", "strong")
        try:
            pixels = self.session.pixels(shown.image_id)
        except ImageError as error:
            return f'<div class="samnb-finished">⚠ {style.span(error)}</div>'
        if pixels.shape[:2] != shown.mask.shape:
            text = f"The picture is now {pixels.shape[:2]}, the mask {shown.mask.shape}: reject it."
            return f'<div class="samnb-finished">⚠ {style.span(text)}</div>'
        window, color = window_round(shown.bbox, pixels.shape[:2]), self._color(shown)
        large = closeup(pixels, shown.mask, window, color, with_mask=self._mask_on)
        where = style.span(f"{shown.dataset}/{shown.image}", "dim")
        figures = closeup_figure(large, name, caption, "large")
        figures += closeup_figure(whereabouts(pixels, window, color), f"where it is on {shown.image}", where, "whole")
        return f'<div class="samnb-closeup">{figures}</div>'

    def _header_text(self) -> str:
        left = style.span(self.session.name, "strong")
        left += style.span(" · ".join(filter(None, ["", self.dataset, self.template, "review"])), "dim")
        place = (
            f"{self._place + 1} of {len(self.objects)}" if self.shown is not None else f"{len(self.objects)} objects"
        )
        answer = None if self.shown is None else self.answers.get(self.shown.id)
        kind = "samnb-yes" if answer == ACCEPTED else ""
        verdict = f'<span class="samnb-verdict {kind}">{_SAID[answer]}</span> ' if answer is not None else ""
        counts = f"{place} · {self._count(ACCEPTED)} accepted · {self._count(REJECTED)} rejected"
        right = verdict + style.span(counts, "number")
        return f'<div class="samnb-spread"><span class="samnb-clip">{left}</span><span>{right}</span></div>'

    def _finished_text(self) -> str:
        if self.left:
            return f"The last object. {self.left} without an answer: ← leads back."
        if not self.objects:
            return "Nothing to review: no template left anything it was not sure of."
        return f"Nothing is left. {self._count(ACCEPTED)} accepted, {self._count(REJECTED)} rejected."

    def _say(self, text: str) -> None:
        self._said = text
        hint = f'<span class="samnb-dim samnb-clip" title="{_HINT}">{_HINT}</span>'
        self._status.value = f'<div class="samnb-status" role="status">{style.span(text, "number")}{hint}</div>'


def _kept(annotation: Annotation) -> tuple[object, str]:
    """What a fix changes."""
    return annotation.rle, annotation.category
