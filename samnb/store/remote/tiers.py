"""`RemoteTiers`: all remote tiers of an embedding cache; `open_tiers` makes them from addresses.

Look-ups go from one tier to the next; what a later one had is published to those before it. Each tier is written by
a thread of its own (`samnb.store.remote.worker`). What is fetched is verified like a file that is read from disk: an
entry that fails is deleted where it was found, counted, and looked up in the next tier. Nothing here raises for a tier
that is down, slow or full.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ...errors import AnyPath, StoreError
from ...settings import setting
from ...urls import redacted_url
from ..entry import check_key
from ..limits import is_number
from .protocol import Tier, TierStats
from .worker import TierWorker

TIMEOUT = 2.0
"""Seconds to wait for a remote tier, where neither an argument nor the environment says so."""
CLOSE_TIMEOUT = 30.0
"""Seconds to wait, when closing, for what is still to be written."""

_REDIS = ("redis", "rediss", "unix")


class RemoteTiers:
    """Remote tiers in the order they are asked; threads may share the object.

    Parameters
    ----------
    tiers : sequence of Tier
    compress : bool
        Write entries byte-shuffled through zstd, to all but shared folders. What is read needs no setting.
    urls : sequence of str
        Their addresses as `open_tiers` takes them, for other processes; not in `repr`, they may hold passwords.
    options
        ``max_waiting_bytes``, ``first_rest``, ``longest_rest``: as for `TierWorker`.

    Examples
    --------
    >>> import numpy as np
    >>> from samnb.store.entry import make_key, serialize
    >>> from samnb.prompts import Embedding
    >>> key = make_key("pixels", "weights", "recipe")
    >>> entry = serialize(key, Embedding({"t": np.ones(3, "f4")}, (4, 4), (4, 4)), dtype="float16", metadata={})
    >>> with open_tiers(["memory://doctest"]) as remote:
    ...     remote.publish(key, entry)
    ...     left = remote.flush()
    ...     raw, where = remote.fetch(key)
    >>> left, raw == entry, where
    (0, True, 'memory://doctest')
    """

    def __init__(self, tiers: Sequence[Tier], *, compress: bool = False, urls: Sequence[str] = (), **options: Any):
        self.urls = tuple(urls)
        self._workers = [
            TierWorker(tier, compressed=compress and not tier.name.startswith("file:"), **options) for tier in tiers
        ]
        _open.add(self)

    def __repr__(self) -> str:
        return f"<RemoteTiers {', '.join(self.names) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._workers)

    def __enter__(self) -> RemoteTiers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The addresses, without passwords."""
        return tuple(worker.tier.name for worker in self._workers)

    @property
    def damaged(self) -> int:
        """The number of entries that failed verification, and were deleted in their tier."""
        return sum(stats.damaged for stats in self.stats())

    def fetch(self, key: str) -> tuple[bytes, str] | None:
        """The verified bytes of an entry and the name of the tier that had them, or None."""
        check_key(key)
        for index, worker in enumerate(self._workers):
            if (raw := worker.fetch(key)) is not None:
                for missed in self._workers[:index]:
                    missed.publish(key, raw)
                return raw, worker.tier.name
        return None

    def publish(self, key: str, raw: bytes) -> None:
        """Write an entry to every tier in the background; returns at once."""
        check_key(key)
        for worker in self._workers:
            worker.publish(key, raw)

    def contains(self, key: str) -> bool:
        """Whether a tier that answers has the entry."""
        check_key(key)
        return any(worker.contains(key) for worker in self._workers)

    def keys(self) -> Iterator[str]:
        """The keys that any tier has, some of them more than once.

        Raises
        ------
        TierUnavailable
            A tier does not answer, so that its keys are not known.
        """
        for worker in self._workers:
            yield from worker.tier.keys()

    def discard(self, key: str) -> bool:
        """Delete an entry in every tier that answers; True if one had it."""
        check_key(key)
        return any([worker.discard(key) for worker in self._workers])

    def flush(self, timeout: float = CLOSE_TIMEOUT) -> int:
        """Wait until all is written, or no tier that has something waiting answers; returns how many are left."""
        until = time.monotonic() + timeout
        return sum([worker.flush(until) for worker in self._workers])

    def stats(self) -> tuple[TierStats, ...]:
        """The counters of each tier, in their order."""
        return tuple(worker.stats() for worker in self._workers)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Flush and close the tiers; from then on nothing is found and nothing is written."""
        until = time.monotonic() + timeout
        for worker in self._workers:
            worker.close(until)
        _open.discard(self)

    def reset_after_fork(self) -> None:
        """Start empty in a forked child."""
        for worker in self._workers:
            worker.reset_after_fork()


def open_tiers(
    urls: Sequence[AnyPath] | AnyPath,
    *,
    ttl: float | None = None,
    timeout: float | None = None,
    compress: bool = True,
    **options: Any,
) -> RemoteTiers:
    """Remote tiers by their addresses; nothing is connected before the first call.

    Parameters
    ----------
    urls : sequence of str or path, or one
        ``redis://host:6379/0``, ``rediss://``, ``unix:///path``; ``s3://bucket/prefix`` and whatever else fsspec
        knows; ``file:///shared/folder``. Asked in this order: the quickest first.
    ttl : float, optional
        Seconds after which Redis drops an entry; buckets have lifecycle rules of their own for that.
    timeout : float, optional
        Seconds to wait for an answer, or for the next piece of one; default ``SAMNB_CACHE_REMOTE_TIMEOUT``, or 2.
    compress, options
        As for `RemoteTiers`.

    Raises
    ------
    PackageMissing
        The package that talks to such a tier is not installed; the message names the extra.
    StoreError
        An address that no tier has, or a timeout that is no number above zero.
    """
    urls = [urls] if isinstance(urls, str | os.PathLike) else urls
    if not isinstance(urls, Iterable):
        raise StoreError(f"remote: expected addresses in a list, such as ['redis://host:6379/0']; got {urls!r}.")
    if urls:
        # The clients import it on a worker's thread, which fails once a short program has come to its end.
        import_module("concurrent.futures.thread")
    addresses = [str(url) for url in urls]
    if not (timeout is None or (is_number(timeout) and timeout > 0)):
        raise StoreError(f"timeout: expected seconds, more than 0, or None for the default; got {timeout!r}.")
    seconds: float = timeout or setting("SAMNB_CACHE_REMOTE_TIMEOUT") or TIMEOUT
    return RemoteTiers([_tier(url, ttl, seconds) for url in addresses], compress=compress, urls=addresses, **options)


def _tier(url: str, ttl: float | None, timeout: float) -> Tier:
    # Imported late: each brings a library along.
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise StoreError(f"{redacted_url(url)}: not an address ({error}).") from None
    if parts.scheme in _REDIS:
        from .redis import RedisTier

        return RedisTier(url, ttl=ttl, timeout=timeout)
    from .folder import FolderTier

    if parts.scheme in ("file", "local"):
        if parts.netloc not in ("", "localhost"):
            raise StoreError(
                f"{url}: expected an absolute path, with three slashes: file:///{parts.netloc}{parts.path}"
            )
        return FolderTier(Path(unquote(parts.path)), timeout=timeout)
    if not parts.scheme or len(parts.scheme) == 1:  # a path, also C:\\
        return FolderTier(url, timeout=timeout)
    from .fsspec import ObjectTier

    return ObjectTier(url, timeout=timeout)


_open: weakref.WeakSet[RemoteTiers] = weakref.WeakSet()


@atexit.register
def _close_at_exit() -> None:
    for tiers in list(_open):
        tiers.close()


def _reset_after_fork() -> None:
    for tiers in list(_open):
        tiers.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
