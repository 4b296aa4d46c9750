"""`DaskPool`: the workers of a Dask cluster.

Each bundle is for one worker. So it is known which worker had what: the loss of a worker costs its bundles, and
the picture that ends workers is found. Left to Dask, such a bundle would end four workers before Dask gives up on it.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import PackageMissing, WorkersLost
from .bundle import Bundle, BundleResult, run_bundle, stop_run
from .pool import Handle, Worker

LOOK_EVERY = 0.5
"""Seconds between two looks at which workers there are."""
PATIENCE = 10.0
"""Seconds without an answer of the scheduler after which it counts as lost."""
CONNECT = 10.0

_GPU = "GPU"


class DaskPool:
    """Workers of a ``distributed.Client``; where some have the resource "GPU", only these, one bundle at a time.

    Parameters
    ----------
    client : distributed.Client
    owned : bool
        Whether `close` closes it.
    """

    def __init__(self, client: Any, *, owned: bool = False):
        self._client, self._owned = client, owned
        self._address = _address_of(client)
        self._workers: dict[str, Worker] = {}
        self._resources: dict[str, dict[str, float]] = {}
        self._looked_at = self._answered_at = 0.0
        self._number = 0
        self.reported: queue.SimpleQueue[Handle] = queue.SimpleQueue()

    @classmethod
    def open(cls, client: Any) -> DaskPool:
        """A pool of a client, or of an address. Raises `PackageMissing`, `WorkersLost`."""
        try:
            from distributed import Client
        except ImportError as error:
            raise PackageMissing(f"on={client!r}", "distributed", "distributed") from error
        if not isinstance(client, str):
            return cls(client)
        try:
            return cls(Client(client, set_as_default=False, timeout=CONNECT), owned=True)
        except (OSError, ValueError) as error:
            raise WorkersLost(f"{client}: no scheduler answers there ({error}). Start it: dask scheduler.") from error

    def workers(self) -> Mapping[str, Worker]:
        """See `Pool.workers`."""
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return self._workers
        self._check_connected()
        try:
            # Late: a client of this package that is closed is an error of its own, which is told in words of ours.
            threads = self._client.nthreads()
        except Exception as error:
            if time.monotonic() - self._answered_at > PATIENCE:
                raise self._lost(error) from error
            return self._workers
        self._looked_at = self._answered_at = time.monotonic()
        if threads.keys() - self._resources.keys():
            info = self._client.scheduler_info()["workers"]
            self._resources = {name: dict(info.get(name, {}).get("resources", {})) for name in threads}
        with_gpu = [name for name in threads if self._resources[name].get(_GPU)]
        self._workers = {
            name: Worker(1 if name in with_gpu else max(1, int(threads[name]))) for name in with_gpu or threads
        }
        return self._workers

    def submit(self, worker: str, bundle: Bundle) -> Handle:
        """See `Pool.submit`."""
        self._number += 1
        needs = {"resources": {_GPU: 1}} if self._resources.get(worker, {}).get(_GPU) else {}
        future = self._client.submit(
            run_bundle, bundle, key=f"samnb-{bundle.run}-{self._number}", workers=[worker], pure=False, **needs
        )
        handle = Handle(worker, bundle, future)
        future.add_done_callback(lambda _: self.reported.put(handle))
        return handle

    def result(self, handle: Handle) -> BundleResult | None:
        """See `Pool.result`."""
        self._check_connected()
        status = handle.future.status
        if status in ("lost", "cancelled"):
            return None
        if status == "error":
            error = handle.future.exception()
            # The work itself reports its errors: this one is of the worker, such as samnb missing there.
            return BundleResult((), 0.0, f"{type(error).__name__}: {error}")
        while True:
            try:
                result: BundleResult = handle.future.result(timeout=1.0)
                return result
            except Exception:
                # What a worker reported is fetched from it, and it may be gone by now.
                self._looked_at = 0.0
                if handle.worker not in self.workers() or handle.future.status != "finished":
                    return None

    def cancel(self, handles: Iterable[Handle]) -> list[Handle]:
        """None: whether one has begun is known to its worker alone; `stop` ends those that have not at once."""
        return []

    def stop(self, run: str) -> None:
        """See `Pool.stop`."""
        self._client.run(_stop, run, wait=False, on_error="ignore")

    def forget(self, handles: Iterable[Handle]) -> None:
        """Give up bundles whose worker is gone; Dask would wait for it for ever."""
        self._client.cancel([handle.future for handle in handles], force=True)

    def close(self) -> None:
        """Close the client, if the pool opened it."""
        if self._owned:
            self._client.close(timeout=2)

    def _check_connected(self) -> None:
        status = self._client.status
        if status == "running":
            return
        if status in ("closed", "closing") or time.monotonic() - self._answered_at > PATIENCE:
            raise self._lost(f"the connection is {status}")
        time.sleep(0.1)

    def _lost(self, reason: object) -> WorkersLost:
        return WorkersLost(
            f"{self._address}: the scheduler of the cluster does not answer any more ({reason}). What was finished is "
            "kept. Start the cluster again: the same call does what is left."
        )


async def _stop(run: str) -> None:
    """`stop_run` as a coroutine, for which a client need not wait; on the thread that takes messages, not in line."""
    stop_run(run)


def _address_of(client: Any) -> str:
    scheduler = getattr(client, "scheduler", None)
    return str(getattr(scheduler, "addr", "") or getattr(scheduler, "address", "") or client)
