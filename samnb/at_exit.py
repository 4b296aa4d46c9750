"""`stop_at_exit`: what runs in the background stops before the process ends.

A thread that comes back from torch or OpenCV into an interpreter that has ended is unwound through frames of C++, and
the whole process aborts: "terminate called without an active exception".
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from typing import Protocol

SECONDS = 10.0
"""That the end of a process waits at most."""


class Stoppable(Protocol):
    """Something with a thread."""

    def _stop(self) -> None:
        """Begin nothing more; returns at once."""

    def _wait_for_end(self, timeout: float) -> object:
        """Block until nothing runs, for `timeout` seconds at most; raises nothing."""


_running: weakref.WeakSet[Stoppable] = weakref.WeakSet()


def stop_at_exit(one: Stoppable) -> None:
    """Stop it at the end of the process, if it is still there."""
    _running.add(one)


@atexit.register
def _stop_all() -> None:
    those, end = list(_running), time.monotonic() + SECONDS
    for one in those:
        one._stop()
    for one in those:
        one._wait_for_end(max(0.0, end - time.monotonic()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)  # the threads are not there
