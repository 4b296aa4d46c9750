"""`stop_at_exit`: what runs in the background stops before the process ends.

A thread that comes back from torch or OpenCV into an interpreter that has ended is unwound through frames of C++, and
the whole process aborts: "terminate called without an active exception".
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from concurrent.futures import thread as _pools  # noqa: F401 - what is known to threading later is called sooner
from typing import Protocol

_log = logging.getLogger("samnb.jobs")

SECONDS = 30.0
"""That the end of a process waits at most."""


class Stoppable(Protocol):
    """Something with a thread."""

    def _stop(self) -> None:
        """Begin nothing more; returns at once, without a lock that another thread may hold for long."""

    def _wait_for_end(self, timeout: float) -> bool:
        """Block until nothing runs, for `timeout` seconds at most; False: something still does."""


_lock = threading.Lock()
_running: weakref.WeakSet[Stoppable] = weakref.WeakSet()


def stop_at_exit(one: Stoppable) -> None:
    """Stop it at the end of the process, if it is still there."""
    with _lock:
        _running.add(one)


def _stop_all() -> None:
    with _lock:
        those = list(_running)
    end, left = time.monotonic() + SECONDS, 0
    for one in those:
        one._stop()
    for one in those:
        left += not one._wait_for_end(max(0.0, end - time.monotonic()))
    if left:
        _log.warning("the process ends, and %d things in the background do not: it may be aborted", left)


# Before the pools of concurrent.futures take nothing more, and before atexit closes stores: what is finished now is
# still written there. Python has no public name for it.
getattr(threading, "_register_atexit", atexit.register)(_stop_all)


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # the threads are not there
