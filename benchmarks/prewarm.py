"""A prewarm from files to the store, beside its two halves alone: reading pictures, and encoding them.

    python benchmarks/prewarm.py [--model tiny] [--pictures 30] [--rounds 5] [--json benchmarks/results/prewarm.json]

Makes JPEG pictures of 12 megapixels, and then, in turns within one run, so that a busy machine is busy for all:

- prewarm: the whole of it, `Session.prewarm_stream` into an empty store;
- decode+resize: the same pictures read and scaled, on as many threads as the prewarm reads on;
- decode+resize, one thread: the same by a loop, as whoever has no pipeline would;
- decode+check+resize: with the check that the file still holds what was added, which a prewarm owes everybody;
- encode: the net on prepared pictures, one after the other.

A pipeline cannot be faster than the slower half. On few processors it cannot be faster than all the work together over
the processors either: `bound` is processor seconds of the two halves, over their number.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from samnb.encoding.pipeline import Pipeline
from samnb.encoding.tasks import EncodeTask, read_for
from samnb.images import read_upright
from samnb.jobs import JobControl
from samnb.session import Session

SIZE = (4000, 3000)


def make_pictures(folder: Path, count: int) -> None:
    """Blurred blobs with grain, so that their JPEG files are as large as a camera's."""
    folder.mkdir()
    for number in range(count):
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(0, 256, (94, 125, 3), np.uint8))
        smooth = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC)).astype(np.int16)
        grain = random.integers(-8, 9, (*smooth.shape[:2], 1), dtype=np.int16)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(folder / f"{number:03}.jpg", quality=90)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds."""
    started, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - busy


class Bench:
    """The parts of one run, on one session."""

    def __init__(self, session: Session):
        self.session, self.model = session, session.model
        self.tasks: list[EncodeTask] = [session._encoder.task(image) for image in session.images()]
        pipeline = Pipeline(self.tasks, session._encoder, JobControl())
        self.readers, self.window = pipeline.readers, pipeline.window
        self.prepared = [read_for(self.model, task) for task in self.tasks]
        self.model.encode_prepared(self.prepared[:1])
        self.bytes = sum(Path(task.path).stat().st_size for task in self.tasks)

    def prewarm(self) -> None:
        """Into an empty store."""
        last = list(self.session.prewarm_stream())[-1]
        assert last["computed"] == len(self.tasks), last

    def empty(self) -> None:
        """Forget what was stored; not timed."""
        for task in self.tasks:
            self.session.cache.remove(task.key)

    def read(self, threads: int, *, checked: bool) -> None:
        """Prepare all pictures."""

        def one(task: EncodeTask) -> Any:
            return read_for(self.model, task) if checked else self.model.prepare(read_upright(task.path)[0])

        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(one, self.tasks):
                pass

    def encode(self) -> None:
        """One after the other."""
        for prepared in self.prepared:
            self.model.encode_prepared([prepared])


def measure(bench: Bench, rounds: int) -> dict[str, Any]:
    """Medians over the rounds, of seconds and of the ratios within a round."""
    parts: dict[str, Callable[[], None]] = {
        "prewarm": bench.prewarm,
        "decode+resize": lambda: bench.read(bench.readers, checked=False),
        "decode+resize, one thread": lambda: bench.read(1, checked=False),
        "decode+check+resize": lambda: bench.read(bench.readers, checked=True),
        "encode": bench.encode,
    }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wall: dict[str, list[float]] = {name: [] for name in parts}
    busy: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(rounds):
        bench.empty()
        for name, work in parts.items():
            seconds, processor = timed(work)
            wall[name].append(seconds)
            busy[name].append(processor)
        print(f"round {turn + 1}  " + "  ".join(f"{name} {wall[name][-1]:.2f} s" for name in parts), flush=True)

    def ratio(*others: str) -> float:
        rows = zip(wall["prewarm"], *(wall[name] for name in others), strict=True)
        return round(median(whole / max(halves) for whole, *halves in rows), 3)

    checked = zip(busy["decode+check+resize"], busy["encode"], strict=True)
    bounds = [max(sum(pair) / cores, encode) for pair, encode in zip(checked, wall["encode"], strict=True)]
    return {
        "pictures": len(bench.tasks),
        "megapixels": SIZE[0] * SIZE[1] / 1e6,
        "megabytes_each": round(bench.bytes / len(bench.tasks) / 1e6, 2),
        "readers": bench.readers,
        "window": bench.window,
        "cores": cores,
        "rounds": rounds,
        "seconds": {name: round(median(values), 3) for name, values in wall.items()},
        "processor_seconds": {name: round(median(values), 3) for name, values in busy.items()},
        "ratio_to_larger_half_read_on_one_thread": ratio("decode+resize, one thread", "encode"),
        "ratio_to_larger_half": ratio("decode+resize", "encode"),
        "ratio_to_larger_half_with_check": ratio("decode+check+resize", "encode"),
        "ratio_to_bound": round(median(w / b for w, b in zip(wall["prewarm"], bounds, strict=True)), 3),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        make_pictures(folder / "pictures", options.pictures)
        with Session(folder / "session", model=options.model) as session:
            session.add(folder / "pictures")
            found = {"model": options.model, "device": session.model.device, "machine": platform.machine()}
            found |= measure(Bench(session), options.rounds)
    finally:
        shutil.rmtree(folder)
    text = json.dumps(found, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
