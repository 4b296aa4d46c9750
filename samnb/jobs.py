"""`Job`, slow work in a background thread; `Event`, one step of it; `Signal`, which calls listeners.

A `Job` runs a generator of `Event`s in its own thread. It returns at once and can be awaited: while
a cell awaits, JupyterLab handles clicks; while a cell blocks (`Job.wait`), it does not.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from .cards import count_text

__all__ = ["Event", "Job", "JobControl", "Signal", "found_text", "summary_text"]

_log = logging.getLogger("samnb.jobs")

LOOK_EVERY = 1.0
"""Seconds after which a thread that waits for a job looks for signals."""

Status = Literal["found", "computed", "skipped", "failed", "done"]
State = Literal["running", "paused", "done", "cancelled", "failed"]


@dataclass(frozen=True, repr=False)
class Event:
    """One step of a prewarm, an apply or an addition of images; the last event has status "done".

    Parameters
    ----------
    status : {"found", "computed", "skipped", "failed", "done"}
        "found": the images are still being counted, or, with "to_read" in the details, are read before the work
        begins; `index` is their number so far.
    index : int
        1 for the first image.
    total : int
        Number of images.
    filename : str
        Of the image the event is about; "" in the last event.
    ms : float
        Milliseconds this image took.
    details : dict
        More fields, merged into `as_dict`: the error of a failed image, counts of the last event. ``images``: the
        number of images that the event represents, if it is not 1.

    Examples
    --------
    >>> Event("skipped", index=5, total=50, filename="img.jpg", ms=5).as_dict()
    {'index': 5, 'total': 50, 'filename': 'img.jpg', 'skipped': True, 'ms': 5}
    """

    status: Status
    index: int = 0
    total: int = 0
    filename: str = ""
    ms: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The event as the server version streamed it: `status` becomes a key that is true."""
        if self.status == "done":
            return {"done": True, "total": self.total, **self.details}
        return {
            "index": self.index,
            "total": self.total,
            "filename": self.filename,
            self.status: True,
            "ms": round(self.ms) if self.ms >= 1 else self.ms,
            **self.details,
        }

    @property
    def images(self) -> int:
        """Number of images that the event represents; 0 for "found" and "done"."""
        return 0 if self.status in ("found", "done") else self.details.get("images", 1)

    def __repr__(self) -> str:
        shown = {name: value for name, value in self.as_dict().items() if name not in (self.status, "done", "report")}
        return f"<Event {self.status}: {', '.join(f'{name} {value}' for name, value in shown.items())}>"

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A field of `as_dict`, or `default`."""
        return self.as_dict().get(name, default)


class JobControl:
    """Pause and cancel switches, which the work reads between two images."""

    def __init__(self) -> None:
        self._may_run = threading.Event()
        self._may_run.set()
        self._cancelled = threading.Event()

    def go_on(self) -> bool:
        """Block while paused; False once cancelled."""
        self._may_run.wait()
        return not self._cancelled.is_set()

    @property
    def cancelled(self) -> bool:
        """True once cancelled."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Let `go_on` return False, also in a thread that waits in it."""
        self._cancelled.set()
        self._may_run.set()

    def pause(self) -> None:
        """Let `go_on` block; without effect once cancelled."""
        self._may_run.clear()
        if self.cancelled:  # also just now, by another thread
            self._may_run.set()

    def resume(self) -> None:
        """Let `go_on` return again."""
        self._may_run.set()

    @property
    def paused(self) -> bool:
        """True while `go_on` blocks."""
        return not self._may_run.is_set()


