"""What the metadata of a TIFF file say of its pixels: their size, the channels' names, colours and limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import Any
from xml.etree import ElementTree

import tifffile

from .description import ALPHA, Channel, PixelSize
from .units import um_per

_SAMPLE_RANGE = ((340, 341), (280, 281))  # SMin/SMaxSampleValue, Min/MaxSampleValue
_PIXEL_SCALE, _GEO_KEYS, _PROJECTED, _LINEAR_UNITS, _METRE = 33550, 34735, 1, 3076, 9001
_CENTIMETRE = 3
_MPP = re.compile(r"MPP\s*=\s*([0-9.]+)")


def pixel_size_of(file: tifffile.TiffFile, page: tifffile.TiffPage, *, turned: bool = False) -> PixelSize | None:
    """The size of a pixel, `turned` if width and height changed places; None where the file does not say.

    OME-XML, ImageJ's unit, GeoTIFF in metres, Aperio's MPP, and a resolution in centimetres count. A resolution in
    inches does not: programs write 72 or 300 there for the printer, whatever the picture shows.
    """
    found = next(filter(None, (each(file, page) for each in (_ome, _imagej, _geo, _aperio, _fei, _centimetres))), None)
    if found is None or not turned:
        return found
    return PixelSize(found.y_um, found.x_um, found.z_um)


def ome_planes(file: tifffile.TiffFile) -> int:
    """The number of planes that the OME-XML states, of all images together; 0 for other files."""
    return sum(
        prod(int(size) for axis in "ZCT" if (size := pixels.get(f"Size{axis}", "1")).isdigit())
        for pixels in _ome_images(file)
    )


def significant_bits(file: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Bits of an integer that are used, as the file states them; 0 where it states no more than the type."""
    pixels = _ome_pixels(file)
    stated = pixels.get("SignificantBits") if pixels is not None else None
    bits = int(stated) if stated and stated.isdigit() else int(page.bitspersample)
    return bits if page.dtype is not None and 0 < bits < page.dtype.itemsize * 8 else 0


def channels_of(file: tifffile.TiffFile, page: tifffile.TiffPage, count: int) -> tuple[Channel, ...]:
    """The channels, with what OME-XML, ImageJ or the tags say of them."""
    low, high = _sample_range(page)
    ranges = _imagej_ranges(file)
    pixels = _ome_pixels(file)
    named = [] if pixels is None else [one for one in pixels if one.tag.endswith("}Channel")]
    if sum(int(one.get("SamplesPerPixel", "1")) for one in named) != count or len(named) != count:
        named = []
    # 1 and 2 mean opacity; the last samples of a page are the extra ones.
    extra = [int(one) in (1, 2) for one in page.extrasamples]
    opaque = [False] * max(0, count - len(extra)) + extra if count == page.samplesperpixel else [False] * count
    channels = []
    for at in range(count):
        name, color = (named[at].get("Name", ""), _ome_color(named[at].get("Color"))) if named else ("", "")
        if opaque[at]:
            name = ALPHA
        limits = ranges[at] if at < len(ranges) else (low, high)
        channels.append(Channel(name, color, *limits))
    return tuple(channels)


def _sample_range(page: tifffile.TiffPage) -> tuple[float | None, float | None]:
    for lowest, highest in _SAMPLE_RANGE:
        low, high = (_smallest(page.tags.get(lowest), min), _smallest(page.tags.get(highest), max))
        if low is not None and high is not None and low < high:
            return low, high
    return None, None


def _smallest(tag: Any, choose: Any) -> float | None:
    if tag is None:
        return None
    value = tag.value
    return float(choose(value)) if isinstance(value, tuple) else float(value)


def _imagej_ranges(file: tifffile.TiffFile) -> list[tuple[float, float]]:
    meta = file.imagej_metadata or {}
    ranges = meta.get("Ranges")
    if ranges:
        flat = [float(one) for one in ranges]
        return [(a, b) for a, b in zip(flat[::2], flat[1::2], strict=False) if a < b]
    if {"min", "max"} <= meta.keys() and float(meta["min"]) < float(meta["max"]):
        return [(float(meta["min"]), float(meta["max"]))]
    return []


