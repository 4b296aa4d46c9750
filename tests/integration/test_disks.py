"""What was reported as done survives power cuts and disks that are full, out of inodes, or read-only of a sudden.

Of each file system that can be mounted here: as root, and one that needs none. DISK_ROUNDS asks for more rounds, with
another seed each time.
`python -m tests.support.disk_campaign` prints the figures of docs/reliability.md.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.support.disk_campaign import FUSE, KINDS, campaign, why_not
from tests.support.forgetful_disk import Disk, Served, forgetful_disk

ROUNDS = os.environ.get("DISK_ROUNDS", "")
SEED = time.time_ns() if ROUNDS else 0


def _checked(kind: str, harm: str, rounds: int) -> None:
    if reason := why_not(kind):
        pytest.skip(reason)
    for seed in range(SEED, SEED + 3):  # on a quick machine the work may have ended before every one of few cuts
        outcome = campaign(kind, int(ROUNDS or rounds), harm=harm, seed=seed)
        assert not outcome.wrong, f"seed {seed}: {outcome}"
        assert outcome.rounds.total() == int(ROUNDS or rounds)
        assert outcome.forgotten or kind != FUSE or harm != "power cut"
        assert outcome.reported >= outcome.rounds.total() // 2
        if outcome.at_work.total():
            return
    pytest.fail("nothing was harmed while it was at work, in three campaigns")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_loses_nothing_that_was_reported(kind: str) -> None:
    _checked(kind, "power cut", 8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ext4", FUSE])
@pytest.mark.parametrize("harm", ["full", "no inodes", "read-only"])
def test_a_disk_that_takes_no_more_loses_nothing_that_was_reported(kind: str, harm: str) -> None:
    _checked(kind, harm, 8)


# -- the disk that needs no root forgets what it may, and keeps what it must ---------------------------


def _file(calls: Served, path: str, *, synced: bool, data: bytes = b"12345678") -> None:
    handle = calls.create(path, 0o600, 0)
    for at in range(0, len(data), 2):
        calls.write(path, data[at : at + 2], at, handle)
    if synced:
        calls.fsync(path, False, handle)
    calls.release(path, handle)


def _sync_folder(calls: Served, path: str) -> None:
    handle = calls.opendir(path)
    calls.fsyncdir(path, False, handle)
    calls.releasedir(path, handle)


def _after_cuts(work: Callable[[Served], None], path: str) -> Counter[bytes | None]:
    """What 300 power cuts leave of a file; None: not even its name."""
    left: Counter[bytes | None] = Counter()
    for seed in range(300):
        disk = Disk()
        work(Served(disk))
        disk.cut(random.Random(seed))
        try:
            left[bytes(disk.node(path).data)] += 1
        except OSError:
            left[None] += 1
    return left


def test_of_a_file_that_is_not_synced_any_part_may_be_left() -> None:
    def work(calls: Served) -> None:
        _file(calls, "/a", synced=False)
        _sync_folder(calls, "/")

    left = _after_cuts(work, "/a")

    assert None not in left
    assert {b"", b"12345678", b"1234", b"12\0\0\0\x0078"} <= left.keys()


def test_a_synced_file_in_a_synced_folder_is_left() -> None:
    def work(calls: Served) -> None:
        _file(calls, "/a", synced=True)
        _sync_folder(calls, "/")

    assert _after_cuts(work, "/a").keys() == {b"12345678"}


def test_a_synced_file_in_a_folder_that_is_not_synced_may_be_gone() -> None:
    left = _after_cuts(lambda calls: _file(calls, "/a", synced=True), "/a")

    assert left.keys() == {None, b"12345678"}
    assert 30 < left[None] < 150, "a journal keeps it, in every second cut"


def test_a_file_in_a_new_folder_needs_both_folders_synced() -> None:
    def work(calls: Served) -> None:
        calls.mkdir("/new", 0o700)
        _file(calls, "/new/a", synced=True)
        _sync_folder(calls, "/new")

    assert None in _after_cuts(work, "/new/a")

    def both(calls: Served) -> None:
        work(calls)
        _sync_folder(calls, "/")

    assert None not in _after_cuts(both, "/new/a")


def test_a_rename_is_there_or_not_and_the_old_file_stays_until_then() -> None:
    def work(calls: Served) -> None:
        _file(calls, "/a", synced=True, data=b"old")
        _sync_folder(calls, "/")
        _file(calls, "/new", synced=True, data=b"new")
        calls.rename("/new", "/a")

    assert _after_cuts(work, "/a").keys() == {b"old", b"new"}


def test_a_synced_rename_between_folders_takes_the_old_name_away() -> None:
    def work(calls: Served) -> None:
        calls.mkdir("/in", 0o700)
        _file(calls, "/a", synced=True)
        calls.rename("/a", "/in/a")
        _sync_folder(calls, "/")

    assert _after_cuts(work, "/a").keys() == {None}
    assert _after_cuts(work, "/in/a").keys() == {b"12345678"}


def test_a_disk_off_full_or_read_only_says_so() -> None:
    calls = Served(Disk())
    _file(calls, "/a", synced=False)
    calls.command("fill 3")
    handle = calls.open("/a", 0)
    assert calls.write("/a", b"123456", 8, handle) == 3
    with pytest.raises(OSError, match="full"):
        calls.write("/a", b"456", 11, handle)
    calls.command("room")
    calls.command("names 0")
    with pytest.raises(OSError, match="/b"):
        calls.create("/b", 0o600, 0)
    calls.command("room")
    calls.command("fail")
    with pytest.raises(OSError, match="read-only"):
        calls.unlink("/a")
    assert calls.read("/a", 100, 0, handle) == b"12345678123"
    calls.command("cut 1")
    with pytest.raises(OSError, match="power"):
        calls.read("/a", 100, 0, handle)


def test_it_is_a_file_system_that_a_database_can_work_on() -> None:
    if reason := why_not(FUSE):
        pytest.skip(reason)
    with forgetful_disk() as disk:
        (disk.place / "folder").mkdir()
        database = sqlite3.connect(disk.place / "folder" / "some.db")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE numbers (number)")
        disk.sync()
        for number in range(20):
            (disk.place / "folder" / f"not synced {number}").write_bytes(bytes(1000))
        for number in range(50):
            database.execute("INSERT INTO numbers VALUES (?)", (number,))
            database.commit()
        disk.cut()
        with pytest.raises(OSError, match="Input/output"):
            (disk.place / "folder" / "another").write_bytes(b"1")
        database.close()
        disk.restart()
        with closing(sqlite3.connect(disk.place / "folder" / "some.db")) as again:
            assert again.execute("SELECT count(*) FROM numbers").fetchone() == (50,)
        assert disk.forgotten
