"""Asks a query on many images: searches, saves and resumes, and yields events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..catalog import Catalog
from ..jobs import Event, Job, JobControl
from ..models import Model
from ..records import ImageRecord
from .query import Query, Search, SearchStopped, described, query_key
from .tiled import InRegion, find_on_tiles

_log = logging.getLogger("samnb.proposals")


def propose_events(
    query: Query,
    images: Sequence[ImageRecord],
    *,
    catalog: Catalog,
    model: Model,
    search: Callable[[ImageRecord], Search],
    control: JobControl | None = None,
) -> Iterator[Event]:
    """Search every image and save what is found; yields an event per image.

    A picture that was searched with this query and model is skipped, in whichever dataset, so an interrupted run is
    resumed by running it again.

    Parameters
    ----------
    query : Query
    images : sequence of ImageRecord
    catalog : Catalog
        Stores the proposals; one transaction per image.
    model : Model
    search : callable
        Returns what the query may read of an image.
    control : JobControl, optional
        Checked between images, and by queries that take long.

    Raises
    ------
    SessionTooNew
        The session is only read, and there is something to search.
    """
    control = control or JobControl()
    counts = {"computed": 0, "skipped": 0, "failed": 0, "masks": 0, "encoded": 0}
    key = query_key(query)
    done = catalog.searched(model.fingerprint, key)
    if any(image.pixel_hash not in done for image in images):
        catalog.check_writable()  # before seconds of work that could not be kept
    for index, image in enumerate(images, start=1):
        if not control.go_on():
            break
        started = time.perf_counter()
        place: dict[str, Any] = {"index": index, "total": len(images), "filename": image.filename}
        if image.pixel_hash in done:
            counts["skipped"] += 1
            yield Event("skipped", **place, ms=(time.perf_counter() - started) * 1000)
            continue
        here = search(image)
        try:
            found = search_image(query, here, catalog)
        except SearchStopped:
            break
        except Exception as error:
            # One failing image must not stop the batch; the event carries the reason to the user.
            counts["failed"] += 1
            reason = {"error": str(error) or repr(error), "error_type": type(error).__name__}
            yield Event("failed", **place, ms=(time.perf_counter() - started) * 1000, details=reason)
            continue
        done.add(image.pixel_hash)
        counts["computed"] += 1
        counts["masks"] += found
        counts["encoded"] += here.encodes
        details = {"masks": found, "cache_hit": not here.encodes}
        yield Event("computed", **place, ms=(time.perf_counter() - started) * 1000, details=details)
    catalog.sync()
    report = f"{counts['masks']} proposals on {counts['computed']} images, {counts['skipped']} searched before"
    if counts["failed"]:
        report += f", {counts['failed']} failed"
    ended = {"report": report, **({"cancelled": True} if control.cancelled else {})}
    yield Event("done", total=len(images), details=counts | ended)


def search_image(query: Query, search: Search, catalog: Catalog) -> int:
    """Ask a query on one image and save what it finds; returns the number of masks that are saved."""
    by_tiles = search.encoder.large.has(search.image) and not isinstance(query, InRegion)
    found, hash_ = find_on_tiles(query, search) if by_tiles else query.find(search), search.image.pixel_hash
    saved = catalog.finish_search(hash_, search.model.fingerprint, query_key(query), described(query), found)
    return len(found) if saved else 0


def tell_failures(job: Job) -> None:
    """Log a warning of the images that could not be searched: a list of proposals does not show what it lacks."""
    failed = [event for event in job.events if event.status == "failed"]
    if failed:
        first, count = failed[0], f"{len(failed)} of {job.total} images"
        _log.warning(
            "%s could not be searched, and nothing is offered on them: %s: %s", count, first.filename, first["error"]
        )
