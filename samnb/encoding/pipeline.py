"""Many images into the store: reading, hashing and scaling run ahead of the encoder, writing behind it.

Each image that has begun has a thread of its own, which does for it what `encode_into_store` does: look in the
store, read, have it encoded, write, tell the catalog; all the promises of `EmbeddingCache.get_or_compute` hold. One
more thread runs the net, since each thread that calls torch would get worker threads of its own.

A thread that has read holds its image's lock while it waits for the encoder. So the encoder never waits for an image
that waits for another's lock; and what was read is given up, lock and all, rather than held through a pause.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import ModelError
from ..jobs import Event, JobControl
from ..models import HasThreads, Model, SupportsBatches
from ..models.devices import on_threads
from ..prompts import Embedding
from ..settings import read
from .autotune import ENOUGH, Choice, Gate, Pace, Probe, ThreadTrial
from .encoder import Encoder, EncodeTask, prepared_picture, read_checked
from .storage_check import check_refusal, check_stored

__all__ = ["Pipeline", "reason_of"]

READ_AHEAD = 512 << 20  # bytes
MOST_READERS, MOST_READERS_FOR_A_CARD = 8, 16
_BYTES_OF_A_PIXEL = 8  # while it is read: four as Pillow holds it, and as many again where it is turned upright
_UNKNOWN_PIXELS = 12_000_000
_TICK = 0.1  # seconds between two looks at what nobody announces: a pause, a cancel
_SOON = 0.25  # seconds an image may take to get its lock before those after it are encoded first

State = Literal["waiting", "reading", "ready", "encoding", "publishing", "recalling", "recalled", "settled"]


@dataclass(eq=False)
class _Slot:
    """One image on its way; changed under the pipeline's lock."""

    index: int
    task: EncodeTask
    state: State = "waiting"
    bytes: int = 0
    work: Any = None  # a `Prepared`, or pixels
    embedding: Embedding | None = None
    error: BaseException | None = None
    event: Event | None = None
    seconds: float = 0.0
    since: float = 0.0
    began: float = field(default_factory=time.monotonic)


class _Recalled(BaseException):
    """The image is not to be encoded now. No `Exception`: whoever waits for the same image tries for himself."""


