"""A picture of 40,000 x 40,000 pixels: opened, looked at, clicked and searched, within memory and without seams.

    python benchmarks/large_picture.py [--side 40000] [--discs 2000] [--tiles 10] [--json benchmarks/results/large_picture.json]

Writes a tiled BigTIFF (JPEG tiles, no pyramid): scikit-image's stained tissue, repeated, and discs of known places, each
across a seam of the grid of tiles. The file is deleted afterwards. A process of its own then measures:

- add: hashing the pixels and making the overview, once for each file;
- first view: from opening the session to the bytes that the page shows, with the time of a jump to full resolution;
- click: on a tile that is encoded, beside a click on a picture of 1024 x 1024;
- search: what is like one disc, on a square of tiles; how many discs are one object, and their IoU with the mask that a
  click on a tile centred on the disc gives;
- peak memory of the process, torch included.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import tifffile
from skimage import data

from samnb.encoding.tiles import TileGrid
from samnb.masks.part import MaskPart
from samnb.session import Session
from samnb.ui.annotator.image_pyramid import render
from samnb.ui.annotator.large_pyramid import LargePyramid
from samnb.ui.annotator.viewport import Viewport

TILE, COLOUR = 512, (250, 225, 40)
STAGE = (900.0, 600.0)

Disc = tuple[int, int, int]


def make_discs(side: int, count: int, dense: int) -> list[Disc]:
    """(x, y, radius) of discs across seams, apart from each other; more of them on the first `dense` tiles."""
    random, inner = np.random.default_rng(24), TileGrid((side, side)).inner
    discs: list[Disc] = []
    taken: set[tuple[int, int]] = set()
    for attempt in range(100 * count):
        if len(discs) == count:
            break
        # The first attempts on the tiles that are searched, so that many of the discs are there.
        reach = min(side, dense * inner) if attempt < count // 3 else side
        seam = int(random.integers(1, max(2, reach // inner))) * inner + int(random.integers(-16, 17))
        along, radius = int(random.integers(80, reach - 80)), int(random.integers(22, 45))
        x, y = (seam, along) if random.random() < 0.5 else (along, seam)
        cells = {((x + dx) // 120, (y + dy) // 120) for dx in (-60, 60) for dy in (-60, 60)}
        if max(x, y) < side - 60 and not cells & taken:
            taken |= cells
            discs.append((x, y, radius))
    return discs


def write_picture(file: Path, side: int, discs: list[Disc]) -> None:
    """A tiled BigTIFF, one tile in memory at a time."""
    texture = data.immunohistochemistry()[:TILE, :TILE]
    by_tile: dict[tuple[int, int], list[Disc]] = {}
    for x, y, radius in discs:
        for column in range((x - radius) // TILE, (x + radius) // TILE + 1):
            for row in range((y - radius) // TILE, (y + radius) // TILE + 1):
                by_tile.setdefault((row, column), []).append((x, y, radius))
    count = -(-side // TILE)

    def tiles() -> Iterator[np.ndarray]:
        for row in range(count):
            for column in range(count):
                pixels = texture.copy()
                for x, y, radius in by_tile.get((row, column), ()):
                    cv2.circle(pixels, (x - column * TILE, y - row * TILE), radius, COLOUR, -1, cv2.LINE_AA)
                yield pixels

    options: Any = {"tile": (TILE, TILE), "photometric": "rgb", "compression": "jpeg", "bigtiff": True}
    options["compressionargs"] = {"level": 60}
    tifffile.imwrite(file, tiles(), shape=(side, side, 3), dtype=np.uint8, **options)


def measure(file: Path, folder: Path, discs: list[Disc], tiles: int) -> dict[str, Any]:
    """All figures; in a process of its own, whose memory is measured."""
    found: dict[str, Any] = {}
    with Session(folder) as session:
        started = time.perf_counter()
        report = session.add(file, show=False)
        assert report.added == 1, report
        found["add_seconds"] = round(time.perf_counter() - started, 2)
        found["add_peak_mb"] = _peak()
    started = time.perf_counter()
    with Session(folder) as session:
        [image] = session.images()
        pyramid = LargePyramid(session.large_picture(image))
        view = Viewport((image.width, image.height), STAGE)
        first = render(pyramid, view)
        found["first_view_seconds"] = round(time.perf_counter() - started, 3)
        found["first_view_bytes"] = len(first.data)
        started = time.perf_counter()
        render(pyramid, view.at_actual_size())
        found["jump_seconds"] = round(time.perf_counter() - started, 3)
        found |= _clicks(session, image, discs)
        found |= _search(session, image, discs, tiles)
    found["peak_mb"] = _peak()
    return found


def _clicks(session: Session, image: Any, discs: list[Disc]) -> dict[str, Any]:
    (x, y, _), *_ = discs
    [small] = session.add(session.region_pixels(image, (0, 0, 1024, 1024)), dataset="small", show=False).images
    session.predict(small, points=[(512, 512)])
    started = time.perf_counter()
    session.predict(image, points=[(x, y)])
    first = time.perf_counter() - started
    cached: dict[str, list[float]] = {"large": [], "small": []}
    for turn in range(20):  # in turns, so that a busy machine is busy for both
        for name, clicked, place in (("large", image, (x, y)), ("small", small, (500 + turn, 512))):
            started = time.perf_counter()
            prediction = session.predict(clicked, points=[place])
            prediction.part_of(prediction.best_for(prediction.prompt))
            cached[name].append(time.perf_counter() - started)
            assert prediction.cache_hit
    return {
        "click_new_tile_ms": round(first * 1000, 1),
        "click_cached_ms": round(median(cached["large"]) * 1000, 1),
        "click_small_picture_ms": round(median(cached["small"]) * 1000, 1),
    }


def _search(session: Session, image: Any, discs: list[Disc], tiles: int) -> dict[str, Any]:
    grid = TileGrid(image.size_hw)
    side = min(tiles * grid.inner, image.width)
    inside = [disc for disc in discs if max(disc[:2]) + disc[2] < side]
    example = session.accept(_centred(session, image, grid, inside[0])[0], category="disc")
    started, busy = time.perf_counter(), time.process_time()
    region = (0, 0, side, side)
    found = session.find_like(example, images=[image], region=region, show=False, max_objects=8, max_area_ratio=5.0)
    seconds, processor = time.perf_counter() - started, time.process_time() - busy
    parts = [MaskPart.of_rle(one.record.rle) for one in found] + [example.part]
    ious, once = [], 0
    for disc in inside:
        here = [part for part in parts if part.holds(disc[0], disc[1])]
        once += len(here) == 1
        if here:
            ious.append(max(part.iou(_centred(session, image, grid, disc)[1]) for part in here))
    return {
        "tiles_searched": len(grid.tiles(region)),
        "search_seconds": round(seconds, 1),
        "search_processor_seconds": round(processor, 1),
        "discs": len(inside),
        "discs_found_as_one_object": round(once / len(inside), 4),
        "discs_found_twice": sum(len([p for p in parts if p.holds(d[0], d[1])]) > 1 for d in inside),
        "mean_iou_with_centred_tile": round(float(np.mean(ious)), 4),
        "share_with_iou_above_0.9": round(float(np.mean(np.array(ious) >= 0.9)), 4),
        "other_objects": len(parts) - sum(any(p.holds(d[0], d[1]) for d in inside) for p in parts),
    }


def _centred(session: Session, image: Any, grid: TileGrid, disc: Disc) -> tuple[Any, MaskPart]:
    x, y, radius = disc
    tile = grid.centred((x - radius, y - radius, x + radius, y + radius))
    prediction = session.predict(image, points=[(x, y)], region=tile)
    corner, mask = prediction.part_of(prediction.best)
    return prediction, MaskPart.of(mask, corner, image.size_hw)


def _peak() -> int:
    """The most memory this process had, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / 1e6 if sys.platform == "darwin" else most / 1024)


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=40_000)
    parser.add_argument("--discs", type=int, default=2000)
    parser.add_argument("--tiles", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    discs = make_discs(given.side, given.discs, given.tiles)
    if given.measure is not None:
        print(json.dumps(measure(given.measure / "picture.tif", given.measure / "session", discs, given.tiles)))
        return
    folder = Path(tempfile.mkdtemp(prefix="samnb-large-"))
    try:
        started = time.perf_counter()
        write_picture(folder / "picture.tif", given.side, discs)
        about = {
            "side": given.side,
            "file_mb": round((folder / "picture.tif").stat().st_size / 1e6),
            "written_in_seconds": round(time.perf_counter() - started, 1),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        }
        arguments = ["--side", given.side, "--discs", given.discs, "--tiles", given.tiles, "--measure", folder]
        command = [sys.executable, "-m", "benchmarks.large_picture", *map(str, arguments)]
        # Smaller pictures than the default are tiled too.
        environment = {**os.environ, "SAMNB_TILED_ABOVE": os.environ.get("SAMNB_TILED_ABOVE", "10000000")}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        result = about | json.loads(done.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(folder)
    result["load_average"] = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    print(json.dumps(result, indent=1))
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
