"""`FileStatus`: what `os.stat` tells of a file, for what is no file: a folder of slices, an object at an address."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from threading import Lock
from typing import NamedTuple

from cachetools import TTLCache, cached

from ..errors import AnyPath

_LOOK_EVERY = 1.0
"""Seconds in which a folder is looked at once: a thousand slices of it are asked about one after the other."""


class FileStatus(NamedTuple):
    """The fields of `os.stat` by which a picture counts as unchanged; each kind of picture fills them its own way."""

    st_size: int
    st_mtime_ns: int
    st_ino: int
    st_dev: int
    st_ctime_ns: int = 0


Status = os.stat_result | FileStatus


def folder_status(folder: AnyPath) -> FileStatus:
    """Of the files in a folder, whose own status stays when one is overwritten; not of those in folders below.

    `st_mtime_ns` is no time, but a number made of the folder's time and of name, size, time and inode of all files. It
    is as it was a second ago at most. Raises `OSError`.
    """
    return _folder_status(os.path.abspath(folder))


@cached(TTLCache(1000, _LOOK_EVERY, timer=lambda: time.monotonic()), lock=Lock())
def _folder_status(folder: str) -> FileStatus:
    own, size, digest = os.stat(folder), 0, hashlib.sha256()
    digest.update(b"%d" % own.st_mtime_ns)
    with os.scandir(folder) as entries:
        names = sorted(one.name for one in entries)
    for name in names:
        try:
            found = os.stat(os.path.join(folder, name))
        except OSError:
            continue  # a link to nothing, or a file that was taken away just now
        if stat.S_ISREG(found.st_mode):
            size += found.st_size
            digest.update(f"{name!a} {found.st_size} {found.st_mtime_ns} {found.st_ino}\n".encode("ascii"))
    return FileStatus(size, int.from_bytes(digest.digest()[:8], "big") >> 1, own.st_ino, own.st_dev)
