"""Which images need encoding, on which executor; the stream of events.

The unit of work is `encode_into_store`: look in the store, compute, publish, return the key. Running it
twice is only waste, so any ``concurrent.futures`` executor can run it, a cluster's too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cache import EmbeddingCache
from .errors import ImageUnreadable
from .images import pixel_hash, read_pixels
from .jobs import Event, JobControl
from .models import Model, load_model

__all__ = ["EncodeOutcome", "EncodeTask", "encode_image", "encode_into_store", "prewarm_events"]


@dataclass(frozen=True)
class EncodeTask:
    """All a worker anywhere needs to encode one image; small and picklable.

    Parameters
    ----------
    key : str
        Where the embedding goes in the store.
    path, pixel_hash, filename : str
        The image, and the pixels that must be found at its path.
    model, checkpoint, device : str
        As for `samnb.models.load_model`; checkpoint "" for none.
    folder, dtype : str
        The store, and its storage precision.
    """

    key: str
    path: str
    pixel_hash: str
    filename: str
    model: str
    checkpoint: str
    device: str
    folder: str
    dtype: str

    @property
    def about(self) -> dict[str, str]:
        """What the entry says of itself in its header."""
        return {"pixel_hash": self.pixel_hash, "filename": self.filename, "model": self.model}


@dataclass(frozen=True)
class EncodeOutcome:
    """What came of an `EncodeTask`: its key, never the tensor."""

    key: str
    computed: bool
    ms: float


def encode_image(task: EncodeTask, model: Model, cache: EmbeddingCache) -> EncodeOutcome:
    """Encode unless the store has it.

    Raises
    ------
    ImageError
        The file is gone, damaged, or no longer holds the pixels it was added with.
    """
    started = time.perf_counter()
    _, hit = cache.get_or_compute(
        task.key, lambda: model.encode(read_checked(task.path, task.pixel_hash)), about=task.about
    )
    return EncodeOutcome(task.key, not hit, (time.perf_counter() - started) * 1000)


def encode_into_store(task: EncodeTask) -> EncodeOutcome:
    """`encode_image` with this process's own model and store: what an executor runs."""
    return encode_image(task, _model(task.model, task.checkpoint, task.device), _store(task.folder, task.dtype))


def read_checked(path: str | Path, expected_hash: str) -> NDArray[np.uint8]:
    """Pixels of a file, if they still are the ones that were added.

    An embedding is filed under the pixels' hash: encoding a file that changed meanwhile would file it
    under the wrong one, for every later session.
    """
    pixels = read_pixels(path)
    if pixel_hash(pixels) != expected_hash:
        raise ImageUnreadable(path, "its pixels changed since it was added; add it again with session.add(path)")
    return pixels


def prewarm_events(
    tasks: Sequence[EncodeTask],
    *,
    cache: EmbeddingCache,
    encode: Callable[[EncodeTask], EncodeOutcome],
    finished: Callable[[EncodeTask], object],
    control: JobControl | None = None,
    executor: Executor | None = None,
) -> Iterator[Event]:
    """Encode what is missing and tell of every image; one that fails is reported and the rest goes on.

    Parameters
    ----------
    tasks : sequence of EncodeTask
        In the order to work in.
    cache : EmbeddingCache
        Asked before an image is encoded.
    encode : callable
        Encodes one here; not used when an executor is given.
    finished : callable
        Called for every image whose embedding is in the store, before its event goes out.
    control : JobControl, optional
        Asked between images.
    executor : Executor, optional
        Runs `encode_into_store`; events then come in order of completion.
    """
    control = control or JobControl()
    counts = {"computed": 0, "skipped": 0, "failed": 0}
    if executor is None:
        events = _one_by_one(tasks, cache, encode, finished, control)
    else:
        events = _spread(tasks, cache, executor, finished, control)
    for event in events:
        counts[event.status] += 1
        yield event
    details = {**counts, "cache_size": len(cache)}
    yield Event("done", total=len(tasks), details=details | ({"cancelled": True} if control.cancelled else {}))


def _one_by_one(
    tasks: Sequence[EncodeTask],
    cache: EmbeddingCache,
    encode: Callable[[EncodeTask], EncodeOutcome],
    finished: Callable[[EncodeTask], object],
    control: JobControl,
) -> Iterator[Event]:
    for index, task in enumerate(tasks, start=1):
        if not control.go_on():
            return
        started = time.perf_counter()
        place: dict[str, Any] = {"index": index, "total": len(tasks), "filename": task.filename}
        try:
            computed = task.key not in cache and encode(task).computed
            finished(task)
        except Exception as error:
            # Any failure belongs to this image alone; the event carries it to the user.
            yield Event("failed", **place, ms=_since(started), details=_reason(error))
        else:
            yield Event("computed" if computed else "skipped", **place, ms=_since(started))


def _spread(
    tasks: Sequence[EncodeTask],
    cache: EmbeddingCache,
    executor: Executor,
    finished: Callable[[EncodeTask], object],
    control: JobControl,
) -> Iterator[Event]:
    waiting = list(enumerate(tasks, start=1))
    running: dict[Future[EncodeOutcome], tuple[int, EncodeTask]] = {}
    # A window, not everything at once: a cancel then leaves little behind, and memory stays bounded.
    window = 2 * (getattr(executor, "_max_workers", None) or 4)
    while (waiting or running) and control.go_on():
        while waiting and len(running) < window:
            index, task = waiting.pop(0)
            if task.key in cache:
                finished(task)
                yield Event("skipped", index=index, total=len(tasks), filename=task.filename, ms=0.0)
            else:
                running[executor.submit(encode_into_store, task)] = (index, task)
        for future in wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done:
            index, task = running.pop(future)
            yield _news(future, index, len(tasks), task, finished)
    for future in running:
        future.cancel()


def _news(
    future: Future[EncodeOutcome], index: int, total: int, task: EncodeTask, finished: Callable[[EncodeTask], object]
) -> Event:
    place: dict[str, Any] = {"index": index, "total": total, "filename": task.filename}
    try:
        outcome = future.result()
        finished(task)
    except Exception as error:
        return Event("failed", **place, details=_reason(error))
    return Event("computed" if outcome.computed else "skipped", **place, ms=outcome.ms)


def _reason(error: Exception) -> dict[str, str]:
    return {"error": str(error) or repr(error), "error_type": type(error).__name__}


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


@lru_cache(maxsize=2)
def _model(name: str, checkpoint: str, device: str) -> Model:
    return load_model(name, checkpoint=checkpoint or None, device=device)


@lru_cache(maxsize=8)
def _store(folder: str, dtype: str) -> EmbeddingCache:
    return EmbeddingCache(folder, dtype=dtype)
