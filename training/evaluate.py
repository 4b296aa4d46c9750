"""How well weights do on scenes they never saw: mean IoU by kind of scene, for one click, three clicks and a box.

``python -m training.evaluate --weights run/tiny.safetensors`` renders scenes with seeds that training never uses.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from samnb.models import tiny
from training.generator import KINDS, render_scene
from training.losses import next_clicks, total_loss
from training.samples import Batch, draw_box, draw_objects, normalise
from training.train import Prompts, decode, first_prompts

UNSEEN = 10_000_000
"""First seed of the scenes used here."""


def unseen_batch(kind: str, index: int, objects: int) -> Batch | None:
    """Render one unseen scene at the shipped size with up to `objects` clicks and boxes; None where it holds none."""
    rng = np.random.default_rng([3, index])
    scene = render_scene(UNSEEN + index, kind=kind)
    size = (tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    labels = cv2.resize(np.stack([scene.whole, scene.part * 0], -1), size, interpolation=cv2.INTER_NEAREST)
    chosen = draw_objects(rng, labels, objects)
    if not chosen:
        return None
    pixels = np.asarray(cv2.resize(scene.pixels, size, interpolation=cv2.INTER_AREA))
    half = (tiny.IMAGE_SIZE // 2, tiny.IMAGE_SIZE // 2)
    targets = np.stack([cv2.resize(m.astype(np.float32), half, interpolation=cv2.INTER_AREA) for m, _ in chosen])
    clicks = np.array([click for _, click in chosen], np.float32)
    boxes = np.stack([draw_box(rng, mask) for mask, _ in chosen]).astype(np.float32)
    images = torch.from_numpy(normalise(pixels, tiny.IMAGE_SIZE))[None]
    return Batch(images, torch.from_numpy(targets), torch.from_numpy(clicks), torch.from_numpy(boxes), (0.0, 0.0))


@torch.inference_mode()
def evaluate(weights: Path | None, scenes: int, objects: int = 6) -> dict[str, dict[str, float]]:
    """Measure every kind of scene: `scored` and `best` after one click, `third` after three, `box`, `score_error`.

    Without `weights` a fresh net is measured: what chance gives.
    """
    sam = tiny.build_sam(weights)
    table = {}
    for kind in KINDS:
        rows = []
        for index in range(scenes):
            batch = unseen_batch(kind, index, objects)
            if batch is not None:
                rows.append(_measure(sam, batch))
        table[kind] = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return table


def _measure(sam: Any, batch: Batch) -> dict[str, float]:
    embeddings = sam.image_encoder(batch.images)
    prompts, answers = first_prompts(batch, 1.0), []
    for _ in range(3):
        logits, scores = decode(sam, embeddings, prompts, half=False)
        answers.append(total_loss(logits, scores, batch.targets)[1])
        shown = logits[torch.arange(len(logits)), scores[:, 1:].argmax(1) + 1]
        prompts = prompts.with_clicks(*next_clicks(shown, batch.targets), shown[:, None])
    boxed = total_loss(*decode(sam, embeddings, Prompts(None, batch.boxes), half=False), batch.targets)[1]
    first = answers[0]
    return {
        "scored": first["scored"],
        "best": first["best"],
        "third": answers[2]["scored"],
        "box": boxed["scored"],
        "score_error": first["score_error"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=tiny.WEIGHTS)
    parser.add_argument("--scenes", type=int, default=20, help="scenes of each kind")
    arguments = parser.parse_args()
    for kind, row in evaluate(arguments.weights, arguments.scenes).items():
        print(kind, {name: round(value, 3) for name, value in row.items()})


if __name__ == "__main__":
    main()
