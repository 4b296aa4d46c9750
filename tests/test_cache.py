"""The embedding cache, with real files, real threads, real processes and real kills."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

import samnb
from samnb.cache import CacheReport, EmbeddingCache, make_key
from samnb.errors import ModelError, SessionReadOnly, StoreError, UnknownName
from samnb.prompts import Embedding
from samnb.store import folder as entry_folder
from samnb.store import single_flight
from samnb.store.entry import EntryDamaged, deserialize, round_trip, serialize
from samnb.store.entry_files import read_entry
from tests.support.cache_child import embedding_of, key_of
from tests.support.waiting import wait_until

CHILD = Path(__file__).parent / "support" / "cache_child.py"
KEY = key_of(0)
posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX users, limits or fork")


def some(shape: tuple[int, ...] = (8, 4, 4), *, seed: int = 0) -> Embedding:
    values = np.random.default_rng(seed).normal(size=shape)
    return Embedding({"image_embedding": values.astype(np.float32)}, (480, 640), (768, 1024))


def same(a: Embedding | None, b: Embedding | None) -> bool:
    assert a is not None
    assert b is not None
    return (
        list(a.tensors) == list(b.tensors)
        and all(np.array_equal(a.tensors[name], b.tensors[name]) for name in a.tensors)
        and (a.original_size, a.input_size) == (b.original_size, b.input_size)
    )


def start(*arguments: object) -> subprocess.Popen[str]:
    """A child process that talks to us over its stdin and stdout."""
    command = [sys.executable, str(CHILD), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(samnb.__file__).parents[1])}
    return subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "embeddings")


def damage(path: Path, change: Callable[[bytearray], object]) -> None:
    raw = bytearray(path.read_bytes())
    change(raw)
    path.write_bytes(raw)


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


@pytest.mark.parametrize("key", ["", "abc", "../" * 22, "A" * 64, "a" * 64 + "\n"])
def test_anything_but_a_key_is_refused(cache: EmbeddingCache, key: str) -> None:
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


# --- damage


def test_no_changed_byte_goes_unnoticed() -> None:
    raw = serialize(KEY, some((2, 3)), dtype="float16", metadata={"filename": "a.jpg"})
    deserialize(raw, KEY)
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1 << position % 8
        with pytest.raises(EntryDamaged):
            deserialize(bytes(changed), KEY)
    for length in range(len(raw)):
        with pytest.raises(EntryDamaged):
            deserialize(raw[:length], KEY)
    with pytest.raises(EntryDamaged):
        deserialize(raw + b"\0", KEY)


def zero_a_page(raw: bytearray) -> None:
    raw[8192:12288] = bytes(4096)


def flip_a_byte(raw: bytearray) -> None:
    raw[len(raw) // 2] ^= 0x10


def truncate(raw: bytearray) -> None:
    del raw[-1000:]


@pytest.mark.parametrize("change", [flip_a_byte, zero_a_page, truncate, bytearray.clear])
def test_a_damaged_entry_is_a_miss_set_aside_and_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[bytearray], object]
) -> None:
    good = EmbeddingCache(tmp_path).put(KEY, some((16, 32, 32)), about={})
    cache = EmbeddingCache(tmp_path)
    damage(cache.path_of(KEY), change)
    with caplog.at_level(logging.WARNING, "samnb.cache"):
        assert cache.get(KEY) is None
    assert str(cache.path_of(KEY)) in caplog.text
    assert "checksum" in caplog.text or "not an embedding" in caplog.text
    assert KEY not in cache
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    again, hit = cache.get_or_compute(KEY, lambda: some((16, 32, 32)), about={})
    assert not hit
    assert same(again, good)
    assert same(EmbeddingCache(tmp_path).get(KEY), good)
    assert (cache.stats().quarantined, cache.stats().computed, cache.stats().misses) == (1, 1, 2)


def test_an_entry_under_another_key_is_not_served(cache: EmbeddingCache) -> None:
    cache.put(KEY, some(), about={})
    other = cache.path_of(key_of(1))
    other.parent.mkdir(parents=True)
    os.replace(cache.path_of(KEY), other)
    assert cache.get(key_of(1)) is None
    assert cache.get(KEY) is None
    assert cache.check().quarantined == 1


def test_a_sound_entry_published_meanwhile_is_not_set_aside(tmp_path: Path) -> None:
    # two readers met the damage; the first has moved it and published again before the second gets to it
    cache = EmbeddingCache(tmp_path, memory_bytes=0)
    cache.put(KEY, some(), about={})
    damage(cache.path_of(KEY), flip_a_byte)
    folder = entry_folder.EntryFolder(tmp_path)
    with pytest.raises(EntryDamaged) as caught:
        read_entry(str(cache.path_of(KEY)), KEY)
    assert cache.get(KEY) is None
    cache.put(KEY, some(), about={})
    folder.quarantine(cache.path_of(KEY), caught.value)
    assert cache.get(KEY) is not None


def test_check_finds_and_mends(cache: EmbeddingCache) -> None:
    for index in range(5):
        cache.put(key_of(index), some(), about={})
    assert cache.check() == CacheReport(entries=5)
    damage(cache.path_of(key_of(1)), flip_a_byte)
    misplaced = cache.path_of(key_of(2)).with_name(f"{key_of(3)}.safetensors")
    shutil.copy(cache.path_of(key_of(3)), misplaced)
    stale, fresh = (cache.path_of(key_of(4)).with_name(f".tmp-host-1-{name}") for name in ("stale", "fresh"))
    stale.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(stale, (time.time() - 3700,) * 2)

    report = cache.check()
    assert not report.ok
    assert {path for path, _ in report.damaged} == {cache.path_of(key_of(1)), misplaced}
    assert (report.entries, report.stale_temporary, report.quarantined) == (4, (stale,), 0)
    assert len(cache) == 5  # looking changes nothing

    mended = cache.check(fix=True)
    assert mended.ok
    assert (mended.damaged, mended.stale_temporary, mended.quarantined) == (report.damaged, (stale,), 2)
    assert "fixed" in mended._repr_html_()
    assert not stale.exists()
    assert fresh.exists()
    assert cache.check() == CacheReport(entries=4, quarantined=2)
    assert cache.get(key_of(1)) is None


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


# --- one computation


@pytest.fixture
def all_wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Blocks a computation of one of 16 threads until all others wait for it."""

    class CountingFuture(Future):
        def result(self, timeout: float | None = None) -> object:
            waits.append(1)
            return super().result(timeout)

    waits: list[int] = []
    monkeypatch.setattr(single_flight, "Future", CountingFuture)
    return lambda: wait_until("all others wait", lambda: len(waits) >= 15)


