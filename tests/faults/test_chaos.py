"""Remote tiers and a database that fail, hang and lie now and then: what comes out is what comes out without that."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import event

from samnb.cache import EmbeddingCache
from samnb.catalog import Catalog
from samnb.errors import StoreError
from samnb.store.remote import RemoteTiers, open_tiers
from samnb.store.remote.folder import FolderTier
from tests.faults.chaos import FAULTS, Chaos, ChaosProxy, ChaosTier
from tests.support.cache_child import key_of
from tests.support.embeddings import same, some
from tests.support.made_up import coin, picture
from tests.support.postgres_server import PostgresServer
from tests.support.remote_servers import RedisServer, S3Server

pytestmark = pytest.mark.slow
T = TypeVar("T")

KEYS, CALLS = 12, 150
RESTS = {"first_rest": 0.02, "longest_rest": 0.1}


@pytest.fixture(params=["folder", "redis", "s3"])
def tiers_under(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Chaos], RemoteTiers]]:
    """Makes the remote tiers of one machine, with faults on the way; all of them share one store."""
    with ExitStack() as until:
        if request.param == "folder":
            (tmp_path / "shared").mkdir()
            yield lambda chaos: RemoteTiers([ChaosTier(FolderTier(tmp_path / "shared"), chaos)], **RESTS)
            return
        server: RedisServer | S3Server = request.getfixturevalue(f"{request.param}_server")
        request.getfixturevalue("s3_credentials")

        def made(chaos: Chaos) -> RemoteTiers:
            proxy = until.enter_context(ChaosProxy(server.port, chaos))
            return open_tiers([server.url.replace(f":{server.port}", f":{proxy.port}")], timeout=0.3, **RESTS)

        yield made


def test_embeddings_from_a_store_that_fails_are_those_that_were_computed(
    tiers_under: Callable[[Chaos], RemoteTiers], tmp_path: Path
) -> None:
    """Two machines that share a store, each with room for little else; a tenth of all calls goes wrong."""
    chance = random.Random(1)
    expected = {number: EmbeddingCache(None).put(key_of(number), some(seed=number), about={}) for number in range(KEYS)}
    storms = [Chaos(0.1, seed=seed) for seed in range(2)]
    remotes = [tiers_under(chaos) for chaos in storms]
    caches = [
        EmbeddingCache(tmp_path / str(number), remote=remote, memory_bytes=0, min_free_bytes=0)
        for number, remote in enumerate(remotes)
    ]
    computed, calls = 0, 0
    # So many, and as many more as it takes: a slow store is left alone for longer, and meets fewer faults.
    while calls < CALLS or (calls < 20 * CALLS and set(FAULTS) - set(_injected(storms))):
        calls += 1
        cache, number = chance.choice(caches), chance.randrange(KEYS)
        embedding, hit = cache.get_or_compute(key_of(number), lambda number=number: some(seed=number), about={})
        assert same(embedding, expected[number])
        computed += not hit
        cache.remove(key_of(number))
        if calls % 10 == 1:
            remotes[calls // 10 % 2].flush(2)
    assert set(_injected(storms)) == set(FAULTS), _injected(storms)
    assert computed < calls  # the store was of use
    assert sum(stats.hits for remote in remotes for stats in remote.stats()) == calls - computed
    for chaos in storms:
        chaos.share = 0.0
    time.sleep(0.2)
    for number in range(KEYS):
        embedding, _ = caches[0].get_or_compute(key_of(number), lambda number=number: some(seed=number), about={})
        assert same(embedding, expected[number])
    remotes[0].flush(10)
    for remote in remotes:
        remote.close(1)
    check = caches[0].check()
    assert check.ok
    assert check.entries == KEYS


def _injected(storms: list[Chaos]) -> Counter[str]:
    return sum((chaos.injected for chaos in storms), start=Counter())


# -- the database ---------------------------------------------------------------------------------

_LOSSES = ("fail", "delay", "truncate", "hang")
"""A changed bit would be a changed value: against that a database has TLS, and no client can tell."""


def work(catalog: Catalog) -> list[Any]:
    """Changes that are made again after an error until they succeed; returns what is there at the end."""

    def until_done(call: Callable[[], T], is_done: Callable[[], bool] = lambda: False) -> T | None:
        for _ in range(200):
            try:
                return None if is_done() else call()
            except StoreError as error:
                told.append(str(error))
        raise AssertionError(f"it never succeeds: {told[-3:]}")

    def has(category: str) -> bool:
        return bool(catalog.annotations(category=category))

    told: list[str] = []
    images = until_done(lambda: catalog.add_images("monday", [picture(number) for number in range(6)])) or []
    for number, image in enumerate(images):
        # Looked for first: where the answer to the first call was lost, it may have been saved.
        name = f"coin {number}"
        new = replace(coin(image), category=name)
        until_done(lambda new=new: catalog.add_annotations([new]), lambda name=name: has(name))
    for number in range(0, 6, 2):
        [record] = until_done(lambda name=f"coin {number}": catalog.annotations(category=name)) or []
        until_done(lambda id=record.id: catalog.update_annotation(id, review="accepted", score=0.5))
    last = images[5]
    until_done(
        lambda: catalog.remove_image(last.id, discard_annotations=True),
        lambda: last.id not in {image.id for image in catalog.images()},
    )
    until_done(lambda: catalog.add_dataset("tuesday"))

    def contents() -> list[Any]:
        datasets = sorted((d.name, d.images) for d in catalog.datasets())
        annotations = sorted((a.category, a.review, a.score, str(a.rle)) for a in catalog.annotations())
        return [datasets, sorted(image.filename for image in catalog.images()), annotations]

    assert all("lost" in message or "answer" in message for message in told)
    return until_done(contents) or []


def test_a_catalog_behind_a_bad_connection_comes_to_the_same_end(postgres_server: PostgresServer) -> None:
    with Catalog(postgres_server.catalog()) as undisturbed:
        expected = work(undisturbed)
    chaos = Chaos(0.0, _LOSSES, seed=3)
    for _ in range(20):
        url = postgres_server.catalog()
        with ChaosProxy(postgres_server.port, chaos) as proxy, Catalog(_through(url, proxy.port)) as catalog:
            chaos.share = 0.1
            assert work(catalog) == expected
            chaos.share = 0.0
        if set(chaos.injected) == set(_LOSSES):
            break
    assert set(chaos.injected) == set(_LOSSES), chaos.injected


def test_a_connection_lost_at_the_commit_is_not_told_as_not_saved(postgres_server: PostgresServer) -> None:
    """Only the answer was lost: who reads "nothing was saved" would save it twice."""
    url = postgres_server.catalog()
    chaos = Chaos(0.0, ("fail",))
    with ChaosProxy(postgres_server.port, chaos) as proxy, Catalog(_through(url, proxy.port)) as catalog:
        event.listen(catalog._database.engine, "commit", lambda _: setattr(chaos, "share", 1.0))
        with pytest.raises(StoreError, match=r"not known whether .* was saved.*look"):
            catalog.add_dataset("tuesday")
    assert chaos.injected["fail"]


def test_a_connection_lost_before_the_commit_saved_nothing(postgres_server: PostgresServer) -> None:
    chaos = Chaos(0.0, ("fail",))
    url = postgres_server.catalog()
    with ChaosProxy(postgres_server.port, chaos) as proxy, Catalog(_through(url, proxy.port)) as catalog:
        catalog.datasets()
        chaos.share = 1.0
        with pytest.raises(StoreError, match="Nothing of this call was saved"):
            catalog.add_dataset("tuesday")
        chaos.share = 0.0
        assert catalog.datasets() == []  # the next call connects again
    assert chaos.injected["fail"]


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")))
