"""`LargeImages`: images above a size, open to be read in parts, with their overviews and the hashes of their tiles."""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from pathlib import Path
from threading import Lock, RLock

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image

from .. import images as picture_files
from ..atomic_files import write_atomic
from ..errors import ImageChanged, ImageError
from ..images import open_picture, pixel_hash
from ..images.large import ArraySource, LargePicture, holds_pixels, open_large
from ..images.lazy import is_lazy, open_source
from ..images.lazy.view_files import is_view_name
from ..images.pixel_cache import read_checked
from ..records import ImageRecord, NewImage
from ..remote_files import is_address
from ..settings import setting
from .regions import Region
from .tiles import TileGrid

TILED_ABOVE = 100_000_000
"""Pixels; images with more are encoded tile by tile, unless ``SAMNB_TILED_ABOVE`` says otherwise."""

_OPEN, _HASHES, _PIXELS = 4, 100_000, 12
_log = logging.getLogger("samnb.encoding")


class LargeImages:
    """The large images of a session. For any thread.

    Parameters
    ----------
    overviews : Path, optional
        Folder of the overviews, which are made when an image is added. None: they are made when they are needed.
    """

    def __init__(self, overviews: Path | None = None):
        self.overviews = overviews
        self.above: int = setting("SAMNB_TILED_ABOVE") or TILED_ABOVE
        self._open: LRUCache[str, LargePicture] = LRUCache(_OPEN)
        self._hashes: LRUCache[tuple[str, Region], str] = LRUCache(_HASHES)
        self._read: LRUCache[tuple[str, Region], NDArray[np.uint8]] = LRUCache(_PIXELS)
        self._lock, self._opening = Lock(), RLock()

    def has(self, image: ImageRecord | NewImage) -> bool:
        """Whether an image is a grid of tiles."""
        return image.size_hw[0] * image.size_hw[1] > self.above

    def grid(self, image: ImageRecord) -> TileGrid:
        """The tiles of an image."""
        return TileGrid(image.size_hw)

    def open(self, image: ImageRecord) -> LargePicture:
        """The picture of an image; the last few stay open. Raises `ImageError`."""
        with self._opening:
            picture = self._open.get(image.pixel_hash)
            if picture is None:
                picture = _opened(image)
                try:
                    if picture.size_hw != image.size_hw:
                        raise ImageChanged(image.path, image.dataset)
                    picture.overview = self._overview(image, picture) if picture.needs_overview else None
                except BaseException:
                    picture.close()
                    raise
                self._open[image.pixel_hash] = picture
            return picture

    def known_hash(self, image: ImageRecord, region: Region) -> str | None:
        """The pixel hash of a region that was read before, by this process."""
        with self._lock:
            return self._hashes.get((image.pixel_hash, region))

    def read(self, image: ImageRecord, region: Region) -> tuple[NDArray[np.uint8], str]:
        """The pixels of a region at its level, and their pixel hash; the last few are kept.

        Raises
        ------
        ImageChanged
            The region holds other pixels than when it was read before.
        ImageError
            The file is gone or damaged.
        """
        with self._lock:
            kept = self._read.get((image.pixel_hash, region))
            if kept is not None:
                return kept, self._hashes[image.pixel_hash, region]
        pixels = self.open(image).read(region, self.grid(image).level(region))
        pixels.setflags(write=False)
        found, known = pixel_hash(pixels), self.known_hash(image, region)
        if known not in (None, found):
            self.forget(image)
            raise ImageChanged(image.path, image.dataset)
        with self._lock:
            self._hashes[image.pixel_hash, region] = found
            self._read[image.pixel_hash, region] = pixels
        return pixels, found

    def forget(self, image: ImageRecord) -> None:
        """Forget what is known of an image; its file is closed once nobody reads it any more."""
        with self._opening:
            self._open.pop(image.pixel_hash, None)
        with self._lock:
            for notes in (self._hashes, self._read):
                for key in [key for key in notes if key[0] == image.pixel_hash]:
                    del notes[key]

    def save_overview(self, of: str, overview: NDArray[np.uint8]) -> None:
        """Keep the overview of a picture by its pixel hash; a full disk is only logged: it is made again."""
        if self.overviews is None:
            return
        buffer = io.BytesIO()
        Image.fromarray(overview).save(buffer, "JPEG", quality=90)
        try:
            self.overviews.mkdir(parents=True, exist_ok=True)
            write_atomic(self._file(of), buffer.getvalue())
        except OSError as error:
            _log.warning("the overview of a picture was not saved: %s", error)

    def close(self) -> None:
        """Close all files."""
        with self._opening:
            while self._open:
                self._open.popitem()[1].close()

    def _overview(self, image: ImageRecord, picture: LargePicture) -> NDArray[np.uint8]:
        height, width = picture.size_hw
        kept, step = self._kept_overview(image.pixel_hash), 1 << picture.overview_level
        if kept is not None and kept.shape[:2] == (-(-height // step), -(-width // step)):
            return kept
        overview = picture.read((0, 0, width, height), picture.overview_level)
        self.save_overview(image.pixel_hash, overview)
        # As it is kept: embeddings of the whole are found by these pixels.
        kept = self._kept_overview(image.pixel_hash)
        return overview if kept is None else kept

    def _kept_overview(self, of: str) -> NDArray[np.uint8] | None:
        if self.overviews is not None:
            # A damaged one is made again.
            with suppress(OSError, ImageError), open_picture(self._file(of), only=("JPEG",)) as kept:
                return np.array(kept.convert("RGB"))
        return None

    def _file(self, of: str) -> Path:
        assert self.overviews is not None
        return self.overviews / f"{of}.jpg"


def _opened(image: ImageRecord) -> LargePicture:
    too_large = image.size_hw[0] * image.size_hw[1] > picture_files.MAX_PIXELS
    if is_view_name(image.path) or (is_lazy(image.path) and (too_large or _holds_pixels(image))):
        return open_large(image.path)
    if not is_address(image.path) and not Path(image.path).exists():
        raise ImageError(f"{image.path}: the file is gone. session.relocate(folder) finds moved files.")
    # Its pixels were made from all its values.
    return LargePicture(ArraySource(read_checked(image.path, image.pixel_hash, image.dataset)))


def _holds_pixels(image: ImageRecord) -> bool:
    with suppress(ImageError), open_source(image.path) as source:
        return holds_pixels(source.description)
    return False  # reading the whole says what is wrong
