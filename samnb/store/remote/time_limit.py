"""`call_within`: a call that is given up after a number of seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from ...errors import TierUnavailable

T = TypeVar("T")


def call_within(seconds: float, call: Callable[[], T], name: str) -> T:
    """The result of a call to the tier of that name.

    The call runs in a thread of its own, which is abandoned when it takes longer.

    Raises
    ------
    TierUnavailable
        No answer in time.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        done.set()

    threading.Thread(target=run, name=f"samnb asks {name}", daemon=True).start()
    if not done.wait(seconds):
        raise TierUnavailable(name, f"no answer within {seconds:g} s") from TimeoutError()
    if errors:
        raise errors[0]
    return results[0]
