"""Is each idea in the net worth its place? Trains every variant for the same steps on the same batches.

``python -m training.compare --scenes FOLDER --steps 400`` prints a table and writes it to
``benchmarks/results/variants.json``.
Every batch is new to the net when it comes, so the mean over the last quarter of the steps measures what was learned.
Short runs on 128-pixel crops tell what learns fast, not what is best after hours.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from samnb.models import tiny
from training.samples import Samples
from training.train import batch_loss, learning_rate, make_optimizer
from training.variants import VARIANTS, at_stride

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "variants.json"


def train_variant(name: str, samples: Samples, steps: int, *, half: bool = False, seed: int = 0) -> dict[str, float]:
    """Train one variant from chance.

    Returns
    -------
    dict
        `best`, `scored`, `third` (mean IoU of best of three, by score, after three clicks) over the last quarter of the
        steps; `parameters` in millions; `step_ms`, `encode_ms` and `decode_ms` (medians, at the shipped size).
    """
    make, stride = VARIANTS[name]
    torch.manual_seed(seed)
    with at_stride(stride):
        sam = make().train()
        optimizer = make_optimizer(sam)
        rows, times = [], []
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, step / steps)
            start = time.perf_counter()
            # A third of the steps has three rounds, the others one: the same steps for every variant.
            chances = [0.5, 0.0 if step % 3 == 0 else 0.9, 0.0]
            loss, figures = batch_loss(sam, samples.batch(step), chances, half)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(sam.parameters(), 1.0)
            optimizer.step()
            times.append(time.perf_counter() - start)
            rows.append(figures)
        last = rows[-max(steps // 4, 1) :]
        means = {key: float(np.mean([row[key] for row in last if key in row])) for key in ("best", "scored", "best_3")}
        return {
            "best": means["best"],
            "scored": means["scored"],
            "third": means["best_3"],
            "parameters": sum(p.numel() for p in sam.parameters()) / 1e6,
            "step_ms": float(np.median(times)) * 1e3,
            **_times(sam.eval(), stride),
        }


@torch.inference_mode()
def _times(sam: Any, stride: int, repeats: int = 7) -> dict[str, float]:
    pixels = torch.zeros(1, 3, tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    sam.prompt_encoder.image_embedding_size = (tiny.IMAGE_SIZE // stride,) * 2
    sam.prompt_encoder.origin = (0.0, 0.0)
    click = torch.full((1, 1, 2), 100.0), torch.ones(1, 1)
    encode, decode = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        embedding = sam.image_encoder(pixels)
        middle = time.perf_counter()
        sparse, dense = sam.prompt_encoder(click, None, None)
        sam.mask_decoder.predict_masks(embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense)
        encode.append(middle - start)
        decode.append(time.perf_counter() - middle)
    return {"encode_ms": float(np.median(encode)) * 1e3, "decode_ms": float(np.median(decode)) * 1e3}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    samples = Samples(arguments.scenes, "crops", 0)
    table = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    for name in arguments.only:
        row = train_variant(name, samples, arguments.steps, half=arguments.half)
        table[name] = {"steps": arguments.steps, **{key: round(value, 4) for key, value in row.items()}}
        print(f"{name:<14}", "  ".join(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
