"""Catalog and files brought together again: images that nobody has read yet, and files that were moved."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..cache import EmbeddingCache
from ..catalog import Catalog, ImageRecord, NewImage
from ..errors import AnyPath, ImageChanged, ImageError
from ..images import content_hash, find_images
from ..jobs import Event, JobControl
from ..store.header import read_header
from .add import new_image, threads

__all__ = ["FlagsOfAnyModel", "Relocated", "fill_events", "filled", "relocate"]

_log = logging.getLogger("samnb.upkeep")

BATCH = 32
"""So many files are read between two transactions, and between two looks at whether to go on."""


@dataclass(frozen=True, repr=False)
class Relocated:
    """What `relocate` did: images whose files it found elsewhere, and those whose files are still missing."""

    folder: str
    found: tuple[ImageRecord, ...]
    missing: tuple[ImageRecord, ...]

    def __str__(self) -> str:
        total = len(self.found) + len(self.missing)
        if not total:
            return "No file is missing."
        lines = [f"{len(self.found)} of {total} missing files found in {self.folder}"]
        lines += [f"  ⚠ {image.dataset}/{image.filename}: was {image.path}" for image in self.missing[:20]]
        if len(self.missing) > 20:
            lines.append(f"  … and {len(self.missing) - 20} more in .missing")
        return "\n".join(lines)

    __repr__ = __str__


def fill_events(
    catalog: Catalog,
    records: Sequence[ImageRecord],
    *,
    is_cached: Callable[[str], bool],
    control: JobControl | None = None,
) -> Iterator[Event]:
    """Read the files of these images and write down their hashes; one that is gone is reported and the rest goes on.

    Parameters
    ----------
    catalog : Catalog
    records : sequence of ImageRecord
    is_cached : callable
        True for a pixel hash whose embedding the store holds.
    control : JobControl, optional
        Asked every `BATCH` files; what is written stays, so the next call goes on from there.
    """
    control = control or JobControl()
    counts = {"computed": 0, "skipped": 0, "failed": 0}
    for start in range(0, len(records), BATCH):
        if not control.go_on():
            break
        batch = records[start : start + BATCH]
        outcomes = _fill(catalog, batch, is_cached)
        for index, record in enumerate(batch, start=start + 1):
            event = _news(record, outcomes[record.id], index, len(records))
            counts[event.status] += 1
            yield event
    what = f"Hashes of {counts['computed']} images filled in"
    details = {**counts, "summary": f"{what}, {counts['failed']} failed" if counts["failed"] else what}
    yield Event("done", total=len(records), details=details | ({"cancelled": True} if control.cancelled else {}))


def filled(catalog: Catalog, records: Sequence[ImageRecord], *, is_cached: Callable[[str], bool]) -> list[ImageRecord]:
    """The same images, those that were not read yet read now; one that cannot be read comes as it was."""
    unread = [record for record in records if not record.is_read]
    if not unread:
        return list(records)
    now: dict[str, ImageRecord | str] = {}
    for start in range(0, len(unread), BATCH):
        now |= _fill(catalog, unread[start : start + BATCH], is_cached)
    renewed = {image_id: image for image_id, image in now.items() if isinstance(image, ImageRecord)}
    return [renewed.get(record.id, record) for record in records]


def _fill(
    catalog: Catalog, records: Sequence[ImageRecord], is_cached: Callable[[str], bool]
) -> dict[str, ImageRecord | str]:
    """The images as they are now, by id, or why one cannot be read."""
    with ThreadPoolExecutor(max_workers=threads()) as pool:
        reads = dict(zip((record.id for record in records), pool.map(_read, records), strict=True))
    new = {image_id: read for image_id, read in reads.items() if isinstance(read, NewImage)}
    cached = {image_id: replace(read, embedding_cached=is_cached(read.pixel_hash)) for image_id, read in new.items()}
    gone: dict[str, ImageRecord | str] = dict.fromkeys(new, "removed from the catalog meanwhile")
    why = {image_id: read for image_id, read in reads.items() if isinstance(read, str)}
    return gone | why | {image.id: image for image in catalog.renew_images(cached)}


class FlagsOfAnyModel:
    """Keeps a catalog's flags by what a store holds of any model: for whoever looks after a store and has no model."""

    def __init__(self, catalog: Catalog, cache: EmbeddingCache):
        self.catalog, self.cache = catalog, cache

    def store_changed(self, pixel_hashes: frozenset[str] | None, *, fix: bool) -> int:
        """Compare the flags with the store, whose headers are all read; see `samnb.store.observers`.

        Without `fix`, a flag that is down is right: it may speak of a model that has not encoded the image.
        """
        there = (self.cache.path_of(key) for key in list(self.cache.keys()) if key in self.cache)
        held = {read_header(path).get("pixel_hash", "") for path in there}

        def has(image: ImageRecord) -> bool:
            return image.pixel_hash in held and (fix or image.embedding_cached)

        wrong = len(self.catalog.wrongly_flagged(has, pixel_hashes=pixel_hashes))
        if wrong and fix:
            self.catalog.refresh_cached(has, pixel_hashes=pixel_hashes)
        return wrong


