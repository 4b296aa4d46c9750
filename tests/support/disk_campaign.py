"""Campaigns against a small disk: work on it, harm it at a random moment, make it good, look, go on.

python -m tests.support.disk_campaign KIND ROUNDS [HARM [SEED]]     prints the tables of docs/reliability.md

As root; the kind "fuse" needs none.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from samnb.errors import SamnbError
from tests.support import forgetful_disk, loop_disks
from tests.support.disk_work import WORK, Ledger, look, opened, prepare
from tests.support.forgetful_disk import ForgetfulDisk
from tests.support.loop_disks import LoopDisk

ROUNDS_OF_A_DISK = 16  # then a new one: what piles up makes every look longer
HARMS = ("power cut", "full", "no inodes", "read-only")
FUSE = "fuse"
KINDS = (*loop_disks.KINDS, FUSE)


def why_not(kind: str) -> str:
    """Why there can be no such disk here; "" if there can."""
    return forgetful_disk.why_not() if kind == FUSE else loop_disks.why_not(kind)


@dataclass
class Outcome:
    """What came of a campaign; `wrong` is empty, one hopes."""

    rounds: Counter[str] = field(default_factory=Counter)
    at_work: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    reported: int = 0
    forgotten: int = 0
    """Files and names that cuts took away; known only of the disk that needs no root."""
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        rows = [f"| {work} | {self.rounds[work]} | {self.at_work[work]} |" for work in WORK]
        ends = Counter(line.split(":")[0] for line in self.wrong)
        counts = ", ".join(f"{ends[word]} {word}" for word in ("lost", "torn", "stale", "raised"))
        head = ["| work | rounds | harmed before it had ended |", "|---|---|---|"]
        total = f"{self.rounds.total()} rounds, {self.reported} reports, {self.refused} errors with a way out; {counts}"
        total += f"; {self.forgotten} files and names forgotten" if self.forgotten else ""
        return "\n".join([*head, *rows, total, *self.wrong])


def campaign(kind: str, rounds: int, *, harm: str = "power cut", seed: int = 0, progress: bool = False) -> Outcome:
    """So many rounds on disks of one kind, over all kinds of work in turn."""
    chance, outcome, spans = random.Random(seed), Outcome(), dict.fromkeys(WORK, 0.1)
    works = list(WORK)
    chance.shuffle(works)
    left = [works[number % len(works)] for number in range(rounds)]
    make = ("-N", "1500") if harm == "no inodes" else ()
    while left:
        some, left = left[:ROUNDS_OF_A_DISK], left[ROUNDS_OF_A_DISK:]
        seed = chance.getrandbits(32)
        new = forgetful_disk.forgetful_disk(seed) if kind == FUSE else loop_disks.loop_disk(kind, make=make)
        with new as disk:
            ledger = Ledger()
            for line in _said_by(lambda say, at=disk.place: prepare(at, say)):
                ledger.note(**line)
            disk.sync()
            for work in some:
                _one_round(disk, work, harm, ledger, chance, spans, outcome)
                if any(not line.startswith("raised") for line in outcome.wrong):
                    return outcome  # what comes after it is about a disk that is not as it should be
                if progress:
                    print(outcome.rounds.total(), file=sys.stderr, flush=True)
            outcome.reported += ledger.said
            outcome.forgotten += disk.forgotten
    return outcome


def _one_round(
    disk: LoopDisk | ForgetfulDisk,
    work: str,
    harm: str,
    ledger: Ledger,
    chance: random.Random,
    spans: dict[str, float],
    outcome: Outcome,
) -> None:
    seed, after_its_end, leave = chance.getrandbits(32), chance.random() < 0.15, chance.choice([0, 0, 5_000, 70_000])

    def do(say: Callable[..., None]) -> None:
        with opened(disk.place) as session:
            say("opened")
            WORK[work](session, disk.place, random.Random(seed), say)
            say("worked")
        say("closed")

    child, pipe = forked(do)
    heard = Lines(pipe)
    heard.until("opened", 600)
    began = time.monotonic()
    heard.until("closed" if after_its_end else "worked", 600 if after_its_end else chance.uniform(0, spans[work]))
    heard.until("nothing more", 0)
    before = len(heard.lines)
    {
        "power cut": disk.cut,
        "full": lambda: disk.fill(leave),
        "no inodes": disk.take_all_inodes,
        "read-only": disk.fail,
    }[harm]()
    in_full = heard.has("worked")
    if in_full:
        spans[work] = 0.5 * (spans[work] + time.monotonic() - began)
    if harm == "power cut" and chance.random() < 0.5:
        os.kill(child, signal.SIGKILL)
    elif not heard.until("gone", 400):  # it meets a disk that fails, and says so, or ends
        outcome.wrong.append(f"raised: {work}: it hangs")
        os.kill(child, signal.SIGKILL)
    heard.until("gone", 600)
    os.waitpid(child, 0)
    os.close(pipe)
    outcome.rounds[work] += 1
    outcome.at_work[work] += not in_full
    for number, line in enumerate(heard.lines):
        outcome.refused += line["did"] == "refused"
        if line["did"] == "raised":
            outcome.wrong.append(f"raised: {work}: {line['error']}")
        # A machine says nothing after its power is cut. This process does, and a kernel that is in the middle of
        # giving up a disk may say yes to a last fsync; so what it says then may be there or not.
        ledger.note(**line, sure=number < before or harm in ("full", "no inodes"))
    if harm in ("full", "no inodes"):
        ledger.cached.clear()  # embeddings used longest ago make room
    if harm in ("power cut", "read-only"):
        disk.restart()
    else:
        disk.make_room()
    found = [line["wrong"] for line in _said_by(lambda say: [say("", wrong=w) for w in look(disk.place, ledger)])]
    after = f"said {_said(heard.lines[:before])}, then {_said(heard.lines[before:])}"
    outcome.wrong += [f"{wrong} ({disk.kind}, {work}, {after})" for wrong in found]
    if not found:
        ledger.tidy(disk.place)


def _said(lines: list[dict[str, Any]]) -> str:
    return " ".join(line["did"] for line in lines)


# -- processes that say what they did ------------------------------------------------------------------


def forked(do: Callable[[Callable[..., None]], object]) -> tuple[int, int]:
    """A fork of this process that does it, and a pipe with a JSON line for each thing it says."""
    theirs, ours = os.pipe()
    child = os.fork()
    if child:
        os.close(ours)
        return child, theirs
    os.close(theirs)

    def say(did: str, **what: Any) -> None:
        os.write(ours, (json.dumps({"did": did, **what}) + "\n").encode())

    try:
        do(say)
    except SamnbError as error:
        say("refused", error=str(error))
    except BaseException:
        say("raised", error=traceback.format_exc())
    finally:
        os._exit(0)


def _said_by(do: Callable[[Callable[..., None]], object]) -> list[dict[str, Any]]:
    """What a fork of this process says until it ends. What it raises is raised here."""
    child, pipe = forked(do)
    heard = Lines(pipe)
    ended = heard.until("gone", 600)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(pipe)
    assert ended, "it did not end within ten minutes"
    bad = [line["error"] for line in heard.lines if line["did"] in ("refused", "raised")]
    assert not bad, bad[0]
    return heard.lines


class Lines:
    """The lines of a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._rest, self.lines = pipe, b"", []
        self.lines: list[dict[str, Any]]
        self._ended = False

    def has(self, did: str) -> bool:
        return self._ended if did == "gone" else any(line["did"] == did for line in self.lines)

    def until(self, did: str, seconds: float) -> bool:
        """Read on until it was said, or the other end is gone ("gone"), or the time is over."""
        end = time.monotonic() + seconds
        while not self.has(did) and not self._ended:
            if not select.select([self._pipe], [], [], max(0, end - time.monotonic()))[0]:
                break
            got = os.read(self._pipe, 1 << 16)
            self._ended = not got
            *whole, self._rest = (self._rest + got).split(b"\n")
            self.lines += [json.loads(line) for line in whole]
        return self.has(did)


if __name__ == "__main__":
    kind, rounds, harm, seed = sys.argv[1:] + ["ext4", "16", "power cut", "0"][len(sys.argv) - 1 :]
    made = campaign(kind, int(rounds), harm=harm, seed=int(seed), progress=True)
    print(made)
    sys.exit(bool(made.wrong))
