"""The n-th call that fails, for every n: each operation of a session under each fault of each kind of call.

python -m tests.faults.campaign                  all of it, and the tables of docs/failing-calls.md (an hour)
python -m tests.faults.campaign --only add --kind write --fault EIO --show
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
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
            for problem in broken(name, case, ran.said, before):
                say(problem)
            self._whole(name, case, lambda value: None)
            if OPERATIONS[name].again and (now := contents(case / "session")) != self.undisturbed[name]:
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


def faults_of(kind: str) -> Iterator[tuple[str, bool]]:
    """The faults of a kind of call, and whether they last."""
    for fault in FAULTS:
        if fault != SHORT or kind in WRITES:
            yield fault, False
    yield from ((fault, True) for fault in LASTING)


def cases(
    campaign: Campaign, names: Iterable[str], kinds: Iterable[str], *, step: int = 1, fault: str = "", number: int = 0
) -> Iterator[Case]:
    """Each n up to the last call (or each `step`-th of them), for each operation, kind and fault."""
    kinds = tuple(kinds)
    for name in names:
        for kind in kinds:
            for each, lasting in faults_of(kind):
                if fault and each != fault:
                    continue
                at = number or 1
                while True:
                    case = campaign.run(name, kind, each, at, lasting=lasting)
                    if not case.ran.faults and at > case.ran.calls:
                        break
                    if case.ran.faults:
                        yield case
                    if number:
                        break
                    at += step


def quick_setting() -> Any:
    """A model that takes no time, and a short wait for locks, in this process and its children."""
    cv2.setNumThreads(1)  # threads would be missing in the children
    logging.disable(logging.CRITICAL)
    stack = patch.multiple(samnb.catalog.database, BUSY_TIMEOUT_MS=1000)
    model = patch.object(samnb.session, "load_model", lambda *arguments, **options: NumpyModel())
    return stack, model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(OPERATIONS), action="append")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--fault", choices=FAULTS, default="")
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--step", type=int, default=1, help="every how-manieth call")
    parser.add_argument("--show", action="store_true", help="print every case")
    given = parser.parse_args()
    if reason := why_not():
        print(f"Nothing was done: {reason}")
        return 0
    for each in quick_setting():
        each.start()
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="samnb-faults-", dir=place))
    began, found, red = time.monotonic(), Counter(), []
    try:
        campaign = Campaign(folder)
        for case in cases(
            campaign,
            given.only or OPERATIONS,
            given.kind or KINDS,
            step=given.step,
            fault=given.fault,
            number=given.number,
        ):
            found[case.operation, case.kind, case.fault + (" lasting" if case.lasting else ""), case.outcome] += 1
            if case.outcome.startswith("RED"):
                red.append(case)
            if given.show or case.outcome.startswith("RED"):
                print(
                    case.operation,
                    case.kind,
                    case.fault,
                    case.number,
                    "lasting" * case.lasting,
                    case.outcome,
                    flush=True,
                )
                if given.number:
                    print(case.ran.error.get("traceback"), case.ran.said, *case.problems, sep="\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for key, count in found.items():
        print(*key, count, sep="\t")
    print(f"{sum(found.values())} faults, {len(red)} red, {time.monotonic() - began:.0f} s")
    return bool(red)


if __name__ == "__main__":
    sys.exit(main())
