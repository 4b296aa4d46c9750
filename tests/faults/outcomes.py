"""The results of a campaign: a line for each case, and the page with their table.

A line holds the operation, the kind of call, the fault, the number of the call, the outcome, and the message of an
error, with tabs between. How many calls of a kind an operation makes is a line too: its fault is "calls".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.faults.system_calls import KILL, KINDS, SHORT

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "ENOLCK", "EINTR")
LASTING = ("EIO", "ENOSPC", "EDQUOT", "EROFS")
"""Those that stay in real life: a bad disk, a full one, a used-up quota, one that was mounted read-only."""

CALLS, NOT_MET = "calls", "not met"
"""Of lines: how many calls there are; and a call that was not made this time, or too short to be cut in two."""

_LETTERS = {"done": "d", "reported": "r", "error": "e", "killed": "k", "RED": "RED"}
_WRITES = ("write", "pwrite64")
_HEADS = [*ERRORS, SHORT, KILL, *(f"{fault} from then on" for fault in LASTING)]

_PAGE = """# Every call that fails

For those who doubt a line of [When something fails](reliability.md): each operation of a session, each kind of system
call that it makes, each fault.

{summary} Calls chosen to fail (a cell with fewer cases was not finished): {rule}

In each cell, how many cases ended how: **d** done, as if nothing had failed; **r** done, and the items that failed are
reported; **e** an error of samnb that says what to do next; **k** killed, as it was to be. After every one of them the
database was whole, nothing that had been there or was reported as done was missing, the session was clean after one
repair, and the same operation again came to the same end as without a fault (annotating and collecting are not done
again). · is a call that cannot fail so: "short" are writes of half the bytes, of two or more. "From then on": all later
calls of the kind fail too.

{table}

Made by `python -m tests.faults.campaign --page`.
"""


def faults_of(kind: str) -> list[tuple[str, bool]]:
    """The faults of a kind of call, and whether they last."""
    once = [(fault, False) for fault in (*ERRORS, SHORT, KILL) if fault != SHORT or kind in _WRITES]
    return once + [(fault, True) for fault in LASTING]


def page(lines: Iterable[str], rule: str) -> str:
    """The page of the documentation."""
    cells: dict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    calls: dict[tuple[str, str], int] = {}
    total: Counter[str] = Counter()
    not_met: Counter[tuple[str, str, str]] = Counter()
    for line in lines:
        operation, kind, fault, number, outcome, *_ = line.rstrip("\n").split("\t")
        if fault == CALLS:
            calls[operation, kind] = int(number)
        elif outcome == NOT_MET:
            not_met[operation, kind, fault] += 1
        else:
            how = outcome if outcome in _LETTERS else "RED" if outcome.startswith("RED") else "error"
            cells[operation, kind][fault][how] += 1
            total[how] += 1
    rows = [f"| operation | call | calls | {' | '.join(_HEADS)} |", "|---" * (len(_HEADS) + 3) + "|"]
    empty = 0
    for (operation, kind), count in sorted(calls.items(), key=lambda each: KINDS.index(each[0][1])):
        possible = {fault + (" from then on" if lasting else "") for fault, lasting in faults_of(kind)}
        if not cells[operation, kind][SHORT] and not_met[operation, kind, SHORT]:
            possible.discard(SHORT)  # it writes single bytes
        texts = [_cell(cells[operation, kind][head]) if head in possible else "·" for head in _HEADS]
        if count:
            rows.append(f"| {operation} | `{kind}` | {count:,} | {' | '.join(texts)} |")
            empty += texts.count("")
    ends = ", ".join(f"{total[how]:,} {how}" for how in _LETTERS if how != "RED")
    summary = (
        f"{sum(total.values()):,} faults; the operations make {sum(calls.values()):,} such calls. They ended: {ends}, "
        f"{total['RED']:,} that broke a promise. {empty:,} cells are without a case."
    )
    return _PAGE.format(summary=summary, rule=rule, table="\n".join(rows))


def _cell(ended: Counter[str]) -> str:
    return " ".join(f"{ended[how]}{letter}" for how, letter in _LETTERS.items() if ended[how])
