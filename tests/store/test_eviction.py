"""Budgets: what is evicted, what is not, and what is said when nothing can be."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import subprocess
import sys
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from samnb.cache import EmbeddingCache
from samnb.errors import NoRoom, StoreError
from samnb.file_locks import FileLock
from samnb.prompts import Embedding
from samnb.store import eviction, limits
from samnb.store import folder as entry_folder
from samnb.store.entry import serialize
from samnb.store.pins import Pins
from tests.support.cache_child import key_of


def small(index: int = 0) -> Embedding:
    return Embedding({"t": np.full((16, 16), index % 2048, np.float32)}, (4, 4), (4, 4))


def about(index: int) -> dict[str, str]:
    return {"pixel_hash": f"pixels-{index:03}", "model": "numpy"}


ENTRY = len(serialize(key_of(0), small(), dtype="float16", metadata=about(0)))


def put(cache: EmbeddingCache, index: int, *, age: float = 0.0) -> str:
    """One entry, last used `age` seconds ago."""
    key = key_of(index)
    cache.put(key, small(index), about=about(index))
    if age:
        os.utime(cache.path_of(key), (time.time() - age,) * 2)
    return key


def indexes(cache: EmbeddingCache, count: int = 100) -> list[int]:
    return [index for index in range(count) if key_of(index) in cache]


def on_disk(cache: EmbeddingCache) -> int:
    return sum(path.stat().st_size for path in cache.folder.glob("??/??/*"))


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    """Room for ten entries."""
    return EmbeddingCache(tmp_path / "embeddings", disk_bytes=10 * ENTRY + ENTRY // 2, min_free_bytes=0)


@pytest.fixture
def free_space(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A disk with a size of our choice."""
    disk = SimpleNamespace(total=100 * 10**9, free=80 * 10**9)
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda path: disk)
    return disk


# --- what goes, and what stays


def test_the_least_recently_used_go_and_the_budget_holds(cache: EmbeddingCache) -> None:
    for index in range(10):
        put(cache, index, age=(10 - index) * 3600)
    cache.clear_memory()
    assert cache.get(key_of(0)) is not None  # so it is the youngest
    put(cache, 10)
    held = indexes(cache)
    assert {0, 9, 10} <= set(held)
    assert 1 not in held
    assert held == [0, *range(held[1], 11)]  # the oldest went, in order
    assert on_disk(cache) <= cache.limits.disk_bytes
    stats = cache.stats()
    assert (stats.entries, stats.bytes, stats.evicted) == (len(held), on_disk(cache), 11 - len(held))


def test_a_hundred_writes_stay_within_the_budget(cache: EmbeddingCache) -> None:
    for index in range(100):
        put(cache, index)
        assert on_disk(cache) <= cache.limits.disk_bytes
        assert key_of(index) in cache
    held = indexes(cache)
    assert held == list(range(100 - len(held), 100))
    assert len(held) >= 8
    assert cache.check().miscounted == 0
    assert not list((cache.folder / "trash").iterdir())


def test_use_is_noted_at_most_once_in_ten_minutes(cache: EmbeddingCache) -> None:
    put(cache, 0, age=500)
    put(cache, 1, age=700)
    before = [cache.path_of(key_of(index)).stat().st_mtime for index in (0, 1)]
    for _ in range(2):  # from memory, then from disk
        assert cache.get(key_of(0)) is not None
        assert cache.get(key_of(1)) is not None
        after = [cache.path_of(key_of(index)).stat().st_mtime for index in (0, 1)]
        assert after[0] == before[0]
        assert after[1] > time.time() - 60
        os.utime(cache.path_of(key_of(1)), (time.time() - 700,) * 2)
        cache.clear_memory()


def test_evicted_entries_are_misses_in_memory_too(cache: EmbeddingCache) -> None:
    for index in range(30):
        put(cache, index)
    assert cache.get(key_of(0)) is None
    assert cache.stats().memory_entries == len(cache)


