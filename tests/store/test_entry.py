"""The bytes of an entry: three ordered tensors, three dtypes, damage. What a cache does with them: `test_cache.py`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load

from samnb.errors import ModelError
from samnb.prompts import Embedding
from samnb.store import entry
from samnb.store.entry import DTYPES, EntryDamaged, deserialize, make_key, number_width, round_trip, serialize, verify

KEY = make_key("pixels", "weights", "recipe")
SIZES = {"float16": 2, "float32": 4, "int8": 1}


def of_sam2() -> Embedding:
    """Three tensors whose names sort otherwise than they are ordered, as SAM 2 has them, smaller."""
    random = np.random.default_rng(0)
    shapes = {"image_embed": (256, 4, 4), "high_res_1": (64, 8, 8), "high_res_0": (32, 16, 16)}
    spread = {"image_embed": 1.0, "high_res_1": 20.0, "high_res_0": 0.01}
    tensors = {name: random.normal(scale=spread[name], size=shape).astype("f4") for name, shape in shapes.items()}
    return Embedding(tensors, (480, 640), (768, 1024))


@pytest.mark.parametrize("dtype", DTYPES)
def test_three_tensors_come_back_in_their_order(dtype: str) -> None:
    given = of_sam2()
    raw = serialize(KEY, given, dtype=dtype, metadata={"model": "sam2"})
    got, stored = deserialize(raw, KEY), round_trip(given, dtype)
    assert list(got.tensors) == ["image_embed", "high_res_1", "high_res_0"]
    assert (got.original_size, got.input_size) == ((480, 640), (768, 1024))
    for name, tensor in got.tensors.items():
        source = given.tensors[name]
        assert (tensor.dtype, tensor.shape) == (np.float32, source.shape)
        assert not tensor.flags.writeable
        assert np.array_equal(tensor, stored.tensors[name])
        step = np.abs(source).max(axis=(1, 2), keepdims=True) / 127
        limit = {"float16": np.abs(source) / 1024 + 1e-7, "float32": 0, "int8": step * 0.501}[dtype]
        assert (np.abs(tensor - source) <= limit).all()
    numbers = sum(tensor.size for tensor in given.tensors.values())
    assert numbers * SIZES[dtype] < len(raw) < numbers * SIZES[dtype] + 4000
    assert number_width(raw) == SIZES[dtype]


def test_an_int8_file_is_plain_safetensors() -> None:
    given = of_sam2()
    raw = serialize(KEY, given, dtype="int8", metadata={})
    tensors = load(raw)
    assert set(tensors) == {*given.tensors, *(f"{name}.scales" for name in given.tensors)}
    metadata = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    assert (metadata["dtype"], json.loads(metadata["order"])) == ("int8", list(given.tensors))
    for name, values in deserialize(raw, KEY).tensors.items():
        assert tensors[name].dtype == np.int8
        assert np.array_equal(values, tensors[name] * tensors[f"{name}.scales"][:, None, None])


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_changed_byte_of_any_dtype_goes_unnoticed(dtype: str) -> None:
    small = Embedding({"b": np.float32([[1, 2], [3, 4]]), "a": np.float32([5])}, (4, 4), (4, 4))
    raw = serialize(KEY, small, dtype=dtype, metadata={})
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1 << position % 8
        for read in (deserialize, verify):
            with pytest.raises(EntryDamaged):
                read(bytes(changed), KEY)
    verify(raw, KEY)
    for read in (deserialize, verify):
        with pytest.raises(EntryDamaged, match="key"):
            read(raw, make_key("other pixels", "weights", "recipe"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, np.nan], "not finite"),
        ([1.0, -np.inf], "not finite"),
        ([1.0, 3e38], "int8 holds up to 1e\\+38"),
    ],
)
def test_int8_refuses_what_it_cannot_hold(values: list[float], expected: str) -> None:
    embedding = Embedding({"t": np.float32([values])}, (4, 4), (4, 4))
    for call in (lambda: round_trip(embedding, "int8"), lambda: serialize(KEY, embedding, dtype="int8", metadata={})):
        with pytest.raises(ModelError, match=expected):
            call()


def test_int8_holds_values_that_float16_cannot() -> None:
    embedding = Embedding({"t": np.float32([[1e6, -5e5]])}, (4, 4), (4, 4))
    assert round_trip(embedding, "int8").tensors["t"].tolist() == [[1e6, pytest.approx(-5e5, rel=0.01)]]
    with pytest.raises(ModelError, match="float16 holds"):
        round_trip(embedding, "float16")


def test_int8_says_when_a_name_is_taken() -> None:
    embedding = Embedding({"t": np.ones((1, 2), "f4"), "t.scales": np.ones((1, 2), "f4")}, (4, 4), (4, 4))
    with pytest.raises(ModelError, match=r"t\.scales"):
        serialize(KEY, embedding, dtype="int8", metadata={})
    assert list(deserialize(serialize(KEY, embedding, dtype="float16", metadata={}), KEY).tensors) == ["t", "t.scales"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_odd_shapes_come_back(dtype: str) -> None:
    tensors = {
        "one": np.float32(3.5),
        "none": np.zeros((0, 4), "f4"),
        "row": np.float32([1, -2, 0]),
        "odd": np.ones((3, 1, 5), "f4"),
    }
    got = deserialize(serialize(KEY, Embedding(tensors, (4, 4), (4, 4)), dtype=dtype, metadata={}), KEY)
    for name, tensor in tensors.items():
        assert got.tensors[name].shape == np.shape(tensor)
        assert np.allclose(got.tensors[name], tensor, atol=0.01)


def with_checksum(raw: bytearray) -> bytes:
    raw[entry._digits_at()] = entry._digest(raw)
    return bytes(raw)


def test_scales_that_no_writer_makes_are_damage() -> None:
    raw = bytearray(serialize(KEY, of_sam2(), dtype="int8", metadata={}))
    start = 8 + int.from_bytes(raw[:8], "little")
    raw[start : start + 4] = np.float32(3e38).tobytes()  # the scales come first
    with pytest.raises(entry.EntryDamaged, match="beyond what float32 holds"):
        deserialize(with_checksum(raw), KEY)


@pytest.mark.parametrize("part", ["", [2, 244], None])
def test_parts_of_a_key_that_are_none_are_damage(part: object) -> None:
    key = make_key("pixels", "weights", "recipe")
    about = {"pixel_hash": "pixels", "fingerprint": "weights", "recipe": "recipe"}
    raw = serialize(key, of_sam2(), dtype="float16", metadata=about)
    entry.verify(raw, key)
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"]["recipe"] = part
    text = json.dumps(header, separators=(",", ":")).encode().ljust(length)
    changed = with_checksum(bytearray(len(text).to_bytes(8, "little") + text + raw[8 + length :]))
    with pytest.raises(entry.EntryDamaged, match="of another picture or model"):
        entry.verify(changed, key)