class Job:
    """Slow work in the background. Await it, `wait()` for it, or read its `events` while it runs.

    Parameters
    ----------
    name : str
        Shown to the user: "prewarm", "apply coins".
    work : callable
        Takes a `JobControl`, yields values of `Event`; the last one has status "done".
    total : int
        Number of images, for a progress bar before the first event; the events update it.
    start : bool
        Start at once, in a thread. False: `run` does the work.

    Examples
    --------
    >>> job = Job("count", lambda control: iter([Event("done", total=0)]))
    >>> job.wait().status
    'done'
    """

    def __init__(self, name: str, work: Callable[[JobControl], Iterator[Event]], *, total: int = 0, start: bool = True):
        self.name = name
        self.total = total
        self.control = JobControl()
        self.started = time.monotonic()
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._listeners: list[Callable[[Event], None]] = []
        self._finished = threading.Event()
        self._when_finished: list[Callable[[], None]] = []
        self._error: BaseException | None = None
        self._work = work
        self.in_background = start
        if start:
            threading.Thread(target=self._run, name=f"samnb {name}", daemon=True).start()

    # -- control -----------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop after the current image; finished images stay finished."""
        self.control.cancel()

    def pause(self) -> None:
        """Stop after the current image until `resume`."""
        self.control.pause()

    def resume(self) -> None:
        """Continue after `pause`."""
        self.control.resume()

    def wait(self, timeout: float | None = None) -> Event:
        """Block until the work ends and return its last event.

        Raises
        ------
        TimeoutError
            After `timeout` seconds; the work continues.
        Exception
            The error that ended the work early.
        """
        end = None if timeout is None else time.monotonic() + timeout
        # Not in one wait: a signal that comes just before it begins does not interrupt it, and would wait for its end.
        while not self._finished.wait(LOOK_EVERY if end is None else min(LOOK_EVERY, max(0.0, end - time.monotonic()))):
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"{self.name} is still running after {timeout:g} s; it goes on in the background.")
        return self._outcome()

    def run(self, *, every: Callable[[], None] = lambda: None) -> Event:
        """Do the work in this thread, for a job that was not started; returns its last event.

        The first Ctrl+C (or interrupt of the kernel) cancels: the current image is finished and kept. The second one
        stops at once.

        Parameters
        ----------
        every : callable
            Called after each event.

        Raises
        ------
        Exception
            The error that ended the work early.
        """
        try:
            with _ctrl_c_cancels(self.control):
                for event in self._work(self.control):
                    self._publish(event)
                    every()
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._finish()
        return self._outcome()

    def run_to_report(self, *, every: Callable[[], None] = lambda: None) -> Any:
        """Do the work as `run` does, and return the "report" in the details of its last event.

        Raises
        ------
        KeyboardInterrupt
            The job was cancelled; the message is the report of what was done before.
        """
        report = self.run(every=every).details["report"]
        if self.control.cancelled:
            raise KeyboardInterrupt(f"Stopped: {report} · the same call goes on from there")
        return report

    def __await__(self) -> Generator[Any, None, Event]:
        return self._wait_in_loop().__await__()

    # -- events ------------------------------------------------------------------------------------

    @property
    def events(self) -> tuple[Event, ...]:
        """All events so far."""
        with self._lock:
            return tuple(self._events)

    @property
    def state(self) -> State:
        """running, paused, done, cancelled or failed."""
        if self._finished.is_set():
            if self._error is not None:
                return "failed"
            return "cancelled" if self.control.cancelled else "done"
        return "paused" if self.control.paused else "running"

    @property
    def error(self) -> BaseException | None:
        """The error that ended the work early, or None."""
        return self._error

    @property
    def summary(self) -> Event | None:
        """The last event once the work has ended, else None."""
        return self._events[-1] if self._finished.is_set() and self._events else None

    def subscribe(self, listener: Callable[[Event], None], *, finished: Callable[[], None] | None = None) -> None:
        """Call `listener` with every event, also the past ones, and `finished` once at the end.

        Both are called on the event loop's thread when a loop runs here (a notebook), because only that thread may
        touch widgets, and on the worker's thread otherwise.
        """
        on_loop = _calls_on_this_loop()
        with self._lock:
            past = tuple(self._events)
            self._listeners.append(lambda event: on_loop(_guarded(listener, event)))
            ended = self._finished.is_set()
            if finished is not None and not ended:
                self._when_finished.append(lambda: on_loop(_guarded(finished)))
        for event in past:
            _guarded(listener, event)()
        if ended and finished is not None:
            _guarded(finished)()

    def __repr__(self) -> str:
        done = sum(event.images for event in self.events)
        return f"<Job {self.name}: {self.state}, {done}/{self.total}>"

    # -- inside ------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            for event in self._work(self.control):
                self._publish(event)
        except BaseException as error:
            # The error must not be lost with the thread: wait(), await and the progress widget show it.
            _log.warning("%s ended early: %s: %s", self.name, type(error).__name__, error)
            self._error = error
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._finished.set()
            callbacks = list(self._when_finished)
        for callback in callbacks:
            callback()

    def _publish(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)
            self.total = event.total or self.total
            listeners = list(self._listeners)
        for listener in listeners:
            listener(event)

    def _outcome(self) -> Event:
        if self._error is not None:
            raise self._error
        return self._events[-1]

    async def _wait_in_loop(self) -> Event:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self._lock:
            if not self._finished.is_set():
                self._when_finished.append(lambda: _call_soon(loop, ended.set))
            else:
                ended.set()
        await ended.wait()
        return self._outcome()


