"""`ZarrSource`: OME-Zarr folders, versions 0.4 and 0.5, and plain Zarr arrays, through zarr."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ...errors import ImageUnreadable
from ..files import MAX_TILE_BYTES
from .description import Channel, Level, PixelSize, SourceDescription, StackAxis, check_channels
from .source import BaseSource, Region, native
from .units import um_per
from .zarr_chunks import ChunkCheck

_LAST = ("y", "x")


class ZarrSource(BaseSource):
    """The first multiscale picture of a Zarr group, or a plain array; see `samnb.images.lazy.PictureSource`."""

    def __init__(self, folder: Any, name: str):
        self._name = name
        opened = zarr.open(folder, mode="r")
        if isinstance(opened, zarr.Group):
            opened, meta = self._picture_of(opened)
            multi = meta["multiscales"][0]
            self._arrays: list[Any] = [_array_at(opened, one["path"]) for one in multi["datasets"]]
            self._axes = _axis_names(multi.get("axes"), self._arrays[0].ndim)
            scales = [_scale_of(one, multi, len(self._axes)) for one in multi["datasets"]]
            units = [str(one.get("unit", "")) if isinstance(one, dict) else "" for one in multi.get("axes") or []]
            channels = (meta.get("omero") or {}).get("channels") or []
        else:
            self._arrays, self._axes = [opened], _axis_names(None, opened.ndim)
            scales, units, channels = [[1.0] * opened.ndim], [], []
        self._check()
        self._checks = [ChunkCheck(one, str(folder), name) for one in self._arrays]
        self.description = self._describe(scales, units, channels)

    def _picture_of(self, group: zarr.Group) -> tuple[zarr.Group, Mapping[str, Any]]:
        meta = _meta(group)
        if "multiscales" not in meta and ("bioformats2raw.layout" in meta or "0" in group) and "plate" not in meta:
            inner = group.get("0")
            if isinstance(inner, zarr.Group):
                group, meta = inner, _meta(inner)
        if "multiscales" in meta:
            return group, meta
        if "plate" in meta:
            wells = ", ".join(str(one.get("path")) for one in meta["plate"].get("wells", [])[:3])
            raise ImageUnreadable(self._name, f"a plate of many pictures: add its fields, such as {wells} with /0 each")
        raise ImageUnreadable(self._name, "a Zarr group without a picture (no multiscales)")

    def _check(self) -> None:
        first = self._arrays[0]
        if first.ndim < 2 or self._axes[-2:] != list(_LAST):
            raise ImageUnreadable(self._name, f"axes {self._axes} of {first.shape}, where y and x must come last")
        if np.dtype(first.dtype).kind not in "buif":
            raise ImageUnreadable(self._name, f"values of type {first.dtype}, which are no brightness")
        for one in self._arrays:
            # A chunk is decoded whole, as a tile of a TIFF is: a few bytes may say that it takes gigabytes.
            size = math.prod(one.chunks) * np.dtype(one.dtype).itemsize
            if size > MAX_TILE_BYTES:
                what = f"chunks of {one.chunks}, {size:,} bytes each, more than the limit of {MAX_TILE_BYTES:,}"
                raise ImageUnreadable(self._name, f"{what}: save it with chunks of 512 x 512")
        for one in self._arrays[1:]:
            if one.ndim != first.ndim or one.shape[:-2] != first.shape[:-2]:
                raise ImageUnreadable(self._name, "levels with different stacks, or channels")

    def _describe(self, scales: list[list[float]], units: list[str], channels: list[Any]) -> SourceDescription:
        first = self._arrays[0]
        sizes = dict(zip(self._axes, first.shape, strict=True))
        count = sizes.get("c", 1)
        check_channels(count, self._name)
        shown = [_channel_of(one) for one in channels] if len(channels) == count else [Channel()] * count
        dtype = np.dtype(first.dtype)
        width = first.shape[-1]
        return SourceDescription(
            path=self._name,
            format="OME-Zarr",
            dtype="uint8" if dtype.kind == "b" else dtype.newbyteorder("=").name,
            levels=tuple(Level(one.shape[-2], one.shape[-1], round(width / one.shape[-1], 4)) for one in self._arrays),
            channels=tuple(shown),
            bits=1 if dtype.kind == "b" else 0,
            stack=tuple(
                StackAxis(name, size) for name, size in sizes.items() if name not in ("c", *_LAST) and size > 1
            ),
            pixel_size=_pixel_size(self._axes, scales[0], units),
        )

    def _read(self, level: int, place: tuple[int, ...], channels: list[int], region: Region) -> NDArray[Any]:
        array = self._arrays[level]
        at = dict(zip((axis.name for axis in self.description.stack), place, strict=True))
        rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
        planes = []
        for channel in channels:
            index: tuple[int, ...] = tuple(channel if name == "c" else at.get(name, 0) for name in self._axes[:-2])
            ranges = [(one, one + 1) for one in index]
            self._checks[level].check([*ranges, (rows.start, rows.stop), (columns.start, columns.stop)])
            planes.append(native(np.asarray(array[(*index, rows, columns)])))
        values = np.stack(planes, axis=-1)
        return values.astype(np.uint8) if values.dtype.kind == "b" else values


def _meta(group: zarr.Group) -> Mapping[str, Any]:
    attributes = dict(group.attrs)
    inner = attributes.get("ome")  # since version 0.5
    return {**attributes, **inner} if isinstance(inner, dict) else attributes


def _array_at(group: zarr.Group, path: str) -> zarr.Array[Any]:
    found = group[path]
    if not isinstance(found, zarr.Array):
        raise ValueError(f"{path} is no array")
    return found


def _axis_names(axes: Any, count: int) -> list[str]:
    """One name for each axis; of a plain array, the last two are y and x, the others pages."""
    if axes:
        names = [str(one.get("name") if isinstance(one, dict) else one).lower() for one in axes]
        if len(names) != count or len(set(names)) != count:
            raise ValueError(f"{count} axes named {names}")
        return names
    others = (("page" if at == 0 else f"axis {at}") for at in itertools.count())
    return [*itertools.islice(others, count - 2), *_LAST][-max(count, 0) :] if count >= 2 else [""] * count


def _scale_of(dataset: Mapping[str, Any], multi: Mapping[str, Any], count: int) -> list[float]:
    scale = [1.0] * count
    for one in (*dataset.get("coordinateTransformations", ()), *multi.get("coordinateTransformations", ())):
        if one.get("type") == "scale" and len(one.get("scale", ())) == count:
            scale = [a * float(b) for a, b in zip(scale, one["scale"], strict=True)]
    return scale


def _pixel_size(axes: list[str], scale: list[float], units: list[str]) -> PixelSize | None:
    if len(units) != len(axes):
        return None
    um = {name: size * um_per(unit) for name, size, unit in zip(axes, scale, units, strict=True)}
    if um["x"] <= 0 or um["y"] <= 0:
        return None
    return PixelSize(um["x"], um["y"], max(0.0, um.get("z", 0.0)))


def _channel_of(omero: Mapping[str, Any]) -> Channel:
    window = omero.get("window") or {}
    low, high = window.get("start"), window.get("end")
    color = str(omero.get("color") or "").lstrip("#").lower()
    limits = (float(low), float(high)) if low is not None and high is not None and low < high else (None, None)
    return Channel(str(omero.get("label") or ""), f"#{color}" if len(color) == 6 else "", *limits)
