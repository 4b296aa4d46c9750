"""An apply killed at any moment: running it again completes it, nothing is doubled, nothing by hand is changed.

SAMNB_TEST_APPLY_KILLS says how often; 6 where it is not set.
"""

from __future__ import annotations

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import samnb
import samnb.session
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.support.waiting import wait_until
from tests.templates.test_strategies import RED, scene, truth

KILLS = int(os.environ.get("SAMNB_TEST_APPLY_KILLS", "6"))
SUPPORT = Path(__file__).parents[1] / "support"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(samnb.__file__).parents[1])}
IMAGES = 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty prewarmed pictures with a red square each; six by hand, one of them under another category."""
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as session:
        pictures = [scene([(10 * (n % 10) + 5, 3 * (n // 10) + 10, 40 + n % 3 * 5, RED)]) for n in range(IMAGES)]
        images = session.add(pictures).images
        session.prewarm(show=False).wait()
        session.accept_mask(images[0], truth(pictures[0], RED), category="red")
        session.template("red")
        for number in (5, 11, 17, 23):
            session.accept_mask(images[number], truth(pictures[number], RED), category="red")
        session.accept_mask(images[30], truth(pictures[30], RED), category="wood")
        list(session.apply_stream("red", images=images[:20]))
        session.approve(session.annotations(image=images[7])[0])
        session.reject(session.annotations(image=images[8])[0])
    return tmp_path / "session"


@pytest.fixture
def nursery(folder: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, SUPPORT / "apply_child.py", folder, tmp_path / "log"]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()
        assert process.wait(300) == 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kills_at_any_moment_of_an_apply_cost_nothing(
    folder: Path, tmp_path: Path, nursery: subprocess.Popen[str]
) -> None:
    log, chance = tmp_path / "log", random.Random(7)
    log.touch()
    decided = by_a_person(folder)
    start(nursery, 0)
    wait_until("the first apply begins", lambda: "start 0" in lines(log), every=0.002)
    began = time.monotonic()
    assert nursery.stdout.readline() == "gone\n"  # this one may end: it says how long a run takes
    span, found, cut = time.monotonic() - began, contents(folder), 0
    assert len(found) >= IMAGES - 1  # the scores are far from the parameter that each version has another of
    for kill in range(1, KILLS + 1):
        child = start(nursery, kill)
        # By what it has done, and then by a moment: how quick it is depends on what else the machine does.
        done = chance.randrange(IMAGES)
        wait_until("it is so far", lambda kill=kill, done=done: progress(log, kill) >= done, every=0.002)
        time.sleep(chance.uniform(0, span / IMAGES))
        with suppress(ProcessLookupError):  # on a busy machine it may have ended
            os.kill(child, signal.SIGKILL)
        assert nursery.stdout.readline() == "gone\n"
        cut += f"done {kill}" not in lines(log)
        assert_sound(folder, decided)
        if kill % 3 == 0:  # others find what several runs left behind, of as many versions
            start(nursery, kill)
            assert nursery.stdout.readline() == "gone\n"
            assert f"done {kill}" in lines(log)
            assert_sound(folder, decided)
            assert_complete(folder, found)
    assert cut
    start(nursery, KILLS)
    assert nursery.stdout.readline() == "gone\n"
    assert_sound(folder, decided)
    assert_complete(folder, found)
    finished = [line.split()[1:] for line in lines(log) if line.startswith("computed")]
    assert max(Counter(map(tuple, finished)).values()) == 1  # what was done was not done again


def start(nursery: subprocess.Popen[str], number: int) -> int:
    nursery.stdin.write(f"{number}\n")
    nursery.stdin.flush()
    return int(nursery.stdout.readline())


def progress(log: Path, number: int) -> float:
    """How many images the run of that number has done, -1 before it begins; all where it has ended."""
    said = lines(log)
    if f"done {number}" in said:
        return math.inf
    return said.count(f"start {number}") - 1 + sum(line.startswith(f"computed {number} ") for line in said)


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def rows(folder: Path, query: str) -> list[Any]:
    """Read past samnb: what is on the disk."""
    connection = sqlite3.connect(folder / "catalog.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def by_a_person(folder: Path) -> list[Any]:
    """What a hand drew, and what a review accepted or rejected, every column of it."""
    return rows(
        folder, "SELECT * FROM annotations WHERE source = 'hand' OR review IN ('accepted', 'rejected') ORDER BY id"
    )


def assert_sound(folder: Path, decided: list[Any]) -> None:
    assert rows(folder, "PRAGMA integrity_check") == [("ok",)]
    assert rows(folder, "PRAGMA foreign_key_check") == []
    assert len(decided) == 8
    assert by_a_person(folder) == decided
    doubled = "SELECT image_id FROM annotations WHERE category = 'red' GROUP BY image_id HAVING count(*) > 1"
    assert rows(folder, doubled) == []
    # What is there and what is noted as applied are of the same version, image by image.
    torn = """
        SELECT annotations.image_id FROM annotations LEFT JOIN applied ON applied.image_id = annotations.image_id
        WHERE annotations.source LIKE 'template:%' AND annotations.review NOT IN ('accepted', 'rejected')
        AND (applied.version IS NULL OR annotations.source != 'template:red@' || applied.version)
    """
    assert rows(folder, torn) == []


def contents(folder: Path) -> list[Any]:
    """What is there, whatever version left it."""
    return rows(folder, "SELECT image_id, category, rle, substr(source, 1, 12) FROM annotations ORDER BY 1, 2, 3")


def assert_complete(folder: Path, found: list[Any]) -> None:
    [(newest,)] = rows(folder, "SELECT max(version) FROM templates WHERE name = 'red'")
    assert rows(folder, "SELECT version, count(*) FROM applied GROUP BY version") == [(newest, IMAGES)]
    assert contents(folder) == found