class Pipeline:
    """Encodes tasks into the store of an `Encoder`; `events` runs it, once.

    Parameters
    ----------
    tasks : sequence of EncodeTask
    encoder : Encoder
    control : JobControl
        Asked before each run of the net: a cancel lets what the net has in hand be finished and kept.
    readers : int, optional
        How many images are read at the same time; ``SAMNB_READERS``, else one for each processor.
    batch : int, optional
        How many are encoded at once; ``SAMNB_BATCH``, else 1 on a CPU and looked for on other devices.
    read_ahead : int, optional
        Bytes of pictures read and not encoded yet; ``SAMNB_READ_AHEAD``, else `READ_AHEAD`. One is read in any case.

    What is not given is found on the first images of a run of `samnb.encoding.autotune.ENOUGH` or more, and kept
    in the encoder for the next run; on a CPU for models whose `encoder_threads` says on how many they run, None: as
    others decide.
    """

    def __init__(
        self,
        tasks: Sequence[EncodeTask],
        encoder: Encoder,
        control: JobControl,
        *,
        readers: int | None = None,
        batch: int | None = None,
        read_ahead: int | None = None,
    ):
        self._tasks, self._encoder, self._control = tasks, encoder, control
        self.choice: Choice | None = encoder.choice
        self._readers, self._batch = readers or read("SAMNB_READERS"), batch or read("SAMNB_BATCH")
        self._read_ahead = read_ahead or read("SAMNB_READ_AHEAD") or READ_AHEAD
        known = self.choice
        self._gate = Gate(self._readers or (known.readers if known else min(MOST_READERS, os.cpu_count() or 1)))
        self._pace = Pace(self._batch or (known.batch if known else 1))
        self._probe: Probe | None = None
        self._reads: deque[tuple[float, float]] = deque(maxlen=16)
        self._clock: Callable[[], float] = time.perf_counter
        self._changed = threading.Condition()
        self._slots: deque[_Slot] = deque()
        self._telling = threading.Lock()
        self._net: threading.Thread | None = None
        self._stopped = self._warm = False
        self._broken: BaseException | None = None
        self._news = 0

    @property
    def readers(self) -> int:
        """So many images are read at the same time."""
        return self._gate.most

    @property
    def window(self) -> int:
        """At most so many images have begun and are not told of yet."""
        return self.readers + 2 * self._pace.size + 1

    def events(self) -> Generator[Event]:
        """One event for each task, in their order; after a cancel only those that are finished."""
        held = self._encoder.held(self._tasks)
        waiting = deque(enumerate(self._tasks, start=1))
        try:
            while waiting or self._slots:
                seen = self._news
                self._begin_some(waiting, held)
                if self._slots and self._slots[0].event is not None:
                    event = self._slots.popleft().event
                    assert event is not None
                    yield event
                elif self._control.cancelled:
                    if not self._drop_recalled():
                        return
                else:
                    with self._changed:
                        if self._news == seen:
                            self._changed.wait(_TICK)
        finally:
            self._stop()

    # -- the caller's thread

    def _begin_some(self, waiting: deque[tuple[int, EncodeTask]], held: set[str]) -> None:
        if self._held_up():
            return
        with self._changed:
            recalled = [slot for slot in self._slots if slot.state == "recalled"]
        for slot in recalled:
            self._begin(slot)
        while waiting and len(self._slots) < self.window and not self._control.cancelled:
            index, task = waiting[0]
            slot = _Slot(index, task, bytes=_bytes_of(task))
            with self._changed:
                taken = sum(other.bytes for other in self._slots)
            try:
                there = task.key in self._encoder.cache
                if not there and self._slots and taken + slot.bytes > self._read_ahead:
                    return
                waiting.popleft()
                self._slots.append(slot)
                if there and task.key not in held:
                    self._tell(task)
            except Exception as error:
                # Any failure belongs to this image alone; the event carries it to the user.
                if slot not in self._slots:
                    waiting.popleft()
                    self._slots.append(slot)
                self._settle(slot, error=error)
            else:
                if there:
                    self._settle(slot, hit=True)
                else:
                    self._begin(slot)

    def _begin(self, slot: _Slot) -> None:
        with self._changed:
            slot.state, slot.began, slot.bytes = "waiting", time.monotonic(), _bytes_of(slot.task)
            if self._net is None:
                self._net = threading.Thread(target=self._run_net, name="samnb encoder", daemon=True)
                self._net.start()
        threading.Thread(target=self._work, args=(slot,), name=f"samnb image {slot.index}", daemon=True).start()

    def _held_up(self) -> bool:
        return self._control.paused or self._encoder.wanted() is not None

    def _drop_recalled(self) -> bool:
        """After a cancel: forget what was given up; False when nothing is left that will be finished."""
        with self._changed:
            self._recall()
            if not (self._slots and self._slots[0].event):
                # One that waits for another process's lock gives up when it gets it.
                ending = [slot for slot in self._slots if slot.state not in ("recalled", "waiting")]
                self._slots = deque(ending)
                if ending and ending[0].event is None:
                    self._changed.wait(_TICK)
            return bool(self._slots)

    def _stop(self) -> None:
        """Nothing more is begun; wait for what the net and the disk have in hand."""
        with self._changed:
            self._stopped = True
            self._recall()
            self._tell_threads()
            while any(slot.state in ("reading", "encoding", "publishing", "recalling") for slot in self._slots):
                self._changed.wait(_TICK)
        if self._net is not None:
            self._net.join()

    # -- one image's thread

    def _work(self, slot: _Slot) -> None:
        task, cache = slot.task, self._encoder.cache
        try:
            if self._giving_up():
                raise _Recalled
            slot.since = time.perf_counter()
            _, hit = cache.get_or_compute(task.key, lambda: self._compute(slot), about=task.about)
            self._tell(task)
            slot.seconds += time.perf_counter() - slot.since
        except _Recalled:
            with self._changed:
                slot.state, slot.work, slot.bytes = "recalled", None, 0
                self._tell_threads()
        except Exception as error:
            self._settle(slot, error=error)
        else:
            self._settle(slot, hit=hit)

    def _compute(self, slot: _Slot) -> Embedding:
        """On the image's thread, its locks in hand."""
        self._set(slot, "reading")
        with self._gate.passing(), self._timed(slot):
            if self._giving_up():
                raise _Recalled
            model, dtype = self._encoder.model, self._encoder.cache.dtype
            check_refusal(model, dtype)
            began, busy = time.perf_counter(), time.thread_time()
            work = _read(slot.task, model)
            self._reads.append((time.perf_counter() - began, time.thread_time() - busy))
        with self._changed:
            slot.work, slot.bytes, slot.state = work, _bytes_held(work), "ready"
            self._tell_threads()
            del work
            while slot.state in ("ready", "encoding") and self._broken is None:
                self._changed.wait()
            if slot.state in ("ready", "encoding"):
                reason = f"{type(self._broken).__name__}: {self._broken}"
                raise ModelError(f"{model.name} stopped ({reason}) before this image; run it again.") from self._broken
            if slot.state == "recalling":
                raise _Recalled
            if slot.error is not None:
                raise slot.error
            embedding, slot.embedding = slot.embedding, None
        assert embedding is not None
        slot.since = time.perf_counter()
        return check_stored(model, embedding, dtype)

    def _tell(self, task: EncodeTask) -> None:
        with self._telling:  # a SQLite catalog has one writer at a time, and others would poll for their turn
            self._encoder.finished(task)

    def _settle(self, slot: _Slot, *, hit: bool = False, error: Exception | None = None) -> None:
        place: dict[str, Any] = {"index": slot.index, "total": len(self._tasks), "filename": slot.task.filename}
        if error is not None:
            event = Event("failed", **place, ms=slot.seconds * 1000, details=reason_of(error))
        else:
            event = Event("skipped" if hit else "computed", **place, ms=slot.seconds * 1000)
        with self._changed:
            slot.event, slot.state, slot.work, slot.error, slot.bytes = event, "settled", None, None, 0
            self._tell_threads()

    def _set(self, slot: _Slot, state: State) -> None:
        with self._changed:
            slot.state = state
            self._tell_threads()

    @contextmanager
    def _timed(self, slot: _Slot) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            slot.seconds += time.perf_counter() - started

    def _giving_up(self) -> bool:
        return self._stopped or self._control.cancelled or self._control.paused

    def _tell_threads(self) -> None:
        """Something changed; under the lock."""
        self._news += 1
        self._changed.notify_all()

    # -- the net's thread

    def _run_net(self) -> None:
        try:
            self._run_batches()
        except BaseException as error:  # whatever it is: those who wait for the net would wait for ever
            with self._changed:
                self._broken = error
                self._tell_threads()

    def _run_batches(self) -> None:
        while batch := self._next_batch():
            started = self._clock()
            found = self._encode(batch)
            seconds = self._clock() - started
            with self._changed:
                for slot, result in zip(batch, found, strict=True):
                    slot.seconds += seconds / len(batch)
                    slot.work, slot.bytes, slot.state = None, 0, "publishing"
                    if isinstance(result, Embedding):
                        slot.embedding = result
                    else:
                        slot.error = result
                self._tell_threads()
            self._learn(len(batch), seconds)

    def _next_batch(self) -> list[_Slot]:
        """What to encode now, in order; waits for it. Empty: there will be nothing more."""
        with self._changed:
            while not self._stopped:
                batch: list[_Slot] = []
                if self._giving_up():
                    self._recall()
                else:
                    batch = self._ready()
                for slot in batch:
                    slot.state = "encoding"
                if batch:
                    return batch
                self._changed.wait(_TICK)
            return []

    def _ready(self) -> list[_Slot]:
        wanted = self._encoder.wanted()
        if wanted is not None:  # somebody looks at an image: nothing but what keeps its lock from him
            return [slot for slot in self._slots if slot.state == "ready" and slot.task.key[:2] in wanted][:1]
        batch: list[_Slot] = []
        locks: set[str] = set()
        for slot in self._slots:
            lock = slot.task.key[:2]
            if slot.state == "ready":
                batch.append(slot)
            elif slot.state in ("reading", "recalling", "recalled"):
                # In order, as long as that costs little: it is read before much else could be. After a pause too, where
                # those that were given up are begun again one by one.
                break
            elif slot.state == "waiting" and lock not in locks and time.monotonic() - slot.began < _SOON:
                break
            locks.add(lock)
            if len(batch) == self._pace.size:
                break
        return batch

    def _recall(self) -> None:
        """Give up what was read; under the lock."""
        for slot in self._slots:
            if slot.state == "ready":
                slot.state = "recalling"
        self._tell_threads()

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
            # One of them may be to blame: each for itself, and its failure with it.
            return [result for slot in batch for result in self._encode([slot])]

    def _threads(self) -> int | None:
        """For the net's next run; None: as the model likes."""
        if self._probe is not None:
            return self._probe.threads
        return None if self.choice is None or not self._may_be_tried() else self.choice.threads

    def _may_be_tried(self) -> bool:
        """Whether the model leaves it to others on how many processor threads it runs."""
        model = self._encoder.model
        return isinstance(model, HasThreads) and model.encoder_threads is None

    def _learn(self, count: int, seconds: float) -> None:
        """What the net's last run says of how to go on."""
        if not self._warm:  # the first run builds the net, and says nothing else
            self._warm = True
            if self.choice is None and len(self._tasks) >= ENOUGH:
                self._probe = self._new_probe()
            return
        if self._probe is None:
            return
        self._probe.ran(count, seconds)
        self._pace = self._probe.pace
        if self._probe.readers is not None:
            self._gate.most = self._probe.readers
        if self._probe.choice is not None:
            self.choice = self._encoder.choice = self._probe.choice
            self._probe = None

    def _new_probe(self) -> Probe | None:
        """Once the model has run, asking for its device costs nothing."""
        model, cores = self._encoder.model, os.cpu_count() or 1
        given: dict[str, Any] = {"reads": self._reads, "readers": self._readers}
        if not isinstance(model, SupportsBatches):
            return None
        if model.device != "cpu":
            pace = self._pace if self._batch else Pace()
            return Probe(pace, most_readers=min(MOST_READERS_FOR_A_CARD, cores), **given)
        if not isinstance(model, HasThreads):
            return None
        threads, trial = model.encoder_threads, None
        if threads is None:
            import torch

            threads = torch.get_num_threads()
            if ThreadTrial.worthwhile(threads, len(self._tasks) - 1):
                trial = ThreadTrial(threads, cores=cores)
        return Probe(self._pace, trial, most_readers=min(MOST_READERS, cores), threads=threads, **given)


def reason_of(error: Exception) -> dict[str, str]:
    """What the event of a failed image says of the failure."""
    return {"error": str(error) or repr(error), "error_type": type(error).__name__}


def _read(task: EncodeTask, model: Model) -> Any:
    if isinstance(model, SupportsBatches):
        return prepared_picture(task, model)
    return read_checked(task.path, task.pixel_hash, task.dataset)


def _bytes_of(task: EncodeTask) -> int:
    return _BYTES_OF_A_PIXEL * (task.pixels or _UNKNOWN_PIXELS)


def _bytes_held(work: Any) -> int:
    return int(work.nbytes)
