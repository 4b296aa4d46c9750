"""`CircuitBreaker`: after a failure, how long to make no further call, and why."""

from __future__ import annotations

import time


class CircuitBreaker:
    """Open from the first failure until `reset`. It has no lock of its own: its owner's guards it.

    Parameters
    ----------
    first_rest, longest_rest : float
        Seconds until the next attempt; doubled with each attempt that fails.

    Attributes
    ----------
    retry_at : float
        `time.monotonic` of the next attempt; 0 while closed.
    reason : str
        Of the last failure; "" while closed.

    Examples
    --------
    >>> breaker = CircuitBreaker(first_rest=5, longest_rest=300)
    >>> breaker.trip("timed out", retried=False), breaker.trip("timed out", retried=False), breaker.is_open
    (True, False, True)
    >>> breaker.reset()
    >>> breaker.is_open
    False
    """

    def __init__(self, first_rest: float, longest_rest: float):
        self._first_rest, self._longest_rest = first_rest, longest_rest
        self._failures, self.retry_at, self.reason = 0, 0.0, ""

    @property
    def is_open(self) -> bool:
        """True while no call should be made before `retry_at`."""
        return self._failures > 0

    def trip(self, reason: str, *, retried: bool) -> bool:
        """Note a failure; returns True for the one that opens it.

        Parameters
        ----------
        retried : bool
            The failed call was an attempt made after `retry_at`: the next rest is longer. Any other failure while
            open changes nothing, since many callers fail at once.
        """
        opens = not self.is_open
        if opens or retried:
            rest = min(self._longest_rest, self._first_rest * 2.0 ** min(self._failures, 20))
            self._failures, self.retry_at, self.reason = self._failures + 1, time.monotonic() + rest, reason
        return opens

    def reset(self) -> None:
        """Close it."""
        self._failures, self.retry_at, self.reason = 0, 0.0, ""
