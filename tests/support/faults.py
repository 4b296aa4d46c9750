"""Faults at the n-th call of the operating system: a process that ends there as if killed, and a call that fails."""

from __future__ import annotations

import builtins
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

CALLS = ("fsync", "ftruncate", "mkdir", "open", "replace", "unlink", "utime", "write")

INJECTED: Counter[str] = Counter()
"""How often each happened; a test of faults that injected none has tested nothing."""


def ends_at_call(number: int, work: Callable[[], object]) -> bool:
    """Run `work` in a fork of this process that ends before its `number`-th call that changes or opens a file.

    Returns
    -------
    bool
        True if it made fewer calls, and finished.
    """
    with _counted(number, lambda: os._exit(9)) as install:
        return ended_by_itself(lambda: (install(), work()))


def stops_at_call(number: int, work: Callable[[], object]) -> bool:
    """As `ends_at_call`, a hundred times as fast, without a fork: from the `number`-th call on every one of them fails.

    So no handler of an error changes anything either. The objects that worked must not be used any more.
    """
    left = [number]

    def stop() -> None:
        left[0] = 0
        raise Stopped

    with _counted(number, stop, for_ever=True) as install:
        install()
        with suppress(Stopped):
            work()
    INJECTED["stop"] += not left[0]
    return bool(left[0])


class Stopped(BaseException):
    """No handler of `Exception` may take it for an error."""


def ended_by_itself(work: Callable[[], object]) -> bool:
    """Run `work` in a fork of this process; False if it ended there with status 9."""
    child = os.fork()
    if child == 0:
        status = 3
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), "the work failed in the child, see above"
    INJECTED["end"] += code == 9
    return code == 0


@contextmanager
def fails_at_call(number: int, code: int) -> Iterator[None]:
    """Inside the block, the `number`-th call of `CALLS` raises `OSError` of that number, once."""

    def fail() -> None:
        INJECTED["error"] += 1
        raise OSError(code, os.strerror(code))

    with _counted(number, fail) as install:
        install()
        yield


@contextmanager
def _counted(number: int, act: Callable[[], None], *, for_ever: bool = False) -> Iterator[Callable[[], None]]:
    left = [number]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if not left[0] or (for_ever and left[0] < 0):
                act()
            return call(*args, **options)

        return made

    real, real_open = {name: getattr(os, name) for name in CALLS}, builtins.open

    def install() -> None:
        for name, call in real.items():
            setattr(os, name, counted(call))
        builtins.open = counted(real_open)

    try:
        yield install
    finally:
        for name, call in real.items():
            setattr(os, name, call)
        builtins.open = real_open