def ask_from_threads(cache: EmbeddingCache, compute: Callable[[], Embedding], count: int = 16) -> list[object]:
    """What each thread got: (embedding, hit), or the exception it saw."""
    barrier = threading.Barrier(count)

    def ask(_: int) -> object:
        barrier.wait()
        try:
            return cache.get_or_compute(KEY, compute, about={})
        except BaseException as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


@pytest.mark.parametrize("in_folder", [True, False])
def test_threads_share_one_computation(tmp_path: Path, in_folder: bool, all_wait: Callable[[], object]) -> None:
    cache, computed = EmbeddingCache(tmp_path if in_folder else None), []

    def compute() -> Embedding:
        computed.append(threading.get_ident())
        all_wait()
        return some()

    got = ask_from_threads(cache, compute)
    assert len(computed) == 1
    assert sorted(hit for _, hit in got) == [False] + [True] * 15
    assert all(same(embedding, got[0][0]) for embedding, _ in got)
    stats = cache.stats()
    assert (stats.computed, stats.misses, stats.hits) == (1, 1, 15)


def test_all_threads_see_the_failure_and_the_next_call_tries_again(
    cache: EmbeddingCache, all_wait: Callable[[], object]
) -> None:
    calls = []

    def fail() -> Embedding:
        calls.append(1)
        all_wait()
        raise ModelError("out of memory")

    got = ask_from_threads(cache, fail)
    assert len(calls) == 1
    assert [str(error) for error in got] == ["out of memory"] * 16
    assert cache.get_or_compute(KEY, some, about={})[1] is False
    assert cache.stats().computed == 1


def test_a_thread_takes_the_place_of_one_that_was_interrupted(
    cache: EmbeddingCache, all_wait: Callable[[], object]
) -> None:
    calls = []

    def interrupted_once() -> Embedding:
        calls.append(1)
        all_wait()
        if len(calls) == 1:
            raise KeyboardInterrupt
        return some()

    got = ask_from_threads(cache, interrupted_once)
    assert len(calls) == 2
    assert sum(isinstance(result, KeyboardInterrupt) for result in got) == 1
    assert sum(isinstance(result, tuple) and not result[1] for result in got) == 1


