"""How long it takes to add files, to add them again unchanged, and to add them under other names.

    python benchmarks/intake.py [--files 2000] [--side 128]

Made-up JPEG files in a folder of their own, in the system's page cache.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from samnb.catalog import Catalog
from samnb.intake import add_pictures, threads


def make_files(folder: Path, count: int, side: int) -> None:
    """Small photograph-like pictures, all different."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number:06}.jpg", quality=85)


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main(count: int, side: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as place:
        root, photos = Path(place), Path(place) / "photos"
        make_files(photos, count, side)
        with Catalog(root / "catalog.db") as catalog:

            def add(folder: Path, dataset: str) -> None:
                report = add_pictures(catalog, root, folder, dataset=dataset, is_cached=lambda _: False)
                assert len(report.images) == count

            rows = {"first time: read, decode, three hashes, write": seconds(lambda: add(photos, "monday"))}
            rows["again, unchanged"] = min(seconds(lambda: add(photos, "monday")) for _ in range(3))
            rows["in another dataset"] = seconds(lambda: add(photos, "tuesday"))
            catalog.delete_dataset("monday")
            rows["deleted and added again"] = seconds(lambda: add(photos, "monday"))
            photos.rename(root / "moved")
            rows["under another path, in another dataset"] = seconds(lambda: add(root / "moved", "wednesday"))
        with ThreadPoolExecutor(max_workers=threads()) as pool:
            rows["bare SHA-256 of the files, for comparison"] = seconds(
                lambda: list(pool.map(_sha256, (root / "moved").iterdir()))
            )
        first = next(iter(rows.values()))
        print(f"{count} JPEG files of {side} × {side} pixels, {threads()} threads")
        for name, took in rows.items():
            print(f"  {name:48s}{took:8.2f} s {count / took:10,.0f} files/s {first / took:7.1f} ×")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--side", type=int, default=128)
    arguments = parser.parse_args()
    main(arguments.files, arguments.side)
