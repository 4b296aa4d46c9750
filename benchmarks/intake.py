"""How long it takes to add files, to add them again unchanged, and to add them under other names.

    python -m benchmarks.intake [--files 10000] [--side 128] [--rounds 3]

Made-up JPEG files in a folder of their own, in the system's page cache. Rounds alternate what is compared; medians are
shown, since a machine shared with others gives no two equal times.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from samnb.images import read_picture
from samnb.images.files import read_file
from samnb.ingest.add import CHUNK, threads
from samnb.session import Session

BARE = "bare hashlib.file_digest"
HASHED = "read and content hash, as adding does"
READ = "read, decode, three hashes, nothing written"
FIRST = "Session.add, first time"
AGAIN = "Session.add again, unchanged"
ELSEWHERE = "in another dataset"
DELETED = "dataset deleted and added again"
MOVED = "under another path, in another dataset"


def make_files(folder: Path, count: int, side: int) -> None:
    """Small photograph-like pictures, all different."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number:06}.jpg", quality=85)


def main(count: int, side: int, rounds: int) -> None:
    """Print the table."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        photos = Path(place) / "photos"
        make_files(photos, count, side)
        for number in range(rounds):
            measure(photos, Path(place) / f"session{number}", count, times)
    medians = {name: median(seconds) for name, seconds in times.items()}
    print(f"{count} JPEG files of {side} × {side} pixels, {threads()} threads, median of {rounds} rounds")
    for name, took in medians.items():
        print(f"  {name:48s}{took:8.2f} s {count / took:10,.0f} files/s {medians[FIRST] / took:7.1f} ×")
    print(f"content hashes, of what bare file_digest reaches: {medians[BARE] / medians[HASHED]:.2f} (target 0.8)")
    print(f"all of adding, of what bare file_digest reaches:  {medians[BARE] / medians[FIRST]:.3f}")
    print(f"adding again, of the first time:                  {medians[FIRST] / medians[AGAIN]:.1f} × (target 20)")


def measure(photos: Path, folder: Path, count: int, times: dict[str, list[float]]) -> None:
    """One round."""

    def timed(name: str, call: Callable[[], object]) -> None:
        began = time.perf_counter()
        call()
        times.setdefault(name, []).append(time.perf_counter() - began)

    paths = [str(path) for path in photos.iterdir()]
    with ThreadPoolExecutor(max_workers=threads()) as pool:
        timed(BARE, lambda: list(pool.map(file_digest, paths)))
        timed(HASHED, lambda: list(pool.map(content_hashes, chunks(paths))))
        timed(
            READ, lambda: list(pool.map(lambda some: [read_picture(path).pixel_hash for path in some], chunks(paths)))
        )
        timed(BARE, lambda: list(pool.map(file_digest, paths)))
        timed(HASHED, lambda: list(pool.map(content_hashes, chunks(paths))))
    with Session(folder) as session:

        def add(source: Path, dataset: str) -> None:
            report = session.add(source, dataset=dataset, show=False)
            assert len(report.images) == count, report

        timed(FIRST, lambda: add(photos, "monday"))
        for _ in range(3):
            timed(AGAIN, lambda: add(photos, "monday"))
        timed(ELSEWHERE, lambda: add(photos, "tuesday"))
        session.delete_dataset("monday")
        timed(DELETED, lambda: add(photos, "monday"))
        moved = photos.rename(photos.with_name("moved"))
        timed(MOVED, lambda: add(moved, "wednesday"))
        moved.rename(photos)


def chunks(paths: list[str]) -> Iterable[list[str]]:
    """As adding hands them to its threads."""
    return (paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK))


def file_digest(path: str) -> str:
    """As short as it can be written."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hashes(paths: list[str]) -> list[str]:
    """What `read_picture` does of it: the bytes are kept, since they are decoded next."""
    return [hashlib.sha256(read_file(path)[0]).hexdigest() for path in paths]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.files, arguments.side, arguments.rounds)
