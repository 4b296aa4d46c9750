"""Adds pictures to the catalog: each file is read and hashed once, by several threads, and written in batches.

Written rows stay: after a cancel, an interrupt or a kill, adding the same again
reads only files that are not in the catalog yet.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from ..cards import count_text
from ..catalog import Catalog, ImageRecord, NewImage
from ..catalog.file_index import FileStat
from ..catalog.image_queries import added_ns
from ..catalog.values import path_text
from ..encoding.large_images import LargeImages
from ..errors import ImageError, UnknownName, WorkWouldBeLost
from ..images.addresses import file_name
from ..images.discovery import other_pictures_text
from ..images.file_status import FileStatus
from ..images.hashing import content_hash
from ..images.perceptual import PERCEPTUAL_VERSION
from ..images.zip_files import Member
from ..jobs import Event, Job, JobControl
from ..printable import printable
from ..records import Failure
from ..remote_files import is_address
from .counting import count_duplicates, log_duplicates, moved_text
from .reading import Read, read_one, unread_image
from .report import AddReport, pages_text, shown_text
from .sources import Address, Item, LeftOut, Rejected, StoredFile, discard_stored, items_of, store_bytes
from .threads import threads
from .unread import GONE, Reader
from .views import ViewWriter, save_details

Hashing = Literal["now", "later"]

BATCH, CHUNK = 500, 8
"""The maximum number of files that are looked up and written together, and read by one thread in one go."""

WRITE_EVERY = 0.25
"""Seconds after which read files are written: the most work that a crash can lose."""

_REPORT_EVERY = 0.2


@dataclass
class _Block:
    """Up to `BATCH` sources in progress: those known from the catalog, and those being read."""

    paths: list[str]
    kept: dict[str, StoredFile]
    reads: dict[str, Read] = field(default_factory=dict)
    there: dict[str, ImageRecord] = field(default_factory=dict)
    stamps: dict[str, FileStat] = field(default_factory=dict)
    statuses: dict[str, FileStatus | None] = field(default_factory=dict)
    memo: set[str] = field(default_factory=set)
    chunks: deque[Future[None]] = field(default_factory=deque)


class IngestJob(Job):
    """A `Job` that adds pictures; the result is in `report`.

    Parameters
    ----------
    catalog : Catalog
    folder : Path
        The session's folder; pictures from memory are stored in its "images".
    source : see `samnb.session.Session.add`
    dataset : str
    is_cached : callable
        True for an image whose embedding the store holds.
    views : ViewWriter, optional
        Makes the pictures of stacks, and views, that are to be added.
    hash : {"now", "later"}
        Whether the pictures are read.
    on : optional
        Workers that read them, as for `samnb.workers.open_pool`.
    start : bool
        As in `Job`.

    Raises
    ------
    UnknownName
        Another value of `hash`.
    """

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        source: Any,
        *,
        dataset: str,
        is_cached: Callable[[ImageRecord | NewImage], bool],
        views: ViewWriter | None = None,
        hash: Hashing = "now",
        on: Any = None,
        start: bool = True,
    ):
        if hash not in get_args(Hashing):
            raise UnknownName("hash", hash, get_args(Hashing))
        adding = _Ingest(catalog, folder, dataset, is_cached, views or ViewWriter(folder))
        adding.later, adding.on = hash == "later", on
        super().__init__(f"add {dataset!r}", partial(adding.events, source), start=start)

    @property
    def report(self) -> AddReport | None:
        """The result; None until the job has ended, also by `cancel`."""
        return None if self.summary is None else self.summary.details.get("report")


class _Ingest:
    """One running call of `Session.add`."""

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        dataset: str,
        is_cached: Callable[[ImageRecord | NewImage], bool],
        views: ViewWriter,
    ):
        self._views = views
        self.later, self.on = False, None
        self._unread: dict[str, ImageRecord] = {}
        self._new: set[str] = set()
        self._shown: dict[str, int] = {}
        self._catalog, self._folder, self._dataset, self._is_cached = catalog, folder, dataset, is_cached
        self._overviews = LargeImages(folder / "overviews")
        self._control = JobControl()
        self._images: list[ImageRecord] = []
        self._failed: list[Failure] = []
        self._added = self._changed = self._duplicates = 0
        self._done = self._total = self._refused = 0
        self._broken_off = self._alone = False
        self._left_out: set[str] = set()
        self._pages: list[str] = []
        self._seen: set[str] = set()

    def events(self, source: Any, control: JobControl) -> Iterator[Event]:
        """Find all sources, then read and write them; the last event has the report in its details."""
        self._control = control
        items: list[Item] = []
        yield from self._find(source, items)
        self._total, self._alone = len(items), len(items) == 1
        if control.go_on():
            self._catalog.add_dataset(self._dataset, durable=False)
            yield from self._add(items)
        if self._unread and self.on is not None and not self.later:
            yield from self._read_on_workers()
        self._catalog.sync()  # once, before anybody reads that they are added: each batch would wait for the disk
        report = self._report()
        counts = {"computed": self._added + self._changed, "failed": len(self._failed)}
        counts["skipped"] = self._done - sum(counts.values())
        details = {**counts, "summary": str(report).splitlines()[0], "report": report}
        if control.cancelled:
            details |= {"cancelled": True, "left": self._total - self._done}
        yield Event("done", total=self._total, details=details)

    def _find(self, source: Any, items: list[Item]) -> Iterator[Event]:
        found: dict[Item, None] = {}
        reported = time.monotonic()
        for item in self._views.of_all(items_of(source, self._folder)):
            if isinstance(item, LeftOut):
                self._left_out.add(item.path)
                continue
            found[item] = None
            if time.monotonic() - reported > _REPORT_EVERY:
                reported = time.monotonic()
                yield Event("found", index=len(found))
                if not self._control.go_on():
                    break
        items += found

    def _add(self, items: Sequence[Item]) -> Iterator[Event]:
        rest = iter(items)
        blocks = iter(lambda: list(islice(rest, BATCH)), [])
        remote = (item.path for item in items if isinstance(item, Address))
        with ThreadPoolExecutor(max_workers=threads(islice(remote, 1))) as pool:
            ahead: deque[_Block] = deque()
            try:
                for block in blocks:
                    ahead.append(self._begin(block, pool))
                    # One block ahead: while this thread writes, the others have something to read.
                    if len(ahead) > 1:
                        yield from self._finish(ahead.popleft())
                    if not self._control.go_on():
                        break
                while ahead:
                    yield from self._finish(ahead.popleft())
            except BaseException:
                self._control.cancel()  # so that the threads come to an end
                raise

    def _begin(self, items: Sequence[Item], pool: ThreadPoolExecutor) -> _Block:
        """Look these sources up, and start reading the unknown ones."""
        block = _Block([], {})
        for item in pool.map(self._keep, items) if any(isinstance(i, Member) for i in items) else items:
            if isinstance(item, str):
                block.paths.append(item)
            elif isinstance(item, Address):
                block.paths.append(item.path)
                block.statuses[item.path] = item.status
            elif isinstance(item, StoredFile):
                if item.path in self._seen:
                    discard_stored(item)  # a source that was read before and was stored again failed to be read
                block.paths.append(item.path)
                block.kept.setdefault(item.path, item)
            elif isinstance(item, Rejected):
                # Two refused sources may have one name; a path cannot contain a NUL.
                self._refused += 1
                key = f"{item.name}\0{self._refused}"
                block.paths.append(key)
                block.reads[key] = Read(item.name, reason=item.reason)
        found = len(block.paths)
        # The same bytes under the same name may be in a zip file, or a list, more than once.
        block.paths = [path for path in dict.fromkeys(block.paths) if path not in self._seen]
        self._seen.update(block.paths)
        self._total -= found - len(block.paths)
        self._look_up(block, pool)
        unread = [path for path in block.paths if path not in block.reads]
        for start in range(0, len(unread), CHUNK):
            block.chunks.append(pool.submit(self._read_all, unread[start : start + CHUNK], block))
        return block

    def _keep(self, item: Item) -> Item | None:
        if not isinstance(item, Member):
            return item
        if not self._control.go_on():
            return None
        try:
            return replace(store_bytes(self._folder, item.name, item.read()), name=item.label)
        except ImageError as error:
            return Rejected(item.label, item.reason or str(error))

    def _look_up(self, block: _Block, pool: ThreadPoolExecutor) -> None:
        """Find files that are unchanged in this dataset, or were read before under another name or dataset."""
        paths = [path for path in block.paths if path not in block.reads and _is_storable(path, block)]
        block.there = there = self._catalog.files.in_dataset(self._dataset, paths)
        asked = paths
        if self.later:  # a million objects are not asked for their status one by one
            asked = [path for path in paths if block.statuses.get(path) is not None or not is_address(path)]
            for path in set(paths).difference(asked):
                block.reads[path] = Read(path, there.get(path), None if path in there else unread_image(path, None))
        elsewhere: list[FileStat] = []
        # Of files here, asking takes less than handing it to a thread.
        each: Any = pool.map if any(map(is_address, asked)) else map
        for path, stamp in zip(asked, each(partial(_stamp_of, block), asked), strict=True):
            if isinstance(stamp, Exception):
                block.reads[path] = Read(path, reason=Failure.of(path, stamp).reason)
                continue
            block.stamps[path] = stamp
            record = there.get(path)
            if record is not None and _is_unchanged(record, stamp):
                block.reads[path] = Read(path, record)
            else:
                elsewhere.append(stamp)
        known = self._catalog.files.known(elsewhere) if elsewhere else {}
        block.memo.update(known)
        block.reads.update((path, Read(path, new=picture)) for path, picture in known.items())
        if self._alone and not self.later:
            self._check_content(block)
        if self.later or self.on is not None:
            self._leave_unread(block)

    def _leave_unread(self, block: _Block) -> None:
        """Write rows of what is not known now, and read it later."""
        for path, stamp in block.stamps.items():
            if path in block.reads:
                continue
            record = block.there.get(path)
            if record is None or (self.later and record.is_read):
                block.reads[path] = Read(path, new=unread_image(path, stamp))
            else:
                # Of one that changed, the row stays as it is until it is read.
                self._unread[path] = replace(record, pixel_hash=unread_image(path, None).pixel_hash, content_hash="")
                block.reads[path] = Read(path, record)

    def _read_on_workers(self) -> Iterator[Event]:
        """Have workers read what was written unread; what cannot be read and was not there before is taken out."""
        before = {image.id: image for image in self._images}
        reader = Reader(self._catalog, self._is_cached, self._folder / "overviews", self.on)
        renewed: dict[str, ImageRecord | None] = {}
        for batch in reader.outcomes(list(self._unread.values()), self._control):
            for record, outcome in batch:
                self._done += 1
                place = (self._done, self._total, record.filename)
                if isinstance(outcome, ImageRecord):
                    renewed[record.id] = outcome
                    self._changed += _changed(before[record.id], outcome)
                    yield Event("computed", *place)
                    continue
                reason = outcome.removeprefix(f"{record.path}: ")
                if outcome is GONE:
                    renewed[record.id] = None
                elif record.id in self._new:
                    try:
                        self._catalog.remove_image(record.id)
                        renewed[record.id] = None
                    except UnknownName:
                        renewed[record.id] = None  # somebody has removed it already
                    except WorkWouldBeLost as error:
                        reason += (
                            f" It stays in the catalog: it has {count_text(error.annotations, 'annotation')} meanwhile."
                        )
                failure = Failure(printable(record.path), printable(reason))
                self._failed.append(failure)
                yield Event("failed", *place, details={"error": failure.reason})
        self._images = [image for one in self._images if (image := renewed.get(one.id, one)) is not None]
        added = [image for image in self._images if image.id in self._new]
        self._added = len(added)
        self._duplicates += count_duplicates([image for image in added if image.is_read], self._catalog)

    def _check_content(self, block: _Block) -> None:
        """Read files again whose bytes changed while size and time stayed; only for a file that is added by itself.

        The time of the last change of a file tells most of them apart; Windows has none, other systems count it in
        steps of some milliseconds.
        """
        for path, read in list(block.reads.items()):
            known = read.record or read.new
            try:
                if known is None or is_address(path) or content_hash(path) == known.content_hash:
                    continue
            except ImageError as error:
                block.reads[path] = Read(path, reason=str(error))
                continue
            del block.reads[path]
            block.memo.discard(path)

    def _read_all(self, paths: Sequence[str], block: _Block) -> None:
        """Read files until cancelled; each result is available at once, since eight large files take seconds."""
        for path in paths:
            if not self._control.go_on():
                return
            stamp = block.stamps.get(path)
            size = None if stamp is None else stamp.size_bytes
            block.reads[path] = read_one(path, self._overviews, size_bytes=size)

    def _finish(self, block: _Block) -> Iterator[Event]:
        """Write the files that were read, in the order of the sources, in batches."""
        if self._broken_off:
            self._remember(list(block.reads.values()), block)
            return
        batch: list[Read] = []
        written = time.monotonic()
        for path in block.paths:
            while path not in block.reads and block.chunks:
                if batch and time.monotonic() - written > WRITE_EVERY:
                    yield from self._write(batch, block)
                    batch, written = [], time.monotonic()
                if wait([block.chunks[0]], timeout=WRITE_EVERY).done:
                    block.chunks.popleft().result()
            if path not in block.reads:
                # Cancelled. Files read beyond this one are recorded and not added, so that the order stays.
                self._broken_off = True
                break
            batch.append(block.reads[path])
            if time.monotonic() - written > WRITE_EVERY:
                yield from self._write(batch, block)
                batch, written = [], time.monotonic()
        yield from self._write(batch, block)
        if self._broken_off:
            self._remember(list(block.reads.values()), block)

    def _write(self, reads: Sequence[Read], block: _Block) -> Iterator[Event]:
        rows = [row for row in (self._row(read) for read in reads) if row is not None]
        new_rows = [row for row in rows if isinstance(row, NewImage)]
        self._remember(reads, block)
        self._duplicates += log_duplicates([new for new in new_rows if new.path not in block.there], self._catalog)
        written = self._catalog.add_images(self._dataset, new_rows, durable=False) if new_rows else []
        save_details(self._catalog, written)
        by_path = {image.path: image for image in written}
        self._images += [row if isinstance(row, ImageRecord) else by_path[row.path] for row in rows]
        self._new.update(image.id for image in written if image.path not in block.there)
        self._unread.update((image.path, image) for image in written if not image.is_read)
        self._added += sum(new.path not in block.there for new in new_rows)
        self._changed += sum(_changed(block.there.get(image.path), image) for image in written)
        yield from self._events_of(reads, block)

    def _remember(self, reads: Iterable[Read], block: _Block) -> None:
        fresh = (one.new for one in reads if one.new is not None and one.new.is_read and one.path not in block.memo)
        self._catalog.files.remember({block.stamps[new.path]: new for new in fresh})

    def _events_of(self, reads: Sequence[Read], block: _Block) -> Iterator[Event]:
        """An event for each picture that was read or failed, and one for each sequence of known ones."""
        known = unread = 0
        if self.on is not None and not self.later:
            reads = [read for read in reads if read.path not in self._unread]
        for read in reads:
            self._done += 1
            if read.shown_as:
                self._shown[read.shown_as] = self._shown.get(read.shown_as, 0) + 1
            if read.frames > 1:
                self._pages.append(f"{printable(file_name(read.path))}, {read.frames:,}")
            if read.reason:
                failure = self._failure(read, block)
                self._failed.append(failure)
                name, details = file_name(failure.path) or failure.path, {"error": failure.reason}
                yield Event("failed", self._done, self._total, name, details=details)
            elif read.new is not None and not read.new.is_read:
                unread += 1
            elif read.record is None and read.path not in block.memo:
                yield Event("computed", self._done, self._total, file_name(read.path))
            else:
                known += 1
        if unread:
            yield Event("computed", self._done, self._total, file_name(reads[-1].path), details={"images": unread})
        if known:
            name = file_name(reads[-1].path)
            yield Event("skipped", self._done, self._total, name, details={"images": known} if known > 1 else {})

    def _failure(self, read: Read, block: _Block) -> Failure:
        """The result for reports; a stored picture has the name it came with."""
        kept = block.kept.get(read.path)
        if kept is None:
            return Failure(printable(read.path), printable(read.reason))
        discard_stored(kept)
        return Failure(printable(kept.name), printable(read.reason.replace(kept.path, kept.name)))

    def _row(self, read: Read) -> ImageRecord | NewImage | None:
        """The image if it is unchanged; the row to write; None for a failure."""
        if read.record is not None and not read.record.is_read:
            return read.record
        if read.record is not None:
            cached = self._is_cached(read.record)
            as_it_was = cached == read.record.embedding_cached
            return read.record if as_it_was else replace(read.record.as_new(), embedding_cached=cached)
        if read.new is None:
            return None
        return replace(read.new, embedding_cached=True) if read.new.is_read and self._is_cached(read.new) else read.new

    def _report(self) -> AddReport:
        added = [image for image in self._images if image.id in self._new]
        return AddReport(
            dataset=self._dataset,
            images=tuple(self._images),
            added=self._added,
            duplicates_found=sum(image.embedding_cached for image in self._images),
            duplicates=self._duplicates,
            changed=self._changed,
            failed=tuple(self._failed),
            notes=tuple(
                filter(
                    None,
                    [
                        moved_text(added, self._catalog) if self._duplicates else "",
                        *self._views.notes,
                        shown_text(self._shown),
                        pages_text(self._pages),
                        other_pictures_text(self._left_out),
                    ],
                )
            ),
        )


def _stamp_of(block: _Block, path: str) -> FileStat | Exception:
    status = block.statuses.get(path)
    try:
        return FileStat.of(path) if status is None else FileStat.from_status(path, status)
    except (OSError, ImageError) as error:
        return error


def _changed(before: ImageRecord | None, now: ImageRecord) -> bool:
    return before is not None and before.is_read and before.pixel_hash != now.pixel_hash


def _is_storable(path: str, block: _Block) -> bool:
    try:
        return bool(path.isascii() or path_text(path))
    except ImageError as error:
        block.reads[path] = Read(path, reason=Failure.of(path, error).reason)
        return False


def _is_unchanged(image: ImageRecord, stamp: FileStat) -> bool:
    if is_address(image.path):  # an object has no time of change; a later version has another number
        return image.is_read and image.perceptual_version == PERCEPTUAL_VERSION and stamp.is_of(image)
    if not (image.is_read and image.perceptual_version == PERCEPTUAL_VERSION and stamp.is_of(image)):
        return False
    # Changed since it was added, with its times put back: the index of files knows whether it was read since.
    return stamp.ctime_ns <= added_ns(image.id)
