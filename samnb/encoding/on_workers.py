"""`encode_on`: encodes images on the workers of an executor or a cluster; `EncodeWork` is what a worker does.

A worker gets keys, paths and hashes, looks in the store, encodes what is missing and publishes it; it returns whether
it computed. Pixels and embeddings never travel. The model is loaded once a process, and must have the fingerprint and
the embedding spec that the keys were made with. Only the session's process writes to the catalog, once a bundle.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Collection, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from ..cache import EmbeddingCache
from ..catalog import Catalog
from ..errors import ModelError, StoreError
from ..jobs import Event, JobControl
from ..models import Model, embedding_spec_of, load_model
from ..store.limits import Limits
from ..workers import Coordinator, Done, open_pool
from .encoder import Encoder, not_kept
from .large_images import TILED_ABOVE
from .pipeline import Pipeline
from .tasks import EncodeTask

LOOKED_UP = 500
"""Images whose embeddings are looked up at once, before they are given to a worker."""

_WAIT = 0.1  # seconds between two looks at whether another call has finished an image
_REMOTE_THREADS = 16
_UNPUBLISHED = 64 << 20  # bytes that may wait to be written to a remote tier
_REMOTE_PATIENCE = 60.0  # seconds in which a remote tier that does not answer may come back


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker opens once: the model, and the store. Small, hashable and picklable."""

    model: str
    checkpoint: str
    device: str
    precision: str
    made_by: tuple[str, str]
    folder: str
    dtype: str
    limits: Limits
    longest: int | None = None
    tiled_above: int = TILED_ABOVE
    remote: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, encoder: Encoder) -> WorkerSetup:
        """What a worker opens for the tasks of an encoder."""
        model, cache = encoder.model, encoder.cache
        return cls(
            model=model.name,
            checkpoint=encoder.checkpoint,
            device=encoder.device,
            precision=encoder.precision,
            made_by=(model.fingerprint, encoder.embedding_spec),
            folder=str(cache.folder or ""),
            dtype=cache.dtype,
            limits=cache.limits,
            longest=encoder.longest,
            tiled_above=encoder.large.above,
            remote=cache.remote.urls,
        )


@dataclass(frozen=True, slots=True)
class Encoded:
    """The result for one image: whether it was computed, and whether a remote tier has it now."""

    computed: bool
    shared: bool


@dataclass(frozen=True)
class EncodeWork:
    """Encodes ``(number, EncodeTask)`` items into the store, on a worker; a `samnb.workers.Work`."""

    setup: WorkerSetup

    def open(self) -> Encoder:
        """The model and the store of this process. Raises `ModelError`, `StoreError` and others where it has none."""
        return worker_encoder(self.setup)

    def __call__(self, items: Sequence[tuple[int, EncodeTask]], control: JobControl) -> Iterator[Done]:
        encoder = self.open()
        tasks = [task for _, task in items]
        there = shared_keys(tasks, encoder.cache)
        yield from (Done(i, Encoded(False, True)) for i, task in enumerate(tasks) if task.key in there)
        places = [i for i, task in enumerate(tasks) if task.key not in there]
        missing = [tasks[i] for i in places]
        events: list[Event] = []
        lost = _unwritten(encoder.cache)
        for event in Pipeline(missing, encoder, control, alone=False).events():
            events.append(event)
            if sum(tier.waiting_bytes for tier in encoder.cache.remote.stats()) > _UNPUBLISHED:
                encoder.cache.flush()
        encoder.cache.sync()
        computed, found = (
            [missing[event.index - 1] for event in events if event.status == status]
            for status in ("computed", "skipped")
        )
        shared = published(computed, encoder.cache, lost) | _found_elsewhere(found, encoder.cache)
        for event in events:
            place, task = places[event.index - 1], missing[event.index - 1]
            if event.status == "failed":
                yield Done(place, None, event["error"], event["error_type"], event.ms)
            elif task.key in shared or (encoder.cache.folder is not None and task.key in encoder.cache):
                yield Done(place, Encoded(event.status == "computed", task.key in shared), ms=event.ms)
            else:
                yield Done(place, None, not_kept(task, encoder.cache), StoreError.__name__, event.ms)


