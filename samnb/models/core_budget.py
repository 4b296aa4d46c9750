"""Cores that all samnb processes of one machine share, so that several kernels on one server do not take all of it.

With ``SAMNB_CORES=4`` every process with that setting takes its cores from the same four while it encodes on the CPU.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..file_locks import FileLock
from ..settings import setting

PATIENCE = 120.0
"""Seconds to wait for a core; then one is used that others use too: a process that is halted gives none back."""

_POLL = 0.01  # seconds between two looks at all cores
_log = logging.getLogger("samnb.models")
_said: set[str] = set()


def budget_folder() -> Path:
    """Where the lock files are, one for each core: who has another folder of temporary files has others."""
    return Path(tempfile.gettempdir()) / "samnb-cores"


@contextmanager
def taking_cores(wanted: int) -> Iterator[int]:
    """Take up to `wanted` cores of the budget within the context; waits until one is free, in turn with others.

    Gives the number of cores taken: `wanted` where ``SAMNB_CORES`` is not set. A process that ends gives its cores
    back. Where the lock files cannot be made, or no core was free for `PATIENCE`, a warning says so, once.
    """
    budget = setting("SAMNB_CORES")
    if budget is None:
        yield wanted
        return
    taken: list[FileLock] = []
    try:
        yield _take(taken, wanted, budget)
    finally:
        for lock in taken:
            lock.release()


def _take(taken: list[FileLock], wanted: int, budget: int) -> int:
    """Lock files into `taken`; returns the number of cores to compute on."""
    folder, until = budget_folder(), time.monotonic() + PATIENCE
    try:
        with suppress(FileExistsError):
            folder.mkdir()
        if os.name == "posix" and (found := folder.stat()).st_uid == os.getuid() and found.st_mode & 0o7777 != 0o1777:
            folder.chmod(0o1777)  # others may make files, and delete none but their own
        # Who waits has the turn: else a prewarm that gives back its cores takes them again before others look.
        turn = FileLock(folder / "turn.lock")
        if turn.acquire(timeout=PATIENCE):
            try:
                while not taken and time.monotonic() < until:
                    _look(taken, folder, wanted, budget)
            finally:
                turn.release()
    except OSError as error:
        _warn(f"SAMNB_CORES={budget} has no effect: {error}")
        return len(taken) or wanted
    if not taken:
        _warn(f"SAMNB_CORES={budget}: no core was free for {PATIENCE:.0f} s ({folder}); one is used all the same")
    return len(taken) or 1


def _look(taken: list[FileLock], folder: Path, wanted: int, budget: int) -> None:
    for number in range(budget):
        lock = FileLock(folder / f"core-{number}.lock")
        if len(taken) < wanted and lock.acquire(timeout=0):
            taken.append(lock)
    if not taken:
        time.sleep(_POLL)


def _warn(text: str) -> None:
    if text not in _said:
        _said.add(text)
        _log.warning("%s", text)
