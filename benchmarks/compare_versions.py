"""How fast another state of samnb is beside this one: the same work, in turns, each turn in processes of its own.

    git worktree add /tmp/before v0.1.0
    python -m benchmarks.compare_versions /tmp/before . [--rounds 9] [--images 1000] [--json F]

Measured are importing samnb, a verified read of an embedding from the disk, a prewarm of images that are all cached, a
click through `Session.predict` on a cached image, and a template applied to cached images, the last two with `tiny`.
Of both states only the public API is used. Before and after take turns, and the order changes each time, so that a busy
moment of the machine hits both; the ratio is the median of the turns' ratios. Beside the wall clock's
seconds stand those of the processor, which other work on the machine disturbs less. About four minutes.

Latency of clicks in a browser: `python -m benchmarks.click_latency`, once in each of the two trees.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results" / "compare_versions.json"
CLOCKS = ("wall", "cpu")
IMPORT = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
import samnb
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""
IMPORTS, READS, CLICKS, APPLIED = 15, 60, 40, 4
SPOTS = ((50, 50), (130, 60), (220, 50), (70, 140), (180, 150))


Found = dict[str, dict[str, dict[str, list[float]]]]


# -- the two sides take turns


def in_tree(tree: Path, *arguments: str) -> str:
    """What a new interpreter prints that imports samnb from there."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=tree).stdout


def compare(old: Path, new: Path, *, rounds: int, images: int) -> Found:
    """Seconds by measure, clock and side, a value for each round."""
    found: Found = {}
    with tempfile.TemporaryDirectory() as folder:
        sides = {"old": (old, Path(folder) / "old"), "new": (new, Path(folder) / "new")}
        for tree, place in sides.values():
            in_tree(tree, __file__, "--prepare", str(place), str(images))
            in_tree(tree, "-c", IMPORT)  # bytecode and disk cache
        for turn in range(rounds):
            for side in ("old", "new") if turn % 2 else ("new", "old"):
                tree, place = sides[side]
                values = {"import samnb": medians([json.loads(in_tree(tree, "-c", IMPORT)) for _ in range(IMPORTS)])}
                values |= json.loads(in_tree(tree, __file__, "--measure", str(place), str(images)).splitlines()[-1])
                for measure, by_clock in values.items():
                    clocks = found.setdefault(measure, {clock: {"old": [], "new": []} for clock in CLOCKS})
                    for clock, seconds in zip(CLOCKS, by_clock, strict=True):
                        clocks[clock][side].append(seconds)
            print(f"turn {turn + 1} of {rounds}", file=sys.stderr)
    return found


def summary(found: Found) -> dict[str, dict[str, dict[str, float]]]:
    """By measure and clock: medians in milliseconds, the ratio new/old, its range over the turns."""
    return {
        measure: {clock: _row(sides["old"], sides["new"]) for clock, sides in clocks.items()}
        for measure, clocks in found.items()
    }


