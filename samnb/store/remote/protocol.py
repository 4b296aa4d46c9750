"""`Tier`: the protocol of a remote tier; `TierStats`: its counters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Tier(Protocol):
    """A shared store of bytes under keys. Every failure of its library becomes a `TierUnavailable`."""

    name: str
    """Its address, without a password."""

    def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        ...

    def put(self, key: str, raw: bytes) -> bool:
        """Publish; False if there is an entry already, which stays. `StoreError` for entries it never accepts."""
        ...

    def discard(self, key: str) -> bool:
        """Delete; True if it was there."""
        ...

    def contains(self, key: str) -> bool:
        """Whether it is there."""
        ...

    def keys(self) -> Iterator[str]:
        """The keys of all entries, in any order; takes a request for every thousand or so."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


@dataclass(frozen=True)
class TierStats:
    """The counters of one remote tier in this process.

    Parameters
    ----------
    name : str
        Its address, without a password.
    state : {"up", "down", "read only"}
    hits, misses : int
        Entries found and not found; a tier that is down is not asked, and counts nothing.
    published, already_there : int
        Entries written, and those another machine had written before.
    waiting, waiting_bytes : int
        Entries that are still to be written.
    dropped : int
        Entries that were not written because too many waited.
    refused : int
        Entries the tier will not take, such as those too large for it.
    damaged : int
        Entries that failed verification and were deleted there.
    failures : int
        Calls that failed.
    error : str
        The last failure, if it persists.
    """

    name: str
    state: str
    hits: int = 0
    misses: int = 0
    published: int = 0
    already_there: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    dropped: int = 0
    refused: int = 0
    damaged: int = 0
    failures: int = 0
    error: str = ""
