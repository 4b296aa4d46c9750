"""What the first images of a run say of how to go on; no clock runs here."""

import threading
from dataclasses import dataclass

import pytest

from samnb.encoding.autotune import (
    AutoTuner,
    BatchSizeSearch,
    ResizableSemaphore,
    ThreadCountTrial,
    TuningResult,
    readers_needed,
)
from tests.support.waiting import CountingCondition, wait_until


@dataclass
class Pacer:
    """Seconds that a batch takes: a fixed part, and one for each image."""

    fixed: float
    each: float

    def settle(self, pace):
        for _ in range(40):
            pace.record(pace.size, self.fixed + self.each * pace.size)
        return pace.size


def test_the_batch_grows_while_it_pays():
    assert Pacer(0.0, 0.1).settle(BatchSizeSearch()) == 1
    assert Pacer(0.1, 0.1).settle(BatchSizeSearch()) == 16  # 32 would be 3 % faster
    assert Pacer(10.0, 0.001).settle(BatchSizeSearch()) == 64
    assert Pacer(10.0, 0.001).settle(BatchSizeSearch(4)) == 4


def settle(trial, seconds, reading=0.0):
    tried = []
    while not trial.finished:
        tried.append(trial.threads)
        trial.record(seconds(trial.threads), reading=reading)
    return tried


@pytest.mark.parametrize(
    ("all_take", "one_takes", "reading", "chosen"),
    [
        (1.0, 1.7, 0.1, 2),  # the net is what takes time, and two threads help it
        (0.05, 0.06, 0.2, 1),  # reading is, and the second thread gains little
        (0.05, 0.3, 0.2, 2),
        (3.0, 0.14, 0.0, 1),  # others keep the processors busy, and two threads wait for each other
    ],
)
def test_the_threads_that_make_a_long_run_shorter_are_chosen(all_take, one_takes, reading, chosen):
    trial = ThreadCountTrial(2, cores=2)
    settle(trial, {2: all_take, 1: one_takes}.get, reading)
    assert trial.threads == chosen


def test_a_plain_difference_takes_one_pair_and_a_small_one_three_that_alternate():
    assert settle(ThreadCountTrial(4, cores=4), {4: 1.0, 1: 3.0}.get) == [4, 1]
    assert settle(ThreadCountTrial(4, cores=8), {4: 1.0, 1: 1.1}.get) == [4, 1] * 3
    assert settle(ThreadCountTrial(1, cores=8), {}.get) == []
    finished = ThreadCountTrial(2, cores=2)
    settle(finished, {2: 1.0, 1: 3.0}.get)
    finished.record(99.0, reading=0.0)
    assert finished.threads == 2


def test_one_slow_run_does_not_decide():
    trial, seconds = ThreadCountTrial(2, cores=4), iter([1.15, 1.05, 1.0, 5.0, 1.0, 1.1])
    settle(trial, lambda threads: next(seconds))
    assert trial.threads == 2


def test_a_trial_costs_a_twentieth_of_a_run_at_most():
    assert not ThreadCountTrial.worthwhile(1, 1000)
    assert [ThreadCountTrial.worthwhile(2, left) for left in (7, 19, 20)] == [False, False, True]
    assert [ThreadCountTrial.worthwhile(16, left) for left in (299, 300)] == [False, True]


def test_readers_keep_up_with_the_net_and_are_no_more_than_allowed():
    assert readers_needed(0.1, 10.0, limit=8) == 1
    assert readers_needed(0.5, 0.2, limit=8) == 5
    assert readers_needed(0.1, 0.0, limit=16) == 16


class TestProbe:
    def test_it_ends_when_all_three_are_known(self):
        reads = []
        probe = AutoTuner(BatchSizeSearch(), reads=reads, max_readers=16)
        probe.record(1, 1.0)  # nothing was read yet: not counted
        reads.append((0.2, 0.1))
        for _ in range(40):
            probe.record(probe.search.size, 0.1 + 0.1 * probe.search.size)
        assert probe.result == TuningResult(batch=16, threads=None, readers=4)

    def test_what_is_given_stays(self):
        probe = AutoTuner(BatchSizeSearch(3), reads=[(9.0, 0.1)], readers=2, max_readers=8, threads=5)
        for _ in range(3):
            probe.record(3, 1.0)
        assert probe.result == TuningResult(batch=3, threads=5, readers=2)

    def test_it_says_nothing_before_the_net_ran_twice(self):
        probe = AutoTuner(BatchSizeSearch(1), reads=[(0.1, 0.1)], max_readers=8, threads=1)
        probe.record(1, 1.0)
        assert probe.result is None

    def test_a_net_that_is_not_fed_gets_more_readers_at_once_and_no_larger_batches(self):
        probe = AutoTuner(BatchSizeSearch(), reads=[(0.2, 0.1)], max_readers=16)
        for _ in range(2):
            probe.record(1, 0.02)
        assert (probe.search.size, probe.readers) == (2, 16)
        for _ in range(6):
            assert probe.result is None
            probe.record(1, 0.02)
        assert probe.result == TuningResult(batch=2, threads=None, readers=16)


def test_a_gate_lets_in_as_many_as_it_is_told():
    gate, inside, go, lock = ResizableSemaphore(1), [0, 0], threading.Event(), threading.Lock()
    gate._changed = CountingCondition()

    def through():
        with gate.acquired():
            with lock:
                inside[0] += 1
                inside[1] = max(inside)
                if inside[0] == 3:
                    go.set()
            assert go.wait(300)
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=through) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_until("all others wait", lambda: gate._changed.waits == 5)
    assert inside == [1, 1]
    gate.limit = 3
    for thread in threads:
        thread.join(300)
    assert inside == [0, 3]
