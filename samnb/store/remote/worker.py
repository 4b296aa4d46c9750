"""`TierWorker`: one remote tier, the thread that writes to it, and what happens when the tier fails.

Nothing here raises because of the tier. A call that found no answer in time is made once more, since the tier is not
to blame where this machine was busy. The first failure is logged once, as a warning, and opens a circuit breaker:
reads are then misses at once, writes wait in memory, and only the worker's own thread tries the tier again, after 5 s,
10 s, … up to 5 minutes. A tier that can be read but not written, because it is full or denies access, is still read.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from ...errors import PackageMissing, StoreError, TierUnavailable
from ..codecs import compress, expand
from ..entry import number_width, verify
from .circuit_breaker import CircuitBreaker
from .protocol import Tier, TierStats

FIRST_REST, LONGEST_REST = 5.0, 300.0  # seconds before a tier that failed is tried again
MAX_WAITING_BYTES = 256 << 20  # of entries that wait to be written

_IDLE = 10.0  # seconds without work after which the thread ends
_MAX_ATTEMPTS = 3  # to write one entry to a tier that answers everything else
_NO_KEY = "0" * 64
_log = logging.getLogger("samnb.cache")
T = TypeVar("T")


class TierWorker:
    """Reads one tier and writes to it in the background. Threads may share the object.

    Parameters
    ----------
    tier : Tier
    compressed : bool
        Write entries through `codecs.compress`; both kinds are read.
    max_waiting_bytes : int
        Of entries that wait to be written; beyond it the oldest are dropped.
    first_rest, longest_rest : float
        Seconds until a tier that failed is tried again; doubled each time.
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
        self._counts = dict.fromkeys(
            ("hits", "misses", "published", "already_there", "dropped", "refused", "damaged", "failures"), 0
        )
        self._warned: set[str] = set()
        self._tier_breaker = CircuitBreaker(first_rest, longest_rest)
        self._write_breaker = CircuitBreaker(first_rest, longest_rest)  # open where the tier can still be read
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Start empty in a forked child: the parent's thread is not here, and writes what waits there."""
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._waiting_bytes = 0
        self._attempts = 0
        self._thread: threading.Thread | None = None
        self._hurry = False
        self._closed = False

    def fetch(self, key: str) -> bytes | None:
        """The verified entry, expanded; None when it is not there, is damaged, or the tier is down."""
        found = self._call(lambda: (self.tier.get(key),), None)
        if found is None:
            return None
        try:
            raw = None if found[0] is None else self._verified(key, found[0])
        except PackageMissing as error:  # readable where the package is installed: it stays where it is
            self._warn_once("package", "%s: %s Such embeddings are computed again.", self.tier.name, error)
            raw = None
        except StoreError as error:
            self._damaged(key, error)
            raw = None
        self._count("misses" if raw is None else "hits")
        return raw

    def contains(self, key: str) -> bool:
        """Whether it is there; False if the tier does not answer."""
        return self._call(lambda: self.tier.contains(key), False)

    def discard(self, key: str) -> bool:
        """Delete it in the tier and among what waits; True if the tier had it."""
        with self._changed:
            self._take(key)
        return self._call(lambda: self.tier.discard(key), False)

    def publish(self, key: str, raw: bytes) -> None:
        """Write it later; the oldest that wait are dropped where too much does."""
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
            self._wake_thread()
        if dropped:
            limit = f"{self._max_waiting_bytes / 2**20:,.0f} MiB"
            message = (
                "%s: more than %s wait to be written; the oldest are not shared, they stay in the session's folder."
            )
            self._warn_once("dropped", message, self.tier.name, limit)

    def flush(self, until: float) -> int:
        """Wait until all is written, the tier fails, or `time.monotonic` says `until`; how many are left."""
        with self._changed:
            failures = self._counts["failures"]
            if self._waiting:
                self._hurry = True
                self._wake_thread()
            while self._waiting and self._counts["failures"] == failures and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self._hurry = False
            return len(self._waiting)

    def close(self, until: float) -> None:
        """Flush, then close the tier; a warning says what could not be written."""
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
        """The counters of the tier, and its state."""
        with self._changed:
            return TierStats(
                self.tier.name,
                "down" if self._tier_breaker.is_open else "read only" if self._write_breaker.is_open else "up",
                waiting=len(self._waiting),
                waiting_bytes=self._waiting_bytes,
                error=self._tier_breaker.reason or self._write_breaker.reason,
                **self._counts,
            )

    # -- reading -----------------------------------------------------------------------------------

    def _call(self, call: Callable[[], T], otherwise: T) -> T:
        with self._changed:
            if self._closed:
                return otherwise
            if self._tier_breaker.is_open:
                if time.monotonic() >= self._tier_breaker.retry_at:
                    self._wake_thread()  # its thread tries the tier, not the caller
                return otherwise
        try:
            return self._ask(call)
        except Exception as error:
            self._failed(error)
            return otherwise

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except TierUnavailable as error:
            if not _timed_out(error):
                raise
            _log.info("%s It is asked once more.", error)
        return call()

    def _verified(self, key: str, stored: bytes) -> bytes:
        raw = expand(stored)
        verify(raw, key)
        return raw

    def _damaged(self, key: str, error: StoreError) -> None:
        self._count("damaged")
        done = "deleted there" if self._call(lambda: self.tier.discard(key), False) else "not deleted there"
        _log.warning("%s: %s is damaged (%s); %s, it will be computed again", self.tier.name, key, error, done)

    # -- writing -----------------------------------------------------------------------------------

    def _wake_thread(self) -> None:
        """Start the thread if there is none, and wake it; the lock is held."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, name=f"samnb writes to {self.tier.name}", daemon=True)
            thread.start()
            self._thread = thread
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
        if self._tier_breaker.is_open:
            return self._tier_breaker.retry_at, self._probe
        if not self._waiting:
            return math.inf, None
        return self._write_breaker.retry_at, self._send

    def _probe(self) -> None:
        try:
            self.tier.contains(_NO_KEY)
        except Exception as error:
            self._failed(error, retried=True)
        else:
            self._recovered()

    def _send(self) -> None:
        with self._changed:
            if not self._waiting:
                return
            key, raw = next(iter(self._waiting.items()))
        try:
            stored = compress(raw, width=number_width(raw)) if self._compressed else raw
            written = self._ask(lambda: self.tier.put(key, stored))
        except TierUnavailable as error:
            self._failed(error, retried=True, key=key)
        except StoreError as error:
            self._reject(key, error)
        except Exception as error:
            self._failed(error, retried=True, key=key)
        else:
            self._sent(key, raw, written)

    def _sent(self, key: str, raw: bytes, written: bool) -> None:
        with self._changed:
            if self._waiting.get(key) is raw:
                self._take(key)
            self._attempts = 0
            self._counts["published" if written else "already_there"] += 1
            recovered = self._write_breaker.is_open
            self._write_breaker.reset()
            self._changed.notify_all()
        if recovered:
            _log.info("%s: can be written again", self.tier.name)

    def _reject(self, key: str, error: StoreError) -> None:
        with self._changed:
            self._take(key)
            self._attempts = 0
            self._counts["refused"] += 1
            self._changed.notify_all()
        self._warn_once("refused", "%s: %s Such embeddings are not shared.", self.tier.name, error)

    def _take(self, key: str) -> None:
        """Remove what waits under that key; the lock is held."""
        self._waiting_bytes -= len(self._waiting.pop(key, b""))

    # -- failures ----------------------------------------------------------------------------------

    def _failed(self, error: Exception, *, retried: bool = False, key: str | None = None) -> None:
        """Open a breaker, or extend its rest; only the worker's thread passes `retried`."""
        if not isinstance(error, TierUnavailable):
            error = TierUnavailable(self.tier.name, f"{type(error).__name__}: {error}")
        with self._changed:
            self._counts["failures"] += 1
            self._hurry = False
            breaker = self._write_breaker if error.can_read else self._tier_breaker
            opened = breaker.trip(str(error), retried=retried)
            if key is not None and not error.can_read:
                self._attempts += 1
                if self._attempts >= _MAX_ATTEMPTS:
                    self._take(key)
                    self._attempts = 0
                    self._counts["refused"] += 1
            if self._waiting:
                self._wake_thread()
            self._changed.notify_all()
        if opened:
            _log.warning("%s Going on without it; it is tried again every now and then.", error)

    def _recovered(self) -> None:
        with self._changed:
            self._tier_breaker.reset()
            self._changed.notify_all()
        _log.info("%s: answers again", self.tier.name)

    def _warn_once(self, what: str, message: str, *values: object) -> None:
        with self._changed:
            first = what not in self._warned
            self._warned.add(what)
        if first:
            _log.warning(message, *values)

    def _count(self, name: str) -> None:
        with self._changed:
            self._counts[name] += 1


def _timed_out(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is a time-out; each library has a class of its own for that."""
    while error is not None and "Timeout" not in type(error).__name__:
        error = error.__cause__
    return error is not None
