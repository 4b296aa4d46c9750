"""A Dask cluster of two worker processes, and pictures for it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support import plugin_env


@dataclass
class Cluster:
    """A running cluster, its client, and the file in which its workers write each encode."""

    cluster: Any
    client: Any
    log: Path

    def encodes(self) -> Counter[str]:
        """How often each picture was encoded, by its mark."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return Counter(line.removeprefix("encode ") for line in lines)

    @property
    def limit(self) -> Path:
        """As long as there is a number in it, workers encode so many images, or some more that they have begun."""
        return Path(f"{self.log}.limit")

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self.cluster.workers.values() if worker.process is not None]


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers (or `WORKERS` of the module) of one thread, as processes; restarted when they are killed."""
    distributed = pytest.importorskip("distributed", reason='needs pip install "samnb[distributed]"')
    folder = tmp_path_factory.mktemp("cluster")
    before, path = dict(os.environ), list(sys.path)
    plugin_env.install(folder / "models")
    os.environ["SAMNB_TEST_LOG"] = str(folder / "log")
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        workers = getattr(request.module, "WORKERS", 2)
        options = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
        with (
            distributed.LocalCluster(**options, silence_logs=50) as made,
            distributed.Client(made, set_as_default=False) as client,
        ):
            yield Cluster(made, client, folder / "log")
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.path[:] = path


@pytest.fixture(autouse=True)
def empty_log(request: pytest.FixtureRequest) -> None:
    """The log of encodes and their limit are of one test."""
    if "cluster" in request.fixturenames:
        cluster = request.getfixturevalue("cluster")
        cluster.log.unlink(missing_ok=True)
        cluster.limit.unlink(missing_ok=True)


def pictures(folder: Path, count: int, *, start: int = 0) -> Path:
    """`count` small pictures with random pixels."""
    folder.mkdir(exist_ok=True)
    for number in range(start, start + count):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return folder
