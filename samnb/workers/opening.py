"""`open_pool`: the workers that `on=` names."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

from ..errors import UnknownOption
from .dask_pool import DaskPool
from .pool import ExecutorPool, Pool


def open_pool(on: Any) -> Pool:
    """The pool of a ``distributed.Client``, of its address, or of any ``concurrent.futures`` executor.

    Raises
    ------
    UnknownOption
        Anything else.
    PackageMissing
        An address, and distributed is not installed.
    WorkersLost
        No scheduler answers at the address.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as threads:
    ...     open_pool(threads).workers()
    {'': Worker(threads=2, seconds=1.0)}
    """
    if isinstance(on, Executor) and not hasattr(on, "_client"):
        return ExecutorPool(on)
    # The executor of a client, `client.get_executor()`, hides how its workers fare: the client itself is used.
    client = getattr(on, "_client", on)
    if isinstance(client, str) or type(client).__module__.partition(".")[0] == "distributed":
        return DaskPool.open(client)
    expected = ["a distributed.Client", "its address 'tcp://host:8786'", "a concurrent.futures executor", "None"]
    raise UnknownOption("on=…", [f"{type(on).__name__} {on!r}"], expected)
