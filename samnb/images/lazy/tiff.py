"""`TiffSource`: TIFF, BigTIFF, OME-TIFF and ImageJ files through tifffile, tile by tile."""

from __future__ import annotations

import io
import logging
from functools import cached_property
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...errors import ImageUnreadable
from ..depth import turned
from ..files import MAX_TILE_BYTES, most_bytes
from .description import MOST_PLANES, Level, SourceDescription, StackAxis, check_channels
from .source import BaseSource, Region, native
from .tiff_metadata import channels_of, ome_planes, pixel_size_of, significant_bits
from .tiff_pages import check_pages

# Of a damaged file samnb gives the reason once; without a handler, tifffile's own lines would be printed beside it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_GREY, _RGB, _PALETTE, _YCBCR = (0, 1, 4), 2, 3, 6
_JPEG = (6, 7, 34892, 33007)
_REFUSED = {
    5: "inks (CMYK)",
    8: "CIELab colours",
    9: "ICCLab colours",
    10: "ITULab colours",
    32803: "the mosaic of a camera's sensor (CFA)",
    32844: "LogL values",
    32845: "LogLuv colours",
    34892: "a camera's raw values",
}
_IN_PLANE = ("y", "x")
_AXES = {"T": "t", "Z": "z", "C": "c", "S": "c"}


