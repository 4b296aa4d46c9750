"""A worker thread for slow calls: one slot per priority, the latest call wins, callbacks run on the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ...at_exit import stop_at_exit

_log = logging.getLogger("samnb.widgets")

# Maximum time that a callback waits for the event loop.
_LOOP_SECONDS = 0.15

Work = Callable[[], Any]
Answer = Callable[[Any, Exception | None], None]


class LatestOnlyWorker:
    """Runs one call at a time. Of the waiting calls, only the latest of each priority is kept.

    Priority 0 goes before 1, so a click waits for one preview at most, even with many waiting moves of the mouse.

    Coalescing in the kernel's event loop is not enough: after a burst of clicks it would still handle every one
    of them. Answers are called on the event loop that ran when this object was made, or on the worker's thread
    if there is none, or if a cell blocks it.

    Examples
    --------
    >>> worker = LatestOnlyWorker()
    >>> worker.submit(lambda: 6 * 7, lambda value, error: print(value, error))
    >>> worker.wait()
    42 None
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._slots: dict[int, tuple[Work, Answer]] = {}
        self._thread: threading.Thread | None = None
        self._ends = False
        self._answers: deque[Callable[[], None]] = deque()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        stop_at_exit(self)

    @property
    def busy(self) -> bool:
        """True while a call runs or waits for its turn."""
        with self._changed:
            return self._thread is not None

    @property
    def pending(self) -> bool:
        """True while an answer waits to be called."""
        return bool(self._answers)

    def submit(self, work: Work, answer: Answer, *, priority: int = 0) -> None:
        """Run `work`, then call `answer(value, None)` or `answer(None, error)`; replaces what waits there."""
        with self._changed:
            if self._ends:
                return
            self._slots[priority] = (work, answer)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="samnb widget", daemon=True)
                thread.start()
                self._thread = thread

    def cancel(self, *, priority: int = 0) -> None:
        """Drop the call that waits with that priority."""
        with self._changed:
            self._slots.pop(priority, None)

    def flush(self) -> None:
        """Call the waiting answers now."""
        while True:
            try:
                answer = self._answers.popleft()
            except IndexError:
                return
            answer()

    def wait(self, timeout: float = 30.0) -> None:
        """Block until nothing runs, then `flush`.

        Raises
        ------
        TimeoutError
            After `timeout` seconds; the call continues.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._thread is None, timeout):
                raise TimeoutError(f"The widget's worker is still busy after {timeout:g} s.")
        self.flush()

    def _stop(self) -> None:
        with self._changed:
            self._ends = True
            self._slots.clear()

    def _wait_for_end(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._slots:
                    self._thread = None
                    self._changed.notify_all()
                    return
                work, answer = self._slots.pop(min(self._slots))
            self._answers.append(_called(work, answer))
            self._deliver()

    def _deliver(self) -> None:
        taken = threading.Event()

        def take() -> None:
            taken.set()
            self.flush()

        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(take)
            except RuntimeError:
                # The loop was closed: the kernel is shutting down.
                _log.debug("event loop closed before an answer of the worker")
                return
        # A blocking cell holds up the loop, but the clicks of some kernels come on other threads: they are handled.
        if not taken.wait(_LOOP_SECONDS if self._loop is not None else 0):
            self.flush()


def _called(work: Work, answer: Answer) -> Callable[[], None]:
    """Run the work; the returned function passes its result on, and keeps a failing callback from ending the thread."""
    value, error = None, None
    try:
        value = work()
    except Exception as problem:
        error = problem

    def call() -> None:
        try:
            answer(value, error)
        except Exception:
            _log.exception("an answer of the widget's worker failed")

    return call
