"""A system call that fails, or the end of the process there, at some of the calls of every operation of a session.

`python -m tests.faults.campaign` takes every kind of call, every error and every operation: docs/failing-calls.md.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.campaign import Campaign, quick_setting
from tests.faults.operations import OPERATIONS
from tests.faults.system_calls import KILL, SHORT, run_failing, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

SAMPLE = (
    ("pwrite64", "ENOSPC", 2, True),
    ("pwrite64", SHORT, 3, False),
    ("open", "EIO", 1, False),
    ("open", "EROFS", 2, True),
    ("fsync", "EIO", 1, True),
    ("fdatasync", "EIO", 1, False),
    ("write", SHORT, 1, False),
    ("write", "EDQUOT", 2, False),
    ("rename", KILL, 1, False),
    ("unlink", "EIO", 1, True),
    ("lock", "ENOLCK", 2, False),
    ("ftruncate", KILL, 1, False),
)


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    folder = Path(tempfile.mkdtemp(prefix="samnb-faults-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    with ExitStack() as until:
        until.callback(shutil.rmtree, folder, ignore_errors=True)
        for each in quick_setting():
            until.enter_context(each)
        yield Campaign(folder)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_error_ends_in_one_of_samnb_or_in_success_and_loses_nothing(campaign: Campaign, name: str) -> None:
    met = 0
    for at, (kind, fault, number, lasting) in enumerate(SAMPLE):
        if (at + list(OPERATIONS).index(name)) % 2:  # the other half with the next operation
            continue
        case = campaign.run(name, kind, fault, number, lasting=lasting)
        met += case.ran.faults > 0
        assert not case.outcome.startswith("RED"), (kind, fault, number, lasting, case.outcome, case.ran.error)
    assert met >= 2


def test_a_call_fails_exactly_where_it_is_to(tmp_path: Path) -> None:
    def write(_: None, say: object) -> None:
        with open(tmp_path / "a", "wb", buffering=0) as file:
            for number in range(4):
                try:
                    say(file.write(b"ab" * 10))  # type: ignore[operator]
                except OSError as error:
                    say(f"{number}: {error.errno}")  # type: ignore[operator]
        (tmp_path.parent / "elsewhere").write_bytes(b"not counted")

    once = run_failing(lambda: None, write, tmp_path, "write", 2, "EIO")
    assert (once.ended, once.calls, once.faults, once.said) == ("returned", 4, 1, (20, "1: 5", 20, 20))
    lasting = run_failing(lambda: None, write, tmp_path, "write", 3, "ENOSPC", lasting=True)
    assert (lasting.faults, lasting.said) == (2, (20, 20, "2: 28", "3: 28"))
    short = run_failing(lambda: None, write, tmp_path, "write", 1, SHORT)
    assert short.said == (10, 20, 20, 20)
    assert (tmp_path / "a").stat().st_size == 70
    killed = run_failing(lambda: None, write, tmp_path, "write", 4, KILL)
    assert (killed.ended, killed.said) == ("killed", (20, 20, 20))
    assert (tmp_path / "a").stat().st_size == 60


def test_what_the_work_raises_is_told(tmp_path: Path) -> None:
    ran = run_failing(lambda: 3, lambda made, say: made.nothing, tmp_path, "write", 0, "EIO")
    assert (ran.ended, ran.error["type"]) == ("raised", "AttributeError")
