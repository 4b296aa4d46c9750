"""A process of its own for test_cache.py, made to be killed or to compete with others.

python cache_child.py write FOLDER FIRST     put entries FIRST, FIRST+1, … until killed
python cache_child.py ask FOLDER COUNT DIR   ask for entries 0 … COUNT-1; one file in DIR for each it computes
python cache_child.py hold FOLDER DIR        compute entry 0 for ever; "started" in DIR once it does
python cache_child.py nursery FOLDER BUDGET  for each line FIRST on stdin: a new process, its number on stdout, that
                                             writes, reads, evicts and collects from entry FIRST on until killed
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from pathlib import Path

import numpy as np

from samnb.cache import EmbeddingCache, make_key
from samnb.prompts import Embedding
from samnb.store import key_locks


def key_of(index: int) -> str:
    """The key of a numbered entry."""
    return make_key(str(index), "weights", "recipe")


def embedding_of(index: int) -> Embedding:
    """What a numbered entry holds: exact in float16, and different in every value from its neighbours'."""
    values = (np.arange(64 * 32 * 32).reshape(64, 32, 32) + index) % 2048
    tensors = {"image_embedding": np.float32(values), "number": np.float32([index // 1000, index % 1000])}
    return Embedding(tensors, (48, 64), (768, 1024))


def write(folder: str, first: str) -> None:
    cache = EmbeddingCache(folder, memory_bytes=0)
    for index in itertools.count(int(first)):
        cache.put(key_of(index), embedding_of(index), about={"filename": f"{index}.png"})
        if index == int(first):
            print("writing", flush=True)


def ask(folder: str, count: str, computed: str) -> None:
    cache = EmbeddingCache(folder)
    indexes = list(range(int(count)))
    random.Random(os.getpid()).shuffle(indexes)
    print("ready", flush=True)
    sys.stdin.readline()

    def compute(index: int) -> Embedding:
        Path(computed, f"{index}-{os.getpid()}").touch()
        time.sleep(0.01)
        return embedding_of(index)

    for index in indexes:
        got, _ = cache.get_or_compute(key_of(index), lambda index=index: compute(index), about={})
        assert got.tensors["number"][1] == index


def hold(folder: str, started: str) -> None:
    def compute() -> Embedding:
        Path(started, "started").touch()
        time.sleep(600)
        raise AssertionError("nobody killed me")

    EmbeddingCache(folder).get_or_compute(key_of(0), compute, about={})


def tiny_of(index: int) -> Embedding:
    """A numbered entry of a few bytes."""
    return Embedding({"t": np.full((8, 8), index % 2048, np.float32)}, (4, 4), (4, 4))


def nursery(folder: str, budget: str) -> None:
    os.fsync = lambda file: None  # a killed process loses nothing that it gave to the system
    EmbeddingCache(folder, disk_bytes=int(budget), min_free_bytes=0).put(key_of(0), tiny_of(0), about={})
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            churn(folder, int(budget), int(line))
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


def churn(folder: str, budget: int, first: int) -> None:
    cache, chance = EmbeddingCache(folder, disk_bytes=budget, min_free_bytes=0), random.Random(first)
    for index in itertools.count(first):
        cache.put(key_of(index), tiny_of(index), about={"pixel_hash": str(index)})
        cache.get(key_of(chance.randrange(first, index + 1)))
        action = chance.randrange(30)
        if action == 0:
            cache.collect()
        elif action == 1:
            cache.collect(to_bytes=budget * 3 // 4)
        elif action == 2:
            cache.check(fix=True)
        elif action == 3:
            cache.pin([key_of(index)])


if __name__ == "__main__":
    key_locks.STOPPED_AFTER = 120  # as tests/conftest.py
    {"write": write, "ask": ask, "hold": hold, "nursery": nursery}[sys.argv[1]](*sys.argv[2:])
