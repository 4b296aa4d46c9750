"""`Job`, slow work in a background thread; `Event`, one step of it; `Signal`, which calls listeners.

A `Job` runs a generator of `Event` values in its own thread. It returns at once and can be awaited: while
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
from typing import Any, Literal

from .at_exit import stop_at_exit
from .events import Event, found_text, summary_text
from .signals import Signal

__all__ = ["Event", "Job", "JobControl", "Signal", "found_text", "summary_text"]

_log = logging.getLogger("samnb.jobs")

LOOK_EVERY = 1.0
"""Seconds after which a thread that waits for a job looks for signals."""

State = Literal["running", "paused", "done", "cancelled", "failed"]


class JobControl:
    """Pause and cancel switches, which the work reads between two images.

    Examples
    --------
    Work of your own that can be paused and cancelled asks `go_on` before each step.

    >>> def count(control):
    ...     index = 0
    ...     while index < 5 and control.go_on():
    ...         index += 1
    ...         yield Event("computed", index=index, total=5)
    ...     yield Event("done", total=5, details={"computed": index})
    >>> Job("count", count, total=5).wait()["computed"]
    5
    """

    def __init__(self) -> None:
        self._may_run = threading.Event()
        self._may_run.set()
        self._cancelled = threading.Event()

    def go_on(self) -> bool:
        """Block while paused; then say whether to continue.

        Returns
        -------
        bool
            False once cancelled.

        Examples
        --------
        >>> control = JobControl()
        >>> before, _ = control.go_on(), control.cancel()
        >>> before, control.go_on()
        (True, False)
        """
        self._may_run.wait()
        return not self._cancelled.is_set()

    @property
    def cancelled(self) -> bool:
        """True once cancelled."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Let `go_on` return False, also in a thread that waits in it. This cannot be undone.

        Examples
        --------
        >>> control = JobControl()
        >>> control.cancel()
        >>> control.cancelled
        True
        """
        self._cancelled.set()
        self._may_run.set()

    def pause(self) -> None:
        """Let `go_on` block; without effect once cancelled.

        Examples
        --------
        >>> control = JobControl()
        >>> control.pause()
        >>> control.paused
        True
        """
        self._may_run.clear()
        if self.cancelled:  # also just now, by another thread
            self._may_run.set()

    def resume(self) -> None:
        """Let `go_on` return again.

        Examples
        --------
        >>> control = JobControl()
        >>> control.pause()
        >>> control.resume()
        >>> control.paused, control.go_on()
        (False, True)
        """
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
    >>> def work(control):
    ...     yield Event("computed", index=1, total=1, filename="a.png")
    ...     yield Event("done", total=1, details={"computed": 1})
    >>> job = Job("count", work, total=1)
    >>> job.wait().status, [event.filename for event in job.events], job.state
    ('done', ['a.png', ''], 'done')
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
            stop_at_exit(self)
            threading.Thread(target=self._run, name=f"samnb {name}", daemon=True).start()

    # -- control -----------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop after the current image; finished images stay finished.

        Without effect on a job that has ended.

        Examples
        --------
        >>> job = Job("count", lambda control: iter([Event("done")]), start=False)
        >>> job.cancel()
        >>> _ = job.run()
        >>> job.state
        'cancelled'
        """
        self.control.cancel()

    def pause(self) -> None:
        """Stop after the current image until `resume`. `cancel` ends a paused job too.

        Examples
        --------
        >>> job = Job("count", lambda control: iter([Event("done")]), start=False)
        >>> job.pause()
        >>> job.state
        'paused'
        """
        self.control.pause()

    def resume(self) -> None:
        """Continue after `pause`.

        Examples
        --------
        >>> job = Job("count", lambda control: iter([Event("done", details={"ran": control.go_on()})]), start=False)
        >>> job.pause()
        >>> job.resume()
        >>> job.run()["ran"]
        True
        """
        self.control.resume()

    def wait(self, timeout: float | None = None) -> Event:
        """Block until the work ends and return its last event.

        In a notebook ``await job`` does the same, and the page stays alive meanwhile.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; 0 only looks. None: as long as the work takes.

        Returns
        -------
        Event
            The last one, with status "done".

        Raises
        ------
        TimeoutError
            After `timeout` seconds; the work continues.
        Exception
            The error that ended the work early.

        Examples
        --------
        >>> job = Job("count", lambda control: iter([Event("done", total=6, details={"computed": 6})]))
        >>> job.wait(timeout=60)["computed"]
        6
        """
        end = None if timeout is None else time.monotonic() + timeout
        # Not in one wait: a signal that comes just before it begins does not interrupt it, and would wait for its end.
        while not self._finished.wait(LOOK_EVERY if end is None else min(LOOK_EVERY, max(0.0, end - time.monotonic()))):
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"{self.name} is still running after {timeout:g} s; it goes on in the background.")
        return self._outcome()

    def run(self, *, every: Callable[[], None] = lambda: None) -> Event:
        """Do the work in this thread, once, for a job that was not started.

        The first Ctrl+C (or interrupt of the kernel) cancels: the current image is finished and kept. The second one
        stops at once.

        Parameters
        ----------
        every : callable
            Called without arguments after each event; its error ends the work.

        Returns
        -------
        Event
            The last one, with status "done".

        Raises
        ------
        KeyboardInterrupt
            At the second Ctrl+C.
        Exception
            The error that ended the work early, or that of `every`.

        Examples
        --------
        >>> job = Job("count", lambda control: iter([Event("computed", index=1), Event("done", total=1)]), start=False)
        >>> calls = []
        >>> job.run(every=lambda: calls.append(job.events[-1].status)).total, calls
        (1, ['computed', 'done'])
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

        Parameters
        ----------
        every : callable
            As in `run`.

        Returns
        -------
        object
            The report: of `Session.add_job`, what `Session.add` returns.

        Raises
        ------
        KeyboardInterrupt
            The job was cancelled; the message is the report of what was done before.
        KeyError
            The last event has no report.
        Exception
            As in `run`.

        Examples
        --------
        >>> last = Event("done", details={"report": "6 images added"})
        >>> Job("add", lambda control: iter([last]), start=False).run_to_report()
        '6 images added'
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

        Parameters
        ----------
        listener : callable
            Takes an `Event`. An error in it is logged; the work and the other listeners go on.
        finished : callable, optional
            Takes no arguments; also called after a cancel or an error, and at once if the job has ended.

        Examples
        --------
        >>> job = Job("count", lambda control: iter([Event("computed", index=1), Event("done")]), start=False)
        >>> seen = []
        >>> job.subscribe(lambda event: seen.append(event.status), finished=lambda: seen.append("the end"))
        >>> _ = job.run()
        >>> seen
        ['computed', 'done', 'the end']
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

    def _stop(self) -> None:
        if not self._finished.is_set():
            _log.warning("%s stops, since the process ends: wait() waits for it", self.name)
            self.cancel()

    def _wait_for_end(self, timeout: float) -> bool:
        return self._finished.wait(timeout)

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
