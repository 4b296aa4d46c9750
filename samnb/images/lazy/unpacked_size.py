"""`unpacked_size`: how many bytes packed data take when they are unpacked, found without unpacking them whole.

A few bytes may unpack to gigabytes. Blosc, LZ4 and Zstandard say in their header how much memory the library takes; of
the others, the data are unpacked piece by piece, and the pieces dropped, until there are more than allowed.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

_PIECE = 1 << 18
_XZ_MEMORY = 256 << 20  # of the decoder itself: presets up to 9 take 65 MB
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPED_MAGIC = b"\x2a\x4d\x18"  # after 0x50 to 0x5f
_ZSTD_BLOCK = 128 << 10  # the most that a block unpacks to


def unpacked_size(packing: str, packed: bytes, limit: int) -> int:
    """The bytes that data unpack to, or an upper bound of them; above `limit`, any number above it.

    Parameters
    ----------
    packing : str
        One of `PACKINGS`.
    packed : bytes
    limit : int

    Raises
    ------
    ValueError
        They are no such data, or damaged.

    Examples
    --------
    >>> unpacked_size("zlib", zlib.compress(bytes(5000)), 10_000)
    5000
    >>> unpacked_size("zlib", zlib.compress(bytes(50_000_000)), 10_000) > 10_000
    True
    """
    try:
        return PACKINGS[packing](packed, limit)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, IndexError) as error:
        raise ValueError(f"no {packing} data ({error})") from error


def _blosc(packed: bytes, limit: int) -> int:
    return int.from_bytes(packed[4:8], "little")


def _lz4(packed: bytes, limit: int) -> int:
    return int.from_bytes(packed[:4], "little")


def _zstd(packed: bytes, limit: int) -> int:
    """The sizes in the frames' headers; if one has none, what all blocks may hold at most.

    All frames are decoded. The library keeps each to the size it states only if all of them state one.
    """
    stated, held, all_state, at = 0, 0, True, 0
    while at < len(packed) and stated <= limit and (all_state or held <= limit):
        magic = packed[at : at + 4]
        if magic[1:] == _SKIPPED_MAGIC and magic[0] >> 4 == 5:  # a frame for other programs
            at += 8 + int.from_bytes(packed[at + 4 : at + 8], "little")
            continue
        if magic != _ZSTD_MAGIC:
            raise ValueError("no zstd data")
        about = packed[at + 4]
        size_flag, single = about >> 6, about >> 5 & 1
        size_bytes = (single, 2, 4, 8)[size_flag]
        at += 5 + (not single) + (0, 1, 2, 4)[about & 3]
        if size_bytes:
            stated += int.from_bytes(packed[at : at + size_bytes], "little") + (256 if size_bytes == 2 else 0)
            at += size_bytes
        else:
            all_state = False
        last = stated > limit
        while not last and (all_state or held <= limit):
            if at + 3 > len(packed):
                raise ValueError("zstd data that end too early")
            block = int.from_bytes(packed[at : at + 3], "little")
            last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
            held += size if kind < 2 else _ZSTD_BLOCK
            at += 3 + (1 if kind == 1 else size)
        at += 4 if about & 4 else 0  # the checksum
    return stated if all_state else max(stated, held)


def _streamed(new: Callable[[], Any]) -> Callable[[bytes, int], int]:
    """For decoders of the standard library; data may be several streams, one after the other."""

    def size_of(packed: bytes, limit: int) -> int:
        total, rest = 0, packed
        while rest and total <= limit:
            decoder = new()
            while not decoder.eof and total <= limit:
                piece = decoder.decompress(rest, _PIECE)
                rest = getattr(decoder, "unconsumed_tail", b"")
                total += len(piece)
                if not piece and not decoder.eof and not rest:
                    raise EOFError("it ends too early")
            rest = decoder.unused_data.lstrip(b"\0")  # gzip allows zeros there
        return total

    return size_of


PACKINGS: dict[str, Callable[[bytes, int], int]] = {
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
    "zlib": _streamed(zlib.decompressobj),
    "gzip": _streamed(lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)),
    "bz2": _streamed(bz2.BZ2Decompressor),
    "lzma": _streamed(lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY)),
}
"""By the names that Zarr has for them."""
