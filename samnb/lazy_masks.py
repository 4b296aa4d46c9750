"""`LazyMasks`: the masks of one prediction, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

__all__ = ["LazyMasks"]


class LazyMasks:
    """Masks at the size of a picture, made one by one when they are wanted, each once; for any thread.

    A model answers a click with three candidates, and most callers look at one. On a picture of twelve megapixels the
    other two are 24 MB and a part of the click's time.

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
        """The indices of those that were asked for."""
        return frozenset(self._made)

    def one(self, index: int) -> NDArray[np.bool_]:
        """The (H, W) mask of that index; IndexError where there is none."""
        index = range(self.shape[0])[index]
        with self._lock:
            if self._masks is None:
                # Zeros are pages that the system hands out when they are written to: what nobody wants takes no memory.
                self._masks = np.zeros(self.shape, bool)
            if index not in self._made:
                try:
                    self._make(index, self._masks[index])
                except BaseException:
                    self._masks[index] = False  # what was made half is no mask: the next one asks again
                    raise
                self._made.add(index)
            return self._masks[index]

    def all(self) -> NDArray[np.bool_]:
        """All of them, (N, H, W)."""
        for index in range(self.shape[0]):
            self.one(index)
        return np.zeros(self.shape, bool) if self._masks is None else self._masks
