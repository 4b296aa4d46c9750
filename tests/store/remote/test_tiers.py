"""Remote tiers against real servers: Redis, S3, a shared folder."""

from __future__ import annotations

import importlib
import logging
import math
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from samnb import remote_files
from samnb.cache import EmbeddingCache
from samnb.errors import PackageMissing, StoreError, TierUnavailable
from samnb.prompts import Embedding
from samnb.store.codecs import can_compress, is_compressed
from samnb.store.entry import deserialize
from samnb.store.remote import RemoteTiers, open_tiers
from samnb.store.remote import fsspec as object_tier
from samnb.store.remote import redis as redis_tier
from samnb.store.remote.redis import RedisTier
from tests.support.fake_tier import ENTRY, KEY, FakeTier, entry_of, key_of, remote_of
from tests.support.remote_servers import RedisServer
from tests.support.waiting import wait_until


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


def test_an_answer_to_another_command_of_redis_is_a_failure_of_the_tier() -> None:
    tier = RedisTier("redis://127.0.0.1:1/0")
    tier._client = SimpleNamespace(get=lambda name: 1, exists=lambda name: b"an entry")
    with pytest.raises(TierUnavailable, match="another kind: int, expected bytes"):
        tier.get(KEY)
    with pytest.raises(TierUnavailable, match="another kind: bytes, expected int"):
        tier.contains(KEY)


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


def test_how_long_a_tier_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(**options: float) -> float:
        [worker] = open_tiers([tmp_path.as_uri()], **options)._workers
        return worker.tier._timeout

    monkeypatch.setenv("SAMNB_CACHE_REMOTE_TIMEOUT", "1m")
    assert (seconds(), seconds(timeout=0.5)) == (60, 0.5)
    monkeypatch.delenv("SAMNB_CACHE_REMOTE_TIMEOUT")
    assert seconds() == 2
    for wrong in (0, -1, math.nan, "2", True):
        with pytest.raises(StoreError, match="timeout: expected seconds, more than 0"):
            seconds(timeout=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("address", "extra"), [("redis://host", "redis"), ("s3://lab", "s3")])
def test_a_package_that_is_missing_is_named_with_its_extra(
    address: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {"redis": "redis", "s3": "s3fs"}[extra]
    for module in (redis_tier, remote_files):
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


@pytest.mark.parametrize("content", [b"", b"x" * 50_000], ids=["empty", "too large"])
def test_an_object_of_any_size_in_the_place_of_an_entry_is_no_entry(
    url: str, open_remote: Callable[..., RemoteTiers], monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    if url.startswith(("redis", "file")):
        pytest.skip("has a limit of its own")
    monkeypatch.setattr(object_tier, "LARGEST", 40_000)
    remote = open_remote(url)
    (worker,) = remote._workers
    files, path = worker.tier._place(KEY)
    files.pipe_file(path, content)
    asked = []
    real = type(files).cat_file
    monkeypatch.setattr(type(files), "cat_file", lambda *a, **o: (asked.append(o), real(*a, **o))[1])
    assert worker.tier.get(KEY) == b""
    assert remote.fetch(KEY) is None
    assert all(options["end"] == 40_001 for options in asked)
    assert not worker.tier.contains(KEY)
    assert worker.tier.put(KEY, ENTRY)
    found = remote.fetch(KEY)
    assert found is not None
    assert found[0] == ENTRY


def test_one_address_alone_is_an_address(tmp_path: Path) -> None:
    for one in (str(tmp_path), tmp_path, [tmp_path]):
        with open_tiers(one) as remote:
            assert remote.names == (f"file://{tmp_path}",)
    with pytest.raises(StoreError, match="remote: expected addresses in a list"):
        open_tiers(5)  # type: ignore[arg-type]
