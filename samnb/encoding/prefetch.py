"""Encoding ahead of the hand: the image that is looked at, then its neighbours, before anything else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Literal

from ..records import ImageRecord
from .encoder import Encoder

__all__ = ["Ahead", "Lamp"]

_log = logging.getLogger("samnb.ahead")

Lamp = Literal["cached", "waiting", "encoding", "failed", "unknown"]
"""What is known of an image's embedding; "unknown": not cached, and nobody has asked for it."""


class Ahead:
    """One thread that encodes what was asked for last; what was asked for before and has not begun is forgotten.

    A prewarm that runs in the same process waits between two of its images meanwhile.

    Parameters
    ----------
    encoder : Encoder
    read : callable, optional
        Gives the record of an image whose file nobody has read yet; called on the thread.

    Examples
    --------
    >>> import tempfile, numpy as np, samnb
    >>> session = samnb.Session(tempfile.mkdtemp())
    >>> [image] = session.add(np.zeros((60, 80, 3), np.uint8)).images
    >>> ahead = Ahead(session._encoder)
    >>> ahead.look_at(image)
    >>> ahead.wait()
    >>> ahead.lamp(image)
    'cached'
    >>> session.close()
    """

    def __init__(self, encoder: Encoder, *, read: Callable[[ImageRecord], ImageRecord] = lambda image: image):
        self._encoder, self._read = encoder, read
        self._changed = threading.Condition()
        self._queue: list[ImageRecord] = []
        self._current: ImageRecord | None = None
        self._failed: dict[str, str] = {}
        self._listeners: list[Callable[[ImageRecord, Lamp], object]] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def look_at(self, image: ImageRecord, neighbours: Iterable[ImageRecord] = ()) -> None:
        """Encode this image now, and then these, unless the store holds them; returns at once."""
        wanted = {record.id: record for record in (image, *neighbours)}.values()
        missing = [record for record in wanted if not self._encoder.has(record)]
        with self._changed:
            if self._closed:
                return
            forgotten = [record for record in self._queue if record.id not in {other.id for other in missing}]
            running = self._current.id if self._current else ""
            self._queue = [record for record in missing if record.id != running]
            self._failed.pop(image.id, None)  # whoever comes back to it wants another try
            if self._queue and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="samnb ahead", daemon=True)
                self._thread.start()
        for record in (*forgotten, *missing):
            self._tell(record)

    def lamp(self, image: ImageRecord) -> Lamp:
        """What is known of the image's embedding now."""
        if self._encoder.has(image):
            return "cached"
        with self._changed:
            if self._current is not None and self._current.id == image.id:
                return "encoding"
            if any(record.id == image.id for record in self._queue):
                return "waiting"
            return "failed" if image.id in self._failed else "unknown"

    def why(self, image: ImageRecord) -> str:
        """Why the image could not be encoded, "" where it was not tried or went well."""
        with self._changed:
            return self._failed.get(image.id, "")

    def subscribe(self, listener: Callable[[ImageRecord, Lamp], object]) -> None:
        """Call it, on whatever thread, when an image's lamp may have changed."""
        with self._changed:
            self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[ImageRecord, Lamp], object]) -> None:
        """Call it no more; nothing happens where it was not subscribed."""
        with self._changed:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def heard(self, image: ImageRecord | None) -> None:
        """A prewarm is through with that image: whoever shows lamps is told."""
        if image is not None and self._listeners:
            self._tell(image)

    def wait(self, timeout: float = 60.0) -> None:
        """Block until nothing is being encoded ahead. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._thread is None, timeout):
                raise TimeoutError(f"Still encoding ahead after {timeout:g} s.")

    def close(self) -> None:
        """Begin nothing more, and wait for the image that is being encoded."""
        with self._changed:
            self._closed, self._queue = True, []
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # -- the thread

    def _run(self) -> None:
        try:
            with self._encoder.first_in_line():
                while (image := self._take()) is not None:
                    self._tell(image)
                    self._encode(image)
                    self._tell(image)
        except Exception as error:
            # A store that does not answer: whoever clicks is told; the next image is tried anew.
            _log.warning("nothing more is encoded ahead for now: %s", error)
            with self._changed:
                self._queue, self._current, self._thread = [], None, None
                self._changed.notify_all()

    def _encode(self, image: ImageRecord) -> None:
        failure = ""
        try:
            self._encoder.embedding(self._read(image))
        except Exception as error:
            # Nobody waits for it: the image's lamp says so, and a click on it raises the same again.
            _log.info("%s was not encoded ahead: %s", image.filename, error)
            failure = str(error) or type(error).__name__
        with self._changed:
            self._current = None
            if failure:
                self._failed[image.id] = failure

    def _take(self) -> ImageRecord | None:
        with self._changed:
            while self._queue:
                self._current = self._queue.pop(0)
                if not self._encoder.has(self._current):
                    return self._current
            self._current = self._thread = None
            self._changed.notify_all()
            return None

    def _tell(self, image: ImageRecord) -> None:
        with self._changed:
            listeners = list(self._listeners)
        lamp = self.lamp(image)
        for listener in listeners:
            try:
                listener(image, lamp)
            except Exception:
                _log.exception("a listener failed")
