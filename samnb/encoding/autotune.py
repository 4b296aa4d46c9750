"""How a run of many images goes fastest on this machine: found on its first images, kept for the session.

Three numbers: how many images the net takes at once, on how many processor threads it runs, and how many threads read
pictures for it. Nothing here measures: it is told seconds, and says what to try next. What is chosen changes embeddings
by roundings at most.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

__all__ = ["ENOUGH", "Choice", "Gate", "Pace", "Probe", "ThreadTrial", "readers_needed", "seconds_an_image"]

MOST_AT_ONCE = 64
ENOUGH = 8
"""Images: a shorter run is over before anything that is found could pay."""

STARVED = 6
"""Runs in a row with fewer images than the net would take: readers do not keep up, and larger ones are of no use."""

TRIES, PLAIN, SHARE = 3, 1.2, 0.05
"""Of one thread against all: pairs of runs at most, a ratio that needs no second pair, what of a run it may cost."""


@dataclass(frozen=True)
class Choice:
    """What was found.

    Parameters
    ----------
    batch : int
        Images at once.
    threads : int or None
        Processor threads of the net; None where they do not matter.
    readers : int
        Threads that read pictures.

    Examples
    --------
    >>> print(Choice(batch=1, threads=2, readers=1)), print(Choice(batch=16, threads=None, readers=8))
    1 image at once, on 2 threads, read by 1
    16 images at once, read by 8
    (None, None)
    """

    batch: int
    threads: int | None
    readers: int

    def __str__(self) -> str:
        on = "" if self.threads is None else f", on {self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.batch} image{'s' * (self.batch > 1)} at once{on}, read by {self.readers}"


class Pace:
    """How many images the encoder takes at once: a fixed number, or doubled as long as images go faster.

    Parameters
    ----------
    fixed : int, optional
        None: look for it, from 1.

    Examples
    --------
    >>> pace = Pace()
    >>> for seconds in (1.0, 0.5, 0.6, 0.6, 1.19, 1.19):  # the first run of each size warms up
    ...     pace.note(pace.size, seconds)
    >>> pace.size
    2
    """

    def __init__(self, fixed: int | None = None):
        self.size = fixed or 1
        self.searching = fixed is None
        self._warm = False
        self._best = 0.0  # images a second

    def note(self, count: int, seconds: float) -> None:
        """So many images were encoded in so many seconds."""
        if not self.searching or count != self.size:
            return
        if not self._warm:
            self._warm = True
            return
        rate = count / max(seconds, 1e-9)
        if rate < self._best * 1.05:
            self.size, self.searching = self.size // 2, False
        elif self.size < MOST_AT_ONCE:
            self.size, self._warm, self._best = self.size * 2, False, rate
        else:
            self.searching = False


class ThreadTrial:
    """On how many processor threads a net runs: on all, or on one, which leaves the others to those who read.

    Runs alternate, so that what else the machine does meets both; one pair is enough where the difference is plain.

    Parameters
    ----------
    usual : int
        All: what torch takes by itself.
    cores : int
        Processors of this machine.

    Examples
    --------
    >>> trial = ThreadTrial(2, cores=2)
    >>> while not trial.settled:
    ...     trial.note(1.0 if trial.threads == 2 else 1.7, reading=0.1)
    >>> trial.threads
    2
    """

    def __init__(self, usual: int, *, cores: int):
        self.threads, self.settled = usual, usual == 1
        self._usual, self._cores = usual, cores
        self._seconds: dict[int, list[float]] = {usual: [], 1: []}

    @staticmethod
    def worthwhile(usual: int, left: int) -> bool:
        """Whether so many images are left that a try on one thread, at worst `usual` times as slow, is little."""
        return usual > 1 and left >= max(ENOUGH, (usual - 1) / SHARE)

    def note(self, seconds: float, *, reading: float) -> None:
        """The last run, on `threads`, took so long; to read a picture takes a processor `reading` seconds."""
        if self.settled:
            return
        self._seconds[self.threads].append(seconds)
        tried = len(self._seconds[1])
        if tried == len(self._seconds[self._usual]):
            many, one = (
                seconds_an_image(median(self._seconds[threads]), threads, reading, self._cores)
                for threads in (self._usual, 1)
            )
            self.settled = tried == TRIES or not 1 / PLAIN < one / many < PLAIN
            if self.settled:
                self.threads = 1 if one < many else self._usual
                return
        self.threads = 1 if self.threads == self._usual else self._usual


def seconds_an_image(encode: float, threads: int, reading: float, cores: int) -> float:
    """What an image takes in a long run: the net's time, or all the work over all processors.

    >>> seconds_an_image(0.05, 2, 0.2, cores=2), seconds_an_image(0.06, 1, 0.2, cores=2)
    (0.15000000000000002, 0.13)
    """
    return max(encode, (reading + threads * encode) / cores)


def readers_needed(waiting: float, encode: float, *, most: int) -> int:
    """How many threads read, so that the net never waits: twice as many as just keep up, for pictures differ.

    Parameters
    ----------
    waiting : float
        Seconds until one picture is read, with what the disk or the network takes.
    encode : float
        Seconds of the net for one image.

    Examples
    --------
    >>> readers_needed(0.2, 10.0, most=8), readers_needed(0.2, 0.1, most=8), readers_needed(0.2, 0.01, most=8)
    (1, 4, 8)
    """
    return max(1, min(most, math.ceil(2 * waiting / max(encode, 1e-9))))


class Gate:
    """Lets so many threads in at the same time; how many may be changed.

    >>> gate = Gate(1)
    >>> with gate.passing():
    ...     gate.most = 2
    ...     with gate.passing():
    ...         pass
    """

    def __init__(self, most: int):
        self._most, self._inside = most, 0
        self._changed = threading.Condition()

    @property
    def most(self) -> int:
        """How many may be inside."""
        return self._most

    @most.setter
    def most(self, most: int) -> None:
        with self._changed:
            self._most = most
            self._changed.notify_all()

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait for a place, and be inside."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self._most)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify()


class Probe:
    """Puts together what the first images of a run say.

    Parameters
    ----------
    pace : Pace
        Of the images at once.
    trial : ThreadTrial, optional
        None: the threads of the net are given, or do not matter.
    reads : sequence of (float, float)
        Of each picture that was read lately, seconds, and those that a processor was busy; others add to it.
    readers : int, optional
        None: to be found.
    most_readers : int
    threads : int, optional
        Of the net, where there is no trial.

    Examples
    --------
    >>> probe = Probe(Pace(1), ThreadTrial(2, cores=2), reads=[(0.3, 0.2)], most_readers=2)
    >>> for _ in range(4):
    ...     probe.ran(1, 1.0 if probe.threads == 2 else 1.9)
    >>> probe.choice
    Choice(batch=1, threads=2, readers=1)
    """

    def __init__(
        self,
        pace: Pace,
        trial: ThreadTrial | None = None,
        *,
        reads: Sequence[tuple[float, float]],
        readers: int | None = None,
        most_readers: int,
        threads: int | None = None,
    ):
        self.pace, self.trial = pace, trial
        self.choice: Choice | None = None
        self._reads, self._threads, self._most = reads, threads, most_readers
        self._given, self.readers = readers, readers
        self._starved = 0
        self._runs: deque[float] = deque(maxlen=3)

    @property
    def threads(self) -> int | None:
        """Of the net's next run; None: as it likes."""
        return self._threads if self.trial is None else self.trial.threads

    def ran(self, count: int, seconds: float) -> None:
        """The net, warmed up, took so many images, on `threads`, in so many seconds."""
        if self.choice is not None or not self._reads:
            return
        waiting, busy = (median(values) for values in zip(*list(self._reads), strict=True))
        self._starved = self._starved + 1 if count < self.pace.size else 0
        if self._starved == STARVED:
            self.pace.searching = False
        self.pace.note(count, seconds)
        if self.trial is not None and not self.trial.settled:
            self.trial.note(seconds / count, reading=busy)
            return
        self._runs.append(seconds / count)
        self.readers = self._given or readers_needed(waiting, median(self._runs), most=self._most)
        if not self.pace.searching and len(self._runs) > 1:
            self.choice = Choice(self.pace.size, self.threads, self.readers)
