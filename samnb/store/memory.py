"""The quickest tier: embeddings in memory, the least recently used dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from ..errors import StoreError
from ..prompts import Embedding

__all__ = ["MemoryTier"]


class MemoryTier:
    """Embeddings by key within a number of bytes and of entries; threads may share it.

    Parameters
    ----------
    limit : int
        Bytes of their tensors; 0 keeps none.
    max_entries : int
    on_drop : callable
        Told the key of each that found no room or made room for another, with the lock held.

    Raises
    ------
    StoreError
        A limit below zero, or none at all.
    """

    def __init__(self, limit: int, max_entries: int, on_drop: Callable[[str], object] = lambda key: None):
        for name, value in (("memory_bytes", limit), ("max_entries", max_entries)):
            if not (isinstance(value, int | float) and value >= 0):
                raise StoreError(f"{name}: expected 0 or more; got {value!r}.")
        self.limit, self.max_entries, self._on_drop = limit, max_entries, on_drop
        self.bytes = 0
        self._held: OrderedDict[str, Embedding] = OrderedDict()
        self.after_fork()

    def after_fork(self) -> None:
        """A forked child has none of the threads that held the lock."""
        self._lock = threading.Lock()

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def keys(self) -> list[str]:
        """The keys held now, the least recently used first."""
        with self._lock:
            return list(self._held)

    def get(self, key: str) -> Embedding | None:
        """The very object that was put, or None."""
        with self._lock:
            if (embedding := self._held.get(key)) is not None:
                self._held.move_to_end(key)
            return embedding

    def put(self, key: str, embedding: Embedding) -> bool:
        """Hold one; False where it is larger than all that may be held."""
        fits = embedding.nbytes <= self.limit  # one too large would push out all others, then itself
        with self._lock:
            self._drop(key)
            if fits:
                self._held[key] = embedding
                self.bytes += embedding.nbytes
            else:
                self._on_drop(key)
            while self.bytes > self.limit or len(self._held) > self.max_entries:
                oldest = next(iter(self._held))
                self._drop(oldest)
                self._on_drop(oldest)
            return key in self._held

    def discard(self, key: str) -> bool:
        """Let go of one; True if it was held."""
        if key not in self._held:
            return False
        with self._lock:
            return self._drop(key)

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._held.clear()
            self.bytes = 0

    def _drop(self, key: str) -> bool:
        embedding = self._held.pop(key, None)
        self.bytes -= 0 if embedding is None else embedding.nbytes
        return embedding is not None
