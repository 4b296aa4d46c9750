"""`Limits`: the budget of a folder of entries on its disk, and the lifetime of an entry."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

from ..errors import StoreError
from .header import created_at

DEFAULT_SHARE, DEFAULT_MOST = 0.2, 50 * 10**9
DEFAULT_FREE_SHARE, DEFAULT_FREE = 0.05, 2 * 10**9


def is_number(value: object) -> bool:
    """Whether a value is a number, also one of numpy; True and False are none.

    >>> is_number(1.5), is_number(True), is_number("1")
    (True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Limits:
    """The limits of a folder of entries.

    Parameters
    ----------
    disk_bytes : int or None
        Of all entries. None: a fifth of the free space plus what they already take, at most 50 GB.
    min_free_bytes : int or None
        Bytes left free for others on that disk. None: 2 GB, or 5 % of a small disk.
    ttl : float or None
        Seconds after its computation in which an entry is used. None: for ever, since its content never expires.

    Examples
    --------
    >>> Limits(disk_bytes=0)
    Traceback (most recent call last):
    ...
    samnb.errors.StoreError: disk_bytes: expected more than 0, or None for the default; got 0.
    """

    disk_bytes: int | None = None
    min_free_bytes: int | None = None
    ttl: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("disk_bytes", 1), ("min_free_bytes", 0), ("ttl", 0.001)):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and value >= least):
                needed = "0 or more" if least == 0 else "more than 0"
                raise StoreError(f"{name}: expected {needed}, or None for the default; got {value!r}.")

    def budget(self, folder: Path, used: int) -> int:
        """Bytes that all entries of this folder may take, when they take `used` now."""
        if self.disk_bytes is not None:
            return self.disk_bytes
        return min(DEFAULT_MOST, int(DEFAULT_SHARE * (space(folder).free + used)))

    def to_leave_free(self, folder: Path) -> int:
        """Bytes that must stay free on the disk of this folder."""
        if self.min_free_bytes is not None:
            return self.min_free_bytes
        return min(DEFAULT_FREE, int(DEFAULT_FREE_SHARE * space(folder).total))

    def expired(self, header: Mapping[str, str]) -> bool:
        """Whether an entry with this header has expired."""
        if self.ttl is None:
            return False
        created = created_at(header)
        return created is not None and time.time() - created > self.ttl


def space(folder: Path) -> shutil._ntuple_diskusage:
    """Disk usage of the disk of a folder, which need not exist yet."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return shutil.disk_usage(os.getcwd())
