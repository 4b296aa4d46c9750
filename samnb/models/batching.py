"""`Batches`: several images in one run of a net, in smaller batches where the memory is short."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger("samnb.models")

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches:
    """Runs batches, and remembers the largest size that fits this device.

    Examples
    --------
    >>> batches = Batches()
    >>> batches.run(lambda items: [item * 2 for item in items], [1, 2, 3])
    [2, 4, 6]
    """

    def __init__(self) -> None:
        self.largest: int | None = None
        """The size that batches were reduced to; None: none has failed."""

    def run(self, run: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
        """Call `run` with batches of the items; one that does not fit the memory is halved. Results keep their order.

        Raises
        ------
        Exception
            Any error of `run`, also if a single item does not fit.
        """
        done: list[Result] = []
        while len(done) < len(items):
            left = len(items) - len(done)
            size = left if self.largest is None else min(left, self.largest)
            try:
                done += run(items[len(done) : len(done) + size])
            except Exception as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
                self.largest = size // 2
                reason = str(error).partition("\n")[0]
            else:
                continue
            # Outside of the handler: the error, while it is handled, holds the tensors of the run that failed.
            _log.warning("no room for %d images at once (%s); from now on %d", size, reason, self.largest)
            _free()
        return done


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device had too little memory; MPS and older versions of torch have only the message."""
    import torch

    kind = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    return isinstance(error, kind) or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())


def on_host(batch: Any) -> list[NDArray[np.float32]]:
    """Split a tensor (B, …) of any device and precision into B independent float32 arrays."""
    import torch

    batch = batch.float()
    if batch.is_cuda:
        host = torch.empty(batch.shape, dtype=batch.dtype, pin_memory=True)
        host.copy_(batch, non_blocking=True)
        torch.cuda.current_stream(batch.device).synchronize()
    else:
        host = batch.cpu()
    # Copies: pinned memory is scarce, and one embedding that is kept must not keep those of its batch.
    copy = batch.is_cuda or len(batch) > 1
    return [np.array(one, order="C") if copy else np.ascontiguousarray(one) for one in host.numpy()]


def _free() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
