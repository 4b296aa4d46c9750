"""Which images need encoding, on which executor; the stream of events."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import closing
from dataclasses import replace
from typing import Any

from ..errors import StoreError
from ..jobs import Event, JobControl
from .encoder import EncodeOutcome, Encoder, EncodeTask, encode_into_store
from .pipeline import Pipeline, reason_of

__all__ = ["prewarm_events"]


def prewarm_events(
    tasks: Sequence[EncodeTask],
    *,
    encoder: Encoder,
    control: JobControl | None = None,
    executor: Executor | None = None,
) -> Generator[Event]:
    """Encode what is missing and tell of every image; one that fails is reported and the rest goes on.

    Parameters
    ----------
    tasks : sequence of EncodeTask
        In the order to work in.
    encoder : Encoder
        Its store is asked before an image is encoded; its catalog is told before an event goes out.
    control : JobControl, optional
        Asked before images are encoded.
    executor : Executor, optional
        Runs `encode_into_store`; events then come in order of completion. None: a `Pipeline` in this process, and
        events in the order of `tasks`.
    """
    if executor is not None and encoder.cache.folder is None:
        raise StoreError("An executor's workers publish into a folder, and this session's cache is memory only.")
    control = control or JobControl()
    counts = {"computed": 0, "skipped": 0, "failed": 0}
    if executor is None:
        events = _told(Pipeline(tasks, encoder, control))
    else:
        events = _spread(tasks, encoder, executor, control)
    with closing(events):
        for event in events:
            counts[event.status] += 1
            yield event
    details = {**counts, "cache_size": encoder.cache.approximate_len()}
    yield Event("done", total=len(tasks), details=details | ({"cancelled": True} if control.cancelled else {}))


def _told(pipeline: Pipeline) -> Generator[Event]:
    """Its events; the first one, and the one after it was found, say how it goes fastest here."""
    told: dict[str, str] = {}
    with closing(pipeline.events()) as events:
        for event in events:
            if (pace := _pace(pipeline)) != told:
                event, told = replace(event, details=event.details | pace), pace
            yield event


def _pace(pipeline: Pipeline) -> dict[str, str]:
    return {} if pipeline.choice is None else {"pace": str(pipeline.choice)}


def _spread(tasks: Sequence[EncodeTask], encoder: Encoder, executor: Executor, control: JobControl) -> Generator[Event]:
    waiting = list(enumerate(tasks, start=1))
    running: dict[Future[EncodeOutcome], tuple[int, EncodeTask]] = {}
    # A window, not everything at once: a cancel then leaves little behind, and memory stays bounded.
    window = 2 * (getattr(executor, "_max_workers", None) or 4)
    while (waiting or running) and control.go_on():
        while waiting and len(running) < window:
            index, task = waiting.pop(0)
            place: dict[str, Any] = {"index": index, "total": len(tasks), "filename": task.filename}
            try:
                if there := encoder.cache.ensure_local(task.key):
                    encoder.finished(task)
            except Exception as error:
                yield Event("failed", **place, details=reason_of(error))
                continue
            if there:
                yield Event("skipped", **place, ms=0.0)
            else:
                running[executor.submit(encode_into_store, task)] = (index, task)
        for future in wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done:
            index, task = running.pop(future)
            yield _news(future, index, len(tasks), task, encoder)
    for future in running:
        future.cancel()


def _news(future: Future[EncodeOutcome], index: int, total: int, task: EncodeTask, encoder: Encoder) -> Event:
    place: dict[str, Any] = {"index": index, "total": total, "filename": task.filename}
    try:
        outcome = future.result()
        encoder.finished(task)
        encoder.cache.publish(task.key)
    except Exception as error:
        return Event("failed", **place, details=reason_of(error))
    return Event("computed" if outcome.computed else "skipped", **place, ms=outcome.ms)
