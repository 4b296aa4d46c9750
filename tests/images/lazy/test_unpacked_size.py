"""How much packed data take, found without unpacking them."""

from __future__ import annotations

import numcodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samnb.images.lazy.unpacked_size import PACKINGS, unpacked_size

ENCODERS = {
    "blosc": numcodecs.Blosc("zstd"),
    "lz4": numcodecs.LZ4(),
    "zstd": numcodecs.Zstd(),
    "zlib": numcodecs.Zlib(),
    "gzip": numcodecs.GZip(),
    "bz2": numcodecs.BZ2(),
    "lzma": numcodecs.LZMA(),
}


@pytest.mark.parametrize("packing", PACKINGS)
@settings(max_examples=8, deadline=None)
@given(size=st.integers(1, 700_000), random=st.booleans())
def test_what_numcodecs_packs_has_its_size(packing: str, size: int, random: bool) -> None:
    values = np.random.default_rng(size).integers(0, 256, size, np.uint8) if random else np.zeros(size, np.uint8)
    packed = bytes(ENCODERS[packing].encode(values.tobytes()))
    assert unpacked_size(packing, packed, 1_000_000) == size
    assert unpacked_size(packing, packed, size - 1) > size - 1


@pytest.mark.parametrize("packing", PACKINGS)
def test_megabytes_of_zeros_are_above_the_limit(packing: str) -> None:
    packed = bytes(ENCODERS[packing].encode(bytes(5_000_000)))
    assert unpacked_size(packing, packed, 100_000) > 100_000


ZSTD_UNSIZED = b"\x28\xb5\x2f\xfd" + bytes([0, 0x58])
ZSTD_OF_256 = b"\x28\xb5\x2f\xfd" + bytes([0x40, 0x58]) + b"\0\0"  # 256 is added to a size of two bytes


def repeated(sizes: list[int]) -> bytes:
    """The blocks of one Zstandard frame, each one byte that is repeated."""
    last = len(sizes) - 1
    return b"".join((size << 3 | 2 | (at == last)).to_bytes(3, "little") + b"x" for at, size in enumerate(sizes))


@pytest.mark.parametrize(
    "more",
    [ZSTD_UNSIZED + repeated([130_000] * 20), bytes(numcodecs.Zstd().encode(bytes(2_600_000)))],
    ids=["without a size", "with a size"],
)
def test_all_frames_of_zstd_data_count_and_not_only_the_first(more: bytes) -> None:
    packed = ZSTD_OF_256 + repeated([256]) + more
    assert len(numcodecs.Zstd().decode(packed)) == 2_600_256
    assert unpacked_size("zstd", packed, 2_600_256) == 2_600_256
    assert unpacked_size("zstd", packed, 100_000) > 100_000


def test_zstd_frames_for_other_programs_are_skipped() -> None:
    skipped = b"\x5e\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    packed = skipped + ZSTD_OF_256 + repeated([256]) + skipped
    assert len(numcodecs.Zstd().decode(packed)) == unpacked_size("zstd", packed, 1000) == 256


def test_a_zstd_frame_that_states_too_little_is_bounded_by_its_blocks_beside_one_that_states_nothing() -> None:
    # Decoded as a stream then, where the size that a frame states is compared at its end.
    packed = ZSTD_OF_256 + repeated([130_000] * 20) + ZSTD_UNSIZED + repeated([5])
    assert unpacked_size("zstd", packed, 100_000) > 100_000


def test_zstd_without_a_size_in_its_header_is_bounded_by_its_blocks() -> None:
    # As a writer makes it that does not know the size: no single segment, a window, no size; three blocks of type 1
    # (a byte that is repeated), of 100, 200 and 300 bytes.
    packed = ZSTD_UNSIZED + repeated([100, 200, 300])
    assert bytes(numcodecs.Zstd().decode(packed)) == b"x" * 600
    assert unpacked_size("zstd", packed, 1000) == 600
    assert unpacked_size("zstd", packed * 3, 1000) > 1000


@pytest.mark.parametrize("packing", ["zstd", "zlib", "gzip", "bz2", "lzma"])
@pytest.mark.parametrize("damage", [b"no packed data at all", b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08"])
def test_damaged_data_are_a_value_error(packing: str, damage: bytes) -> None:
    with pytest.raises(ValueError, match=packing):
        unpacked_size(packing, damage, 1000)
    whole = bytes(ENCODERS[packing].encode(np.random.default_rng(0).bytes(3000)))
    if packing != "zstd":  # whose header has the size
        with pytest.raises(ValueError, match=packing):
            unpacked_size(packing, whole[: len(whole) // 2], 10_000)