class TiffSource(BaseSource):
    """The first series of a TIFF file; see `samnb.images.lazy.PictureSource`."""

    def __init__(self, file: str | io.BytesIO, name: str):
        # Pages in other files, which an OME-TIFF may name, are refused when they are read.
        self._file = tifffile.TiffFile(file, _multifile=False)
        # Threads share the source; without this tifffile's lock does nothing, and one reads where another seeks.
        self._file.filehandle.set_lock(True)
        self._name = name
        try:
            planes = ome_planes(self._file)
            if planes > MOST_PLANES:  # tifffile makes a list of them, whatever the file holds
                what = f"OME-XML of {planes:,} planes, more than the limit of {MOST_PLANES:,}"
                raise ImageUnreadable(name, f"{what}: split it into files")
            check_pages(self._file, name)
            self._series = self._file.series[0]
            self._page: tifffile.TiffPage = self._series.keyframe
            self._check()
            self.description = self._describe()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # -- what is in the file

    def _check(self) -> None:
        page = self._page
        if page.photometric in _REFUSED:
            raise ImageUnreadable(self._name, f"a TIFF of {_REFUSED[page.photometric]}, which no channel shows")
        if page.photometric not in (*_GREY, _RGB, _PALETTE, _YCBCR):
            raise ImageUnreadable(self._name, f"a TIFF of photometric interpretation {int(page.photometric)}")
        if page.photometric == _YCBCR and page.compression not in _JPEG:
            raise ImageUnreadable(self._name, "a TIFF of YCbCr colours without JPEG, which no channel shows")
        if page.dtype is None:
            raise ImageUnreadable(
                self._name, f"a TIFF of {page.bitspersample} bits and sample format {page.sampleformat}"
            )
        if page.dtype.kind not in "buif":
            raise ImageUnreadable(self._name, f"a TIFF of {page.dtype} (complex numbers), which are no brightness")
        if self._series.transform is not None:
            raise ImageUnreadable(self._name, f"a TIFF of kind {self._series.kind!r}, whose values need a conversion")
        for series in self._series.levels:
            self._check_segments(series.keyframe)

    def _check_segments(self, frame: Any) -> None:
        """A tile or strip is decoded whole, with all its samples: a few bytes may say that it takes gigabytes."""
        _, _, height, width, samples = frame.shaped
        if frame.is_tiled:
            pixels = frame.tilelength * frame.tilewidth * max(1, frame.tiledepth)
        else:
            pixels = 0 if _is_plain(frame) else min(frame.rowsperstrip, height) * width
        size = pixels * samples * frame.dtype.itemsize
        if size > MAX_TILE_BYTES:
            what = f"a TIFF whose {'tiles' if frame.is_tiled else 'strips'} take {size:,} bytes each"
            raise ImageUnreadable(self._name, f"{what}: save it with tiles of 512 x 512")

    def _describe(self) -> SourceDescription:
        series, page = self._series, self._page
        channel_count = int(np.prod([size for _, size, name in self._axes if name == "c"], dtype=np.int64))
        if page.photometric == _PALETTE:
            channel_count *= 3
        check_channels(channel_count, self._name)
        colour = "rgb" if page.photometric in (_RGB, _PALETTE, _YCBCR) and channel_count >= 3 else "grey"
        if page.photometric == 0:
            colour = "white is zero"
        dtype = np.dtype(np.uint16) if page.photometric == _PALETTE else self._dtype
        first = self._level_of(series)
        levels = [
            Level(*self._upright_hw(one), round(first[1] / one[1], 4)) for one in map(self._level_of, series.levels)
        ]
        others = [one for one in self._file.series[1:] if one.keyframe.subfiletype & 1 == 0]
        note = f"{len(others)} further series of other sizes or kinds left out" if others else ""
        return SourceDescription(
            path=self._name,
            format=_format_of(self._file),
            dtype=dtype.newbyteorder("=").name,
            levels=tuple(levels),
            channels=channels_of(self._file, page, channel_count),
            colour=colour,
            stack=tuple(StackAxis(name, size) for _, size, name in self._axes if name not in ("c", *_IN_PLANE)),
            bits=0 if page.photometric == _PALETTE else significant_bits(self._file, page),
            pixel_size=pixel_size_of(self._file, page, turned=self._swapped),
            notes=(note,) if note else (),
            premultiplied=bool(page.extrasamples) and int(page.extrasamples[0]) == 1,
        )

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        kept: np.dtype[Any] = np.dtype(self._series.dtype)
        return np.dtype(np.uint8) if kept.kind == "b" else kept

    @cached_property
    def _orientation(self) -> int:
        tag = self._page.tags.get(274)
        return int(tag.value) if tag is not None and 1 <= int(tag.value) <= 8 else 1

    @property
    def _swapped(self) -> bool:
        return self._orientation >= 5

    def _upright_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        return (size_hw[1], size_hw[0]) if self._swapped else size_hw

    @cached_property
    def _axes(self) -> list[tuple[str, int, str]]:
        """For each axis of the series: tifffile's letter, its size, and "c", "y", "x" or a name of the stack's axis."""
        named: list[tuple[str, int, str]] = []
        for letter, size in zip(self._series.axes, self._series.shape, strict=True):
            name = "y" if letter == "Y" else "x" if letter == "X" else _AXES.get(letter, "page")
            if name not in ("c", *_IN_PLANE) and any(name == other for *_, other in named):
                name = f"axis {len(named)}"
            named.append((letter, size, name))
        return named

    @staticmethod
    def _level_of(series: tifffile.TiffPageSeries) -> tuple[int, int]:
        return series.shape[series.axes.index("Y")], series.shape[series.axes.index("X")]

    # -- values

    def _read(self, level: int, place: tuple[int, ...], channels: list[int], region: Region) -> NDArray[Any]:
        series = self._series.levels[level]
        stored = _stored_region(region, self._orientation, self._level_of(series))
        palette = self._page.photometric == _PALETTE
        wanted = sorted({channel // 3 if palette else channel for channel in channels})
        planes = dict(zip(wanted, self._planes(series, place, wanted, stored), strict=True))
        if palette:
            table = native(np.asarray(self._page.colormap, np.uint16))
            found = [table[channel % 3][planes[channel // 3]] for channel in channels]
        else:
            found = [planes[channel] for channel in channels]
        values = np.stack(found, axis=-1)
        return turned(values.astype(np.uint8) if values.dtype.kind == "b" else values, self._orientation)

    def _planes(
        self, series: tifffile.TiffPageSeries, place: tuple[int, ...], channels: list[int], region: Region
    ) -> list[NDArray[Any]]:
        """(h, w) of each channel: pages are read once, whatever number of channels lie in them."""
        sizes = [size for _, size, name in self._axes if name == "c"]
        outer_names = [name for *_, name in self._axes if name not in _IN_PLANE]
        lead = _leading_axes(series)
        indices: list[list[int]] = []
        for channel in channels:
            parts, rest = list(np.unravel_index(channel, sizes)) if sizes else [], list(place)
            indices.append([int((parts if name == "c" else rest).pop(0)) for name in outer_names])
        positions = [at for at, (*_, name) in enumerate(self._axes) if name not in _IN_PLANE]
        inner = [position for position in positions if position >= lead]
        pages: dict[int, NDArray[Any]] = {}
        planes = []
        for index in indices:
            chosen = dict(zip(positions, index, strict=True))
            outer = [chosen[position] for position in range(lead)]
            number = int(np.ravel_multi_index(outer, series.shape[:lead])) if lead else 0
            if number not in pages:
                pages[number] = self._page_region(series, number, lead, region)
            cut = tuple(chosen[p] if p in inner else slice(None) for p in range(lead, len(series.shape)))
            planes.append(pages[number][cut])
        return planes

    def _page_region(self, series: tifffile.TiffPageSeries, number: int, lead: int, region: Region) -> NDArray[Any]:
        """The region of one page, with the page's axes as the series has them."""
        shape, axes = series.shape[lead:], series.axes[lead:]
        rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
        cut = tuple(rows if axis == "Y" else columns if axis == "X" else slice(None) for axis in axes)
        if series.dataoffset is not None:  # all pages one after the other, without compression
            count = int(np.prod(series.shape[:lead], dtype=np.int64))
            return native(self._mapped(series.dataoffset, (count, *shape))[(number, *cut)])
        page = series[number]
        if page is None:
            raise ImageUnreadable(self._name, "a part of it is in another file: convert it to a single file")
        size = [
            region.height if axis == "Y" else region.width if axis == "X" else n
            for axis, n in zip(axes, shape, strict=True)
        ]
        return _decoded_region(page, region).reshape(size)

    def _mapped(self, offset: int, shape: tuple[int, ...]) -> NDArray[Any]:
        handle = self._file.filehandle
        dtype = np.dtype(self._file.byteorder + self._series.dtype.char)
        if handle.is_file:
            return np.memmap(handle.path, dtype, "r", offset, shape)
        with handle.lock:
            handle.seek(0)
            content = handle.read()
        return np.frombuffer(content, dtype, int(np.prod(shape, dtype=np.int64)), offset).reshape(shape)


def _leading_axes(series: tifffile.TiffPageSeries) -> int:
    """How many of the series' axes count its pages; the others are inside a page."""
    in_page = int(np.prod(series.keyframe.shape, dtype=np.int64))
    for lead in range(len(series.shape) - 1):
        if int(np.prod(series.shape[lead:], dtype=np.int64)) == in_page:
            return lead
    raise ValueError(f"pages of {series.keyframe.shape} do not make {series.shape}")


def _stored_region(region: Region, orientation: int, stored_hw: tuple[int, int]) -> Region:
    """The region of the picture as it is stored, that is this region of the upright one."""
    y, x, height, width = region
    if orientation >= 5:
        y, x, height, width = x, y, width, height
    if orientation in (3, 4, 6, 7):
        y = stored_hw[0] - y - height
    if orientation in (2, 3, 7, 8):
        x = stored_hw[1] - x - width
    return Region(y, x, height, width)


def _decoded_region(page: tifffile.TiffPage | tifffile.TiffFrame, region: Region) -> NDArray[Any]:
    """(S, D, h, w, C) of the tiles or strips that cover the region: tifffile's five axes of a page."""
    frame: Any = page.keyframe
    planes, depth, height, width, samples = frame.shaped
    size = planes * depth * region.height * region.width * samples * frame.dtype.itemsize
    if size > (most := most_bytes()):
        values = f"{samples * planes * depth:,} values a pixel, {size:,} bytes"
        raise ImageUnreadable(page.parent.filename, f"{values}: more than the limit of {most:,}")
    out = np.zeros((planes, depth, region.height, region.width, samples), frame.dtype)
    for index in _segments_of(frame, region):
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        segment, (plane, above, top, left) = _segment(page, index, offset, count, region)
        if segment is None:  # a tile that was never written
            out[plane, above] = frame.nodata
            continue
        y0, y1 = max(top, region.y), min(top + segment.shape[1], region.y + region.height, height)
        x0, x1 = max(left, region.x), min(left + segment.shape[2], region.x + region.width, width)
        deep = min(segment.shape[0], depth - above)
        if y0 < y1 and x0 < x1:
            part = segment[:deep, y0 - top : y1 - top, x0 - left : x1 - left]
            out[plane, above : above + deep, y0 - region.y : y1 - region.y, x0 - region.x : x1 - region.x] = part
    return out


def _segments_of(frame: Any, region: Region) -> list[int]:
    """The numbers of the tiles or strips that cover the region, in all planes and depths."""
    planes, depth, height, width, _ = frame.shaped
    if frame.is_tiled:
        tall, wide, deep = frame.tilelength, frame.tilewidth, max(1, frame.tiledepth)
    else:
        tall, wide, deep = min(frame.rowsperstrip, height), width, 1
    down, across, layers = -(-height // tall), -(-width // wide), -(-depth // deep)
    rows = range(region.y // tall, (region.y + region.height - 1) // tall + 1)
    columns = range(region.x // wide, (region.x + region.width - 1) // wide + 1)
    outer = range(planes * layers)
    return [(layer * down + row) * across + column for layer in outer for row in rows for column in columns]


def _segment(
    page: tifffile.TiffPage | tifffile.TiffFrame, index: int, offset: int, count: int, region: Region
) -> tuple[NDArray[Any] | None, tuple[int, int, int, int]]:
    """(D, h, w, C) of one tile or strip, None if there is none; and its plane, depth, top and left."""
    frame: Any = page.keyframe
    _, depth, height, width, samples = frame.shaped
    handle = page.parent.filehandle
    if count and not frame.is_tiled and _is_plain(frame):
        # A strip may be the whole page: only the rows of the region are read.
        tall = min(frame.rowsperstrip, height)
        layer, row = divmod(index, -(-height // tall))
        dtype = np.dtype(page.parent.byteorder + frame.dtype.char)
        first = max(region.y, row * tall)
        rows = min(region.y + region.height, row * tall + tall, height) - first
        length = width * samples * dtype.itemsize
        data = _bytes_at(handle, offset + (first - row * tall) * length, rows * length)
        values = np.frombuffer(data, dtype).reshape(1, rows, width, samples)
        return values, (layer // depth, layer % depth, first, 0)
    options: dict[str, Any] = {"_fullsize": frame.is_tiled}
    if frame.compression in _JPEG:
        options |= {"jpegtables": page.jpegtables, "jpegheader": frame.jpegheader}
    packed = _bytes_at(handle, offset, count) if count else None
    segment, (plane, above, top, left, _), _ = frame.decode(packed, index, **options)
    return segment, (plane, above, top, left)


def _bytes_at(handle: tifffile.FileHandle, offset: int, count: int) -> bytes:
    with handle.lock:
        handle.seek(offset)
        data: bytes = handle.read(count)
    if len(data) != count:
        raise ValueError("truncated")
    return data


def _is_plain(frame: Any) -> bool:
    """True if a strip is the values one after the other."""
    whole = frame.bitspersample in (8, 16, 32, 64) and frame.bitspersample == frame.dtype.itemsize * 8
    return whole and frame.compression == 1 and frame.predictor == 1 and not frame.is_subsampled


def _format_of(file: tifffile.TiffFile) -> str:
    if file.is_ome:
        return "OME-TIFF"
    if file.is_imagej:
        return "ImageJ TIFF"
    if file.is_svs:
        return "SVS"
    return "BigTIFF" if file.is_bigtiff else "TIFF"