def test_the_embedding_is_the_same_before_and_after_a_restart(cache: EmbeddingCache) -> None:
    first, _ = cache.get_or_compute(KEY, some, about={})
    again, hit = EmbeddingCache(cache.folder).get_or_compute(KEY, some, about={})
    assert hit
    assert same(first, again)
    assert not same(first, some())  # what the encoder gave has more digits than a file keeps


def test_processes_share_one_computation(tmp_path: Path) -> None:
    computed = tmp_path / "computed"
    computed.mkdir()
    children = [start("ask", tmp_path / "embeddings", 20, computed) for _ in range(4)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.wait(60) for child in children] == [0] * 4
    assert sorted(int(path.name.split("-")[0]) for path in computed.iterdir()) == list(range(20))
    assert EmbeddingCache(tmp_path / "embeddings").check() == CacheReport(entries=20)


def test_a_process_killed_while_computing_blocks_nobody(tmp_path: Path) -> None:
    child = start("hold", tmp_path / "embeddings", tmp_path)
    wait_until("the child computes", (tmp_path / "started").exists)
    child.kill()
    child.wait()
    began = time.monotonic()
    _, hit = EmbeddingCache(tmp_path / "embeddings").get_or_compute(KEY, some, about={})
    assert not hit
    assert time.monotonic() - began < 5


def test_a_lock_held_too_long_is_passed_by(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(entry_folder, "LOCK_TIMEOUT", 0.1)
    locks = cache.folder / "locks"
    locks.mkdir(parents=True)
    with FileLock(locks / f"{KEY[:2]}.lock"), caplog.at_level(logging.WARNING, "samnb.cache"):
        _, hit = cache.get_or_compute(KEY, some, about={})
    assert not hit
    assert "computing anyway" in caplog.text
    assert KEY in cache


@posix_only
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    cache, computing, finish = EmbeddingCache(None), threading.Event(), threading.Event()

    def compute() -> Embedding:
        computing.set()
        assert finish.wait(30)
        return some()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.get_or_compute, KEY, compute, about={})
        assert computing.wait(10)
        with cache._lock:
            pid = os.fork()
        if pid == 0:
            hit = True
            try:
                _, hit = cache.get_or_compute(KEY, some, about={})
            finally:
                os._exit(int(hit))
        try:
            status: list[int] = []
            wait_until("the child ends", lambda: bool(status) or _reap(pid, status))
        finally:
            if not status:
                os.kill(pid, 9)
            finish.set()
        assert os.waitstatus_to_exitcode(status[0]) == 0
        assert waiting.result()[1] is False


def _reap(pid: int, status: list[int]) -> bool:
    done, code = os.waitpid(pid, os.WNOHANG)
    status.extend([code] if done else [])
    return bool(done)


# --- crashes, full disks, permissions


@pytest.mark.slow
@posix_only
def test_killed_writers_leave_no_torn_entry(tmp_path: Path) -> None:
    folder, chance = tmp_path / "embeddings", random.Random(1)
    reader = EmbeddingCache(folder, memory_bytes=0)
    index_of: dict[str, int] = {}
    for run in range(20):
        index_of |= {key_of(index): index for index in range(run * 1000, run * 1000 + 200)}
        child = start("write", folder, run * 1000)
        assert child.stdout.readline() == "writing\n"
        end = time.monotonic() + chance.uniform(0, 0.06)
        while time.monotonic() < end:  # read what the child is writing
            key = key_of(run * 1000 + chance.randrange(10))
            if (embedding := reader.get(key)) is not None:
                assert same(embedding, embedding_of(index_of[key]))
        child.kill()
        assert child.wait() == -9
    keys = list(reader.keys())
    assert len(keys) >= 20
    for key in keys:
        assert same(reader.get(key), embedding_of(index_of[key]))
    assert reader.stats().quarantined == 0
    for left in folder.glob("??/??/.tmp-*"):
        os.utime(left, (time.time() - 7200,) * 2)
    assert reader.check(fix=True).ok
    assert reader.check() == CacheReport(entries=len(keys))
    assert not list(folder.glob("??/??/.tmp-*"))


