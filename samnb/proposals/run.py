"""Asks a query on many images: searches, saves and resumes, and yields events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..cards import count_text
from ..catalog import Catalog
from ..encoding.search_events import Kept, search_events, search_here
from ..jobs import Event, Job, JobControl
from ..models import Model
from ..records import ImageRecord, NewProposal
from .query import Query, Search, described, query_key
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
    """
    keeper = _Finds(query, catalog, model.fingerprint)
    find = search_here(lambda image: _find(query, search(image)))
    for event in search_events(images, search=find, keeper=keeper, catalog=catalog, control=control):
        yield event if event.status != "done" else replace(event, details=event.details | _report(event))


def search_image(query: Query, search: Search, catalog: Catalog) -> None:
    """Ask a query on one image and save what it finds."""
    found, _ = _find(query, search)
    _Finds(query, catalog, search.model.fingerprint).keep(search.image, found)


def _find(query: Query, search: Search) -> tuple[list[NewProposal], int]:
    """What a query finds on an image, and how often an image encoder ran."""
    by_tiles = search.encoder.large.has(search.image) and not isinstance(query, InRegion)
    found = find_on_tiles(query, search) if by_tiles else query.find(search)
    return found, search.encodes


class _Finds:
    """Keeps a query's finds as proposals; a `samnb.encoding.search_events.Keeper`."""

    counted = ("masks",)

    def __init__(self, query: Query, catalog: Catalog, fingerprint: str):
        self._query, self._catalog, self._fingerprint = query, catalog, fingerprint
        self._key = query_key(query)
        self._done = catalog.searched(fingerprint, self._key)

    def is_done(self, image: ImageRecord) -> bool:
        return image.pixel_hash in self._done

    def known(self, image: ImageRecord) -> None:
        """Nothing: a search of another query or model says nothing about this one."""

    def keep(self, image: ImageRecord, found: Sequence[NewProposal]) -> Kept:
        saved = self._catalog.finish_search(
            image.pixel_hash, self._fingerprint, self._key, described(self._query), found
        )
        self._done.add(image.pixel_hash)  # the same picture comes in another dataset too
        masks = {"masks": len(found) if saved else 0}
        return Kept(masks, masks)

    def keep_all(self, found: Sequence[tuple[ImageRecord, Any]]) -> Mapping[str, Kept]:
        return {}


def _report(done: Event) -> dict[str, str]:
    counts = done.details
    found, searched = count_text(counts["masks"], "proposal"), count_text(counts["computed"], "image")
    report = f"{found} on {searched}, {counts['skipped']} searched before"
    return {"report": report + (f", {counts['failed']} failed" if counts["failed"] else "")}


def tell_failures(job: Job) -> None:
    """Log a warning of the images that could not be searched: a list of proposals does not show what it lacks."""
    failed = [event for event in job.events if event.status == "failed"]
    if failed:
        first, count = failed[0], f"{len(failed)} of {count_text(job.total, 'image')}"
        _log.warning(
            "%s could not be searched, and nothing is offered on them: %s: %s", count, first.filename, first["error"]
        )
