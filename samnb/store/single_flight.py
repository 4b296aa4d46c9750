"""`SingleFlight`: threads that request the same key at the same time share one computation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Computations that are running in this process, by key."""

    def __init__(self) -> None:
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Start empty in a forked child, which has none of the threads that compute."""
        self._lock = threading.Lock()
        self._running: dict[str, Future[T]] = {}

    def run(self, key: str, find: Callable[[], T | None], compute: Callable[[], tuple[T, bool]]) -> tuple[T, bool]:
        """The result of `find`, or of `compute` in one of the threads that request the key.

        Parameters
        ----------
        find : callable
            Returns an existing value, or None.
        compute : callable
            Returns the computed value, and True if another process computed it meanwhile.

        Returns
        -------
        value, hit
            False for the one thread that computed it.

        Raises
        ------
        Exception
            The error of `compute`, here and in every thread that waited for it; the next call tries again.

        Examples
        --------
        >>> SingleFlight().run("key", lambda: None, lambda: ("computed", False))
        ('computed', False)
        """
        while True:
            if (found := find()) is not None:
                return found, True
            mine: Future[T] = Future()
            with self._lock:
                future = self._running.setdefault(key, mine)
            if future is mine:
                return self._lead(key, mine, compute)
            try:
                return future.result(), True
            except CancelledError:  # the thread that computed was interrupted: ask again
                continue

    def _lead(self, key: str, future: Future[T], compute: Callable[[], tuple[T, bool]]) -> tuple[T, bool]:
        try:
            value, hit = compute()
        except BaseException as error:
            self._running.pop(key, None)
            if isinstance(error, Exception):
                future.set_exception(error)
            else:
                future.cancel()
            raise
        self._running.pop(key, None)
        future.set_result(value)
        return value, hit
