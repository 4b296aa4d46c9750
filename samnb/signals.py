"""`Signal`, which calls its listeners."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable

__all__ = ["Signal"]

_log = logging.getLogger("samnb.jobs")


class Signal:
    """Calls its listeners, on the thread that emits and without a lock. Methods are held weakly.

    A signal of psygnal would call listeners under a lock, and stop at the first one that fails.

    Examples
    --------
    >>> signal, seen = Signal(), []
    >>> signal.subscribe(seen.append)
    >>> signal.emit("0123")
    >>> seen
    ['0123']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._references: list[Callable[[], Callable[..., object] | None]] = []

    def __bool__(self) -> bool:
        return bool(self._references)

    def subscribe(self, listener: Callable[..., object]) -> None:
        """Call a listener with the values of each `emit`.

        Parameters
        ----------
        listener : callable
            A bound method is forgotten with its object; a function, or a lambda, is kept until `unsubscribe`.

        Examples
        --------
        >>> signal, seen = Signal(), []
        >>> signal.subscribe(lambda name, number: seen.append(f"{name} {number}"))
        >>> signal.emit("coins", 3)
        >>> seen
        ['coins 3']
        """
        bound = hasattr(listener, "__self__") and hasattr(listener, "__func__")
        with self._lock:
            alive = [other for other in self._references if other() is not None]
            self._references = [*alive, weakref.WeakMethod(listener) if bound else lambda: listener]  # type: ignore[arg-type]

    def unsubscribe(self, listener: Callable[..., object]) -> None:
        """Stop calling a listener; one that is not subscribed is ignored.

        Parameters
        ----------
        listener : callable
            As given to `subscribe`.

        Examples
        --------
        >>> signal, seen = Signal(), []
        >>> signal.subscribe(seen.append)
        >>> signal.unsubscribe(seen.append)
        >>> signal.emit("coins")
        >>> seen
        []
        """
        with self._lock:
            self._references = [other for other in self._references if other() not in (None, listener)]

    def emit(self, *values: object) -> None:
        """Call the listeners, in the order they subscribed; an error in one is logged, the others are still called.

        Parameters
        ----------
        *values : object
            What the listeners are called with.

        Examples
        --------
        >>> signal, seen = Signal(), []
        >>> signal.subscribe(lambda *values: seen.append(values))
        >>> signal.emit("coins", 3)
        >>> seen
        [('coins', 3)]
        """
        with self._lock:
            listeners = [reference() for reference in self._references]
        for listener in filter(None, listeners):
            try:
                listener(*values)
            except Exception:
                _log.exception("a listener failed")
