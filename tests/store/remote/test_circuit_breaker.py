"""Servers that are killed, silent or fail: in each outage they are asked once, or twice where they were late."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from samnb.errors import TierUnavailable
from samnb.store.remote import RemoteTiers, circuit_breaker
from samnb.store.remote import folder as folder_tier
from samnb.store.remote.circuit_breaker import CircuitBreaker
from tests.support.fake_tier import ENTRY, KEY, FakeTier, entry_of, key_of, remote_of
from tests.support.remote_servers import silent_server
from tests.support.waiting import Stopwatch, calls_of, wait_until


@pytest.mark.parametrize("kind", ["redis", "s3"])
def test_a_server_that_is_killed_and_comes_back(
    kind: str,
    request: pytest.FixtureRequest,
    open_remote: Callable[..., RemoteTiers],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = request.getfixturevalue(f"{kind}_server")
    remote = open_remote(server.url)
    remote.fetch(KEY)
    server.kill()
    fetches = calls_of(monkeypatch, type(remote._workers[0].tier), "get")
    try:
        with caplog.at_level(logging.INFO, "samnb.cache"):
            for index in range(50):  # as a prewarm does
                assert remote.fetch(key_of(index)) is None
                remote.publish(key_of(index), entry_of(index))
            assert len(fetches) == 1
            assert remote.stats()[0].state == "down"
            assert remote.flush() == 50  # at once: nobody answers
            wait_until("it is asked again in vain", lambda: remote.stats()[0].failures >= 2)
            server.start()
            wait_until("nothing waits", lambda: remote.stats()[0].waiting == 0)
    finally:
        if server.process is None:
            server.start()
    assert open_remote(server.url).fetch(key_of(49)) == (entry_of(49), remote.names[0])
    stats = remote.stats()[0]
    assert (stats.state, stats.published, stats.error) == ("up", 50, "")
    assert stats.failures >= 2
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "does not answer" in warnings[0].getMessage()
    assert "answers again" in caplog.text


@pytest.mark.parametrize("scheme", ["redis://127.0.0.1:{}", "s3://lab/e?endpoint_url=http://127.0.0.1:{}"])
def test_a_server_that_never_answers_is_asked_twice(
    scheme: str,
    open_remote: Callable[..., RemoteTiers],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with silent_server() as port, caplog.at_level(logging.INFO, "samnb.cache"):
        remote = open_remote(scheme.format(port), timeout=0.5)
        fetches = calls_of(monkeypatch, type(remote._workers[0].tier), "get")
        watch = Stopwatch()
        for index in range(100):
            assert remote.fetch(key_of(index)) is None
            remote.publish(key_of(index), entry_of(index))
        assert len(fetches) == 2
        assert caplog.text.count("asked once more") == 1
        assert remote.stats()[0].state == "down"
        remote.close(timeout=1)
        assert watch.seconds < 60  # a server that says nothing holds nobody up for ever


def test_a_folder_that_hangs_is_asked_twice(
    tmp_path: Path, open_remote: Callable[..., RemoteTiers], monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, asked = threading.Event(), []
    monkeypatch.setattr(folder_tier, "read_bounded", lambda path: asked.append(path) or (hung.wait(300) and b""))
    remote = open_remote(tmp_path.as_uri(), timeout=0.2, first_rest=600)
    assert [remote.fetch(key_of(index)) for index in range(20)] == [None] * 20
    assert "no answer within 0.2 s" in remote.stats()[0].error
    hung.set()
    wait_until("both questions came", lambda: len(asked) >= 2)
    assert set(asked) == {remote._workers[0].tier._path(KEY)}


def test_one_answer_that_is_late_is_no_outage(fake: FakeTier, caplog: pytest.LogCaptureFixture) -> None:
    """This machine may have been busy."""
    remote = remote_of(fake)
    fake.late = 1
    remote.publish(KEY, ENTRY)
    assert remote.flush() == 0
    assert fake.calls == ["put", "put"]
    fake.calls.clear()
    fake.late = 1
    assert remote.fetch(KEY) == (ENTRY, fake.name)
    assert fake.calls == ["get", "get"]
    assert (remote.stats()[0].state, remote.stats()[0].failures, caplog.text) == ("up", 0, "")
    remote.close()


@pytest.mark.parametrize(("late", "error", "asked"), [(2, None, 2), (0, TierUnavailable("fake://tier", "gone"), 1)])
def test_two_late_answers_or_another_failure_are_one(
    fake: FakeTier, late: int, error: Exception | None, asked: int
) -> None:
    fake.entries[KEY] = ENTRY
    remote = remote_of(fake, first_rest=600, longest_rest=600)
    fake.late, fake.error = late, error
    assert [remote.fetch(KEY), remote.fetch(KEY)] == [None, None]
    assert fake.calls == ["get"] * asked
    assert (remote.stats()[0].state, remote.stats()[0].failures) == ("down", 1)
    remote.close(timeout=0)


def test_many_readers_in_one_outage_count_as_one(fake: FakeTier, caplog: pytest.LogCaptureFixture) -> None:
    fake.error, fake.seconds = TierUnavailable("fake://tier", "gone"), 0.1
    remote = remote_of(fake, first_rest=0.4, longest_rest=60)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(remote.fetch, [KEY] * 8)) == {None}
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    fake.error, fake.seconds = None, 0
    fake.entries[KEY] = ENTRY
    # A fetch asks for a look; the next rest was not doubled eight times.
    wait_until("it is fetched", lambda: remote.fetch(KEY) is not None, seconds=120)
    remote.close()


def test_rests_grow_and_nobody_is_asked_meanwhile(fake: FakeTier) -> None:
    fake.error = TierUnavailable("fake://tier", "gone")
    remote = remote_of(fake, first_rest=0.1, longest_rest=60)
    remote.publish(KEY, ENTRY)
    began = time.monotonic()

    def asked_again() -> bool:
        remote.fetch(KEY)
        remote.contains(KEY)
        return len(fake.calls) >= 5

    wait_until("it is asked five times", asked_again, every=0.005)
    assert time.monotonic() - began > 0.6  # two at first, then after 0.1, 0.2, 0.4 seconds
    remote.close(timeout=0)


def test_an_error_nobody_expected_is_an_outage_too(fake: FakeTier, caplog: pytest.LogCaptureFixture) -> None:
    fake.error = KeyError("surprise")
    remote = remote_of(fake)
    assert remote.fetch(KEY) is None
    assert "KeyError" in caplog.text
    remote.close(timeout=0)


def test_an_entry_that_only_ever_fails_does_not_hold_up_the_rest(fake: FakeTier) -> None:
    remote = remote_of(fake, first_rest=0.01)
    fake.put_error = RuntimeError("never this one")
    remote.publish(KEY, ENTRY)
    wait_until("it is refused", lambda: remote.stats()[0].refused == 1)
    fake.put_error = None
    remote.publish(key_of(1), entry_of(1))
    wait_until("the next is published", lambda: key_of(1) in fake.entries)
    remote.close()


@pytest.fixture
def breaker(monkeypatch: pytest.MonkeyPatch) -> CircuitBreaker:
    monkeypatch.setattr(circuit_breaker, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    return CircuitBreaker(first_rest=5, longest_rest=30)


def test_each_failed_attempt_doubles_the_rest_up_to_the_longest(breaker: CircuitBreaker) -> None:
    rests = []
    for attempt in range(5):
        breaker.trip("down", retried=attempt > 0)
        rests.append(breaker.retry_at - 1000)
    assert rests == [5, 10, 20, 30, 30]


def test_only_the_first_of_many_failures_opens_it(breaker: CircuitBreaker) -> None:
    assert breaker.trip("timed out", retried=False)
    assert not breaker.trip("refused", retried=False)
    assert (breaker.is_open, breaker.reason, breaker.retry_at) == (True, "timed out", 1005)
    assert not breaker.trip("refused", retried=True)
    assert (breaker.reason, breaker.retry_at) == ("refused", 1010)


def test_a_reset_forgets_all_failures(breaker: CircuitBreaker) -> None:
    for attempt in range(4):
        breaker.trip("down", retried=attempt > 0)
    breaker.reset()
    assert (breaker.is_open, breaker.reason, breaker.retry_at) == (False, "", 0)
    assert breaker.trip("down", retried=False)
    assert breaker.retry_at == 1005