class _WorkerEncoder(Encoder):
    """An encoder without a catalog: workers do not write to it."""

    def __init__(self, model: Model, cache: EmbeddingCache, setup: WorkerSetup):
        super().__init__(model, cache, cast(Catalog, None), checkpoint=setup.checkpoint, device=setup.device)
        # Of the session, not of this process's environment.
        self.longest, self.large.above = setup.longest, setup.tiled_above

    def find_cached(self, tasks: Sequence[EncodeTask], *, shared: Collection[str] = ()) -> set[str]:
        return {task.key for task in tasks if task.key in self.cache}

    def check_kept(self, task: EncodeTask) -> None:
        pass  # `EncodeWork` looks afterwards: a remote tier may have what the folder has no room for

    def forget_file(self, path: str) -> None:
        pass

    def store_changed(self, pixel_hashes: frozenset[str] | None, *, fix: bool) -> int:
        return 0

    def _note_cached(self, task: EncodeTask) -> None:
        pass


_opening = threading.Lock()


def worker_encoder(setup: WorkerSetup) -> Encoder:
    """The encoder of this process for a setup, opened by one thread.

    Raises
    ------
    ModelError
        The model here has other weights, or another embedding spec, than the session's.
    StoreError
        There is neither the session's folder here nor a remote tier.
    """
    with _opening:
        return _opened(setup)


@lru_cache(maxsize=4)
def _opened(setup: WorkerSetup) -> Encoder:
    model = load_model(setup.model, checkpoint=setup.checkpoint or None, device=setup.device, precision=setup.precision)
    here = (model.fingerprint, f"{embedding_spec_of(model)}:store={setup.dtype}")
    if here != setup.made_by:
        raise ModelError(
            f"{setup.model}: expected the session's weights and preprocessing {setup.made_by}; got {here} on this "
            "worker. Install the same version of samnb and the same weights there."
        )
    # A folder that is not there is another machine's: then embeddings go to the remote tiers alone.
    folder = setup.folder if setup.folder and Path(setup.folder).is_dir() else None
    if folder is None and not setup.remote:
        raise StoreError(
            f"{setup.folder}: no such folder on this worker, and the store has no remote tier. Put the session where "
            "all workers see it under the same path, or open it with cache={'remote': ['s3://…']}."
        )
    return _WorkerEncoder(
        model, EmbeddingCache(folder, dtype=setup.dtype, remote=setup.remote, **asdict(setup.limits)), setup
    )


def shared_keys(tasks: Sequence[EncodeTask], cache: EmbeddingCache) -> set[str]:
    """Keys that a remote tier has; asked only where there is no folder, into which they would be fetched."""
    if cache.folder is not None or not cache.remote.urls:
        return set()
    keys = [task.key for task in tasks]
    with ThreadPoolExecutor(_REMOTE_THREADS) as threads:
        return {key for key, there in zip(keys, threads.map(cache.remote.contains, keys), strict=True) if there}


def _found_elsewhere(tasks: Sequence[EncodeTask], cache: EmbeddingCache) -> set[str]:
    """Keys that were found, and not in the folder: those that a remote tier had."""
    if cache.folder is not None:
        return {task.key for task in tasks if task.key not in cache}
    return {task.key for task in tasks if cache.remote.contains(task.key)}


def published(tasks: Sequence[EncodeTask], cache: EmbeddingCache, unwritten_before: int) -> set[str]:
    """Wait until remote tiers have what was encoded; keys of the tasks that they have."""
    if not tasks or not cache.remote.urls:
        return set()
    until = time.monotonic() + _REMOTE_PATIENCE
    while (left := cache.flush()) and time.monotonic() < until:
        time.sleep(0.5)
    if not left and _unwritten(cache) == unwritten_before:
        return {task.key for task in tasks}
    return {task.key for task in tasks if cache.remote.contains(task.key)}


def _unwritten(cache: EmbeddingCache) -> int:
    """Entries that remote tiers did not get so far, and will not get."""
    return sum(tier.dropped + tier.refused for tier in cache.remote.stats())


def encode_on(on: Any, tasks: Sequence[EncodeTask], encoder: Encoder, control: JobControl) -> Generator[Event]:
    """Encode what is missing on workers; events come in order of completion.

    Images that have their embedding already have one event for all that were looked up together. An image that another
    call in this process has given to a worker is waited for, never encoded twice.

    Parameters
    ----------
    on
        As for `samnb.workers.open_pool`.
    tasks : sequence of EncodeTask
        All of one encoder.
    encoder : Encoder
        Its catalog gets what the store has.
    control : JobControl
    """
    if not tasks:
        return
    make_folder(encoder.cache)
    pool = open_pool(on)
    try:
        run = Coordinator(pool, EncodeWork(WorkerSetup.of(encoder)), control, total=len(tasks))
        claims = _Claims(encoder, tasks)
        told = ""
        try:
            for results in run.run(claims.missing()):
                for event in (*claims.take_skipped(), *claims.events_of(results)):
                    if told != (pace := run.pace):
                        told = pace
                        event.details["pace"] = pace
                    yield event
            yield from claims.take_skipped()
        finally:
            claims.give_up()
    finally:
        pool.close()