@posix_only
def test_a_full_disk_is_said_and_leaves_no_trace(cache: EmbeddingCache) -> None:
    import resource

    cache.put(KEY, some(), about={})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # a write fails half way
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            cache.put(key_of(1), some((256, 64, 64)), about={})
        with pytest.raises(StoreError, match="free some space"):
            cache.get_or_compute(key_of(1), lambda: some((256, 64, 64)), about={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert key_of(1) not in cache
    assert cache.get(key_of(1)) is None
    assert not list(cache.folder.glob("??/??/.tmp-*"))
    assert cache.check() == CacheReport(entries=1)  # and no room stays reserved for what was not written
    assert same(EmbeddingCache(cache.folder).get(KEY), cache.get(KEY))
    assert cache.get_or_compute(key_of(1), some, about={})[1] is False


@pytest.fixture
def open_folder() -> Iterator[Path]:
    # pytest's own folders are closed to other users
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def locked(mode: int, *paths: Path) -> Iterator[None]:
    """With `paths` at `mode`, and without root's power to ignore that."""
    before = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(mode)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, old in zip(paths, before, strict=True):
            path.chmod(old)


@posix_only
def test_a_folder_that_cannot_be_written_can_be_read(open_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = open_folder / "embeddings"
    told = EmbeddingCache(folder).put(KEY, some(), about={})
    EmbeddingCache(folder).put(key_of(1), some(), about={})
    cache = EmbeddingCache(folder)
    damage(cache.path_of(key_of(1)), flip_a_byte)
    computed = []
    folders = [folder, *folder.glob("??"), *folder.glob("??/??")]
    with locked(0o555, *folders), caplog.at_level(logging.WARNING, "samnb.cache"):
        assert same(cache.get(KEY), told)
        assert cache.get_or_compute(KEY, some, about={})[1] is True
        assert cache.get(key_of(1)) is None  # damaged, and must stay where it is
        with pytest.raises(SessionReadOnly, match=str(folder)):
            cache.put(key_of(2), some(), about={})
        with pytest.raises(SessionReadOnly):
            cache.get_or_compute(key_of(2), lambda: computed.append(1) or some(), about={})
        with pytest.raises(SessionReadOnly):
            cache.check(fix=True)
        assert not cache.check().ok
    assert "cannot be moved" in caplog.text
    assert not computed
    assert len(cache) == 2


@posix_only
def test_a_file_that_may_not_be_read_is_not_damage(open_folder: Path) -> None:
    folder = open_folder / "embeddings"
    told = EmbeddingCache(folder).put(KEY, some(), about={})
    cache = EmbeddingCache(folder)
    path = cache.path_of(KEY)
    with locked(0o000, path):
        with pytest.raises(StoreError, match="cannot be read"):
            cache.get(KEY)
        with pytest.raises(StoreError, match="cannot be read"):
            cache.get_or_compute(KEY, some, about={})
        report = cache.check()
        assert (report.ok, report.damaged, [where for where, _ in report.unreadable]) == (False, (), [path])
    with locked(0o000, path.parent), pytest.raises(StoreError, match="cannot be read"):
        assert KEY in cache
    assert same(cache.get(KEY), told)
    assert cache.stats().quarantined == 0


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "embeddings").write_text("not a folder")
    cache = EmbeddingCache(tmp_path / "embeddings")
    assert KEY not in cache
    with pytest.raises(StoreError, match="cannot be written"):
        cache.put(KEY, some(), about={})


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


@posix_only
def test_what_a_remote_tier_has_is_served_where_nothing_can_be_kept(
    open_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remote = open_folder / "remote"
    remote.mkdir()
    with closing(EmbeddingCache(open_folder / "first", remote=[remote.as_uri()])) as first:
        told = [first.put(key_of(number), some(), about={}) for number in range(2)]
    (open_folder / "second").mkdir()
    second, computed = EmbeddingCache(open_folder / "second", remote=[remote.as_uri()]), []
    with closing(second), locked(0o555, open_folder / "second"), caplog.at_level(logging.WARNING, "samnb.cache"):
        for number, expected in enumerate(told):
            found, hit = second.get_or_compute(key_of(number), lambda: computed.append(1) or some(), about={})
            assert same(found, expected)
            assert hit
        with pytest.raises(SessionReadOnly):
            second.get_or_compute(key_of(9), lambda: computed.append(1) or some(), about={})
    assert caplog.text.count("is kept in memory only") == 1
    assert not computed
