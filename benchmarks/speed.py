"""How long a picture of one megapixel takes to encode, and a click on it to decode: tiny beside vit_b.

`tiny_earlier` is the net that shipped until version 0.2.

    python -m benchmarks.speed [--rounds 5] [--checkpoint sam_vit_b_01ec64.pth] [--no-vit-b] [--json F]

Models alternate within one run. Without a checkpoint vit_b has random weights: the work is the same. Keep the machine
quiet, or read the ratios only.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from samnb.models import Model, load_model
from samnb.prompts import Prompt

RESULTS = Path(__file__).parent / "results" / "speed.json"
EARLIER = Path(__file__).parents[1] / "training" / "earlier_weights" / "tiny.safetensors"
CLICKS = 9


def picture() -> np.ndarray:
    """The astronaut, enlarged to (1000, 1000, 3) uint8."""
    import cv2
    from skimage import data

    return np.asarray(cv2.resize(data.astronaut(), (1000, 1000)))


def measure(models: dict[str, Model], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds to encode and to decode, median and fastest, of each model; the first round warms up."""
    pixels = picture()
    click = Prompt.of(points=[(430, 300)])
    times: dict[str, dict[str, list[float]]] = {name: {"encode_ms": [], "decode_ms": []} for name in models}
    for turn in range(rounds + 1):
        for name, model in models.items():
            start = time.perf_counter()
            embedding = model.encode(pixels)
            encoded = time.perf_counter() - start
            decoded = []
            for _ in range(CLICKS):
                start = time.perf_counter()
                model.decode(embedding, click)
                decoded.append(time.perf_counter() - start)
            if turn:
                times[name]["encode_ms"].append(encoded * 1e3)
                times[name]["decode_ms"] += [seconds * 1e3 for seconds in decoded]
    return {
        name: {key: round(median(values), 1) for key, values in row.items()}
        | {f"fastest_{key}": round(min(values), 1) for key, values in row.items()}
        for name, row in times.items()
    }


def random_vit_b(folder: Path) -> Path:
    """Write a vit_b of random weights."""
    import torch

    from samnb.models.sam.reference import import_segment_anything

    torch.manual_seed(0)
    path = folder / "random_vit_b.pth"
    torch.save(import_segment_anything().sam_model_registry["vit_b"]().state_dict(), path)
    return path


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--checkpoint", type=Path, help="of vit_b; random weights without it")
    parser.add_argument("--no-vit-b", action="store_true", help="tiny alone: seconds instead of minutes")
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    models = {
        "tiny": load_model("tiny", device="cpu"),
        "tiny_earlier": load_model("tiny", checkpoint=EARLIER, device="cpu"),
    }
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.no_vit_b:
            checkpoint = arguments.checkpoint or random_vit_b(Path(folder))
            models["vit_b"] = load_model("vit_b", checkpoint=checkpoint, device="cpu")
        figures = measure(models, arguments.rounds)
    for name, row in figures.items():
        print(f"{name:<10}", "  ".join(f"{key} {value:,.1f}" for key, value in row.items()))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
