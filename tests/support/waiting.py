"""Waiting for a state, in place of sleeping and hoping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def wait_until(what: str, look: Callable[[], T], *, seconds: float = 300, every: float = 0.05) -> T:
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


class Stopwatch:
    """Seconds since it was made, without those in which threads of this process waited for a processor.

    For limits of time, which other work on the machine must not exceed. Where the kernel does not tell how long a
    thread waited, all seconds count.
    """

    def __init__(self) -> None:
        self._began, self._waited = time.perf_counter(), _waited_for_a_processor()

    @property
    def seconds(self) -> float:
        took, before = time.perf_counter() - self._began, self._waited
        return took - sum(waited - before.get(id, 0.0) for id, waited in _waited_for_a_processor().items())


def _waited_for_a_processor() -> dict[str, float]:
    """By thread, in seconds."""
    waited = {}
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):  # it has ended meanwhile
            waited[path.parent.name] = int(path.read_text().split()[1]) / 1e9
    return waited


def calls_of(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[tuple[Any, ...]]:
    """A list that gets the arguments of every call of that method from now on.

    It shows that something looked again, and did nothing: wait until the list has grown, then assert.
    """
    calls: list[tuple[Any, ...]] = []
    method = getattr(owner, name)

    def noted(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return method(*args, **options)

    monkeypatch.setattr(owner, name, noted)
    return calls


class CountingEvent(threading.Event):
    """An event that counts the calls of `wait` that had to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += not self.is_set()
        return super().wait(timeout)


class CountingCondition(threading.Condition):
    """A condition that counts the calls of `wait`."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        return super().wait(timeout)
