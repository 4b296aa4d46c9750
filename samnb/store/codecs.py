"""Compression: the channels of a tensor as int8, and whole entries by byte-shuffle and zstd.

int8 is lossy. It has one scale per channel, because with a single scale a wide channel spoils the narrow ones.
Shuffle and zstd are lossless and save 15 to 20 % of a half-precision embedding, but take 4 to 10 times the time
of reading it from a local disk: useful for a network, not for the disk.

Shuffled by numpy and compressed by ``zstandard`` (Python 3.14's own ``compression.zstd`` does as well). Blosc2 gives
the same ratio to the fourth digit, and brings pydantic, httpx and rich along.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PackageMissing, StoreError

# Before the zstd frame: magic, width of the shuffle, and the uncompressed length. No entry can begin like
# this: its first 8 bytes are the length of its header, and this would be far too long.
_MAGIC = b"samnb.z1"
_HEAD = struct.Struct("<8sBQ")
_LARGEST = 1 << 31  # as in `samnb.store.entry`: what is shared may claim anything
_LEVEL = 1  # 3 takes twice as long and saves one percent


def to_int8(tensor: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A tensor as int8 and the scale of each channel: ``tensor ≈ values * scales``, off by half a scale at most.

    Parameters
    ----------
    tensor : (C, ...) float
        Finite. The channels are the first axis; a tensor of one axis or none is one channel.

    Returns
    -------
    values : (C, ...) int8
        -127 to 127.
    scales : (C,) float32
        The largest magnitude of the channel over 127; 1 for a channel of zeros.

    Examples
    --------
    >>> values, scales = to_int8(np.float32([[[1.0, -0.5]], [[100.0, 0.0]]]))
    >>> values.tolist(), (scales * 127).tolist()
    ([[[127, -64]], [[127, 0]]], [1.0, 100.0])
    """
    source = np.asarray(tensor, np.float32)
    rows = _channels(source, len(source) if source.ndim > 1 else 1)
    largest = np.abs(rows).max(axis=1, initial=0)
    # A subnormal scale would round the largest value past 127.
    scales = np.where(largest > np.finfo(np.float32).tiny * 127, largest / np.float32(127), np.float32(1))
    values = np.rint(rows / scales[:, None]).astype(np.int8)
    return values.reshape(source.shape), scales.astype(np.float32)


def from_int8(values: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of `to_int8`: (C, ...) float32.

    >>> from_int8(np.int8([[2, -3], [1, 0]]), np.float32([0.5, 10])).tolist()
    [[1.0, -1.5], [10.0, 0.0]]
    """
    rows = _channels(values, len(scales)).astype(np.float32)
    rows *= scales[:, None]
    return rows.reshape(values.shape)


def _channels(tensor: NDArray[Any], count: int) -> NDArray[Any]:
    return tensor.reshape(count, tensor.size // max(1, count))


def can_compress() -> bool:
    """True if a zstd library is installed."""
    return _zstd() is not None


def is_compressed(raw: bytes) -> bool:
    """True for the output of `compress`."""
    return raw[: len(_MAGIC)] == _MAGIC


def compress(raw: bytes, *, width: int = 2) -> bytes:
    """The bytes compressed, for `expand`; without a zstd library, or if that is not shorter, the bytes themselves.

    Parameters
    ----------
    raw : bytes
    width : int
        Bytes in a number: the first bytes of all numbers are put together, then all second ones.
    """
    library = _zstd()
    if library is None:
        return raw
    packed = _HEAD.pack(_MAGIC, width, len(raw)) + library[0](_shuffled(raw, width))
    return packed if len(packed) < len(raw) or is_compressed(raw) else raw


def expand(raw: bytes) -> bytes:
    """The inverse of `compress`; bytes that are not compressed are returned unchanged.

    Raises
    ------
    StoreError
        Compressed bytes that are truncated or altered.
    PackageMissing
        Compressed bytes, and no zstd library here.
    """
    if not is_compressed(raw):
        return raw
    library = _zstd()
    if library is None:
        raise PackageMissing("Reading a compressed embedding", "zstandard", "compress")
    try:
        _, width, length = _HEAD.unpack_from(raw)
        if not (1 <= width <= 16 and length < _LARGEST):
            raise ValueError(f"width {width}, length {length}")
        expanded = library[1](raw[_HEAD.size :], length)
    except (struct.error, ValueError, EOFError, library[2]) as error:
        raise StoreError(f"compressed bytes are truncated or altered ({len(raw):,} bytes): {error}") from error
    if len(expanded) != length:
        raise StoreError(f"compressed bytes are altered: expected {length:,} bytes of content, got {len(expanded):,}")
    return _unshuffled(expanded, width)


def _shuffled(raw: bytes, width: int) -> bytes:
    count = len(raw) // width
    columns = np.empty((width, count), np.uint8)
    for place in range(width):  # several times as fast as a transposed copy
        columns[place] = np.frombuffer(raw, np.uint8, count * width)[place::width]
    return columns.tobytes() + raw[count * width :]


def _unshuffled(raw: bytes, width: int) -> bytes:
    count = len(raw) // width
    columns = np.frombuffer(raw, np.uint8, count * width).reshape(width, count)
    numbers = np.empty(count * width, np.uint8)
    for place in range(width):
        numbers[place::width] = columns[place]
    return numbers.tobytes() + raw[count * width :]


@cache
def _zstd() -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes], type[Exception]] | None:
    """Functions to compress, and to decompress to a maximum size, and the library's error; None without a library."""
    try:
        library = import_module("zstandard")
    except ImportError:
        return _zstd_of_python()

    def squeeze(raw: bytes) -> bytes:  # an object of its own for each call: they are not for several threads
        return library.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(raw)

    def expand(raw: bytes, length: int) -> bytes:
        # `decompress` would allocate any length that a damaged frame claims.
        if library.frame_content_size(raw) != length:
            raise ValueError("the frame is of another length")
        return library.ZstdDecompressor().decompress(raw)

    return squeeze, expand, library.ZstdError


def _zstd_of_python() -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes], type[Exception]] | None:
    try:
        library = import_module("compression.zstd")  # Python 3.14
    except ImportError:
        return None
    options = {library.CompressionParameter.compression_level: _LEVEL, library.CompressionParameter.checksum_flag: 1}

    def expand(raw: bytes, length: int) -> bytes:
        return library.ZstdDecompressor().decompress(raw, length + 1)

    return lambda raw: library.compress(raw, options=options), expand, library.ZstdError
