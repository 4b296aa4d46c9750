"""Work of torch by several threads, each on pieces of its own.

torch divides every product among its threads and waits for the slowest. Where other processes use the same cores, some
thread is always without one, and all wait. Here each thread takes the next piece when it is done with one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

MOST = 4
"""Threads that take pieces; with more cores, some or all of them compute with several."""


def side_by_side(work: Callable[[Any], None], pieces: Iterable[Any]) -> None:
    """Call `work` for each piece, on as many threads as torch has here; returns when none runs any more.

    Parameters
    ----------
    work : callable
        Runs without gradients, and in inference mode if the caller does. After an error no other piece is begun.
    pieces : iterable
        Those that take longest first.
    """
    import torch

    count = torch.get_num_threads()
    if count == 1:
        for piece in pieces:
            work(piece)
        return
    inference = torch.is_inference_mode_enabled()

    def compute(piece: Any) -> None:
        with torch.inference_mode() if inference else torch.no_grad():
            work(piece)

    pool = _pool(os.getpid(), count)
    running = [pool.submit(compute, piece) for piece in pieces]
    try:
        for each in running:
            each.result()
    finally:
        for each in running:
            each.cancel()
        wait(running)


@lru_cache(maxsize=4)
def _pool(process: int, count: int) -> ThreadPoolExecutor:  # a fork has no threads of its parent
    """Up to `MOST` threads, on which torch computes with `count` threads in all."""
    import torch

    workers = min(count, MOST)
    shares = iter([count // workers + (number < count % workers) for number in range(workers)])

    def begin() -> None:
        torch.get_num_threads()  # the first call in a thread takes the count of others: it must come before
        torch.set_num_threads(next(shares))

    pool = ThreadPoolExecutor(workers, "samnb-encode", initializer=begin)
    together = threading.Barrier(workers)
    wait([pool.submit(together.wait) for _ in range(workers)])
    torch.set_num_threads(count)  # torch gives new threads what was set last by any
    return pool
