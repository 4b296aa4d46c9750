"""`ChunkCheck`: chunks of a Zarr array that would unpack to more than their values take are refused, by name."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ...errors import ImageUnreadable
from .unpacked_size import PACKINGS, unpacked_size

# What leaves the number of bytes as it is, or makes them fewer when it is undone; by `_WIDEST` at most more.
_PLAIN = (
    *("bytes", "transpose", "shuffle", "delta", "bitround", "fixedscaleoffset", "quantize", "packbits", "astype"),
    *("crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"),
)
_SHARDS = "sharding_indexed"
_WIDEST = 8  # of filters: values of one byte may be packed as numbers of eight
_ROOM = 1 << 16  # for headers, and what packing adds to what it cannot pack
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
        self._packing, self._index_first, has_checksum = _layout(array.metadata.to_dict(), name)
        self._inner = tuple(array.chunks)
        self._outer = tuple(getattr(array, "shards", None) or array.chunks)
        self._counts = tuple(-(-a // b) for a, b in zip(self._outer, self._inner, strict=True))
        self._index_bytes = 16 * math.prod(self._counts) + 4 * has_checksum
        if self._index_bytes > _LARGEST_INDEX:
            raise ImageUnreadable(
                name, f"shards of {math.prod(self._counts):,} chunks: save it with chunks of 512 x 512"
            )
        self._limit = _WIDEST * math.prod(self._inner) * np.dtype(array.dtype).itemsize + _ROOM

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
        if size <= self._limit and self._packing:
            try:
                size = unpacked_size(self._packing, file.read(length), self._limit)
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
        if not self._index_first:
            file.seek(max(0, os.fstat(file.fileno()).st_size - self._index_bytes))
        index = np.frombuffer(file.read(self._index_bytes)[: 16 * math.prod(self._counts)], "<u8")
        if index.size != 2 * math.prod(self._counts):
            raise ImageUnreadable(self._name, f"its shard {self._array.metadata.encode_chunk_key(place)} is truncated")
        index = index.reshape(*self._counts, 2)
        inside = []
        for at, (start, stop), outer, inner in zip(place, ranges, self._outer, self._inner, strict=True):
            first, last = max(start - at * outer, 0), min(stop - at * outer, outer)
            inside.append(range(first // inner, (last - 1) // inner + 1))
        for chunk in itertools.product(*inside):
            offset, length = (int(one) for one in index[chunk])
            if offset != _ABSENT:
                yield int(np.ravel_multi_index(chunk, self._counts)), offset, length


def _layout(meta: Mapping[str, Any], name: str) -> tuple[str, bool, bool]:
    """How chunks are packed, "" for not at all; whether a shard begins with its index, and if that has a checksum."""
    first, checksum = False, False
    if meta["zarr_format"] == 2:
        packer = meta.get("compressor")
        names = [str(one["id"]) for one in (*(meta.get("filters") or ()), *([packer] if packer else ()))]
    else:
        codecs = list(meta["codecs"])
        if codecs[-1]["name"] == _SHARDS:
            shard = codecs.pop()["configuration"]
            first = str(shard.get("index_location", "end")) == "start"
            index = [one["name"] for one in shard.get("index_codecs", ())]
            if index not in (["bytes"], ["bytes", "crc32c"]):
                raise ImageUnreadable(name, f"shards whose index is packed by {index}: save it without shards")
            checksum = len(index) == 2
            codecs += shard["codecs"]
        names = [str(one["name"]).removeprefix("numcodecs.") for one in codecs]
        while names and str(codecs[len(names) - 1]["name"]) == "crc32c":
            names.pop()  # it follows the packed data
    for one in names:
        if one not in PACKINGS and one not in _PLAIN:
            raise ImageUnreadable(name, f"a Zarr array packed by {one!r}, expected {', '.join(sorted(PACKINGS))}")
    packed = [one for one in names if one in PACKINGS]
    if packed and (len(packed) > 1 or names[-1] != packed[0]):
        raise ImageUnreadable(name, f"a Zarr array packed by {names}: expected one of {sorted(PACKINGS)}, as the last")
    return (packed[0] if packed else ""), first, checksum
