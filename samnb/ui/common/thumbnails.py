"""Thumbnails: of masks, and of images read from disk by a background thread. No widgets."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ...at_exit import stop_at_exit
from ...errors import ImageError
from ...images import encode_png, open_picture, read_pixels, thumbnail

if TYPE_CHECKING:
    from ...records import ImageRecord
    from ..session_protocol import WidgetSession

_log = logging.getLogger("samnb.widgets")

# (width, height) of a cell of the filmstrip, twice its CSS pixels: sharp on a HiDPI screen.
CELL = (176, 120)
_KEPT = 2000

BLANK = encode_png(np.zeros((60, 88, 4), np.uint8))
"""A transparent picture, for an empty place."""


def mask_thumbnail(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_], color: str, size: tuple[int, int] = CELL
) -> bytes:
    """PNG of a mask on its part of (H, W, 3) pixels, with some surroundings, so that missing parts are visible.

    Examples
    --------
    >>> len(mask_thumbnail(np.zeros((80, 90, 3), np.uint8), np.ones((80, 90), bool), "#1e88e5")) > 100
    True
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    if not len(rows):
        return BLANK
    x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    margin = max(4, round(0.25 * max(x1 - x0, y1 - y0)))
    x0, y0, x1, y1 = max(x0 - margin, 0), max(y0 - margin, 0), min(x1 + margin, width), min(y1 + margin, height)
    # Every n-th pixel is enough for a picture this small, and a whole 100-megapixel mask would take a second.
    step = max(1, min((x1 - x0) // size[0], (y1 - y0) // size[1]))
    inside = mask[y0:y1:step, x0:x1:step]
    shown = pixels[y0:y1:step, x0:x1:step].astype(np.float32)
    tint = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
    shown[inside] = 0.45 * shown[inside] + 0.55 * tint
    shown[~inside] *= 0.55
    small = ImageOps.contain(Image.fromarray(shown.astype(np.uint8)), size)
    cell = Image.new("RGBA", size)
    cell.paste(small, ((size[0] - small.width) // 2, (size[1] - small.height) // 2))
    return encode_png(np.asarray(cell))


def read_thumbnail(path: str, size: tuple[int, int] = CELL) -> bytes:
    """JPEG of a picture file, at most `size`; a large JPEG is decoded at a fraction of its size.

    Raises
    ------
    ImageError
        It cannot be read.
    """
    small = _drafted(path, size)
    if small is None:
        small = Image.fromarray(thumbnail(read_pixels(path), max(size)))
    buffer = io.BytesIO()
    ImageOps.contain(small, size).save(buffer, "JPEG", quality=78)
    return buffer.getvalue()


def thumbnail_of(session: WidgetSession, image: ImageRecord, size: tuple[int, int] = CELL) -> bytes:
    """`read_thumbnail` of an image; of a large one from its overview."""
    if not image.width or session.large_picture(image) is None:
        return read_thumbnail(image.path, size)
    buffer = io.BytesIO()
    small = Image.fromarray(session.thumbnail(image, 2 * max(size)))
    ImageOps.contain(small, size).save(buffer, "JPEG", quality=78)
    return buffer.getvalue()


def _drafted(path: str, size: tuple[int, int]) -> Image.Image | None:
    """A JPEG read the fast way; None for other formats, which are read like any image."""
    try:
        with open_picture(path) as picture:
            if picture.format != "JPEG" or picture.mode not in ("RGB", "L"):
                return None
            picture.draft("RGB", (2 * size[0], 2 * size[1]))
            return ImageOps.exif_transpose(picture).convert("RGB")
    except ImageError as error:
        _log.debug("%s is read in full: %s", path, error)
        return None


class Thumbnails:
    """Reads the requested thumbnails; earlier requests that have not started are dropped.

    Parameters
    ----------
    on_ready : callable
        Called when some are ready; on the event loop's thread if there was one at the start.
    read : callable
        Returns the bytes for an image record; an error leaves the image without a picture, see `failed`.
    """

    def __init__(self, on_ready: Callable[[], None], read: Callable[[Any], bytes] | None = None):
        self._on_ready = on_ready
        self.read = read or (lambda image: read_thumbnail(image.path))
        self._changed = threading.Condition()
        self._wanted: list[Any] = []
        self._kept: LRUCache[str, bytes] = LRUCache(_KEPT)
        self._failed: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._notified = False
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        stop_at_exit(self)

    def of(self, image: Any) -> bytes | None:
        """Its bytes, if they are ready."""
        with self._changed:
            return self._kept.get(image.id)

    def why(self, image: Any) -> str:
        """Why it could not be read; "" if it was not tried or succeeded."""
        with self._changed:
            return self._failed.get(image.id, "")

    def want(self, images: Iterable[Any]) -> None:
        """Read these, in this order, instead of earlier requests; returns at once."""
        with self._changed:
            self._wanted = [i for i in images if i.id not in self._kept and i.id not in self._failed]
            if self._wanted and self._thread is None:
                thread = threading.Thread(target=self._run, name="samnb thumbnails", daemon=True)
                thread.start()
                self._thread = thread

    def wait(self, timeout: float = 30.0) -> None:
        """Block until all are there; for scripts and tests. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._thread is None, timeout):
                raise TimeoutError(f"Still reading thumbnails after {timeout:g} s.")

    def close(self) -> None:
        """Read no more."""
        with self._changed:
            self._wanted = []
            self._on_ready = lambda: None

    def _stop(self) -> None:
        self.close()

    def _wait_for_end(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._wanted:
                    self._thread = None
                    self._changed.notify_all()
                    break
                image = self._wanted.pop(0)
            self._keep(image)
            self._notify()

    def _keep(self, image: Any) -> None:
        try:
            value = self.read(image)
        except Exception as error:
            # Its cell shows a failure badge; opening the image shows the whole message.
            _log.info("no thumbnail of %s: %s", image.filename, error)
            with self._changed:
                self._failed[image.id] = str(error) or type(error).__name__
            return
        with self._changed:
            self._kept[image.id] = value

    def _notify(self) -> None:
        if self._loop is None:
            self._on_ready()
            return
        with self._changed:
            if self._notified:
                return
            self._notified = True
        try:
            self._loop.call_soon_threadsafe(self._flush)
        except RuntimeError:
            _log.debug("event loop closed before a thumbnail was there")

    def _flush(self) -> None:
        with self._changed:
            self._notified = False
        self._on_ready()
