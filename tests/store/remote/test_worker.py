"""Writing behind: tiers that are full, closing, forks and the end of a program."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import samnb
from samnb.errors import TierUnavailable
from samnb.store.remote import RemoteTiers
from samnb.store.remote import redis as redis_tier
from tests.support.fake_tier import ENTRY, KEY, FakeTier, entry_of, key_of, remote_of
from tests.support.remote_servers import RedisServer
from tests.support.waiting import Stopwatch, wait_until

posix_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
# --- tiers that are full


def test_a_full_redis_is_still_read_and_written_again_later(
    redis_server: RedisServer, open_remote: Callable[..., RemoteTiers], caplog: pytest.LogCaptureFixture
) -> None:
    client = redis_server.client()
    client.flushall()
    remote = open_remote(redis_server.url)
    remote.publish(KEY, ENTRY)
    assert remote.flush() == 0
    client.config_set("maxmemory", "1")
    try:
        for index in (1, 2, 3):
            remote.publish(key_of(index), entry_of(index))
        assert remote.flush() == 3
        assert remote.stats()[0].state == "read only"
        assert remote.fetch(KEY) is not None
    finally:
        client.config_set("maxmemory", "0")
    wait_until("nothing waits", lambda: remote.stats()[0].waiting == 0)
    assert remote.stats()[0].state == "up"
    assert client.exists(*(f"samnb:{key_of(index)}" for index in (1, 2, 3))) == 3
    assert caplog.text.count("cannot be written") == 1


def test_a_folder_that_cannot_be_written_is_still_read(tmp_path: Path, open_remote: Callable[..., RemoteTiers]) -> None:
    remote = open_remote(tmp_path.as_uri())
    remote.publish(KEY, ENTRY)
    assert remote.flush() == 0
    other = next(key_of(index) for index in range(1, 99) if key_of(index)[:2] != KEY[:2])
    (tmp_path / other[:2]).write_text("in the way")
    remote.publish(other, ENTRY)
    assert remote.flush() == 1
    assert remote.stats()[0].state == "read only"
    assert remote.fetch(KEY) is not None
    (tmp_path / other[:2]).unlink()
    wait_until("the other is published", lambda: remote.contains(other))


def test_a_folder_that_is_not_mounted_is_not_made(tmp_path: Path, open_remote: Callable[..., RemoteTiers]) -> None:
    share = tmp_path / "share"
    remote = open_remote(share.as_uri())
    assert remote.fetch(KEY) is None
    remote.publish(KEY, ENTRY)
    assert remote.flush() == 1
    assert "no such folder" in remote.stats()[0].error
    assert not share.exists()
    share.mkdir()
    wait_until("nothing waits", lambda: remote.stats()[0].waiting == 0)
    assert remote.fetch(KEY) is not None


def test_an_entry_too_large_for_redis_is_refused_and_told_once(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.client().flushall()
    tier = redis_tier.RedisTier(redis_server.url, max_value_bytes=len(ENTRY))
    remote = RemoteTiers([tier])
    for index, side in ((1, 32), (2, 32), (0, 16)):
        remote.publish(key_of(index), entry_of(index, side))
    assert remote.flush() == 0
    stats = remote.stats()[0]
    assert (stats.refused, stats.published, stats.state) == (2, 1, "up")
    assert caplog.text.count("larger than") == 1
    remote.close()


def test_when_too_much_waits_the_oldest_is_dropped_and_told_once(
    fake: FakeTier, caplog: pytest.LogCaptureFixture
) -> None:
    fake.gate.clear()
    remote = remote_of(fake, max_waiting_bytes=int(3.5 * len(ENTRY)))
    for index in range(10):
        remote.publish(key_of(index), entry_of(index))
    stats = remote.stats()[0]
    assert (stats.waiting, stats.dropped) == (3, 7)
    assert stats.waiting_bytes <= 3.5 * len(ENTRY)
    assert caplog.text.count("wait to be written") == 1
    fake.gate.set()
    assert remote.flush() == 0
    assert {key_of(index) for index in (7, 8, 9)} <= set(fake.entries)
    remote.close()


def test_publishing_the_same_entry_again_waits_once(fake: FakeTier) -> None:
    fake.gate.clear()
    remote = remote_of(fake)
    for _ in range(5):
        remote.publish(KEY, ENTRY)
    assert (remote.stats()[0].waiting, remote.stats()[0].waiting_bytes) == (1, len(ENTRY))
    remote.publish(key_of(1), entry_of(1))
    remote.discard(key_of(1))
    assert remote.stats()[0].waiting == 1
    fake.gate.set()
    assert remote.flush() == 0
    assert list(fake.entries) == [KEY]
    remote.close()


# --- closing, forks, exits


def test_closing_writes_what_waits_and_ends(fake: FakeTier) -> None:
    fake.seconds = 0.05
    remote = remote_of(fake)
    for index in range(5):
        remote.publish(key_of(index), entry_of(index))
    remote.close()
    assert len(fake.entries) == 5
    assert fake.calls[-1] == "close"
    remote.publish(key_of(9), entry_of(9))
    assert remote.fetch(KEY) is None
    wait_until("its thread ends", lambda: not any("fake://" in thread.name for thread in threading.enumerate()))
    assert len(fake.entries) == 5


def test_closing_says_what_could_not_be_written(fake: FakeTier, caplog: pytest.LogCaptureFixture) -> None:
    fake.error = TierUnavailable("fake://tier", "gone")
    remote = remote_of(fake)
    remote.publish(KEY, ENTRY)
    remote.close(timeout=2)
    assert "1 embeddings" in caplog.text
    assert "could not be written" in caplog.text


def test_a_thread_without_work_ends(fake: FakeTier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samnb.store.remote.worker._IDLE", 0.05)
    remote = remote_of(fake)
    remote.publish(KEY, ENTRY)
    assert remote.flush() == 0
    wait_until("its thread ends", lambda: not any("fake://" in thread.name for thread in threading.enumerate()))
    remote.publish(key_of(1), entry_of(1))
    assert remote.flush() == 0
    remote.close()


def test_what_waits_when_a_program_ends_is_written(redis_server: RedisServer) -> None:
    redis_server.client().flushall()
    code = (
        "from samnb.store.remote import open_tiers; from tests.support.fake_tier import entry_of, key_of; "
        f"remote = open_tiers([{redis_server.url!r}]); [remote.publish(key_of(i), entry_of(i)) for i in range(20)]"
    )
    root = Path(samnb.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True, timeout=600)
    assert redis_server.client().dbsize() == 20


@posix_only
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_uses_the_tiers_as_its_parent_does(
    shared_url: str, open_remote: Callable[..., RemoteTiers]
) -> None:
    remote = open_remote(shared_url)
    remote.publish(KEY, ENTRY)
    assert remote.flush() == 0
    with remote._workers[0]._changed:  # a lock that some thread of the parent holds
        pid = os.fork()
    if pid == 0:
        sound = 1
        try:
            found = remote.fetch(KEY)
            remote.publish(key_of(1), entry_of(1))
            sound = int(found is None or found[0] != ENTRY or remote.flush(300) != 0)
        finally:
            os._exit(sound)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert remote.fetch(key_of(1))[0] == entry_of(1)


def _answers(behave: Callable[[socket.socket], None]) -> int:
    """The port of a server that answers GET in its own way, and all else as Redis does."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(65536):
                if b"HELLO" in data:
                    connection.sendall(b"%1\r\n+proto\r\n:3\r\n" + b"+OK\r\n" * (data.count(b"*") - 1))
                elif b"\r\nGET\r\n" in data:
                    behave(connection)
                else:
                    connection.sendall(b"+OK\r\n" * max(1, data.count(b"*")))

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listening.getsockname()[1]


def _drip(connection: socket.socket) -> None:
    connection.sendall(b"$1000000\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def _flood(connection: socket.socket) -> None:
    connection.sendall(b"$40000000000\r\n")
    while True:
        connection.sendall(bytes(1 << 16))


def _nest(connection: socket.socket) -> None:
    connection.sendall(b"*1\r\n" * 100_000)


@pytest.mark.parametrize("behave", [_drip, _flood, _nest])
def test_an_answer_of_redis_has_a_limit_of_time_and_of_size(behave: Callable[[socket.socket], None]) -> None:
    tier = redis_tier.RedisTier(f"redis://127.0.0.1:{_answers(behave)}/0", timeout=0.3, max_value_bytes=1 << 20)
    watch = Stopwatch()
    with pytest.raises(TierUnavailable):
        tier.get(KEY)
    assert watch.seconds < 60  # four times 0.3 s, and not the hours that it drips
    tier.close()
