"""Processes killed at any moment of writing, evicting and collecting; and processes that share one prewarm."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samnb
from samnb.cache import CacheReport, EmbeddingCache
from samnb.session import Session
from samnb.store.entry import round_trip, serialize
from tests.support.cache_child import key_of, tiny_of
from tests.support.waiting import Stopwatch, wait_until

KILLS = int(os.environ.get("SAMNB_TEST_KILLS", "200"))
SUPPORT = Path(__file__).parents[1] / "support"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(samnb.__file__).parents[1])}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kills_at_any_moment_leave_a_sound_store_within_its_budget(tmp_path: Path) -> None:
    folder, chance = tmp_path / "embeddings", random.Random(0)
    entry = len(serialize(key_of(0), tiny_of(0), dtype="float16", metadata={"pixel_hash": "1234567"}))
    budget = 40 * entry
    nursery = subprocess.Popen(
        [sys.executable, SUPPORT / "cache_child.py", "nursery", folder, str(budget)],
        env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    indexes = {key_of(0): 0}
    for kill in range(KILLS):
        first = 1000 * (kill + 1)
        indexes |= {key_of(index): index for index in range(first, first + 200)}
        nursery.stdin.write(f"{first}\n")
        nursery.stdin.flush()
        child = int(nursery.stdout.readline())
        time.sleep(chance.expovariate(1 / 0.02))
        os.kill(child, signal.SIGKILL)
        assert nursery.stdout.readline() == "gone\n"
        assert sum(path.stat().st_size for path in folder.glob("??/??/*.safetensors")) <= budget
    nursery.stdin.close()
    assert nursery.wait(300) == 0

    cache = EmbeddingCache(folder, disk_bytes=budget, min_free_bytes=0, memory_bytes=0)
    watch = Stopwatch()
    cache.put(key_of(1), tiny_of(1), about={})  # no lock was left behind
    assert watch.seconds < 50  # a lock is waited for longer
    indexes[key_of(1)] = 1
    keys = list(cache.keys())
    assert len(keys) >= 5
    for key in keys:
        fresh = round_trip(tiny_of(indexes[key]), "float16")
        assert np.array_equal(cache.get(key).tensors["t"], fresh.tensors["t"])
    assert cache.stats().quarantined == 0
    for left in folder.glob("??/??/.tmp-*"):
        os.utime(left, (time.time() - 7200,) * 2)
    assert cache.check(fix=True).ok
    assert cache.check() == CacheReport(entries=len(keys))
    assert cache._disk.usage.total().entries == len(keys)
    assert cache._evictor.pins.of_all_processes() == set()


def start_prewarm(folder: Path, log: Path, seconds: float, *start: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, SUPPORT / "prewarm_child.py", folder, log, str(seconds), *start]
    return subprocess.Popen(command, env=ENVIRONMENT)


@pytest.fixture
def session_folder(tmp_path: Path) -> Path:
    """A session of forty images, none of them cached."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(40):
        pixels = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(pictures / f"{index:02}.png")
    with Session(tmp_path / "session") as session:
        session.add(pictures)
    return tmp_path / "session"


def encodes(log: Path) -> Counter[str]:
    return Counter(line for line in log.read_text().splitlines() if line.startswith("encode"))


@pytest.mark.slow
def test_four_processes_encode_forty_images_forty_times(session_folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    children = [start_prewarm(session_folder, log, 0.02) for _ in range(4)]
    assert [child.wait(300) for child in children] == [0] * 4
    assert log.read_text().splitlines().count("done") == 4
    assert encodes(log).total() == len(encodes(log)) == 40
    assert EmbeddingCache(session_folder / "embeddings").check() == CacheReport(entries=40)


@pytest.mark.slow
def test_one_of_four_killed_in_the_middle_costs_at_most_what_it_has_in_hand(
    session_folder: Path, tmp_path: Path
) -> None:
    log, its_log, start, its_start = (tmp_path / name for name in ("log", "its log", "start", "its start"))
    log.touch()
    its_log.touch()
    victim = start_prewarm(session_folder, its_log, 1, its_start)  # slow: alone it would need 40 seconds for all
    children = [start_prewarm(session_folder, log, 0.1, start) for _ in range(3)]
    wait_until("four are ready", lambda: (log.read_text() + its_log.read_text()).splitlines().count("ready") == 4)
    its_start.touch()
    # It begins alone: quick neighbours might take all 40.
    wait_until("the victim encodes", lambda: encodes(its_log).total() >= 1, every=0.005)
    start.touch()
    wait_until("the others encode", lambda: encodes(log).total() >= 1, every=0.005)
    victim.kill()
    victim.wait()
    assert [child.wait(300) for child in children] == [0] * 3
    by_victim, by_others = encodes(its_log), encodes(log)
    assert by_others.total() == len(by_others)
    assert len(by_victim | by_others) == 40
    assert by_victim.total() + by_others.total() <= 44  # one in the net, few on their way to the disk
    assert EmbeddingCache(session_folder / "embeddings").check().entries == 40
