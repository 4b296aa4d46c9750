"""Hashes of images that came from the earlier server, which kept paths and did not read the files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..catalog import Catalog, ImageRecord, NewImage
from ..errors import ImageChanged, ImageError
from ..jobs import Event, JobControl
from .add import new_image, threads

_log = logging.getLogger("samnb.upkeep")

BATCH = 32
"""Number of files read between two transactions."""


def fill_events(
    catalog: Catalog,
    records: Sequence[ImageRecord],
    *,
    is_cached: Callable[[NewImage], bool],
    control: JobControl | None = None,
) -> Iterator[Event]:
    """Read the files of these images and save their hashes; a missing file is reported and the rest continues.

    Parameters
    ----------
    catalog : Catalog
    records : sequence of ImageRecord
    is_cached : callable
        True for an image whose embedding the store holds.
    control : JobControl, optional
        Checked every `BATCH` files. Saved values stay, so the next call continues from there.
    """
    control = control or JobControl()
    counts = {"computed": 0, "skipped": 0, "failed": 0}
    for start in range(0, len(records), BATCH):
        if not control.go_on():
            break
        batch = records[start : start + BATCH]
        outcomes = _fill(catalog, batch, is_cached)
        for index, record in enumerate(batch, start=start + 1):
            event = _event(record, outcomes[record.id], index, len(records))
            counts[event.status] += 1
            yield event
    what = f"Hashes of {counts['computed']} images filled in"
    details = {**counts, "summary": f"{what}, {counts['failed']} failed" if counts["failed"] else what}
    yield Event("done", total=len(records), details=details | ({"cancelled": True} if control.cancelled else {}))


def with_hashes(
    catalog: Catalog, records: Sequence[ImageRecord], *, is_cached: Callable[[NewImage], bool]
) -> list[ImageRecord]:
    """The same images; files that were never read are read now. One that cannot be read is returned as it was."""
    unread = [record for record in records if not record.is_read]
    if not unread:
        return list(records)
    outcomes: dict[str, ImageRecord | str] = {}
    for start in range(0, len(unread), BATCH):
        outcomes |= _fill(catalog, unread[start : start + BATCH], is_cached)
    renewed = {image_id: image for image_id, image in outcomes.items() if isinstance(image, ImageRecord)}
    return [renewed.get(record.id, record) for record in records]


def _fill(
    catalog: Catalog, records: Sequence[ImageRecord], is_cached: Callable[[NewImage], bool]
) -> dict[str, ImageRecord | str]:
    """By id, each image as it is now, or the reason why it cannot be read."""
    with ThreadPoolExecutor(max_workers=threads()) as pool:
        reads = dict(zip((record.id for record in records), pool.map(_read, records), strict=True))
    new = {image_id: read for image_id, read in reads.items() if isinstance(read, NewImage)}
    cached = {image_id: replace(read, embedding_cached=is_cached(read)) for image_id, read in new.items()}
    gone: dict[str, ImageRecord | str] = dict.fromkeys(new, "removed from the catalog meanwhile")
    reasons = {image_id: read for image_id, read in reads.items() if isinstance(read, str)}
    return gone | reasons | {image.id: image for image in catalog.renew_images(cached)}


def _read(record: ImageRecord) -> NewImage | str:
    try:
        new = new_image(Path(record.path))
    except (ImageError, OSError) as error:
        return str(error)
    if record.is_read and record.pixel_hash != new.pixel_hash:
        return str(ImageChanged(record.path, record.dataset))
    if record.content_hash and record.content_hash != new.content_hash:
        _log.warning("%s: its bytes changed since the earlier server hashed it", record.path)
    # The path as it is saved, so that a relative one still means this image.
    return replace(new, path=record.path, filename=record.filename)


def _event(record: ImageRecord, outcome: ImageRecord | str, index: int, total: int) -> Event:
    if isinstance(outcome, ImageRecord):
        return Event("computed", index=index, total=total, filename=record.filename)
    return Event("failed", index=index, total=total, filename=record.filename, details={"error": outcome})
