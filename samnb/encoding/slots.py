"""`Slot`: one image while a `Pipeline` works on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from ..jobs import Event
from ..prompts import Embedding
from .tasks import EncodeTask

_BYTES_PER_PIXEL = 8  # while it is read: four in Pillow, and four more where the picture is turned upright
_UNKNOWN_PIXELS = 12_000_000

State = Literal["waiting", "reading", "ready", "encoding", "publishing", "withdrawing", "withdrawn", "finished"]


@dataclass(eq=False)
class Slot:
    """One image in progress; changed under the pipeline's lock."""

    index: int
    task: EncodeTask
    turn: threading.Condition  # its thread waits for the encoder
    in_block: bool = False  # its thread encodes it too
    state: State = "waiting"
    bytes: int = 0
    work: Any = None  # a `Prepared`, or pixels
    embedding: Embedding | None = None
    error: BaseException | None = None
    event: Event | None = None
    seconds: float = 0.0
    since: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def is_begun(self) -> bool:
        """Whether a thread has it, and has not ended."""
        return self.event is None and self.state != "withdrawn"

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the seconds of the block as work on this image."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started


class Withdrawn(BaseException):
    """The image is not encoded now. No `Exception`: other callers that wait for the same image compute it."""


def bytes_of(task: EncodeTask) -> int:
    """Bytes that the picture takes while it is read."""
    return _BYTES_PER_PIXEL * (task.pixels or _UNKNOWN_PIXELS)
