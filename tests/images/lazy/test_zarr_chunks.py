"""Chunks of Zarr arrays that unpack to more than their values take, and arrays packed in all known ways."""

from __future__ import annotations

import json
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from samnb import Session
from samnb.errors import ImageUnreadable
from samnb.images.lazy import open_source

VALUES = np.random.default_rng(0).integers(0, 4096, (150, 130), np.uint16)
V2 = [
    {"compressors": None},
    {"compressors": numcodecs.Blosc("lz4")},
    {"compressors": numcodecs.GZip()},
    {"compressors": numcodecs.Zlib(), "filters": [numcodecs.Delta("<u2")]},
    {"compressors": numcodecs.LZ4(), "filters": [numcodecs.Shuffle(2)]},
    {"compressors": numcodecs.BZ2()},
    {"compressors": numcodecs.LZMA()},
    {"compressors": numcodecs.Zstd(), "filters": [numcodecs.FixedScaleOffset(0, 1, "<u2", "<f8")]},
    {"compressors": numcodecs.Zstd(), "filters": [numcodecs.Delta("<u2"), numcodecs.AsType("<f4", "<u2")]},
]
V3 = [
    {"compressors": None},
    {"compressors": zarr.codecs.BloscCodec()},
    {"compressors": zarr.codecs.GzipCodec()},
    {"compressors": [zarr.codecs.ZstdCodec(checksum=True), zarr.codecs.Crc32cCodec()]},
    {"compressors": [zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()]},
    {"compressors": zarr.codecs.ZstdCodec(), "shards": (128, 128)},
    {"compressors": zarr.codecs.GzipCodec(), "shards": (64, 256)},
]


def write(folder: Path, version: int, options: dict[str, object]) -> zarr.Array:
    kinds = {"shape": VALUES.shape, "chunks": (64, 64), "dtype": VALUES.dtype, "zarr_format": version}
    array = zarr.create_array(folder, **(kinds | options))
    array[:] = VALUES
    return array


@pytest.mark.parametrize(("version", "options"), [*((2, one) for one in V2), *((3, one) for one in V3)])
def test_all_known_ways_of_packing_are_read(tmp_path: Path, version: int, options: dict[str, object]) -> None:
    write(tmp_path / "a.zarr", version, options)
    with open_source(tmp_path / "a.zarr") as source:
        assert np.array_equal(source.read()[..., 0], VALUES)
        assert np.array_equal(source.read(region=(60, 100, 70, 30))[..., 0], VALUES[60:130, 100:130])


@pytest.mark.parametrize(
    ("packing", "bomb"),
    [
        (numcodecs.Blosc("zstd"), 2**30),
        (numcodecs.Zstd(), 2**30),
        (numcodecs.LZ4(), 2**24),
        (numcodecs.GZip(), 2**24),
        (numcodecs.BZ2(), 2**24),
        (numcodecs.LZMA(), 2**24),
    ],
)
def test_a_small_chunk_of_gigabytes_is_refused_before_it_is_unpacked(
    tmp_path: Path, packing: numcodecs.abc.Codec, bomb: int
) -> None:
    write(tmp_path / "a.zarr", 2, {"compressors": packing})
    small = bytes(packing.encode(bytes(min(bomb, 2**24))))
    if bomb > 2**24:  # as its header tells it, which the library believes
        at = 4 if isinstance(packing, numcodecs.Blosc) else 5 + (not small[4] >> 5 & 1)
        small = small[:at] + bomb.to_bytes(4, "little") + small[at + 4 :]
    assert len(small) < 100_000
    (tmp_path / "a.zarr" / "1.0").write_bytes(small)
    with open_source(tmp_path / "a.zarr") as source:
        assert np.array_equal(source.read(region=(0, 0, 64, 130))[..., 0], VALUES[:64])
        with pytest.raises(ImageUnreadable, match=r"its chunk 1\.0 unpacks to more: expected [12]\d\d,\d\d\d bytes at"):
            source.read()
    with Session(tmp_path / "session") as session:
        [failure] = session.add(tmp_path / "a.zarr", show=False).failed
        assert "unpacks to more" in failure.reason


