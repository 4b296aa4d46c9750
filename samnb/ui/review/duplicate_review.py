"""The review of look-alikes: two pictures side by side, and a person who says whether they are the same."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipyevents
import ipywidgets
import numpy as np
from numpy.typing import NDArray

from ...duplicates.near import THRESHOLD, in_words, pair
from ...errors import ImageError, NameTaken
from ...images import encode_png
from ..common import style
from ..common.error_line import ErrorLine, show_errors
from ..common.image_pair import CSS, difference_figure, figure, side_by_side

if TYPE_CHECKING:
    from ...duplicates.service import DeduplicationReport
    from ...records import ImageRecord
    from ..session_protocol import DuplicateReviewSession

__all__ = ["LookalikeReview"]

_HINT = "S same · D different · ← → pair · U undo · K which one stays · X difference"
_SAID = {True: "said to be the same", False: "said to be different", None: ""}


@dataclass(frozen=True)
class Pair:
    """Two images that look alike, the larger first, and in how many bits their hashes differ."""

    first: ImageRecord
    second: ImageRecord
    distance: int

    @property
    def key(self) -> tuple[str, str]:
        """The pixel hashes, by which answers are remembered."""
        return pair(self.first, self.second)


class LookalikeReview(ipywidgets.VBox):
    """ImageList through the pairs of near-duplicate groups of which nothing was said yet.

    Everything the keys do is a method here and works without a browser. Each answer is in the catalog when the method
    returns. Only the pictures of the pair in view are read. Handlers never raise: what goes wrong is shown in a red
    line and logged to "samnb.widgets".

    Parameters
    ----------
    session : Session
    threshold : int
        Bits of 256 that may differ, as in `Session.near_duplicates`.
    dataset : str, optional
        None: all images.

    Raises
    ------
    UnknownName
        No such dataset.
    ValueError
        A threshold out of range.
    """

    def __init__(self, session: DuplicateReviewSession, *, threshold: int = THRESHOLD, dataset: str | None = None):
        self.session, self.threshold, self.dataset = session, threshold, dataset
        self.answers: dict[tuple[str, str], bool] = {}
        self.kept: DeduplicationReport | None = None
        self._stays: dict[tuple[str, str], str] = {}
        self._undo: list[tuple[int, bool | None]] = []
        self._place = 0
        self._difference = False
        self.pairs: list[Pair] = self._unanswered()
        self._build()
        self._draw()

    # -- what the hand does ------------------------------------------------------------------------

    def same(self) -> None:
        """Say that the pair shows the same picture, and go to the next one that is open."""
        self._answer(True)

    def different(self) -> None:
        """Say that the pair shows different pictures, and go to the next one that is open."""
        self._answer(False)

    @show_errors("Undo failed")
    def undo(self) -> None:
        """Take the last answer back and show its pair."""
        if not self._undo:
            self._say("nothing to undo")
            return
        place, before = self._undo[-1]
        self._put(self.pairs[place], before)
        self._undo.pop()
        self._place = place
        self._draw()

    @show_errors("The next pair cannot be shown")
    def next(self) -> None:
        """The next pair, answered or not; after the last, what it came to."""
        self._go(self._place + 1)

    @show_errors("The previous pair cannot be shown")
    def previous(self) -> None:
        """The pair before."""
        self._go(self._place - 1)

    @show_errors("The choice was not changed")
    def swap_stays(self) -> None:
        """Let the other one of the pair stay when one of each is kept; first it is the larger."""
        if self.shown is not None:
            both = (self.shown.first, self.shown.second)
            self._stays[self.shown.key] = next(image.id for image in both if image.id != self.stays)
            self._draw()

    @show_errors("The difference cannot be shown")
    def toggle_difference(self) -> None:
        """Show where the two differ, or no longer."""
        self._difference = not self._difference
        self._draw()

    @show_errors("No dataset was made")
    def keep_one_of_each(self) -> None:
        """Make a dataset of the same files without those said to be the same as another, or with the same pixels."""
        chosen = [each for each in self._stays.values() if self._is_there(each)]
        options: Any = {"only_confirmed": True, "keep": chosen}
        name = self.dataset or self.session.name
        for number in range(1, 1000):
            into = f"{name}, one of each" + (f" {number}" if number > 1 else "")
            try:
                self.kept = self.session.keep_one_of_each(self.dataset, into=into, **options)
                break
            except NameTaken:
                continue
        assert self.kept is not None
        count = len(self.kept.kept)
        self._say(f"{count} images in the new dataset {self.kept.dataset!r}, {len(self.kept.left_out)} left out")

    @show_errors("This key did nothing")
    def key(self, name: str) -> None:
        """What a key does while the pointer is over the widget."""
        actions = {
            **{"arrowleft": self.previous, "arrowright": self.next, "s": self.same, "d": self.different},
            **{"u": self.undo, "k": self.swap_stays, "x": self.toggle_difference},
        }
        if name.lower() in actions:
            actions[name.lower()]()

    # -- what there is to see ----------------------------------------------------------------------

    @property
    def shown(self) -> Pair | None:
        """The pair in view; None past the last."""
        return self.pairs[self._place] if self._place < len(self.pairs) else None

    @property
    def stays(self) -> str:
        """The id of the image of the pair in view that stays when one of each is kept."""
        if self.shown is None:
            return ""
        return self._stays.get(self.shown.key, self.shown.first.id)

    @property
    def error(self) -> str:
        """The red line, "" when there is none."""
        return self._error_line.text

    @property
    def status(self) -> str:
        """The left part of the status line."""
        return self._said

    def snapshot(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: the pair in view, side by side."""
        if self.shown is None:
            return np.full((64, 96, 3), 240, np.uint8)
        return side_by_side([self._pixels(self.shown.first), self._pixels(self.shown.second)])

    def close(self) -> None:
        """Let go of the browser's objects."""
        # ipywidgets also closes what never came into being, when a constructor raised.
        if hasattr(self, "_events"):
            self._events.close()
        super().close()

    def show_error(self, what: str, error: Exception) -> None:
        """Show the red line."""
        self._error_line.show(what, error)

    def __repr__(self) -> str:
        said = list(self.answers.values())
        where = " · ".join(filter(None, [self.session.name, self.dataset]))
        return f"<LookalikeReview {where}: {len(self.pairs)} pairs, {sum(said)} same, {said.count(False)} different>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        # For pages without a kernel: the pair as a still picture.
        return {**bundle, "text/plain": repr(self), "image/png": b64encode(encode_png(self.snapshot())).decode()}

    # -- answers -----------------------------------------------------------------------------------

    @show_errors("This answer was not kept")
    def _answer(self, same: bool) -> None:
        shown = self.shown
        if shown is None:
            self._say("nothing is left to answer")
            return
        before = self.answers.get(shown.key)
        self._put(shown, same)
        self._undo.append((self._place, before))
        self._place = self._next_open()
        self._draw()

    def _put(self, shown: Pair, answer: bool | None) -> None:
        if answer is None:
            self.session.unsay(shown.first, shown.second)
            self.answers.pop(shown.key, None)
        else:
            say = self.session.say_same if answer else self.session.say_different
            say(shown.first, shown.second)
            self.answers[shown.key] = answer
        self._error_line.dismiss()

    def _next_open(self) -> int:
        """The next pair without an answer, also from the start again; past the last where there is none."""
        for place in (*range(self._place + 1, len(self.pairs)), *range(self._place)):
            if self.pairs[place].key not in self.answers:
                return place
        # What was told apart from its representative may look like another picture, or the next one now.
        answered = len(self.pairs)
        self.pairs += self._unanswered()
        return answered

    def _unanswered(self) -> list[Pair]:
        groups = self.session.near_duplicates(self.threshold, dataset=self.dataset)
        pairs = [Pair(group.representative, each.image, each.distance) for group in groups for each in group.others]
        said = {pair(group.representative, each.image) for group in groups for each in group.others if each.same}
        return [each for each in pairs if each.key not in said | self.answers.keys()]

    def _go(self, place: int) -> None:
        self._place = min(max(place, 0), len(self.pairs))
        self._draw()

    def _is_there(self, image_id: str) -> bool:
        return any(image.id == image_id for image in self.session.images(self.dataset))

    def _pixels(self, image: ImageRecord) -> NDArray[np.uint8] | Exception:
        try:
            return self.session.pixels(image)
        except ImageError as error:
            return error

    # -- drawing -----------------------------------------------------------------------------------

    def _build(self) -> None:
        self._said = ""
        self._header, self._view, self._status = style.html(), style.html(), style.html()
        self._error_line = ErrorLine()
        self._same = _tool("Same", self.same, "They show the same picture (S)", "samnb-answer")
        self._different = _tool("Different", self.different, "They show different pictures (D)", "samnb-answer")
        self._swap = _tool("Keep the other", self.swap_stays, "Which one stays when one of each is kept (K)")
        self._toggle = _tool("Difference", self.toggle_difference, "Show where they differ (X)")
        self._keep = _tool("Keep one of each", self.keep_one_of_each, "A new dataset without the others; files stay")
        self._back = _tool("", self.undo, "Undo the last answer (U)", "samnb-icon", icon="undo")
        tools = style.box(
            _tool("", self.previous, "Previous pair (←)", "samnb-icon", icon="chevron-left"),
            _tool("", self.next, "Next pair (→)", "samnb-icon", icon="chevron-right"),
            *(self._back, self._same, self._different, self._swap, self._toggle, self._keep),
            classes=("samnb-row", "samnb-tools"),
        )
        own = style.html(f"<style>{CSS}</style>", "samnb-sheet")
        super().__init__([style.sheet(), own, self._header, self._view, tools, self._status, self._error_line])
        self.add_class("samnb")
        self.add_class("samnb-review")
        self.layout.max_width = "960px"
        self._events = ipyevents.Event(source=self, watched_events=["keydown"], ignore_modifier_key_events=True)
        self._events.on_dom_event(self._on_key)

    def _on_key(self, event: dict[str, Any]) -> None:
        # A key that is held down would answer pairs that nobody saw.
        if not any(event.get(name) for name in ("ctrlKey", "metaKey", "altKey", "repeat")):
            self.key(str(event.get("key", "")))

    def _draw(self) -> None:
        shown = self.shown
        self._header.value = self._header_text()
        for button in (self._same, self._different, self._swap, self._toggle):
            button.disabled = shown is None
        self._back.disabled = not self._undo
        answer = None if shown is None else self.answers.get(shown.key)
        _set_class(self._toggle, "samnb-chosen", self._difference and shown is not None)
        _set_class(self._same, "samnb-chosen", answer is True)
        _set_class(self._different, "samnb-chosen", answer is False)
        if shown is None:
            self._view.value = f'<div class="samnb-finished">{self._finished_text()}</div>'
            self._say("")
            return
        both = (shown.first, shown.second)
        pixels = [self._pixels(image) for image in both]
        figures = [figure(i, p, stays=i.id == self.stays) for i, p in zip(both, pixels, strict=True)]
        if self._difference:
            figures.append(difference_figure(*pixels))
        self._view.value = f'<div class="samnb-pair">{"".join(figures)}</div>'
        self._say(f"{in_words(shown.distance)}: {shown.distance} of 256 bits differ")

    def _header_text(self) -> str:
        said = list(self.answers.values())
        left = style.span(self.session.name, "strong")
        left += style.span(f" · {self.dataset} · look-alikes" if self.dataset else " · look-alikes", "dim")
        place = f"{self._place + 1} of {len(self.pairs)}" if self.shown is not None else f"{len(self.pairs)} pairs"
        answer = None if self.shown is None else self.answers.get(self.shown.key)
        verdict = f'<span class="samnb-verdict {"samnb-yes" if answer else ""}">{_SAID[answer]}</span> '
        right = style.span(f"{place} · {sum(said)} same · {said.count(False)} different", "number")
        right = (verdict if answer is not None else "") + right
        return f'<div class="samnb-spread"><span class="samnb-clip">{left}</span><span>{right}</span></div>'

    def _finished_text(self) -> str:
        open_ones = len(self.pairs) - len(self.answers)
        if open_ones:
            return f"The last pair. {open_ones} without an answer: ← leads back."
        if not self.pairs:
            return "Nothing to review: no look-alikes of which nothing was said."
        same = sum(self.answers.values())
        return (
            f"Nothing is left. {same} said to be the same, {len(self.answers) - same} different.<br>"
            "“Keep one of each” makes a dataset without the others; all files stay."
        )

    def _say(self, text: str) -> None:
        self._said = text
        _set_class(self._keep, "samnb-primary", self.shown is None and bool(self.answers))
        hint = f'<span class="samnb-dim samnb-clip" title="{_HINT}">{_HINT}</span>'
        self._status.value = f'<div class="samnb-status">{style.span(text, "number")}{hint}</div>'


def _tool(text: str, action: Any, tooltip: str, *classes: str, icon: str = "") -> ipywidgets.Button:
    button = style.button(text, *classes, icon=icon, tooltip=tooltip)
    button.on_click(lambda _: action())
    return button


def _set_class(widget: ipywidgets.DOMWidget, name: str, wanted: bool) -> None:
    if wanted:
        widget.add_class(name)
    else:
        widget.remove_class(name)
