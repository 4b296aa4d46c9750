"""What the catalog costs with 1,000 to 1,000,000 images, and how many it writes a second.

    python -m benchmarks.catalog_scale [--counts 1000 10000 100000 1000000] [--url postgresql+psycopg://…] [--save]

The rows are made up and their hashes random, so that every row touches pages all over the indexes. Each count runs in a
process of its own, whose largest memory is told. `--url` names an empty database of a server, for one count; without
it, SQLite files in temporary folders. `--save` writes the table to benchmarks/results/catalog_scale.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from math import log2
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy

from samnb.catalog import Catalog
from samnb.records import ImageRecord, NewImage

RESULTS = Path(__file__).parent / "results" / "catalog_scale.json"
COUNTS = (1_000, 10_000, 100_000, 1_000_000)
CALL = 500
"""Rows handed over at a time, as `Session.add` does."""
WHOLE = ("add", "add, processor alone", "add again", "duplicates()", "datasets()", "refresh_cached()", "images()")
"""What looks at every image; the other costs are those of one call."""


def pictures(start: int, count: int) -> list[NewImage]:
    """Every hundredth has the pixels of the one before."""
    made = []
    for number in range(start, start + count):
        rng, of_pixels = random.Random(number), random.Random(number - (number % 100 == 99))
        content, pixels, looks = rng.randbytes(32).hex(), of_pixels.randbytes(40)[8:].hex(), rng.randbytes(32).hex()
        name = f"img{number:07}.jpg"
        times = (1000 + number, 1_700_000_000_000_000_000 + number, number)
        made.append(NewImage(f"/photos/{name}", name, content, pixels, looks, 640, 480, *times, False, 1, 20.0))
    return made


def measure(url: str, count: int) -> dict[str, float]:
    """Seconds for each thing, and bytes of memory, with so many images in ten datasets."""
    costs: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any], times: int = 1) -> Any:
        took = []
        for _ in range(times):
            began = time.perf_counter()
            result = call()
            took.append(time.perf_counter() - began)
        costs[name] = median(took)
        return result

    def add_all(catalog: Catalog, name: str) -> None:
        seconds = busy = 0.0
        for start in range(0, count, CALL):
            new = pictures(start, min(CALL, count - start))  # making them up is not timed
            began, busy_before = time.perf_counter(), time.process_time()
            catalog.add_images(f"dataset {start * 10 // count}", new)
            seconds += time.perf_counter() - began
            busy += time.process_time() - busy_before
        costs[name], costs[f"{name}, processor alone"] = seconds, busy

    with Catalog(url) as catalog:
        add_all(catalog, "add")
        add_all(catalog, "add again")
        costs["memory of adding"] = memory()
    catalog = timed("opening", lambda: Catalog(url), times=5)
    with closing(catalog):
        some = random.Random(0)
        numbers = [some.randrange(count) for _ in range(51)]
        found = [picture for number in numbers for picture in pictures(number, 1)]
        for name, of in {"image by hash": "content_hash", "image by name": "filename"}.items():
            each = iter(found)
            timed(name, lambda of=of, each=each: catalog.image(getattr(next(each), of)), times=50)
        paths = [picture.path for picture in pictures(count // 2, min(CALL, count // 20))]
        timed("500 paths looked up", lambda: catalog.files.in_dataset("dataset 5", paths), times=5)
        timed("500 hashes looked up", lambda: catalog.known_pixels({p.pixel_hash for p in found}), times=5)
        page = {"dataset": "dataset 5", "count": 100}
        timed("100 images of a dataset", lambda: catalog.images(start=count // 20, **page), times=5)
        timed("duplicates()", catalog.duplicates)
        timed("datasets()", catalog.datasets, times=3)
        timed("cached images counted", lambda: catalog.get_cached_images_count("x"), times=3)
        timed("refresh_cached()", lambda: catalog.refresh_cached(held))
        timed("refresh_cached(), no news", lambda: catalog.refresh_cached(held))
        costs["memory without images()"] = memory()
        timed("images()", catalog.images)
    costs["memory"] = memory()
    return costs


def held(image: ImageRecord) -> bool:
    """Of a tenth of all images the embedding is there, and none was flagged."""
    return image.pixel_hash[0] in "0a"


def memory() -> int:
    """The most bytes this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_a_process(url: str | None, count: int) -> dict[str, float]:
    """`measure`, where nothing else uses memory."""
    with tempfile.TemporaryDirectory() as place:
        where = url or f"sqlite:///{place}/catalog.db"
        code = "from benchmarks.catalog_scale import *; print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))"
        done = subprocess.run(
            [sys.executable, "-c", code, where, str(count)], stdout=subprocess.PIPE, text=True, check=True
        )
        costs = json.loads(done.stdout)
        if url is None:
            costs["file"] = Path(place, "catalog.db").stat().st_size
        return costs


def shown(name: str, cost: float | None) -> str:
    """A cost in the unit it has."""
    if cost is None:
        return "–"
    if name.startswith(("memory", "file")):
        return f"{cost / 2**20:,.0f} MB"
    return f"{cost:,.2f} s" if cost >= 1 else f"{cost * 1000:,.2f} ms"


def main(counts: list[int], url: str | None, save: bool) -> None:
    """Print the table."""
    table = {count: in_a_process(url, count) for count in counts}
    print(f"{'':26s}" + "".join(f"{count:>14,}" for count in counts))
    for name in table[counts[0]]:
        print(f"{name:26s}" + "".join(f"{shown(name, table[count].get(name)):>14s}" for count in counts))
    for title, name in (("rows added a second", "add"), ("… of processor time", "add, processor alone")):
        print(f"{title:26s}" + "".join(f"{count / table[count][name]:>14,.0f}" for count in counts))
    print("\nof n log n, between the first and the last count (1: grows like n log n, less: slower)")
    for name in WHOLE:
        has = [count for count in counts if name in table[count]]
        growth = table[has[-1]][name] / table[has[0]][name]
        print(f"{name:26s}{growth / (has[-1] * log2(has[-1]) / (has[0] * log2(has[0]))):>14.2f}")
    if save:
        about: dict[str, Any] = {"python": platform.python_version(), "sqlalchemy": sqlalchemy.__version__}
        about |= {"sqlite": sqlite3.sqlite_version, "cores": os.cpu_count()}
        RESULTS.write_text(json.dumps({"about": about, "seconds": table}, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--url")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    main(arguments.counts, arguments.url, arguments.save)
