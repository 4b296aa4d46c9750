"""`prewarm_events`: encodes the images whose embeddings are missing, here or on workers."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from ..errors import StoreError
from ..jobs import Event, JobControl
from .encoder import Encoder
from .on_workers import encode_on
from .pipeline import Pipeline
from .tasks import EncodeTask

_COUNTED = ("computed", "skipped", "failed")


def prewarm_events(
    tasks: Sequence[EncodeTask],
    *,
    encoder: Encoder,
    control: JobControl | None = None,
    on: Any = None,
) -> Generator[Event]:
    """Encode what is missing, with an event for every image; a failed one is reported and the rest continues.

    Parameters
    ----------
    tasks : sequence of EncodeTask
        In the order to work in.
    encoder : Encoder
        Its store is asked before an image is encoded; its catalog is updated before the event.
    control : JobControl, optional
        Checked before images are encoded.
    on : optional
        Workers, as for `samnb.workers.open_pool`; events then come in order of completion. None: a `Pipeline` in this
        process, and events in the order of `tasks`.
    """
    if on is not None and encoder.cache.folder is None and not encoder.cache.remote.urls:
        raise StoreError(
            "Workers publish into a folder or a remote tier, and this session's cache is memory only. Open the session "
            "without cache=, or with cache={'remote': ['s3://…']}."
        )
    control = control or JobControl()
    counts = dict.fromkeys(_COUNTED, 0)
    here = on is None
    events = _with_tuning(Pipeline(tasks, encoder, control)) if here else encode_on(on, tasks, encoder, control)
    with closing(events):
        for event in events:
            counts[event.status] += event.images
            yield event
    encoder.cache.sync()
    details = {**counts, "cache_size": encoder.cache.approximate_len()}
    yield Event("done", total=len(tasks), details=details | ({"cancelled": True} if control.cancelled else {}))


def prewarm_models(
    models: Sequence[tuple[Encoder, Sequence[EncodeTask]]],
    *,
    control: JobControl | None = None,
    on: Any = None,
    left_out: Mapping[str, str] | None = None,
) -> Generator[Event]:
    """Encode for several models, one after the other, as one piece of work; see `prewarm_events`.

    Parameters
    ----------
    models : sequence of (Encoder, sequence of EncodeTask)
        The session's own first. Events of the others have the name of their model as "features".
    control, on
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
        with closing(prewarm_events(tasks, encoder=encoder, control=control, on=on)) as events:
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
