"""`bounded`: connections of redis-py whose answers have a limit of time and of size.

redis-py limits only the wait for each piece. A server that sends a byte a second, or announces a value of gigabytes,
would hold the caller, or fill the memory.
"""

from __future__ import annotations

import time
from typing import Any


class AnswerTooLarge(ValueError):
    """An answer of more bytes than any entry has."""


class _BoundedSocket:
    """A socket that counts what it receives since it last sent: one command and its answer."""

    def __init__(self, wrapped: Any, seconds: float, max_bytes: int):
        self._socket, self._seconds, self._max_bytes = wrapped, seconds, max_bytes
        self._begin()

    def _begin(self) -> None:
        self._until, self._left = time.monotonic() + self._seconds, self._max_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def sendall(self, data: Any, *flags: int) -> None:
        self._socket.sendall(data, *flags)
        self._begin()

    def recv(self, size: int, *flags: int) -> bytes:
        self._check()
        data: bytes = self._socket.recv(size, *flags)
        self._left -= len(data)
        return data

    def recv_into(self, buffer: Any, *more: int) -> int:
        self._check()
        count: int = self._socket.recv_into(buffer, *more)
        self._left -= count
        return count

    def _check(self) -> None:
        if self._left < 0:
            raise AnswerTooLarge(f"an answer of more than {self._max_bytes / 2**20:,.0f} MiB")
        if time.monotonic() > self._until:
            raise TimeoutError(f"no complete answer within {self._seconds:g} s")


def bounded(connection: type, *, seconds: float, max_bytes: int) -> type:
    """A subclass of a connection class of redis-py, whose answers take no more seconds and bytes than that."""

    class BoundedConnection(connection):  # type: ignore[misc]
        def _connect(self) -> Any:
            return _BoundedSocket(super()._connect(), seconds, max_bytes)

    return BoundedConnection
