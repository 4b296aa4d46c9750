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
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .errors import AnyPath, NoRoom, StoreError, UnknownName
from .prompts import Embedding
from .settings import cache_options
from .store.check import CacheReport
from .store.entry import DTYPES, SCHEMA, check_key, deserialize, make_key, round_trip, serialize
from .store.entry_notes import EntryNotes
from .store.eviction import Evictor, OnEvicted
from .store.folder import EntryFolder
from .store.limits import Limits
from .store.maintenance import MaintenanceMethods
from .store.memory import MemoryTier
from .store.observers import StoreObservers
from .store.raw_entries import RawEntryMethods
from .store.remote import RemoteTiers, open_tiers
from .store.single_flight import SingleFlight
from .store.stats import CacheStats

__all__ = ["SCHEMA", "CacheReport", "CacheStats", "EmbeddingCache", "make_key"]

DEFAULT_MEMORY_BYTES = 512 << 20
DEFAULT_MAX_ENTRIES = 2000

_COUNTED = ("hits", "misses", "computed", "quarantined", "refused")
_log = logging.getLogger("samnb.cache")


class EmbeddingCache(MaintenanceMethods, RawEntryMethods):
    """Embeddings by key, in memory and in a folder; threads may share the object, processes the folder.

    Arguments that are left out are read from the environment first, see docs/settings.md.

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

    Raises
    ------
    UnknownName
        An unknown dtype.
    StoreError
        An invalid limit, or an environment variable that cannot be parsed.

    Examples
    --------
    The examples of the methods go on from here.

    >>> import pathlib, tempfile, numpy as np
    >>> from samnb.cache import EmbeddingCache, make_key
    >>> from samnb.prompts import Embedding
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> cache = EmbeddingCache(folder / "cache")
    >>> key = make_key("pixels", "weights", "recipe")
    >>> embedding = Embedding({"image_embedding": np.ones((256, 4, 4), np.float32)}, (60, 80), (768, 1024))
    >>> stored = cache.put(key, embedding, about={"pixel_hash": "pixels", "model": "tiny"})
    >>> key in cache, len(cache)
    (True, 1)
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
        """Take new locks: a forked child has none of the threads that held one or were computing.

        Called in each forked child by itself. Its pins are the parent's, so the child has none.

        Examples
        --------
        In a child of ``os.fork()`` this has been called, and the entries are there:

        >>> cache.reset_after_fork()
        >>> key in cache
        True
        """
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

    def get(self, key: str) -> Embedding | None:
        """Find an embedding in memory, in the folder, then in the remote tiers, which are asked in their order.

        A damaged file goes to quarantine, and is a miss. A file that cannot be opened is a miss, and logged; if the
        disk fails to read it a second time, it goes to quarantine too.

        Parameters
        ----------
        key : str
            64 hex digits, of `samnb.cache.make_key`.

        Returns
        -------
        Embedding or None
            Its tensors are float32 and read-only. None for a miss: there is no sound entry of this key, or it has
            expired.

        Raises
        ------
        StoreError
            `key` is not a key.

        Examples
        --------
        >>> cache.get(key).tensors["image_embedding"].shape
        (256, 4, 4)
        >>> cache.get(make_key("other pixels", "weights", "recipe")) or "a miss"
        'a miss'
        """
        embedding = self._find(key) or self._fetch(key)
        self._count("misses" if embedding is None else "hits")
        return embedding

    def put(self, key: str, embedding: Embedding, *, about: Mapping[str, str]) -> Embedding:
        """Store an embedding in memory, in the folder and, in the background, in the remote tiers.

        An entry of the same key is replaced.

        Parameters
        ----------
        key : str
            64 hex digits, of `samnb.cache.make_key`.
        embedding : Embedding
            One tensor or more, each of a floating point type and any shape.
        about : mapping of str to str
            More fields for the file's header, such as pixel_hash, model, recipe and filename; `stats` counts by model.

        Returns
        -------
        Embedding
            As `get` will return it: converted to the storage dtype and back to float32.

        Raises
        ------
        ModelError
            No tensors, tensors that are not floating point, values that are not finite or too large for the dtype.
        NoRoom
            Neither the budget nor the free disk has room for it, and nothing may be evicted.
        SessionReadOnly, StoreError
            The folder cannot be written, or the disk is full; earlier entries are unchanged. `key` is not a key, or
            `about` has a field that the store itself writes, such as "created".

        Examples
        --------
        >>> other = make_key("other pixels", "weights", "recipe")
        >>> cache.put(other, embedding, about={"filename": "coins.jpg"}).original_size
        (60, 80)
        """
        raw = serialize(check_key(key), embedding, dtype=self.dtype, metadata=about)
        kept = deserialize(raw, key)
        if self._evictor is not None:
            self._evictor.write(key, raw)
        self._remember(key, kept, raw)
        self.remote.publish(key, raw)
        return kept

    def get_or_compute(
        self, key: str, compute: Callable[[], Embedding], *, about: Mapping[str, str]
    ) -> tuple[Embedding, bool]:
        """Find an embedding, or compute it: at most one of the threads and processes that request it does.

        Parameters
        ----------
        key : str
            As for `get`.
        compute : callable
            Without arguments, returns the Embedding. Called after a miss alone; the others wait for its result.
        about : mapping of str to str
            As for `put`.

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
        ModelError, SessionReadOnly, StoreError
            As `put`; a folder that cannot be written is detected before computing. An entry without room in the budget,
            or whose place is blocked by a file that cannot be read, is no error: it stays in memory, with a warning.

        Examples
        --------
        >>> found, hit = cache.get_or_compute(key, lambda: 1 / 0, about={})  # not called: the entry is there
        >>> hit
        True
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

    def refused(self, key: str) -> bool:
        """Whether the folder had no room, or no free place, for an entry when it was last to be stored.

        One that was stored, and evicted since by this process or another, was not refused.

        Parameters
        ----------
        key : str
            As for `get`.

        Returns
        -------
        bool

        Raises
        ------
        StoreError
            `key` is not a key.

        Examples
        --------
        >>> cache.refused(key)
        False
        """
        return check_key(key) in self._notes.refused

    def remove(self, key: str) -> bool:
        """Delete one entry, in the folder and in memory; the remote tiers keep theirs.

        Parameters
        ----------
        key : str
            As for `get`.

        Returns
        -------
        bool
            True if there was one.

        Raises
        ------
        SessionReadOnly, StoreError
            `key` is not a key, or the file cannot be deleted.

        Examples
        --------
        >>> cache.remove(key), cache.remove(key), key in cache
        (True, False, False)
        """
        in_memory = self._forget(check_key(key))
        if self._disk is None:
            return in_memory
        about = self._disk.metadata_of(key) if self._observers else {}
        if removed := self._disk.remove(key):
            self._on_evicted({key: about.get("pixel_hash", "")})
        return removed

    def clear_memory(self) -> None:
        """Free the memory; the folder keeps its entries. Without a folder this empties the cache.

        Examples
        --------
        >>> cache.clear_memory()
        >>> cache.stats().memory_entries, key in cache  # `get` reads the file again
        (0, True)
        """
        self._memory.clear()
        self._notes.clear()

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
