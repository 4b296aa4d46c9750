"""What exporting a million annotations takes: seconds, bytes, and the highest memory of the process.

    python -m benchmarks.export_many [annotations]

The annotations are made up: circles of run lengths, ten on each image, in a catalog in a temporary folder. Each
format is written by a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ON_EACH = 10
SIZE_HW = (1500, 2000)
FORMATS = ("coco:a.json", "table:a.csv", "table:a.parquet")


def fill(folder: Path, count: int) -> None:
    """A session with that many annotations, without pictures."""
    import numpy as np

    from samnb.catalog import Catalog, NewImage
    from samnb.catalog.tables import annotation_table
    from samnb.masks.rle import encode_rle

    height, width = SIZE_HW
    y, x = np.mgrid[:height, :width]
    objects = []
    for radius in range(10, 10 + 5 * ON_EACH, 5):
        mask = (x - 1000) ** 2 + (y - 700) ** 2 < radius**2
        box = (1000 - radius, 700 - radius, 2 * radius, 2 * radius)
        objects.append({"rle": json.dumps(encode_rle(mask)), "bbox": json.dumps(box), "area": int(mask.sum())})
    same = {"category": "cell", "score": 0.9, "source": "template:cells@1", "prompt": "{}", "model": "tiny"}
    same |= {"created_at": "2026-01-01T00:00:00.000000+00:00"}
    with Catalog(folder / "catalog.db") as catalog:
        catalog.save_category("cell")
        rows = [
            NewImage(f"/data/{n}.png", f"{n}.png", f"a{n:063x}", f"b{n:063x}", f"c{n:063x}", width, height, 9, n, n)
            for n in range(count // ON_EACH)
        ]
        ids = [image.id for image in catalog.add_images("plates", rows)]
        for start in range(0, len(ids), 1000):
            made = [same | one | {"image_id": image_id} for image_id in ids[start : start + 1000] for one in objects]
            with catalog._database.write(durable=False) as connection:
                connection.execute(annotation_table.insert(), made)


def peak() -> float:
    """The highest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def export(folder: Path, format: str) -> None:
    """Write one file, and say what it took."""
    from samnb.session import Session

    kind, _, name = format.partition(":")
    with Session(folder) as session:
        before, started, busy = peak(), time.perf_counter(), time.process_time()
        report = session.export(kind, folder / name)
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        size = os.path.getsize(folder / name) / 2**20
        print(
            f"{name}: {report.annotations:,} annotations on {report.images:,} images, {size:,.0f} MB, {seconds:.0f} s "
            f"({busy:.0f} s of processor time), peak {peak():,.0f} MB, {peak() - before:,.0f} MB above the session"
        )
        (folder / name).unlink()


def main() -> None:
    """Fill a session once, then export it in each format."""
    if len(sys.argv) > 2:
        step = fill if sys.argv[2].isdecimal() else export
        step(Path(sys.argv[1]), int(sys.argv[2]) if step is fill else sys.argv[2])  # type: ignore[arg-type]
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), count)
        for format in FORMATS:
            subprocess.run([sys.executable, "-m", "benchmarks.export_many", folder, format], check=True)


if __name__ == "__main__":
    main()
