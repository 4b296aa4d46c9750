"""`AnnotationChanges`: reports, inside this process, that the annotations of an image changed."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..jobs import Event
from ..records import ImageRecord

__all__ = ["AnnotationChanges", "Callback"]

_log = logging.getLogger("samnb.session")

Callback = Callable[[str], object]


class AnnotationChanges:
    """Calls its subscribers when annotations change. Methods are held weakly, so their objects can go.

    A signal of psygnal would call subscribers under a lock and end at the first one that fails; here each is called
    on the thread of the change, without a lock.

    Examples
    --------
    >>> changes, seen = AnnotationChanges(), []
    >>> changes.subscribe(seen.append)
    >>> changes.emit("0123")
    >>> seen
    ['0123']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], Callback | None]] = []

    def subscribe(self, callback: Callback) -> None:
        """Call it with an image's id, or "" for any image, on the thread that made the change."""
        bound = hasattr(callback, "__self__") and hasattr(callback, "__func__")
        with self._lock:
            self._callbacks.append(weakref.WeakMethod(callback) if bound else lambda: callback)  # type: ignore[arg-type]

    def unsubscribe(self, callback: Callback) -> None:
        """Stop calling it."""
        with self._lock:
            self._callbacks = [other for other in self._callbacks if other() not in (None, callback)]

    def emit(self, image_id: str = "") -> None:
        """Call the subscribers; an error in one is logged, and the others are called all the same."""
        with self._lock:
            callbacks = [callback() for callback in self._callbacks]
        for callback in filter(None, callbacks):
            try:
                callback(image_id)
            except Exception:
                _log.exception("a listener of the annotations failed")

    def emit_for(self, images: Sequence[ImageRecord], events: Iterable[Event]) -> Iterator[Event]:
        """Pass on the events of an apply, and emit for each image as it is done."""
        for event in events:
            if event.status == "computed" and 0 < event.index <= len(images):
                self.emit(images[event.index - 1].id)
            yield event
