"""Pixels of the catalog's images: `read_checked` reads and checks them, `PixelCache` keeps the last few."""

from __future__ import annotations

from threading import Lock

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from ..errors import AnyPath
from ..records import ImageRecord
from .reading import read_known


class PixelCache:
    """Pixels of the images that were read last, read-only; each file is checked when it is read. For any thread.

    Parameters
    ----------
    size : int
        Images to keep.
    """

    def __init__(self, size: int = 4):
        self._pixels: LRUCache[str, NDArray[np.uint8]] = LRUCache(size)
        self._lock = Lock()

    def of(self, image: ImageRecord) -> NDArray[np.uint8]:
        """(H, W, 3) uint8; raises as `read_checked` does."""
        with self._lock:
            pixels = self._pixels.get(image.pixel_hash)
        if pixels is None:
            pixels = read_checked(image.path, image.pixel_hash, image.dataset)
            # Shared by all callers: none may draw into it.
            pixels.setflags(write=False)
            with self._lock:
                self._pixels[image.pixel_hash] = pixels
        return pixels


def read_checked(path: AnyPath, expected_hash: str, dataset: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 pixels of a file that has not changed since it was added.

    Raises
    ------
    ImageError
        The file cannot be read, or holds other pixels now (`ImageChanged`).
    """
    return np.array(read_known(path, expected_hash, dataset))
