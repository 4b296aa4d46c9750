"""`StoreObserver`: what is notified when entries of a cache come or go, as a session's catalog is."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable
from typing import Protocol

from ..errors import StoreError

_log = logging.getLogger("samnb.cache")


class StoreObserver(Protocol):
    """Records elsewhere what a cache holds."""

    def store_changed(self, pixel_hashes: frozenset[str] | None, *, fix: bool) -> int:
        """Compare its records of these pictures (None: of all) with the cache.

        Returns the number of wrong ones; corrects them where `fix`.
        """
        ...


class StoreObservers:
    """The observers of one cache, held by weak references."""

    def __init__(self) -> None:
        self._observers: weakref.WeakSet[StoreObserver] = weakref.WeakSet()

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: StoreObserver) -> None:
        """Notify this one too."""
        self._observers.add(observer)

    def discard(self, observer: StoreObserver) -> None:
        """Stop notifying it."""
        self._observers.discard(observer)

    def notify(self, pixel_hashes: Iterable[str]) -> None:
        """Entries of these pictures came or went; "" stands for an unknown picture."""
        known = frozenset(pixel_hashes)
        for observer in list(self._observers):
            try:
                observer.store_changed(known if all(known) else None, fix=True)
            except StoreError as error:
                # the entries are what they are; the catalog is compared again when it is next opened
                _log.warning("%d embeddings came or went and the catalog could not be told: %s", len(known), error)

    def compare(self, *, fix: bool) -> int:
        """Have every observer compare all its records; returns the number of wrong ones."""
        return sum(observer.store_changed(None, fix=fix) for observer in list(self._observers))
