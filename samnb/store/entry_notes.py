"""`EntryNotes`: what a cache knows of the entries in its memory beside their tensors: no file, and their age."""

from __future__ import annotations

from collections.abc import Mapping

from .folder import EntryFolder
from .header import header_of
from .limits import Limits


class EntryNotes:
    """Notes on the entries of one cache, by key.

    Parameters
    ----------
    disk : EntryFolder or None
        Where the entries' files are; None: they have none.
    limits : Limits

    Attributes
    ----------
    unstored : set of str
        Entries that the disk refused, in memory only.
    refused : set of str
        Those that the disk refused last time, whether they are still in memory or not.
    headers : dict of str to mapping
        Headers of entries in memory, if entries expire.

    Examples
    --------
    >>> notes = EntryNotes(None, Limits(ttl=60))
    >>> notes.headers["a"] = {"created": "2026-01-01T00:00:00+00:00"}
    >>> notes.expired("a")
    True
    """

    def __init__(self, disk: EntryFolder | None, limits: Limits):
        self._disk, self._limits = disk, limits
        self.unstored: set[str] = set()
        self.refused: set[str] = set()
        self.headers: dict[str, Mapping[str, str]] = {}

    def stored(self, key: str, raw: bytes) -> None:
        """An entry is in memory and has a file, `raw` if its bytes are at hand."""
        self.unstored.discard(key)
        self.refused.discard(key)
        if self._limits.ttl is not None:
            self.headers[key] = header_of(raw) if raw or self._disk is None else self._disk.metadata_of(key)

    def forget(self, key: str) -> None:
        """An entry left the memory."""
        self.unstored.discard(key)
        self.headers.pop(key, None)

    def clear(self) -> None:
        """All left it."""
        self.unstored.clear()
        self.headers.clear()

    def expired(self, key: str) -> bool:
        """Whether an entry is too old to be used."""
        if self._limits.ttl is None:
            return False
        if self._disk is None:
            return self._limits.expired(self.headers.get(key, {}))
        known = self.headers.get(key)
        # another process may have computed it again
        return (known is None or self._limits.expired(known)) and self._limits.expired(self._disk.metadata_of(key))