def _calls_on_this_loop() -> Callable[[Callable[[], None]], None]:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return lambda call: call()
    here = threading.get_ident()
    # If `Job.run` blocks the loop's own thread, the call is made at once; the loop would make it after the end.
    return lambda call: call() if threading.get_ident() == here else _call_soon(loop, call)


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        # The kernel is shutting down: its loop was closed during the work.
        _log.debug("event loop closed before the last event of a job")


@contextmanager
def _ctrl_c_cancels(control: JobControl) -> Iterator[None]:
    """The first Ctrl+C finishes the current image and stops, the second raises `KeyboardInterrupt`."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # the program handles this signal itself
        return

    def cancel(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        control.cancel()

    signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _guarded(call: Callable[..., None], *args: Any) -> Callable[[], None]:
    def run() -> None:
        try:
            call(*args)
        except Exception:
            # A broken listener must not end the work, nor stop the other listeners.
            _log.exception("a listener of a job failed")

    return run


class Signal:
    """Calls its listeners, on the thread that emits and without a lock. Methods are held weakly.

    A signal of psygnal would call listeners under a lock, and stop at the first one that fails.

    Examples
    --------
    >>> signal, seen = Signal(), []
    >>> signal.subscribe(seen.append)
    >>> signal.emit("0123")
    >>> seen
    ['0123']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._references: list[Callable[[], Callable[..., object] | None]] = []

    def __bool__(self) -> bool:
        return bool(self._references)

    def subscribe(self, listener: Callable[..., object]) -> None:
        """Call it with the values of each `emit`."""
        bound = hasattr(listener, "__self__") and hasattr(listener, "__func__")
        with self._lock:
            alive = [other for other in self._references if other() is not None]
            self._references = [*alive, weakref.WeakMethod(listener) if bound else lambda: listener]  # type: ignore[arg-type]

    def unsubscribe(self, listener: Callable[..., object]) -> None:
        """Stop calling it."""
        with self._lock:
            self._references = [other for other in self._references if other() not in (None, listener)]

    def emit(self, *values: object) -> None:
        """Call the listeners; an error in one is logged, and the others are still called."""
        with self._lock:
            listeners = [reference() for reference in self._references]
        for listener in filter(None, listeners):
            try:
                listener(*values)
            except Exception:
                _log.exception("a listener failed")


def found_text(event: Event) -> str:
    """Text of a "found" event: what a job does before its first image.

    Examples
    --------
    >>> found_text(Event("found", index=300)), found_text(Event("found", index=300, details={"to_read": 1000}))
    ('Looking for pictures... 300 found', 'Reading pictures first... 300/1000')
    """
    if "to_read" in event.details:
        return f"Reading pictures first... {event.index}/{event.details['to_read']}"
    return f"Looking for pictures... {event.index} found"


def summary_text(event: Event) -> str:
    """Text that sums up a job, made from its last event.

    Examples
    --------
    >>> details = {"computed": 35, "skipped": 15, "failed": 0, "cache_size": 150}
    >>> summary_text(Event("done", total=50, details=details))
    'Dataset ready (cache: 150 embeddings, computed: 35, skipped: 15)'
    """
    fields = event.as_dict()
    if "summary" in fields:
        return f"Stopped: {fields['summary']}" if fields.get("cancelled") else fields["summary"]
    parts = [f"computed: {fields.get('computed', 0)}", f"skipped: {fields.get('skipped', 0)}"]
    if fields.get("failed"):
        parts.append(f"failed: {fields['failed']}")
    if fields.get("left_out"):
        parts.append(f"left out as done, empty or skip: {fields['left_out']}")
    if "masks" in fields:
        head = f"{count_text(fields['masks'], 'mask')} found"
    else:
        nothing = fields.get("failed") and not fields.get("computed") and not fields.get("skipped")
        head = "Nothing encoded" if nothing else "Dataset ready"
        parts.insert(0, f"cache: {count_text(fields.get('cache_size', 0), 'embedding')}")
    if fields.get("cancelled"):
        head = "Stopped" if "masks" not in fields else f"Stopped, {head}"
    return f"{head} ({', '.join(parts)})"
