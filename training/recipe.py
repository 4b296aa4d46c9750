"""The whole recipe in one command: render scenes, compute the backbone's maps, train, and say what it brought.

``python -m training.recipe --minutes 5 --out training-run`` begins a fresh net. ``--real`` names a folder of real
pictures with masks (training/README.md says where they come from); without it scenes alone are trained on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from training.feature_cache import published_weights

SCENES_PER_MINUTE, FEWEST, MOST = 40, 100, 4000
"""More scenes than a short run can look at would only cost rendering time."""


def scene_count(minutes: float) -> int:
    """Scenes to render for a run of so many minutes, in whole shards."""
    return 100 * max(round(min(max(minutes * SCENES_PER_MINUTE, FEWEST), MOST) / 100), 1)


def run(minutes: float, out: Path, pictures: Path | None, real: Path | None, more: list[str]) -> dict[str, float]:
    """Render, compute maps, train; returns the last line of figures."""
    weights = published_weights()
    for given, what in ((pictures, "pasted scenes (--pictures)"), (real, "real pictures with masks (--real)")):
        if given is None:
            print(f"Without {what}: see training/README.md for where they come from.", flush=True)
    scenes, cache = out / "scenes", out / "cache"
    _run("training.render", "--out", scenes, "--scenes", scene_count(minutes), *_option("--pictures", pictures))
    _run("training.feature_cache", "--backbone", weights, "--out", cache, "--scenes", scenes, *_option("--real", real))
    _run("training.train", "--backbone", weights, "--cache", cache, "--out", out, "--minutes", minutes, *more)
    lines = [json.loads(line) for line in (out / "progress.jsonl").read_text().splitlines()]
    first, last = lines[0], lines[-1]
    print(f"best of three, one click, in training: {first['best']:.3f} at first, {last['best']:.3f} at last")
    return dict(last)


def _option(name: str, value: Path | None) -> list[object]:
    return [] if value is None else [name, value]


def _run(module: str, *arguments: object) -> None:
    done = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=False)
    if done.returncode:
        raise SystemExit(f"python -m {module}: ended with status {done.returncode}")


def main() -> None:
    """Command line; options it does not know go to `training.train`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--out", type=Path, default=Path("training-run"))
    parser.add_argument("--pictures", type=Path, help="folder made by training.pictures")
    parser.add_argument("--real", type=Path, help="folder of sources with images/ and labels/")
    arguments, more = parser.parse_known_args()
    run(arguments.minutes, arguments.out, arguments.pictures, arguments.real, more)


if __name__ == "__main__":
    main()