def _row(old: list[float], new: list[float]) -> dict[str, float]:
    ratios = [after / before for before, after in zip(old, new, strict=True)]
    return {
        "old_ms": round(median(old) * 1000, 3),
        "new_ms": round(median(new) * 1000, 3),
        "ratio": round(median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
        "ratio_of_fastest": round(min(new) / min(old), 3),
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


# -- what a process of one side does


def discs(shift: int):
    """(200, 280, 3) uint8: five discs, moved by some pixels."""
    import cv2
    import numpy as np

    pixels = np.full((200, 280, 3), 205, np.uint8)
    pixels[::7] = 195
    for number, (x, y) in enumerate(SPOTS):
        color = (190, 60 + 8 * number, 40) if number % 2 == 0 else (40, 80, 170)
        cv2.circle(pixels, (x + shift % 23, y + shift % 11), 26, color, -1)
    return pixels


def prepare(place: Path, images: int) -> None:
    """Sessions whose images are all cached."""
    import numpy as np

    import samnb
    from samnb.prompts import Embedding

    def small(*_: object) -> Embedding:
        return Embedding({"image_embedding": np.zeros((4, 4, 4), np.float32)}, (8, 8), (384, 384))

    with samnb.Session(place / "many") as session:
        model = session.model
        model.encode, model.encode_prepared = small, lambda batch: [small() for _ in batch]
        session.add([np.full((8, 8, 3), i % 256, np.uint8) + np.uint8([i // 256, 0, 0]) for i in range(images)])
        session.prewarm(show=False).wait()
    with samnb.Session(place / "discs") as session:
        records = session.add([discs(shift) for shift in range(APPLIED)]).images
        session.prewarm(show=False).wait()
        session.accept(session.predict(records[0], points=[SPOTS[0]]), category="disc")
        session.template("discs")


def measure(place: Path, images: int) -> dict[str, list[float]]:
    """Seconds of each piece of work by clock; the first of several repetitions warms up."""
    import samnb

    found = {}
    entry = max((place / "discs" / "embeddings").glob("??/??/*.safetensors"))
    cache = samnb.EmbeddingCache(place / "discs" / "embeddings", memory_bytes=0)
    found["disk hit, verified"] = repeated(lambda: expect(cache.get(entry.stem) is not None), READS)
    with samnb.Session(place / "many") as session:
        job = f"prewarm of {images:,} cached"
        found[job] = repeated(lambda: expect(list(session.prewarm_stream())[-1]["skipped"] == images), 3)
    with samnb.Session(place / "discs") as session:
        image, *_ = session.images()
        found["click on a cached image"] = repeated(
            lambda: expect(session.predict(image, points=[SPOTS[2]]).cache_hit), CLICKS
        )
        found[f"apply to {APPLIED} cached"] = repeated(
            lambda: expect(list(session.apply_stream("discs"))[-1]["computed"] == APPLIED),
            2,
            before=lambda: session.undo_apply("discs"),
        )
    return found


def repeated(work: Callable[[], object], times: int, *, before: Callable[[], object] = lambda: None) -> list[float]:
    """Median seconds of the work by clock, done once more at first."""
    seconds = []
    for _ in range(times + 1):
        before()
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        seconds.append([time.perf_counter() - wall, time.process_time() - cpu])
    return medians(seconds[1:])


def medians(seconds: list[list[float]]) -> list[float]:
    """Of each clock."""
    return [median(clock) for clock in zip(*seconds, strict=True)]


def expect(true: bool) -> None:
    """Nobody measures work that was not done."""
    if not true:
        raise SystemExit("the work was not what is to be measured")


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["--prepare"]:
        return prepare(Path(given[1]), int(given[2]))
    if given[:1] == ["--measure"]:
        return print(json.dumps(measure(Path(given[1]), int(given[2]))))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="a tree with the package samnb in it")
    parser.add_argument("new", type=Path, help="another")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=1000, help="of the cached prewarm")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args(given)
    before = os.getloadavg()[0]
    found = compare(options.old.resolve(), options.new.resolve(), rounds=options.rounds, images=options.images)
    rows = summary(found)
    machine = {"processor": processor(), "cores": os.cpu_count(), "load": [before, os.getloadavg()[0]]}
    print(f"{machine['processor']}, {machine['cores']} cores, load {before:.1f} before")
    print(f"{'':<34}{'old':>11}{'new':>11}{'new/old':>9}  over the turns   of the fastest")
    for name, clocks in rows.items():
        for clock, row in clocks.items():
            print(
                f"{name if clock == 'wall' else '':<28}{clock:<6}{row['old_ms']:>8,.1f} ms{row['new_ms']:>8,.1f} ms"
                f"{row['ratio']:>9.2f}  {row['lowest']:.2f} to {row['highest']:.2f}{row['ratio_of_fastest']:>15.2f}"
            )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": machine, "measures": rows, "seconds": found}, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