def _ome_pixels(file: tifffile.TiffFile) -> Any:
    """The element "Pixels" of the first image in the OME-XML; None for other files."""
    return next(_ome_images(file), None)


def _ome_images(file: tifffile.TiffFile) -> Iterator[Any]:
    """The elements "Pixels" of the OME-XML."""
    if not file.is_ome or not file.ome_metadata:
        return
    try:
        root = ElementTree.fromstring(file.ome_metadata)
    except ElementTree.ParseError:
        return  # tifffile opened the file without it
    yield from (one for one in root.iter() if one.tag.endswith("}Pixels"))


def _ome_color(value: str | None) -> str:
    """OME's signed RGBA number as "#rrggbb"."""
    if not value or not value.lstrip("-").isdigit():
        return ""
    return f"#{(int(value) & 0xFFFFFFFF) >> 8:06x}"


def _ome(file: tifffile.TiffFile, page: tifffile.TiffPage) -> PixelSize | None:
    pixels = _ome_pixels(file)
    if pixels is None:
        return None
    sizes = [_ome_length(pixels, axis) for axis in "XYZ"]
    return _size(*sizes)


def _ome_length(pixels: Any, axis: str) -> float:
    text = pixels.get(f"PhysicalSize{axis}")
    return float(text) * um_per(pixels.get(f"PhysicalSize{axis}Unit", "µm")) if text else 0.0


def _imagej(file: tifffile.TiffFile, page: tifffile.TiffPage) -> PixelSize | None:
    meta = file.imagej_metadata or {}
    unit = um_per(str(meta.get("unit", "")))
    per_unit = [_resolution(page, tag) for tag in (282, 283)]
    if not unit or not all(per_unit):
        return None
    return _size(unit / per_unit[0], unit / per_unit[1], unit * float(meta.get("spacing", 0) or 0))


def _geo(file: tifffile.TiffFile, page: tifffile.TiffPage) -> PixelSize | None:
    """GeoTIFF in metres; degrees are no length."""
    scale, keys = page.tags.get(_PIXEL_SCALE), page.tags.get(_GEO_KEYS)
    if scale is None or keys is None:
        return None
    values = list(keys.value)
    found = {values[at]: values[at + 3] for at in range(4, len(values) - 3, 4)}
    if found.get(1024) != _PROJECTED or found.get(_LINEAR_UNITS, _METRE) != _METRE:
        return None
    return _size(float(scale.value[0]) * 1e6, float(scale.value[1]) * 1e6)


def _aperio(file: tifffile.TiffFile, page: tifffile.TiffPage) -> PixelSize | None:
    found = _MPP.search(page.description) if file.is_svs else None
    return _size(float(found[1]), float(found[1])) if found else None


def _fei(file: tifffile.TiffFile, page: tifffile.TiffPage) -> PixelSize | None:
    """Electron microscopes of FEI and Thermo Fisher: metres."""
    scan = (file.fei_metadata or {}).get("Scan", {}) if file.is_fei else {}
    return _size(float(scan.get("PixelWidth", 0)) * 1e6, float(scan.get("PixelHeight", 0)) * 1e6)


def _centimetres(file: tifffile.TiffFile, page: tifffile.TiffPage) -> PixelSize | None:
    unit = page.tags.get(296)
    per_cm = [_resolution(page, tag) for tag in (282, 283)]
    if unit is None or int(unit.value) != _CENTIMETRE or not all(per_cm):
        return None
    return _size(1e4 / per_cm[0], 1e4 / per_cm[1])


def _resolution(page: tifffile.TiffPage, tag: int) -> float:
    """Pixels per unit; 0 if the file does not say."""
    found = page.tags.get(tag)
    if found is None or not isinstance(found.value, tuple) or not found.value[1]:
        return 0.0
    return float(found.value[0]) / float(found.value[1])


def _size(x_um: float, y_um: float, z_um: float = 0.0) -> PixelSize | None:
    return PixelSize(x_um, y_um, max(0.0, z_um)) if 0 < x_um < 1e15 and 0 < y_um < 1e15 else None
