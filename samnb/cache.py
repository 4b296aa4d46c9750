"""`EmbeddingCache`: embeddings in memory, then on disk, then in remote tiers. An image is encoded once.

Rules
-----
The folder is authoritative: an entry is in the cache if its file exists, and memory only saves reading it.
So a file that is deleted is a miss at once, in every process. Without a folder, memory is authoritative.

Each entry is verified when it is read (see `samnb.store.entry`). A damaged file goes to ``quarantine/``, and is a miss.

The folder stays within its budget (see `samnb.store.eviction`). A budget may prevent storing, never answering: an
entry without room is kept in memory, with one warning.

Memory holds the float32 arrays that `get` returns, not the stored float16: the operating system caches the
files already, so what remains to save is verifying and converting. A hit in memory copies nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import AnyPath, NoRoom, StoreError, UnknownName
from .prompts import Embedding
from .settings import cache_options
from .store.check import CacheReport, check_folder
from .store.entry import DTYPES, SCHEMA, EntryDamaged, check_key, deserialize, make_key, round_trip, serialize, verify
from .store.entry_notes import EntryNotes
from .store.eviction import CollectionReport, Evictor, OnEvicted
from .store.folder import EntryFolder
from .store.header import header_of
from .store.limits import Limits
from .store.memory import MemoryTier
from .store.observers import StoreObserver, StoreObservers
from .store.remote import CLOSE_TIMEOUT, RemoteTiers, open_tiers
from .store.single_flight import SingleFlight
from .store.stats import CacheStats, read_stats

__all__ = ["SCHEMA", "CacheReport", "CacheStats", "EmbeddingCache", "make_key"]

DEFAULT_MEMORY_BYTES = 512 << 20
DEFAULT_MAX_ENTRIES = 2000
COUNTED_EXACTLY = 2000
"""Up to this number of entries `stats` lists the folder; above, it uses the usage file and reads a part."""

_COUNTED = ("hits", "misses", "computed", "quarantined", "refused")
_log = logging.getLogger("samnb.cache")


class EmbeddingCache:
    """Embeddings by key, in memory and in a folder; threads may share the object, processes the folder.

    Parameters
    ----------
    folder : path or None
        ``folder/ab/cd/<key>.safetensors``; made by the first `put`. None: memory only, gone with the object.
    dtype : {"float16", "float32", "int8"}
        The dtype in files, default float16; `get` always returns float32. The embedding spec in the key should name
        it, since a file of any dtype is used.
    memory_bytes : int, optional
        Bytes of float32 tensors kept in memory, default 512 MiB; 0 keeps none.
    max_entries : int, optional
        Entries kept in memory, default 2000.
    disk_bytes : int, optional
        Bytes of all files; default a fifth of the free disk, at most 50 GB.
    min_free_bytes : int, optional
        Bytes that stay free on the disk; default 2 GB, or 5 % of a small disk.
    ttl : float, optional
        Seconds after its computation in which an embedding is used; default for ever.
    remote : str or path, several of them, or RemoteTiers, optional
        Stores that are shared with others, asked after the folder: "redis://…", "s3://…", "file:///…", see
        `samnb.store.remote.open_tiers`. Entries found there are stored here too; computed ones are written there in the
        background.

    Omitted arguments are read from the environment first, see `samnb.settings`.

    Raises
    ------
    UnknownName
        An unknown dtype.
    StoreError
        An invalid limit, or an environment variable that cannot be parsed.

    Examples
    --------
    >>> import numpy as np
    >>> cache = EmbeddingCache(None)
    >>> key = make_key("pixels", "tiny-weights", "tiny/1:float16")
    >>> encode = lambda: Embedding({"image_embedding": np.ones((256, 64, 64), "f4")}, (480, 640), (768, 1024))
    >>> embedding, hit = cache.get_or_compute(key, encode, about={"filename": "coins.jpg"})
    >>> hit, key in cache, cache.get(key).tensors["image_embedding"].shape
    (False, True, (256, 64, 64))
    """

    def __init__(
        self,
        folder: Path | str | None,
        *,
        dtype: str | None = None,
        memory_bytes: int | None = None,
        max_entries: int | None = None,
        disk_bytes: int | None = None,
        min_free_bytes: int | None = None,
        ttl: float | None = None,
        remote: RemoteTiers | Sequence[AnyPath] | AnyPath | None = None,
    ):
        asked = cache_options(folder)

        def chosen(name: str, argument: Any, default: Any = None) -> Any:
            return asked.get(name, default) if argument is None else argument

        self.dtype: str = chosen("dtype", dtype, "float16")
        if self.dtype not in DTYPES:
            raise UnknownName("storage dtype", self.dtype, DTYPES)
        self.folder = None if folder is None else Path(folder).expanduser().absolute()
        self.limits = Limits(
            chosen("disk_bytes", disk_bytes), chosen("min_free_bytes", min_free_bytes), chosen("ttl", ttl)
        )
        self._disk = None if self.folder is None else EntryFolder(self.folder)
        self._evictor = None if self._disk is None else Evictor(self._disk, self.limits, _weakly(self._on_evicted))
        self._notes = EntryNotes(self._disk, self.limits)
        self._memory = MemoryTier(
            chosen("memory_bytes", memory_bytes, DEFAULT_MEMORY_BYTES),
            chosen("max_entries", max_entries, DEFAULT_MAX_ENTRIES),
            on_drop=self._notes.forget,
        )
        remote = chosen("remote", remote, ())
        self._owns_remote = not isinstance(remote, RemoteTiers)
        self.remote = remote if isinstance(remote, RemoteTiers) else open_tiers(remote, ttl=self.limits.ttl)
        self._observers = StoreObservers()
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._flights: SingleFlight[Embedding] = SingleFlight()
        self.reset_after_fork()
        _caches.add(self)

    def reset_after_fork(self) -> None:
        """Take new locks: a forked child has none of the threads that held one or were computing."""
        self._lock = threading.Lock()
        self._flights.reset_after_fork()
        self._memory.reset_after_fork()
        if self._evictor is not None:
            self._evictor.reset_after_fork()

    def __repr__(self) -> str:
        return f"<EmbeddingCache {self.folder or 'in memory'}, {self.dtype}>"

    def __str__(self) -> str:
        return str(self.stats(models=True))

    def _repr_html_(self) -> str:
        return self.stats(models=True)._repr_html_()

    def __bool__(self) -> bool:
        return True  # an empty cache is still a cache: `cache or default` must not drop it

    def __contains__(self, key: str) -> bool:
        """Whether the file is there (not whether it is sound); without a folder, whether memory holds it."""
        held = key in self._disk if self._disk is not None else check_key(key) in self._memory
        return held and not self._notes.expired(key)

    def __len__(self) -> int:
        return sum(1 for _ in self.keys())

    def approximate_len(self) -> int:
        """The number of entries by the folder's usage file: lists nothing; files deleted by others still count."""
        return len(self._memory) if self._disk is None else self._disk.usage.total().entries

    def keys(self) -> Iterator[str]:
        """Every key in the folder, unsorted (lists all files); without a folder, those in memory."""
        if self._disk is not None:
            return (entry.key for entry in self._disk.entries())
        return iter(self._memory.keys())

    def path_of(self, key: str) -> Path:
        """The path of the entry of `key`, whether it exists or not.

        Raises
        ------
        StoreError
            Not a key of `make_key`, or a cache without a folder.
        """
        return self._folder_of_files().path_of(key)

    def get(self, key: str) -> Embedding | None:
        """The embedding, float32 and read-only, or None. A damaged file goes to quarantine and is a miss.

        A file that cannot be opened is logged, and a miss; the second time it goes there too.
        """
        embedding = self._find(key) or self._fetch(key)
        self._count("misses" if embedding is None else "hits")
        return embedding

    def put(self, key: str, embedding: Embedding, *, about: Mapping[str, str]) -> Embedding:
        """Store an embedding, and return it as `get` will: converted to the storage dtype and back.

        Parameters
        ----------
        about : mapping of str to str
            More fields for the file's header: pixel_hash, model, recipe, filename …

        Raises
        ------
        ModelError
            Values that are not finite, or that float16 cannot hold.
        NoRoom
            Neither the budget nor the free disk has room for it, and nothing may be evicted.
        SessionReadOnly, StoreError
            The folder cannot be written, or the disk is full. Earlier entries are unchanged.
        """
        raw = serialize(check_key(key), embedding, dtype=self.dtype, metadata=about)
        kept = deserialize(raw, key)
        if self._evictor is not None:
            self._evictor.write(key, raw)
        self._remember(key, kept, raw)
        self.remote.publish(key, raw)
        return kept

    def add_raw(self, key: str, raw: bytes) -> bool:
        """Store the bytes of an entry from elsewhere, verified; False if a sound one is here already.

        Raises
        ------
        EntryDamaged
            The bytes are not the unchanged entry of `key`.
        NoRoom, SessionReadOnly, StoreError
            As `put`.
        """
        verify(raw, check_key(key))
        if key in self and self._find(key) is not None:
            return False
        if self._evictor is None:
            self._remember(key, deserialize(raw, key), raw)
        else:
            self._evictor.write(key, raw)
        self._observers.notify([header_of(raw).get("pixel_hash", "")])
        return True

    def raw(self, key: str) -> bytes | None:
        """The bytes of an entry's file, not verified; None if there is none."""
        return self._folder_of_files().read_raw(key)

    def publish(self, key: str) -> None:
        """Queue the folder's entry for the remote tiers: for entries that other processes stored here."""
        if self.remote and self._disk is not None and (raw := self._disk.read_raw(key)) is not None:
            self.remote.publish(key, raw)

    def get_or_compute(
        self, key: str, compute: Callable[[], Embedding], *, about: Mapping[str, str]
    ) -> tuple[Embedding, bool]:
        """The embedding, computed by at most one of the threads and processes that request it.

        Returns
        -------
        embedding : Embedding
            As `get` returns it.
        hit : bool
            False for the one call that ran `compute`.

        Raises
        ------
        Exception
            The error of `compute`, here and in every thread that waited for it; the next call tries again.
        SessionReadOnly, StoreError
            As `put`; an unwritable folder is detected before computing. An entry without room in the budget, or whose
            place is blocked by a file that cannot be read, is not an error here: it stays in memory, with a warning.
        """

        def compute_here() -> tuple[Embedding, bool]:
            with ExitStack() as alone:
                refused = None if self._disk is None else self._disk.lock_key(key, until=alone)
                embedding = self._find(key) or self._fetch(key)  # another process may have published it since
                if embedding is not None:
                    return embedding, True
                if refused is not None:
                    raise refused
                return self._put_or_keep_in_memory(key, compute(), about), False

        embedding, hit = self._flights.run(key, lambda: self._find(key), compute_here)
        self._count(*(("hits",) if hit else ("misses", "computed")))
        return embedding, hit

    def remove(self, key: str) -> bool:
        """Delete one entry, on disk and in memory; True if there was one. Remote tiers keep theirs."""
        in_memory = self._forget(check_key(key))
        if self._disk is None:
            return in_memory
        about = self._disk.metadata_of(key) if self._observers else {}
        if removed := self._disk.remove(key):
            self._on_evicted({key: about.get("pixel_hash", "")})
        return removed

    def set_aside(self, key: str, reason: str) -> None:
        """Move an entry to quarantine that is sound and not what its key says; remote tiers delete theirs."""
        self._forget(check_key(key))
        self.remote.discard(key)
        if self._disk is not None and self._disk.set_aside(key, reason):
            self._count("quarantined")

    def clear_memory(self) -> None:
        """Free the memory; the folder keeps its entries. Without a folder this empties the cache."""
        self._memory.clear()
        self._notes.clear()

    # -- maintenance -------------------------------------------------------------------------------

    def stats(self, *, models: bool = False) -> CacheStats:
        """The contents of the cache, and counters of its work.

        Parameters
        ----------
        models : bool
            Also count the entries of each model, from their headers.
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
            Move damaged entries to quarantine, delete temporary files older than an hour and the trash, count
            again, and correct `embedding_cached` in the catalog: entries it does not know are marked as cached,
            missing ones as not cached.

        Raises
        ------
        SessionReadOnly, StoreError
            With `fix`, when the folder cannot be written.
        """
        report = CacheReport(len(self), fixed=fix) if self._disk is None else check_folder(self._disk, fix=fix)
        return replace(report, flags=self._observers.compare(fix=fix))

    def collect(self, *, to_bytes: int | None = None) -> CollectionReport:
        """Clean the folder now: delete left-over files and expired entries, and evict down to the budget.

        Parameters
        ----------
        to_bytes : int, optional
            Evict the entries used longest ago until at most this is left.
        """
        return CollectionReport() if self._evictor is None else self._evictor.collect(to_bytes=to_bytes)

    def pin(self, keys: Iterable[str]) -> None:
        """Protect these from eviction, by any process, until `unpin`, `close` or the end of this process."""
        if self._evictor is not None:
            try:
                self._evictor.pins.add(keys)
            except OSError as error:  # nowhere to write
                _log.debug("%r: not pinned: %s", self, error)

    def unpin(self, keys: Iterable[str]) -> None:
        """Let these be evicted again."""
        if self._evictor is not None:
            self._evictor.pins.discard(keys)

    def subscribe(self, listener: StoreObserver) -> None:
        """Notify `listener` of evicted, removed and damaged entries from now on; it is held weakly."""
        self._observers.add(listener)

    def unsubscribe(self, listener: StoreObserver) -> None:
        """Stop notifying it."""
        self._observers.discard(listener)

    def sync(self) -> None:
        """Have the disk keep all entries stored so far, also through a power cut."""
        if self._disk is not None:
            self._disk.sync()

    def flush(self, timeout: float = CLOSE_TIMEOUT) -> int:
        """Wait until the remote tiers have all computed entries; returns how many are left after the timeout."""
        return self.remote.flush(timeout)

    def close(self) -> None:
        """Finish background work, release pins and close remote tiers; the folder can still be used."""
        self.remote.close() if self._owns_remote else self.remote.flush()
        if self._evictor is not None:
            self._evictor.wait(timeout=10)
            self._evictor.pins.clear()

    # -- inside ------------------------------------------------------------------------------------

    def _put_or_keep_in_memory(self, key: str, embedding: Embedding, about: Mapping[str, str]) -> Embedding:
        try:
            return self.put(key, embedding, about=about)
        except StoreError as error:
            if not isinstance(error, NoRoom) and not (self._disk is not None and self._disk.is_blocked(key)):
                raise
            kept = round_trip(embedding, self.dtype)
            self._keep_in_memory(key, kept, error)
            return kept

    def _keep_in_memory(self, key: str, kept: Embedding, error: StoreError) -> None:
        """Keep it in memory only, since the disk refused it."""
        self._notes.unstored.add(key)
        self._memory.put(key, kept)
        if not self._counts["refused"]:
            _log.warning("%s What finds no place there is kept in memory only.", error)
        self._count("refused")

    def _fetch(self, key: str) -> Embedding | None:
        """Copy an entry from a remote tier, which has verified it, into the folder."""
        if (found := self.remote.fetch(check_key(key))) is None or self.limits.expired(header_of(found[0])):
            return None
        embedding = deserialize(found[0], key)
        try:
            if self._evictor is not None:
                self._evictor.write(key, found[0])
        except StoreError as error:  # the result is available anyway
            self._keep_in_memory(key, embedding, error)
        else:
            self._remember(key, embedding, found[0])
        return embedding

    def _find(self, key: str) -> Embedding | None:
        if self._disk is None or self._evictor is None:
            return self._memory.get(check_key(key)) if not self._notes.expired(key) else None
        found = self._disk.stat(check_key(key))
        if found is None:
            if key not in self._notes.unstored:
                self._forget(key)
            return self._memory.get(key)
        if self._notes.expired(key):
            return None
        self._evictor.touch(key, found)
        embedding = self._memory.get(key)
        return self._load(self._disk, key) if embedding is None else embedding

    def _load(self, disk: EntryFolder, key: str) -> Embedding | None:
        try:
            embedding = disk.read(key)
        except EntryDamaged as error:
            self._count("quarantined")
            self._on_evicted({key: error.metadata.get("pixel_hash", "")})
            return None
        if embedding is not None:
            self._remember(key, embedding, b"")
        return embedding

    def _remember(self, key: str, embedding: Embedding, raw: bytes) -> None:
        self._notes.stored(key, raw)
        self._memory.put(key, embedding)

    def _forget(self, key: str) -> bool:
        self._notes.forget(key)
        return self._memory.discard(key)

    def _on_evicted(self, hashes: Mapping[str, str]) -> None:
        """Drop entries whose files are gone, and notify observers."""
        for key in hashes:
            self._forget(key)
        self._observers.notify(hashes.values())

    def _folder_of_files(self) -> EntryFolder:
        if self._disk is None:
            raise StoreError("This cache is in memory only and has no files; make it with a folder.")
        return self._disk

    def _count(self, *names: str) -> None:
        with self._lock:
            for name in names:
                self._counts[name] += 1


def _weakly(method: OnEvicted) -> OnEvicted:
    """The method without a hold on its object: a cache that nobody uses frees its memory at once."""
    reference = weakref.WeakMethod(method)

    def call(hashes: Mapping[str, str]) -> object:
        bound = reference()
        return None if bound is None else bound(hashes)

    return call


_caches: weakref.WeakSet[EmbeddingCache] = weakref.WeakSet()


def _reset_after_fork() -> None:
    for cache in list(_caches):
        cache.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
