"""A remote tier in a dict that fails and waits on demand, and numbered entries for any tier."""

from __future__ import annotations

import threading
import time
from functools import cache

import numpy as np

from samnb.errors import TierUnavailable
from samnb.prompts import Embedding
from samnb.store.entry import make_key, serialize
from samnb.store.remote import RemoteTiers


def key_of(index: int) -> str:
    return make_key(f"pixels {index}", "weights", "recipe")


@cache  # the header says when it was made
def entry_of(index: int, side: int = 16) -> bytes:
    values = np.random.default_rng(index).normal(size=(8, side, side))
    embedding = Embedding({"image_embedding": values.astype(np.float32)}, (480, 640), (768, 1024))
    return serialize(key_of(index), embedding, dtype="float16", metadata={})


KEY, ENTRY = key_of(0), entry_of(0)


class FakeTier:
    """A dict that fails, waits and counts on demand."""

    name = "fake://tier"

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.put_error: Exception | None = None
        self.late = 0
        """The number of calls, from now on, that find no answer in time."""
        self.seconds = 0.0
        self.gate = threading.Event()
        self.gate.set()

    def _called(self, what: str) -> None:
        self.calls.append(what)
        time.sleep(self.seconds)
        if self.late:
            self.late -= 1
            raise TierUnavailable(self.name, "no answer within 2 s") from TimeoutError()
        if self.error is not None:
            raise self.error

    def get(self, key: str) -> bytes | None:
        self._called("get")
        return self.entries.get(key)

    def put(self, key: str, raw: bytes) -> bool:
        self.gate.wait(300)
        self._called("put")
        if self.put_error is not None:
            raise self.put_error
        if key in self.entries:
            return False
        self.entries[key] = raw
        return True

    def discard(self, key: str) -> bool:
        self._called("discard")
        return self.entries.pop(key, None) is not None

    def contains(self, key: str) -> bool:
        self._called("contains")
        return key in self.entries

    def close(self) -> None:
        self.calls.append("close")


def remote_of(*tiers: FakeTier, **options: object) -> RemoteTiers:
    return RemoteTiers(tiers, **{"first_rest": 0.05, "longest_rest": 0.2, **options})
