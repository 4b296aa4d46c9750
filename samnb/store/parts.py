"""`CacheParts`: what the methods of a cache work with: its tiers, and how they find and keep an entry."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping

from ..errors import StoreError
from ..prompts import Embedding
from .entry import EntryDamaged, check_key, deserialize
from .entry_notes import EntryNotes
from .eviction import Evictor
from .folder import EntryFolder
from .header import header_of
from .limits import Limits
from .memory import MemoryTier
from .observers import StoreObservers
from .remote import RemoteTiers

_log = logging.getLogger("samnb.cache")


class CacheParts:
    """What the methods of a cache work with; `samnb.cache.EmbeddingCache` makes them."""

    limits: Limits
    remote: RemoteTiers
    _disk: EntryFolder | None
    _evictor: Evictor | None
    _memory: MemoryTier
    _notes: EntryNotes
    _observers: StoreObservers
    _owns_remote: bool
    _counts: dict[str, int]
    _lock: threading.Lock

    def __contains__(self, key: str) -> bool:
        """Whether the file is there (not whether it is sound); without a folder, whether memory holds it."""
        held = key in self._disk if self._disk is not None else check_key(key) in self._memory
        return held and not self._notes.expired(key)

    def __len__(self) -> int:
        return sum(1 for _ in self.keys())

    def approximate_len(self) -> int:
        """The number of entries by the folder's usage file: quick for any number, since no folder is listed.

        Returns
        -------
        int
            Files that others than samnb deleted still count; ``len(cache)`` lists the folder, and is exact. Without a
            folder, the exact number in memory.

        Examples
        --------
        >>> cache.approximate_len(), len(cache)
        (1, 1)
        """
        return len(self._memory) if self._disk is None else self._disk.usage.total().entries

    def keys(self) -> Iterator[str]:
        """The key of every entry in the folder, which is listed; without a folder, of those in memory.

        Returns
        -------
        iterator of str
            Unsorted. Damaged files are among them, since none is read; so are expired ones.

        Examples
        --------
        >>> list(cache.keys()) == [key]
        True
        """
        if self._disk is not None:
            return (entry.key for entry in self._disk.entries())
        return iter(self._memory.keys())

    # -- inside ------------------------------------------------------------------------------------

    def _keep_in_memory(self, key: str, kept: Embedding, error: StoreError) -> None:
        """Keep it in memory only, since the disk refused it."""
        self._notes.unstored.add(key)
        self._notes.refused.add(key)
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
