"""How fast another state of samnb is beside this one: the same work, in turns, each turn in processes of its own.

    git worktree add /tmp/before v0.1.0
    python -m benchmarks.compare_versions /tmp/before . [--rounds 9] [--images 1000] [--checkpoint F] [--json F]
    python -m benchmarks.compare_versions /tmp/before . --rounds 3 --jpegs 30 --checkpoint F

Measured are importing samnb, a verified read of an embedding from the disk, a prewarm of images that are all cached, a
click through `Session.predict` on a cached image, a template applied to cached images, both with `tiny`, the intake of
new files, and a COCO export of 10,000 annotations. Where the two states ship other weights of `tiny`, `--checkpoint`
gives both the same. Of both states only the public API is used. A process of each state runs at the same time, and they
take turns at single calls, so that a busy moment of the machine hits both; a round has two new processes, because
processes differ too. The ratio is the median over all pairs of calls, the range is that of the rounds' medians. Beside
the wall clock's seconds stand those without the calls of fsync, where there are any, since waiting for the disk is what
durable work costs, and those of the processor, which other work on the machine disturbs less. SQLite's own waiting for
the disk is not told apart. Five minutes.

With `--jpegs`, nothing but a prewarm of so many JPEG files of 12 megapixels, of which nothing is stored, with and
without ``DOWNSCALE_MAX=1024``; and afterwards, how far the embeddings of the two states, made without it, are apart.

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
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results" / "compare_versions.json"
CLOCKS = ("wall", "no fsync", "cpu")
IMPORT = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
import samnb
wall = time.perf_counter() - wall
print(json.dumps([wall, wall, time.process_time() - cpu]))
"""
IMPORTS, APPLIED, EACH = 15, 2, 50
REPEATS = {"JPEGs": 3, "disk hit, verified": 60, "prewarm": 6, "click": 25, "apply": 4, "intake": 3, "export": 3}
"""Pairs of calls in a round, by the first words of the measure; one more at first warms up."""

JPEGS = "jpegs"
"""The folder of those pictures, and of each side's session of them."""

SPOTS = ((50, 50), (130, 60), (220, 50), (70, 140), (180, 150))


Seconds = list[float]
"""Of a call, by `CLOCKS`."""

Found = dict[str, list[list[tuple[Seconds, Seconds]]]]
"""By measure: for each round the pairs of calls, old and new."""


# -- the two sides take turns