def test_a_chunk_without_a_filter_holds_no_more_than_its_values(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", 2, {"compressors": numcodecs.GZip(), "chunks": VALUES.shape})
    (tmp_path / "a.zarr" / "0.0").write_bytes(bytes(numcodecs.GZip().encode(bytes(5 * VALUES.nbytes))))
    with open_source(tmp_path / "a.zarr") as source, pytest.raises(ImageUnreadable, match="unpacks to more"):
        source.read()


def test_packed_bits_are_read(tmp_path: Path) -> None:
    options = {"compressors": numcodecs.GZip(), "filters": [numcodecs.PackBits()], "dtype": bool}
    write(tmp_path / "a.zarr", 2, options)
    with open_source(tmp_path / "a.zarr") as source:
        assert np.array_equal(source.read()[..., 0], VALUES > 0)


def write_shard(folder: Path, endian: str) -> Path:
    """The lower of two shards, of 2 x 3 chunks; its index is the last 100 bytes."""
    index = [zarr.codecs.BytesCodec(endian=endian), zarr.codecs.Crc32cCodec()]
    inner = [zarr.codecs.BytesCodec(), zarr.codecs.GzipCodec()]
    codec = zarr.codecs.ShardingCodec(chunk_shape=(64, 64), codecs=inner, index_codecs=index)
    kinds = {"shape": VALUES.shape, "chunks": (128, 192), "dtype": VALUES.dtype, "zarr_format": 3}
    zarr.create(store=folder, codecs=[codec], **kinds)[:] = VALUES
    return folder / "c" / "1" / "0"


def change_index(file: Path, endian: str, offset: int, length: int, before: bytes = b"") -> None:
    """Another place for the chunk (0, 1) of a shard, with bytes put before the index."""
    whole = file.read_bytes()
    index = np.frombuffer(whole[-100:-4], endian + "u8").reshape(2, 3, 2).copy()
    assert index[0, 0, 0] == 0  # read by the right order of bytes
    index[0, 1] = offset, length
    packed = index.tobytes()
    checksum = bytes(numcodecs.CRC32C(location="end").encode(packed))[-4:]
    file.write_bytes(whole[:-100] + before + packed + checksum)


def test_the_index_of_a_shard_is_read_by_its_order_of_bytes(tmp_path: Path) -> None:
    file, bomb = write_shard(tmp_path / "a.zarr", "big"), bytes(numcodecs.GZip().encode(bytes(2**25)))
    with open_source(tmp_path / "a.zarr") as source:
        assert np.array_equal(source.read()[..., 0], VALUES)
    change_index(file, ">", file.stat().st_size - 100, len(bomb), bomb)
    with open_source(tmp_path / "a.zarr") as source:
        assert np.array_equal(source.read(region=(128, 0, 22, 64))[..., 0], VALUES[128:, :64])
        with pytest.raises(ImageUnreadable, match=r"its chunk c/1/0 unpacks to more"):
            source.read(region=(130, 70, 5, 5))


@pytest.mark.parametrize(("offset", "length"), [(10, 10**6), (2**63, 5), (2**64 - 1, 5)])
def test_a_shard_that_places_a_chunk_outside_of_the_file_is_damaged(tmp_path: Path, offset: int, length: int) -> None:
    change_index(write_shard(tmp_path / "a.zarr", "little"), "<", offset, length)
    with open_source(tmp_path / "a.zarr") as source:
        assert np.array_equal(source.read(region=(0, 0, 128, 130))[..., 0], VALUES[:128])
        with pytest.raises(ImageUnreadable, match=r"its shard c/1/0 is damaged: its chunk 1 has bytes .* of [\d,]+"):
            source.read(region=(130, 70, 5, 5))


def test_a_chunk_in_a_shard_is_looked_at_as_well(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", 3, {"compressors": zarr.codecs.GzipCodec(), "shards": (128, 192)})
    file = tmp_path / "a.zarr" / "c" / "1" / "0"
    whole, bomb = file.read_bytes(), bytes(numcodecs.GZip().encode(bytes(2**25)))
    index = np.frombuffer(whole[-100:-4], "<u8").reshape(2, 3, 2).copy()
    index[0, 1] = 0, len(bomb)
    packed = index.tobytes()
    checksum = bytes(numcodecs.CRC32C(location="end").encode(packed))[-4:]
    file.write_bytes(bomb + packed + checksum)
    with open_source(tmp_path / "a.zarr") as source:
        assert np.array_equal(source.read(region=(0, 0, 128, 130))[..., 0], VALUES[:128])
        with pytest.raises(ImageUnreadable, match=r"its chunk c/1/0 unpacks to more"):
            source.read(region=(130, 70, 5, 5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compressor": {"id": "base64"}}, "packed by 'base64', expected blosc, bz2, gzip"),
        ({"filters": [{"id": "zlib", "level": 1}], "compressor": {"id": "zlib", "level": 1}}, "expected one of"),
        ({"filters": [{"id": "zlib", "level": 1}], "compressor": {"id": "crc32"}}, "as the last"),
        ({"filters": [{"id": "packbits"}] * 4, "compressor": {"id": "gzip", "level": 1}}, "at most one filter"),
        ({"filters": [{"id": "delta", "dtype": "<u8", "astype": "|u1"}] * 2}, "at most one filter"),
        ({"filters": [{"id": "astype", "encode_dtype": "|u1", "decode_dtype": "<U99"}]}, "expected numbers"),
    ],
)
def test_what_nobody_knows_the_size_of_is_refused_by_name(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    write(tmp_path / "a.zarr", 2, {"compressors": None})
    meta = json.loads((tmp_path / "a.zarr" / ".zarray").read_text())
    (tmp_path / "a.zarr" / ".zarray").write_text(json.dumps(meta | changes))
    with pytest.raises(ImageUnreadable, match=message):
        open_source(tmp_path / "a.zarr").read()


def test_a_damaged_and_a_missing_chunk(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", 2, {"compressors": numcodecs.GZip()})
    (tmp_path / "a.zarr" / "0.0").unlink()
    (tmp_path / "a.zarr" / "0.1").write_bytes(b"\x1f\x8b\x08 and nothing more")
    with open_source(tmp_path / "a.zarr") as source:
        assert not source.read(region=(0, 0, 64, 64)).any()
        with pytest.raises(ImageUnreadable, match=r"its chunk 0\.1 is damaged: no gzip data"):
            source.read()
