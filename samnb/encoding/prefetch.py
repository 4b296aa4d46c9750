"""`Prefetcher`: encodes the image on screen in the background, then its neighbours, before a prewarm continues."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Literal

from ..at_exit import stop_at_exit
from ..jobs import Signal
from ..records import ImageRecord
from .encoder import Encoder

_log = logging.getLogger("samnb.ahead")

EncodingState = Literal["cached", "waiting", "encoding", "failed", "unknown"]
"""The state of an image's embedding; "unknown": not cached, and not requested."""


class Prefetcher:
    """One thread that encodes what was requested last; earlier requests that have not started are dropped.

    A prewarm in the same process waits between two of its images meanwhile.

    Parameters
    ----------
    encoder : Encoder
    read : callable, optional
        Returns the record of an image whose file was not read yet; called on the thread.

    Attributes
    ----------
    changes : Signal
        Called, on any thread, with an image and its state when that may have changed.

    Examples
    --------
    >>> import tempfile, numpy as np, samnb
    >>> session = samnb.Session(tempfile.mkdtemp())
    >>> [image] = session.add(np.zeros((60, 80, 3), np.uint8)).images
    >>> prefetcher = Prefetcher(session._encoder)
    >>> prefetcher.prefetch(image)
    >>> prefetcher.wait()
    >>> prefetcher.state(image)
    'cached'
    >>> session.close()
    """

    def __init__(self, encoder: Encoder, *, read: Callable[[ImageRecord], ImageRecord] = lambda image: image):
        self._encoder, self._read = encoder, read
        self.changes = Signal()
        self._changed = threading.Condition()
        self._queue: list[ImageRecord] = []
        self._current: ImageRecord | None = None
        self._failed: set[str] = set()
        self._thread: threading.Thread | None = None
        self._closed = False
        stop_at_exit(self)

    def prefetch(self, image: ImageRecord, neighbours: Iterable[ImageRecord] = ()) -> None:
        """Encode this image, then its neighbours, unless the store holds them; returns at once."""
        wanted = {record.id: record for record in (image, *neighbours)}.values()
        missing = [record for record in wanted if not self._encoder.has(record)]
        with self._changed:
            if self._closed:
                return
            dropped = [record for record in self._queue if record.id not in {other.id for other in missing}]
            running = self._current.id if self._current else ""
            self._queue = [record for record in missing if record.id != running]
            self._failed.discard(image.id)  # a new request is a new attempt
            if self._queue and self._thread is None:
                thread = threading.Thread(target=self._run, name="samnb ahead", daemon=True)
                thread.start()
                self._thread = thread
        for record in (*dropped, *missing):
            self.notify(record)

    def state(self, image: ImageRecord) -> EncodingState:
        """The state of the image's embedding now."""
        if self._encoder.has(image):
            return "cached"
        with self._changed:
            if self._current is not None and self._current.id == image.id:
                return "encoding"
            if any(record.id == image.id for record in self._queue):
                return "waiting"
            return "failed" if image.id in self._failed else "unknown"

    def notify(self, image: ImageRecord | None) -> None:
        """Call the listeners of `changes`: the state of that image may have changed."""
        if image is not None and self.changes:
            self.changes.emit(image, self.state(image))

    def wait(self, timeout: float = 60.0) -> None:
        """Block until nothing is being encoded ahead. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._thread is None, timeout):
                raise TimeoutError(f"Still encoding ahead after {timeout:g} s.")

    def close(self) -> None:
        """Start nothing more, and wait for the image that is being encoded."""
        self._stop()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # -- the thread

    def _stop(self) -> None:
        with self._changed:
            self._closed, self._queue = True, []

    def _wait_for_end(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def _run(self) -> None:
        try:
            with self._encoder.priority():
                while (image := self._take()) is not None:
                    self.notify(image)
                    self._encode(image)
                    self.notify(image)
        except Exception as error:
            # A store that does not answer: a click raises the same; the next request tries again.
            _log.warning("nothing more is encoded ahead for now: %s", error)
            with self._changed:
                self._queue, self._current, self._thread = [], None, None
                self._changed.notify_all()

    def _encode(self, image: ImageRecord) -> None:
        failed = False
        try:
            self._encoder.embedding(self._read(image))
        except Exception as error:
            # No caller waits for it: the image's state shows it, and a click on it raises the same error again.
            _log.info("%s was not encoded ahead: %s", image.filename, error)
            failed = True
        with self._changed:
            self._current = None
            if failed:
                self._failed.add(image.id)

    def _take(self) -> ImageRecord | None:
        while True:
            with self._changed:
                if not self._queue:
                    self._current = self._thread = None
                    self._changed.notify_all()
                    return None
                image = self._current = self._queue.pop(0)
            if not self._encoder.has(image):  # without the lock: a disk may not answer
                return image