def test_pinned_entries_stay_until_they_are_let_go(cache: EmbeddingCache) -> None:
    cache.pin([put(cache, 0, age=9000), put(cache, 1, age=8000)])
    for index in range(2, 40):
        put(cache, index)
    assert {0, 1} <= set(indexes(cache))
    cache.unpin([key_of(0)])
    for index in range(40, 60):
        put(cache, index)
    assert 0 not in indexes(cache)
    assert 1 in indexes(cache)
    cache.close()
    assert not list((cache.folder / "pins").iterdir())


def test_what_is_no_key_is_neither_pinned_nor_let_go(cache: EmbeddingCache) -> None:
    key = put(cache, 0)
    for wrong in ([key, "coins.jpg"], key, [5]):  # a key alone, without a list, is 64 letters
        with pytest.raises(StoreError, match="not a key"):
            cache.pin(wrong)
    assert not (cache.folder / "pins").exists()
    cache.pin([key])
    with pytest.raises(StoreError, match="not a key"):
        cache.unpin(key)
    cache.collect(to_bytes=0)
    assert indexes(cache) == [0]


PIN = """
import sys
from samnb.cache import EmbeddingCache
cache = EmbeddingCache(sys.argv[1])
cache.pin(sys.argv[2:])
print("pinned", flush=True)
sys.stdin.readline()
"""


