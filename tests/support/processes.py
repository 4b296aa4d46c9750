"""A child process that ends, as if killed, at one of its calls of the operating system."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable
from typing import Any

CALLS = ("fsync", "ftruncate", "mkdir", "open", "replace", "unlink", "utime", "write")


def ends_at_call(number: int, work: Callable[[], object]) -> bool:
    """Run `work` in a fork of this process that ends before its `number`-th call that changes or opens a file.

    Returns
    -------
    bool
        True if it made fewer calls, and finished.
    """
    child = os.fork()
    if child == 0:
        status = 3
        try:
            _end_at(number)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9), "the work failed in the child, see above"
    return code == 0


def _end_at(number: int) -> None:
    left = [number]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os._exit(9)
            return call(*args, **options)

        return made

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    builtins.open = counted(builtins.open)
