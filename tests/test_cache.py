"""The embedding cache: keys, round trips, the folder, memory, and what it says of itself."""

from __future__ import annotations

import gc
import json
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from samnb.cache import CacheReport, EmbeddingCache, make_key
from samnb.errors import ModelError, StoreError, UnknownName
from samnb.prompts import Embedding
from samnb.store.entry import deserialize, round_trip, serialize
from tests.support.cache_child import key_of
from tests.support.embeddings import KEY, same, some

# --- keys


texts = st.text(min_size=1)


@settings(deadline=None)
@given(st.tuples(texts, texts, texts), st.tuples(texts, texts, texts))
def test_keys_differ_when_any_part_differs(one: tuple[str, str, str], two: tuple[str, str, str]) -> None:
    assert (make_key(*one) == make_key(*two)) == (one == two)


@settings(deadline=None)
@given(texts, texts, texts, st.integers(1, 5))
def test_moving_text_from_one_part_to_the_next_changes_the_key(a: str, b: str, c: str, cut: int) -> None:
    whole = a + b
    moved = (whole[:cut], whole[cut:], c)
    if all(moved) and moved != (a, b, c):
        assert make_key(*moved) != make_key(a, b, c)
    assert make_key(a + ":" + b, c, c) != make_key(a, ":" + b, c)


def test_keys_stay_the_same_between_releases() -> None:
    # a change here makes every user encode every image again: raise SCHEMA knowingly instead
    assert make_key("pixels", "weights", "recipe").startswith("aeb558d56c5f")


def test_a_key_with_an_empty_part_is_refused() -> None:
    with pytest.raises(StoreError, match="not empty"):
        make_key("", "weights", "recipe")


@pytest.mark.parametrize("key", ["", "abc", "../" * 22, "A" * 64, "a" * 64 + "\n", None, 5, b"a" * 64])
def test_anything_but_a_key_is_refused(cache: EmbeddingCache, key: Any) -> None:
    for call in (cache.get, cache.path_of, cache.remove, cache.__contains__, EmbeddingCache(None).get):
        with pytest.raises(StoreError, match="64 hex digits"):
            call(key)


# --- round trips


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("in_folder", [True, False])
def test_several_tensors_come_back_in_order_as_put_said(tmp_path: Path, dtype: str, in_folder: bool) -> None:
    tensors = {
        "z_last": some((3, 5), seed=1).tensors["image_embedding"],
        "a": some((2, 2, 2), seed=2).tensors["image_embedding"].astype(np.float64),
        "m": np.asfortranarray(some((7, 4), seed=3).tensors["image_embedding"])[::2],
        "one": np.float32(3.5),
        "none": np.zeros((0, 4), np.float16),
    }
    put = Embedding(tensors, (np.int64(48), 64), (768, 1024))
    cache = EmbeddingCache(tmp_path if in_folder else None, dtype=dtype)
    told = cache.put(KEY, put, about={})
    assert list(told.tensors) == list(tensors)
    assert told.original_size == (48, 64)
    for name, tensor in tensors.items():
        got = told.tensors[name]
        assert got.dtype == np.float32
        assert not got.flags.writeable
        assert np.array_equal(got, np.asarray(tensor).astype(dtype).astype(np.float32))
    assert same(cache.get(KEY), told)
    if in_folder:
        assert same(EmbeddingCache(tmp_path).get(KEY), told)


def test_threads_may_look_at_a_tensor_for_the_first_time_together(cache: EmbeddingCache) -> None:
    put = Embedding({"a": some(seed=1).tensors["image_embedding"], "b": np.ones((3, 4))}, (4, 4), (4, 4))
    told = round_trip(put, "float16")
    for _ in range(20):
        got = deserialize(serialize(KEY, put, dtype="float16", metadata={}), KEY)
        size = got.nbytes
        with ThreadPoolExecutor(8) as pool:
            looks = list(pool.map(got.tensors.__getitem__, ["a", "b"] * 8))
        assert all(look is got.tensors[name] for look, name in zip(looks, ["a", "b"] * 8, strict=True))
        assert same(got, told)
        assert got.nbytes == size == told.nbytes
        with pytest.raises(KeyError):
            got.tensors["c"]


