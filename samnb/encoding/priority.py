"""`Priority`: who waits for an embedding right now; a prewarm of the same process lets them go first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Priority:
    """The callers of a session that wait for an embedding, whichever model it is of.

    Examples
    --------
    >>> priority = Priority()
    >>> with priority.held(), priority.requesting("ab12"):
    ...     priority.lock_prefixes()
    frozenset({'ab'})
    >>> priority.lock_prefixes() is None
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._requested: list[str] = []

    def lock_prefixes(self) -> frozenset[str] | None:
        """First two digits of the keys that callers wait for (their locks); None while no caller has priority."""
        with self._lock:
            return frozenset(key[:2] for key in self._requested) if self._count else None

    @contextmanager
    def requesting(self, key: str) -> Iterator[None]:
        """Inside the block, a caller waits for this key."""
        with self._lock:
            self._requested.append(key)
        try:
            yield
        finally:
            with self._lock:
                self._requested.remove(key)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside the block, a prewarm of this process encodes only what callers wait for."""
        with self._lock:
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
