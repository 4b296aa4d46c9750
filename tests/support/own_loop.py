"""A coroutine in a loop of its own: a browser of the same test run keeps the main thread's loop running."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_own_loop(coroutine: Coroutine[Any, Any, Any], timeout: float = 600) -> Any:
    """What it returns, computed on another thread; raises what it raises."""

    def run() -> Any:
        return asyncio.run(asyncio.wait_for(coroutine, timeout))

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()
