"""Remote stores that fail now and then: `ChaosProxy` on the way to a server, `ChaosTier` round a tier without one.

Both inject a settable share of faults, and count them: a run that injected none has tested nothing.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

from samnb.errors import TierUnavailable
from samnb.store.remote import Tier

T = TypeVar("T")

FAULTS = ("fail", "delay", "truncate", "flip", "duplicate", "hang")
_DELAY, _HANG = 0.05, 1.0
_AT_ONCE = 1 << 16


class Chaos:
    """Chooses a fault for a share of all calls.

    Parameters
    ----------
    share : float
        Of the calls, 0 to 1; may be changed at any time.
    faults : tuple of str
        Some of `FAULTS`.
    seed : int
    """

    def __init__(self, share: float, faults: tuple[str, ...] = FAULTS, seed: int = 0):
        self.share, self.faults = share, faults
        self.injected: Counter[str] = Counter()
        self._random, self._lock = random.Random(seed), threading.Lock()

    def choose(self) -> str:
        """The fault of this call; "" for none."""
        with self._lock:
            if self._random.random() >= self.share:
                return ""
            fault = self._random.choice(self.faults)
            self.injected[fault] += 1
            return fault

    def flipped(self, data: bytes) -> bytes:
        """With one bit changed."""
        if not data:
            return data
        raw = bytearray(data)
        with self._lock:
            raw[self._random.randrange(len(raw))] ^= 1 << self._random.randrange(8)
        return bytes(raw)


class ChaosProxy:
    """Forwards connections to a port of this machine; each piece that goes through may meet a fault.

    "fail" resets the connection, "truncate" sends half a piece and closes, "hang" says nothing more for a second and
    then resets: longer than the tiers of the tests wait, and an end for those who wait for ever.
    """

    def __init__(self, port: int, chaos: Chaos):
        self._to, self.chaos = port, chaos
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> ChaosProxy:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._to)) as server:
            while True:
                for source in select.select([client, server], [], [])[0]:
                    piece = source.recv(_AT_ONCE)
                    if not piece or not self._pass_on(piece, server if source is client else client, client):
                        return

    def _pass_on(self, piece: bytes, to: socket.socket, client: socket.socket) -> bool:
        fault = self.chaos.choose()
        if fault == "delay":
            time.sleep(_DELAY)
        elif fault == "flip":
            piece = self.chaos.flipped(piece)
        elif fault == "duplicate":
            piece += piece
        elif fault == "truncate":
            to.sendall(piece[: len(piece) // 2])
            return False
        elif fault in ("fail", "hang"):
            time.sleep(_HANG if fault == "hang" else 0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no end
            return False
        to.sendall(piece)
        return True


class ChaosTier:
    """A tier round another one, whose calls meet faults."""

    def __init__(self, tier: Tier, chaos: Chaos):
        self._tier, self.chaos = tier, chaos
        self.name = tier.name

    def get(self, key: str) -> bytes | None:
        fault = self.chaos.choose()
        raw = self._called(fault, lambda: self._tier.get(key))
        if raw is None:
            return None
        return raw[: len(raw) // 2] if fault == "truncate" else self.chaos.flipped(raw) if fault == "flip" else raw

    def put(self, key: str, raw: bytes) -> bool:
        fault = self.chaos.choose()
        raw = raw[: len(raw) // 2] if fault == "truncate" else self.chaos.flipped(raw) if fault == "flip" else raw
        return self._called(fault, lambda: self._tier.put(key, raw))

    def discard(self, key: str) -> bool:
        return self._called(self.chaos.choose(), lambda: self._tier.discard(key))

    def contains(self, key: str) -> bool:
        return self._called(self.chaos.choose(), lambda: self._tier.contains(key))

    def keys(self) -> Iterator[str]:
        return self._called(self.chaos.choose(), self._tier.keys)

    def close(self) -> None:
        self._tier.close()

    def _called(self, fault: str, call: Callable[[], T]) -> T:
        if fault == "fail":
            raise TierUnavailable(self.name, "chaos")
        if fault == "hang":
            time.sleep(_DELAY)
            raise TierUnavailable(self.name, "no answer in time: chaos")
        if fault == "delay":
            time.sleep(_DELAY)
        if fault == "duplicate":
            call()
        return call()
