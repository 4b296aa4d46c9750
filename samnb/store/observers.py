"""Those who note elsewhere what a cache holds, as a session's catalog does, and telling them."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable
from typing import Protocol

from ..errors import StoreError

__all__ = ["Listener", "Listeners"]

_log = logging.getLogger("samnb.cache")


class Listener(Protocol):
    """Somebody who keeps account of a cache."""

    def store_changed(self, pixel_hashes: frozenset[str] | None, *, fix: bool) -> int:
        """Entries of these pictures (None: of any) came or went: look, note it if `fix`, say how much was wrong."""
        ...


class Listeners:
    """The listeners of one cache; none is kept alive by this."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[Listener] = weakref.WeakSet()

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, listener: Listener) -> None:
        """Tell this one too."""
        self._all.add(listener)

    def discard(self, listener: Listener) -> None:
        """Tell this one no more."""
        self._all.discard(listener)

    def tell(self, pixel_hashes: Iterable[str]) -> None:
        """Entries of these pictures came or went; an empty hash stands for a picture nobody knows."""
        known = frozenset(pixel_hashes)
        for listener in list(self._all):
            try:
                listener.store_changed(known if all(known) else None, fix=True)
            except StoreError as error:
                # the entries are what they are; the next look at the catalog puts it right
                _log.warning("%d embeddings came or went and the catalog could not be told: %s", len(known), error)

    def compare(self, *, fix: bool) -> int:
        """Have all compare all they know; how much was wrong."""
        return sum(listener.store_changed(None, fix=fix) for listener in list(self._all))
