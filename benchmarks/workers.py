"""What workers cost: images a second with a model that does nothing, a cached catalog, a million rows in memory.

    python -m benchmarks.workers [overhead|shard|cached|memory|tiny ...]

Needs ``pip install "samnb[distributed]"`` for "overhead" and "tiny". Two worker processes on this machine; the store is
in a temporary folder (TMPDIR names another disk: writing 10 KB files safely is most of the time).
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

IMAGES = 2000
CACHED = 100_000
ROWS = 1_000_000


def pictures(folder: Path, count: int, size: tuple[int, int] = (24, 32)) -> Path:
    """`count` small PNG files with random pixels."""
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06}.png")
    return folder


@contextmanager
def cluster(workers: int) -> Any:
    """A client of a Dask cluster of worker processes."""
    from distributed import Client, LocalCluster

    options: Any = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**options, silence_logs=50) as made, Client(made, set_as_default=False) as client:
        yield client


def overhead(folder: Path) -> None:
    """Images a second through two workers, with a model that does nothing."""
    from samnb.session import Session

    with Session(folder / "session", model="counting") as session, cluster(2) as client:
        session.add(pictures(folder / "pictures", IMAGES), show=False)
        warm(session, client)
        started = time.perf_counter()
        last = session.prewarm(on=client, show=False).wait()
        seconds = time.perf_counter() - started
        print(f"two workers, no model: {last['computed'] / seconds:,.0f} images/s (target 300)")


def warm(session: Any, client: Any) -> None:
    """Have every worker load the model: its import is not what is measured."""
    names = [image.filename for image in session.images()[:16]]
    session.prewarm(images=names, on=client, show=False).wait()


def shard(folder: Path) -> None:
    """Images a second of one shard in one process: encoded by a model that does nothing, and found in the store."""
    from samnb.session import Session
    from samnb.workers import Shard

    with Session(folder / "session", model="counting") as session:
        session.add(pictures(folder / "pictures", IMAGES), show=False)
        for what in ("encoded", "found"):
            started = time.perf_counter()
            images = [image for image in session.images() if Shard(0, 2).has(image.pixel_hash)]
            session.prewarm(images=images, show=False).wait()
            print(f"one shard, {what}: {len(images) / (time.perf_counter() - started):,.0f} images/s (target 1,000)")


def made_up(count: int) -> list[Any]:
    """Records as the catalog returns them."""
    from samnb.records import ImageRecord

    return [
        ImageRecord(
            f"{n:032x}", "plates", "d" * 32, f"plate_{n:07}.jpg", f"/data/plates/2026/plate_{n:07}.jpg",
            f"a{n:063x}", f"b{n:063x}", f"c{n:063x}", 2000, 1500, 3_000_000 + n, 10**18 + n, 10**7 + n, False, n,
        )
        for n in range(count)
    ]  # fmt: skip


def cached(folder: Path) -> None:
    """Seconds to see that 100,000 images are in the store already."""
    from samnb.catalog import NewImage
    from samnb.session import Session

    with Session(folder / "session", model="counting") as session, cluster(1) as client:
        rows = [
            NewImage(f"/data/{n:06}.png", f"{n:06}.png", f"a{n:063x}", f"b{n:063x}", f"c{n:063x}", 32, 24, 9, n, n)
            for n in range(CACHED)
        ]
        images = session.catalog.add_images("plates", rows)
        for image in images:
            path = session.cache.path_of(session._encoder.key(image.pixel_hash, image.size_hw))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        started, busy = time.perf_counter(), time.process_time()
        last = session.prewarm(on=client, show=False).wait()
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        print(f"{last['skipped']:,} cached images: {seconds:.1f} s (target 20), {busy:.1f} s of processor time")


def memory(folder: Path) -> None:
    """Memory of the coordinator with a million rows whose work does nothing."""
    from concurrent.futures import ThreadPoolExecutor

    from samnb.jobs import Event, Job
    from samnb.workers import Coordinator, open_pool

    records = made_up(ROWS)

    def work(control: Any) -> Any:
        with ThreadPoolExecutor(2) as threads:
            run = Coordinator(open_pool(threads), Nothing(), control, total=len(records))
            for results in run.run(iter(enumerate(records, start=1))):
                for (number, record), done in results:
                    yield Event("computed", number, len(records), record.filename, done.ms)
        yield Event("done", total=len(records))

    started = time.perf_counter()
    job = Job("prewarm", work)
    job.wait()
    top = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{ROWS:,} rows and as many events: {top:.2f} GB (target 1.5), {time.perf_counter() - started:.0f} s")


class Nothing:
    """A work without any work."""

    def open(self) -> None:
        """Nothing to load."""

    def __call__(self, items: Any, control: Any) -> Any:
        from samnb.workers import Done

        return (Done(index) for index, _ in enumerate(items))


def tiny(folder: Path) -> None:
    """How much two workers are faster than one, with the embedded model."""
    from samnb.session import Session

    seconds = []
    for workers in (1, 2):
        with Session(folder / f"session{workers}") as session, cluster(workers) as client:
            session.add(pictures(folder / f"pictures{workers}", 120, (480, 640)), show=False)
            warm(session, client)
            started = time.perf_counter()
            session.prewarm(on=client, show=False).wait()
            seconds.append(time.perf_counter() - started)
    print(f"tiny, two workers against one: {seconds[0] / seconds[1]:.2f} times as fast (target 1.7)")


PARTS: dict[str, Callable[[Path], None]] = {
    "memory": memory, "shard": shard, "cached": cached, "overhead": overhead, "tiny": tiny,
}  # fmt: skip


def main() -> None:
    """Run the parts that were named, or all."""
    from tests.support import plugin_env

    with tempfile.TemporaryDirectory() as models:
        plugin_env.install(Path(models) / "models")
        os.environ.pop("SAMNB_TEST_LOG", None)
        for name in sys.argv[1:] or PARTS:
            with tempfile.TemporaryDirectory() as folder:
                PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
