"""`Coordinator`: gives bundles of images to the workers of a pool, and yields what they return.

A bundle takes a worker some seconds: its size follows from the first bundles, of four images. Each worker has two
bundles a thread, so that it never waits, and no more, so that a pause or a lost worker costs little. The bundles of a
lost worker are done again elsewhere, by workers that have no other bundle: a worker may end before it could report
the bundle before, and which one ended it would be a guess. The bundle it was working on is split: if one image ends its
worker each time, it is alone in its bundle after two or three losses; alone, it may end three workers, and is then
reported as failed. That is six workers at most.
"""

from __future__ import annotations

import logging
import math
import pickle
import queue
import time
import uuid
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..cards import count_text
from ..errors import WorkersLost
from ..jobs import JobControl
from .bundle import Bundle, Done, Work
from .pool import Handle, Pool, Worker

PROBE = 4
"""Images of the first bundles, from which the time of an image is learned."""
LARGEST = 256
"""Images of the largest bundle: of a fast GPU."""
PARTS = 16
"""Parts into which the bundle of a lost worker is split."""
LOSSES_ALONE = 3
"""Workers that an image may end, alone in its bundle, before it counts as failed."""

_PER_THREAD = 2  # bundles of a worker
_POLL = 0.1  # seconds
_LAST_RESULTS = 1.5  # seconds that a cancel waits for images that have begun
_log = logging.getLogger("samnb.workers")

Results = list[tuple[Any, Done]]


@dataclass(frozen=True)
class _Part:
    """Images that have to be done in one bundle.

    `losses` counts the workers that a single one has ended. A suspect is done by a worker without another bundle.
    """

    items: tuple[Any, ...]
    losses: int = 0
    suspect: bool = False


