"""The n-th call that fails, for every n: each operation of a session under each fault of each kind of call.

python -m tests.faults.campaign --minutes 60                   as much of it as that takes; another call goes on
python -m tests.faults.campaign --only add --kind open --fault EIO --number 3 --out one.tsv
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2

import samnb.catalog.database
import samnb.session
from samnb.session import Session
from tests.faults.operations import OPERATIONS, Bench, broken, contents
from tests.faults.system_calls import KILL, KINDS, SHORT, Ran, run_failing, why_not
from tests.support.numpy_model import NumpyModel

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "ENOLCK", "EINTR")
FAULTS = (*ERRORS, SHORT, KILL)
LASTING = ("EIO", "ENOSPC", "EDQUOT", "EROFS")
"""Those that stay in real life: a bad disk, a full one, a used-up quota, one that was mounted read-only."""

WRITES = ("write", "pwrite64")


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
        """ "done", "killed", "reported" (by item), the name of a `SamnbError`; or "RED: …"."""
        if self.problems:
            return f"RED: {self.problems[0]}"
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

    def count(self, name: str, kind: str) -> int:
        """How many calls of a kind the operation makes where nothing fails."""
        case = self.bench.case(OPERATIONS[name].begins)
        ran = self._run(name, case, kind, 0, "EIO", lasting=False)
        assert ran.ended == "returned", ran.error.get("traceback")
        return ran.calls

    def run(self, name: str, kind: str, fault: str, number: int, *, lasting: bool = False) -> Case:
        """One case, and all that is looked at afterwards, in processes of their own."""
        case = self.bench.case(OPERATIONS[name].begins)
        ran = self._run(name, case, kind, number, fault, lasting=lasting)
        result = Case(name, kind, fault, number, lasting, ran)
        if not ran.faults:
            return result
        before = self.bench.before.get(OPERATIONS[name].begins)

        def look(_: None, say: Any) -> None:
            for problem in broken(name, case, ran.said, before, killed=ran.ended == "killed"):
                say(problem)
            if not OPERATIONS[name].again:
                return
            self._whole(name, case, lambda value: None)
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


def faults_of(kind: str) -> Iterator[tuple[str, bool]]:
    """The faults of a kind of call, and whether they last."""
    for fault in FAULTS:
        if fault != SHORT or kind in WRITES:
            yield fault, False
    yield from ((fault, True) for fault in LASTING)


def plan(campaign: Campaign, names: Iterable[str], kinds: Iterable[str]) -> list[Plan]:
    """Every call of every operation under every fault, shuffled: whatever part is run is a fair sample."""
    kinds = tuple(kinds)
    counts = {(name, kind): campaign.count(name, kind) for name in names for kind in kinds}
    cases = [
        (name, kind, fault, lasting, number)
        for (name, kind), calls in counts.items()
        for fault, lasting in faults_of(kind)
        for number in range(1, calls + 1)
    ]
    random.Random(0).shuffle(cases)
    return cases


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
    return patch.object(samnb.catalog.database, "BUSY_TIMEOUT_MS", 1000), model, _silence()


# -- the results: a line for each case, and their table ---------------------------------------------


def as_line(case: Case) -> str:
    fault = case.fault + (" from then on" if case.lasting else "")
    return "\t".join((case.operation, case.kind, fault, str(case.number), case.outcome.replace("\n", " ")[:300]))


def table(lines: Iterable[str], planned: int | None = None) -> str:
    """Markdown: operations by kinds of calls; in each cell how many faults ended how."""
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    total: Counter[str] = Counter()
    for line in lines:
        operation, kind, fault, _, outcome = line.rstrip("\n").split("\t")
        short = (
            outcome if outcome in ("done", "killed", "reported") else "RED" if outcome.startswith("RED") else "error"
        )
        counts[operation][kind][short] += 1
        counts[operation][f"!{fault}"][short] += 1
        total[short] += 1
    faults = [f for f in (*FAULTS, *(f"{fault} from then on" for fault in LASTING))]
    of = f" of {planned:,}" if planned else ""
    parts = [
        f"{sum(total.values()):,}{of} faults: " + ", ".join(f"{count:,} {how}" for how, count in total.most_common())
    ]
    for heads, prefix in ((KINDS, ""), (faults, "!")):
        rows = [f"| operation | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
        for operation in (name for name in OPERATIONS if name in counts):
            cells = (counts[operation][prefix + head] for head in heads)
            rows.append(f"| {operation} | {' | '.join(map(_cell, cells))} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _cell(ended: Counter[str]) -> str:
    letters = {"done": "d", "reported": "r", "error": "e", "killed": "k", "RED": "RED"}
    return " ".join(f"{ended[how]}{letter}" for how, letter in letters.items() if ended[how]) or "–"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(OPERATIONS), action="append")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--fault", choices=FAULTS, default="")
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="how long at most; another call goes on")
    parser.add_argument(
        "--out", type=Path, default=Path("failing-calls.tsv"), help="what was run; its cases are not run again"
    )
    parser.add_argument("--table", action="store_true", help="print the table of that file, and run nothing")
    given = parser.parse_args()
    known = given.out.read_text().splitlines() if given.out.exists() else []
    if given.table:
        print(table(known))
        return 0
    if reason := why_not():
        print(f"Nothing was done: {reason}")
        return 0
    until = time.monotonic() + given.minutes * 60
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="samnb-faults-", dir=place))
    red = 0
    try:
        with ExitStack() as settings, open(given.out, "a") as out:
            for each in quick_setting():
                settings.enter_context(each)
            campaign = Campaign(folder)
            cases = plan(campaign, given.only or OPERATIONS, given.kind or KINDS)
            cases = [c for c in cases if given.fault in ("", c[2]) and given.number in (0, c[4])]
            done = {tuple(line.split("\t")[:4]) for line in known}
            print(f"{len(cases):,} cases, {len(done):,} of them known", flush=True)
            for name, kind, fault, lasting, number in cases:
                if (name, kind, fault + (" from then on" if lasting else ""), str(number)) in done:
                    continue
                if time.monotonic() > until:
                    break
                case = campaign.run(name, kind, fault, number, lasting=lasting)
                if not case.ran.faults:  # one call fewer this time: threads
                    continue
                print(as_line(case), file=out, flush=True)
                if case.outcome.startswith("RED"):
                    red += 1
                    print(as_line(case), case.ran.error.get("traceback", ""), *case.problems, sep="\n", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(given.out.read_text().splitlines(), len(cases)))
    return bool(red)


if __name__ == "__main__":
    sys.exit(main())