def in_tree(tree: Path, *arguments: str) -> str:
    """What a new interpreter prints that imports samnb from there."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=tree).stdout


class Side:
    """A process of one state that waits to be told what to time."""

    def __init__(self, tree: Path, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        command = [sys.executable, __file__, "--serve", *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, env=environment, text=True, cwd=tree, **pipes)
        self.measures: list[str] = self._read()

    def call(self, measure: str) -> Seconds:
        """Seconds of one call."""
        assert self._process.stdin is not None
        print(measure, file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _read(self):
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a measuring process ended with status {self._process.wait()}")
        return json.loads(line)


def compare(old: Path, new: Path, *, rounds: int, images: int, jpegs: int = 0, checkpoint: str = "") -> Found:
    """Seconds of every pair of calls."""
    found: Found = {}
    with tempfile.TemporaryDirectory() as folder:
        trees = [old, new]
        if jpegs:
            from .prewarm import make_pictures

            make_pictures(Path(folder) / JPEGS, jpegs)
        places = [(str(Path(folder) / name), str(images), checkpoint) for name in ("old", "new")]
        for tree, place in zip(trees, places, strict=True):
            in_tree(tree, __file__, "--prepare", *place)
            in_tree(tree, "-c", IMPORT)  # bytecode and disk cache
        for number in range(rounds):
            if not jpegs:
                imports = [lambda tree=tree: json.loads(in_tree(tree, "-c", IMPORT)) for tree in trees]
                found.setdefault("import samnb", []).append(in_turns(imports, IMPORTS))
            sides = [Side(tree, *place) for tree, place in zip(trees, places, strict=True)]
            for measure in sides[0].measures:
                times = next(times for words, times in REPEATS.items() if measure.startswith(words))
                calls = [lambda side=side, measure=measure: side.call(measure) for side in sides]
                found.setdefault(measure, []).append(in_turns(calls, times))
            for side in sides:
                side.close()
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
        if jpegs:
            print(f"embeddings apart by at most {apart(*(Path(place[0]) for place in places)):g}")
    return found


def apart(old: Path, new: Path) -> float:
    """The largest difference between embeddings of the same key; all tensors that the old state has are in the new."""
    import numpy as np
    from safetensors.numpy import load_file

    files = sorted((old / JPEGS / "embeddings").glob("??/??/*.safetensors"))
    expect(files)
    largest = 0.0
    for file in files:
        before, after = (load_file(place / file.relative_to(old)) for place in (old, new))
        for name, values in before.items():
            largest = max(largest, float(np.abs(values.astype(np.float32) - after[name].astype(np.float32)).max()))
    return largest


def in_turns(calls: Sequence[Callable[[], Seconds]], times: int) -> list[tuple[Seconds, Seconds]]:
    """Pairs of what two calls return, every other one made by the second call first; the first pair is left out."""
    pairs = []
    for number in range(times + 1):
        order = (0, 1) if number % 2 else (1, 0)
        pair = {which: calls[which]() for which in order}
        pairs.append((pair[0], pair[1]))
    return pairs[1:]


def summary(found: Found) -> dict[str, dict[str, dict[str, float]]]:
    """By measure and clock: medians in milliseconds, the ratio new/old, its range over the rounds."""
    return {
        measure: {clock: _row([[(a[i], b[i]) for a, b in pairs] for pairs in rounds]) for i, clock in enumerate(CLOCKS)}
        for measure, rounds in found.items()
    }


def _row(rounds: list[list[tuple[float, float]]]) -> dict[str, float]:
    old, new = zip(*(pair for pairs in rounds for pair in pairs), strict=True)
    ratios = [[after / before for before, after in pairs] for pairs in rounds]
    by_round = [median(values) for values in ratios]
    return {
        "old_ms": round(median(old) * 1000, 3),
        "new_ms": round(median(new) * 1000, 3),
        "ratio": round(median([ratio for values in ratios for ratio in values]), 3),
        "lowest": round(min(by_round), 3),
        "highest": round(max(by_round), 3),
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


def opened(folder: Path, checkpoint: str):
    """The session of that folder."""
    import samnb

    return samnb.Session(folder, **({"checkpoint": checkpoint} if checkpoint else {}))


def prepare(place: Path, images: int, checkpoint: str) -> None:
    """Sessions whose images are all cached, files to take in, and a session with many annotations."""
    import numpy as np
    from PIL import Image

    from samnb.prompts import Embedding

    if (place.parent / JPEGS).exists():
        with opened(place / JPEGS, checkpoint) as session:
            session.add(place.parent / JPEGS)
        return

    def small(*_: object) -> Embedding:
        return Embedding({"image_embedding": np.zeros((4, 4, 4), np.float32)}, (8, 8), (384, 384))

    with opened(place / "many", checkpoint) as session:
        model = session.model
        model.encode, model.encode_prepared = small, lambda batch: [small() for _ in batch]
        session.add([np.full((8, 8, 3), i % 256, np.uint8) + np.uint8([i // 256, 0, 0]) for i in range(images)])
        session.prewarm(show=False).wait()
    with opened(place / "discs", checkpoint) as session:
        records = session.add([discs(shift) for shift in range(APPLIED)]).images
        session.prewarm(show=False).wait()
        session.accept(session.predict(records[0], points=[SPOTS[0]]), category="disc")
        session.template("discs")
    (place / "files").mkdir()
    for number in range(images // 5):
        pixels = discs(number)
        pixels[0, 0] = number
        Image.fromarray(pixels).save(place / "files" / f"{number:03}.png")
    (place / "annotated.json").write_text(json.dumps(coco(images // 5)))
    with opened(place / "annotated", checkpoint) as session:
        session.import_("coco", place / "annotated.json", images=place / "files")


def coco(pictures: int) -> dict[str, object]:
    """A COCO file with `EACH` polygons on each picture."""
    sides = {"height": 200, "width": 280}
    images = [{"id": number, "file_name": f"{number:03}.png", **sides} for number in range(pictures)]
    ring = [0, 4, 6, 0, 14, 2, 16, 9, 9, 15, 2, 11]
    places = [(each % 10 * 26, each // 10 * 18) for each in range(EACH)]
    annotations = [
        {
            "id": number * EACH + each,
            "image_id": number,
            "category_id": 1 + each % 3,
            "segmentation": [[value + (x, y)[place % 2] + number % 5 for place, value in enumerate(ring)]],
        }
        for number in range(pictures)
        for each, (x, y) in enumerate(places)
    ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": f"c{number}"} for number in (1, 2, 3)],
    }


class Clocks:
    """Seconds since it was made, by `CLOCKS`."""

    waited = 0.0
    """Of this process in fsync so far."""

    def __init__(self) -> None:
        self._wall, self._cpu, self._waited = time.perf_counter(), time.process_time(), Clocks.waited

    def read(self) -> Seconds:
        """Now."""
        wall = time.perf_counter() - self._wall
        return [wall, wall - (Clocks.waited - self._waited), time.process_time() - self._cpu]


def watch_fsync() -> None:
    """Count in `Clocks.waited` what this process waits in fsync."""
    original = os.fsync

    def fsync(file) -> None:
        began = time.perf_counter()
        try:
            original(file)
        finally:
            Clocks.waited += time.perf_counter() - began

    os.fsync = fsync


def take_in(place: Path, files: int, checkpoint: str) -> tuple[Seconds, bool]:
    """A session that knows nothing takes files in; seconds of `Session.add`, and whether all are there."""
    with tempfile.TemporaryDirectory(dir=place) as folder, opened(Path(folder) / "s", checkpoint) as session:
        clocks = Clocks()
        report = session.add(place / "files")
        return clocks.read(), report.added == files


def serve_jpegs(place: Path, checkpoint: str) -> None:
    """As `serve`, of prewarms of large pictures."""
    limits = {"JPEGs, DOWNSCALE_MAX=1024": "1024", "JPEGs": ""}  # the last one's embeddings are left
    sessions = {}
    for measure, os.environ["DOWNSCALE_MAX"] in limits.items():
        sessions[measure] = opened(place / JPEGS, checkpoint)
    pictures = len(sessions["JPEGs"].images())
    print(json.dumps(list(limits)), flush=True)
    for line in sys.stdin:
        session = sessions[line.strip()]
        for entry in (place / JPEGS / "embeddings").glob("??/??/*.safetensors"):
            session.cache.remove(entry.stem)
        clocks = Clocks()
        last = list(session.prewarm_stream())[-1]
        seconds = clocks.read()
        expect(last["computed"] == pictures)
        print(json.dumps(seconds), flush=True)


def serve(place: Path, images: int, checkpoint: str) -> None:
    """Print the measures, then the seconds of one call for each measure that is read."""
    import samnb

    watch_fsync()
    if (place / JPEGS).exists():
        return serve_jpegs(place, checkpoint)
    entry = max((place / "discs" / "embeddings").glob("??/??/*.safetensors"))
    cache = samnb.EmbeddingCache(place / "discs" / "embeddings", memory_bytes=0)
    with (
        opened(place / "many", checkpoint) as many,
        opened(place / "discs", checkpoint) as discs,
        opened(place / "annotated", checkpoint) as annotated,
    ):
        image, *_ = discs.images()
        files = images // 5
        apply, intake = f"apply to {APPLIED} cached", f"intake of {files} files"
        calls = {
            "disk hit, verified": lambda: cache.get(entry.stem) is not None,
            f"prewarm of {images:,} cached": lambda: list(many.prewarm_stream())[-1]["skipped"] == images,
            "click on a cached image": lambda: discs.predict(image, points=[SPOTS[2]]).cache_hit,
            apply: lambda: list(discs.apply_stream("discs"))[-1]["computed"] == APPLIED,
            intake: lambda: take_in(place, files, checkpoint),
            f"export of {files * EACH:,} annotations": lambda: annotated.export("coco", place / "out.json"),
        }
        print(json.dumps(list(calls)), flush=True)
        for line in sys.stdin:
            measure = line.strip()
            if measure == apply:
                discs.undo_apply("discs")
            clocks = Clocks()
            done = calls[measure]()
            seconds = clocks.read()
            if measure == intake:  # opening its session is not measured
                seconds, done = done
            expect(done)
            print(json.dumps(seconds), flush=True)
    return None


def expect(true: object) -> None:
    """Nobody measures work that was not done."""
    if not true:
        raise SystemExit("the work was not what is to be measured")


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["--prepare"]:
        return prepare(Path(given[1]), int(given[2]), given[3])
    if given[:1] == ["--serve"]:
        return serve(Path(given[1]), int(given[2]), given[3])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="a tree with the package samnb in it")
    parser.add_argument("new", type=Path, help="another")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1000, help="of the cached prewarm")
    parser.add_argument("--jpegs", type=int, default=0, help="measure only a prewarm of so many large JPEG files")
    parser.add_argument("--checkpoint", type=Path, help="weights of tiny that both states can open")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args(given)
    before = os.getloadavg()[0]
    checkpoint = "" if options.checkpoint is None else str(options.checkpoint.resolve())
    found = compare(
        *(options.old.resolve(), options.new.resolve()),
        rounds=options.rounds,
        images=options.images,
        jpegs=options.jpegs,
        checkpoint=checkpoint,
    )
    rows = summary(found)
    machine = {"processor": processor(), "cores": os.cpu_count(), "load": [before, os.getloadavg()[0]]}
    print(f"{machine['processor']}, {machine['cores']} cores, load {before:.1f} before")
    print(f"{'':<37}{'old':>11}{'new':>11}{'new/old':>9}  over the rounds")
    for name, clocks in rows.items():
        for clock, row in clocks.items():
            if clock == "no fsync" and row == clocks["wall"]:
                continue
            print(
                f"{name if clock == 'wall' else '':<28}{clock:<9}{row['old_ms']:>8,.1f} ms{row['new_ms']:>8,.1f} ms"
                f"{row['ratio']:>9.2f}  {row['lowest']:.2f} to {row['highest']:.2f}"
            )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": machine, "measures": rows, "seconds": found}, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
