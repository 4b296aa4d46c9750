"""`Evictor`: keeps a folder of entries within its limits; space is reserved before a file is written.

The entries used longest ago are evicted first. The time of change of a file is its last use, to within `TOUCH_AFTER`
seconds. One listing gives a queue of the oldest entries; entries that are not in it are younger, so evicting from
the queue, except entries used since, is exact until the queue is empty. Nothing else lists the folder.

Eviction runs in the background, from `HIGH_WATER` down to `LOW_WATER` of the budget, and spares entries used in
the last quarter of an hour. Only a write that finds no room at all evicts by itself, and then also recent entries, but
never pinned ones.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import NoRoom, StoreError
from .entry_files import FoundEntry, shard_of, stat_of
from .folder import GC_TIMEOUT, EntryFolder
from .header import read_header
from .limits import Limits, space
from .pins import Pins
from .usage import SHARDS

HIGH_WATER, LOW_WATER = 0.95, 0.85
GRACE = 900.0  # seconds since its last use in which an entry is evicted only if nothing else can make room
TOUCH_AFTER = 600.0  # seconds after which another use of an entry is recorded
COLLECT_EVERY = 60.0  # seconds between two collections in the background that found too little
PAUSE = 0.011  # seconds between two steps in the background: longer than others wait before they ask for the lock again
AT_ONCE = 64  # entries that one step evicts, if no more are needed
QUARANTINE_FOR = 30 * 86400.0  # seconds that a damaged file is kept for inspection

_log = logging.getLogger("samnb.cache")


@dataclass(frozen=True)
class CollectionReport:
    """The entries that a collection removed."""

    evicted: int = 0
    bytes: int = 0
    expired: int = 0
    swept: int = 0

    def __str__(self) -> str:
        return (
            f"{self.evicted:,} evicted ({self.bytes / 2**20:,.1f} MiB), {self.expired:,} expired, "
            f"{self.swept:,} left-over files deleted"
        )


OnEvicted = Callable[[Mapping[str, str]], object]


class Evictor:
    """Keeps one folder within its limits.

    Parameters
    ----------
    disk : EntryFolder
    limits : Limits
    on_evicted : callable
        Called after each eviction with the evicted keys and the pixel hashes of their headers. May be called
        from another thread.
    """

    def __init__(self, disk: EntryFolder, limits: Limits, on_evicted: OnEvicted):
        self.disk, self.limits = disk, limits
        self.pins = Pins(disk.folder)
        self.evicted = 0
        self._on_evicted = on_evicted
        self._budget: int | None = limits.disk_bytes
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """A forked child has none of the threads of its parent, and none of its pins."""
        self.pins.reset_after_fork()
        self._queue: list[FoundEntry] = []  # the oldest last
        self._working = threading.Lock()
        self._background: threading.Thread | None = None
        self._next_background = 0.0

    @property
    def budget(self) -> int:
        """Bytes that all entries may take; by default computed once from the disk's free space."""
        if self._budget is None:
            self._budget = self.limits.budget(self.disk.folder, self.disk.usage.total().bytes)
        return self._budget

    @property
    def min_free(self) -> int:
        """Bytes that must stay free on the disk."""
        return self.limits.to_leave_free(self.disk.folder)

    def write(self, key: str, raw: bytes) -> None:
        """Reserve room, by eviction if needed, and publish one entry.

        Raises
        ------
        NoRoom
            It is larger than the budget, or all others are pinned, or other files filled the disk.
        SessionReadOnly, StoreError
            As `EntryFolder.write`.
        """
        size, shard, reserved = len(raw), shard_of(key), False

        def reserve(announce: Callable[[], None]) -> None:
            nonlocal reserved
            self._reserve(shard, size, announce)
            reserved = True

        try:
            self.disk.write(key, raw, reserve=reserve)
        except BaseException:
            if reserved:
                self.disk.usage.change(shard, -1, -size)
            raise
        self._keep_below_high_water()

    def touch(self, key: str, found: os.stat_result) -> None:
        """Record a use, unless one was recorded recently."""
        if time.time() - found.st_mtime > TOUCH_AFTER:
            self.disk.touch(key)

    def collect(self, *, to_bytes: int | None = None) -> CollectionReport:
        """Clean up now: delete leftovers and expired entries, count, and evict down to the budget.

        Parameters
        ----------
        to_bytes : int, optional
            Evict until at most this is left, recent entries too; None: to the low-water mark if above
            the high one, without recent entries.

        Raises
        ------
        SessionReadOnly, StoreError
            The folder cannot be written, or another process's collection does not end.
        """
        with self.disk.errors_told():
            # Not is_dir(): from Python 3.14 on it is False, too, where the disk does not answer.
            found = stat_of(self.disk.folder)
            return self._collect(to_bytes) if found and stat.S_ISDIR(found.st_mode) else CollectionReport()

    def _collect(self, to_bytes: int | None) -> CollectionReport:
        swept, before, began = self._sweep(), self.evicted, time.time_ns()
        entries: list[FoundEntry] = []
        for shard in range(SHARDS):
            with self._exclusive():  # one shard at a time: a write that needs room waits for no more than that
                here, stale = self.disk.recount(shard)
            self.disk.delete(stale)
            swept += len(stale)
            entries += here
            self._pause()
        expired = [entry for entry in entries if self.limits.ttl and self._is_expired(entry)]
        with self._exclusive():
            gone = set(expired)
            # an entry used since the listing began may be older than one that the listing missed
            self._queue = sorted((e for e in entries if e not in gone and e.used_ns < began), reverse=True)
            trash = self._trash_all(expired)
        self._finish(trash)
        freed = self._evict_down(to_bytes)
        return CollectionReport(self.evicted - before - len(trash), freed, len(trash), swept)

    def wait(self, timeout: float | None = None) -> None:
        """Until the collection in the background is done, if there is one."""
        if (thread := self._background) is not None:
            thread.join(timeout)

    # -- room for one entry

    def _reserve(self, shard: int, size: int, announce: Callable[[], None]) -> None:
        limit = self.budget
        if size > limit:
            raise NoRoom(
                f"{self.disk.folder}: an embedding of {size:,} bytes is larger than the budget of {limit:,}. "
                "Raise it with cache={'disk_bytes': …}."
            )
        for _ in range(5):  # others may take what was freed
            self._make_room("the free space that is to be left", lambda: self._free_missing(size))
            try:
                if self.disk.usage.reserve(shard, size, limit=limit, announce=announce):
                    return
            except OSError as error:
                raise self.disk.cannot_write(self.disk.folder / "usage", error) from error
            self._make_room("the budget", lambda: self._budget_missing(size))
        raise NoRoom(f"{self.disk.folder}: others fill the budget of {limit:,} bytes as fast as room is made.")

    def _free_missing(self, size: int) -> tuple[int, int]:
        missing = size + self.min_free - space(self.disk.folder).free
        return missing, missing

    def _budget_missing(self, size: int) -> tuple[int, int]:
        used = self.disk.usage.total().bytes
        # to the low-water mark, so that the next ones find room
        return used + size - self.budget, used + size - int(LOW_WATER * self.budget)

    def _make_room(self, what: str, missing_and_wanted: Callable[[], tuple[int, int]]) -> None:
        """Free what is missing, and what more is wanted if it can be; `NoRoom` where that cannot be done."""
        if missing_and_wanted()[0] <= 0:
            return
        with self._exclusive():
            missing, wanted = missing_and_wanted()  # others may have made room while this one waited
            if listed := missing > 0 and not self._queue:
                self._list(lambda: missing_and_wanted()[0])
                missing, wanted = missing_and_wanted()  # what was noted may have been wrong
            trash, freed = self._evict(missing, wanted, keep_recent=False, listed=listed)
        self._finish(trash)
        if freed < missing and (missing := missing_and_wanted()[0]) > 0:
            raise NoRoom(
                f"{self.disk.folder}: no room for another embedding: {missing:,} bytes more than {what} "
                f"allows, and nothing that may be evicted ({len(self.pins.of_all_processes())} pinned). "
                "Free some disk, or raise the budget with cache={'disk_bytes': …}."
            )

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Evict and count, excluding all other threads and processes."""
        with self._working, self.disk.lock("gc", timeout=GC_TIMEOUT) as held:
            if not held:
                raise StoreError(
                    f"{self.disk.folder}: another process has been evicting for {GC_TIMEOUT:g} s. Try again later."
                )
            yield

    def _evict_down(self, to_bytes: int | None) -> int:
        """Evict to a size, in small steps; returns the bytes freed."""
        freed = 0
        target = self._target(self.disk.usage.total().bytes) if to_bytes is None else to_bytes
        while True:
            with self._exclusive():
                above = self.disk.usage.total().bytes - target
                trash, size = self._evict(min(1, above), above, keep_recent=to_bytes is None)
            self._finish(trash)
            freed += size
            if not trash:
                return freed
            self._pause()

    def _pause(self) -> None:
        if threading.current_thread() is self._background:
            time.sleep(PAUSE)

    # -- eviction, with the lock held

    def _evict(self, missing: int, wanted: int, *, keep_recent: bool, listed: bool = False) -> tuple[list[Path], int]:
        """Move the entries used longest ago to the trash: `missing` bytes, and more if `wanted`; returns both rests."""
        trash: list[Path] = []
        freed = 0
        pinned = self.pins.of_all_processes() if missing > 0 else set()
        while freed < missing or (freed < wanted and len(trash) < AT_ONCE):
            if not self._queue and not listed:
                self._list(lambda: missing)
                listed = True
            if not self._queue:
                break
            entry = self._queue.pop()
            if keep_recent and time.time() - entry.used_ns / 1e9 < GRACE:
                self._queue.append(entry)
                break
            if entry.key not in pinned and (aside := self._trash_all([entry], trash)):
                trash += aside
                freed += entry.size
        return trash, freed

    def _list(self, missing: Callable[[], int]) -> None:
        """List the whole folder: count it, and queue the oldest, at least the bytes `missing` by then."""
        entries = [entry for shard in range(SHARDS) for entry in self.disk.recount(shard)[0]]
        pinned = self.pins.of_all_processes()
        self._queue = _oldest([entry for entry in entries if entry.key not in pinned], missing())

    def _trash_all(self, entries: Sequence[FoundEntry], before: Sequence[Path] = ()) -> list[Path]:
        """Move these to the trash; where the disk refuses one, what is there already is gone, and told."""
        trash: list[Path] = []
        try:
            for entry in entries:
                if (aside := self.disk.trash(entry)) is not None:
                    trash.append(aside)
        except StoreError:
            self._finish([*before, *trash])
            raise
        return trash

    def _sweep(self) -> int:
        left = [path for path in self.disk.quarantined() if _age(path) > QUARANTINE_FOR] + self.disk.in_trash()
        self.disk.delete(left)
        return len(left)

    def _is_expired(self, entry: FoundEntry) -> bool:
        return self.limits.expired(self.disk.metadata_of(entry.key))

    def _target(self, total: int) -> int:
        """Bytes that may be left of `total`."""
        missing = self.min_free - space(self.disk.folder).free
        allowed = int(LOW_WATER * self.budget) if total > HIGH_WATER * self.budget else total
        return min(allowed, total - max(0, missing))

    def _finish(self, trash: Collection[Path]) -> None:
        """Delete evicted files, and notify."""
        gone = {path.name[:64]: read_header(path).get("pixel_hash", "") for path in trash}
        try:
            self.disk.delete(trash)
        finally:  # in the trash they are gone, whether they can be deleted or not
            self.evicted += len(trash)
            if gone:
                self._on_evicted(gone)

    # -- in the background

    def _keep_below_high_water(self) -> None:
        now = time.monotonic()
        if now < self._next_background or (self._background is not None and self._background.is_alive()):
            return
        if self.disk.usage.total().bytes > HIGH_WATER * self.budget or self._expiry_is_due():
            self._next_background = now + COLLECT_EVERY
            self._background = threading.Thread(target=self._collect_in_background, name="samnb-collect", daemon=True)
            self._background.start()

    def _expiry_is_due(self) -> bool:
        return self.limits.ttl is not None and self._next_background == 0

    def _collect_in_background(self) -> None:
        try:
            collected = self.collect()
        except StoreError as error:
            _log.warning("could not put the embeddings in order: %s", error)
        else:
            _log.info("embeddings put in order: %s", collected)


def _oldest(entries: list[FoundEntry], size: int) -> list[FoundEntry]:
    """The oldest quarter, or more if that is less than `size` bytes; the oldest last."""
    entries.sort()
    count = total = 0
    while count < len(entries) and (count < len(entries) // 4 or total < size):
        total += entries[count].size
        count += 1
    return entries[:count][::-1]


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
