"""Images that are in the catalog and whose files were not read yet: they are read here, or on workers.

They were added with ``hash="later"``, or come from the earlier server, which kept paths and did not read the files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..cards import count_text
from ..catalog import Catalog, ImageRecord, NewImage
from ..encoding.large_images import LargeImages
from ..errors import ImageChanged
from ..jobs import Event, JobControl
from ..workers import Coordinator, Done, attempt, open_pool
from .reading import Read, read_one
from .threads import threads
from .views import save_details

_log = logging.getLogger("samnb.upkeep")

BATCH = 32
"""Number of files read between two transactions."""

GONE = "removed from the catalog meanwhile"
"""The outcome of an image that is in the catalog no longer."""

Outcome = ImageRecord | str
"""An image as it is now, or the reason why it cannot be read."""
_Reads = list[tuple[ImageRecord, NewImage | str]]


@dataclass(frozen=True)
class HashWork:
    """Reads and hashes the pictures of ``ImageRecord`` items, on a worker; a `samnb.workers.Work`.

    Parameters
    ----------
    overviews : str
        Folder of the overviews of large pictures; used where the worker sees the folder above it.
    """

    overviews: str = ""

    def open(self) -> LargeImages:
        """Where overviews are kept."""
        there = bool(self.overviews) and Path(self.overviews).parent.is_dir()
        return LargeImages(Path(self.overviews) if there else None)

    def __call__(self, items: Sequence[ImageRecord], control: JobControl) -> Iterator[Done]:
        overviews = self.open()

        def read(record: ImageRecord) -> Done:
            return attempt(0, lambda: read_one(record.path, overviews))

        with ThreadPoolExecutor(threads([record.path for record in items])) as pool:
            for index, done in enumerate(pool.map(lambda record: control.cancelled or read(record), items)):
                if isinstance(done, Done):
                    yield replace(done, index=index)


@dataclass(frozen=True)
class Reader:
    """Reads the files of images and saves their hashes.

    Parameters
    ----------
    catalog : Catalog
    is_cached : callable
        True for an image whose embedding the store holds.
    overviews : Path, optional
        Folder of the overviews of large pictures.
    on : optional
        Workers, as for `samnb.workers.open_pool`; None: this process.
    """

    catalog: Catalog
    is_cached: Callable[[NewImage], bool]
    overviews: Path | None = None
    on: Any = None

    def outcomes(
        self, records: Sequence[ImageRecord], control: JobControl
    ) -> Generator[list[tuple[ImageRecord, Outcome]]]:
        """Images, each as it is now, in any order, in batches that are saved; empty ones now and then."""
        reads = self._here(records, control) if self.on is None else self._on_workers(records, control)
        with closing(reads):
            for batch in reads:
                yield self._saved(batch) if batch else []

    def _here(self, records: Sequence[ImageRecord], control: JobControl) -> Generator[_Reads]:
        overviews = LargeImages(self.overviews)
        with ThreadPoolExecutor(threads([record.path for record in records[:BATCH]])) as pool:
            for start in range(0, len(records), BATCH):
                if not control.go_on():
                    return
                batch = records[start : start + BATCH]
                found = pool.map(lambda record: read_one(record.path, overviews), batch)
                yield [(record, _checked(record, read)) for record, read in zip(batch, found, strict=True)]

    def _on_workers(self, records: Sequence[ImageRecord], control: JobControl) -> Generator[_Reads]:
        pool = open_pool(self.on)
        try:
            run = Coordinator(pool, HashWork(str(self.overviews or "")), control, total=len(records))
            for results in run.run(iter(records)):
                yield [(record, done.error or _checked(record, done.value)) for record, done in results]
        finally:
            pool.close()

    def _saved(self, reads: _Reads) -> list[tuple[ImageRecord, Outcome]]:
        new = {record.id: read for record, read in reads if isinstance(read, NewImage)}
        cached = {image_id: replace(read, embedding_cached=self.is_cached(read)) for image_id, read in new.items()}
        renewed = {image.id: image for image in self.catalog.renew_images(cached)}
        save_details(self.catalog, renewed.values())
        return [(record, read if isinstance(read, str) else renewed.get(record.id, GONE)) for record, read in reads]


def fill_events(
    reader: Reader, records: Sequence[ImageRecord], *, control: JobControl | None = None
) -> Iterator[Event]:
    """Read the files of these images and save their hashes; a missing file is reported and the rest continues.

    Parameters
    ----------
    reader : Reader
    records : sequence of ImageRecord
    control : JobControl, optional
        Checked every `BATCH` files. Saved values stay, so the next call continues from there.
    """
    control = control or JobControl()
    counts = {"computed": 0, "skipped": 0, "failed": 0}
    for batch in reader.outcomes(records, control):
        for record, outcome in batch:
            event = _event(record, outcome, sum(counts.values()) + 1, len(records))
            counts[event.status] += 1
            yield event
    what = f"Hashes of {count_text(counts['computed'], 'image')} filled in"
    details = {**counts, "summary": f"{what}, {counts['failed']} failed" if counts["failed"] else what}
    yield Event("done", total=len(records), details=details | ({"cancelled": True} if control.cancelled else {}))


def with_hashes(
    reader: Reader, records: Sequence[ImageRecord], *, control: JobControl | None = None
) -> list[ImageRecord]:
    """The same images; files that were never read are read now. One that cannot be read is returned as it was."""
    unread = [record for record in records if not record.is_read]
    renewed: dict[str, ImageRecord] = {}
    if unread:
        with closing(reader.outcomes(unread, control or JobControl())) as batches:
            for batch in batches:
                renewed |= {record.id: new for record, new in batch if isinstance(new, ImageRecord)}
    return [renewed.get(record.id, record) for record in records]


def once_read(
    reader: Reader,
    records: Sequence[ImageRecord],
    work: Callable[[list[ImageRecord]], Iterator[Event]],
    *,
    control: JobControl | None = None,
) -> Iterator[Event]:
    """The events of a work on images; their files that were never read are read first, as a part of it.

    Meanwhile events of status "found" tell how many have been read, and of how many. One that cannot be read has
    failed, and is not tried again by the work, whose events come after those of all such. After a cancel the work gets
    the others as they were.

    Parameters
    ----------
    reader : Reader
    records : sequence of ImageRecord
    work : callable
        Called once, with the same images as they are then.
    control : JobControl, optional
        Checked every `BATCH` files.
    """
    unread = [record for record in records if not record.is_read]
    outcomes: dict[str, Outcome] = {}
    if unread:
        with closing(reader.outcomes(unread, control or JobControl())) as batches:
            for batch in batches:
                outcomes |= {record.id: outcome for record, outcome in batch}
                if batch:
                    yield Event("found", index=len(outcomes), details={"to_read": len(unread)})
    now = [(record, outcomes.get(record.id, record)) for record in records]
    failed = [(record, why) for record, why in now if isinstance(why, str)]
    for index, (record, why) in enumerate(failed, start=1):
        yield _event(record, why, index, len(records))
    for event in work([image for _, image in now if isinstance(image, ImageRecord)]):
        yield _after_failed(event, len(failed)) if failed else event


def _after_failed(event: Event, failed: int) -> Event:
    """An event of a work on the other images, as one of all."""
    event = replace(event, index=event.index and event.index + failed, total=event.total + failed)
    if event.status != "done":
        return event
    details = {**event.details, "failed": event.details.get("failed", 0) + failed}
    if "report" in details:
        details["report"] = f"{details['report']}, {count_text(failed, 'picture')} could not be read"
    return replace(event, details=details)


def _checked(record: ImageRecord, read: Read) -> NewImage | str:
    """What was read of an image, as its row is to be; or the reason why it cannot be."""
    new = read.new
    if new is None:
        return f"{record.path}: {read.reason}"
    if record.is_read and record.pixel_hash != new.pixel_hash:
        return str(ImageChanged(record.path, record.dataset))
    if record.content_hash and record.content_hash != new.content_hash:
        _log.warning("%s: its bytes changed since the earlier server hashed it", record.path)
    # The path as it is saved, so that a relative one still means this image.
    return replace(new, path=record.path, filename=record.filename)


def _event(record: ImageRecord, outcome: Outcome, index: int, total: int) -> Event:
    if isinstance(outcome, ImageRecord):
        return Event("computed", index=index, total=total, filename=record.filename)
    return Event("failed", index=index, total=total, filename=record.filename, details={"error": outcome})
