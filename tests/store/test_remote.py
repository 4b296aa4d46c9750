"""Remote tiers against real servers: Redis, S3, a shared folder; servers that are killed, silent, full or damaged."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import samnb
from samnb.cache import EmbeddingCache
from samnb.errors import PackageMissing, StoreError, TierUnavailable
from samnb.prompts import Embedding
from samnb.store.codecs import can_compress, is_compressed
from samnb.store.entry import deserialize, make_key, serialize
from samnb.store.remote import RemoteTiers, open_tiers
from samnb.store.remote import folder as folder_tier
from samnb.store.remote import fsspec as object_tier
from samnb.store.remote import redis as redis_tier
from tests.support.remote_servers import RedisServer, S3Server, silent_server
from tests.support.waiting import wait_until

posix_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def key_of(index: int) -> str:
    return make_key(f"pixels {index}", "weights", "recipe")


@cache  # the header says when it was made
def entry_of(index: int, side: int = 16) -> bytes:
    values = np.random.default_rng(index).normal(size=(8, side, side))
    embedding = Embedding({"image_embedding": values.astype(np.float32)}, (480, 640), (768, 1024))
    return serialize(key_of(index), embedding, dtype="float16", metadata={})


KEY, ENTRY = key_of(0), entry_of(0)


@pytest.fixture(autouse=True)
def uses_s3(s3_credentials: None) -> None:
    """Every test may."""


def address_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty tier."""
    if kind == "redis":
        server = request.getfixturevalue("redis_server")
        server.client().flushall()
        return server.url
    if kind == "s3":
        return request.getfixturevalue("s3_server").url.replace("embeddings", uuid.uuid4().hex)
    if kind == "folder":
        (tmp_path / "shared folder").mkdir()
        return (tmp_path / "shared folder").as_uri()
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture(params=["redis", "s3", "folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return address_of(request.param, request, tmp_path)


@pytest.fixture(params=["redis", "s3", "folder"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a tier that other processes see, and that can say who was first."""
    return address_of(request.param, request, tmp_path)


@pytest.fixture
def open_remote() -> Iterator[Callable[..., RemoteTiers]]:
    """`open_tiers`, which tries again soon, and closes at the end of the test."""
    opened = []

    def open_(*urls: str, **options: object) -> RemoteTiers:
        opened.append(open_tiers(urls, **{"first_rest": 0.05, "longest_rest": 0.2, **options}))
        return opened[-1]

    yield open_
    for remote in opened:
        remote.close(timeout=0)


class FakeTier:
    """A dict that fails, waits and counts on demand."""

    name = "fake://tier"

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.put_error: Exception | None = None
        self.seconds = 0.0
        self.gate = threading.Event()
        self.gate.set()

    def _called(self, what: str) -> None:
        self.calls.append(what)
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error

    def get(self, key: str) -> bytes | None:
        self._called("get")
        return self.entries.get(key)

    def put(self, key: str, raw: bytes) -> bool:
        self.gate.wait(20)
        self._called("put")
        if self.put_error is not None:
            raise self.put_error
        if key in self.entries:
            return False
        self.entries[key] = raw
        return True

    def discard(self, key: str) -> bool:
        self._called("discard")
        return self.entries.pop(key, None) is not None

    def contains(self, key: str) -> bool:
        self._called("contains")
        return key in self.entries

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def fake() -> FakeTier:
    return FakeTier()


def remote_of(*tiers: FakeTier, **options: object) -> RemoteTiers:
    return RemoteTiers(tiers, **{"first_rest": 0.05, "longest_rest": 0.2, **options})


# --- each kind of tier


def test_a_tier_keeps_the_first_bytes_under_a_key(url: str, open_remote: Callable[..., RemoteTiers]) -> None:
    (worker,) = open_remote(url)._workers
    tier = worker.tier
    assert (tier.get(KEY), tier.contains(KEY), tier.discard(KEY)) == (None, False, False)
    assert tier.put(KEY, b"first") is True
    assert tier.put(KEY, b"second") is False
    assert (tier.get(KEY), tier.contains(KEY)) == (b"first", True)
    assert tier.discard(KEY) is True
    assert (tier.get(KEY), tier.discard(KEY)) == (None, False)
    assert tier.put(KEY, b"third") is True
    assert tier.get(KEY) == b"third"


def test_of_many_that_publish_at_once_one_is_first(shared_url: str, open_remote: Callable[..., RemoteTiers]) -> None:
    (worker,) = open_remote(shared_url)._workers
    worker.tier.contains(KEY)
    barrier = threading.Barrier(6)

    def put(index: int) -> bool:
        barrier.wait()
        return worker.tier.put(KEY, b"%d" % index)

    with ThreadPoolExecutor(6) as pool:
        first = list(pool.map(put, range(6)))
    assert sum(first) == 1
    assert worker.tier.get(KEY) == b"%d" % first.index(True)


def test_what_one_machine_publishes_another_fetches(url: str, open_remote: Callable[..., RemoteTiers]) -> None:
    here, there = open_remote(url), open_remote(url, compress=False)
    assert there.fetch(KEY) is None
    here.publish(KEY, ENTRY)
    assert here.flush() == 0
    raw, where = there.fetch(KEY)
    assert raw == ENTRY
    assert where == there.names[0]
    assert there.contains(KEY)
    there.publish(KEY, ENTRY)
    assert there.flush() == 0
    (stats,) = there.stats()
    assert (stats.hits, stats.misses, stats.already_there, stats.published) == (1, 1, 1, 0)
    assert there.discard(KEY)
    assert here.fetch(KEY) is None


@pytest.mark.parametrize("how", ["flipped", "zeroed", "truncated", "emptied", "of another key"])
def test_a_damaged_entry_is_found_told_deleted_and_replaced(
    url: str, open_remote: Callable[..., RemoteTiers], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    remote = open_remote(url)
    remote.publish(KEY, ENTRY)
    remote.flush()
    (worker,) = remote._workers
    stored = bytearray(worker.tier.get(KEY))
    if how == "flipped":
        stored[len(stored) // 2] ^= 1
    elif how == "zeroed":
        stored[len(stored) // 3] = 0 if stored[len(stored) // 3] else 1
    elif how == "truncated":
        del stored[-9:]
    elif how == "emptied":
        stored.clear()
    else:
        stored[:] = entry_of(1)
    worker.tier.discard(KEY)
    worker.tier.put(KEY, bytes(stored))
    with caplog.at_level(logging.WARNING, "samnb.cache"):
        assert remote.fetch(KEY) is None
    assert "damaged" in caplog.text
    assert remote.names[0] in caplog.text
    assert KEY in caplog.text
    assert not worker.tier.contains(KEY)
    assert remote.damaged == 1
    remote.publish(KEY, ENTRY)
    remote.flush()
    assert remote.fetch(KEY)[0] == ENTRY


def test_entries_for_a_network_are_compressed_and_those_for_a_folder_are_files_of_a_cache(
    redis_server: RedisServer, tmp_path: Path, open_remote: Callable[..., RemoteTiers]
) -> None:
    redis_server.client().flushall()
    remote = open_remote(redis_server.url, tmp_path.as_uri())
    entry = entry_of(0, side=64)
    remote.publish(KEY, entry)
    assert remote.flush() == 0
    in_redis = redis_server.client().get(f"samnb:{KEY}")
    assert can_compress()
    assert is_compressed(in_redis)
    assert len(in_redis) < len(entry)
    file = tmp_path / KEY[:2] / KEY[2:4] / f"{KEY}.safetensors"
    assert file.read_bytes() == entry
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_redis_forgets_after_the_ttl(redis_server: RedisServer, open_remote: Callable[..., RemoteTiers]) -> None:
    redis_server.client().flushall()
    for ttl, left in ((3600, (3500_000, 3600_000)), (None, (-1, -1))):
        remote = open_remote(redis_server.url, ttl=ttl)
        remote.discard(KEY)
        remote.publish(KEY, ENTRY)
        remote.flush()
        assert left[0] <= redis_server.client().pttl(f"samnb:{KEY}") <= left[1]


def test_a_later_tier_fills_the_earlier_ones(tmp_path: Path, open_remote: Callable[..., RemoteTiers]) -> None:
    near, far = f"memory://{uuid.uuid4().hex}", tmp_path.as_uri()
    open_remote(far).publish(KEY, ENTRY)
    remote = open_remote(near, far)
    wait_until("it is published", lambda: open_remote(far).contains(KEY))
    assert remote.fetch(KEY) == (ENTRY, remote.names[1])
    assert remote.flush() == 0
    assert remote.fetch(KEY) == (ENTRY, remote.names[0])


def test_a_damaged_entry_is_looked_for_in_the_next_tier(
    tmp_path: Path, open_remote: Callable[..., RemoteTiers]
) -> None:
    near = f"memory://{uuid.uuid4().hex}"
    remote = open_remote(near, tmp_path.as_uri())
    remote._workers[0].tier.put(KEY, b"nonsense")
    remote._workers[1].tier.put(KEY, ENTRY)
    assert remote.fetch(KEY) == (ENTRY, remote.names[1])
    assert remote.flush() == 0
    assert remote.fetch(KEY) == (ENTRY, remote.names[0])


# --- servers that fail


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
            began = time.monotonic()
            for index in range(50):  # as a prewarm does
                assert remote.fetch(key_of(index)) is None
                remote.publish(key_of(index), entry_of(index))
            assert time.monotonic() - began < 2
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
            began = time.monotonic()
            assert remote.fetch(key_of(index)) is None
            remote.publish(key_of(index), entry_of(index))
            took.append(time.monotonic() - began)
        assert 0.4 < max(took) < 3
        assert sum(took) - max(took) < 1.5
        began = time.monotonic()
        remote.close(timeout=1)
        assert time.monotonic() - began < 3


def test_a_folder_that_hangs_costs_its_timeout_once(
    tmp_path: Path, open_remote: Callable[..., RemoteTiers], monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = threading.Event()
    monkeypatch.setattr(folder_tier.Path, "read_bytes", lambda path: hung.wait(20) and b"")
    remote = open_remote(tmp_path.as_uri(), timeout=0.2, first_rest=60)
    began = time.monotonic()
    assert [remote.fetch(key_of(index)) for index in range(20)] == [None] * 20
    assert time.monotonic() - began < 1.5
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
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        remote.fetch(KEY)
        remote.contains(KEY)
        time.sleep(0.005)
    assert 3 <= len(fake.calls) <= 6  # the first, then after 0.1, 0.2, 0.4 … seconds
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
        assert remote.flush(timeout=5) == 3
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
    assert remote.flush(timeout=5) == 1
    assert remote.stats()[0].state == "read only"
    assert remote.fetch(KEY) is not None
    (tmp_path / other[:2]).unlink()
    wait_until("the other is published", lambda: remote.contains(other))


def test_a_folder_that_is_not_mounted_is_not_made(tmp_path: Path, open_remote: Callable[..., RemoteTiers]) -> None:
    share = tmp_path / "share"
    remote = open_remote(share.as_uri())
    assert remote.fetch(KEY) is None
    remote.publish(KEY, ENTRY)
    assert remote.flush(timeout=5) == 1
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
        "from tests.store.test_remote import *; "
        f"remote = open_tiers([{redis_server.url!r}]); [remote.publish(key_of(i), entry_of(i)) for i in range(20)]"
    )
    root = Path(samnb.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True, timeout=60)
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
            sound = int(found is None or found[0] != ENTRY or remote.flush(20) != 0)
        finally:
            os._exit(sound)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert remote.fetch(key_of(1))[0] == entry_of(1)


# --- addresses, packages, passwords


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("nonsense://somewhere", "Expected redis://"),
        ("file://mnt/lab", "file:///mnt/lab"),
        ("relative/path", "absolute path"),
        ("redis://host:port", "not an address of Redis"),
        ("s3://[lab", "not an address"),
    ],
)
def test_an_address_no_tier_has(address: str, advice: str) -> None:
    with pytest.raises(StoreError, match=advice.replace("(", r"\(")):
        open_tiers([address])


@pytest.mark.parametrize(("address", "extra"), [("redis://host", "redis"), ("s3://lab", "s3")])
def test_a_package_that_is_missing_is_named_with_its_extra(
    address: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {"redis": "redis", "s3": "s3fs"}[extra]
    for module in (redis_tier, object_tier):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name == gone else object())
    importlib.import_module("fsspec.registry")
    monkeypatch.setattr(sys.modules["fsspec.registry"], "registry", {})
    with pytest.raises(PackageMissing, match=rf"{gone}.*samnb\[{extra}\]"):
        open_tiers([address])


def test_a_compressed_entry_without_a_zstd_library_is_a_miss_and_stays(
    tmp_path: Path, fake: FakeTier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer = remote_of(fake, compress=True)
    entry = entry_of(0, side=64)
    writer.publish(KEY, entry)
    writer.close()
    assert is_compressed(fake.entries[KEY])
    monkeypatch.setattr("samnb.store.codecs._zstd", lambda: None)
    reader = remote_of(fake)
    assert reader.fetch(KEY) is None
    assert reader.fetch(KEY) is None
    assert caplog.text.count("samnb[compress]") == 1
    assert KEY in fake.entries
    monkeypatch.undo()
    assert reader.fetch(KEY)[0] == entry
    reader.close()


def test_passwords_are_never_shown(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "samnb"):
        for address in (redis_server.url.replace("s3cret", "wr0ng-pw"), "redis://lab:wr0ng-pw@127.0.0.1:1/0"):
            remote = open_tiers([address])
            assert remote.fetch(KEY) is None
            text = f"{remote!r} {remote._workers[0].tier!r} {remote.stats()} {remote.names}"
            assert "wr0ng-pw" not in text + caplog.text
            assert "***" in text
            remote.close(timeout=0)
    assert caplog.text.count("does not answer") == 2


def test_what_is_fetched_reads_back_as_an_embedding(url: str, open_remote: Callable[..., RemoteTiers]) -> None:
    remote = open_remote(url)
    remote.publish(KEY, ENTRY)
    remote.flush()
    got = deserialize(remote.fetch(KEY)[0], KEY)
    assert np.array_equal(got.tensors["image_embedding"], deserialize(ENTRY, KEY).tensors["image_embedding"])


def test_damage_where_nothing_may_be_deleted_takes_no_tier_away(
    tmp_path: Path,
    open_remote: Callable[..., RemoteTiers],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    remote = open_remote(tmp_path.as_uri(), first_rest=60, longest_rest=60)
    for index in range(3):
        remote.publish(key_of(index), entry_of(index))
    assert remote.flush() == 0
    path = tmp_path / KEY[:2] / KEY[2:4] / f"{KEY}.safetensors"
    path.write_bytes(ENTRY[:-1] + bytes([ENTRY[-1] ^ 1]))
    unlink = Path.unlink

    def only_elsewhere(self: Path, missing_ok: bool = False) -> None:
        if self == path:
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", only_elsewhere)
    assert remote.fetch(KEY) is None
    assert "not deleted there" in caplog.text
    assert remote.fetch(key_of(1)) is not None
    assert remote.stats()[0].state == "read only"


def test_the_budget_of_a_shared_folder_knows_what_comes_and_goes(
    tmp_path: Path, open_remote: Callable[..., RemoteTiers]
) -> None:
    def whole(index: int) -> Embedding:
        return deserialize(entry_of(index), key_of(index))

    owner = EmbeddingCache(tmp_path / "embeddings", disk_bytes=5 * len(ENTRY), min_free_bytes=0)
    owner.put(KEY, whole(0), about={})
    remote = open_remote(owner.folder.as_uri())
    for index in range(1, 10):
        remote.publish(key_of(index), entry_of(index))
    assert remote.flush() == 0
    assert remote.discard(key_of(9))
    assert owner.check().miscounted == 0
    owner.put(key_of(10), whole(10), about={})
    assert sum(path.stat().st_size for path in owner.folder.glob("??/??/*")) <= 5 * len(ENTRY)
