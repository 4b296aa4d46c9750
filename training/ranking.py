"""Choose how candidate masks are ranked: what `ranked` in ``samnb/models/tiny/decoder.py`` adds up.

``python -m training.ranking WEIGHTS --real real_masks`` clicks once on objects of the pictures that training keeps
aside, and of rendered scenes with seeds of their own, and prints the weights whose choice has the highest mean IoU over
all these sets. With ``--test`` the evaluation set is printed beside them; it must not be used to choose.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluate_model import load_sets
from benchmarks.evaluation_set import SETS
from samnb.evaluation.cases import Case
from samnb.masks import mask_iou
from samnb.masks.clicks import first_click
from samnb.models.tiny.decoder import Decoder, middleness, stability
from samnb.prompts import Embedding, Prompt
from training.click_table import open_model, real_cases
from training.generator import render_scene

FIRST_SEED = 90_000
"""Of the scenes; training renders seeds below it."""

SCENE_KINDS = ("letters", "cells", "nuclei", "leaves", "products", "discs")
GRID = ((0, 0.5, 1), (0, 0.5, 1, 2), (0, 0.25, 0.5), (0, 0.03, 0.06), (0, 0.2, 0.4, 0.8, 1.2))
"""Weights to try of each of `ranking_terms`."""

Table = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Of each set: IoUs (N, 3) of the candidates, and their terms (N, 5, 3)."""


def scene_cases(kind: str, count: int) -> Iterator[Case]:
    """A whole and a part of each of `count` scenes."""
    rng = np.random.default_rng([12, len(kind)])
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        scene = render_scene(seed, kind=kind)
        for labels in (scene.whole, scene.part):
            numbers, areas = np.unique(labels, return_counts=True)
            fit = numbers[(numbers > 0) & (areas > 60) & (areas < 0.6 * labels.size)]
            if len(fit):
                number = int(rng.choice(fit))
                yield Case(f"{kind} {seed}", scene.pixels, labels == number, str(number), kind)


def ranking_terms(
    masks: NDArray[np.float32], estimates: NDArray[np.float32], single: NDArray[np.float32], click: tuple[int, int]
) -> NDArray[np.float32]:
    """(5, N): of each mask its estimated IoU, stability, agreement with the single answer, smallness, middleness."""
    halved = masks[:, ::2, ::2] > 0
    common = (halved & (single > 0)).sum((1, 2))
    agreement = common / np.maximum((halved | (single > 0)).sum((1, 2)), 1)
    share = (masks > 0).mean((1, 2))
    terms = [estimates, stability(masks), agreement, -np.log(share + 1e-4), middleness(masks, click)]
    return np.stack(terms).astype(np.float32)


def clicked(decoder: Decoder, embedding: Embedding, case: Case) -> tuple[list[float], NDArray[np.float32]]:
    """IoUs of the three candidates of one click, and their terms."""
    prompt = Prompt.of(points=[first_click(case.mask)])
    with torch.inference_mode():
        masks, estimates, single = decoder.candidates(embedding, [prompt])
    full = decoder.full_masks(masks[0], embedding)
    ious = [mask_iou(full(number), case.mask) for number in range(len(masks[0]))]
    click = decoder.lone_click(embedding, prompt)
    assert click is not None
    return ious, ranking_terms(masks[0], estimates[0], single[0], click)


def table_of(model: object, sets: dict[str, list[Case]]) -> Table:
    """All sets clicked."""
    table: Table = {}
    for name, cases in sets.items():
        rows, seen = [], None
        for case in cases:
            if seen is None or seen[0] is not case.pixels:
                seen = case.pixels, model.encode(case.pixels)  # type: ignore[attr-defined]
            decoder = model._built()  # type: ignore[attr-defined]
            rows.append(clicked(decoder, seen[1], case))
        if rows:
            table[name] = (np.array([ious for ious, _ in rows]), np.array([terms for _, terms in rows], float))
    return table


def mean_ious(table: Table, weights: tuple[float, ...]) -> NDArray[np.float64]:
    """Mean IoU of the chosen masks, a number for each set."""
    means = []
    for ious, terms in table.values():
        chosen = np.einsum("k,nkm->nm", weights, terms).argmax(1)
        means.append(float(ious[np.arange(len(ious)), chosen].mean()))
    return np.array(means)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("--real", type=Path, help="folder of sources with images/ and labels/")
    parser.add_argument("--most", type=int, default=36, help="objects of each source")
    parser.add_argument("--scenes", type=int, default=14, help="of each kind")
    parser.add_argument("--test", action="store_true", help="also the evaluation set")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = open_model(arguments.weights)
    sources = sorted(arguments.real.iterdir()) if arguments.real else []
    sets = {f.name: real_cases(f, arguments.most) for f in sources if (f / "images").is_dir()}
    sets |= {f"scenes of {kind}": list(scene_cases(kind, arguments.scenes)) for kind in SCENE_KINDS}
    table = table_of(model, sets)
    test = table_of(model, {name: load_sets([name])[name] for name in SETS}) if arguments.test else {}
    print("best of three", round(float(np.mean([ious.max(1).mean() for ious, _ in table.values()])), 4))
    tried = [(float(mean_ious(table, weights).mean()), weights) for weights in itertools.product(*GRID) if any(weights)]
    for mean, weights in sorted(tried, reverse=True)[:8]:
        told = dict(zip(test, mean_ious(test, weights).round(3).tolist(), strict=True))
        print(f"{mean:.4f}  {weights}  {told or ''}", flush=True)


if __name__ == "__main__":
    main()
