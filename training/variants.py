"""What choices at the time of use are worth, with one set of weights: one click on each object, no training.

``python -m training.variants run/tiny.safetensors --real real_masks`` compares the second pass left out and on
crops of other sizes, another frame, and ways to choose among the three masks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samnb.evaluation.cases import Case
from samnb.masks import mask_iou
from samnb.masks.clicks import first_click
from samnb.models.tiny.decoder import stability
from samnb.prompts import Embedding, Prompt
from training.click_table import all_sets, open_model

SETTINGS: dict[str, dict[str, Any]] = {
    "one pass": {"refine": False},
    "crop of 48 cells": {"cells": 48},
    "crop of 64 cells": {"cells": 64},
    "frame of 512": {"cells": 64, "frame": 512},
}


def one_click(model: Any, cases: list[Case]) -> list[dict[str, np.ndarray]]:
    """For each case the IoUs, scores and stabilities of its three masks."""
    rows = []
    seen: tuple[Any, Embedding] | None = None
    for case in cases:
        if seen is None or seen[0] is not case.pixels:
            seen = case.pixels, model.encode(case.pixels)
        prediction = model.decode(seen[1], Prompt.of(points=[first_click(case.mask)[:2]]))
        ious = np.array([mask_iou(prediction.mask_of(i), case.mask) for i in range(3)])
        rows.append({"ious": ious, "scores": prediction.scores, "steady": stability(prediction.low_res_logits)})
    return rows


def summed(rows: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """Mean IoU of the masks that each way of choosing takes."""
    ways = {
        "score": lambda row: row["scores"],
        "stability": lambda row: row["steady"],
        "best": lambda row: row["ious"],
    }
    return {name: float(np.mean([row["ious"][np.argmax(way(row))] for row in rows])) for name, way in ways.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("--real", type=Path)
    parser.add_argument("--most", type=int, default=30, help="objects of each set")
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sets = dict(all_sets(arguments.real, arguments.most, arguments.sets))
    table: dict[str, dict[str, dict[str, float]]] = {}
    for name in arguments.settings:
        model = open_model(arguments.weights, **SETTINGS[name])
        for set_name, cases in sets.items():
            row = summed(one_click(model, cases))
            table.setdefault(set_name, {})[name] = row
            told = "  ".join(f"{way} {value:.3f}" for way, value in row.items())
            print(f"{name:18s} {set_name:22s} {len(cases):3d}  {told}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
