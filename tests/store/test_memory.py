"""Embeddings in memory: what is dropped, and what its bytes are."""

import threading

import numpy as np
import pytest

from samnb.errors import StoreError
from samnb.prompts import Embedding
from samnb.store.memory import MemoryTier


def embedding(numbers: int) -> Embedding:
    return Embedding({"t": np.zeros(numbers, np.float32)}, (4, 4), (4, 4))


def test_the_least_recently_used_is_dropped_and_reported():
    dropped = []
    memory = MemoryTier(100, 10, dropped.append)
    held = {key: embedding(10) for key in "ab"}
    assert all(memory.put(key, each) for key, each in held.items())
    assert memory.get("a") is held["a"]
    assert memory.put("c", embedding(10))
    assert (dropped, memory.bytes, len(memory)) == (["b"], 80, 2)
    assert sorted(memory.keys()) == ["a", "c"]
    assert memory.get("b") is None


def test_one_too_large_drops_no_other_and_not_even_stays_in_its_old_form():
    dropped = []
    memory = MemoryTier(100, 10, dropped.append)
    for key in "ab":
        memory.put(key, embedding(10))
    assert not memory.put("a", embedding(26))
    assert (dropped, memory.keys(), memory.bytes) == (["a"], ["b"], 40)


def test_a_key_put_again_counts_once():
    memory = MemoryTier(100, 10)
    memory.put("a", embedding(10))
    memory.put("a", embedding(20))
    assert (len(memory), memory.bytes) == (1, 80)
    assert memory.discard("a")
    assert not memory.discard("a")
    assert (len(memory), memory.bytes) == (0, 0)


def test_the_number_of_entries_is_limited_too():
    dropped = []
    memory = MemoryTier(10**6, 2, dropped.append)
    for key in "abc":
        memory.put(key, embedding(1))
    assert (dropped, len(memory), memory.bytes) == (["a"], 2, 8)
    assert not MemoryTier(10**6, 0).put("a", embedding(1))
    assert not MemoryTier(0, 10).put("a", embedding(1))


def test_clear_reports_nothing():
    dropped = []
    memory = MemoryTier(100, 10, dropped.append)
    memory.put("a", embedding(10))
    memory.clear()
    assert (dropped, len(memory), memory.bytes) == ([], 0, 0)
    assert memory.put("a", embedding(10))


@pytest.mark.parametrize(("limit", "entries"), [(-1, 1), (1, -1), ("1", 1)])
def test_a_limit_is_a_number_that_is_not_negative(limit, entries):
    with pytest.raises(StoreError, match="expected 0 or more"):
        MemoryTier(limit, entries)


def test_threads_leave_the_bytes_right():
    memory = MemoryTier(400, 10)

    def work(start):
        for number in range(300):
            key = str((start + number) % 17)
            memory.put(key, embedding(1 + number % 9))
            memory.get(key)
            if number % 5 == 0:
                memory.discard(key)

    threads = [threading.Thread(target=work, args=[start]) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = memory.keys()
    assert memory.bytes == sum(memory.get(key).nbytes for key in held) <= 400
    assert len(memory) <= 10
