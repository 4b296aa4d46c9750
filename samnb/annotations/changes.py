"""`AnnotationChanges`: reports, inside this process, that the annotations of an image changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..jobs import Event, Signal
from ..records import ImageRecord


class AnnotationChanges(Signal):
    """Calls its listeners with the id of the image whose annotations changed, or "" for any image.

    Examples
    --------
    >>> from samnb.annotations.changes import AnnotationChanges
    >>> changes, seen = AnnotationChanges(), []
    >>> changes.subscribe(seen.append)
    >>> changes.emit("0123")
    >>> seen
    ['0123']
    """

    def emit(self, *image_id: object) -> None:
        """Call the listeners; without an id, any image may have changed."""
        super().emit(*(image_id or ("",)))

    def emit_for(self, images: Sequence[ImageRecord], events: Iterable[Event]) -> Iterator[Event]:
        """Pass on the events of an apply, and emit for each image as it is done."""
        for event in events:
            if event.status == "computed" and 0 < event.index <= len(images):
                self.emit(images[event.index - 1].id)
            yield event
