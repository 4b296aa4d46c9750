"""Three hosts, each with a network and file systems of its own, that share nothing but a bucket with a fourth process.

The hosts are network namespaces on a bridge; what the session's process keeps on its disk is hidden from them. The
pictures are in the bucket, and so are the embeddings; the catalog is a PostgreSQL that only the fourth process reaches.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from samnb.cache import EmbeddingCache
from samnb.session import Session
from tests.support import plugin_env
from tests.support.postgres_server import PostgresServer
from tests.support.remote_servers import S3Server, free_port
from tests.support.waiting import wait_until
from tests.workers.test_shared_store import annotated, squares

pytestmark = pytest.mark.slow

COUNT = 400
_HUB = "10.77.0.1"


class BucketOnTheNetwork(S3Server):
    """The S3 server, for all hosts."""

    @property
    def address(self) -> str:
        return f"endpoint_url=http://{_HUB}:{self.port}"

    def command(self) -> list[str]:
        return [word if word != "127.0.0.1" else "0.0.0.0" for word in super().command()]


@dataclass
class Hosts:
    """The scheduler's address, the client's process list, and what each host wrote of its encodes."""

    scheduler: str
    folders: list[Path]

    def encodes(self) -> list[Counter[str]]:
        logs = [folder / "log" for folder in self.folders]
        return [Counter(log.read_text().splitlines()) if log.exists() else Counter() for log in logs]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def network() -> Iterator[list[str]]:
    """The names of three network namespaces on one bridge."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("network namespaces need root, ip and unshare")
    bridge, names = f"smb{os.getpid() % 10**6}", [f"samnb-{os.getpid()}-{number}" for number in range(3)]
    try:
        try:
            ip("link", "add", bridge, "type", "bridge")
            ip("addr", "add", f"{_HUB}/24", "dev", bridge)
            ip("link", "set", bridge, "up")
            for number, name in enumerate(names):
                ip("netns", "add", name)
                ip("link", "add", f"{bridge}{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
                ip("link", "set", f"{bridge}{number}", "master", bridge, "up")
                ip("-n", name, "addr", "add", f"10.77.0.{11 + number}/24", "dev", "eth0")
                ip("-n", name, "link", "set", "eth0", "up")
                ip("-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], capture_output=True)


@pytest.fixture
def hosts(network: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """A Dask scheduler here, and a worker on each host, for which this folder's "here" is empty."""
    pytest.importorskip("distributed", reason='needs pip install "samnb[distributed]"')
    monkeypatch.setattr(sys, "path", list(sys.path))
    environment = dict(os.environ)
    plugin_env.install(tmp_path / "models", environment)
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    (tmp_path / "here").mkdir()
    port = free_port()
    scheduler = f"tcp://{_HUB}:{port}"
    dask = [sys.executable, "-m", "dask"]
    folders, processes = [tmp_path / name for name in network], []
    with open(tmp_path / "dask.log", "wb") as log:
        command = [*dask, "scheduler", "--host", _HUB, "--port", str(port), "--no-dashboard"]
        processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        for name, folder in zip(network, folders, strict=True):
            folder.mkdir()
            worker = [*dask, "worker", scheduler, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
            hidden = f'mount -t tmpfs none {tmp_path / "here"} && exec "$@"'
            command = ["ip", "netns", "exec", name, "unshare", "-m", "sh", "-c", hidden, "sh", *worker]
            own = environment | {"SAMNB_TEST_LOG": str(folder / "log"), "TMPDIR": str(folder)}
            processes.append(subprocess.Popen(command, env=own, stdout=log, stderr=log, cwd=folder))
        yield Hosts(scheduler, folders)
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.usefixtures("s3_credentials")
def test_every_picture_of_the_bucket_is_encoded_once_and_found_as_one_process_finds_it(
    hosts: Hosts, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    from distributed import Client

    here = tmp_path / "here"
    server = BucketOnTheNetwork(tmp_path)
    server.start()
    try:
        for file in squares(here / "pictures", COUNT).iterdir():
            server.client().put_object(Bucket="lab", Key=f"plates/{file.name}", Body=file.read_bytes())
        plates, store = f"s3://lab/plates/*.png?{server.address}", f"s3://lab/embeddings?{server.address}"
        with Session(here / "one process", model="counting") as alone:
            expected = annotated(alone, plates, None)
        with Client(hosts.scheduler, set_as_default=False, timeout=300) as client:
            wait_until("all hosts work", lambda: len(client.nthreads()) == 3, seconds=300)
            cache, url = EmbeddingCache(None, remote=[store]), postgres_server.catalog()
            with Session(here / "fourth", model="counting", database_url=url, cache=cache) as session:
                began = time.monotonic()
                report = session.add(plates, on=client, show=False)
                assert (report.added, report.failed) == (COUNT, ())
                last = session.prewarm(on=client, show=False).wait(300)
                assert (last["computed"], last["failed"]) == (COUNT, 0)
                of_hosts = hosts.encodes()
                assert sum(of_hosts, Counter()).total() == len(sum(of_hosts, Counter())) == COUNT
                assert all(of_hosts)
                assert session.model.encodes == 0
                found = annotated(session, plates, client)
                print(f"{COUNT} pictures: {[one.total() for one in of_hosts]}, {time.monotonic() - began:.0f} s")
                assert found == expected
                assert len(found) == COUNT - 1
                assert sum(hosts.encodes(), Counter()).total() == COUNT
                assert session.sync() == COUNT
    finally:
        server.kill()
