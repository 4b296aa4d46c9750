"""Embeddings in Redis: one string value for each entry, under ``samnb:<key>``, with an expiry when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ...errors import PackageMissing, StoreError, TierUnavailable
from ...urls import redact, redacted_url
from .bounded_socket import bounded

MAX_VALUE_BYTES = 64 << 20  # Redis takes 512 MiB, and stops for everybody while it moves such a value

_PREFIX = "samnb:"
_PIECES = 4
_AROUND = 1 << 20  # bytes of an answer beside the value, and of what is read ahead
# Answers of a server that can still be read: no memory left, a disk it cannot save to, a replica, a reader's account.
_CANNOT_WRITE = ("OOM", "MISCONF", "READONLY", "NOPERM", "NOREPLICAS")
# Classes of redis-py that take that word out of their message.
_WRITE_ERRORS = ("OutOfMemoryError", "ReadOnlyError", "NoPermissionError")
T = TypeVar("T")


class RedisTier:
    """A Redis server as a `Tier`.

    Parameters
    ----------
    url : str
        ``redis://``, ``rediss://`` (TLS) or ``unix://``, as redis-py reads them.
    ttl : float, optional
        Seconds after which an entry is gone; None leaves that to the server's own ``maxmemory-policy``.
    timeout : float
        Seconds to wait for a connection, and for each piece of an answer; four times as long for all of it.
    max_value_bytes : int
        Larger entries are refused.

    Raises
    ------
    PackageMissing
        redis-py is not installed.
    StoreError
        Not an address of Redis.
    """

    def __init__(
        self, url: str, *, ttl: float | None = None, timeout: float = 2.0, max_value_bytes: int = MAX_VALUE_BYTES
    ):
        self.name = redacted_url(url)
        self._url, self._timeout = url, timeout
        self._ttl_ms = None if ttl is None else max(1, round(ttl * 1000))
        self._max_value_bytes = max_value_bytes
        if find_spec("redis") is None:
            raise PackageMissing("A Redis tier", "redis", "redis")
        try:
            _ = urlsplit(url).port
        except ValueError as error:
            raise StoreError(f"{self.name}: not an address of Redis ({redact(error, url)}).") from None

    def __repr__(self) -> str:
        return f"<RedisTier {self.name}>"

    def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        return self._call(lambda: self._client.get(_PREFIX + key), bytes)

    def put(self, key: str, raw: bytes) -> bool:
        """Publish; False when something is there already."""
        if len(raw) > self._max_value_bytes:
            limit = f"{self._max_value_bytes / 2**20:,.0f} MiB"
            raise StoreError(f"an entry of {len(raw) / 2**20:,.1f} MiB is larger than the {limit} kept in Redis.")
        return bool(self._call(lambda: self._client.set(_PREFIX + key, raw, nx=True, px=self._ttl_ms), bool))

    def discard(self, key: str) -> bool:
        """Delete; True if it was there."""
        return bool(self._call(lambda: self._client.delete(_PREFIX + key), int))

    def contains(self, key: str) -> bool:
        """Whether it is there."""
        return bool(self._call(lambda: self._client.exists(_PREFIX + key), int))

    def keys(self) -> Iterator[str]:
        """The keys of all entries, in any order."""
        found = self._call(lambda: list(self._client.scan_iter(match=f"{_PREFIX}*", count=1000)), list)
        return (name.decode().removeprefix(_PREFIX) for name in found)

    def close(self) -> None:
        """Close the connections."""
        if "_client" in vars(self):
            self._client.close()

    @cached_property
    def _client(self) -> Any:
        import redis  # 0.3 s, which a session whose embeddings are all on its disk need not pay
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        # Once more at once when a connection has gone, as one that waited in the pool while the server was started
        # again has; never after a time-out. redis-py's own default tries for several seconds.
        retry = Retry(NoBackoff(), 1, (redis.ConnectionError,))
        waits = {"socket_timeout": self._timeout, "socket_connect_timeout": self._timeout}
        pool = redis.ConnectionPool.from_url(self._url, retry=retry, decode_responses=False, **waits)
        seconds, max_bytes = _PIECES * self._timeout, self._max_value_bytes + _AROUND
        pool.connection_class = bounded(pool.connection_class, seconds=seconds, max_bytes=max_bytes)
        return redis.Redis.from_pool(pool)

    def _call(self, command: Callable[[], T], kind: type) -> T:
        try:
            answer = command()
            # On a connection that lost its place, an answer may be that to an earlier command.
            if not isinstance(answer, kind | None):
                raise TypeError(f"the answer is of another kind: {type(answer).__name__}, expected {kind.__name__}")
            return answer
        except Exception as error:  # its own, the system's, and ValueError for an invalid address
            reason = redact(error, self._url) or type(error).__name__
            can_read = type(error).__name__ in _WRITE_ERRORS or reason.startswith(_CANNOT_WRITE)
            raise TierUnavailable(self.name, reason, can_read=can_read) from error
