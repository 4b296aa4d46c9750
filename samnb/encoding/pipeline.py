"""`Pipeline`: many images into the store; pictures are read ahead of the encoder and written behind it.

Each image that has started has a thread of its own, which looks in the store, reads, has the image encoded, writes and
records it in the catalog; all guarantees of `EmbeddingCache.get_or_compute` hold. One more thread runs the encoder,
since each thread that calls torch would get worker threads of its own.

A thread that has read its picture holds the image's lock while it waits for the encoder. So the encoder never waits
for an image that waits for another one's lock; and during a pause the picture and its lock are given up, not held.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..errors import ImageChanged, ModelError
from ..images.memory import keep_freed_memory, return_freed_memory
from ..jobs import Event, JobControl
from ..models import EncodesSideBySide, HasThreads, Model, SupportsBatches
from ..models.devices import on_threads
from ..prompts import Embedding
from ..settings import setting
from .autotune import MIN_IMAGES_TO_TUNE, AutoTuner, BatchSizeSearch, ResizableSemaphore, ThreadCountTrial, TuningResult
from .encoder import Encoder
from .storage_check import check_refusal, check_stored
from .tasks import EncodeTask, checked_picture, prepared_picture

READ_AHEAD = 512 << 20  # bytes
MAX_READERS, MAX_READERS_GPU = 8, 16
_BYTES_PER_PIXEL = 8  # while it is read: four in Pillow, and four more where the picture is turned upright
_UNKNOWN_PIXELS = 12_000_000
_POLL_SECONDS = 0.1  # between two checks for what sends no notification: a pause, a cancel
_RECORDED, _RECORD_EVERY = 64, 0.02
"""Images that the catalog is told of at once, and seconds that the first of them waits: a transaction takes longer than
many a small image."""
_LOCK_PATIENCE = 0.25  # seconds an image may wait for its lock before later ones are encoded first

State = Literal["waiting", "reading", "ready", "encoding", "publishing", "withdrawing", "withdrawn", "finished"]


@dataclass(eq=False)
class _Slot:
    """One image in progress; changed under the pipeline's lock."""

    index: int
    task: EncodeTask
    turn: threading.Condition  # its thread waits for the encoder
    state: State = "waiting"
    bytes: int = 0
    work: Any = None  # a `Prepared`, or pixels
    embedding: Embedding | None = None
    error: BaseException | None = None
    event: Event | None = None
    seconds: float = 0.0
    since: float = 0.0
    began: float = field(default_factory=time.monotonic)


class _Withdrawn(BaseException):
    """The image is not encoded now. No `Exception`: other callers that wait for the same image compute it."""


