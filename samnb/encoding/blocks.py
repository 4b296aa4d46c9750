"""`BlockSize`: how many small pictures one thread does from file to entry, without handing any over to another.

Threads that read, encode and write at the same time never let a slow encoder wait. But each image is handed over
several times, some milliseconds in all, which is more than all the work on a small picture with a quick encoder.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from .tasks import EncodeTask

LARGEST = 64
MAX_PIXELS = 1 << 18
"""Of a picture in a block; reading a larger one takes longer than handing it over."""

_MEASURED = 16  # images of the first blocks, and on threads of their own before them
_TRIED = 3  # blocks before they are judged: one that was held up says little
_QUICK = 0.01  # seconds of work on an image up to which blocks are tried
_BLOCK_SECONDS = 0.05
_CLEARLY_FASTER = 1.2


class BlockSize:
    """Decides by what images took: first each on threads of its own, then in blocks for as long as those are faster.

    Examples
    --------
    >>> size = BlockSize()
    >>> for image in range(17):
    ...     size.image_ended(0.001, now=image * 0.002)
    >>> size.next
    16
    >>> for block in range(3):
    ...     size.block_ended(16, 0.016)
    >>> size.next
    50
    >>> size.block_ended(50, 0.5)
    >>> size.next
    0
    """

    def __init__(self) -> None:
        self.reset()
        self._blocks: deque[tuple[int, float]] = deque(maxlen=8)
        self._apart = 0.0  # seconds from image to image on several threads
        self._is_slower = False

    def reset(self) -> None:
        """Measure images on threads of their own again before the next block."""
        self._ends: deque[float] = deque(maxlen=_MEASURED + 1)
        self._work: deque[float] = deque(maxlen=_MEASURED)

    def image_ended(self, seconds: float, *, now: float) -> None:
        """Note an image that had a thread of its own: the seconds of work on it, and the time."""
        self._ends.append(now)
        self._work.append(seconds)
        self._apart = (now - self._ends[0]) / max(1, len(self._ends) - 1)

    def block_ended(self, count: int, seconds: float) -> None:
        """Note a block by its number of images; blocks that are slower than threads are not tried again."""
        self._blocks.append((count, seconds))
        self._is_slower = len(self._blocks) >= _TRIED and self._seconds * _CLEARLY_FASTER > self._apart

    @property
    def next(self) -> int:
        """Number of images of the next block; 0: each image gets a thread of its own."""
        if self._is_slower or len(self._ends) <= _MEASURED or median(self._work) > _QUICK:
            return 0
        if len(self._blocks) < _TRIED:
            return _MEASURED
        return max(1, min(LARGEST, int(_BLOCK_SECONDS / max(self._seconds, 1e-9))))

    @property
    def _seconds(self) -> float:
        """Of an image in the last blocks."""
        return sum(seconds for _, seconds in self._blocks) / sum(count for count, _ in self._blocks)


def is_small(task: EncodeTask) -> bool:
    """Whether the picture of a task may be in a block.

    Examples
    --------
    >>> of = dict.fromkeys(("key", "path", "pixel_hash", "filename", "dataset", "model", "checkpoint"), "")
    >>> [is_small(EncodeTask(**of, device="cpu", folder="", dtype="float16", pixels=n)) for n in (0, 1000, 10**6)]
    [False, True, False]
    """
    return 0 < task.pixels <= MAX_PIXELS
