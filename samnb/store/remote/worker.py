"""One remote tier and its manners: what it does when the tier fails, and the thread that writes to it.

A `Lane` never raises for its tier and never waits for it longer than one time-out in an outage: the first failure is
told once, in a warning, and closes the lane. From then on reads are misses at once, writes wait in memory, and only
the lane's own thread looks whether the tier answers again: after 5 s, 10 s, … up to 5 minutes. A tier that can be
read but not written, because it is full or forbids it, goes on being read.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ...errors import PackageMissing, StoreError, TierUnavailable
from ..codecs import compress, expand
from ..entry import number_width, verify
from .protocol import Tier, TierStats

__all__ = ["FIRST_REST", "LONGEST_REST", "MAX_WAITING_BYTES", "Lane"]

FIRST_REST, LONGEST_REST = 5.0, 300.0  # seconds before a tier that failed is tried again
MAX_WAITING_BYTES = 256 << 20  # of entries that wait to be written

_IDLE = 10.0  # seconds after which a thread without work ends
_TRIES = 3  # of one entry, by a tier that answers everything else
_NO_KEY = "0" * 64
_log = logging.getLogger("samnb.cache")
T = TypeVar("T")


@dataclass(frozen=True)
class _Outage:
    """Since when something fails: how often, when to try again, and why."""

    failures: int
    until: float
    reason: str


class Lane:
    """One tier, the entries that wait for it, and its outages. Threads may share it.

    Parameters
    ----------
    tier : Tier
    compressed : bool
        Write entries through `codecs.compress`; both kinds are read.
    max_waiting_bytes : int
        The oldest entries that wait are dropped beyond it.
    first_rest, longest_rest : float
        Seconds; doubled from one try to the next.
    """

    def __init__(
        self,
        tier: Tier,
        *,
        compressed: bool = False,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        first_rest: float = FIRST_REST,
        longest_rest: float = LONGEST_REST,
    ):
        self.tier = tier
        self._compressed = compressed
        self._max_waiting_bytes = max_waiting_bytes
        self._rests = first_rest, longest_rest
        self._counts = dict.fromkeys(
            ("hits", "misses", "published", "already_there", "dropped", "refused", "damaged", "failures"), 0
        )
        self._told: set[str] = set()
        self._down: _Outage | None = None
        self._full: _Outage | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a child: its parent's thread is not here, and will write what waited there."""
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._waiting_bytes = 0
        self._tries = 0
        self._thread: threading.Thread | None = None
        self._hurry = False
        self._closed = False

    def fetch(self, key: str) -> bytes | None:
        """A sound entry, expanded; None when it is not there, is damaged, or the tier is down."""
        found = self._ask(lambda: (self.tier.get(key),), None)
        if found is None:
            return None
        try:
            raw = None if found[0] is None else self._sound(key, found[0])
        except PackageMissing as error:  # sound for those who have the package: it stays where it is
            self._tell_once("package", "%s: %s Such embeddings are computed again.", self.tier.name, error)
            raw = None
        except StoreError as error:
            self._damaged(key, error)
            raw = None
        self._count("misses" if raw is None else "hits")
        return raw

    def contains(self, key: str) -> bool:
        """Whether it is there, as far as can be told."""
        return self._ask(lambda: self.tier.contains(key), False)

    def discard(self, key: str) -> bool:
        """Delete there, and write no more; True if it was there."""
        with self._changed:
            self._take(key)
        return self._ask(lambda: self.tier.discard(key), False)

    def publish(self, key: str, raw: bytes) -> None:
        """Write later; the oldest that waits is dropped when too much does."""
        with self._changed:
            if self._closed:
                return
            self._take(key)
            self._waiting[key] = raw
            self._waiting_bytes += len(raw)
            dropped = 0
            while self._waiting_bytes > self._max_waiting_bytes and len(self._waiting) > 1:
                self._take(next(iter(self._waiting)))
                dropped += 1
            self._counts["dropped"] += dropped
            self._work_to_do()
        if dropped:
            limit = f"{self._max_waiting_bytes / 2**20:,.0f} MiB"
            message = (
                "%s: more than %s wait to be written; the oldest are not shared, they stay in the session's folder."
            )
            self._tell_once("dropped", message, self.tier.name, limit)

    def flush(self, until: float) -> int:
        """Wait until all is written, the tier fails, or `time.monotonic` says `until`; how many are left."""
        with self._changed:
            failures = self._counts["failures"]
            if self._waiting:
                self._hurry = True
                self._work_to_do()
            while self._waiting and self._counts["failures"] == failures and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self._hurry = False
            return len(self._waiting)

    def close(self, until: float) -> None:
        """Flush, then let go; a warning says what could not be written."""
        left = self.flush(until)
        with self._changed:
            size, self._closed = self._waiting_bytes, True
            self._waiting.clear()
            self._waiting_bytes = 0
            self._changed.notify_all()
        if left:
            unwritten = "%s: %d embeddings (%.1f MiB) could not be written there before closing; they are not shared."
            _log.warning(unwritten, self.tier.name, left, size / 2**20)
        try:
            self.tier.close()
        except Exception as error:
            _log.info("%s: while closing: %r", self.tier.name, error)

    def stats(self) -> TierStats:
        """What it did, and how it is."""
        with self._changed:
            outage = self._down or self._full
            return TierStats(
                self.tier.name,
                "down" if self._down else "read only" if self._full else "up",
                waiting=len(self._waiting),
                waiting_bytes=self._waiting_bytes,
                error=outage.reason if outage else "",
                **self._counts,
            )

    # -- reading -----------------------------------------------------------------------------------

    def _ask(self, call: Callable[[], T], otherwise: T) -> T:
        with self._changed:
            if self._closed:
                return otherwise
            if self._down is not None:
                if time.monotonic() >= self._down.until:
                    self._work_to_do()  # the thread tries, not the one who asks
                return otherwise
        try:
            return call()
        except Exception as error:
            self._failed(error)
            return otherwise

    def _sound(self, key: str, stored: bytes) -> bytes:
        raw = expand(stored)
        verify(raw, key)
        return raw

    def _damaged(self, key: str, error: StoreError) -> None:
        self._count("damaged")
        done = "deleted there" if self._ask(lambda: self.tier.discard(key), False) else "not deleted there"
        _log.warning("%s: %s is damaged (%s); %s, it will be computed again", self.tier.name, key, error, done)

    # -- writing -----------------------------------------------------------------------------------

    def _work_to_do(self) -> None:
        """With the lock held: have a thread that looks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"samnb writes to {self.tier.name}", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while (step := self._next_step()) is not None:
            step()

    def _next_step(self) -> Callable[[], None] | None:
        with self._changed:
            idle_until = time.monotonic() + _IDLE
            while not self._closed:
                now = time.monotonic()
                due, step = self._due()
                if step is not None and (due <= now or self._hurry):
                    return step
                if not self._waiting and now >= idle_until:
                    break
                self._changed.wait((due if self._waiting else min(due, idle_until)) - now)
            self._thread = None
            return None

    def _due(self) -> tuple[float, Callable[[], None] | None]:
        if self._down is not None:
            return self._down.until, self._probe
        if not self._waiting:
            return math.inf, None
        return (self._full.until if self._full else 0.0), self._send

    def _probe(self) -> None:
        try:
            self.tier.contains(_NO_KEY)
        except Exception as error:
            self._failed(error, again=True)
        else:
            self._works_again()

    def _send(self) -> None:
        with self._changed:
            if not self._waiting:
                return
            key, raw = next(iter(self._waiting.items()))
        try:
            stored = compress(raw, width=number_width(raw)) if self._compressed else raw
            written = self.tier.put(key, stored)
        except TierUnavailable as error:
            self._failed(error, again=True, key=key)
        except StoreError as error:
            self._refused(key, error)
        except Exception as error:
            self._failed(error, again=True, key=key)
        else:
            self._sent(key, raw, written)

    def _sent(self, key: str, raw: bytes, written: bool) -> None:
        with self._changed:
            if self._waiting.get(key) is raw:
                self._take(key)
            self._tries = 0
            self._counts["published" if written else "already_there"] += 1
            recovered, self._full = self._full is not None, None
            self._changed.notify_all()
        if recovered:
            _log.info("%s: can be written again", self.tier.name)

    def _refused(self, key: str, error: StoreError) -> None:
        with self._changed:
            self._take(key)
            self._tries = 0
            self._counts["refused"] += 1
            self._changed.notify_all()
        self._tell_once("refused", "%s: %s Such embeddings are not shared.", self.tier.name, error)

    def _take(self, key: str) -> None:
        """With the lock held."""
        self._waiting_bytes -= len(self._waiting.pop(key, b""))

    # -- outages -----------------------------------------------------------------------------------

    def _failed(self, error: Exception, *, again: bool = False, key: str | None = None) -> None:
        """Close the lane, or rest longer. Only the lane's thread says `again`: many readers fail at once."""
        if not isinstance(error, TierUnavailable):
            error = TierUnavailable(self.tier.name, f"{type(error).__name__}: {error}")
        with self._changed:
            self._counts["failures"] += 1
            self._hurry = False
            before = self._full if error.can_read else self._down
            if before is None or again:
                failures = 1 if before is None else before.failures + 1
                first, longest = self._rests
                rest = min(longest, first * 2.0 ** min(failures - 1, 20))
                outage = _Outage(failures, time.monotonic() + rest, str(error))
                if error.can_read:
                    self._full = outage
                else:
                    self._down = outage
            if key is not None and not error.can_read:
                self._tries += 1
                if self._tries >= _TRIES:
                    self._take(key)
                    self._tries = 0
                    self._counts["refused"] += 1
            if self._waiting:
                self._work_to_do()
            self._changed.notify_all()
        if before is None:
            _log.warning("%s Going on without it; it is tried again every now and then.", error)

    def _works_again(self) -> None:
        with self._changed:
            self._down = None
            self._changed.notify_all()
        _log.info("%s: answers again", self.tier.name)

    def _tell_once(self, what: str, message: str, *values: object) -> None:
        with self._changed:
            first = what not in self._told
            self._told.add(what)
        if first:
            _log.warning(message, *values)

    def _count(self, name: str) -> None:
        with self._changed:
            self._counts[name] += 1
