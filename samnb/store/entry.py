"""One entry of the embedding cache: its key, and the bytes of its safetensors file.

The file describes itself, so the catalog can be rebuilt from it: any safetensors reader shows the tensors
and, as metadata, ``schema, key, dtype, original_size, input_size, order, created, samnb`` and what the caller
passed as `metadata`. The first metadatum, ``xxh3_128``, covers every byte of the file but its own 32 digits: a
length and a header that parse prove nothing, since a torn page leaves both as they were.

An int8 entry holds, before its tensors, one more float32 tensor for each: ``<name>.scales``, one for every channel.

Written here rather than by `safetensors.numpy.save`, which sorts tensors by name and puts the metadata in a
random order; the tests read the files with the library.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from ..errors import ModelError, StoreError
from ..prompts import Embedding
from .codecs import from_int8, to_int8

SCHEMA = 1
LARGEST = 2 << 30
"""The bytes of the largest file that is read: no embedding is larger, and a file may claim anything."""
DTYPES = {"float16": "F16", "float32": "F32", "int8": "I8"}

_NUMPY: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "I8": np.dtype("i1")}
_CODES = {dtype: code for code, dtype in _NUMPY.items()}
_SCALES = ".scales"
_LARGEST_INT8 = 1e38  # so that no scale times 127 leaves float32
_DIGITS = 32
_BEFORE_DIGEST = b'{"__metadata__":{"xxh3_128":"'
_LARGEST_SCALE = np.finfo(np.float32).max / 128
_KEY = re.compile("[0-9a-f]{64}")
_NOT_UNDERSTOOD = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
_OWN = frozenset(("xxh3_128", "schema", "key", "dtype", "original_size", "input_size", "order", "created", "samnb"))


def make_key(pixel_hash: str, model_fingerprint: str, recipe: str) -> str:
    """The key of one embedding: 64 hex digits, different when any part differs.

    Parameters
    ----------
    pixel_hash : str
        Of the upright pixels.
    model_fingerprint : str
        Family and hash of the weights.
    recipe : str
        Preprocessing, compute precision and storage dtype.

    Raises
    ------
    StoreError
        A part is empty: embeddings of different images would be confused.

    Examples
    --------
    >>> make_key("ab", "c", "recipe") == make_key("a", "bc", "recipe")
    False
    """
    parts = (f"samnb embedding {SCHEMA}", pixel_hash, model_fingerprint, recipe)
    if not all(parts):
        raise StoreError(f"make_key: expected three parts that are not empty; got {parts[1:]}.")
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]  # file names may hold lone surrogates
    return hashlib.sha256(b"".join([b"%d:%b" % (len(data), data) for data in encoded])).hexdigest()


def check_key(key: str) -> str:
    """The key itself, or `StoreError` for anything but 64 lower-case hex digits."""
    if not (isinstance(key, str) and _KEY.fullmatch(key)):
        raise StoreError(f"{key!r} is not a key: expected 64 hex digits. Make keys with make_key.")
    return key


class EntryDamaged(StoreError):
    """Bytes that are not the entry they should be; the cache turns it into a miss."""

    file_read: tuple[int, ...] = ()  # identity of the file, for moving it to quarantine
    metadata: Mapping[str, str] = {}  # of its header, as far as it can be read


class EntryOfNewer(EntryDamaged):
    """A whole entry that a newer samnb wrote: of no use here, and not to be moved away from those who can read it."""


def round_trip(embedding: Embedding, dtype: str) -> Embedding:
    """The embedding as it will be read: converted to the storage dtype and back to float32, new read-only arrays.

    Raises
    ------
    ModelError
        No tensors, a tensor that is not floating point, or values that `dtype` cannot hold.

    Examples
    --------
    >>> embedding = Embedding({"image_embedding": np.float32([[[0.1]]])}, (4, 4), (4, 4))
    >>> float(round_trip(embedding, "float16").tensors["image_embedding"][0, 0, 0])
    0.0999755859375
    """
    tensors = _restored(list(embedding.tensors), _cast(embedding, dtype))
    return Embedding(tensors, _size(embedding.original_size), _size(embedding.input_size))


def serialize(key: str, embedding: Embedding, *, dtype: str, metadata: Mapping[str, str]) -> bytes:
    """The bytes of one file; tensors follow each other in the order of the embedding.

    Raises
    ------
    ModelError
        As `round_trip`.
    StoreError
        `metadata` uses a name that the store itself writes.
    """
    if reserved := _OWN & set(metadata):
        raise StoreError(f"about: the store itself writes {', '.join(sorted(reserved))}; choose other names.")
    tensors = _cast(embedding, dtype)
    header_metadata = {
        "xxh3_128": "0" * _DIGITS,
        "schema": str(SCHEMA),
        "key": key,
        "dtype": dtype,
        "original_size": json.dumps(_size(embedding.original_size)),
        "input_size": json.dumps(_size(embedding.input_size)),
        "order": json.dumps(list(embedding.tensors)),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "samnb": _version(),
        **{_readable(name): _readable(value) for name, value in metadata.items()},
    }
    header: dict[str, Any] = {"__metadata__": header_metadata}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants tensors aligned to 8 bytes
    raw = bytearray().join([struct.pack("<Q", len(text)), text, *(t.tobytes() for t in tensors.values())])
    digits = _digits_at()
    raw[digits] = _digest(raw)
    return bytes(raw)


def deserialize(raw: bytes, key: str) -> Embedding:
    """Verify the bytes of one file and return the embedding: float32, read-only.

    Raises
    ------
    EntryDamaged
        Anything but the complete, unchanged entry of `key`.
    """
    _check_digest(raw)
    try:
        return _parse(raw, key)
    except _NOT_UNDERSTOOD as error:
        raise EntryDamaged(f"header not understood: {error!r}") from error


def verify(raw: bytes, key: str) -> None:
    """Raise `EntryDamaged` unless these are the unchanged bytes of `key`'s entry; makes no tensors.

    Examples
    --------
    >>> key = make_key("pixels", "weights", "recipe")
    >>> raw = serialize(key, Embedding({"t": np.ones(3)}, (4, 4), (4, 4)), dtype="float16", metadata={})
    >>> verify(raw, key)
    >>> verify(raw[:-1] + b"?", key)
    Traceback (most recent call last):
    ...
    samnb.store.entry.EntryDamaged: checksum differs: truncated or altered (... bytes)
    """
    _check_digest(raw)
    try:
        _header(raw, key)
    except _NOT_UNDERSTOOD as error:
        raise EntryDamaged(f"header not understood: {error!r}") from error


def number_width(raw: bytes) -> int:
    """Bytes per number of a file, from its header; 2 if unknown."""
    start = raw[:1024]
    return next((_NUMPY[code].itemsize for name, code in DTYPES.items() if b'"dtype":"%b"' % name.encode() in start), 2)


def _check_digest(raw: bytes) -> None:
    digits = _digits_at()
    if len(raw) < digits.stop or raw[8 : digits.start] != _BEFORE_DIGEST:
        raise EntryDamaged(f"not an embedding ({len(raw):,} bytes)")
    if raw[digits] != _digest(raw):
        raise EntryDamaged(f"checksum differs: truncated or altered ({len(raw):,} bytes)")


def _header(raw: bytes, key: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """The offset of the tensors, the metadata, and the header of each tensor."""
    start = 8 + struct.unpack_from("<Q", raw)[0]
    fields = json.loads(raw[8:start])
    metadata = fields.pop("__metadata__")
    schema = metadata["schema"]
    if schema.isdecimal() and int(schema) > SCHEMA:
        raise EntryOfNewer(
            f"written by a newer samnb (schema {schema}, this one knows {SCHEMA}): upgrade with `pip install -U samnb`"
        )
    for name, expected in (("schema", str(SCHEMA)), ("key", key)):
        if metadata[name] != expected:
            raise EntryDamaged(f"{name}: expected {expected}, got {metadata[name]}")
    made_of = [metadata.get(name) for name in ("pixel_hash", "fingerprint", "recipe")]  # entries of before lack them
    whole = all(isinstance(part, str) and part for part in made_of)
    if made_of[1] and not (whole and make_key(*made_of) == key):
        raise EntryDamaged(f"of another picture or model than its key: {metadata.get('model')}")
    return start, metadata, fields


def _parse(raw: bytes, key: str) -> Embedding:
    start, metadata, header = _header(raw, key)
    order = json.loads(metadata["order"])
    expected = [*_scales_of(order), *order] if metadata["dtype"] == "int8" else order
    if not order or sorted(expected) != sorted(header):
        raise EntryDamaged(f"tensors: expected {expected}, got {list(header)}")
    stored, end = {}, 0
    for name in expected:
        stored[name], end = _tensor(raw, start, end, name, header[name])
    if start + end != len(raw):
        raise EntryDamaged(f"length: expected {start + end:,} bytes, got {len(raw):,}")
    for name, tensor in stored.items():
        if not _is_finite(tensor):
            raise EntryDamaged(f"{name}: values that are not finite")
    for name in expected[: len(expected) - len(order)]:
        if (np.abs(stored[name]) > _LARGEST_SCALE).any():
            raise EntryDamaged(f"{name}: beyond what float32 holds")
    return Embedding(_Tensors(order, stored), _size(metadata["original_size"]), _size(metadata["input_size"]))


def _tensor(raw: bytes, start: int, end: int, name: str, field: Any) -> tuple[NDArray[Any], int]:
    dtype, shape = _NUMPY[field["dtype"]], field["shape"]
    count = int(np.prod(shape, dtype=np.int64))
    if field["data_offsets"] != [end, end + count * dtype.itemsize]:
        raise EntryDamaged(f"{name}: {field} does not follow byte {end:,}")
    return np.frombuffer(raw, dtype, count, start + end).reshape(shape), field["data_offsets"][1]


def _cast(embedding: Embedding, dtype: str) -> dict[str, NDArray[Any]]:
    """The tensors of a file, in its order."""
    if not embedding.tensors:
        raise ModelError("An embedding without tensors: expected at least one, as Model.encode gives.")
    if "__metadata__" in embedding.tensors:
        raise ModelError("A tensor named '__metadata__': safetensors keeps that name for itself.")
    sources = {name: np.asarray(tensor) for name, tensor in embedding.tensors.items()}
    for name, source in sources.items():
        _check_range(name, source, dtype)
    if dtype == "int8":
        return _quantised(sources)
    return {name: np.array(source, dtype=_NUMPY[DTYPES[dtype]], order="C") for name, source in sources.items()}


def _quantised(sources: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    if taken := set(sources) & set(_scales_of(sources)):
        raise ModelError(f"A tensor named {min(taken)!r}: int8 storage keeps that name for its scales; use float16.")
    pairs = {name: to_int8(source) for name, source in sources.items()}
    scales = {name + _SCALES: scales for name, (_, scales) in pairs.items()}  # first, where float32 is aligned
    return {**scales, **{name: values for name, (values, _) in pairs.items()}}


class _Tensors(Mapping[str, NDArray[np.float32]]):
    """The tensors of a file; each is converted to float32 on first use.

    The conversion takes half the time of a read from disk, and code that only moves an entry does not need it.
    """

    def __init__(self, order: list[str], stored: Mapping[str, NDArray[Any]]):
        self._order, self._stored = order, stored
        self._restored: dict[str, NDArray[np.float32]] = {}

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        stored = self._stored  # before the check below: another thread may finish it after
        if name not in self._restored:
            if name not in self._order:
                raise KeyError(name)
            self._restored.setdefault(name, _restored([name], stored)[name])
            if len(self._restored) == len(self._order):
                self._stored = {}  # and with it the bytes of the file
        return self._restored[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def nbytes(self) -> int:
        """After all tensors were converted."""
        held = (self._restored.get(name, self._stored.get(name)) for name in self._order)
        return sum(4 * tensor.size for tensor in held if tensor is not None)


def _is_finite(stored: NDArray[Any]) -> bool:
    if stored.dtype != np.float16:
        return stored.dtype == np.int8 or bool(np.isfinite(stored).all())
    if not stored.size:
        return True
    # of all halves, infinities and what is no number have the largest bits; twice as fast as numpy's own
    return bool(stored.view("<i2").max() < 0x7C00 and stored.view("<u2").max() < 0xFC00)


def _restored(order: list[str], stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The tensors of an embedding, from those of its file; read-only."""
    tensors = {}
    for name in order:
        tensor = stored[name]
        if tensor.dtype == np.int8:
            tensor = from_int8(tensor, stored[name + _SCALES])
        tensors[name] = _as_float32(tensor)
    return tensors


