"""`ImageList`: the images of a dataset in order, the current one, and what is known of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

from ...errors import UnknownName
from ...records import DONE, EMPTY, SKIP, UNSURE
from .side_panel import Counts

if TYPE_CHECKING:
    from ...records import ImageRecord
    from ..session_protocol import AnnotatorSession


Kind = Literal["all", "open", "annotated", "unsure", "done", "empty", "skip", "draft", "failed"]

KINDS: tuple[Kind, ...] = ("all", "open", "annotated", "unsure", "done", "empty", "skip", "draft", "failed")
"""Filters of the filmstrip. "open": without a state and without annotations; "unsure": a template's find awaits a
review; "draft": an object was begun and not accepted."""

_SIGNS = {DONE: "✔", EMPTY: "∅", SKIP: "↷"}


class ImageList:
    """The images of a dataset, and a place among them.

    Parameters
    ----------
    session : AnnotatorSession
    dataset : str or None
        None: all images of the session.
    """

    def __init__(self, session: AnnotatorSession, dataset: str | None):
        self._session, self._dataset = session, dataset
        self.images: list[ImageRecord] = session.images(dataset)
        self.kind: Kind = "all"
        self._place = -1
        self._places = {image.id: place for place, image in enumerate(self.images)}
        self._failed: set[str] = set()
        self._annotated: set[str] = set()
        self._unsure: set[str] = set()
        self._states: dict[str, str] = {}
        self._read()
        self.drafts: Callable[[], set[str]] = set
        """The ids of images with an object that is not accepted yet."""
        self._shown: list[ImageRecord] | None = None

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._places

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(W, H) of each image."""
        return [(record.width, record.height) for record in self.images]

    @property
    def first(self) -> ImageRecord | None:
        """The first image, if there is any."""
        return self.images[0] if self.images else None

    @property
    def current(self) -> ImageRecord | None:
        """The current image."""
        return self.images[self._place] if 0 <= self._place < len(self.images) else None

    @property
    def shown(self) -> list[ImageRecord]:
        """The images that pass the filter, and the current one: what the filmstrip shows."""
        if self._shown is None:
            current = self.current
            self._shown = [image for image in self.images if image is current or self._passes(image)]
        return self._shown

    # -- moving ----------------------------------------------------------------------------------------

    def step(self, by: int) -> ImageRecord | None:
        """The image `by` places further among those that pass the filter; None past the ends.

        The place moves even if that image cannot be read.
        """
        self._refresh()
        place, left, sign = self._place, abs(by), 1 if by > 0 else -1
        while left:
            place += sign
            if not 0 <= place < len(self.images):
                return None
            left -= self._passes(self.images[place])
        return self._move(place)

    def next_open(self) -> ImageRecord | None:
        """The next image that is open or has unsure finds, from the start again after the last one; None: none is."""
        return self._next(lambda image: self._is("open", image) or self._is("unsure", image))

    def next_unfinished(self) -> ImageRecord | None:
        """The next image without a state, annotated or not, from the start again after the last one; None: none is."""
        return self._next(lambda image: not self.state(image))

    def _next(self, fits: Callable[[ImageRecord], bool]) -> ImageRecord | None:
        self._refresh()
        count = len(self.images)
        places = ((self._place + step) % count for step in range(1, count + 1))
        place = next((p for p in places if fits(self.images[p])), None)
        return None if place is None else self._move(place)

    def find(self, text: str) -> ImageRecord | None:
        """An image by its name: the exact name, else the next that begins with the text, else that contains it."""
        self._refresh()
        wanted, count = text.strip().casefold(), len(self.images)
        if not wanted:
            return None
        order = [(self._place + step) % count for step in range(1, count + 1)]
        names = {place: self.images[place].filename.casefold() for place in order}
        for fits in (str.__eq__, str.startswith, str.__contains__):
            place = next((p for p in order if fits(names[p], wanted)), None)
            if place is not None:
                return self.images[place]
        return None

    def go_to(self, image: ImageRecord) -> None:
        """Make this image the place to step from."""
        self._move(self._places.get(image.id, -1))

    def after(self, image: ImageRecord) -> ImageRecord | None:
        """The image after that one, whatever the filter; None: it is the last."""
        place = self._places.get(image.id, len(self.images)) + 1
        return self.images[place] if place < len(self.images) else None

    def around(self, *, before: int = 1, after: int = 2) -> list[ImageRecord]:
        """The images that are likely to be shown next, the likeliest first."""
        shown, current = self.shown, self.current
        place = shown.index(current) if current in shown else -1
        nearby = [place + step for step in (*range(1, after + 1), *range(-1, -before - 1, -1))]
        return [shown[p] for p in nearby if 0 <= p < len(shown)]

    def renew(self, images: Iterable[ImageRecord]) -> None:
        """Take the place of the same images as they were: their pixels, and so their hashes, changed."""
        for image in images:
            place = self._places.get(image.id)
            if place is not None:
                self.images[place] = image
        self._shown = None

    # -- what is known of them -------------------------------------------------------------------------

    def filter(self, kind: str) -> None:
        """Show and step through only these.

        Raises
        ------
        UnknownName
            Not one of `KINDS`.
        """
        if kind not in KINDS:
            raise UnknownName("filter", kind, KINDS)
        self.kind = kind
        self._shown = None

    def mark_annotated(self, image: ImageRecord, annotated: bool) -> None:
        """Whether that image has annotations."""
        (self._annotated.add if annotated else self._annotated.discard)(image.id)
        self._shown = None if self.kind != "all" else self._shown

    def mark_unsure(self, image: ImageRecord, unsure: bool) -> None:
        """Whether that image has finds of a template that await a review."""
        (self._unsure.add if unsure else self._unsure.discard)(image.id)
        self._shown = None if self.kind != "all" else self._shown

    def mark_state(self, image: ImageRecord, state: str) -> None:
        """The state that was given to that image."""
        self._states[image.id] = state
        self._shown = None if self.kind != "all" else self._shown

    def state(self, image: ImageRecord) -> str:
        """The state of an image; "" while it is open. One called empty that got an object is open again."""
        state = self._states.get(image.id, "")
        return "" if state == EMPTY and image.id in self._annotated else state

    def mark_failed(self, image: ImageRecord, failed: bool = True) -> None:
        """Whether that image could not be read or encoded."""
        (self._failed.add if failed else self._failed.discard)(image.id)
        self._shown = None if self.kind == "failed" else self._shown

    def badges(self, image: ImageRecord) -> tuple[str, str]:
        """Signs and words for an image.

        ⚡ cached, ⏳ waiting to be encoded, ⚠ failed; ✎ draft, ✓ annotated, ? unsure; ✔ done, ∅ empty, ↷ skip.
        """
        # Called for the dozen images in view; it asks the store, since other processes write to it too.
        state = self._session.encoding_state(image)
        signs = {"cached": "⚡", "waiting": "⏳", "encoding": "⏳", "failed": "⚠"}.get(state, "")
        words = [state] if signs else []
        if image.id in self._failed and "⚠" not in signs:
            signs, words = signs + "⚠", [*words, "failed"]
        state = self.state(image)
        if image.id in self.drafts():
            signs, words = signs + "✎", [*words, "a draft"]
        if state:
            signs, words = signs + _SIGNS[state], [*words, state]
        elif image.id in self._annotated:
            signs, words = signs + "✓", [*words, "annotated"]
        if image.id in self._unsure:
            signs, words = signs + "?", [*words, "unsure"]
        return signs, ", ".join(words)

    def counts(self, *, read: bool = True) -> Counts:
        """The counts of the header; with `read` from the catalog, where others may have added annotations."""
        if read and self._read():
            self._shown = None if self.kind != "all" else self._shown
        cached = self._refresh()
        states = Counter(self._states.values())
        of_state = (states[DONE], states[EMPTY], states[SKIP])
        return Counts(self._place + 1, len(self.images), len(self._annotated), cached, *of_state)

    # -- inside ----------------------------------------------------------------------------------------

    def _move(self, place: int) -> ImageRecord | None:
        if place != self._place and self.kind != "all":
            self._shown = None
        self._place = place
        return self.current

    def _read(self) -> bool:
        """Read from the session what is known of the images; True if something is new."""
        before = self._annotated, self._unsure, self._states
        self._annotated = set(self._session.annotation_counts(dataset=self._dataset))
        self._unsure = set(self._session.annotation_counts(dataset=self._dataset, review=UNSURE))
        self._states = self._session.image_states(dataset=self._dataset)
        return before != (self._annotated, self._unsure, self._states)

    def _passes(self, image: ImageRecord) -> bool:
        return self.kind == "all" or self._is(self.kind, image)

    def _is(self, kind: Kind, image: ImageRecord) -> bool:
        if kind == "open":
            return image.id not in self._annotated and not self.state(image)
        if kind in (DONE, EMPTY, SKIP):
            return self.state(image) == kind
        known = {"annotated": self._annotated, "unsure": self._unsure, "failed": self._failed}
        return image.id in (self.drafts() if kind == "draft" else known[kind])

    def _refresh(self) -> int:
        """The number of cached images; the list is fetched again only when the number changed."""
        datasets = [d for d in self._session.datasets() if self._dataset in (None, d.name)]
        if sum(d.images for d in datasets) != len(self.images):
            current = self.current
            self.images = self._session.images(self._dataset)
            self._places = {image.id: place for place, image in enumerate(self.images)}
            self._place = self._places.get(current.id, -1) if current is not None else -1
            self._shown = None
        return sum(d.cached for d in datasets)
