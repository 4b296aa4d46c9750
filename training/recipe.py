"""The whole recipe in one command: render scenes, train, and say what it brought.

``make train MINUTES=5``, or ``python -m training.recipe --minutes 5 --out training-run``. The fresh model and the
trained one are measured on scenes that training never saw, so even five minutes show whether it learns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from training.report import write_report

SCENES_PER_MINUTE, FEWEST, MOST = 40, 100, 4000
"""More scenes than a short run can look at would only cost rendering time."""


def scene_count(minutes: float) -> int:
    """Scenes to render for a run of so many minutes, in whole shards."""
    return 100 * max(round(min(max(minutes * SCENES_PER_MINUTE, FEWEST), MOST) / 100), 1)


def run(minutes: float, out: Path, pictures: Path | None, more: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Render, train, measure; returns the figures of `training.evaluate` under "before" and "after"."""
    from training.evaluate import evaluate

    scenes = out / "scenes"
    render = ["training.render", "--out", str(scenes), "--scenes", str(scene_count(minutes))]
    _run(render + (["--pictures", str(pictures)] if pictures else []))
    _run(["training.train", "--scenes", str(scenes), "--out", str(out), "--minutes", str(minutes), *more])
    figures = {"before": evaluate(None, scenes=3), "after": evaluate(out / "tiny.safetensors", scenes=3)}
    for kind, row in figures["after"].items():
        was = figures["before"][kind]["best"]
        print(f"{kind:<10} best of three, one click: {was:.3f} before, {row['best']:.3f} after")
    return figures


def _run(module: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *module], check=False)
    if done.returncode:
        raise SystemExit(f"python -m {' '.join(module)}: ended with status {done.returncode}")


def main() -> None:
    """Command line; options it does not know go to `training.train`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--out", type=Path, default=Path("training-run"))
    parser.add_argument("--pictures", type=Path, help="folder made by training.pictures")
    arguments, more = parser.parse_known_args()
    run(arguments.minutes, arguments.out, arguments.pictures, more)
    print(f"report: {write_report(arguments.out)}")


if __name__ == "__main__":
    main()