class Coordinator:
    """One run of a work over many images; `run` does it, once.

    Parameters
    ----------
    pool : Pool
    work : Work
    control : JobControl
        A pause lets workers finish their current image; a cancel too, and ends the run.
    total : int
        The number of images, so that the last bundles are small; 0: not known.
    """

    def __init__(self, pool: Pool, work: Work, control: JobControl, *, total: int = 0):
        self._pool, self._control, self._total = pool, control, total
        self._work = pickle.dumps(work)
        self._run = _new_run()
        self._again: deque[_Part] = deque()
        self._parts: dict[Handle, _Part] = {}
        self._unfit: dict[str, str] = {}
        self._seconds = 0.0  # of one image
        self._begun = 0
        self._exhausted = self._looking = False
        self._threads: dict[str, int] = {}
        self.lost = 0
        """Number of workers that were lost."""

    @property
    def pace(self) -> str:
        """The workers, in words, for a progress display."""
        count = len(self._pool.workers()) - len(self._unfit)
        words = count_text(count, "worker") if count > 0 else "waiting for workers"
        return words + (f", {self.lost} lost" if self.lost else "")

    def run(self, items: Iterator[Any]) -> Generator[Results]:
        """Do all images; yields results as they come, and an empty list now and then.

        Parameters
        ----------
        items : iterator
            The images as the work takes them. None among them means that the next one is not known yet, and that it may
            be asked for again at once: an iterator that waits for something sleeps itself.

        Raises
        ------
        WorkersLost
            No worker can be reached any more, or none is able to do this work.
        """
        try:
            while True:
                if self._control.paused or self._control.cancelled:
                    yield from self._halted()
                    if not self._control.go_on():
                        return
                    self._run = _new_run()
                self._hand_out(items)
                if self._exhausted and not self._parts and not self._again:
                    return
                yield self._collect() + self._replace_lost()
        finally:
            self._abandon()

    # -- giving

    def _hand_out(self, items: Iterator[Any]) -> None:
        workers = self._fit()
        taken = {handle.worker for handle, part in self._parts.items() if part.suspect}
        free = {
            name: _PER_THREAD * worker.threads - self._held_by(name)
            for name, worker in workers.items()
            if name not in taken
        }
        self._looking = False
        while free and max(free.values()) > 0:
            name = max(free, key=lambda one: free[one])
            part = self._waiting(idle=not self._held_by(name)) or self._next(items, self._size(workers, name))
            if part is None and any(one.suspect for one in self._again):
                del free[name]  # others may have no bundle
                continue
            if part is None:
                # Workers are free: what they can have is looked for without a pause.
                self._looking = not self._exhausted
                return
            handle = self._pool.submit(name, Bundle(self._run, self._work, part.items))
            self._parts[handle] = part
            free[name] -= 1
            if part.suspect:
                del free[name]

    def _waiting(self, *, idle: bool) -> _Part | None:
        """The first of what is to be done again that a worker may get, idle or not."""
        part = next((one for one in self._again if idle or not one.suspect), None)
        if part is not None:
            self._again.remove(part)
        return part

    def _fit(self) -> dict[str, Worker]:
        workers: Mapping[str, Worker] = self._pool.workers()
        self._unfit = {name: reason for name, reason in self._unfit.items() if name in workers}
        if workers and len(self._unfit) == len(workers):
            name, reason = next(iter(self._unfit.items()))
            raise WorkersLost(
                f"None of {len(workers)} workers can do this work; {name or 'the executor'}: {reason}. Workers need "
                "samnb, the model's weights, and either the session's folder or a remote tier of the store."
            )
        return {name: worker for name, worker in workers.items() if name not in self._unfit}

    def _held_by(self, worker: str) -> int:
        return sum(handle.worker == worker for handle in self._parts)

    def _size(self, workers: Mapping[str, Worker], name: str) -> int:
        if not self._seconds:
            return PROBE
        size = min(LARGEST, max(1, int(workers[name].seconds / self._seconds)))
        if not self._total:
            return size
        left = max(1, self._total - self._begun)
        return min(size, math.ceil(left / (_PER_THREAD * sum(worker.threads for worker in workers.values()))))

    def _next(self, items: Iterator[Any], size: int) -> _Part | None:
        taken: list[Any] = []
        while len(taken) < size and not self._exhausted:
            try:
                item = next(items)
            except StopIteration:
                self._exhausted = True
                break
            if item is None:
                break
            taken.append(item)
        self._begun += len(taken)
        return _Part(tuple(taken)) if taken else None

    # -- taking

    def _collect(self) -> Results:
        found: Results = []
        wait = 0.0 if self._looking else _POLL
        while True:
            try:
                handle = self._pool.reported.get(timeout=wait)
            except queue.Empty:
                return found
            wait = 0.0
            if handle in self._parts:
                found += self._take(handle)

    def _take(self, handle: Handle) -> Results:
        handle.reported = True
        result = self._pool.result(handle)
        part = self._parts.pop(handle)
        if result is None or result.unfit:
            self._again.appendleft(part)
            if result is not None:
                _log.warning("worker %s gets no more work: %s", handle.worker, result.unfit)
                self._unfit[handle.worker] = result.unfit
            return []
        if result.done:
            of_this = result.seconds / len(result.done)
            self._seconds = of_this if not self._seconds else 0.7 * self._seconds + 0.3 * of_this
        there = {done.index for done in result.done}
        if left := tuple(item for index, item in enumerate(part.items) if index not in there):
            self._again.appendleft(replace(part, items=left))
        return [(part.items[done.index], done) for done in result.done]

    def _replace_lost(self) -> Results:
        """Put what lost workers had back in line; returns the images that have ended too many of them."""
        workers = self._pool.workers()
        found: Results = []
        for name in {handle.worker for handle in self._parts} - set(workers):
            self.lost += 1
            held = [handle for handle in self._parts if handle.worker == name]
            # In their order: a worker begins with the first.
            begun = [handle for handle in held if not handle.reported][: self._threads.get(name, 1)]
            self._pool.forget(held)
            for handle in reversed(held):
                part = self._parts.pop(handle)
                found += self._split(part, name) if handle in begun else self._put_back(part)
            _log.warning("worker %s is lost; its bundles are done again", name)
        self._threads = {name: worker.threads for name, worker in workers.items()} | {
            name: count for name, count in self._threads.items() if self._held_by(name)
        }
        return found

    def _put_back(self, part: _Part) -> Results:
        self._again.appendleft(replace(part, suspect=True))
        return []

    def _split(self, part: _Part, worker: str) -> Results:
        if len(part.items) > 1:
            size = math.ceil(len(part.items) / PARTS)
            starts = range(0, len(part.items), size)
            parts = [_Part(part.items[start : start + size], suspect=True) for start in starts]
            self._again.extendleft(reversed(parts))
            return []
        if part.losses + 1 < LOSSES_ALONE:
            self._again.appendleft(_Part(part.items, part.losses + 1, suspect=True))
            return []
        reason = (
            f"it ended {LOSSES_ALONE} workers, alone, the last one {worker}: reading or encoding it ends Python, or "
            "takes more memory than a worker has. The log of the worker says which; open the file by itself."
        )
        return [(part.items[0], Done(0, error=reason, error_type="WorkersLost"))]

    # -- ending

    def _halted(self) -> Generator[Results]:
        """Let workers finish their current image, after a pause or a cancel."""
        self._pool.stop(self._run)
        for handle in self._pool.cancel(list(self._parts)):
            self._again.appendleft(self._parts.pop(handle))
        until = time.monotonic() + _LAST_RESULTS
        while self._parts and not (self._control.cancelled and time.monotonic() > until):
            yield self._collect() + self._replace_lost()

    def _abandon(self) -> None:
        """Leave no bundle running, whatever ended the run."""
        if not self._parts:
            return
        try:
            self._pool.stop(self._run)
            self._pool.cancel(list(self._parts))
            self._pool.forget(list(self._parts))
        except Exception as error:  # the run ends because of a lost scheduler: nothing can be told to its workers
            _log.debug("%d bundles could not be stopped: %r", len(self._parts), error)
        self._parts.clear()


def _new_run() -> str:
    return uuid.uuid4().hex[:12]