def test_pins_of_another_process_hold_while_it_lives(cache: EmbeddingCache) -> None:
    key = put(cache, 0, age=9000)
    child = subprocess.Popen(
        [sys.executable, "-c", PIN, str(cache.folder), key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "pinned\n"
    for index in range(1, 30):
        put(cache, index)
    assert 0 in indexes(cache)
    child.kill()
    child.wait()
    for index in range(30, 60):
        put(cache, index)
    assert 0 not in indexes(cache)
    assert not [path for path in (cache.folder / "pins").iterdir() if path.suffix == ".pins"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_others_put_among_the_pins_hinders_nothing(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samnb.store.pins._LARGEST", 1000)
    cache.pin([put(cache, 0)])
    pins = cache.folder / "pins"
    held = []
    for name, content in {"large": b"a" * 1001, "bytes": b"\xff\xfe", "fine": key_of(7).encode()}.items():
        (pins / f"{name}.pins").write_bytes(content)
        held.append(FileLock(pins / f"{name}.lock"))
    os.mkfifo(pins / "pipe.pins")
    (pins / "folder.pins").mkdir()
    held += [FileLock(pins / f"{name}.lock") for name in ("pipe", "folder")]
    for lock in held:
        lock.acquire()
    assert Pins(cache.folder).of_all_processes() == {key_of(0), key_of(7)}
    for lock in held:
        lock.release()
    assert Pins(cache.folder).of_all_processes() == {key_of(0)}  # what is left of them was of ended processes


def test_pins_of_two_objects_are_seen_by_both(tmp_path: Path) -> None:
    one, two = Pins(tmp_path), Pins(tmp_path)
    one.add([key_of(1)])
    two.add([key_of(2), key_of(3)])
    two.discard([key_of(3)])
    assert one.of_all_processes() == two.of_all_processes() == {key_of(1), key_of(2)}
    del one
    assert two.of_all_processes() == {key_of(2)}
    two.clear()
    assert Pins(tmp_path).of_all_processes() == set()


# --- in the background


def test_the_background_goes_to_the_low_water_mark_and_spares_what_is_young(cache: EmbeddingCache) -> None:
    for index in range(9):
        put(cache, index, age=10_000 - index if index < 4 else 0)
    assert len(indexes(cache)) == 9
    put(cache, 9)  # above the high-water mark, within the budget
    cache._evictor.wait(300)
    held = indexes(cache)
    assert on_disk(cache) <= 0.85 * cache.limits.disk_bytes
    assert held == list(range(10 - len(held), 10))


def test_young_entries_are_spared_by_the_background_but_not_by_a_write_without_room(cache: EmbeddingCache) -> None:
    for index in range(10):
        put(cache, index)
    cache._evictor.wait(300)
    assert cache.collect().evicted == 0
    assert len(indexes(cache)) == 10
    put(cache, 10)
    assert 0 not in indexes(cache)
    assert 10 in indexes(cache)


def test_collect_to_a_size_takes_young_ones_too(cache: EmbeddingCache) -> None:
    for index in range(8):
        put(cache, index)
        os.utime(cache.path_of(key_of(index)), (time.time() - 100 + index,) * 2)
    collected = cache.collect(to_bytes=3 * ENTRY + 10)
    assert (collected.evicted, indexes(cache)) == (5, [5, 6, 7])
    assert "5 evicted" in str(collected)
    assert cache.collect(to_bytes=0).evicted == 3


def test_a_collection_sweeps_what_killed_processes_left(cache: EmbeddingCache) -> None:
    put(cache, 0)
    stale = cache.path_of(key_of(0)).with_name(".tmp-host-1-x")
    trash = cache.folder / "trash" / f"{key_of(1)}.abc"
    trash.parent.mkdir()
    for path in (stale, trash):
        path.write_bytes(b"left")
        os.utime(path, (time.time() - 4000,) * 2)
    cache.folder.joinpath("usage").write_bytes(b"\x01" * 4096)
    assert cache.check().miscounted > 0
    assert cache.collect().swept == 2
    assert not stale.exists()
    assert not trash.exists()
    report = cache.check()
    assert (report.ok, report.miscounted, report.trash) == (True, 0, 0)


def test_two_processes_with_one_budget(cache: EmbeddingCache) -> None:
    other = EmbeddingCache(cache.folder, disk_bytes=cache.limits.disk_bytes, min_free_bytes=0)
    for index in range(60):
        put(cache if index % 2 else other, index)
        assert on_disk(cache) <= cache.limits.disk_bytes
    assert cache.check().miscounted == 0
    assert indexes(cache)[-1] == 59


# --- no room


def test_an_entry_larger_than_the_budget_is_refused_before_it_is_written(cache: EmbeddingCache) -> None:
    put(cache, 0)
    large = Embedding({"t": np.ones((200, 200), np.float32)}, (4, 4), (4, 4))
    with pytest.raises(NoRoom, match=r"larger than the budget.*disk_bytes"):
        cache.put(key_of(1), large, about={})
    assert indexes(cache) == [0]


def test_what_finds_no_room_is_answered_from_memory_and_said_once(
    cache: EmbeddingCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.pin([put(cache, index) for index in range(10)])
    computed = []
    with caplog.at_level(logging.WARNING, "samnb.cache"):
        for _ in range(2):
            for index in (20, 21):
                got, _ = cache.get_or_compute(
                    key_of(index), lambda index=index: computed.append(index) or small(index), about={}
                )
                assert got.tensors["t"][0, 0] == index
    assert computed == [20, 21]  # once each, although no file holds them
    assert key_of(20) not in cache
    assert caplog.text.count("kept in memory only") == 1
    assert "10 pinned" in caplog.text
    assert cache.stats().refused == 2
    assert indexes(cache) == list(range(10))
    cache.unpin([key_of(0)])
    cache.clear_memory()
    assert cache.get_or_compute(key_of(20), lambda: small(20), about={})[1] is False
    assert key_of(20) in cache


def test_the_free_space_of_the_disk_is_kept(tmp_path: Path, free_space: SimpleNamespace) -> None:
    cache = EmbeddingCache(tmp_path, min_free_bytes=10**9)
    for index in range(5):
        put(cache, index, age=5000 - index)
    free_space.free = 10**9 + ENTRY // 2  # somebody else filled it
    put(cache, 5)
    assert 0 not in indexes(cache)
    assert 5 in indexes(cache)
    free_space.free = 10**6
    with pytest.raises(NoRoom, match="free space"):
        put(cache, 6)
    assert 6 not in indexes(cache)


def test_what_a_remote_tier_has_is_answered_though_the_disk_has_no_room(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    shared = [(tmp_path / "shared").as_uri()]
    there = EmbeddingCache(tmp_path / "there", remote=shared)
    put(there, 0)
    there.close()
    here = EmbeddingCache(tmp_path / "here", remote=shared, disk_bytes=100, min_free_bytes=0)
    computed: list[int] = []
    for _ in range(2):
        got, hit = here.get_or_compute(key_of(0), lambda: computed.append(1) or small(), about={})
        assert hit
        assert got.tensors["t"][0, 0] == 0
    assert not computed
    assert key_of(0) not in here
    assert here.stats().refused == 1
    here.close()


@pytest.mark.skipif(os.name != "posix", reason="locks are made otherwise")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_used_without_them(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_locks(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", no_locks)
    for index in range(30):
        assert cache.get_or_compute(key_of(index), lambda index=index: small(index), about=about(index))[1] is False
    cache.pin([key_of(29)])
    assert on_disk(cache) <= cache.limits.disk_bytes
    assert key_of(29) in cache


# --- limits


def test_default_budgets_never_fill_a_disk(tmp_path: Path, free_space: SimpleNamespace) -> None:
    default = limits.Limits()
    assert default.budget(tmp_path, 0) == 16 * 10**9
    assert default.budget(tmp_path, 20 * 10**9) == 20 * 10**9  # what it takes itself counts as free
    free_space.free = 900 * 10**9
    assert default.budget(tmp_path, 0) == 50 * 10**9
    assert default.to_leave_free(tmp_path) == 2 * 10**9
    free_space.total = 10**9
    assert default.to_leave_free(tmp_path) == 5 * 10**7


def test_the_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert limits.space(tmp_path / "not" / "yet").total == limits.space(tmp_path).total


@pytest.mark.parametrize("wrong", [{"disk_bytes": 0}, {"min_free_bytes": -1}, {"ttl": 0}, {"ttl": float("nan")}])
def test_limits_that_are_none(wrong: dict[str, float]) -> None:
    with pytest.raises(StoreError, match=next(iter(wrong))):
        EmbeddingCache(None, **wrong)


# --- age


def test_an_entry_expires_after_its_computation_and_not_after_its_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, for_ever = EmbeddingCache(tmp_path, ttl=3600), EmbeddingCache(tmp_path)
    put(cache, 0)
    assert key_of(0) in cache
    now = time.time()
    monkeypatch.setattr(limits, "time", SimpleNamespace(time=lambda: now + 3700))
    assert key_of(0) not in cache
    assert cache.get(key_of(0)) is None
    assert key_of(0) in for_ever
    assert for_ever.get(key_of(0)) is not None
    assert cache.get_or_compute(key_of(0), small, about={})[1] is False
    monkeypatch.undo()
    assert cache.get(key_of(0)) is not None


def test_expired_entries_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EmbeddingCache(tmp_path, ttl=3600)
    for index in range(3):
        put(cache, index)
    cache.close()
    assert cache.collect().expired == 0
    now = time.time()
    monkeypatch.setattr(limits, "time", SimpleNamespace(time=lambda: now + 3700))
    assert cache.collect().expired == 3
    assert len(cache) == 0


def test_memory_only_entries_expire_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EmbeddingCache(None, ttl=3600)
    put(cache, 0) if cache.folder else cache.put(key_of(0), small(), about={})
    now = time.time()
    assert key_of(0) in cache
    monkeypatch.setattr(limits, "time", SimpleNamespace(time=lambda: now + 3700))
    assert key_of(0) not in cache
    assert cache.get(key_of(0)) is None


# --- order under load


def test_the_order_of_eviction_is_that_of_use_to_within_the_touch_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interval = 0.05
    monkeypatch.setattr(eviction, "TOUCH_AFTER", interval)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    entries = int(os.environ.get("SAMNB_TEST_ENTRIES", "400"))
    cache = EmbeddingCache(tmp_path, disk_bytes=entries // 4 * ENTRY, min_free_bytes=0, memory_bytes=0)
    chance, used = random.Random(0), {}  # by entry, from when to when its last use was
    for index in range(entries):
        began = time.time()
        put(cache, index)
        used[index] = began, time.time()
        for other in chance.sample(sorted(used), min(2, len(used))):
            began = time.time()
            if cache.get(key_of(other)) is not None:
                used[other] = began, time.time()
            else:
                used.pop(other)
    assert on_disk(cache) <= cache.limits.disk_bytes
    held = set(indexes(cache, entries))
    gone = [used[index][0] for index in used if index not in held]
    assert len(held) > entries // 8
    # what went since the last look at it was used before whatever stayed, give or take what is not noted
    oldest_held = min(used[index][1] for index in held)
    assert max(gone, default=0) <= oldest_held + interval + 0.02


# --- what goes wrong around it


@pytest.mark.parametrize(("place", "value"), [(16 * 7 + 6, 1), (16 * 7 + 7, 0x80), (16 * 9 + 14, 1)])
def test_a_usage_file_with_a_wrong_number_evicts_nothing(tmp_path: Path, place: int, value: int) -> None:
    for index in range(8):
        put(EmbeddingCache(tmp_path, min_free_bytes=0), index)
    noted = bytearray((tmp_path / "usage").read_bytes())
    noted[place] = value
    (tmp_path / "usage").write_bytes(noted)
    again = EmbeddingCache(tmp_path, disk_bytes=20 * ENTRY, min_free_bytes=0)
    put(again, 8)
    assert indexes(again) == list(range(9))
    assert again.stats().evicted == 0


def test_pins_survive_the_loss_of_the_whole_folder(cache: EmbeddingCache) -> None:
    keys = [put(cache, index) for index in range(3)]
    cache.pin(keys[:2])
    shutil.rmtree(cache.folder)
    cache.unpin(keys[:1])
    cache.pin(keys[2:])
    assert Pins(cache.folder).of_all_processes() == set(keys[1:])
    cache.close()
    assert Pins(cache.folder).of_all_processes() == set()


def test_letting_go_of_a_pin_needs_no_room_on_the_disk(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [put(cache, index) for index in range(3)]
    cache.pin(keys[:2])

    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        cache.unpin(keys[:1])
        cache.pin(keys[2:])
    cache.collect(to_bytes=0)
    assert indexes(cache) == [1]


def test_pins_that_may_not_be_looked_at_count_and_hinder_no_eviction(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = EmbeddingCache(cache.folder)
    for index in range(3):
        put(cache, index)
    other.pin([key_of(1)])

    def forbidden(self: object, *args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    real = FileLock.acquire

    def acquire(self: FileLock, *args: object, **options: object) -> object:
        call = forbidden if self.path.parent.name == "pins" else real
        return call(self, *args, **options)

    monkeypatch.setattr(FileLock, "acquire", acquire)
    cache.collect(to_bytes=0)
    assert indexes(cache) == [1]


@pytest.mark.parametrize("wrong", [{"memory_bytes": -1}, {"max_entries": -1}, {"memory_bytes": "1GB"}])
def test_memory_limits_that_are_none(wrong: dict[str, object]) -> None:
    with pytest.raises(StoreError, match=next(iter(wrong))):
        EmbeddingCache(None, **wrong)


@pytest.mark.parametrize("limit", [{"max_entries": 2}, {"memory_bytes": 0}])
def test_nothing_is_remembered_of_what_memory_dropped(tmp_path: Path, limit: dict[str, int]) -> None:
    expiring = EmbeddingCache(tmp_path / "a", min_free_bytes=0, ttl=3600, **limit)
    refusing = EmbeddingCache(tmp_path / "b", disk_bytes=10, **limit)
    for index in range(20):
        put(expiring, index)
        refusing.get_or_compute(key_of(index), lambda: small(), about=about(index))
    held = limit.get("max_entries", 0)
    assert (len(expiring._notes.headers), len(refusing._notes.unstored)) == (held, held)
    assert expiring.get(key_of(0)) is not None


def test_pins_that_come_and_go_leave_nothing_in_memory(cache: EmbeddingCache) -> None:
    before = len(weakref.finalize._registry)
    for _ in range(20):
        cache.pin([key_of(0)])
        cache.unpin([key_of(0)])
    assert len(weakref.finalize._registry) == before
    assert not list((cache.folder / "pins").iterdir())


def test_the_quarantine_does_not_grow_without_end(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_folder, "KEEP_DAMAGED", 3)
    for index in range(6):
        path = cache.path_of(put(cache, index, age=(6 - index) * 60))
        used = path.stat().st_mtime
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        os.utime(path, (used, used))
    assert len(cache.check(fix=True).damaged) == 6
    kept = sorted(path.name[:64] for path in (cache.folder / "quarantine").iterdir())
    assert kept == sorted(key_of(index) for index in (3, 4, 5))


def test_a_disk_without_room_for_a_file_more_can_be_evicted(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes room needs none: neither a lock's file nor the folder of the trash."""
    for index in range(4):
        put(cache, index, age=9000 - index)
    really_open, really_mkdir = os.open, os.mkdir

    def full_open(path: object, flags: int, *more: int) -> int:
        if flags & os.O_CREAT and not os.path.lexists(path):  # type: ignore[arg-type]
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return really_open(path, flags, *more)  # type: ignore[arg-type]

    def full_mkdir(path: object, *more: int, **options: int) -> None:
        if os.path.lexists(path):  # type: ignore[arg-type]
            really_mkdir(path, *more, **options)  # type: ignore[arg-type]
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    shutil.rmtree(cache.folder / "trash", ignore_errors=True)
    (cache.folder / "locks" / "gc.lock").unlink(missing_ok=True)
    monkeypatch.setattr(os, "open", full_open)
    monkeypatch.setattr(os, "mkdir", full_mkdir)
    report = cache.collect(to_bytes=ENTRY)
    assert report.evicted == 3
    assert indexes(cache) == [3]
    assert [file.name for file in cache.folder.rglob("*.*") if file.is_file()] == [cache.path_of(key_of(3)).name]


def test_room_is_made_for_what_counting_finds_missing(tmp_path: Path) -> None:
    """A killed writer leaves a temporary file that was not counted yet: more is missing than the count said."""
    cache = EmbeddingCache(tmp_path, min_free_bytes=0, disk_bytes=int(3.5 * ENTRY))
    for index in range(3):
        put(cache, index)
    (cache.path_of(key_of(0)).parent / f".tmp-{ENTRY}-host-1-0").touch()
    put(cache, 3)
    assert 3 in indexes(cache)


def test_what_is_in_the_trash_is_gone_also_where_the_disk_refuses_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, told = EmbeddingCache(tmp_path, memory_bytes=0), []
    for index in range(4):
        put(cache, index, age=5000 - index)
    cache._evictor._on_evicted = lambda gone: told.extend(gone)
    trash = entry_folder.EntryFolder.trash

    def refused(folder: entry_folder.EntryFolder, entry: object) -> Path | None:
        if entry.key == key_of(2):  # type: ignore[attr-defined]
            raise StoreError("the disk refuses")
        return trash(folder, entry)  # type: ignore[arg-type]

    monkeypatch.setattr(entry_folder.EntryFolder, "trash", refused)
    with pytest.raises(StoreError, match="the disk refuses"):
        cache.collect(to_bytes=0)
    assert told == [key_of(0), key_of(1)]
    monkeypatch.setattr(entry_folder.EntryFolder, "trash", trash)

    def stuck(folder: entry_folder.EntryFolder, paths: object) -> None:
        raise StoreError("not deleted")

    monkeypatch.setattr(
        entry_folder.EntryFolder, "delete", lambda folder, paths: stuck(folder, paths) if [*paths] else None
    )
    with pytest.raises(StoreError, match="not deleted"):
        cache.collect(to_bytes=0)
    assert sorted(told) == sorted(key_of(index) for index in range(4))
    assert indexes(cache) == []


def test_limits_are_numbers_also_of_numpy(tmp_path: Path) -> None:
    limits = {"disk_bytes": np.int64(10**9), "memory_bytes": np.int64(10**6), "max_entries": np.int32(5)}
    cache = EmbeddingCache(tmp_path, **limits, ttl=np.float32(60))
    assert cache.get(put(cache, 0)) is not None
    for name in limits:
        with pytest.raises(StoreError, match=f"{name}: expected .* got True"):
            EmbeddingCache(tmp_path, **{name: True})


def test_a_folder_in_place_of_a_lock_of_pins_disturbs_nobody(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    pins.add([key_of(0)])
    (tmp_path / "pins" / "odd.pins").write_text("x")
    (tmp_path / "pins" / "odd.lock").mkdir()
    assert key_of(0) in Pins(tmp_path).of_all_processes()
