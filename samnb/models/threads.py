"""Work of torch by several threads, each on pieces of its own.

torch divides every product among its threads and waits for the slowest. Where other processes use the same cores, some
thread is always without one, and all wait. Here each thread takes the next piece when it is done with one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

MOST = 4
"""Threads that take pieces; with more cores, each of them computes with several."""


def side_by_side(work: Callable[[Any], None], pieces: Iterable[Any]) -> None:
    """Call `work` for each piece, by as many threads as torch has here; returns when all are done.

    Parameters
    ----------
    work : callable
        Runs without gradients, and in inference mode if the caller does.
    pieces : iterable
        Those that take longest first.
    """
    import torch

    count = torch.get_num_threads()
    workers = min(count, MOST)
    if workers == 1:
        for piece in pieces:
            work(piece)
        return
    inference = torch.is_inference_mode_enabled()

    def compute(piece: Any) -> None:
        with torch.inference_mode() if inference else torch.no_grad():
            work(piece)

    try:
        list(_pool(os.getpid(), workers, count // workers).map(compute, pieces))
    finally:  # the threads of the pool set theirs, and torch gives new threads what was set last
        torch.set_num_threads(count)


@lru_cache(maxsize=4)
def _pool(process: int, workers: int, threads: int) -> ThreadPoolExecutor:  # a fork has no threads of its parent
    import torch

    return ThreadPoolExecutor(workers, "samnb-encode", initializer=lambda: torch.set_num_threads(threads))
