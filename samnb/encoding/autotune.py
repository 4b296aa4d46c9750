"""`AutoTuner`: the fastest settings for encoding many images on this machine, found on the first images of a run.

The settings are the number of images in one run of the encoder (the batch size), its processor threads, and the threads
that read pictures. Nothing here measures time: it is given seconds and returns what to try next. The settings change
embeddings by rounding errors at most.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..cards import count_text
from ..models import HasThreads, Model, SupportsBatches

MAX_BATCH = 64
MAX_READERS, MAX_READERS_GPU = 8, 16
MIN_IMAGES_TO_TUNE = 8
"""Number of images; a shorter run ends before tuning pays."""

STARVED_RUNS = 6
"""Number of runs in a row on less than a full batch after which readers are too slow for larger ones."""

MAX_TRIALS, CLEAR_RATIO, MAX_TRIAL_SHARE = 3, 1.2, 0.05
"""Of one thread against all: pairs of runs, the ratio that decides after one pair, the share of a run it may cost."""


@dataclass(frozen=True)
class TuningResult:
    """The settings that were found.

    Parameters
    ----------
    batch : int
        Images in one run of the encoder.
    threads : int or None
        Processor threads of the encoder; None if they do not matter.
    readers : int
        Threads that read pictures.

    Examples
    --------
    >>> print(TuningResult(batch=1, threads=2, readers=1)), print(TuningResult(batch=16, threads=None, readers=8))
    1 image at a time on 2 threads, reading on 1 thread
    16 images at a time, reading on 8 threads
    (None, None)
    """

    batch: int
    threads: int | None
    readers: int

    def __str__(self) -> str:
        on = "" if self.threads is None else f" on {count_text(self.threads, 'thread')}"
        return f"{count_text(self.batch, 'image')} at a time{on}, reading on {count_text(self.readers, 'thread')}"


class BatchSizeSearch:
    """The batch size: fixed, or doubled for as long as that makes an image faster.

    Parameters
    ----------
    fixed : int, optional
        None: search, from 1.

    Examples
    --------
    >>> search = BatchSizeSearch()
    >>> for seconds in (1.0, 0.5, 0.6, 0.6, 1.19, 1.19):  # the first run of each size only warms up
    ...     search.record(search.size, seconds)
    >>> search.size
    2
    """

    def __init__(self, fixed: int | None = None):
        self.size = fixed or 1
        self.searching = fixed is None
        self._warm = False
        self._best = 0.0  # images per second

    def record(self, count: int, seconds: float) -> None:
        """Note a run: its number of images, and its seconds."""
        if not self.searching or count != self.size:
            return
        if not self._warm:
            self._warm = True
            return
        rate = count / max(seconds, 1e-9)
        if rate < self._best * 1.05:
            self.size, self.searching = self.size // 2, False
        elif self.size < MAX_BATCH:
            self.size, self._warm, self._best = self.size * 2, False, rate
        else:
            self.searching = False


class ThreadCountTrial:
    """Compares the encoder on all processor threads with one, which leaves the other processors to readers.

    Runs alternate, so that other load on the machine affects both. One pair decides where the difference is clear.

    Parameters
    ----------
    default : int
        All threads: torch's own choice.
    cores : int
        Processors of this machine.

    Examples
    --------
    >>> trial = ThreadCountTrial(2, cores=2)
    >>> while not trial.finished:
    ...     trial.record(1.0 if trial.threads == 2 else 1.7, reading=0.1)
    >>> trial.threads
    2
    """

    def __init__(self, default: int, *, cores: int):
        self.threads, self.finished = default, default == 1
        self._default, self._cores = default, cores
        self._seconds: dict[int, list[float]] = {default: [], 1: []}

    @staticmethod
    def worthwhile(default: int, left: int) -> bool:
        """Whether `left` images make up for a run on one thread, which is at worst `default` times as slow."""
        return default > 1 and left >= max(MIN_IMAGES_TO_TUNE, (default - 1) / MAX_TRIAL_SHARE)

    def record(self, seconds: float, *, reading: float) -> None:
        """Note the last run, on `threads`; `reading` is the processor time of reading one picture, in seconds."""
        if self.finished:
            return
        self._seconds[self.threads].append(seconds)
        tried = len(self._seconds[1])
        if tried == len(self._seconds[self._default]):
            many, one = (
                seconds_an_image(median(self._seconds[threads]), threads, reading, self._cores)
                for threads in (self._default, 1)
            )
            self.finished = tried == MAX_TRIALS or not 1 / CLEAR_RATIO < one / many < CLEAR_RATIO
            if self.finished:
                self.threads = 1 if one < many else self._default
                return
        self.threads = 1 if self.threads == self._default else self._default


def seconds_an_image(encode: float, threads: int, reading: float, cores: int) -> float:
    """Seconds per image in a long run: the encoder's, or all work divided by all processors, whichever is longer.

    >>> seconds_an_image(0.05, 2, 0.2, cores=2), seconds_an_image(0.06, 1, 0.2, cores=2)
    (0.15000000000000002, 0.13)
    """
    return max(encode, (reading + threads * encode) / cores)


def readers_needed(waiting: float, encode: float, *, limit: int) -> int:
    """Number of reading threads that keep the encoder busy: twice the minimum, since pictures differ.

    Parameters
    ----------
    waiting : float
        Seconds to read one picture, waiting for the disk or the network included.
    encode : float
        Seconds of the encoder for one image.
    limit : int

    Examples
    --------
    >>> readers_needed(0.2, 10.0, limit=8), readers_needed(0.2, 0.1, limit=8), readers_needed(0.2, 0.01, limit=8)
    (1, 4, 8)
    """
    return max(1, min(limit, math.ceil(2 * waiting / max(encode, 1e-9))))


class ResizableSemaphore:
    """A semaphore whose limit may be changed at any time.

    >>> semaphore = ResizableSemaphore(1)
    >>> with semaphore.acquired():
    ...     semaphore.limit = 2
    ...     with semaphore.acquired():
    ...         pass
    """

    def __init__(self, limit: int):
        self._limit, self._inside = limit, 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Number of threads that may be inside."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    @contextmanager
    def acquired(self) -> Iterator[None]:
        """Wait until fewer than `limit` threads are inside, then enter."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self._limit)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify()