def test_every_finite_half_comes_back_exactly(tmp_path: Path) -> None:
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    got = EmbeddingCache(tmp_path, memory_bytes=0).put(KEY, Embedding({"t": every}, (1, 1), (1, 1)), about={})
    assert np.array_equal(got.tensors["t"].view(np.uint32), every.astype(np.float32).view(np.uint32))


def test_the_cache_keeps_nothing_of_the_array_it_was_given() -> None:
    cache, given = EmbeddingCache(None, dtype="float32"), some()
    told = cache.put(KEY, given, about={})
    given.tensors["image_embedding"][...] = 7  # type: ignore[index]
    assert same(cache.get(KEY), told)
    assert told.tensors["image_embedding"].max() < 7


def test_any_safetensors_reader_reads_the_file(cache: EmbeddingCache) -> None:
    put = Embedding({"z": np.float32([[1, 2]]), "a": np.float32([3])}, (480, 640), (768, 1024))
    cache.put(KEY, put, about={"filename": "é\udcff.jpg", "model": "vit_b"})
    path = cache.path_of(KEY)
    assert path == cache.folder / KEY[:2] / KEY[2:4] / f"{KEY}.safetensors"
    assert {name: tensor.tolist() for name, tensor in load_file(path).items()} == {"z": [[1, 2]], "a": [3]}
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    assert (metadata["schema"], metadata["key"], metadata["dtype"]) == ("1", KEY, "float16")
    assert (json.loads(metadata["order"]), json.loads(metadata["original_size"])) == (["z", "a"], [480, 640])
    assert (metadata["filename"], metadata["model"]) == ("é\\udcff.jpg", "vit_b")
    assert {"created", "samnb", "xxh3_128", "input_size"} <= set(metadata)


def test_about_may_not_replace_what_the_store_says(cache: EmbeddingCache) -> None:
    with pytest.raises(StoreError, match="key, schema"):
        cache.put(KEY, some(), about={"schema": "2", "key": "x"})
    assert KEY not in cache


@pytest.mark.parametrize(
    ("value", "dtype", "advice"),
    [
        (np.nan, "float16", "not finite"),
        (np.inf, "float32", "not finite"),
        (-65536.0, "float16", 'dtype="float32"'),
        (1e300, "float32", "Scale it"),
    ],
)
def test_values_that_cannot_be_kept_are_refused(tmp_path: Path, value: float, dtype: str, advice: str) -> None:
    for folder in (tmp_path, None):
        cache = EmbeddingCache(folder, dtype=dtype)
        with pytest.raises(ModelError, match=advice):
            cache.put(KEY, Embedding({"t": np.array([0.0, value])}, (1, 1), (1, 1)), about={})
        assert KEY not in cache


@pytest.mark.parametrize("tensors", [{}, {"t": np.ones(3, int)}, {"__metadata__": np.ones(3, np.float32)}])
def test_what_is_no_embedding_is_refused(cache: EmbeddingCache, tensors: dict[str, np.ndarray]) -> None:
    with pytest.raises(ModelError):
        cache.put(KEY, Embedding(tensors, (1, 1), (1, 1)), about={})


# --- the folder is the truth


def test_a_file_deleted_by_hand_is_a_miss_although_memory_held_it(cache: EmbeddingCache) -> None:
    cache.put(KEY, some(), about={})
    assert KEY in cache
    cache.path_of(KEY).unlink()
    assert KEY not in cache
    assert len(cache) == 0
    assert cache.get(KEY) is None
    assert cache.stats().memory_bytes == 0


def test_another_cache_on_the_folder_sees_entries_at_once(cache: EmbeddingCache) -> None:
    other = EmbeddingCache(cache.folder)
    assert KEY not in other
    assert other.get(KEY) is None
    cache.put(KEY, some(), about={})
    assert KEY in other
    assert same(other.get(KEY), cache.get(KEY))
    assert list(other.keys()) == [KEY]
    assert other.remove(KEY)
    assert KEY not in cache
    assert not cache.remove(KEY)


