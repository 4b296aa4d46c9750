"""How much a folder holds, counted by several processes, some of which are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from samnb.store.usage import SHARDS, Usage, UsageFile

COUNT_IN = """
import sys
from pathlib import Path
from samnb.store.usage import Usage, UsageFile
usage = UsageFile(Path(sys.argv[1]), lambda shard: Usage(0, 0))
for index in range(int(sys.argv[2])):
    assert usage.reserve(index % 7, 10, limit=10**9)
"""


def nothing(shard: int) -> Usage:
    return Usage(0, 0)


@pytest.fixture
def usage(tmp_path: Path) -> UsageFile:
    return UsageFile(tmp_path / "store" / "usage", nothing)


def test_it_adds_up_over_slices_and_makes_no_file_to_look(usage: UsageFile, tmp_path: Path) -> None:
    assert usage.total() == Usage(0, 0)
    assert not (tmp_path / "store").exists()
    assert usage.reserve(0, 100, limit=1000)
    assert usage.reserve(255, 50, limit=1000)
    usage.change(0, -1, -30)
    assert usage.total() == Usage(1, 120)
    assert (usage.of(0), usage.of(255), usage.of(1)) == (Usage(0, 70), Usage(1, 50), Usage(0, 0))
    assert (tmp_path / "store" / "usage").stat().st_size == 4096


def test_a_reservation_beyond_the_limit_is_refused_and_not_counted(usage: UsageFile) -> None:
    assert usage.reserve(1, 600, limit=1000)
    assert not usage.reserve(2, 401, limit=1000)
    assert usage.reserve(2, 400, limit=1000)
    assert usage.total() == Usage(2, 1000)


def test_it_never_goes_below_nothing(usage: UsageFile) -> None:
    usage.reserve(3, 10, limit=100)
    usage.change(3, -5, -1000)
    assert usage.total() == Usage(0, 0)


@pytest.mark.parametrize("left", [None, b"", b"torn" * 100, b"x" * 5000])
def test_a_file_that_is_lost_or_torn_is_counted_again(tmp_path: Path, left: bytes | None) -> None:
    counted = []

    def count(shard: int) -> Usage:
        counted.append(shard)
        return Usage(2, 30) if shard == 9 else Usage(0, 0)

    path = tmp_path / "usage"
    if left is not None:
        path.write_bytes(left)
    usage = UsageFile(path, count)
    assert usage.reserve(1, 5, limit=1000)
    assert usage.total() == Usage(3, 35)
    assert counted == list(range(SHARDS))  # once
    assert UsageFile(path, count).total() == Usage(3, 35)
    assert len(counted) == SHARDS


def test_a_correction_keeps_what_others_changed_meanwhile(usage: UsageFile) -> None:
    usage.reserve(4, 500, limit=1000)
    before = usage.of(4)
    usage.reserve(4, 20, limit=1000)  # while somebody lists the shard and finds one entry of 100 bytes
    usage.correct(4, Usage(1, 100), before)
    assert usage.of(4) == Usage(2, 120)


def test_threads_and_processes_lose_no_count(usage: UsageFile, tmp_path: Path) -> None:
    path = tmp_path / "store" / "usage"
    usage.reserve(0, 0, limit=1)
    command = [sys.executable, "-c", COUNT_IN, str(path), "300"]
    children = [subprocess.Popen(command, cwd=Path(__file__).parents[2]) for _ in range(2)]

    def work() -> None:
        for index in range(200):
            usage.reserve(index % 7, 10, limit=10**9)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [child.wait(300) for child in children] == [0, 0]
    assert usage.total() == Usage(1 + 2 * 300 + 3 * 200, 10 * (2 * 300 + 3 * 200))


def test_two_that_reserve_at_once_do_not_both_get_the_last_room(usage: UsageFile) -> None:
    got: list[bool] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        got.extend(usage.reserve(shard, 10, limit=250) for shard in range(100))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == 25
    assert usage.total() == Usage(25, 250)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_during_a_change_keeps_nobody_waiting(usage: UsageFile) -> None:
    assert usage.reserve(1, 10, limit=100)
    ends, end = os.pipe()
    with usage._locked():
        child = os.fork()
        if child == 0:
            os.close(end)
            os.read(ends, 1)
            os._exit(0)
    try:
        thread = threading.Thread(target=usage.change, args=(1, 1, 10), daemon=True)
        thread.start()
        thread.join(300)
        assert not thread.is_alive()
    finally:
        os.close(end)
        os.waitpid(child, 0)
        os.close(ends)
    assert usage.total() == Usage(2, 20)


def test_bytes_below_zero_are_counted_again(tmp_path: Path) -> None:
    usage = UsageFile(tmp_path / "usage", lambda shard: Usage(1, 10))
    assert usage.reserve(1, 10, limit=10**6)
    noted = bytearray((tmp_path / "usage").read_bytes())
    noted[16 * 7 + 7] = 0x80
    (tmp_path / "usage").write_bytes(noted)
    assert usage.of(7) is None
    assert usage.total() == Usage(257, 2570)
