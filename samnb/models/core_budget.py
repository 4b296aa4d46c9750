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

_POLL = 0.02  # seconds between two looks at all cores
_log = logging.getLogger("samnb.models")


def budget_folder() -> Path:
    """Where the lock files are: one for each core, for all users of this machine."""
    return Path(tempfile.gettempdir()) / "samnb-cores"


@contextmanager
def taking_cores(wanted: int) -> Iterator[int]:
    """Take up to `wanted` cores of the budget within the context; waits until one is free.

    Gives the number of cores taken: `wanted` where ``SAMNB_CORES`` is not set. A process that ends gives its cores
    back. Where the lock files cannot be made, the budget is off, and a warning says so.
    """
    budget = setting("SAMNB_CORES")
    if budget is None:
        yield wanted
        return
    taken: list[FileLock] = []
    try:
        try:
            _take(taken, wanted, budget)
        except OSError as error:
            _log.warning("SAMNB_CORES=%d has no effect: %s", budget, error)
        yield len(taken) or wanted
    finally:
        for lock in taken:
            lock.release()


def _take(taken: list[FileLock], wanted: int, budget: int) -> None:
    folder = budget_folder()
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o1777)  # others may make files, and delete none but their own
    first = os.getpid()  # so that not all begin with the same one
    while not taken:
        for number in range(budget):
            lock = FileLock(folder / f"core-{(first + number) % budget}.lock")
            if len(taken) < wanted and lock.acquire(timeout=0):
                taken.append(lock)
        if not taken:
            time.sleep(_POLL)
