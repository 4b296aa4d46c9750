"""Slow work off the kernel's main thread, and its news brought back.

A `Job` runs a generator of `Event`s in a thread of its own. It returns at once and can be awaited: while
a cell awaits, JupyterLab handles clicks; while a cell blocks (`Job.wait`), it does not.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Event", "Job", "JobControl"]

_log = logging.getLogger("samnb.jobs")

Status = Literal["found", "computed", "skipped", "failed", "done"]
State = Literal["running", "paused", "done", "cancelled", "failed"]


@dataclass(frozen=True, repr=False)
class Event:
    """One piece of news of a prewarm, an apply or an adding; the last has status "done".

    Parameters
    ----------
    status : {"found", "computed", "skipped", "failed", "done"}
        "found": the work is still being looked for, and `index` says how much there is so far.
    index : int
        1 for the first image.
    total : int
        How many images the work has.
    filename : str
        Of the image the event is about; "" in the last event.
    ms : float
        Milliseconds this image took.
    details : dict
        More fields, merged into `as_dict`: the error of a failed image, counts of the last event. ``images``: for how
        many images the event stands, where that is not one.

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
        """For how many images it stands: 0 when nothing was done yet, or all is."""
        return 0 if self.status in ("found", "done") else self.details.get("images", 1)

    def __repr__(self) -> str:
        said = {name: value for name, value in self.as_dict().items() if name not in (self.status, "done", "report")}
        return f"<Event {self.status}: {', '.join(f'{name} {value}' for name, value in said.items())}>"

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A field of `as_dict`, or `default`."""
        return self.as_dict().get(name, default)


class JobControl:
    """What the work asks between two images: go on, wait, or stop?"""

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
        """Let `go_on` answer False, also to somebody who is waiting in it."""
        self._cancelled.set()
        self._may_run.set()

    def pause(self) -> None:
        """Let `go_on` block; nothing to pause once cancelled."""
        if not self.cancelled:
            self._may_run.clear()

    def resume(self) -> None:
        """Let `go_on` answer again."""
        self._may_run.set()

    @property
    def paused(self) -> bool:
        """True while `go_on` blocks."""
        return not self._may_run.is_set()


class Job:
    """One running piece of work. Await it, `wait()` for it, or look at `events` while it runs.

    Parameters
    ----------
    name : str
        What is done, for people: "prewarm", "apply coins".
    work : callable
        Takes a `JobControl`, yields `Event`s, and ends with one whose status is "done".
    total : int
        How many images, for a progress bar that is drawn before the first event; later it is what the events say.
    start : bool
        Begin at once, in a thread. False: `run` does the work.

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

    # -- what the user does ------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop after the image in hand; what is finished stays finished."""
        self.control.cancel()

    def pause(self) -> None:
        """Stop after the image in hand until `resume`."""
        self.control.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self.control.resume()

    def wait(self, timeout: float | None = None) -> Event:
        """Block until the work ends and return its last event.

        Raises
        ------
        TimeoutError
            After `timeout` seconds; the work goes on.
        Exception
            Whatever ended the work before its time.
        """
        if not self._finished.wait(timeout):
            raise TimeoutError(f"{self.name} is still running after {timeout:g} s; it goes on in the background.")
        return self._outcome()

    def run(self, *, every: Callable[[], None] = lambda: None) -> Event:
        """Do the work here and now, in a job that was not started; returns its last event.

        The first Ctrl+C (or interrupt of the kernel) cancels, so that the image in hand is finished and kept; the
        second one breaks off.

        Parameters
        ----------
        every : callable
            Called after each event.

        Raises
        ------
        Exception
            Whatever ended the work before its time.
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

    def __await__(self) -> Generator[Any, None, Event]:
        return self._wait_in_loop().__await__()

    # -- what the work said ------------------------------------------------------------------------

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
        """What ended the work before its time, or None."""
        return self._error

    @property
    def summary(self) -> Event | None:
        """The last event once the work has ended, else None."""
        return self._events[-1] if self._finished.is_set() and self._events else None

    def subscribe(self, listener: Callable[[Event], None], *, finished: Callable[[], None] | None = None) -> None:
        """Call `listener` with every event, also the past ones, and `finished` once at the end.

        Both are called on the event loop's thread when there is one running here (a notebook), since only
        that thread may touch widgets, and on the worker's thread otherwise.
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
            # The thread must not die unheard: wait(), await and the progress widget show this error.
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
    # Work that blocks the loop's own thread (`Job.run`) is heard at once: later would be when it has ended.
    return lambda call: call() if threading.get_ident() == here else _call_soon(loop, call)


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        # The loop was closed while the work went on (kernel shutting down): nobody is left to tell.
        _log.debug("event loop closed before the last news of a job")


@contextmanager
def _ctrl_c_cancels(control: JobControl) -> Iterator[None]:
    """The first Ctrl+C lets the image in hand be finished, the second raises `KeyboardInterrupt`."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # whoever took the signal over decides
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
            # A broken listener must not end the work of everybody else.
            _log.exception("a listener of a job failed")

    return run
