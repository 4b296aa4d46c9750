"""The remote tiers of the embedding cache together: shared by machines, and never in anybody's way.

Look-ups go from one tier to the next, and what a later one had is published to those before it. Writes are made by a
thread of each tier (`samnb.store.remote.worker`). What is fetched is verified like a file that is read from disk;
an entry that fails is deleted where it was found, counted, and looked for in the next tier. Nothing here raises for a
tier that is down, slow or full.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...errors import StoreError
from ...urls import safe_url
from ..entry import check_key
from .protocol import Tier, TierStats
from .worker import FIRST_REST, LONGEST_REST, MAX_WAITING_BYTES, Lane

__all__ = ["CLOSE_TIMEOUT", "TIMEOUT", "RemoteTiers", "Tier", "TierStats", "open_tiers"]

TIMEOUT = 2.0
"""Seconds to wait for a remote tier."""
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
    max_waiting_bytes : int
        Of entries that wait to be written, for each tier; the oldest are dropped beyond it.
    first_rest, longest_rest : float
        Seconds before a tier that failed is tried again; doubled each time.

    Examples
    --------
    >>> import numpy as np
    >>> from samnb.store.entry import make_key, pack
    >>> from samnb.prompts import Embedding
    >>> key = make_key("pixels", "weights", "recipe")
    >>> entry = pack(key, Embedding({"t": np.ones(3, "f4")}, (4, 4), (4, 4)), dtype="float16", about={})
    >>> with open_tiers(["memory://doctest"]) as remote:
    ...     remote.publish(key, entry)
    ...     left = remote.flush()
    ...     raw, where = remote.fetch(key)
    >>> left, raw == entry, where
    (0, True, 'memory://doctest')
    """

    def __init__(
        self,
        tiers: Sequence[Tier],
        *,
        compress: bool = False,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        first_rest: float = FIRST_REST,
        longest_rest: float = LONGEST_REST,
    ):
        self._lanes = [
            Lane(
                tier,
                compressed=compress and not tier.name.startswith("file:"),
                max_waiting_bytes=max_waiting_bytes,
                first_rest=first_rest,
                longest_rest=longest_rest,
            )
            for tier in tiers
        ]
        _open.add(self)

    def __repr__(self) -> str:
        return f"<RemoteTiers {', '.join(self.names) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __enter__(self) -> RemoteTiers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The addresses, without passwords."""
        return tuple(lane.tier.name for lane in self._lanes)

    @property
    def damaged(self) -> int:
        """How many entries failed verification, and were deleted where they were found."""
        return sum(stats.damaged for stats in self.stats())

    def fetch(self, key: str) -> tuple[bytes, str] | None:
        """The verified bytes of an entry and the name of the tier that had them, or None."""
        check_key(key)
        for index, lane in enumerate(self._lanes):
            if (raw := lane.fetch(key)) is not None:
                for missed in self._lanes[:index]:
                    missed.publish(key, raw)
                return raw, lane.tier.name
        return None

    def publish(self, key: str, raw: bytes) -> None:
        """Have an entry written to every tier, soon; returns at once."""
        check_key(key)
        for lane in self._lanes:
            lane.publish(key, raw)

    def contains(self, key: str) -> bool:
        """Whether a tier that answers has the entry."""
        check_key(key)
        return any(lane.contains(key) for lane in self._lanes)

    def discard(self, key: str) -> bool:
        """Delete an entry in every tier that answers; True if one had it."""
        check_key(key)
        return any([lane.discard(key) for lane in self._lanes])

    def flush(self, timeout: float = CLOSE_TIMEOUT) -> int:
        """Wait until all is written, or no tier that has something waiting answers; how many are left."""
        until = time.monotonic() + timeout
        return sum([lane.flush(until) for lane in self._lanes])

    def stats(self) -> tuple[TierStats, ...]:
        """What each tier did, in their order."""
        return tuple(lane.stats() for lane in self._lanes)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Flush, and let go of the tiers; from then on nothing is found and nothing is written."""
        until = time.monotonic() + timeout
        for lane in self._lanes:
            lane.close(until)
        _open.discard(self)

    def _after_fork(self) -> None:
        for lane in self._lanes:
            lane.after_fork()


def open_tiers(
    urls: Sequence[str],
    *,
    ttl: float | None = None,
    timeout: float = TIMEOUT,
    compress: bool = True,
    max_waiting_bytes: int = MAX_WAITING_BYTES,
    first_rest: float = FIRST_REST,
    longest_rest: float = LONGEST_REST,
) -> RemoteTiers:
    """Remote tiers by their addresses; nothing is connected before something is asked for.

    Parameters
    ----------
    urls : sequence of str
        ``redis://host:6379/0``, ``rediss://``, ``unix:///path``; ``s3://bucket/prefix`` and whatever else fsspec
        knows; ``file:///shared/folder``. Asked in this order: the quickest first.
    ttl : float, optional
        Seconds after which Redis forgets an entry; buckets have lifecycle rules of their own for that.
    timeout : float
        Seconds to wait for an answer, or for the next piece of one.
    compress, max_waiting_bytes, first_rest, longest_rest
        As for `RemoteTiers`.

    Raises
    ------
    PackageMissing
        The package that talks to such a tier is not installed; the message names the extra.
    StoreError
        An address that no tier has.
    """
    return RemoteTiers(
        [_tier(str(url), ttl, timeout) for url in urls],
        compress=compress,
        max_waiting_bytes=max_waiting_bytes,
        first_rest=first_rest,
        longest_rest=longest_rest,
    )


def _tier(url: str, ttl: float | None, timeout: float) -> Tier:
    # Late, because each brings a library along.
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise StoreError(f"{safe_url(url)}: not an address ({error}).") from None
    if parts.scheme in _REDIS:
        from .redis import RedisTier

        return RedisTier(url, ttl=ttl, timeout=timeout)
    from .fsspec import FolderTier, ObjectTier

    if parts.scheme in ("file", "local"):
        if parts.netloc not in ("", "localhost"):
            raise StoreError(
                f"{url}: expected an absolute path, with three slashes: file:///{parts.netloc}{parts.path}"
            )
        return FolderTier(Path(unquote(parts.path)), timeout=timeout)
    if not parts.scheme or len(parts.scheme) == 1:  # a path, also C:\\
        return FolderTier(url, timeout=timeout)
    return ObjectTier(url, timeout=timeout)


_open: weakref.WeakSet[RemoteTiers] = weakref.WeakSet()


@atexit.register
def _close_at_exit() -> None:
    for tiers in list(_open):
        tiers.close(timeout=5.0)


def _renew_after_fork() -> None:
    for tiers in list(_open):
        tiers._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)
