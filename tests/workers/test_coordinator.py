"""The coordinator with workers that are made up: sizes of bundles, losses, images that end workers, unfit workers."""

from __future__ import annotations

import pickle
import queue
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from samnb.errors import WorkersLost
from samnb.jobs import JobControl
from samnb.workers import Coordinator, Done
from samnb.workers.bundle import Bundle, BundleResult
from samnb.workers.coordinator import LARGEST, PROBE
from samnb.workers.pool import Handle, Worker


class Nothing:
    def open(self) -> None:
        pass

    def __call__(self, items: Any, control: JobControl) -> Any:
        return iter(())


class MadeUpPool:
    """Workers that do one bundle whenever the coordinator looks; an image of `deadly` ends its worker.

    Hasty ones begin the next bundle before they report the one before.
    """

    def __init__(
        self,
        workers: int,
        *,
        seconds: float = 0.01,
        deadly: Iterable[int] = (),
        unfit: str = "",
        hasty: bool = False,
    ):
        self.hasty = hasty
        self.names = {f"worker {number}": Worker(1) for number in range(workers)}
        self.seconds, self.deadly, self.unfit = seconds, set(deadly), unfit
        self.reported: queue.SimpleQueue[Handle] = queue.SimpleQueue()
        self.held: dict[str, list[Handle]] = {}
        self.sizes: list[int] = []
        self.most_held = self.losses = self.number = 0
        self.stopped: list[str] = []

    def workers(self) -> Mapping[str, Worker]:
        for name, handles in list(self.held.items()):
            if handles and name in self.names:
                self._do(name, handles)
        return dict(self.names)

    def _do(self, name: str, handles: list[Handle]) -> None:
        begun = handles[:2] if self.hasty else handles[:1]
        if any(self.deadly & set(handle.bundle.items) for handle in begun):
            del self.names[name]
            self.losses += 1
            self.number += 1
            self.names[f"restarted {self.number}"] = Worker(1)
        else:
            self.reported.put(handles.pop(0))

    def submit(self, worker: str, bundle: Bundle) -> Handle:
        handle = Handle(worker, bundle, None)
        self.held.setdefault(worker, []).append(handle)
        self.sizes.append(len(bundle.items))
        self.most_held = max(self.most_held, len(self.held[worker]))
        return handle

    def result(self, handle: Handle) -> BundleResult | None:
        if handle.worker == self.unfit:
            return BundleResult((), 0.0, "CheckpointMissing: no weights here")
        items = handle.bundle.items
        if handle.bundle.run in self.stopped:
            items = items[:1]
        done = tuple(Done(index, item) for index, item in enumerate(items))
        return BundleResult(done, self.seconds * len(items))

    def cancel(self, handles: Iterable[Handle]) -> list[Handle]:
        return []

    def forget(self, handles: Iterable[Handle]) -> None:
        for handle in handles:
            self.held[handle.worker].remove(handle)

    def stop(self, run: str) -> None:
        self.stopped.append(run)

    def close(self) -> None:
        pass


def results_of(pool: MadeUpPool, count: int, control: JobControl | None = None) -> list[tuple[int, Done]]:
    run = Coordinator(pool, Nothing(), control or JobControl(), total=count)
    return [pair for results in run.run(iter(range(count))) for pair in results]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samnb.workers.coordinator._POLL", 0.001)


def test_bundles_take_seconds_and_a_worker_has_two() -> None:
    for seconds, largest in ((0.1, 50), (0.0001, LARGEST), (60.0, 1)):
        pool = MadeUpPool(2, seconds=seconds)
        found = results_of(pool, 3000 if seconds < 1 else 20)
        assert sorted(item for item, _ in found) == list(range(len(found)))
        assert pool.sizes[:4] == [PROBE] * 4
        assert max(pool.sizes[4:]) == largest
        assert pool.most_held == 2
        assert pool.sizes[-1] <= max(1, largest // 8)  # the last ones are small: no worker waits for another


def test_an_image_that_ends_workers_is_found_and_the_rest_is_done() -> None:
    pool = MadeUpPool(3, seconds=0.0001, deadly=[1234])
    found = results_of(pool, 3000)
    assert Counter(item for item, _ in found) == Counter(range(3000))
    [(item, done)] = [(item, done) for item, done in found if done.error]
    assert (item, done.error_type) == (1234, "WorkersLost")
    assert "ended 3 workers, alone" in done.error
    assert pool.losses <= 6


@pytest.mark.parametrize("deadly", [5, 17, 100, 203, 388, 399])
@pytest.mark.parametrize("seconds", [0.0001, 0.02, 0.5])
def test_a_worker_that_could_not_report_what_it_had_done_costs_no_further_ones(deadly: int, seconds: float) -> None:
    pool = MadeUpPool(2, seconds=seconds, deadly=[deadly], hasty=True)
    found = results_of(pool, 400)
    assert Counter(item for item, _ in found) == Counter(range(400))
    assert [item for item, done in found if done.error] == [deadly]
    assert pool.losses <= 6


def test_several_such_images_are_all_found() -> None:
    pool = MadeUpPool(2, seconds=0.05, deadly=[3, 77, 78, 450])
    found = results_of(pool, 500)
    assert Counter(item for item, _ in found) == Counter(range(500))
    assert sorted(item for item, done in found if done.error) == [3, 77, 78, 450]


def test_an_unfit_worker_is_left_out_and_without_another_the_run_ends() -> None:
    found = results_of(MadeUpPool(2, unfit="worker 1"), 100)
    assert sorted(item for item, _ in found) == list(range(100))
    with pytest.raises(WorkersLost, match="no weights here"):
        results_of(MadeUpPool(1, unfit="worker 0"), 100)


def test_a_cancel_takes_what_is_in_hand_and_begins_nothing() -> None:
    pool, control = MadeUpPool(2), JobControl()
    run = Coordinator(pool, Nothing(), control, total=1000)
    found: list[tuple[int, Done]] = []
    for results in run.run(iter(range(1000))):
        found += results
        if len(found) > 20 and not control.cancelled:
            control.cancel()
            given = len(pool.sizes)
    assert 20 < len(found) < 1000
    assert len(pool.sizes) == given
    assert len(pool.stopped) == 1


def test_the_rest_of_a_stopped_bundle_is_done_after_a_pause() -> None:
    pool, control = MadeUpPool(2), JobControl()
    run = Coordinator(pool, Nothing(), control, total=300)
    found: list[tuple[int, Done]] = []
    resumed = False
    for results in run.run(iter(range(300))):
        found += results
        if len(found) > 20 and not resumed:
            resumed = True
            control.pause()
            # The coordinator blocks in the pause: another thread ends it, as a button does.
            threading.Timer(0.2, control.resume).start()
    assert Counter(item for item, _ in found) == Counter(range(300))
    assert len(pool.stopped) == 1


def test_a_bundle_travels_small() -> None:
    assert len(pickle.dumps(Bundle("run", pickle.dumps(Nothing()), tuple(range(64))))) < 2000
