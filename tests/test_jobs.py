import asyncio
import signal
import sys
import threading

import pytest

from samnb import jobs
from samnb.jobs import Event, Job, JobControl, Signal, summary_text
from tests.support.waiting import CountingEvent, wait_until


def counting(total, *, gate=None, seen=None):
    def work(control):
        for index in range(1, total + 1):
            if not control.go_on():
                break
            if gate is not None:
                gate.wait(300)
            if seen is not None:
                seen.append(index)
            yield Event("computed", index=index, total=total, filename=f"{index}.png", ms=1.0)
        yield Event("done", total=total, details={"computed": index, "cancelled": control.cancelled})

    return work


def test_events_have_the_seeds_fields():
    event = Event("computed", index=6, total=50, filename="img2.jpg", ms=18500)
    assert event.as_dict() == {"index": 6, "total": 50, "filename": "img2.jpg", "computed": True, "ms": 18500}
    last = Event("done", total=50, details={"computed": 35, "skipped": 15, "failed": 0, "cache_size": 150})
    assert last.as_dict() == {"done": True, "total": 50, "computed": 35, "skipped": 15, "failed": 0, "cache_size": 150}
    assert repr(last) == "<Event done: total 50, computed 35, skipped 15, failed 0, cache_size 150>"
    assert repr(event) == "<Event computed: index 6, total 50, filename img2.jpg, ms 18500>"


def test_wait_returns_the_last_event_and_events_keep_order():
    job = Job("count", counting(5), total=5)
    assert job.wait(300)["done"] is True
    assert [e.index for e in job.events[:-1]] == [1, 2, 3, 4, 5]
    assert job.state == "done"


def test_await_leaves_the_loop_free():
    async def main():
        gate = threading.Event()
        job = Job("count", counting(3, gate=gate), total=3)
        asyncio.get_running_loop().call_later(0.05, gate.set)  # would never run if await blocked the loop
        return await asyncio.wait_for(job, 300)

    assert asyncio.run(main())["computed"] == 3


def test_cancel_keeps_what_is_finished():
    gate = threading.Event()
    job = Job("count", counting(1000, gate=gate), total=1000)
    job.cancel()
    gate.set()
    last = job.wait(300)
    assert last["cancelled"] is True
    assert job.state == "cancelled"
    assert len(job.events) < 1000


def test_pause_stops_between_images_and_resume_goes_on():
    first, seen, may_run = threading.Event(), [], CountingEvent()
    may_run.set()
    job = Job("count", counting(3, gate=first, seen=seen), total=3, start=False)
    job.control._may_run = may_run
    threading.Thread(target=job.run).start()
    job.pause()
    first.set()
    wait_until("the job waits", lambda: may_run.waits == 1)
    assert len(seen) < 2
    assert job.state == "paused"
    job.resume()
    assert job.wait(300)["computed"] == 3
    assert seen == [1, 2, 3]


def test_cancel_while_paused_ends():
    gate = threading.Event()
    job = Job("count", counting(10, gate=gate), total=10)
    job.pause()
    gate.set()
    job.cancel()
    assert job.wait(300).status == "done"


def test_an_error_ends_the_job_and_is_raised_to_whoever_waits():
    def work(control):
        yield Event("computed", index=1, total=2, filename="a.png")
        raise OSError("disk gone")

    job = Job("broken", work, total=2)
    with pytest.raises(OSError, match="disk gone"):
        job.wait(300)
    assert job.state == "failed"
    assert len(job.events) == 1


def test_listeners_run_on_the_loops_thread_and_hear_the_past():
    async def main():
        heard, threads, ended = [], set(), asyncio.Event()
        job = Job("count", counting(4), total=4)
        job.wait(300)
        late = Job("count", counting(4, gate=(gate := threading.Event())), total=4)
        late.subscribe(lambda e: (heard.append(e.status), threads.add(threading.get_ident())), finished=ended.set)
        gate.set()
        await asyncio.wait_for(ended.wait(), 300)
        past = []
        job.subscribe(past.append)
        return heard, threads, past

    heard, threads, past = asyncio.run(main())
    assert heard == ["computed"] * 4 + ["done"]
    assert threads == {threading.get_ident()}
    assert len(past) == 5


def test_a_broken_listener_does_not_end_the_work():
    job = Job("count", counting(3, gate=(gate := threading.Event())), total=3)
    job.subscribe(lambda event: 1 / 0)
    gate.set()
    assert job.wait(300).status == "done"
    assert len(job.events) == 4


def test_wait_with_a_timeout_says_that_the_work_goes_on():
    gate = threading.Event()
    job = Job("slow", counting(1, gate=gate), total=1)
    with pytest.raises(TimeoutError, match="goes on"):
        job.wait(0.01)
    gate.set()
    job.wait(300)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of threads")
def test_a_signal_that_does_not_interrupt_the_wait_is_handled_while_the_work_goes_on(monkeypatch):
    def interrupt(number, frame):
        raise KeyboardInterrupt

    def work(control):
        wait_until("the signal is expected", lambda: signal.getsignal(signal.SIGTERM) is interrupt)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        gate.wait(60)
        yield Event("computed", index=1, total=1)

    gate = threading.Event()
    monkeypatch.setattr(jobs, "LOOK_EVERY", 0.05)
    job = Job("slow", work, total=1)
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            job.wait()
        assert job.state == "running"
    finally:
        signal.signal(signal.SIGTERM, before)
        gate.set()
    assert job.wait(300)["computed"] == 1


def test_the_summary_is_the_servers():
    details = {"computed": 35, "skipped": 15, "failed": 0, "cache_size": 150}
    text = summary_text(Event("done", total=50, details=details))
    assert text == "Dataset ready (cache: 150 embeddings, computed: 35, skipped: 15)"
    failed = summary_text(Event("done", total=50, details=details | {"failed": 2}))
    assert failed.endswith("skipped: 15, failed: 2)")
    assert "12 masks" in summary_text(Event("done", details={"computed": 3, "skipped": 0, "masks": 12}))
    assert summary_text(Event("done", details=details | {"cancelled": True})).startswith("Stopped (cache")
    nothing = {"computed": 0, "skipped": 0, "failed": 3, "cache_size": 0}
    assert summary_text(Event("done", details=nothing)).startswith("Nothing encoded")
    stopped = {"computed": 1, "skipped": 0, "masks": 1, "cancelled": True}
    assert summary_text(Event("done", details=stopped)).startswith("Stopped, 1 mask found")


def test_a_pause_that_a_cancel_overtakes_holds_nothing_up():
    control = JobControl()
    asked = []

    class Overtaken(threading.Event):
        def is_set(self):
            was = super().is_set()
            if not asked:
                asked.append(True)
                control.cancel()  # between the question and what follows it
            return was

    control._cancelled = Overtaken()
    control.pause()
    assert control.cancelled
    assert not control.paused


def test_a_signal_forgets_listeners_that_are_gone():
    signal = Signal()

    class Widget:
        def changed(self):
            pass

    for _ in range(3):
        signal.subscribe(Widget().changed)
    signal.subscribe(print)
    assert len(signal._references) == 1
