"""`Pipeline`: many images into the store; pictures are read ahead of the encoder and written behind it.

Each image that has started has a thread of its own, which looks in the store, reads, has the image encoded, writes and
records it in the catalog; all guarantees of `EmbeddingCache.get_or_compute` hold. One more thread runs the encoder,
since each thread that calls torch would get worker threads of its own. Where handing an image over takes longer than
all the work on it, one thread does whole blocks of images, one after the other: see `samnb.encoding.blocks`.

A thread that has read its picture holds the image's lock while it waits for the encoder. So the encoder never waits
for an image that waits for another one's lock; and during a pause the picture and its lock are given up, not held.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from ..errors import ImageChanged, ModelError
from ..images.memory import keep_freed_memory, return_freed_memory
from ..jobs import Event, JobControl
from ..models import EncodesSideBySide, HasThreads
from ..prompts import Embedding
from ..settings import setting
from .autotune import (
    MAX_READERS,
    MIN_IMAGES_TO_TUNE,
    AutoTuner,
    BatchSizeSearch,
    ResizableSemaphore,
    TuningResult,
    tuner_for,
)
from .blocks import BlockSize, is_small
from .encoder import Encoder
from .slots import Slot, Withdrawn, bytes_of
from .storage_check import check_refusal, check_stored
from .tasks import EncodeTask, encode_batch, read_for

READ_AHEAD = 512 << 20  # bytes
_POLL_SECONDS = 0.1  # between two checks for what sends no notification: a pause, a cancel
_RECORDED, _RECORD_EVERY = 64, 0.02
"""Images that the catalog is told of at once, and seconds that the first of them waits: a transaction takes longer than
many a small image."""
_LOCK_PATIENCE = 0.25  # seconds an image may wait for its lock before later ones are encoded first


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
        self._slots: deque[Slot] = deque()  # changed under the lock: the encoder's thread goes through it
        self._held: set[str] = set()
        self._block_size, self._block = BlockSize(), deque[Slot]()  # the first one is done now
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
        done: list[Slot] = []
        recorded = time.monotonic()
        try:
            while waiting or self._slots or done:
                seen, before = self._version, len(done)
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
                        if self._version == seen and len(done) == before:  # else there is room for more
                            self._changed.wait(_RECORD_EVERY if done and not self._block else _POLL_SECONDS)
        finally:
            self._stop()
            # Events that nobody takes any more; what is in the store is in the catalog nevertheless.
            self._recorded([*done, *(slot for slot in self._slots if slot.event is not None)])

    def _recorded(self, slots: Sequence[Slot]) -> list[Event]:
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
            self._leave_block_that_waits()
            begin = [slot for slot in self._slots if slot.state == "withdrawn"]
            busy = any(slot.is_begun for slot in self._slots)
        if (count := self._next_block(waiting)) and busy:
            return  # those that have begun end first
        if not count:
            while begin:
                self._start([begin.pop(0)])
        self._is_full = False
        room = count - len(begin) if count else self.window - len(self._slots)
        while waiting and room > 0 and not self._control.cancelled:
            room -= 1
            index, task = waiting[0]
            slot = Slot(index, task, threading.Condition(self._lock), bytes=bytes_of(task))
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
                    break
                waiting.popleft()
                self._slots.append(slot)
            if ended:
                self._finish(slot, hit=there, error=error)
            elif count:
                begin.append(slot)
            else:
                self._start([slot])
        if begin:
            self._start(begin)

    def _next_block(self, waiting: deque[tuple[int, EncodeTask]]) -> int:  # 0: each image gets its own thread
        if self._tuner is not None or self._batch_size.size > 1:
            return 0
        following = [task for _, task in islice(waiting, self._block_size.next)]
        if all(map(is_small, following)):
            return len(following)
        self._block_size.reset()
        return 0

    def _leave_block_that_waits(self) -> None:
        """Images after one that waits for a lock get threads of their own; the lock is held."""
        now = self._block[0] if self._block else None
        if now is not None and now.state == "waiting" and time.monotonic() - now.began > _LOCK_PATIENCE:
            self._block_size.reset()
            for slot in self._block:
                slot.in_block = False
                slot.state = "waiting" if slot is now else "withdrawn"
            self._block.clear()

    def _start(self, slots: Sequence[Slot]) -> None:
        """Begin images: one on a thread of its own, several as a block."""
        with self._lock:
            for slot in slots:
                slot.state, slot.began, slot.bytes = "waiting", time.monotonic(), bytes_of(slot.task)
                slot.in_block = len(slots) > 1
            if self._encoder_thread is None:
                keep_freed_memory(self.readers)
                encoder = threading.Thread(target=self._encode_ready, name="samnb encoder", daemon=True)
                encoder.start()
                self._encoder_thread = encoder
            work: Callable[[], None] = partial(self._work, slots[0])
            if len(slots) > 1:
                self._block = deque(slots)
                work = partial(self._work_on_block, slots, self._block)
        threading.Thread(target=work, name=f"samnb image {slots[0].index}", daemon=True).start()

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

    # -- the thread of one image, or of a block of them

    def _work_on_block(self, slots: Sequence[Slot], block: deque[Slot]) -> None:
        began = time.perf_counter()
        for slot in slots:
            self._work(slot)
            with self._lock:
                if not block:
                    return  # the others have threads of their own now
                block.popleft()
                if block:
                    block[0].began = time.monotonic()
        with self._lock:
            if all(slot.event is not None and slot.event.status == "computed" for slot in slots):
                self._block_size.block_ended(len(slots), time.perf_counter() - began)
            self._notify()

    def _work(self, slot: Slot) -> None:
        task, cache = slot.task, self._encoder.cache
        try:
            if self._must_stop() or (slot.in_block and self._is_blocked()):
                raise Withdrawn
            slot.since = time.perf_counter()
            _, hit = cache.get_or_compute(task.key, lambda: self._compute(slot), about=task.metadata)
            slot.seconds += time.perf_counter() - slot.since
            # Now: until the catalog is told, another image's may take its place on the disk.
            self._encoder.check_kept(task)
        except Withdrawn:
            with self._lock:
                slot.state, slot.work, slot.bytes = "withdrawn", None, 0
                self._notify()
        except Exception as error:
            self._finish(slot, error=error)
        else:
            self._finish(slot, hit=hit)

    def _compute(self, slot: Slot) -> Embedding:
        """On the image's thread, which holds its locks."""
        with self._lock:
            slot.state = "reading"
        with self._reading.acquired(), slot.timed():
            if self._must_stop():
                raise Withdrawn
            model, dtype = self._encoder.model, self._encoder.cache.dtype
            check_refusal(model, dtype)
            began, busy = time.perf_counter(), time.thread_time()
            work = read_for(model, slot.task)
            self._reads.append((time.perf_counter() - began, time.thread_time() - busy))
        embedding = self._encode_in_block(slot, work) if slot.in_block else self._wait_for_encoder(slot, work)
        slot.since = time.perf_counter()
        return slot.task.at_full_size(check_stored(model, embedding, dtype))

    def _encode_in_block(self, slot: Slot, work: Any) -> Embedding:
        with self._lock:
            slot.bytes, slot.state = work.nbytes, "encoding"
        with slot.timed():
            try:
                (found,) = encode_batch(self._encoder.model, [work], threads=self._threads())
            except BaseException as error:  # of any kind: the images after it would never end
                found = self._stopped_by(error)
        if isinstance(found, Exception):
            raise found
        slot.state = "publishing"
        return found

    def _wait_for_encoder(self, slot: Slot, work: Any) -> Embedding:
        with self._lock:
            slot.work, slot.bytes, slot.state = work, work.nbytes, "ready"
            self._for_encoder.notify()
            self._notify_if_full()
            del work
            while slot.state in ("ready", "encoding") and self._failure is None:
                slot.turn.wait()
            if slot.state in ("ready", "encoding"):
                raise self._stopped_by(self._failure) from self._failure
            if slot.state == "withdrawing":
                raise Withdrawn
            if slot.error is not None:
                raise slot.error
            embedding, slot.embedding = slot.embedding, None
        assert embedding is not None
        return embedding

    def _stopped_by(self, error: BaseException | None) -> ModelError:
        reason = f"{type(error).__name__}: {error}"
        return ModelError(f"{self._encoder.model.name} stopped ({reason}) before this image; run it again.")

    def _finish(self, slot: Slot, *, hit: bool = False, error: Exception | None = None) -> None:
        place: dict[str, Any] = {"index": slot.index, "total": len(self._tasks), "filename": slot.task.filename}
        if isinstance(error, ImageChanged):
            self._encoder.forget_file(slot.task.path)
        if error is not None:
            event = Event("failed", **place, ms=slot.seconds * 1000, details=reason_of(error))
        else:
            event = Event("skipped" if hit else "computed", **place, ms=slot.seconds * 1000)
        with self._lock:
            slot.event, slot.state, slot.work, slot.error, slot.bytes = event, "finished", None, None, 0
            if slot.in_block:
                return  # its end wakes the caller, whom each image would hold up
            if event.status == "computed":
                self._block_size.image_ended(slot.seconds, now=time.monotonic())
            self._for_encoder.notify()
            self._notify()

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
            found = encode_batch(model, [slot.work for slot in batch], threads=self._threads())
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

    def _next_batch(self) -> list[Slot]:
        """The slots to encode now, in order; waits for one. Empty: there will be no more."""
        with self._lock:
            while not self._stopped:
                batch: list[Slot] = []
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

    def _ready(self) -> list[Slot]:
        wanted = self._encoder.priority_lock_prefixes()
        if wanted is not None:  # a caller has priority: only what holds the lock it waits for
            return [slot for slot in self._slots if slot.state == "ready" and slot.task.key[:2] in wanted][:1]
        batch: list[Slot] = []
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

    def _threads(self) -> int | None:
        """Threads of the encoder's next run; None: the model's own choice."""
        if self._tuner is not None:
            return self._tuner.threads
        model = self._encoder.model
        if self.tuning is None or not isinstance(model, HasThreads) or model.encoder_threads is not None:
            return None  # the model does not leave it to its caller
        return self.tuning.threads

    def _tune(self, count: int, seconds: float) -> None:
        """Use the seconds of the encoder's last run to adjust the settings."""
        if not self._warm:  # the first run builds the model, so its time does not count
            self._warm = True
            if self.tuning is None and len(self._tasks) >= MIN_IMAGES_TO_TUNE:
                self._tuner = tuner_for(
                    self._encoder.model,
                    self._batch_size,
                    len(self._tasks) - 1,
                    batch=self._batch,
                    reads=self._reads,
                    readers=self._readers,
                )
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


def reason_of(error: Exception) -> dict[str, str]:
    """The details of a failed image's event."""
    return {"error": str(error) or repr(error), "error_type": type(error).__name__}