def relocate(catalog: Catalog, folder: AnyPath) -> Relocated:
    """Find files that were moved or renamed again by their bytes, and write down where they are now.

    Parameters
    ----------
    catalog : Catalog
        Images whose files are where they were are left alone.
    folder : path
        Searched with all folders below; files whose size no missing one had are not read.

    Raises
    ------
    ImageNotFound
        Nothing there, or nothing that is a picture.
    """
    images = catalog.images()
    missing = [image for image in images if not os.path.exists(image.path)]
    taken = {(image.dataset_id, image.path) for image in images}
    places = _places(find_images(folder), missing) if missing else {}
    moved: dict[str, NewImage] = {}
    for image in missing:
        free = [path for path in places.get(image.content_hash, ()) if (image.dataset_id, str(path)) not in taken]
        if free:
            path = next((path for path in free if path.name == image.filename), free[0])
            taken.add((image.dataset_id, str(path)))
            status = path.stat()
            stamp: dict[str, Any] = {
                "size_bytes": status.st_size,
                "mtime_ns": status.st_mtime_ns,
                "inode": status.st_ino,
            }
            moved[image.id] = replace(image.as_new(), path=str(path), filename=path.name, **stamp)
    found = {image.id: image for image in catalog.renew_images(moved)}
    return Relocated(str(folder), tuple(found.values()), tuple(image for image in missing if image.id not in found))


def _places(files: Sequence[Path], missing: Sequence[ImageRecord]) -> dict[str, list[Path]]:
    """Where files with the missing content are, by content hash."""
    sizes = {image.size_bytes for image in missing if image.content_hash}
    any_size = 0 in sizes  # the earlier server hashed files and did not keep their sizes
    wanted = {image.content_hash for image in missing} - {""}
    likely = [path.absolute() for path in files if any_size or path.stat().st_size in sizes]
    places: dict[str, list[Path]] = {}
    with ThreadPoolExecutor(max_workers=threads()) as pool:
        for path, found in zip(likely, pool.map(_content_hash, likely), strict=True):
            if found in wanted:
                places.setdefault(found, []).append(path)
    return places


def _content_hash(path: Path) -> str:
    try:
        return content_hash(path)
    except ImageError as error:
        _log.warning("%s", error)
        return ""


def _read(record: ImageRecord) -> NewImage | str:
    try:
        new = new_image(Path(record.path))
    except (ImageError, OSError) as error:
        return str(error)
    if record.is_read and record.pixel_hash != new.pixel_hash:
        return str(ImageChanged(record.path, record.dataset))
    if record.content_hash and record.content_hash != new.content_hash:
        _log.warning("%s: its bytes changed since the earlier server hashed it", record.path)
    # The path as it is kept, so that a relative one still means this image.
    return replace(new, path=record.path, filename=record.filename)


def _news(record: ImageRecord, outcome: ImageRecord | str, index: int, total: int) -> Event:
    if isinstance(outcome, ImageRecord):
        return Event("computed", index=index, total=total, filename=record.filename)
    return Event("failed", index=index, total=total, filename=record.filename, details={"error": outcome})
