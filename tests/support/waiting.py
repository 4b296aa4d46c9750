"""Waiting for a state, in place of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(what: str, look: Callable[[], T], *, seconds: float = 60, every: float = 0.01) -> T:
    """Call `look` until its answer is true, and return that answer.

    Parameters
    ----------
    what : str
        The awaited state, for the message of the failure.
    seconds : float
        Generous: it is spent only where the test fails.

    Raises
    ------
    AssertionError
        The answer was still false after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"Not within {seconds:g} s: {what}. Last answer: {answer!r}"
        time.sleep(every)
    return answer
