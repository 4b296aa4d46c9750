"""`LargePicture`: a picture of any size as RGB pixels, read in parts, at full resolution or at a level of a pyramid.

Level n has one pixel for 2**n x 2**n of the picture. Levels that the file lacks are averaged from what it has, band by
band, so that a view of a large area takes no more memory than its pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from weakref import finalize

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import AnyPath
from .hashing import PixelHasher
from .lazy import PictureSource, PixelMapping, Region, SourceDescription, View, open_source
from .lazy.mapping import on_white
from .lazy.view_files import read_view

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]

_BAND_VALUES = 24_000_000  # bytes of full resolution that are averaged at once


class Hasher(Protocol):
    """A hash of rows that come one band after the other."""

    def update(self, rows: NDArray[Any]) -> None:
        """The next rows."""

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""


class RgbSource(Protocol):
    """RGB pixels of a picture, in parts. For any thread."""

    levels: tuple[int, ...]
    """Which pyramid levels it has: (0,), or (0, 2, 4) …"""

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W) of level 0."""

    def read(self, level: int, box: Box) -> Pixels:
        """(h, w, 3) of a box (x0, y0, x1, y1) in pixels of that level."""

    def hashed_rows(self, top: int, bottom: int) -> tuple[Pixels, NDArray[Any]]:
        """Rows of level 0: their pixels, and the values that the pixel hash is made of."""

    def hasher(self) -> Hasher:
        """Makes the pixel hash of the whole from the values of `hashed_rows`."""

    def close(self) -> None:
        """Close the file."""