class AutoTuner:
    """Finds batch size, encoder threads and readers from the first runs of the encoder.

    Parameters
    ----------
    search : BatchSizeSearch
    trial : ThreadCountTrial, optional
        None: the encoder's threads are given, or do not matter.
    reads : sequence of (float, float)
        Of each picture that was read lately: seconds, and processor seconds. The caller appends to it.
    readers : int, optional
        None: search.
    max_readers : int
    threads : int, optional
        Of the encoder, where there is no trial.

    Examples
    --------
    >>> tuner = AutoTuner(BatchSizeSearch(1), ThreadCountTrial(2, cores=2), reads=[(0.3, 0.2)], max_readers=2)
    >>> for _ in range(4):
    ...     tuner.record(1, 1.0 if tuner.threads == 2 else 1.9)
    >>> tuner.result
    TuningResult(batch=1, threads=2, readers=1)
    """

    def __init__(
        self,
        search: BatchSizeSearch,
        trial: ThreadCountTrial | None = None,
        *,
        reads: Sequence[tuple[float, float]],
        readers: int | None = None,
        max_readers: int,
        threads: int | None = None,
    ):
        self.search, self.trial = search, trial
        self.result: TuningResult | None = None
        self._reads, self._threads, self._max_readers = reads, threads, max_readers
        self._given_readers, self.readers = readers, readers
        self._starved = 0
        self._runs: deque[float] = deque(maxlen=3)

    @property
    def threads(self) -> int | None:
        """Threads of the encoder's next run; None: its own choice."""
        return self._threads if self.trial is None else self.trial.threads

    def record(self, count: int, seconds: float) -> None:
        """Note a run of the warmed-up encoder: its number of images, and its seconds."""
        if self.result is not None or not self._reads:
            return
        waiting, busy = (median(values) for values in zip(*list(self._reads), strict=True))
        self._starved = self._starved + 1 if count < self.search.size else 0
        if self._starved == STARVED_RUNS:
            self.search.searching = False
        self.search.record(count, seconds)
        if self.trial is not None and not self.trial.finished:
            self.trial.record(seconds / count, reading=busy)
            return
        self._runs.append(seconds / count)
        self.readers = self._given_readers or readers_needed(waiting, median(self._runs), limit=self._max_readers)
        if not self.search.searching and len(self._runs) > 1:
            self.result = TuningResult(self.search.size, self.threads, self.readers)


def tuner_for(
    model: Model,
    search: BatchSizeSearch,
    images: int,
    *,
    batch: int | None,
    reads: Sequence[tuple[float, float]],
    readers: int | None,
) -> AutoTuner | None:
    """A tuner for this model and that number of further images; None if there is nothing to tune.

    Parameters
    ----------
    search : BatchSizeSearch
        The batch size so far; stays on a CPU, and where `batch` is given.
    reads, readers
        As for `AutoTuner`.
    """
    cores = os.cpu_count() or 1
    given: dict[str, Any] = {"reads": reads, "readers": readers}
    if not isinstance(model, SupportsBatches):
        return None
    if model.device != "cpu":
        return AutoTuner(search if batch else BatchSizeSearch(), max_readers=min(MAX_READERS_GPU, cores), **given)
    if not isinstance(model, HasThreads):
        return None
    threads, trial = model.encoder_threads, None
    if threads is None:
        import torch

        threads = torch.get_num_threads()
        if ThreadCountTrial.worthwhile(threads, images):
            trial = ThreadCountTrial(threads, cores=cores)
    return AutoTuner(search, trial, max_readers=min(MAX_READERS, cores), threads=threads, **given)
