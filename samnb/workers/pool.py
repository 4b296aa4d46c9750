"""`Pool`: the workers that a run may use; `ExecutorPool`: those of a ``concurrent.futures`` executor."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import WorkersLost
from .bundle import Bundle, BundleResult, run_bundle, stop_run

_THREADS_UNKNOWN = 4


@dataclass(eq=False)
class Handle:
    """A bundle that a worker has: its worker, its future, and whether the worker has reported it done."""

    worker: str
    bundle: Bundle
    future: Any
    reported: bool = False


@dataclass(frozen=True)
class Worker:
    """A worker of a pool: the bundles it does at the same time, and after how many seconds one should be done."""

    threads: int
    seconds: float = 5.0


class Pool(Protocol):
    """Workers of one kind; used by one thread."""

    reported: queue.SimpleQueue[Handle]
    """Bundles that were reported done."""

    def workers(self) -> Mapping[str, Worker]:
        """The workers there are now, by name. Raises `WorkersLost` once there is no way to reach any."""
        ...

    def submit(self, worker: str, bundle: Bundle) -> Handle:
        """Give a worker a bundle."""
        ...

    def result(self, handle: Handle) -> BundleResult | None:
        """The result of a reported bundle; None if it is lost with its worker, or was cancelled."""
        ...

    def cancel(self, handles: Iterable[Handle]) -> list[Handle]:
        """Take bundles back that have not begun; returns those."""
        ...

    def forget(self, handles: Iterable[Handle]) -> None:
        """Give up bundles whose results are not wanted any more."""
        ...

    def stop(self, run: str) -> None:
        """Stop the bundles of a run on all workers, after their current image."""
        ...

    def close(self) -> None:
        """Give up what the pool opened itself."""
        ...


@dataclass(eq=False)
class ExecutorPool:
    """An executor as one worker with many threads.

    It cannot say which process it has lost: a process pool then breaks as a whole. And processes cannot be told to
    stop, so their bundles are short.
    """

    executor: Executor
    reported: queue.SimpleQueue[Handle] = field(default_factory=queue.SimpleQueue)

    def workers(self) -> Mapping[str, Worker]:
        """See `Pool.workers`."""
        threads = getattr(self.executor, "_max_workers", None) or _THREADS_UNKNOWN
        return {"": Worker(threads, seconds=1.0)}

    def submit(self, worker: str, bundle: Bundle) -> Handle:
        """See `Pool.submit`."""
        try:
            future: Future[BundleResult] = self.executor.submit(run_bundle, bundle)
        except (BrokenExecutor, RuntimeError) as error:
            raise _broken(error) from error
        handle = Handle(worker, bundle, future)
        future.add_done_callback(lambda _: self.reported.put(handle))
        return handle

    def result(self, handle: Handle) -> BundleResult | None:
        """See `Pool.result`."""
        try:
            result: BundleResult = handle.future.result()
        except CancelledError:
            return None
        except BrokenExecutor as error:
            raise _broken(error) from error
        return result

    def cancel(self, handles: Iterable[Handle]) -> list[Handle]:
        """See `Pool.cancel`."""
        return [handle for handle in handles if handle.future.cancel()]

    def forget(self, handles: Iterable[Handle]) -> None:
        """See `Pool.forget`."""
        self.cancel(handles)

    def stop(self, run: str) -> None:
        """See `Pool.stop`."""
        stop_run(run)  # of threads; other processes come to the end of their bundle by themselves

    def close(self) -> None:
        """The executor is the caller's."""


def _broken(error: Exception) -> WorkersLost:
    return WorkersLost(
        f"The executor takes no more work ({type(error).__name__}: {error}). What was finished is kept. Make a new "
        "executor: the same call does what is left. A Dask cluster (on=Client(…)) survives the loss of a worker and "
        "finds the picture that causes it."
    )
