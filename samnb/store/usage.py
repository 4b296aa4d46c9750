"""`UsageFile`: the totals of a folder of entries, without listing it.

One file of 4096 bytes: for each first two digits of a key, the bytes and the number of its entries. A change is 16
bytes written in place under a kernel lock, so a process killed at any moment leaves a
complete number and no lock. Space that such a process had reserved and not used stays counted, so that the folder
never gets too full; counting a shard again corrects it. The file may be deleted at any time.
"""

from __future__ import annotations

import logging
import os
import struct
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..file_locks import open_own_file, open_to_read, try_lock, unlock

SHARDS = 256

_PAIR = struct.Struct("<qq")
_SIZE = SHARDS * _PAIR.size
_UNKNOWN = _PAIR.pack(-1, -1) * SHARDS
_log = logging.getLogger("samnb.cache")


class Usage(NamedTuple):
    """Entries and their bytes."""

    entries: int
    bytes: int


class UsageFile:
    """The totals of each shard of a folder, shared by all processes that use the folder.

    Parameters
    ----------
    path : Path
        The file; its folder is made with the first change.
    count : callable
        ``count(shard)`` lists one shard and returns its `Usage`; called for shards that were not counted yet.

    Examples
    --------
    >>> import tempfile
    >>> usage = UsageFile(Path(tempfile.mkdtemp()) / "usage", lambda shard: Usage(0, 0))
    >>> usage.reserve(0xab, 1000, limit=1500), usage.reserve(0xff, 1000, limit=1500), usage.total()
    (True, False, Usage(entries=1, bytes=1000))
    """

    def __init__(self, path: Path, count: Callable[[int], Usage]):
        self._path, self._count = str(path), count

    def total(self) -> Usage:
        """The totals of all shards; uncounted shards are counted now."""
        data = self._read()
        usage = _sum(data)
        if usage is not None:
            return usage
        if data is not None:
            try:
                self._count_unknown()
                usage = _sum(self._read())
            except OSError as error:
                _log.debug("%s: cannot be written: %s", self._path, error)
        return usage or _plus(*(self._count(shard) for shard in range(SHARDS)))

    def reserve(self, shard: int, size: int, *, limit: int, announce: Callable[[], object] = lambda: None) -> bool:
        """Count one more entry, unless all entries would then exceed `limit` bytes; True if counted.

        `announce` is called just before, under the lock: it creates the temporary file that a listing counts.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        self._prepare()
        with self._locked() as file:
            data = _all(file)
            if (used := _sum(data)) is not None:
                return _reserved(file, data, used, shard, size, limit, announce)
        self._count_unknown()
        with self._locked() as file:
            data = _all(file)
            return _reserved(file, data, _sum(data) or Usage(0, 0), shard, size, limit, announce)

    def change(self, shard: int, entries: int, size: int) -> None:
        """Add to the numbers of entries and bytes, or subtract; a folder without write access keeps no counts."""
        try:
            with self._locked() as file:
                _change(file, _all(file), shard, entries, size)
        except OSError as error:
            _log.debug("%s: not counted: %s", self._path, error)

    def correct(self, shard: int, counted: Usage, before: Usage | None) -> None:
        """Save the counted totals of a shard, plus changes by others since it was `before`."""
        with self._locked() as file:
            now = _one(_all(file), shard)
            meanwhile = Usage(0, 0) if now is None or before is None else _minus(now, before)
            _note(file, shard, _plus(counted, meanwhile))

    def of(self, shard: int) -> Usage | None:
        """The saved totals of one shard; None if it was not counted."""
        try:
            with self._locked() as file:
                return _one(_all(file), shard)
        except OSError:
            return _one(self._read(), shard)

    def _count_unknown(self) -> None:
        for shard in range(SHARDS):
            with self._locked() as file:
                if _one(_all(file), shard) is None:
                    # under the lock: reservations of other processes must not be lost
                    usage = self._count(shard)
                    _note(file, shard, usage)

    def _read(self) -> bytes | None:
        try:
            with open(open_to_read(self._path), "rb", buffering=0) as file:
                data = file.read(_SIZE + 1)
        except OSError:
            return None
        return data if len(data) == _SIZE else _UNKNOWN

    def _prepare(self) -> None:
        if not os.path.exists(self._path):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with self._locked(create=True):
                pass

    @contextmanager
    def _locked(self, *, create: bool = False) -> Iterator[int]:
        file = open_own_file(self._path, create=create)
        try:
            # Where there are no locks, two changes at once may lose one, until the next count.
            try_lock(file, wait=True)
            if os.fstat(file).st_size != _SIZE:
                os.ftruncate(file, 0)
                os.write(file, _UNKNOWN)
            yield file
        finally:
            unlock(file)
            os.close(file)


def _reserved(
    file: int, data: bytes, used: Usage, shard: int, size: int, limit: int, announce: Callable[[], object]
) -> bool:
    if used.bytes + size > limit:
        return False
    announce()
    _change(file, data, shard, 1, size)
    return True


def _change(file: int, data: bytes, shard: int, entries: int, size: int) -> None:
    if (noted := _one(data, shard)) is not None:
        _note(file, shard, Usage(max(0, noted.entries + entries), max(0, noted.bytes + size)))


def _note(file: int, shard: int, usage: Usage) -> None:
    os.lseek(file, shard * _PAIR.size, os.SEEK_SET)
    os.write(file, _PAIR.pack(usage.bytes, usage.entries))


def _all(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    return os.read(file, _SIZE)


def _one(data: bytes | None, shard: int) -> Usage | None:
    if data is None or len(data) != _SIZE:
        return None
    size, entries = _PAIR.unpack_from(data, shard * _PAIR.size)
    return Usage(entries, size) if entries >= 0 and size >= 0 else None


def _sum(data: bytes | None) -> Usage | None:
    if data is None or len(data) != _SIZE:
        return None
    numbers = array("q", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return None if min(numbers) < 0 else Usage(sum(numbers[1::2]), sum(numbers[0::2]))


def _plus(*usages: Usage) -> Usage:
    return Usage(sum(usage.entries for usage in usages), sum(usage.bytes for usage in usages))


def _minus(one: Usage, other: Usage) -> Usage:
    return Usage(one.entries - other.entries, one.bytes - other.bytes)
