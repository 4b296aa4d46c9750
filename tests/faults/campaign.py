"""The n-th call that fails: each operation of a session under each fault of each kind of call.

python -m tests.faults.campaign --minutes 60      as much of it as that takes; another call goes on
python -m tests.faults.campaign --page            the page of the documentation, from what was run
python -m tests.faults.campaign --only add --kind open --fault EIO --number 3 --out one.tsv
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np

import samnb.catalog.engines
import samnb.session
from samnb.session import Session
from tests.faults.operations import OPERATIONS, Bench, broken, contents, left_behind
from tests.faults.outcomes import CALLS, ERRORS, NOT_MET, faults_of, page
from tests.faults.system_calls import KILL, KINDS, SHORT, Ran, run_failing, why_not
from tests.support.numpy_model import NumpyModel

PAGE = Path(__file__).parents[2] / "docs" / "failing-calls.md"
RULE = (
    "every one where an operation makes at most {most} of a kind; of more, the first {side}, the last {side}, and "
    "others evenly between."
)


@dataclass
class Case:
    """One run: what was disturbed, how it ended, and what did not hold afterwards."""

    operation: str
    kind: str
    fault: str
    number: int
    lasting: bool
    ran: Ran
    problems: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """ "done", "killed", "reported" (by item), the name of a `SamnbError`, "not met"; or "RED: …"."""
        if self.problems:
            return f"RED: {self.problems[0]}"
        if not self.ran.faults and self.ran.ended == "returned":
            return NOT_MET
        if self.ran.ended == "returned":
            return "reported" if any(isinstance(one, dict) and "failed" in one for one in self.ran.said) else "done"
        if self.ran.ended == "killed" and self.fault == KILL:
            return "killed"
        if self.ran.ended == "raised" and "SamnbError" in self.ran.error["bases"]:
            return str(self.ran.error["type"])
        return f"RED: {self.ran.ended} {self.ran.error.get('type', '')} {self.ran.error.get('message', '')}".strip()


class Campaign:
    """Runs cases of operations on a bench in `folder`, which should be on a quick disk."""

    def __init__(self, folder: Path):
        self.bench = Bench(folder)
        self.undisturbed: dict[str, dict[str, Any]] = {}
        for name in OPERATIONS:  # which also imports what it needs: the processes of the cases begin with that
            case = self.bench.case(OPERATIONS[name].begins)
            self._whole(name, case, lambda value: None)
            assert not broken(name, case, (), self.bench.before.get(OPERATIONS[name].begins)), name
            self.undisturbed[name] = contents(case / "session")

    def count(self, name: str) -> dict[str, int]:
        """How many calls of each kind the operation makes where nothing fails."""
        ran = self._run(name, self.bench.case(OPERATIONS[name].begins), "any", 0, "EIO", lasting=False)
        assert ran.ended == "returned", ran.error.get("traceback")
        return ran.of_kinds

    def run(self, name: str, kind: str, fault: str, number: int, *, lasting: bool = False) -> Case:
        """One case, and all that is looked at afterwards, in processes of their own."""
        case = self.bench.case(OPERATIONS[name].begins)
        ran = self._run(name, case, kind, number, fault, lasting=lasting)
        result = Case(name, kind, fault, number, lasting, ran)
        if not ran.faults:
            return result
        before = self.bench.before.get(OPERATIONS[name].begins)

        def look(_: None, say: Any) -> None:
            for problem in broken(name, case, ran.said, before):
                say(problem)
            if not OPERATIONS[name].again:
                return
            self._whole(name, case, lambda value: None)
            if left := left_behind(case):
                say(f"left behind: {left}")
            if (now := contents(case / "session")) != self.undisturbed[name]:
                differing = [part for part in now if now[part] != self.undisturbed[name][part]]
                say(f"done again, it differs: {', '.join(differing)}")

        looked = run_failing(lambda: None, look, case, "mkdir", 0, "EIO")
        result.problems += [str(problem) for problem in looked.said]
        if looked.ended != "returned":
            result.problems.append(f"afterwards: {looked.ended} {looked.error.get('traceback', '')}")
        return result

    def _run(self, name: str, case: Path, kind: str, number: int, fault: str, *, lasting: bool) -> Ran:
        operation = OPERATIONS[name]

        def before() -> Session | None:
            return None if operation.opens else Session(case / "session")

        def work(session: Session | None, say: Any) -> None:
            operation.run(session, case, say)

        return run_failing(before, work, case, kind, number, fault, lasting=lasting)

    def _whole(self, name: str, case: Path, say: Any) -> None:
        operation = OPERATIONS[name]
        operation.run(None if operation.opens else Session(case / "session"), case, say)


Plan = tuple[str, str, str, bool, int]
"""Operation, kind, fault, whether it lasts, and the number of the call."""


def chosen(calls: int, most: int) -> list[int]:
    """Which of so many calls fail: every one up to `most`; of more, the first, the last, and evenly between.

    Examples
    --------
    >>> chosen(5, 8), chosen(100, 8)
    ([1, 2, 3, 4, 5], [1, 2, 3, 35, 66, 98, 99, 100])
    """
    if calls <= most:
        return list(range(1, calls + 1))
    side = most * 3 // 8
    between = np.linspace(side, calls - side + 1, most - 2 * side + 2)[1:-1].round().astype(int).tolist()
    return [*range(1, side + 1), *between, *range(calls - side + 1, calls + 1)]


def plan(counts: dict[tuple[str, str], int], most: int) -> list[Plan]:
    """The cases, by operation and kind, in an order in which each cell of the table gets one before any gets two."""
    chance = random.Random(0)
    cases: list[tuple[int, Plan]] = []
    for (name, kind), calls in counts.items():
        for fault, lasting in faults_of(kind):
            numbers = chosen(calls, most)
            chance.shuffle(numbers)
            cases += [(at, (name, kind, fault, lasting, number)) for at, number in enumerate(numbers)]
    chance.shuffle(cases)
    return [case for _, case in sorted(cases, key=lambda case: case[0])]


@contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def quick_setting() -> tuple[Any, ...]:
    """A model that takes no time, and a short wait for locks, in this process and its children."""
    cv2.setNumThreads(1)  # threads would be missing in the children
    model = patch.object(samnb.session, "load_model", lambda *arguments, **options: NumpyModel())
    return patch.object(samnb.catalog.engines, "BUSY_TIMEOUT_MS", 1000), model, _silence()


# -- from the command line -------------------------------------------------------------------------


def counted(campaign: Campaign, known: Iterable[str]) -> dict[tuple[str, str], int]:
    """How many calls of each kind each operation makes; what is known is not counted again."""
    parts = [line.split("\t") for line in known]
    counts = {(part[0], part[1]): int(part[3]) for part in parts if part[2] == CALLS}
    for name in OPERATIONS:
        if (name, KINDS[0]) not in counts:
            counts |= {(name, kind): calls for kind, calls in campaign.count(name).items()}
    return counts


def as_line(case: Case) -> str:
    message = case.ran.error.get("message", "") or " ".join(case.problems[1:])
    parts = (case.operation, case.kind, fault_name(case.fault, case.lasting), case.number, case.outcome, message)
    return "\t".join(" ".join(str(part).split())[:600] for part in parts)


def fault_name(fault: str, lasting: bool) -> str:
    return fault + (" from then on" if lasting else "")


_campaign: Campaign | None = None
"""That of the processes that run cases: they are forks, and begin with all that was imported and prepared."""


def _run(case: Plan) -> Case:
    assert _campaign is not None
    name, kind, fault, lasting, number = case
    return _campaign.run(name, kind, fault, number, lasting=lasting)


def main() -> int:
    global _campaign
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(OPERATIONS), action="append")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--fault", choices=(*ERRORS, SHORT, KILL), default="")
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--most", type=int, default=8, help="calls of each cell that fail; 100000 for every one")
    parser.add_argument("--minutes", type=float, default=1e9, help="how long at most; another call goes on")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("failing-calls.tsv"), help="what was run is not run again")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE} from that file, and run nothing")
    given = parser.parse_args()
    known = given.out.read_text().splitlines() if given.out.exists() else []
    if given.page:
        PAGE.write_text(page(known, RULE.format(most=given.most, side=given.most * 3 // 8)))
        return 0
    if reason := why_not():
        print(f"Nothing was done: {reason}")
        return 0
    until = time.monotonic() + given.minutes * 60
    red, done = 0, {tuple(line.split("\t")[:4]) for line in known}
    folder = Path(tempfile.mkdtemp(prefix="samnb-faults-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    with ExitStack() as settings, open(given.out, "a") as out:
        settings.callback(shutil.rmtree, folder, ignore_errors=True)
        for each in quick_setting():
            settings.enter_context(each)
        _campaign = Campaign(folder)
        counts = counted(_campaign, known)
        for (name, kind), calls in counts.items():
            if (name, kind, CALLS, str(calls)) not in done:
                print(name, kind, CALLS, calls, "", sep="\t", file=out, flush=True)
        cases = [
            (name, kind, fault, lasting, number)
            for name, kind, fault, lasting, number in plan(counts, given.most)
            if name in (given.only or OPERATIONS)
            and kind in (given.kind or KINDS)
            and given.fault in ("", fault)
            and given.number in (0, number)
            and (name, kind, fault_name(fault, lasting), str(number)) not in done
        ]
        met = {tuple(line.split("\t")[:3]) for line in known if line.split("\t")[4] != NOT_MET}
        cases.sort(key=lambda case: (case[0], case[1], fault_name(case[2], case[3])) in met)  # empty cells first
        print(f"{len(cases):,} cases, and {sum(one[2] != CALLS for one in done):,} known", flush=True)
        gc.freeze()  # or the forks copy every object once
        with get_context("fork").Pool(given.processes) as pool:
            for case in pool.imap_unordered(_run, cases):
                print(as_line(case), file=out, flush=True)
                if case.outcome.startswith("RED"):
                    red += 1
                    print(as_line(case), case.ran.error.get("traceback", ""), *case.problems, sep="\n", flush=True)
                if time.monotonic() > until:
                    break
    return bool(red)


if __name__ == "__main__":
    sys.exit(main())
