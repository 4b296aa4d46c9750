"""`decoding` bounds the memory that pictures take while they are decoded; `return_freed_memory` after many of them.

A file of a few kilobytes may hold two hundred million pixels. Decoding one takes gigabytes, and several threads decode
at the same time.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from ..errors import AnyPath, ImageError

BYTES_PER_PIXEL, DEEP_BYTES_PER_PIXEL = 16, 36
"""The most that was measured while a picture, or one of more than 8 bits, was read and hashed, and a little more."""

BLOCKS_OF_A_PICTURE = 4
"""Of the 16 MiB in which Pillow takes memory, for 16 megapixels; of larger pictures a part is kept."""

KEPT_BY_GLIBC = 64 << 20
"""Bytes: the largest tensor of ViT-H is 60 MB."""

_KEPT_AT_MOST_BY_ITSELF = 32 << 20  # what glibc's own threshold grows to
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h
_USERS_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
_SMALL = 16_000_000  # pixels of a picture that waits for nobody


def _budget() -> int:
    """A quarter of the computer's memory, 1 GiB if that is unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    except (AttributeError, OSError, ValueError):  # Windows has no such function
        return 1 << 30


class Room:
    """Bytes that several threads share; a thread that finds too few waits, unless nobody has any.

    Examples
    --------
    >>> room = Room(100)
    >>> with room.taken(500):
    ...     room.used
    500
    """

    def __init__(self, size: int):
        self.size, self.used = size, 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Inside the block, that much is taken."""
        with self._changed:
            self._changed.wait_for(lambda: not self.used or self.used + size <= self.size)
            self.used += size
        try:
            yield
        finally:
            with self._changed:
                self.used -= size
                self._changed.notify_all()


_room = Room(_budget())
_blocks_max = Image.core.get_blocks_max()  # the user's PILLOW_BLOCKS_MAX


@contextmanager
def decoding(size_hw: tuple[int, int], path: AnyPath, *, deep: bool = False) -> Iterator[None]:
    """Inside the block, a picture of (H, W), `deep` if of more than 8 bits, is read, with others as far as memory goes.

    Raises
    ------
    ImageError
        There is not enough memory. Nothing is said about the file, which may be sound.
    """
    height, width = size_hw
    need = (DEEP_BYTES_PER_PIXEL if deep else BYTES_PER_PIXEL) * height * width
    try:
        if height * width <= _SMALL:
            yield
        else:
            with _room.taken(need):
                yield
    except MemoryError as error:
        raise ImageError(
            f"{path}: not enough memory to decode {width} x {height} pixels, which may take {need / 2**30:.1f} GiB. "
            "The file may be sound: free memory, or add it alone."
        ) from error


def keep_freed_memory(pictures: int) -> None:
    """Use the memory of pictures and tensors that are gone for the next ones, until `return_freed_memory`.

    Else the system clears the 48 MB of every picture of 12 megapixels anew, a third of the time that its JPEG takes. It
    does the same with each large tensor on any thread but the first: 40 % of the time that `tiny` takes to encode.

    Parameters
    ----------
    pictures : int
        How many are read at the same time.

    Examples
    --------
    >>> keep_freed_memory(2)
    >>> return_freed_memory()
    """
    Image.core.set_blocks_max(max(Image.core.get_blocks_max(), BLOCKS_OF_A_PICTURE * pictures))
    _set_thresholds(KEPT_BY_GLIBC)


def return_freed_memory() -> None:
    """Give the memory that was freed back to the system; takes about a millisecond.

    glibc keeps what threads freed for the same threads' later use. After a prewarm of eight pictures of 12 megapixels
    that was 160 MB of 535. Pillow keeps what `keep_freed_memory` said.

    Examples
    --------
    >>> return_freed_memory()
    """
    Image.core.set_blocks_max(_blocks_max)
    Image.core.clear_cache(_blocks_max)
    _set_thresholds(_KEPT_AT_MOST_BY_ITSELF)
    trim = getattr(_process, "malloc_trim", None)
    if trim is not None:
        trim(0)


def _set_thresholds(size: int) -> None:
    """Bytes up to which glibc takes memory from what was freed, and twice that, of which it gives the rest back."""
    mallopt = getattr(_process, "mallopt", None)
    if mallopt is not None and not any(name in os.environ for name in _USERS_OWN):
        mallopt(_M_MMAP_THRESHOLD, size)
        mallopt(_M_TRIM_THRESHOLD, 2 * size)


def _share_arenas() -> None:
    """Have as many heaps as cores: glibc has eight times as many for threads, and each keeps tens of megabytes.

    A hundred prewarms of four images took 270 MB more, and were not faster.
    """
    mallopt = getattr(_process, "mallopt", None)
    if mallopt is not None and not any(name in os.environ for name in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")):
        mallopt(_M_ARENA_MAX, max(2, os.cpu_count() or 2))


# The functions of the libraries that this process has loaded; Windows has no such list.
_process = ctypes.CDLL(None) if os.name == "posix" else None
_share_arenas()


def _reset_after_fork() -> None:
    global _room
    _room = Room(_room.size)  # the threads that took of it are the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
