"""Limits of a process and surprises of a machine: files, memory, a folder that vanishes, clocks that step."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samnb.cache import EmbeddingCache
from samnb.errors import SamnbError, StoreError
from samnb.prompts import Embedding
from samnb.session import Session
from tests.support.cache_child import key_of, tiny_of
from tests.support.disk_campaign import Lines, forked
from tests.support.disk_work import WORK, Ledger, look, opened, prepare

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and limits of Linux")

WORKS = [work for work in WORK if work != "migration"]


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, Ledger]:
    ledger = Ledger()
    for line in said_by(lambda say: prepare(tmp_path, say)):
        ledger.note(**line)
    return tmp_path, ledger


def said_by(do: Callable[[Callable[..., None]], object]) -> list[dict[str, Any]]:
    """What a fork says until it ends, by itself or killed."""
    child, pipe = forked(do)
    heard = Lines(pipe)
    assert heard.until("gone", 600), "it hangs"
    os.waitpid(child, 0)
    os.close(pipe)
    assert not [line for line in heard.lines if line["did"] == "raised"], heard.lines
    return heard.lines


def found_by(disk: Path, ledger: Ledger) -> list[str]:
    return [line["wrong"] for line in said_by(lambda say: [say("", wrong=wrong) for wrong in look(disk, ledger)])]


@pytest.mark.slow
def test_no_more_open_files_is_an_error_with_a_way_out(prepared: tuple[Path, Ledger]) -> None:
    import resource

    disk, ledger = prepared
    ended = []
    for work in WORKS:
        for more in (1, 6):

            def do(say: Callable[..., None], work: str = work, more: int = more) -> None:
                with opened(disk) as session:
                    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
                    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
                    while os.open(os.devnull, os.O_RDONLY) <= highest:  # no gaps below it
                        pass
                    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2 + more, hard))
                    WORK[work](session, disk, random.Random(more), say)
                    say("worked")

            lines = said_by(do)
            ended.append(lines[-1]["did"])
            for line in lines:
                ledger.note(**line)
    assert found_by(disk, ledger) == []
    assert ended.count("refused") >= 2, ended


@contextmanager
def memory_group(most: int) -> Iterator[Path]:
    """A control group whose processes together take at most so many bytes more."""
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = root / f"samnb-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(most))
            yield group
            return
        except FileNotFoundError:
            continue
        finally:
            with suppress(OSError):
                group.rmdir()
    pytest.skip("no control group can be made here, which needs Linux and root")


def test_what_ends_for_want_of_memory_loses_nothing_that_was_reported(prepared: tuple[Path, Ledger]) -> None:
    disk, ledger = prepared
    with memory_group(120_000_000) as group:

        def do(say: Callable[..., None]) -> None:
            with opened(disk) as session:
                (group / "cgroup.procs").write_text(str(os.getpid()))
                WORK["add"](session, disk, random.Random(1), say)
                kept = session.accept_mask(session.images()[0], np.ones((160, 160), bool), category="hand")
                say("accepted", objects={kept.id: ["hand", kept.rle["counts"]]})
                session.add({"large.png": _large_picture()}, show=False)
                session.prewarm(show=False).wait(300)
                say("all")

        lines = said_by(do)
    assert [line["did"] for line in lines][-1] == "accepted", "it was to be ended by the system"
    for line in lines:
        ledger.note(**line)
    assert found_by(disk, ledger) == []


def _large_picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6000, 8000, 3), np.uint8)


@pytest.mark.parametrize("put_another", [False, True])
def test_a_catalog_that_vanishes_or_is_replaced_takes_no_more(tmp_path: Path, put_another: bool) -> None:
    with Session(tmp_path / "session") as session:
        image = session.add(np.zeros((60, 80, 3), np.uint8), show=False).images[0]
        copy = shutil.copytree(tmp_path / "session", tmp_path / "copy")
        shutil.rmtree(tmp_path / "session")
        if put_another:
            copy.rename(tmp_path / "session")
        with pytest.raises(StoreError, match="was deleted, moved or replaced while it was open"):
            session.accept_mask(image, np.ones((60, 80), bool), category="hand")
    if put_another:
        with Session(tmp_path / "session") as session:
            session.accept_mask(image, np.ones((60, 80), bool), category="hand")


@pytest.mark.parametrize("work", WORKS)
def test_a_folder_that_vanishes_is_an_error_with_a_way_out(prepared: tuple[Path, Ledger], work: str) -> None:
    disk, _ = prepared

    def do(say: Callable[..., None]) -> None:
        session = opened(disk)
        shutil.rmtree(disk / "session")
        WORK[work](session, disk, random.Random(0), say)

    said = [line["did"] for line in said_by(do)]
    assert not {"added", "accepted", "applied"} & set(said), "nobody can find it"


def test_clocks_that_step_lose_no_entry_and_block_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = 2_000
    cache = EmbeddingCache(tmp_path, disk_bytes=10 * entry, min_free_bytes=0, memory_bytes=0)
    now = time.time
    for step in (0, 400 * 86_400, -400 * 86_400):  # a clock that was a year ahead, and is set right
        monkeypatch.setattr(time, "time", lambda step=step: now() + step)
        for number in range(5):
            cache.put(key_of(number), tiny_of(number), about={})
            os.utime(cache.path_of(key_of(number)), (now() + step,) * 2)
        assert [cache.get(key_of(number)) is not None for number in range(5)] == [True] * 5
        assert cache.check(fix=True).ok
    monkeypatch.setattr(time, "time", now)
    for number in range(100, 130):  # all that is there was used in days to come, and is evicted all the same
        cache.put(key_of(number), tiny_of(number), about={})
    assert cache.get(key_of(129)) is not None
    assert cache._disk.usage.total().bytes <= 10 * entry
    assert cache.collect(to_bytes=0).evicted > 0
    assert len(cache) == 0


def test_a_writer_whose_clock_steps_keeps_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection takes a temporary file for one of a dead writer, since its clock says it is old."""
    cache = EmbeddingCache(tmp_path, min_free_bytes=0, memory_bytes=0)
    replace, now = os.replace, time.time

    def collected_meanwhile(source: Any, target: Any) -> None:
        monkeypatch.setattr(time, "time", lambda: now() + 2 * 86_400)
        EmbeddingCache(tmp_path, min_free_bytes=0).collect()
        monkeypatch.setattr(time, "time", now)
        replace(source, target)

    monkeypatch.setattr(os, "replace", collected_meanwhile)
    with suppress(SamnbError):
        cache.put(key_of(0), Embedding({"t": np.ones(3, np.float32)}, (4, 4), (4, 4)), about={})
    monkeypatch.setattr(os, "replace", replace)
    cache.put(key_of(0), Embedding({"t": np.ones(3, np.float32)}, (4, 4), (4, 4)), about={})
    assert cache.check() == EmbeddingCache(tmp_path).check()
    assert len(cache) == 1
