"""Many small entries under a budget, read and written at random: does the store stay within it, and what goes first?

    python benchmarks/cache_budget.py [--entries 10000]

Nothing is flushed to the disk here (no fsync): what is measured is the keeping of the budget, not the disk. Opening is
timed with 1,000, 10,000, … entries in the store: it does not list them.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from samnb.cache import EmbeddingCache, make_key
from samnb.prompts import Embedding
from samnb.session import Session
from samnb.store import eviction as budgets
from samnb.store.entry import serialize

SMALL = Embedding({"t": np.zeros((8, 8), np.float32)}, (8, 8), (8, 8))


def key_of(index: int) -> str:
    """The key of a numbered entry."""
    return make_key(f"{index}", "weights", "recipe")


def opening_times(folder: Path, upto: int) -> None:
    """Print how long a session, and a cache, take to open on a store that grows."""
    index, sizes = 0, [size for size in (1000, 10_000, 100_000) if size <= upto]
    with Session(folder) as session:
        session.add([np.random.default_rng(i).integers(0, 256, (24, 32, 3), np.uint8) for i in range(10)])
    for size in sizes:
        with Session(folder, cache={"disk_bytes": 1 << 40}) as session:
            while index < size:
                session.cache.put(key_of(index), SMALL, about={})
                index += 1
        opened, stats = [], []
        for _ in range(9):
            began = time.perf_counter()
            session = Session(folder)
            opened.append(time.perf_counter() - began)
            began = time.perf_counter()
            session.cache.stats()
            stats.append(time.perf_counter() - began)
            session.close()
        print(
            f"  {size:>7,} entries: a session of 10 images opens in {median(opened) * 1000:.1f} ms, "
            f"stats take {median(stats) * 1000:.1f} ms"
        )


def random_use(folder: Path, entries: int) -> None:
    """Write `entries` entries into room for a quarter of them, reading others between; print what became of them."""
    chance, used, touch = random.Random(0), {}, 0.5
    budgets.TOUCH_AFTER = touch
    entry = len(serialize(key_of(0), SMALL, dtype="float16", metadata={}))
    cache = EmbeddingCache(folder, disk_bytes=entries // 4 * entry, min_free_bytes=0, memory_bytes=0)
    held: set[int] = set()
    spent, most, slowest, evicted, early = 0.0, 0, 0.0, 0, 0
    for index in range(entries):
        start = time.perf_counter()
        cache.put(key_of(index), SMALL, about={})
        slowest = max(slowest, time.perf_counter() - start)
        other = chance.randrange(max(0, index - entries // 3), index + 1)
        there = cache.get(key_of(other)) is not None
        spent += time.perf_counter() - start
        held.add(index)
        used[index] = time.time()
        used[other] = time.time() if there else used[other]
        most = max(most, cache._disk.usage.total().bytes)
        if cache._evictor.evicted != evicted:
            evicted = cache._evictor.evicted
            gone = {one for one in held if key_of(one) not in cache}
            held -= gone
            oldest_held = min(used[one] for one in held)
            early += sum(used[one] > oldest_held + touch for one in gone)
    cache._evictor.wait()
    sizes = [found.size for found in cache._disk.entries()]
    noted = cache._disk.usage.total().bytes
    print(
        f"  {entries:,} writes and as many reads in {spent:.1f} s: {spent / entries * 1e3:.2f} ms a pair, "
        f"the slowest write {slowest * 1e3:.0f} ms"
        f"\n  budget {cache.limits.disk_bytes:,} bytes; at most {most:,} in use, in the end {sum(sizes):,} "
        f"in {len(sizes):,} files ({noted - sum(sizes):+,} bytes in the usage file); {cache.stats().evicted:,} evicted"
        f"\n  evicted although used more than {touch} s later than an entry that stayed: {early}"
    )
    assert most <= cache.limits.disk_bytes
    assert sum(sizes) <= noted <= cache.limits.disk_bytes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=10_000)
    count = parser.parse_args().entries
    os.fsync = lambda file: None
    with tempfile.TemporaryDirectory() as folder:
        print("under a budget")
        random_use(Path(folder) / "embeddings", count)
    with tempfile.TemporaryDirectory() as folder:
        print("opening")
        opening_times(Path(folder) / "session", count)
