"""`MaintenanceMethods`: the methods of a cache that look after its folder and its remote tiers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from .check import CacheReport, check_folder
from .entry import check_key
from .eviction import CollectionReport
from .observers import StoreObserver
from .parts import CacheParts
from .remote import CLOSE_TIMEOUT
from .stats import CacheStats, read_stats

COUNTED_EXACTLY = 2000
"""Up to this number of entries `stats` lists the folder; above, it uses the usage file and reads a part."""

_log = logging.getLogger("samnb.cache")


class MaintenanceMethods(CacheParts):
    """What a folder of entries holds, whether it is sound, and how it stays within its limits."""

    def stats(self, *, models: bool = False) -> CacheStats:
        """The contents of the cache in all its tiers, and counters of its work.

        Parameters
        ----------
        models : bool
            Also count the entries of each model, from the "model" in their headers. Takes longer.

        Returns
        -------
        CacheStats
            Printed, and in a notebook, a table.

        Examples
        --------
        >>> stats = cache.stats(models=True)
        >>> stats.entries, stats.memory_entries, stats.hits, stats.models
        (1, 1, 0, {'tiny': 1})
        """
        with self._lock:
            counts = dict(self._counts)
        remote = self.remote.stats()
        return read_stats(
            self._disk, self._evictor, self._memory, remote, counts, exact_up_to=COUNTED_EXACTLY, models=models
        )

    def check(self, *, fix: bool = False) -> CacheReport:
        """Read and verify every file, and let the observers of the cache (a session's catalog) compare.

        Parameters
        ----------
        fix : bool
            Move damaged entries to quarantine, delete temporary files older than an hour and the trash, count again,
            and correct `embedding_cached` in the catalog: entries it does not know are marked as cached, missing ones
            as not cached.

        Returns
        -------
        CacheReport
            What is sound, damaged, unreadable or left over; `ok` is True where nothing is wrong or all was repaired.

        Raises
        ------
        SessionReadOnly, StoreError
            With `fix`, the folder cannot be written. Without, the disk does not answer.

        Examples
        --------
        >>> cache.path_of(key).write_bytes(b"no embedding")
        12
        >>> cache.check().ok, len(cache.check(fix=True).damaged), cache.check().ok
        (False, 1, True)
        """
        report = CacheReport(len(self), fixed=fix) if self._disk is None else check_folder(self._disk, fix=fix)
        return replace(report, flags=self._observers.compare(fix=fix))

    def collect(self, *, to_bytes: int | None = None) -> CollectionReport:
        """Clean the folder now: delete left-over files and expired entries, and evict down to the budget.

        It is done in the background too, when the folder is nearly full. Without a folder nothing happens.

        Parameters
        ----------
        to_bytes : int, optional
            Evict the entries used longest ago until at most so many bytes are left, entries used a moment ago too; 0:
            all. Default: to 85 % of the budget if more than 95 % is used, without those of the last quarter of an hour.
            Pinned entries stay.

        Returns
        -------
        CollectionReport
            The numbers of entries and bytes that were evicted, of expired entries, and of left-over files.

        Raises
        ------
        SessionReadOnly, StoreError
            The folder cannot be written, or another process has been collecting for a minute.

        Examples
        --------
        >>> print(cache.collect())
        0 evicted (0.0 MiB), 0 expired, 0 left-over files deleted
        >>> cache.collect(to_bytes=0).evicted, key in cache
        (1, False)
        """
        return CollectionReport() if self._evictor is None else self._evictor.collect(to_bytes=to_bytes)

    def pin(self, keys: Iterable[str]) -> None:
        """Protect entries from eviction, by any process, until `unpin`, `close` or the end of this process.

        `remove` still deletes them. Where the folder cannot be written nothing is pinned, and nothing is raised.

        Parameters
        ----------
        keys : iterable of str
            Entries that are not there yet may be pinned too.

        Raises
        ------
        StoreError
            One of them is not a key; then none is pinned.

        Examples
        --------
        >>> cache.pin([key])
        >>> cache.collect(to_bytes=0).evicted, key in cache
        (0, True)
        """
        pinned = [check_key(key) for key in keys]
        if self._evictor is not None:
            try:
                self._evictor.pins.add(pinned)
            except OSError as error:  # nowhere to write
                _log.debug("%r: not pinned: %s", self, error)

    def unpin(self, keys: Iterable[str]) -> None:
        """Let entries be evicted again that this object has pinned.

        Parameters
        ----------
        keys : iterable of str
            Those that are not pinned stay as they are.

        Raises
        ------
        StoreError
            One of them is not a key; then all stay pinned.

        Examples
        --------
        >>> cache.pin([key])
        >>> cache.unpin([key])
        >>> cache.collect(to_bytes=0).evicted
        1
        """
        unpinned = [check_key(key) for key in keys]
        if self._evictor is not None:
            self._evictor.pins.discard(unpinned)

    def subscribe(self, listener: StoreObserver) -> None:
        """Notify an object when entries come from another cache, are evicted or removed, or are found damaged.

        Parameters
        ----------
        listener : StoreObserver
            Its ``store_changed(pixel_hashes, *, fix)`` is called with the pixel hashes of the pictures, None if they
            are not known, and returns the number of its records that were wrong; `check` asks it too. Called in the
            thread that made the change, also one in the background. Held weakly: keep a reference to it.

        Raises
        ------
        TypeError
            An object that cannot be held weakly, such as one with ``__slots__``.

        Examples
        --------
        >>> class Watcher:
        ...     def store_changed(self, pixel_hashes, *, fix):
        ...         print("changed:", pixel_hashes)
        ...         return 0
        >>> watcher = Watcher()
        >>> cache.subscribe(watcher)
        >>> cache.remove(key)
        changed: frozenset({'pixels'})
        True
        """
        self._observers.add(listener)

    def unsubscribe(self, listener: StoreObserver) -> None:
        """Stop notifying an object.

        Parameters
        ----------
        listener : StoreObserver
            One that was given to `subscribe`; another one is ignored.

        Examples
        --------
        >>> class Watcher:
        ...     def store_changed(self, pixel_hashes, *, fix):
        ...         print("changed:", pixel_hashes)
        ...         return 0
        >>> watcher = Watcher()
        >>> cache.subscribe(watcher)
        >>> cache.unsubscribe(watcher)
        >>> cache.remove(key)
        True
        """
        self._observers.discard(listener)

    def sync(self) -> None:
        """Have the disk keep all entries stored so far, also through a power cut; without a folder nothing happens.

        Not needed for correctness: an entry that a power cut took is a miss, and is computed again.

        Examples
        --------
        >>> stored = cache.put(key, embedding, about={"model": "tiny"})
        >>> cache.sync()
        """
        if self._disk is not None:
            self._disk.sync()

    def flush(self, timeout: float = CLOSE_TIMEOUT) -> int:
        """Wait until the remote tiers have all entries that this object stored; returns at once without remote tiers.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most. A tier that does not answer ends the wait for it.

        Returns
        -------
        int
            The number of entries that a tier does not have yet; 0 when all is written.

        Examples
        --------
        >>> cache.flush(timeout=5)
        0
        """
        return self.remote.flush(timeout)

    def close(self) -> None:
        """Finish background work, release pins and close remote tiers; the folder can still be used.

        Remote tiers that were given as a `RemoteTiers` belong to the caller: they are flushed, and stay open.

        Examples
        --------
        >>> cache.close()
        >>> key in cache
        True
        """
        self.remote.close() if self._owns_remote else self.remote.flush()
        if self._evictor is not None:
            self._evictor.wait(timeout=10)
            self._evictor.pins.clear()