def make_folder(cache: EmbeddingCache) -> None:
    """Make the store's folder, so that a worker without it is on another machine. Raises `StoreError`."""
    if cache.folder is not None:
        try:
            cache.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{cache.folder}: cannot be made ({error.strerror or error}).") from error


_claimed: weakref.WeakKeyDictionary[EmbeddingCache, set[str]] = weakref.WeakKeyDictionary()
_claiming = threading.Lock()


class _Claims:
    """The images of one call: which are in the store, which this call encodes, and which another one does already."""

    def __init__(self, encoder: Encoder, tasks: Sequence[EncodeTask]):
        self._encoder, self._tasks = encoder, tasks
        self._mine: set[str] = set()
        self._skipped: deque[Event] = deque()

    def missing(self) -> Iterator[tuple[int, EncodeTask] | None]:
        """``(number, task)`` of the images to encode; None while it waits for another call, and now and then."""
        later: list[tuple[int, EncodeTask]] = []
        block: list[tuple[int, EncodeTask]] = []
        for number, task in enumerate(self._tasks, start=1):
            block.append((number, task))
            if len(block) == LOOKED_UP:
                yield from self._look_up(block, later)
                block = []
                yield None
        yield from self._look_up(block, later)
        while later:
            yield None
            time.sleep(_WAIT)
            with _claiming:
                waiting = _claimed.get(self._encoder.cache, set())
                ready = [pair for pair in later if pair[1].key not in waiting]
                later = [pair for pair in later if pair[1].key in waiting]
            yield from self._look_up(ready, later)

    def take_skipped(self) -> Iterator[Event]:
        """The events of images that were found in the store."""
        while self._skipped:
            yield self._skipped.popleft()

    def events_of(self, results: Sequence[tuple[tuple[int, EncodeTask], Done]]) -> Iterator[Event]:
        """The events of what workers returned; the catalog is written before."""
        if not results:
            return
        ended = [(task, done.value) for (_, task), done in results if not done.error]
        shared = {task.key for task, value in ended if value.shared}
        held = self._encoder.find_cached([task for task, _ in ended], shared=shared)
        for (number, task), done in results:
            yield self._event(number, task, done, held, shared)
        self._release(task.key for (_, task), _ in results)

    def give_up(self) -> None:
        """Let other calls have the images that this one did not finish."""
        self._release(list(self._mine))

    def _look_up(
        self, block: list[tuple[int, EncodeTask]], later: list[tuple[int, EncodeTask]]
    ) -> Iterator[tuple[int, EncodeTask]]:
        held = self._encoder.find_cached([task for _, task in block]) if block else set()
        found = [(number, task) for number, task in block if task.key in held]
        if found:
            number, task = found[-1]
            images = {"images": len(found)} if len(found) > 1 else {}
            self._skipped.append(Event("skipped", number, len(self._tasks), task.filename, details=images))
        for number, task in block:
            if task.key in held:
                continue
            with _claiming:
                claimed = _claimed.setdefault(self._encoder.cache, set())
                is_free = task.key not in claimed
                if is_free:
                    claimed.add(task.key)
                    self._mine.add(task.key)
            if is_free:
                yield number, task
            else:
                later.append((number, task))

    def _release(self, keys: Any) -> None:
        with _claiming:
            claimed = _claimed.get(self._encoder.cache, set())
            for key in keys:
                claimed.discard(key)
                self._mine.discard(key)

    def _event(self, number: int, task: EncodeTask, done: Done, held: set[str], shared: set[str]) -> Event:
        place: dict[str, Any] = {"index": number, "total": len(self._tasks), "filename": task.filename, "ms": done.ms}
        if done.error:
            if done.error_type == "ImageChanged":
                self._encoder.forget_file(task.path)
            return Event("failed", **place, details={"error": done.error, "error_type": done.error_type})
        if task.key not in held:
            reason = not_kept(task, self._encoder.cache)
            return Event("failed", **place, details={"error": reason, "error_type": StoreError.__name__})
        if task.key not in shared:
            self._encoder.cache.publish(task.key)
        return Event("computed" if done.value.computed else "skipped", **place)
