"""`search_events`: searches many images, keeps what is found and resumes; of templates and of proposals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from ..catalog import Catalog, ImageRecord
from ..jobs import Event, JobControl
from ..workers import Done, attempt

Numbered = tuple[int, ImageRecord]
SearchMany = Callable[[Iterator[Numbered | None], JobControl], Generator[list[tuple[Numbered, Done]]]]
"""Searches images as they come, until cancelled: `search_here`, or on workers. The value of a `Done` is (what was
found, how often an image encoder ran). For None it yields an empty list: nothing is to be searched for a while."""

_KNOWN_AT_ONCE = 500  # events of images that need no search
_END: Any = object()


class SearchStopped(BaseException):
    """A search was cancelled before it was through with its image; nothing of it is kept.

    No `Exception`: what makes an event of the failure of one image must not take it for one.
    """


@dataclass(frozen=True)
class Kept:
    """What was kept of one image.

    Parameters
    ----------
    counts : mapping of str to int
        Added up over the images, for the last event.
    details : mapping of str to object
        Of the image's event.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


class Keeper(Protocol):
    """Keeps in the catalog what a search found, and knows what it found before."""

    @property
    def counted(self) -> Sequence[str]:
        """The names in the counts of a `Kept`."""

    def is_done(self, image: ImageRecord) -> bool:
        """Whether the image was searched before, so that it is skipped."""

    def known(self, image: ImageRecord) -> Callable[[], Kept] | None:
        """A function that keeps what an earlier search found; None: the image has to be searched."""

    def keep(self, image: ImageRecord, found: Any) -> Kept:
        """Keep what was found on an image, in one transaction."""

    def keep_all(self, found: Sequence[tuple[ImageRecord, Any]]) -> Mapping[str, Kept]:
        """Keep the finds of several images in one transaction, by image id; {}: they are kept one by one."""


def search_events(
    images: Sequence[ImageRecord],
    *,
    search: SearchMany,
    keeper: Keeper,
    catalog: Catalog,
    control: JobControl | None = None,
    left_out: int = 0,
) -> Iterator[Event]:
    """Search every image that was not searched before and keep what is found; yields an event per image.

    An interrupted run is resumed by running it again. An image that fails does not stop the others.

    Parameters
    ----------
    images : sequence of ImageRecord
    search : callable
        Finds the objects: `search_here`, or on workers.
    keeper : Keeper
        Only this thread calls it.
    catalog : Catalog
        Of the keeper.
    control : JobControl, optional
        Checked between images.
    left_out : int
        Number of images that are not among these because of what a person said of them; told by the last event.

    Raises
    ------
    SessionTooNew
        The session is only read, and there is something to search.
    """
    control = control or JobControl()
    counts = dict.fromkeys(("computed", "skipped", "failed", *keeper.counted, "encoded"), 0)
    if not all(keeper.is_done(image) for image in images):
        catalog.check_writable()  # before seconds of work that could not be kept
    known: deque[Event] = deque()

    def event_of(number: int, image: ImageRecord, keep: Callable[[], Kept], done: Done, encodes: int) -> Event:
        kept = done if done.error else attempt(0, keep)
        ms = done.ms if kept is done else done.ms + kept.ms
        place: dict[str, Any] = {"index": number, "total": len(images), "filename": image.filename, "ms": ms}
        if kept.error:
            counts["failed"] += 1
            return Event("failed", **place, details={"error": kept.error, "error_type": kept.error_type})
        for name, count in {"computed": 1, "encoded": encodes, **kept.value.counts}.items():
            counts[name] += count
        return Event("computed", **place, details={**kept.value.details, "cache_hit": not encodes})

    def unsearched() -> Iterator[Numbered | None]:
        for number, image in enumerate(images, start=1):
            if keeper.is_done(image):
                counts["skipped"] += 1
                known.append(Event("skipped", number, len(images), image.filename))
            elif (again := keeper.known(image)) is not None:
                known.append(event_of(number, image, again, Done(0), 0))
            else:
                yield number, image
            if len(known) >= _KNOWN_AT_ONCE:
                yield None

    with closing(search(unsearched(), control)) as searches:
        for results in searches:
            while known:
                yield known.popleft()
            kept = keeper.keep_all([(image, done.value[0]) for (_, image), done in results if not done.error])
            for (number, image), done in results:
                found, encodes = done.value or (None, 0)
                keep = partial(kept.__getitem__, image.id) if image.id in kept else partial(keeper.keep, image, found)
                yield event_of(number, image, keep, done, encodes)
    yield from known
    catalog.sync()
    more = ({"left_out": left_out} if left_out else {}) | ({"cancelled": True} if control.cancelled else {})
    yield Event("done", total=len(images), details=counts | more)


def search_here(find: Callable[[ImageRecord], tuple[Any, int]]) -> SearchMany:
    """A search in this process, one image after the other.

    Parameters
    ----------
    find : callable
        Returns what is found on an image, and how often an image encoder ran. May raise `SearchStopped`.
    """

    def search(images: Iterator[Numbered | None], control: JobControl) -> Generator[list[tuple[Numbered, Done]]]:
        # Before the first image is asked for: after a cancel not even what is known is recorded.
        while control.go_on():
            numbered = next(images, _END)
            if numbered is _END:
                return
            if numbered is None:
                yield []
                continue
            if not control.go_on():
                return
            try:
                done = attempt(0, partial(find, numbered[1]))
            except SearchStopped:
                return
            yield [(numbered, done)]

    return search
