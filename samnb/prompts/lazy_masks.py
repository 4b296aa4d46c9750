"""`LazyMasks`: masks that are computed on first use."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import numpy as np
from numpy.typing import NDArray


class LazyMasks:
    """Masks at the size of a picture, each computed once, on first use; thread-safe.

    A model answers a click with three candidates, and most callers use one. On a picture of twelve megapixels the
    other two take 24 MB and a part of the click's time.

    Parameters
    ----------
    count : int
    size_hw : (H, W)
    make : callable
        Given an index and an (H, W) bool array of False, writes that mask into it.

    Examples
    --------
    >>> def make(index, out):
    ...     print("making", index)
    ...     out[:, : index + 1] = True
    >>> masks = LazyMasks(3, (1, 3), make)
    >>> masks.one(1)
    making 1
    array([[ True,  True, False]])
    >>> masks.all().sum(axis=(1, 2))
    making 0
    making 2
    array([1, 2, 3])
    """

    def __init__(self, count: int, size_hw: tuple[int, int], make: Callable[[int, NDArray[np.bool_]], object]):
        self.shape = (count, *size_hw)
        self._make, self._lock = make, Lock()
        self._masks: NDArray[np.bool_] | None = None
        self._made: set[int] = set()

    def __repr__(self) -> str:
        return f"<LazyMasks {self.shape}, {len(self._made)} made>"

    @property
    def made(self) -> frozenset[int]:
        """The indices of the masks that were computed."""
        return frozenset(self._made)

    def one(self, index: int) -> NDArray[np.bool_]:
        """The (H, W) mask of that index; IndexError if there is none."""
        index = range(self.shape[0])[index]
        with self._lock:
            if self._masks is None:
                # The system allocates pages of zeros when they are written to: unused masks take no memory.
                self._masks = np.zeros(self.shape, bool)
            if index not in self._made:
                try:
                    self._make(index, self._masks[index])
                except BaseException:
                    self._masks[index] = False  # a partly written mask is not a mask: the next access computes it again
                    raise
                self._made.add(index)
            return self._masks[index]

    def part(self, index: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
        """The corner (x, y) of the part that is not empty, and the mask there: here the whole mask."""
        return (0, 0), self.one(index)

    def all(self) -> NDArray[np.bool_]:
        """All of them, (N, H, W)."""
        for index in range(self.shape[0]):
            self.one(index)
        return np.zeros(self.shape, bool) if self._masks is None else self._masks
