"""A prewarm with DOWNSCALE_MAX beside one without, and how much the masks change.

    python benchmarks/downscale.py [--longest 1024] [--pictures 30] [--rounds 3] [--folder photos/]
        [--json benchmarks/results/downscale.json]

Makes JPEG pictures of 12 megapixels with ellipses of known places, unless a folder of pictures is given. Both prewarms
fill an empty store, in turns within one run, so that a busy machine is busy for both. Then the same prompts are decoded
on both embeddings: clicks in the middle of the ellipses, or points on a grid.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from PIL import Image

from samnb.masks import mask_iou
from samnb.session import Session

SIZE = (4000, 3000)


def middles(number: int) -> list[tuple[int, int]]:
    """Of the ellipses on one picture: (x, y), far enough from each other not to touch."""
    random = np.random.default_rng(number)
    places = [((x + 0.5) * SIZE[0] / 3, (y + 0.5) * SIZE[1] / 2) for x in range(3) for y in range(2)]
    return [(round(x + random.uniform(-150, 150)), round(y + random.uniform(-150, 150))) for x, y in places]


def make_pictures(folder: Path, count: int) -> None:
    """Ellipses on a soft ground, with the grain that a camera of a phone leaves."""
    folder.mkdir()
    for number in range(count):
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(40, 140, (32, 43, 3), np.uint8))
        pixels = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC)).astype(np.int16)
        drawn = np.ascontiguousarray(pixels)
        for middle in middles(number):
            axes = tuple(int(v) for v in random.integers(120, 380, 2))
            colour = tuple(int(v) for v in random.integers(150, 256, 3))
            cv2.ellipse(drawn, middle, axes, float(random.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_4)
        grain = random.integers(-4, 5, (*drawn.shape[:2], 1), dtype=np.int16)
        Image.fromarray((drawn + grain).clip(0, 255).astype(np.uint8)).save(folder / f"{number:03}.jpg", quality=87)


def measure(pictures: Path, longest: int, rounds: int, model: str, *, made: bool) -> dict[str, Any]:
    """Seconds of both prewarms in turns, and the IoU of their masks."""
    home = Path(tempfile.mkdtemp(prefix="samnb-downscale-"))
    limits = {"full": "", "smaller": str(longest)}
    sessions: dict[str, Session] = {}
    try:
        for name, limit in limits.items():
            os.environ["DOWNSCALE_MAX"] = limit
            sessions[name] = Session(home / name, model=model)
            sessions[name].add(pictures, show=False)
        wall: dict[str, list[float]] = {name: [] for name in limits}
        busy: dict[str, list[float]] = {name: [] for name in limits}
        for turn in range(rounds + 1):  # the first turn builds the models, and does not count
            for name, session in sessions.items():
                tasks = [session._encoder.task(image) for image in session.images()]
                for task in tasks:
                    session.cache.remove(task.key)
                started, processor = time.perf_counter(), time.process_time()
                last = list(session.prewarm_stream())[-1]
                assert last["computed"] == len(tasks), last
                if turn:
                    wall[name].append(time.perf_counter() - started)
                    busy[name].append(time.process_time() - processor)
            if turn:
                print(f"round {turn}  " + "  ".join(f"{name} {wall[name][-1]:.2f} s" for name in wall), flush=True)
        ious = [iou for number in range(len(sessions["full"].images())) for iou in _ious(sessions, number, made=made)]
        sizes = [image.size_hw for image in sessions["full"].images()]
    finally:
        for session in sessions.values():
            session.close()
        shutil.rmtree(home)
    pairs = list(zip(wall["full"], wall["smaller"], strict=True))
    files = [path for path in pictures.rglob("*") if path.is_file()]
    return {
        "model": model,
        "longest": longest,
        "pictures": len(sizes),
        "megapixels": round(float(np.mean([height * width for height, width in sizes])) / 1e6, 2),
        "megabytes_each": round(sum(path.stat().st_size for path in files) / len(files) / 1e6, 2),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "seconds": {name: round(median(values), 3) for name, values in wall.items()},
        "processor_seconds": {name: round(median(values), 3) for name, values in busy.items()},
        "times_as_fast": round(median(full / smaller for full, smaller in pairs), 2),
        "masks": len(ious),
        "mean_iou": round(float(np.mean(ious)), 4),
        "iou_19_of_20": round(float(np.quantile(ious, 0.05)), 4),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _ious(sessions: dict[str, Session], number: int, *, made: bool) -> list[float]:
    image = sessions["full"].images()[number]
    height, width = image.size_hw
    grid = [(x * width / 4, y * height / 4) for x in (1, 2, 3) for y in (1, 3)]
    points = middles(int(Path(image.filename).stem)) if made else grid
    found = []
    for point in points:
        masks = [session.predict(image.filename, points=[point]).mask for session in sessions.values()]
        assert all(mask.shape == image.size_hw for mask in masks)
        found.append(mask_iou(*masks))
    return found


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--longest", type=int, default=1024)
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    made = Path(tempfile.mkdtemp(prefix="samnb-pictures-"))
    try:
        if given.folder is None:
            make_pictures(made / "pictures", given.pictures)
        pictures = given.folder or made / "pictures"
        result = measure(pictures, given.longest, given.rounds, given.model, made=given.folder is None)
    finally:
        shutil.rmtree(made)
    print(json.dumps(result, indent=1))
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