class LargePicture:
    """Reads any box of a picture, at any level. Its file is closed with it, at the latest when nobody uses it any more.

    Parameters
    ----------
    source : RgbSource
    overview : (h, w, 3) uint8, optional
        The whole picture at `overview_level`, for views that would read all of it otherwise.

    Examples
    --------
    >>> from samnb.images.large import ArraySource, LargePicture
    >>> pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    >>> picture = LargePicture(ArraySource(pixels))
    >>> picture.read((4, 4, 12, 8)).shape, picture.read((0, 0, 16, 16), level=2).shape
    ((4, 8, 3), (4, 4, 3))
    """

    def __init__(self, source: RgbSource, overview: Pixels | None = None):
        self._source, self.overview = source, overview
        # Closing it while another thread reads would take the file away from that thread.
        self._closing = finalize(self, source.close)
        self.overview_level = overview_level(source.size_hw)

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W)."""
        return self._source.size_hw

    def cost(self, box: tuple[float, float, float, float], level: int) -> float:
        """The number of pixels that are read for a box of image pixels at a level."""
        share = 4.0 ** -self._nearest(level)
        return 0.0 if self._has_overview(level) else (box[2] - box[0]) * (box[3] - box[1]) * share

    def read(self, box: Box, level: int = 0) -> Pixels:
        """(ceil(h / 2**level), ceil(w / 2**level), 3) uint8 of a box (x0, y0, x1, y1) inside the picture.

        Raises
        ------
        ImageError
            The file is gone or damaged.
        """
        if self._has_overview(level):
            assert self.overview is not None
            return averaged(_cut(self.overview, box, self.overview_level), level - self.overview_level)
        have = self._nearest(level)
        return np.concatenate(list(self._bands(box, level, have)))

    def rows(self, height: int) -> Iterator[tuple[Pixels, NDArray[Any]]]:
        """The whole picture from top to bottom, in bands of `height` rows, the last one may be lower: pixels, and the
        values for `hasher`.
        """
        full_height = self.size_hw[0]
        for top in range(0, full_height, height):
            yield self._source.hashed_rows(top, min(top + height, full_height))

    def hasher(self) -> Hasher:
        """Makes the pixel hash from the values of `rows`."""
        return self._source.hasher()

    @property
    def shown_as(self) -> str:
        """How values that are no pixels became pixels, in words; "" for others."""
        mapping = getattr(self._source, "mapping", None)
        return "" if mapping is None else str(mapping)

    def close(self) -> None:
        """Close the file."""
        self._closing()

    @property
    def needs_overview(self) -> bool:
        """True if the file has no level that is as small as an overview."""
        return self._nearest(self.overview_level) < self.overview_level

    def _has_overview(self, level: int) -> bool:
        return self.overview is not None and level >= self.overview_level > self._nearest(level)

    def _nearest(self, level: int) -> int:
        return max(one for one in self._source.levels if one <= level)

    def _bands(self, box: Box, level: int, have: int) -> Iterator[Pixels]:
        """The box at `level`, in bands, each averaged from the file's level `have`."""
        x0, y0, x1, y1 = box
        step = 1 << level
        rows = max(1, _BAND_VALUES * 4**have // (3 * step * max(1, x1 - x0)))
        for top in range(y0, y1, rows * step):
            band = (x0, top, x1, min(top + rows * step, y1))
            yield averaged(self._source.read(have, _at_level(band, have, self.size_hw)), level - have)


class ArraySource:
    """A picture that was read whole."""

    levels: tuple[int, ...] = (0,)

    def __init__(self, pixels: Pixels):
        self._pixels = pixels

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W)."""
        return (self._pixels.shape[0], self._pixels.shape[1])

    def read(self, level: int, box: Box) -> Pixels:
        """See `RgbSource`."""
        return self._pixels[box[1] : box[3], box[0] : box[2]]

    def hashed_rows(self, top: int, bottom: int) -> tuple[Pixels, NDArray[Any]]:
        """See `RgbSource`."""
        return self._pixels[top:bottom], self._pixels[top:bottom]

    def hasher(self) -> Hasher:
        """See `RgbSource`."""
        return PixelHasher(self.size_hw)

    def close(self) -> None:
        """Nothing to close."""


class FileSource:
    """A file that is read lazily.

    Parameters
    ----------
    source : PictureSource
    mapping : PixelMapping, optional
        How its values are shown. None: as they are, 8 bits of grey or colour; alpha is blended with white.
    at : mapping of str to int, optional
        The place in a stack.
    """

    def __init__(self, source: PictureSource, mapping: PixelMapping | None = None, at: Mapping[str, int] | None = None):
        self._source, about = source, source.description
        self.mapping, self._at = mapping, at
        self._number = {
            round(math.log2(one.scale)): number
            for number, one in reversed(list(enumerate(about.levels)))
            if abs(math.log2(one.scale) - round(math.log2(one.scale))) < 0.01
        }
        self.levels: tuple[int, ...] = tuple(sorted(self._number))

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W)."""
        return self._source.description.size_hw

    def read(self, level: int, box: Box) -> Pixels:
        """See `RgbSource`."""
        values = self._values(level, box)
        return values if self.mapping is None else self.mapping.pixels(values)

    def hashed_rows(self, top: int, bottom: int) -> tuple[Pixels, NDArray[Any]]:
        """See `RgbSource`."""
        values = self._values(0, (0, top, self.size_hw[1], bottom))
        return (values if self.mapping is None else self.mapping.pixels(values)), values

    def hasher(self) -> Hasher:
        """See `RgbSource`."""
        if self.mapping is None:
            return PixelHasher(self.size_hw)
        shape = (*self.size_hw, len(self.mapping.channels))
        return self.mapping.hasher(np.dtype(self._source.description.dtype), shape)

    def _values(self, level: int, box: Box) -> NDArray[Any]:
        """(h, w, C) of a box: what the mapping takes; without one, RGB pixels."""
        about, number = self._source.description, self._number[level]
        height, width = about.levels[number].size_hw
        x0, y0, x1, y1 = box
        right, bottom = min(x1, width), min(y1, height)
        left, top = min(x0, right - 1), min(y0, bottom - 1)
        region = Region(top, left, bottom - top, right - left)
        if self.mapping is None:
            values: NDArray[Any] = _shown(self._source.read(level=number, at=self._at, region=region), about)
        else:
            values = self._source.read(level=number, at=self._at, channels=self.mapping.indices, region=region)
        # A level of the file may be a pixel smaller than its share of the picture.
        missing = ((y1 - y0) - values.shape[0], (x1 - x0) - values.shape[1])
        return np.pad(values, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else values

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def open_large(path: AnyPath) -> LargePicture:
    """A file, or a view of one, that is read in parts. Raises `ImageError`.

    Values that are no pixels, such as those of 16 bits, are shown as `samnb.images.lazy.View` does by itself.
    """
    view = read_view(path)
    if view is not None:
        return LargePicture(FileSource(view.open(path), view.mapping, dict(view.at)))
    source = open_source(path)
    try:
        mapping = None if holds_pixels(source.description) else View().mapping(source)
        return LargePicture(FileSource(source, mapping))
    except BaseException:
        source.close()
        raise


def holds_pixels(about: SourceDescription) -> bool:
    """True for a file whose values are 8 bits of grey or colour, to be shown as they are."""
    return about.dtype == "uint8" and (about.colour == "rgb" or len(about.channels) == 1)


def overview_level(size_hw: tuple[int, int], longest: int = 4096) -> int:
    """The lowest level at which the longer side has at most `longest` pixels.

    >>> overview_level((40_000, 30_000)), overview_level((3000, 4000))
    (4, 0)
    """
    level = 0
    while max(size_hw) > longest << level:
        level += 1
    return level


def _shown(values: NDArray[np.uint8], about: SourceDescription) -> Pixels:
    if about.bits in (1, 2, 4):  # several of them in a byte of the file; the highest one is 255
        highest = (1 << about.bits) - 1
        values = np.minimum(values, np.uint8(highest)) * np.uint8(255 // highest)
    if about.colour != "rgb":
        grey = 255 - values if about.colour == "white is zero" else values
        return np.broadcast_to(grey, (*grey.shape[:2], 3)).copy()
    if not about.has_alpha:
        return np.ascontiguousarray(values[..., :3])
    return on_white(values[..., :3], values[..., 3:4], premultiplied=about.premultiplied)


def _at_level(box: Box, level: int, size_hw: tuple[int, int]) -> Box:
    step, (height, width) = 1 << level, size_hw
    x0, y0, x1, y1 = box
    return (x0 // step, y0 // step, -(-min(x1, width) // step), -(-min(y1, height) // step))


def _cut(overview: Pixels, box: Box, level: int) -> Pixels:
    step = 1 << level
    x0, y0, x1, y1 = box
    return overview[y0 // step : -(-y1 // step), x0 // step : -(-x1 // step)]


def averaged(pixels: Pixels, levels: int) -> Pixels:
    """Means of squares of 2**levels pixels; those at the right and lower border may be smaller."""
    height, width = pixels.shape[:2]
    levels = min(levels, max(height, width).bit_length())  # the square that holds all of them
    if not levels:
        return pixels
    step = 1 << levels
    down, across = -(-height // step) * step - height, -(-width // step) * step - width
    if down or across:
        pixels = np.pad(pixels, ((0, down), (0, across), (0, 0)), mode="edge")
    size = (pixels.shape[1] // step, pixels.shape[0] // step)
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA), np.uint8)
