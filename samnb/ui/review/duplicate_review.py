"""`LookalikeReview`: two pictures side by side, and the question whether they show the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...cards import count_text
from ...duplicates.near import THRESHOLD, in_words, pair
from ...errors import ImageError, NameTaken
from ..common import style
from ..common.error_line import show_errors
from ..common.image_pair import CSS, difference_figure, figure, side_by_side
from .review_widget import ReviewWidget

if TYPE_CHECKING:
    from ...duplicates.service import DeduplicationReport
    from ...records import ImageRecord
    from ..session_protocol import DuplicateReviewSession


_SAID = {True: "said to be the same", False: "said to be different"}


@dataclass(frozen=True)
class Pair:
    """Two images that look alike, the larger first, and the number of bits in which their hashes differ."""

    first: ImageRecord
    second: ImageRecord
    distance: int

    @property
    def key(self) -> tuple[str, str]:
        """The pixel hashes, the key of a verdict."""
        return pair(self.first, self.second)


class LookalikeReview(ReviewWidget):
    """Asks about the pairs of near-duplicate groups that have no verdict yet, one after the other.

    Everything the keys do is a method here and works without a browser. Each verdict is in the catalog when the method
    returns. Only the pictures of the pair in view are read. Handlers never raise: errors are shown in a red line and
    logged to "samnb.widgets".

    Parameters
    ----------
    session : Session
    threshold : int
        The number of the 256 bits that may differ, as in `Session.near_duplicates`.
    dataset : str, optional
        None: all images.

    Raises
    ------
    UnknownName
        No such dataset.
    ValueError
        A threshold out of range.

    Examples
    --------
    >>> added = session.add(session.pixels("coins_1.png")[::2, ::2], dataset="monday", show=False)
    >>> review = LookalikeReview(session, dataset="monday")
    >>> review.same()
    >>> review
    <LookalikeReview session · monday: 1 pair, 1 same, 0 different>
    >>> review.close()
    """

    noun = "pair"
    css = CSS

    def __init__(self, session: DuplicateReviewSession, *, threshold: int = THRESHOLD, dataset: str | None = None):
        super().__init__(session, dataset)
        self.threshold = threshold
        self.kept: DeduplicationReport | None = None
        self._stays: dict[tuple[str, str], str] = {}
        self._difference = False
        self.pairs: list[Pair] = self._unanswered()
        self._same = style.tool("Same", self.same, "They show the same picture (S)", "samnb-answer")
        self._different = style.tool("Different", self.different, "They show different pictures (D)", "samnb-answer")
        swap = style.tool("Keep the other", self.swap_stays, "Which one stays when one of each is kept (K)")
        self._toggle = style.tool("Difference", self.toggle_difference, "Show where they differ (X)")
        keep = "A new dataset without the others; files stay"
        self._keep = style.tool("Keep one of each", self.keep_one_of_each, keep)
        self._build(self._same, self._different, swap, self._toggle, always=(self._keep,))
        self._draw()

    # -- actions -----------------------------------------------------------------------------------

    def same(self) -> None:
        """Say that the pair shows the same picture, and go to the next one without an answer."""
        self._answer(True)

    def different(self) -> None:
        """Say that the pair shows different pictures, and go to the next one without an answer."""
        self._answer(False)

    @show_errors("The choice was not changed")
    def swap_stays(self) -> None:
        """Choose the other one of the pair to stay when one of each is kept; by default the larger stays."""
        if self.shown is not None:
            both = (self.shown.first, self.shown.second)
            self._stays[self.shown.key] = next(image.id for image in both if image.id != self.stays)
            self._draw()

    @show_errors("The difference cannot be shown")
    def toggle_difference(self) -> None:
        """Show or hide the differences of the two."""
        self._difference = not self._difference
        self._draw()

    @show_errors("No dataset was made")
    def keep_one_of_each(self) -> None:
        """Make a dataset of the same files without those with the verdict "same", or with the same pixels."""
        here = {image.id for image in self.session.images(self.dataset)}
        options: Any = {"only_confirmed": True, "keep": [each for each in self._stays.values() if each in here]}
        name = self.dataset or self.session.name
        for number in range(1, 1000):
            into = f"{name}, one of each" + (f" {number}" if number > 1 else "")
            try:
                self.kept = self.session.keep_one_of_each(self.dataset, into=into, **options)
                break
            except NameTaken:
                continue
        assert self.kept is not None
        kept = count_text(len(self.kept.kept), "image")
        self._say(f"{kept} in the new dataset {self.kept.dataset!r}, {len(self.kept.left_out)} left out")

    # -- state -------------------------------------------------------------------------------------

    @property
    def hint(self) -> str:
        """The keys and what they do."""
        return "S same · D different · ← → pair · U undo · K which one stays · X difference"

    @property
    def shown(self) -> Pair | None:
        """The current pair; None past the last."""
        shown: Pair | None = self._shown
        return shown

    @property
    def stays(self) -> str:
        """The id of the image of the current pair that stays when one of each is kept."""
        return "" if self.shown is None else self._stays.get(self.shown.key, self.shown.first.id)

    def snapshot(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: the current pair, side by side."""
        if self.shown is None:
            return np.full((64, 96, 3), 240, np.uint8)
        return side_by_side([self._pixels(self.shown.first), self._pixels(self.shown.second)])

    def __repr__(self) -> str:
        where = " · ".join(filter(None, [self.session.name, self.dataset]))
        same, different = self._numbers()
        return f"<LookalikeReview {where}: {count_text(len(self.pairs), 'pair')}, {same} same, {different} different>"

    # -- verdicts ----------------------------------------------------------------------------------

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

    def _take_back(self) -> None:
        place, before = self._undo[-1]
        self._put(self.pairs[place], before)
        self._undo.pop()
        self._place = place
        self._draw()

    def _next_open(self) -> int:
        place = super()._next_open()
        if place == len(self.pairs):
            # A picture that differs from its representative may look like another one, or like the next one now.
            self.pairs += self._unanswered()
        return place

    def _unanswered(self) -> list[Pair]:
        groups = self.session.near_duplicates(self.threshold, dataset=self.dataset)
        pairs = [Pair(group.representative, each.image, each.distance) for group in groups for each in group.others]
        said = {pair(group.representative, each.image) for group in groups for each in group.others if each.same}
        return [each for each in pairs if each.key not in said | self.answers.keys()]

    def _numbers(self) -> tuple[int, int]:
        same = sum(self.answers.values())
        return same, len(self.answers) - same

    def _pixels(self, image: ImageRecord) -> NDArray[np.uint8] | Exception:
        try:
            pixels: NDArray[np.uint8] = self.session.pixels(image)
            return pixels
        except ImageError as error:
            return error

    # -- methods that the base calls ---------------------------------------------------------------

    @property
    def _items(self) -> list[Pair]:
        return self.pairs

    def _key_of(self, item: Pair) -> tuple[str, str]:
        return item.key

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {"s": self.same, "d": self.different, "k": self.swap_stays, "x": self.toggle_difference}

    def _picture(self) -> NDArray[np.uint8]:
        return self.snapshot()

    def _draw(self) -> None:
        super()._draw()
        answer = self._answer_to(self.shown)
        style.set_class(self._toggle, "samnb-chosen", self._difference and self.shown is not None)
        style.set_class(self._same, "samnb-chosen", answer is True)
        style.set_class(self._different, "samnb-chosen", answer is False)

    def _show(self, item: Pair) -> tuple[str, str]:
        both = (item.first, item.second)
        pixels = [self._pixels(image) for image in both]
        figures = [figure(i, p, stays=i.id == self.stays) for i, p in zip(both, pixels, strict=True)]
        if self._difference:
            figures.append(difference_figure(*pixels))
        said = f"{in_words(item.distance)}: {item.distance} of 256 bits differ"
        return f'<div class="samnb-pair">{"".join(figures)}</div>', said

    def _titles(self) -> list[str | None]:
        return [self.dataset, "look-alikes"]

    def _verdict(self, answer: bool) -> tuple[str, bool]:
        return _SAID[answer], answer

    def _counts(self) -> str:
        same, different = self._numbers()
        return f"{same} same · {different} different"

    def _finished_text(self) -> str:
        open_ones = len(self.pairs) - len(self.answers)
        if open_ones:
            return f"The last pair. {open_ones} without an answer: ← leads back."
        if not self.pairs:
            return "Nothing to review: no look-alikes of which nothing was said."
        same, different = self._numbers()
        return (
            f"Nothing is left. {same} said to be the same, {different} different.<br>"
            "“Keep one of each” makes a dataset without the others; all files stay."
        )

    def _say(self, text: str) -> None:
        style.set_class(self._keep, "samnb-primary", self.shown is None and bool(self.answers))
        super()._say(text)
