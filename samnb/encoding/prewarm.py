"""`prewarm_events`: encodes the images whose embeddings are missing, here or on an executor."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import closing
from dataclasses import replace
from typing import Any

from ..errors import StoreError
from ..jobs import Event, JobControl
from .encoder import Encoder
from .pipeline import Pipeline, reason_of
from .tasks import EncodeOutcome, EncodeTask, encode_into_store

_COUNTED = ("computed", "skipped", "failed")


def prewarm_events(
    tasks: Sequence[EncodeTask],
    *,
    encoder: Encoder,
    control: JobControl | None = None,
    executor: Executor | None = None,
) -> Generator[Event]:
    """Encode what is missing, with one event for every image; a failed one is reported and the rest continues.

    Parameters
    ----------
    tasks : sequence of EncodeTask
        In the order to work in.
    encoder : Encoder
        Its store is asked before an image is encoded; its catalog is updated before the event.
    control : JobControl, optional
        Checked before images are encoded.
    executor : Executor, optional
        Runs `encode_into_store`; events then come in order of completion. None: a `Pipeline` in this process, and
        events in the order of `tasks`.
    """
    if executor is not None and encoder.cache.folder is None:
        raise StoreError("An executor's workers publish into a folder, and this session's cache is memory only.")
    control = control or JobControl()
    counts = dict.fromkeys(_COUNTED, 0)
    if executor is None:
        events = _with_tuning(Pipeline(tasks, encoder, control))
    else:
        events = _run_on(tasks, encoder, executor, control)
    with closing(events):
        for event in events:
            counts[event.status] += 1
            yield event
    details = {**counts, "cache_size": encoder.cache.approximate_len()}
    yield Event("done", total=len(tasks), details=details | ({"cancelled": True} if control.cancelled else {}))


def prewarm_models(
    models: Sequence[tuple[Encoder, Sequence[EncodeTask]]],
    *,
    control: JobControl | None = None,
    executor: Executor | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Generator[Event]:
    """Encode for several models, one after the other, as one piece of work; see `prewarm_events`.

    Parameters
    ----------
    models : sequence of (Encoder, sequence of EncodeTask)
        The session's own first. Events of the others have the name of their model as "features".
    control, executor
        As for `prewarm_events`.
    left_out : mapping of str to str, optional
        Models that cannot be opened here, with the reason; in the details of the last event.
    """
    control = control or JobControl()
    total, before, counts = sum(len(tasks) for _, tasks in models), 0, dict.fromkeys(_COUNTED, 0)
    last: dict[str, Any] = {}
    features: dict[str, dict[str, int]] = {}
    for number, (encoder, tasks) in enumerate(models):
        if number and control.cancelled:
            break
        named = {"features": encoder.model.name} if number else {}
        with closing(prewarm_events(tasks, encoder=encoder, control=control, executor=executor)) as events:
            for event in events:
                if event.status != "done":
                    if total > len(tasks):
                        event = replace(event, index=before + event.index, total=total, details=event.details | named)
                    yield event
                    continue
                last = event.details
                for name in _COUNTED:
                    counts[name] += last[name]
                if number:
                    features[encoder.model.name] = {name: last[name] for name in _COUNTED}
        before += len(tasks)
    more = ({"features": features} if features else {}) | ({"features_left_out": dict(left_out)} if left_out else {})
    yield Event("done", total=total, details=last | counts | more)


def _with_tuning(pipeline: Pipeline) -> Generator[Event]:
    """The pipeline's events; the first one with known settings, and each after a change, names them."""
    reported = None
    with closing(pipeline.events()) as events:
        for event in events:
            if pipeline.tuning != reported:
                reported = pipeline.tuning
                event = replace(event, details={**event.details, "pace": str(reported)})
            yield event


def _run_on(tasks: Sequence[EncodeTask], encoder: Encoder, executor: Executor, control: JobControl) -> Generator[Event]:
    waiting = list(enumerate(tasks, start=1))
    running: dict[Future[EncodeOutcome], tuple[int, EncodeTask]] = {}
    # A window, not all at once: a cancel leaves little behind, and memory stays bounded.
    window = 2 * (getattr(executor, "_max_workers", None) or 4)
    while (waiting or running) and control.go_on():
        while waiting and len(running) < window:
            index, task = waiting.pop(0)
            place: dict[str, Any] = {"index": index, "total": len(tasks), "filename": task.filename}
            try:
                if there := encoder.cache.ensure_local(task.key):
                    encoder.record_cached(task)
            except Exception as error:
                yield Event("failed", **place, details=reason_of(error))
                continue
            if there:
                yield Event("skipped", **place, ms=0.0)
            else:
                running[executor.submit(encode_into_store, task)] = (index, task)
        for future in wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done:
            index, task = running.pop(future)
            yield _event_of(future, index, len(tasks), task, encoder)
    for future in running:
        future.cancel()


def _event_of(future: Future[EncodeOutcome], index: int, total: int, task: EncodeTask, encoder: Encoder) -> Event:
    place: dict[str, Any] = {"index": index, "total": total, "filename": task.filename}
    try:
        outcome = future.result()
        encoder.record_cached(task)
        encoder.cache.publish(task.key)
    except Exception as error:
        return Event("failed", **place, details=reason_of(error))
    return Event("computed" if outcome.computed else "skipped", **place, ms=outcome.ms)
