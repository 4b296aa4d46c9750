"""One table of several weights: one click by score, the best of three, five clicks, on pictures nobody trained on.

``python -m training.click_table new=run/tiny.safetensors old=tiny --real real_masks`` measures the repository's
evaluation set and, where there is a folder of real masks, the pictures that training keeps aside. ``--most`` takes that
many objects of each set; the same ones each time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.evaluate_model import load_sets
from benchmarks.evaluation_set import SETS
from samnb.evaluation.cases import Case
from samnb.evaluation.evaluate import evaluate
from samnb.models import Model, load_model, tiny
from samnb.models.tiny.model import LiteModel
from samnb.models.weights.checkpoints import open_checkpoint
from samnb.prompts import Prompt
from training.feature_cache import is_validation, read_labelled, real_images

LEAST_SHARE = 5e-4
"""Objects smaller than this share of their picture are left out."""


def open_model(what: str, **options: Any) -> Model:
    """A model of the registry by its name, or the embedded one by its weight file."""
    if not what.endswith(".safetensors"):
        return load_model(what)
    if not options:
        return load_model("tiny", checkpoint=what, device="cpu")
    return LiteModel(tiny.MODEL, open_checkpoint(tiny.MODEL, Path(what)), device="cpu", **options)


def real_cases(folder: Path, most: int) -> list[Case]:
    """Up to `most` objects of a source's validation pictures, each picture's behind one another."""
    found: list[Case] = []
    paths = [path for number, path in enumerate(real_images(folder)) if is_validation(number)]
    each = max(1, -(-most // max(len(paths), 1)))
    for path in paths:
        pixels, labels = read_labelled(path)
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        fit = np.nonzero(sizes >= max(LEAST_SHARE * labels.size, 60))[0]
        rng = np.random.default_rng([11, len(found)])
        for number in sorted(rng.choice(fit, size=min(each, len(fit)), replace=False)) if len(fit) else []:
            found.append(Case(path.name, pixels, labels == number, str(number), folder.name))
    return found[:most]


def thinned(cases: list[Case], most: int) -> list[Case]:
    """At most so many, evenly spread."""
    if len(cases) <= most:
        return cases
    return [cases[i] for i in np.linspace(0, len(cases) - 1, most).round().astype(int)]


def all_sets(real: Path | None, most: int, only: list[str]) -> Iterator[tuple[str, list[Case]]]:
    """The evaluation set's, then the real sources'."""
    for name in SETS:
        if not only or name in only:
            yield name, thinned(load_sets([name])[name], most)
    for folder in sorted(real.iterdir()) if real else []:
        if (folder / "images").is_dir() and (not only or folder.name in only):
            yield folder.name, real_cases(folder, most)


def measure(model: Model, cases: list[Case], clicks: int) -> dict[str, float]:
    """The figures of one model on one set."""
    report = evaluate(model, cases, max_clicks=clicks)
    figures = report.overall.as_dict()
    chosen = {name: figures[name] for name in ("cases", "iou_1", "iou_1_best", "iou_3", "iou_5", "score_gap")}
    return chosen | {"encode_ms": report.encode_ms, "decode_ms": report.decode_ms}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="name=weights.safetensors, or name=a model of the registry")
    parser.add_argument("--real", type=Path, help="folder of sources with images/ and labels/")
    parser.add_argument("--most", type=int, default=60, help="objects of each set")
    parser.add_argument("--sets", nargs="*", default=[], help="only these")
    parser.add_argument("--clicks", type=int, default=5)
    parser.add_argument("--no-crop", action="store_true", help="leave the second pass out")
    parser.add_argument("--frame", type=int, default=384)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    table: dict[str, dict[str, Any]] = {}
    models = {}
    for given in arguments.models:
        name, _, what = given.partition("=")
        lite = {"refine": not arguments.no_crop, "frame": arguments.frame} if what.endswith(".safetensors") else {}
        models[name] = open_model(what, **lite)
        models[name].decode(models[name].encode(np.zeros((64, 64, 3), np.uint8)), Prompt.of(points=[(32, 32)]))
    for set_name, cases in all_sets(arguments.real, arguments.most, arguments.sets):
        for name, model in models.items():
            started = time.process_time()
            row = measure(model, cases, arguments.clicks)
            table.setdefault(set_name, {})[name] = row
            print(
                f"{set_name:22s} {name:8s} {row['cases']:4d}  one {row['iou_1']:.3f}  best {row['iou_1_best']:.3f}  "
                f"three {row['iou_3']:.3f}  five {row['iou_5']:.3f}  encode {row['encode_ms']:.0f} ms  "
                f"decode {row['decode_ms']:.0f} ms  ({time.process_time() - started:.0f} s)",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
