"""`OwnChanges`: tells what a widget changes itself from what others change meanwhile on their threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OwnChanges(threading.local):
    """Knows whether this thread is inside a block that changes the session: listeners are called on that thread.

    Examples
    --------
    >>> own = OwnChanges()
    >>> with own.block():
    ...     own.here
    True
    >>> own.here
    False
    """

    _depth = 0

    @property
    def here(self) -> bool:
        """True inside a block, on its thread alone."""
        return self._depth > 0

    @contextmanager
    def block(self) -> Iterator[None]:
        """What this thread changes inside the block is the widget's own."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
