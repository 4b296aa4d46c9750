"""`MemoryTier`: embeddings in memory; the least recently used are dropped first."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cachetools import LRUCache

from ..errors import StoreError
from ..prompts import Embedding
from .limits import is_number


class MemoryTier:
    """Embeddings by key within a number of bytes and of entries; threads may share it.

    Parameters
    ----------
    limit : int
        Bytes of their tensors; 0 keeps none.
    max_entries : int
    on_drop : callable
        Called with the key of each that found no room or made room for another, with the lock held.

    Raises
    ------
    StoreError
        A negative limit, or one that is not a number.
    """

    def __init__(self, limit: int, max_entries: int, on_drop: Callable[[str], object] = lambda key: None):
        for name, value in (("memory_bytes", limit), ("max_entries", max_entries)):
            if not (is_number(value) and value >= 0):
                raise StoreError(f"{name}: expected 0 or more; got {value!r}.")
        self.limit, self.max_entries, self._on_drop = limit, max_entries, on_drop
        self._entries = _LRUCache(limit, on_drop)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Take a new lock: a forked child has none of the threads that may hold the old one."""
        self._lock = threading.Lock()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Bytes of the tensors held now."""
        return int(self._entries.currsize)

    def keys(self) -> list[str]:
        """The keys held now."""
        with self._lock:
            return list(self._entries)

    def get(self, key: str) -> Embedding | None:
        """The same object that was put, or None."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: str, embedding: Embedding) -> bool:
        """Hold one; False if it is larger than the limit."""
        with self._lock:
            self._entries.pop(key, None)
            if embedding.nbytes > self.limit:  # it would drop all others, then itself
                self._on_drop(key)
                return False
            self._entries[key] = embedding
            while len(self._entries) > self.max_entries:
                self._entries.popitem()
            return key in self._entries

    def discard(self, key: str) -> bool:
        """Drop one; True if it was held."""
        if key not in self._entries:
            return False
        with self._lock:
            return self._entries.pop(key, None) is not None

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self._entries = _LRUCache(self.limit, self._on_drop)


class _LRUCache(LRUCache):
    """Measured in bytes; reports what it drops to make room."""

    def __init__(self, limit: int, on_drop: Callable[[str], object]):
        super().__init__(limit, getsizeof=lambda embedding: embedding.nbytes)
        self._on_drop = on_drop

    def popitem(self) -> tuple[str, Embedding]:
        key, embedding = super().popitem()
        self._on_drop(key)
        return key, embedding
