"""A template from three clicked coins, applied to the demo's six pictures: found, missed, false. Trained `tiny`.

    python -m benchmarks.template_coins

A coin counts as found when a kept mask has an IoU of at least 0.7 with it; a kept mask is false when it has
less than 0.5 with every coin. Coins cut by the picture's edge are neither asked for nor counted as false.
The limits were chosen while looking at these very pictures, so this is a check of the code, not of the method.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from samnb.demo import CLICKED, COIN_CROPS, COIN_POINTS
from samnb.masks import mask_iou
from samnb.models import load_model
from samnb.prompts import Prompt
from samnb.templates import CategoryExamples, make_template
from samnb.templates.features import make_example
from samnb.templates.strategies import find_objects

TRUTH = Path(__file__).resolve().parent.parent / "tests" / "data" / "coins" / "coins_masks.png"


def main() -> None:
    """Print one line a picture and the totals."""
    model = load_model("tiny")
    sheet, truth = np.stack([skimage.data.coins()] * 3, axis=2), np.asarray(Image.open(TRUTH))
    scenes = {
        name: (model.encode(np.ascontiguousarray(sheet[y0:y1, x0:x1])), truth[y0:y1, x0:x1])
        for name, (x0, y0, x1, y1) in COIN_CROPS.items()
    }
    embedding, _ = scenes[Path(CLICKED).name]
    prompts = [Prompt.of(points=[point]) for point in COIN_POINTS]
    examples = tuple(make_example("0" * 64, p, model.decode(embedding, p).mask, embedding) for p in prompts)
    template = make_template("coins", "match_all", [CategoryExamples("coin", examples)], model=model.fingerprint)
    totals = np.zeros(4, int)
    started = time.perf_counter()
    for name, (embedding, labels) in scenes.items():
        masks = [match.mask for match in find_objects(template, embedding, model.decode)]
        whole, every = coins_of(labels, truth)
        found = sum(any(mask_iou(mask, coin) >= 0.7 for mask in masks) for coin in whole)
        false = sum(all(mask_iou(mask, coin) < 0.5 for coin in every) for mask in masks)
        totals += (found, len(whole), false, len(masks))
        print(f"{name}: found {found} of {len(whole)}, false {false} of {len(masks)} kept")
    seconds = time.perf_counter() - started
    print(f"all: found {totals[0]} of {totals[1]} ({totals[0] / totals[1]:.0%}), false {totals[2]} of {totals[3]}")
    print(f"{seconds / len(scenes):.2f} s a picture, from cached embeddings")


def coins_of(
    labels: NDArray[np.uint8], truth: NDArray[np.uint8]
) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]]:
    """Masks of the coins that are whole in a window, and of all that reach into it."""
    every = {number: labels == number for number in np.unique(labels) if number}
    whole = [mask for number, mask in every.items() if mask.sum() >= 0.95 * (truth == number).sum()]
    return whole, list(every.values())


if __name__ == "__main__":
    main()
