"""`ChunkCheck`: chunks of a Zarr array that would unpack to more than their values take are refused, by name."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr

from ...errors import ImageUnreadable
from .unpacked_size import PACKINGS, unpacked_size

# What leaves the number of bytes as it is, but for a checksum.
_PLAIN = (
    *("bytes", "transpose", "shuffle", "bitround"),
    *("crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"),
)
# Filters whose packed values may have another width; the keys of the types of the values, and of the packed values.
_WIDTHS = {
    "packbits": ("", ""),
    "astype": ("decode_dtype", "encode_dtype"),
    **dict.fromkeys(("delta", "fixedscaleoffset", "quantize"), ("dtype", "astype")),
}
_SHARDS = "sharding_indexed"
_SPARSE = 8  # Zstandard data that do not state their size are bounded by their blocks, which may be far from full
_ROOM = 1 << 17  # for headers, what packing adds to what it cannot pack, and one block of Zstandard
_LARGEST_INDEX = 1 << 26
_ABSENT = 2**64 - 1


class ChunkCheck:
    """Looks at the packed chunks of one array before they are read; each is looked at once.

    Parameters
    ----------
    array : zarr.Array
    folder : str
        The root of its store.
    name : str
        Of the picture, for messages.

    Raises
    ------
    ImageUnreadable
        It is packed in a way of which nobody knows how much it unpacks to.
    """

    def __init__(self, array: zarr.Array[Any], folder: str, name: str):
        self._folder, self._name, self._array = Path(folder, array.path), name, array
        self._done: set[tuple[str, int]] = set()
        self._layout = _layout(array.metadata.to_dict(), np.dtype(array.dtype), name)
        self._inner = tuple(array.chunks)
        self._outer = tuple(getattr(array, "shards", None) or array.chunks)
        self._counts = tuple(-(-a // b) for a, b in zip(self._outer, self._inner, strict=True))
        self._index_bytes = 16 * math.prod(self._counts) + 4 * self._layout.index_checksum
        if self._index_bytes > _LARGEST_INDEX:
            raise ImageUnreadable(
                name, f"shards of {math.prod(self._counts):,} chunks: save it with chunks of 512 x 512"
            )
        values = math.prod(self._inner) * np.dtype(array.dtype).itemsize
        sparse = _SPARSE if self._layout.packing == "zstd" else 1
        self._limit = math.ceil(values * self._layout.share * sparse) + _ROOM

    def check(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Raise `ImageUnreadable` if one of the chunks with values of (start, stop) along every axis is too large."""
        outer = [range(a // size, (b - 1) // size + 1) for (a, b), size in zip(ranges, self._outer, strict=True)]
        for place in itertools.product(*outer):
            key = self._array.metadata.encode_chunk_key(place)
            file = self._folder / key
            if not file.is_file():
                continue  # a chunk without values
            if self._outer == self._inner:
                if (key, 0) not in self._done:
                    with file.open("rb") as opened:
                        self._check(key, 0, os.fstat(opened.fileno()).st_size, opened)
                continue
            with file.open("rb") as opened:
                for number, offset, length in self._in_shard(opened, place, ranges):
                    if (key, number) not in self._done:
                        opened.seek(offset)
                        self._check(key, number, length, opened)

    def _check(self, key: str, number: int, length: int, file: Any) -> None:
        size = length
        if size <= self._limit and self._layout.packing:
            try:
                packed = file.read(length)[: max(0, length - self._layout.trailer)]
                size = unpacked_size(self._layout.packing, packed, self._limit)
            except ValueError as error:
                raise ImageUnreadable(self._name, f"its chunk {key} is damaged: {error}") from error
        if size > self._limit:
            expected = f"expected {self._limit:,} bytes at most for {self._inner} values of {self._array.dtype}"
            raise ImageUnreadable(self._name, f"its chunk {key} unpacks to more: {expected}")
        self._done.add((key, number))

    def _in_shard(
        self, file: Any, place: tuple[int, ...], ranges: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[int, int, int]]:
        """Number, offset and length of the chunks in a shard that have values of the ranges."""
        file_bytes, key = os.fstat(file.fileno()).st_size, self._array.metadata.encode_chunk_key(place)
        if not self._layout.index_first:
            file.seek(max(0, file_bytes - self._index_bytes))
        packed = file.read(self._index_bytes)[: 16 * math.prod(self._counts)]
        if len(packed) != 16 * math.prod(self._counts):
            raise ImageUnreadable(self._name, f"its shard {key} is truncated")
        index = np.frombuffer(packed, self._layout.index_dtype)
        index = index.reshape(*self._counts, 2)
        inside = []
        for at, (start, stop), outer, inner in zip(place, ranges, self._outer, self._inner, strict=True):
            first, last = max(start - at * outer, 0), min(stop - at * outer, outer)
            inside.append(range(first // inner, (last - 1) // inner + 1))
        for chunk in itertools.product(*inside):
            offset, length = (int(one) for one in index[chunk])
            if (offset, length) == (_ABSENT, _ABSENT):
                continue
            number = int(np.ravel_multi_index(chunk, self._counts))
            if offset + length > file_bytes:
                what = f"its chunk {number} has bytes {offset:,} to {offset + length:,} of {file_bytes:,}"
                raise ImageUnreadable(self._name, f"its shard {key} is damaged: {what}")
            yield number, offset, length


class _Layout(NamedTuple):
    """How chunks are packed, and the index of a shard."""

    packing: str  # "" for not at all
    share: float  # bytes that filters get of what was packed, per byte of the values
    trailer: int  # bytes of checksums after what was packed
    index_first: bool  # a shard begins with its index
    index_checksum: bool
    index_dtype: str


def _layout(meta: Mapping[str, Any], dtype: np.dtype[Any], name: str) -> _Layout:
    trailer, first, checksum, index_dtype = 0, False, False, "<u8"
    if meta["zarr_format"] == 2:
        packer = meta.get("compressor")
        codecs = [*(meta.get("filters") or ()), *([packer] if packer else ())]
        names, settings = [str(one["id"]) for one in codecs], codecs
    else:
        codecs = list(meta["codecs"])
        if codecs[-1]["name"] == _SHARDS:
            shard = codecs.pop()["configuration"]
            index = list(shard.get("index_codecs", ()))
            by = [one["name"] for one in index]
            if by not in (["bytes"], ["bytes", "crc32c"]):
                raise ImageUnreadable(name, f"shards whose index is packed by {by}: save it without shards")
            index_dtype = ">u8" if (index[0].get("configuration") or {}).get("endian") == "big" else "<u8"
            first, checksum = str(shard.get("index_location", "end")) == "start", len(by) == 2
            codecs += shard["codecs"]
        names = [str(one["name"]).removeprefix("numcodecs.") for one in codecs]
        settings = [one.get("configuration") or {} for one in codecs]
        while names and str(codecs[len(names) - 1]["name"]) == "crc32c":
            names.pop()  # it follows the packed data
            trailer += 4
    for one in names:
        if one not in PACKINGS and one not in _PLAIN and one not in _WIDTHS:
            raise ImageUnreadable(name, f"a Zarr array packed by {one!r}, expected {', '.join(sorted(PACKINGS))}")
    packed = [one for one in names if one in PACKINGS]
    if packed and (len(packed) > 1 or names[-1] != packed[0]):
        raise ImageUnreadable(name, f"a Zarr array packed by {names}: expected one of {sorted(PACKINGS)}, as the last")
    shares = [_share(one, about, dtype, name) for one, about in zip(names, settings, strict=False) if one in _WIDTHS]
    shares = [one for one in shares if one != 1]
    if len(shares) > 1:
        # Each may multiply what was packed.
        raise ImageUnreadable(name, f"a Zarr array packed by {names}: expected at most one filter that changes widths")
    share = shares[0] if shares else 1
    return _Layout(packed[0] if packed else "", share, trailer, first, checksum, index_dtype)


def _share(filter_name: str, settings: Mapping[str, Any], dtype: np.dtype[Any], name: str) -> float:
    """The width of the values that a filter packs, per that of the values it gets."""
    if filter_name == "packbits":
        return 1 / 8
    value_key, packed_key = _WIDTHS[filter_name]
    try:
        values = np.dtype(settings.get(value_key) or dtype)
        packed = np.dtype(settings.get(packed_key) or values)
    except (TypeError, ValueError) as error:
        raise ImageUnreadable(name, f"a damaged Zarr filter {filter_name!r} ({error})") from error
    if values.kind not in "buif" or packed.kind not in "buif":  # a text may have any width
        raise ImageUnreadable(name, f"a Zarr filter {filter_name!r} of {packed} to {values}, expected numbers")
    return packed.itemsize / values.itemsize
