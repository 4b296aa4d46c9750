"""Servers that are killed, silent or fail: each outage costs its timeout once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from samnb.errors import TierUnavailable
from samnb.store.remote import RemoteTiers, circuit_breaker
from samnb.store.remote import folder as folder_tier
from samnb.store.remote.circuit_breaker import CircuitBreaker
from tests.support.fake_tier import ENTRY, KEY, FakeTier, entry_of, key_of, remote_of
from tests.support.remote_servers import S3Server, silent_server
from tests.support.waiting import Stopwatch, wait_until


@pytest.mark.parametrize("kind", ["redis", "s3"])
def test_a_server_that_is_killed_and_comes_back(
    kind: str, request: pytest.FixtureRequest, open_remote: Callable[..., RemoteTiers], caplog: pytest.LogCaptureFixture
) -> None:
    server = request.getfixturevalue(f"{kind}_server")
    remote = open_remote(server.url)
    remote.fetch(KEY)
    server.kill()
    try:
        with caplog.at_level(logging.INFO, "samnb.cache"):
            watch = Stopwatch()
            for index in range(50):  # as a prewarm does
                assert remote.fetch(key_of(index)) is None
                remote.publish(key_of(index), entry_of(index))
            assert watch.seconds < 2
            assert remote.stats()[0].state == "down"
            assert remote.flush(timeout=10) == 50  # at once: nobody answers
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
def test_a_server_that_never_answers_costs_its_timeout_once(
    scheme: str, open_remote: Callable[..., RemoteTiers], s3_server: S3Server
) -> None:
    open_remote(s3_server.url).contains(KEY)  # what importing s3fs takes is not the server's
    with silent_server() as port:
        remote = open_remote(scheme.format(port), timeout=0.5)
        took = []
        for index in range(100):
            watch = Stopwatch()
            assert remote.fetch(key_of(index)) is None
            remote.publish(key_of(index), entry_of(index))
            took.append(watch.seconds)
        assert max(took) < 3
        assert sum(took) - max(took) < 1.5
        assert remote.stats()[0].state == "down"
        watch = Stopwatch()
        remote.close(timeout=1)
        assert watch.seconds < 3


def test_a_folder_that_hangs_costs_its_timeout_once(
    tmp_path: Path, open_remote: Callable[..., RemoteTiers], monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = threading.Event()
    monkeypatch.setattr(folder_tier, "read_bounded", lambda path: hung.wait(20) and b"")
    remote = open_remote(tmp_path.as_uri(), timeout=0.2, first_rest=60)
    watch = Stopwatch()
    assert [remote.fetch(key_of(index)) for index in range(20)] == [None] * 20
    assert watch.seconds < 1.5
    assert "no answer within 0.2 s" in remote.stats()[0].error
    hung.set()


def test_many_readers_in_one_outage_count_as_one(fake: FakeTier, caplog: pytest.LogCaptureFixture) -> None:
    fake.error, fake.seconds = TierUnavailable("fake://tier", "gone"), 0.1
    remote = remote_of(fake, first_rest=0.4, longest_rest=60)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(remote.fetch, [KEY] * 8)) == {None}
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    fake.error, fake.seconds = None, 0
    fake.entries[KEY] = ENTRY
    # A fetch asks for a look; the next rest was not doubled eight times.
    wait_until("it is fetched", lambda: remote.fetch(KEY) is not None, seconds=30)
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
    monkeypatch.setattr(circuit_breaker.time, "monotonic", lambda: 1000.0)
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