def test_opening_touches_no_file(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "not" / "yet")
    assert cache
    assert (len(cache), list(cache.keys()), KEY in cache, cache.get(KEY)) == (0, [], False, None)
    assert cache.check() == CacheReport(entries=0)
    assert not (tmp_path / "not").exists()


def test_memory_only(tmp_path: Path) -> None:
    cache = EmbeddingCache(None)
    told, hit = cache.get_or_compute(KEY, some, about={})
    assert not hit
    assert cache.get_or_compute(KEY, some, about={}) == (told, True)
    assert (list(cache.keys()), len(cache), KEY in cache) == ([KEY], 1, True)
    assert (cache.stats().entries, cache.stats().bytes) == (1, told.nbytes)
    assert cache.check().ok
    with pytest.raises(StoreError, match="memory only"):
        cache.path_of(KEY)
    assert cache.remove(KEY)
    assert KEY not in cache
    cache.put(KEY, some(), about={})
    cache.clear_memory()
    assert KEY not in cache


# --- memory


def test_memory_stays_within_its_bytes_and_drops_the_least_recently_used(tmp_path: Path) -> None:
    size = some().nbytes
    cache = EmbeddingCache(tmp_path, memory_bytes=3 * size)
    for index in range(3):
        cache.put(key_of(index), some(seed=index), about={})
    first = cache.get(key_of(0))
    cache.put(key_of(3), some(seed=3), about={})
    stats = cache.stats()
    assert (stats.entries, stats.memory_entries, stats.memory_bytes) == (4, 3, 3 * size)
    assert cache.get(key_of(0)) is first  # used since, so kept; key 1 went
    assert same(cache.get(key_of(1)), EmbeddingCache(tmp_path).get(key_of(1)))
    cache.put(key_of(4), some((100, 100)), about={})  # larger than the whole budget: pushes nobody out
    assert cache.stats().memory_entries == 3
    for _ in range(3):
        cache.put(key_of(0), some(), about={})  # the same one again counts once
    assert (cache.stats().memory_entries, cache.stats().memory_bytes) == (3, 3 * size)
    cache.clear_memory()
    assert (cache.stats().memory_entries, cache.stats().memory_bytes, len(cache)) == (0, 0, 5)


def test_memory_of_none(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, memory_bytes=0)
    cache.put(KEY, some(), about={})
    assert cache.get(KEY) is not None
    assert cache.stats().memory_entries == 0


def test_embed_cache_max(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBED_CACHE_MAX", "2")
    limited, told = EmbeddingCache(tmp_path), EmbeddingCache(None, max_entries=3)
    for index in range(5):
        limited.put(key_of(index), some(), about={})
        told.put(key_of(index), some(), about={})
    assert (limited.stats().memory_entries, len(limited)) == (2, 5)
    assert len(told) == 3
    monkeypatch.setenv("EMBED_CACHE_MAX", "many")
    with pytest.raises(StoreError, match=r"EMBED_CACHE_MAX.*'many'"):
        EmbeddingCache(tmp_path)


def test_another_dtype_is_refused() -> None:
    with pytest.raises(UnknownName, match="float16"):
        EmbeddingCache(None, dtype="float61")


# --- cards


def test_stats_tell_what_was_done_and_show_themselves(cache: EmbeddingCache) -> None:
    cache.get_or_compute(KEY, some, about={})
    cache.get(KEY)
    cache.get(key_of(1))
    stats = cache.stats()
    assert (stats.entries, stats.memory_entries, stats.hits, stats.misses, stats.computed) == (1, 1, 1, 2, 1)
    assert stats.bytes == cache.path_of(KEY).stat().st_size
    assert "entries=1" in repr(stats)
    assert "1 · 2" in stats._repr_html_()
    assert "all sound" in cache.check()._repr_html_()
    assert str(cache.folder) in repr(cache)


def test_a_cache_that_nobody_uses_frees_its_memory_at_once(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings", ttl=3600)
    held = weakref.ref(cache.put(KEY, some(), about={}))
    gc.collect()
    gc.disable()
    try:
        assert held() is not None
        del cache
        assert held() is None
    finally:
        gc.enable()
