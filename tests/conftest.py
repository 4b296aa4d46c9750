"""What several test files share."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres_server import PostgresServer
from tests.support.remote_servers import RedisServer, S3Server

if TYPE_CHECKING:
    from samnb.cache import EmbeddingCache
    from samnb.catalog import Catalog

# Before torch is imported, and for every process that a test starts. With more threads each small layer waits for all
# of them, many times as long where another process has the processor: another test, a kernel, a browser.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A check of this processor for each file of weights would take seconds, and its answer differ between machines.
os.environ.setdefault("SAMNB_PRECISION", "float32")

# A store of the tests that is slow, since the machine is busy, is not to be taken for one that is down: 21 embeddings
# were computed again. What is about time-outs gives its own.
os.environ.setdefault("SAMNB_CACHE_REMOTE_TIMEOUT", "60s")

# Processes of a cluster find each other later where the machine is busy.
os.environ.setdefault("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "120s")

# No test fails because an example took long. Always the same examples: a new one may fail where somebody looks for it,
# with HYPOTHESIS_RANDOM=1, and not in the middle of other work.
settings.register_profile(
    "samnb",
    deadline=None,
    derandomize=os.environ.get("HYPOTHESIS_RANDOM") != "1",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("samnb")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """SAMNB_CHROMIUM, or the first of the usual names on PATH."""
    named = os.environ.get("SAMNB_CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; without one the test is skipped, but fails where CI=true."""
    found = find_chromium()
    if found is None:
        reason = (
            "no Chromium found: install it (Debian: sudo apt install chromium), "
            "or name one with SAMNB_CHROMIUM=/path/to/chromium"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """What is not about waiting for a database or another process waits for it, however busy the machine is."""
    from samnb.catalog import engines
    from samnb.store import key_locks

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(key_locks, "STOPPED_AFTER", 120)
        patched.setattr(engines, "BUSY_TIMEOUT_MS", 120_000)
        patched.setitem(engines._GIVE_UP, "connect_timeout", 60)
        yield


@pytest.fixture(autouse=True)
def collections_end() -> Iterator[None]:
    """What a cache evicts in the background is over before the next test, which may count or refuse calls."""
    yield
    if not (threads := [thread for thread in threading.enumerate() if thread.name == "samnb-collect"]):
        return
    from samnb.store import eviction

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(eviction, "PAUSE", 0)  # nobody else wants the lock: its pauses alone take three seconds
        for thread in threads:
            thread.join(60)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two threads for torch, instead of the one that tests run with."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged photographs as files, made once for all tests; read only by agreement."""
    from samnb.demo import demo_pictures

    return demo_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server; whoever kills it starts it again."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server with a bucket; whoever kills it starts it again."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any do for the server of the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL; without a wheel for the platform, the tests that need it are skipped."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty catalog in a SQLite file to copy, which is much faster than making one."""
    from samnb.catalog import Catalog

    path = tmp_path_factory.mktemp("empty") / "catalog.db"
    Catalog(path).close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path, empty_catalog: Path) -> str:
    """Address of a new catalog without images, once in a SQLite file and once on a PostgreSQL."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_server").catalog()
    shutil.copyfile(empty_catalog, tmp_path / "catalog.db")
    return f"sqlite:///{tmp_path / 'catalog.db'}"


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """A new catalog, on SQLite and on PostgreSQL."""
    from samnb.catalog import Catalog

    with Catalog(catalog_url) as opened:
        yield opened


@pytest.fixture
def both_databases(catalog_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every session of the test has its catalog there, whatever its folder."""
    monkeypatch.setenv("DATABASE_URL", catalog_url)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    """An empty embedding cache in a folder."""
    from samnb.cache import EmbeddingCache

    return EmbeddingCache(tmp_path / "embeddings")
