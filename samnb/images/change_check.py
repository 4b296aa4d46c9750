"""`ChangeCheck`: whether an image's file is still what was added, before anything kept of it is used."""

from __future__ import annotations

from threading import Lock

from cachetools import LRUCache, TTLCache

from .. import images as picture_files
from ..errors import ImageChanged, ImageError
from ..records import ImageRecord
from ..remote_files import is_address
from .files import Status, status_of
from .hashing import content_hash
from .lazy.view_files import is_view_name, source_stamp
from .pixel_cache import read_checked

_KEPT = 10_000
_ASKED_EVERY = 60.0
"""Seconds in which a store is asked once about an object: a click must not wait for it each time."""
_PATIENCE = 1.0
_INODES = 2**63  # as catalogs store them


class ChangeCheck:
    """Compares files with the catalog: by size, time and inode first, and by content only if these differ.

    A file with other values and the same content is read once; a store is asked about an object once a minute. For any
    thread.
    """

    def __init__(self) -> None:
        self._same: LRUCache[tuple[str, str], tuple[int, int, int]] = LRUCache(_KEPT)
        self._asked: TTLCache[str, Status | None] = TTLCache(_KEPT, _ASKED_EVERY)
        self._lock = Lock()

    def check(self, image: ImageRecord) -> None:
        """Return if the file has the pixels it was added with, or is not there: what is kept then serves for it.

        Raises
        ------
        ImageError
            The file holds other pixels now (`ImageChanged`), or cannot be read.
        """
        found = self._status(image.path)
        if found is None:
            return
        stamp = (found.st_size, found.st_mtime_ns, found.st_ino % _INODES)
        if stamp == (image.size_bytes, image.mtime_ns, image.inode % _INODES):
            return
        key = (image.path, image.pixel_hash)
        with self._lock:
            if self._same.get(key) == stamp:
                return
        if is_view_name(image.path) or content_hash(image.path) != image.content_hash:
            if image.width * image.height > picture_files.MAX_PIXELS:
                raise ImageChanged(image.path, image.dataset)  # not read whole to see whether its pixels are the same
            read_checked(image.path, image.pixel_hash, image.dataset)
        with self._lock:
            self._same[key] = stamp

    def _status(self, path: str) -> Status | None:
        """The status of a file; None for a disk that is not connected: annotating goes on with what was encoded."""
        with self._lock:
            if path in self._asked:
                return self._asked[path]
        try:
            found = source_stamp(path) or status_of(path, patience=_PATIENCE)
        except (OSError, ImageError):
            found = None
        if is_address(path):
            with self._lock:
                self._asked[path] = found
        return found
