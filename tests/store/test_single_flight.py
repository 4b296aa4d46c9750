"""One computation for all threads and processes that ask at the same time."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from samnb.cache import CacheReport, EmbeddingCache
from samnb.errors import ModelError
from samnb.file_locks import FileLock
from samnb.prompts import Embedding
from samnb.store import key_locks, single_flight
from tests.support.embeddings import KEY, same, some, start
from tests.support.waiting import Stopwatch, calls_of, wait_until

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX users, limits or fork")


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
    assert [child.wait(300) for child in children] == [0] * 4
    assert sorted(int(path.name.split("-")[0]) for path in computed.iterdir()) == list(range(20))
    assert EmbeddingCache(tmp_path / "embeddings").check() == CacheReport(entries=20)


def test_a_process_killed_while_computing_blocks_nobody(tmp_path: Path) -> None:
    child = start("hold", tmp_path / "embeddings", tmp_path)
    wait_until("the child computes", (tmp_path / "started").exists)
    child.kill()
    child.wait()
    watch = Stopwatch()
    _, hit = EmbeddingCache(tmp_path / "embeddings").get_or_compute(KEY, some, about={})
    assert not hit
    assert watch.seconds < 60  # ten minutes are waited for one that lives


def test_a_lock_held_too_long_is_passed_by(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_locks, "LOCK_TIMEOUT", 0.1)
    locks = cache.folder / "locks"
    locks.mkdir(parents=True)
    with FileLock(locks / f"{KEY[:2]}.lock"), caplog.at_level(logging.WARNING, "samnb.cache"):
        _, hit = cache.get_or_compute(KEY, some, about={})
    assert not hit
    assert "computing anyway" in caplog.text
    assert KEY in cache


@posix_only
def test_a_stopped_holder_is_said_and_passed_by(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_locks, "SAY_AFTER", 0.2)
    monkeypatch.setattr(key_locks, "STOPPED_AFTER", 0.5)
    locks = cache.folder / "locks"
    locks.mkdir(parents=True)
    other = KEY[:2] + "0" * 62
    with FileLock(locks / f"{KEY[:2]}.lock") as stopped, caplog.at_level(logging.WARNING, "samnb.cache"):
        assert cache.get_or_compute(KEY, some, about={})[1] is False
        assert "waiting for another process" in caplog.text
        assert "is stopped; computing anyway" in caplog.text
        monkeypatch.setattr(key_locks, "STOPPED_AFTER", 600)
        watch = Stopwatch()
        assert cache.get_or_compute(other, some, about={})[1] is False
        assert watch.seconds < 60  # it is known to be stopped
        stopped.touch()
    assert cache.check() == CacheReport(entries=2)


@posix_only
def test_a_holder_that_lives_is_waited_for(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """For three times as long as one that gives no sign of life, by a clock of the test."""
    (cache.folder / "locks").mkdir(parents=True)
    lock, released, now = FileLock(cache.folder / "locks" / f"{KEY[:2]}.lock"), [], [0.0]
    monkeypatch.setattr(key_locks, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep))
    looks = calls_of(monkeypatch, key_locks._Waiting, "go_on")

    def looked_again() -> None:
        before = len(looks)
        wait_until("it looks again", lambda: len(looks) > before + 1, every=0.001)

    def live() -> None:
        for beat in range(1, 7):
            looked_again()
            lock.touch()
            os.utime(lock.path, ns=(beat, beat))  # whatever the steps of the file system's clock
            looked_again()
            now[0] += key_locks.STOPPED_AFTER / 2
        released.append(1)
        lock.release()

    lock.acquire()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(live)
        cache.get_or_compute(KEY, lambda: some() if released else pytest.fail("it did not wait"), about={})


@posix_only
def test_the_holder_of_a_lock_gives_signs_of_life(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_locks, "BEAT_EVERY", 0.05)
    path = cache.folder / "locks" / f"{KEY[:2]}.lock"
    seen: set[int] = set()

    def compute() -> Embedding:
        wait_until("it was touched", lambda: seen.add(path.stat().st_mtime_ns) or len(seen) > 2)
        return some()

    cache.get_or_compute(KEY, compute, about={})


@posix_only
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    cache, computing, finish = EmbeddingCache(None), threading.Event(), threading.Event()

    def compute() -> Embedding:
        computing.set()
        assert finish.wait(300)
        return some()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.get_or_compute, KEY, compute, about={})
        assert computing.wait(300)
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