def _scales_of(names: Iterable[str]) -> list[str]:
    return [name + _SCALES for name in names]


def _check_range(name: str, tensor: NDArray[Any], dtype: str) -> None:
    if tensor.dtype.kind != "f":
        raise ModelError(f"{name}: expected floating point; got {tensor.dtype}. Convert it in Model.encode.")
    limit = _LARGEST_INT8 if dtype == "int8" else float(np.finfo(dtype).max)
    largest = float(np.abs(tensor).max(initial=0))
    if not np.isfinite(largest):
        raise ModelError(f"{name}: values that are not finite. Look at the model's weights and precision.")
    if largest > limit:
        advice = 'Open the cache with dtype="float32"' if dtype == "float16" else "Scale it in Model.encode"
        raise ModelError(f"{name}: a value of {largest:g}, and {dtype} holds up to {limit:g}. {advice}.")


def _as_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """Exact for every finite half; six times as fast as `astype`, which is half of a read from disk."""
    if array.dtype.itemsize == 2:
        bits = array.view("<i2").astype(np.int32)
        bits <<= 13
        bits &= -0x70002000  # 0x8fffe000: the sign, and a half's 15 bits where a float's start
        array = bits.view(np.float32)
        array *= np.float32(2.0**112)  # the exponent's bias goes from 15 to 127; subnormals become normal
    array.flags.writeable = False
    return array


def _size(size_hw: str | tuple[int, int]) -> tuple[int, int]:
    height, width = json.loads(size_hw) if isinstance(size_hw, str) else size_hw
    return int(height), int(width)


def _readable(text: str) -> str:
    # file names may hold lone surrogates, which other readers of safetensors refuse
    return str(text).encode("utf-8", "backslashreplace").decode()


def _digits_at() -> slice:
    start = 8 + len(_BEFORE_DIGEST)
    return slice(start, start + _DIGITS)


def _digest(raw: bytes | bytearray) -> bytes:
    view, digits = memoryview(raw), _digits_at()
    hasher = xxhash.xxh3_128(view[: digits.start])
    hasher.update(view[digits.stop :])
    return hasher.hexdigest().encode()


@cache
def _version() -> str:
    try:
        return version("samnb")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "not installed"
