"""Render scenes into a folder of shards that training can map into memory.

A folder holds ``pixels-00000.npy`` (N, S, S, 3) uint8 and ``labels-00000.npy`` (N, S, S, 2) uint16 (whole, part) and so
on; a shard appears under its name only when it is whole, so training may start while later shards are still rendered,
and a second run goes on where the first stopped.

Run as ``python -m training.render --out FOLDER --scenes 2400``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from training.generator import SIZE, render_scene
from training.pictures import Pictures

SHARD = 100


def render_shard(
    folder: Path,
    index: int,
    count: int = SHARD,
    size: int = SIZE,
    pictures: Pictures | None = None,
    kinds: Sequence[str] = (),
) -> None:
    """Render scenes ``index * SHARD`` onward into one shard, unless it is there already; of `kinds` in turn, if any."""
    target = folder / f"pixels-{index:05d}.npy"
    if target.exists():
        return
    drawn = [kinds[i % len(kinds)] if kinds else None for i in range(count)]
    scenes = [render_scene(index * SHARD + i, size, kind, pictures) for i, kind in enumerate(drawn)]
    _save(folder / f"labels-{index:05d}.npy", np.stack([np.stack([s.whole, s.part], -1) for s in scenes]))
    _save(target, np.stack([scene.pixels for scene in scenes]))


def _save(path: Path, array: np.ndarray) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, array)
    os.replace(partial, path)


def load_shards(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Map every finished shard: a list of (pixels, labels), in order."""
    shards = []
    for pixels in sorted(folder.glob("pixels-*.npy")):
        labels = pixels.with_name(pixels.name.replace("pixels", "labels"))
        shards.append((np.load(pixels, mmap_mode="r"), np.load(labels, mmap_mode="r")))
    return shards


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=2400)
    parser.add_argument("--pictures", type=Path, help="folder made by training.pictures; without it, formulas only")
    parser.add_argument("--first", type=int, default=0, help="number of the first scene, a multiple of 100")
    parser.add_argument("--kinds", nargs="*", default=[], help="only these kinds, in turn")
    parser.add_argument("--worker", default="0/1", help="i/n: render every n-th shard, beginning with the i-th")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    first, step = (int(v) for v in arguments.worker.split("/"))
    pictures = Pictures(arguments.pictures) if arguments.pictures else None
    start = arguments.first // SHARD
    for index in range(start + first, start + arguments.scenes // SHARD, step):
        render_shard(arguments.out, index, pictures=pictures, kinds=arguments.kinds)
        print(f"shard {index}", flush=True)


if __name__ == "__main__":
    main()