class Pipeline:
    """Encodes tasks into the store of an `Encoder`; `events` runs it, once.

    Parameters
    ----------
    tasks : sequence of EncodeTask
    encoder : Encoder
    control : JobControl
        Checked before each run of the encoder; a cancel finishes and keeps the current batch.
    readers : int, optional
        Number of images read at the same time; ``SAMNB_READERS``, else one for each processor.
    batch : int, optional
        Number of images encoded at once; ``SAMNB_BATCH``, else tuned, but on a CPU as many as the model encodes side by
        side.
    alone : bool
        Whether other processes leave this machine's processors to this one. False: one image is encoded at a time.
    read_ahead : int, optional
        Bytes of pictures read and not encoded yet; ``SAMNB_READ_AHEAD``, else `READ_AHEAD`. One is always read.

    Omitted values are tuned on the first images of a run of `MIN_IMAGES_TO_TUNE` or more, and kept in the encoder
    for the next run; on a CPU only for models whose `encoder_threads` is None.
    """

    def __init__(
        self,
        tasks: Sequence[EncodeTask],
        encoder: Encoder,
        control: JobControl,
        *,
        readers: int | None = None,
        batch: int | None = None,
        alone: bool = True,
        read_ahead: int | None = None,
    ):
        self._tasks, self._encoder, self._control, self._alone = tasks, encoder, control, alone
        self.tuning: TuningResult | None = encoder.tuning
        self._readers, self._batch = readers or setting("SAMNB_READERS"), batch or setting("SAMNB_BATCH")
        self._read_ahead = read_ahead or setting("SAMNB_READ_AHEAD") or READ_AHEAD
        known = self.tuning
        self._reading = ResizableSemaphore(
            self._readers or (known.readers if known else min(MAX_READERS, os.cpu_count() or 1))
        )
        self._batch_size = BatchSizeSearch(self._batch or (known.batch if known else 1))
        self._tuner: AutoTuner | None = None
        self._reads: deque[tuple[float, float]] = deque(maxlen=16)
        self._clock: Callable[[], float] = time.perf_counter
        # One lock, and a condition for each that waits: woken all together, they would do little else.
        self._lock = threading.RLock()
        self._changed, self._for_encoder = threading.Condition(self._lock), threading.Condition(self._lock)
        self._slots: deque[_Slot] = deque()  # changed under the lock: the encoder's thread goes through it
        self._held: set[str] = set()
        self._encoder_thread: threading.Thread | None = None
        self._stopped = self._warm = self._is_full = False
        self._failure: BaseException | None = None
        self._version = 0

    @property
    def readers(self) -> int:
        """Number of images read at the same time."""
        return self._reading.limit

    @property
    def window(self) -> int:
        """Largest number of images that have started and have no event yet."""
        return self.readers + 2 * self._batch_size.size + 1

    def events(self) -> Generator[Event]:
        """One event for each task, in their order; after a cancel only for finished ones."""
        waiting = deque(enumerate(self._tasks, start=1))
        self._held = self._encoder.find_cached([task for _, task in waiting])
        done: list[_Slot] = []
        recorded = time.monotonic()
        try:
            while waiting or self._slots or done:
                seen = self._version
                self._start_more(waiting)
                with self._lock:
                    while self._slots and self._slots[0].event is not None:
                        done.append(self._slots.popleft())
                last = not waiting and not self._slots
                if done and (last or len(done) >= _RECORDED or time.monotonic() - recorded >= _RECORD_EVERY):
                    now, done = done, []
                    yield from self._recorded(now)
                    recorded = time.monotonic()
                elif self._control.cancelled and not done:
                    if not self._drop_withdrawn():
                        return
                else:
                    with self._lock:
                        if self._version == seen:
                            self._changed.wait(_RECORD_EVERY if done else _POLL_SECONDS)
        finally:
            self._stop()
            # Events that nobody takes any more; what is in the store is in the catalog nevertheless.
            self._recorded([*done, *(slot for slot in self._slots if slot.event is not None)])

    def _recorded(self, slots: Sequence[_Slot]) -> list[Event]:
        """The events of finished images, once the catalog says what the store has of them: in one transaction."""
        ended = [slot for slot in slots if slot.event is not None and slot.event.status != "failed"]
        # What the store had at the start may have been evicted since, and computed again.
        fresh = [s for s in ended if s.task.key not in self._held or (s.event and s.event.status == "computed")]
        if fresh:
            self._held |= self._encoder.find_cached([slot.task for slot in fresh])
        return [slot.event for slot in slots if slot.event is not None]

    # -- the caller's thread

    def _start_more(self, waiting: deque[tuple[int, EncodeTask]]) -> None:
        if self._is_blocked():
            return
        with self._lock:
            withdrawn = [slot for slot in self._slots if slot.state == "withdrawn"]
        for slot in withdrawn:
            self._start(slot)
        while waiting and len(self._slots) < self.window and not self._control.cancelled:
            index, task = waiting[0]
            slot = _Slot(index, task, threading.Condition(self._lock), bytes=_bytes_of(task))
            there = False
            error: Exception | None = None
            try:
                there = task.key in self._encoder.cache
            except Exception as raised:
                # Any failure is of this image alone; its event reports it.
                error = raised
            ended = there or error is not None
            with self._lock:
                taken = sum(other.bytes for other in self._slots)
                self._is_full = bool(not ended and self._slots and taken + slot.bytes > self._read_ahead)
                if self._is_full:
                    return
                waiting.popleft()
                self._slots.append(slot)
            if ended:
                self._finish(slot, hit=there, error=error)
            else:
                self._start(slot)

    def _start(self, slot: _Slot) -> None:
        with self._lock:
            slot.state, slot.began, slot.bytes = "waiting", time.monotonic(), _bytes_of(slot.task)
            if self._encoder_thread is None:
                keep_freed_memory(self.readers)
                self._encoder_thread = threading.Thread(target=self._encode_ready, name="samnb encoder", daemon=True)
                self._encoder_thread.start()
        threading.Thread(target=self._work, args=(slot,), name=f"samnb image {slot.index}", daemon=True).start()

    def _is_blocked(self) -> bool:
        return self._control.paused or self._encoder.priority_lock_prefixes() is not None

    def _drop_withdrawn(self) -> bool:
        """After a cancel: drop what was withdrawn; False when nothing is left that will finish."""
        with self._lock:
            self._withdraw()
            if not (self._slots and self._slots[0].event):
                # One that waits for another process's lock stops when it gets it.
                ending = [slot for slot in self._slots if slot.state not in ("withdrawn", "waiting")]
                self._slots = deque(ending)
                if ending and ending[0].event is None:
                    self._changed.wait(_POLL_SECONDS)
            return bool(self._slots)

    def _stop(self) -> None:
        """Start nothing more; wait for what is being encoded and written."""
        with self._lock:
            self._stopped = True
            self._withdraw()
            self._for_encoder.notify()
            self._notify()
            while any(slot.state in ("reading", "encoding", "publishing", "withdrawing") for slot in self._slots):
                self._changed.wait(_POLL_SECONDS)
        if self._encoder_thread is not None:
            self._encoder_thread.join()
            return_freed_memory()

    # -- one image's thread

    def _work(self, slot: _Slot) -> None:
        task, cache = slot.task, self._encoder.cache
        try:
            if self._must_stop():
                raise _Withdrawn
            slot.since = time.perf_counter()
            _, hit = cache.get_or_compute(task.key, lambda: self._compute(slot), about=task.metadata)
            slot.seconds += time.perf_counter() - slot.since
            # Now: until the catalog is told, another image's may take its place on the disk.
            self._encoder.check_kept(task)
        except _Withdrawn:
            with self._lock:
                slot.state, slot.work, slot.bytes = "withdrawn", None, 0
                self._notify()
        except Exception as error:
            self._finish(slot, error=error)
        else:
            self._finish(slot, hit=hit)

    def _compute(self, slot: _Slot) -> Embedding:
        """On the image's thread, which holds its locks."""
        with self._lock:
            slot.state = "reading"
        with self._reading.acquired(), self._timed(slot):
            if self._must_stop():
                raise _Withdrawn
            model, dtype = self._encoder.model, self._encoder.cache.dtype
            check_refusal(model, dtype)
            began, busy = time.perf_counter(), time.thread_time()
            work = _read(slot.task, model)
            self._reads.append((time.perf_counter() - began, time.thread_time() - busy))
        with self._lock:
            slot.work, slot.bytes, slot.state = work, _bytes_held(work), "ready"
            self._for_encoder.notify()
            self._notify_if_full()
            del work
            while slot.state in ("ready", "encoding") and self._failure is None:
                slot.turn.wait()
            if slot.state in ("ready", "encoding"):
                reason = f"{type(self._failure).__name__}: {self._failure}"
                raise ModelError(f"{model.name} stopped ({reason}) before this image; run it again.") from self._failure
            if slot.state == "withdrawing":
                raise _Withdrawn
            if slot.error is not None:
                raise slot.error
            embedding, slot.embedding = slot.embedding, None
        assert embedding is not None
        slot.since = time.perf_counter()
        return slot.task.at_full_size(check_stored(model, embedding, dtype))

    def _finish(self, slot: _Slot, *, hit: bool = False, error: Exception | None = None) -> None:
        place: dict[str, Any] = {"index": slot.index, "total": len(self._tasks), "filename": slot.task.filename}
        if isinstance(error, ImageChanged):
            self._encoder.forget_file(slot.task.path)
        if error is not None:
            event = Event("failed", **place, ms=slot.seconds * 1000, details=reason_of(error))
        else:
            event = Event("skipped" if hit else "computed", **place, ms=slot.seconds * 1000)
        with self._lock:
            slot.event, slot.state, slot.work, slot.error, slot.bytes = event, "finished", None, None, 0
            self._for_encoder.notify()
            self._notify()

    @contextmanager
    def _timed(self, slot: _Slot) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            slot.seconds += time.perf_counter() - started

    def _must_stop(self) -> bool:
        return self._stopped or self._control.cancelled or self._control.paused

    def _notify(self) -> None:
        """Wake the caller's thread; the lock is held."""
        self._version += 1
        self._changed.notify_all()

    def _notify_if_full(self) -> None:
        """Wake the caller's thread if it waits for memory; the lock is held."""
        if self._is_full:
            self._notify()

    # -- the encoder's thread

    def _encode_ready(self) -> None:
        try:
            self._encode_batches()
        except BaseException as error:  # of any kind: threads that wait for the encoder would wait for ever
            with self._lock:
                self._failure = error
                for slot in tuple(self._slots):
                    slot.turn.notify()
                self._notify()

    def _encode_batches(self) -> None:
        model = self._encoder.model
        if self._alone and not self._batch and self.tuning is None and isinstance(model, EncodesSideBySide):
            # Where its device is missing, encoding says so of each image.
            with suppress(ModelError):
                self._batch_size.size = model.side_by_side()
        while batch := self._next_batch():
            started = self._clock()
            found = self._encode(batch)
            seconds = self._clock() - started
            with self._lock:
                for slot, result in zip(batch, found, strict=True):
                    slot.seconds += seconds / len(batch)
                    slot.work, slot.bytes, slot.state = None, 0, "publishing"
                    if isinstance(result, Embedding):
                        slot.embedding = result
                    else:
                        slot.error = result
                    slot.turn.notify()
                self._notify_if_full()
            if any(isinstance(result, Embedding) for result in found):
                self._tune(len(batch), seconds)

    def _next_batch(self) -> list[_Slot]:
        """The slots to encode now, in order; waits for one. Empty: there will be no more."""
        with self._lock:
            while not self._stopped:
                batch: list[_Slot] = []
                if self._must_stop():
                    self._withdraw()
                else:
                    batch = self._ready()
                for slot in batch:
                    slot.state = "encoding"
                if batch:
                    return batch
                self._for_encoder.wait(_POLL_SECONDS)
            return []

    def _ready(self) -> list[_Slot]:
        wanted = self._encoder.priority_lock_prefixes()
        if wanted is not None:  # a caller has priority: only what holds the lock it waits for
            return [slot for slot in self._slots if slot.state == "ready" and slot.task.key[:2] in wanted][:1]
        batch: list[_Slot] = []
        locks: set[str] = set()
        for slot in self._slots:
            lock = slot.task.key[:2]
            if slot.state == "ready":
                batch.append(slot)
            elif slot.state in ("reading", "withdrawing", "withdrawn"):
                # In order, as long as that costs little: reading ends soon. Also after a pause, where withdrawn ones
                # start again one by one.
                break
            elif slot.state == "waiting" and lock not in locks and time.monotonic() - slot.began < _LOCK_PATIENCE:
                break
            locks.add(lock)
            if len(batch) == self._batch_size.size:
                break
        return batch

    def _withdraw(self) -> None:
        """Give up what was read; the lock is held."""
        for slot in self._slots:
            if slot.state == "ready":
                slot.state = "withdrawing"
                slot.turn.notify()
        self._notify()

    def _encode(self, batch: Sequence[_Slot]) -> list[Embedding | Exception]:
        model = self._encoder.model
        try:
            if not isinstance(model, SupportsBatches):
                return [model.encode(slot.work) for slot in batch]
            with on_threads(self._threads()):
                found: list[Embedding | Exception] = [*model.encode_prepared([slot.work for slot in batch])]
            if len(found) != len(batch):
                raise ModelError(f"{model.name}: expected {len(batch)} embeddings of as many images; got {len(found)}.")
            return found
        except Exception as error:
            if len(batch) == 1:
                return [error]
            # One of them may be the cause: each alone, so that only that one fails.
            return [result for slot in batch for result in self._encode([slot])]

    def _threads(self) -> int | None:
        """Threads of the encoder's next run; None: the model's own choice."""
        if self._tuner is not None:
            return self._tuner.threads
        return None if self.tuning is None or not self._threads_are_free() else self.tuning.threads

    def _threads_are_free(self) -> bool:
        """Whether the model leaves its number of processor threads to its caller."""
        model = self._encoder.model
        return isinstance(model, HasThreads) and model.encoder_threads is None

    def _tune(self, count: int, seconds: float) -> None:
        """Use the seconds of the encoder's last run to adjust the settings."""
        if not self._warm:  # the first run builds the model, so its time does not count
            self._warm = True
            if self.tuning is None and len(self._tasks) >= MIN_IMAGES_TO_TUNE:
                self._tuner = self._new_tuner()
            return
        if self._tuner is None:
            return
        self._tuner.record(count, seconds)
        self._batch_size = self._tuner.search
        if self._tuner.readers is not None:
            self._reading.limit = self._tuner.readers
        if self._tuner.result is not None:
            self.tuning = self._encoder.tuning = self._tuner.result
            self._tuner = None

    def _new_tuner(self) -> AutoTuner | None:
        """A tuner for this model; None if there is nothing to tune."""
        model, cores = self._encoder.model, os.cpu_count() or 1
        given: dict[str, Any] = {"reads": self._reads, "readers": self._readers}
        if not isinstance(model, SupportsBatches):
            return None
        if model.device != "cpu":
            search = self._batch_size if self._batch else BatchSizeSearch()
            return AutoTuner(search, max_readers=min(MAX_READERS_GPU, cores), **given)
        if not isinstance(model, HasThreads):
            return None
        threads, trial = model.encoder_threads, None
        if threads is None:
            import torch

            threads = torch.get_num_threads()
            if ThreadCountTrial.worthwhile(threads, len(self._tasks) - 1):
                trial = ThreadCountTrial(threads, cores=cores)
        return AutoTuner(self._batch_size, trial, max_readers=min(MAX_READERS, cores), threads=threads, **given)


def reason_of(error: Exception) -> dict[str, str]:
    """The details of a failed image's event."""
    return {"error": str(error) or repr(error), "error_type": type(error).__name__}


def _read(task: EncodeTask, model: Model) -> Any:
    if isinstance(model, SupportsBatches):
        return prepared_picture(task, model)
    return np.array(checked_picture(task))


def _bytes_of(task: EncodeTask) -> int:
    return _BYTES_PER_PIXEL * (task.pixels or _UNKNOWN_PIXELS)


def _bytes_held(work: Any) -> int:
    return int(work.nbytes)
