"""One example to many images: what a template finds, misses and makes up, on six sets and ten everyday things.

Trained `tiny` unless another model is named.

    python -m benchmarks.template_transfer [--model NAME --checkpoint FILE] [--set parts=3 cascade=1]
                                           [--features NAME --features-checkpoint FILE] [--draw FOLDER] [--json FILE]

One object is annotated with one to three clicks (its mask is the model's own), all else is searched for. An object
counts as found when a kept mask has an IoU of at least 0.7 with it. A kept mask is false when it has less than 0.5 with
every object of its kind and does not touch the picture's edge, where objects are cut and not asked for. The parameters'
defaults were chosen while looking at these sets.

coins        the left half of a photograph holds the example, the right half is searched
cells        one nucleus of a fluorescence picture, the 27 others are searched
horses       a silhouette pasted three to five times on photographs of grass, gravel and brick, other sizes, mirrored
mugs         one cup of coffee pasted on textures among other things
camera       twelve frames of a fixed camera that trembles by up to 12 pixels, lighter and darker: strategy "fixed"
absent       the coins' template on pictures with coins and as many without any

`THINGS` are sets of everyday photographs: an example on one, the same thing on others, and photographs without it; the
last line, "everyday", is their sum. Which maps are compared was chosen while looking at them, too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation_set import again, load_cases
from benchmarks.evaluation_set.labelled import HERE, read_labels
from benchmarks.evaluation_set.pictures import read_picture
from samnb.masks import mask_iou, overlay
from samnb.masks.clicks import first_click, next_click
from samnb.models import load_model
from samnb.prompts import Prompt
from samnb.templates import CategoryExamples, make_template
from samnb.templates.features import make_example
from samnb.templates.image_features import ImageFeatures
from samnb.templates.strategies import find_objects

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
COINS = HERE.parents[1] / "tests" / "data" / "coins" / "coins_masks.png"
SIZE_HW = (384, 512)


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture, the objects that are asked for, and those that are there beside them."""

    pixels: Pixels
    wanted: tuple[Mask, ...]
    others: tuple[Mask, ...] = ()


@dataclass(frozen=True, eq=False)
class Trial:
    """A picture with an example, and the scenes to search."""

    pixels: Pixels
    example: Mask
    scenes: tuple[Scene, ...]
    strategy: str = "match_all"
    parameters: dict[str, float] = field(default_factory=dict)


def coins() -> Trial:
    """The photograph of 24 coins, cut in two."""
    pixels, masks = read_picture("coins"), read_labels(COINS)
    middle = pixels.shape[1] // 2
    left, right = np.ascontiguousarray(pixels[:, :middle]), np.ascontiguousarray(pixels[:, middle:])
    lefts = [mask[:, :middle] for mask in masks if not mask[:, middle:].any()]
    whole = tuple(mask[:, middle:] for mask in masks if not mask[:, :middle].any())
    cut = tuple(mask[:, middle:] for mask in masks if mask[:, :middle].any() and mask[:, middle:].any())
    return Trial(left, _typical(lefts), (Scene(right, whole, cut),))


def cells() -> Trial:
    """Nuclei: one is the example, the others in the same picture are searched."""
    pixels, masks = read_picture("nuclei"), read_labels(HERE / "labels" / "nuclei_masks.png")
    example = _typical(masks)
    return Trial(pixels, example, (Scene(pixels, tuple(m for m in masks if m is not example), (example,)),))


def horses() -> Trial:
    """A horse of brick colour, pasted again and again."""
    horse = read_picture("horse")[..., 0] < 128
    filling = np.full((*horse.shape, 3), (150, 60, 50), np.uint8)
    return _pasted(filling, horse, heights=(110, 90, 130, 80, 120), seed=3)


def mugs() -> Trial:
    """The cup of a photograph, pasted again and again."""
    [case] = [case for case in load_cases(["photographs"]) if (case.image, case.label) == MUG]
    rows, columns = np.flatnonzero(case.mask.any(1)), np.flatnonzero(case.mask.any(0))
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return _pasted(case.pixels[window], case.mask[window], heights=(110, 90, 130, 80, 120), seed=5)


MUG = ("coffee", "cup")


def camera() -> Trial:
    """Frames of one scene, moved, lighter, darker and noisy; the object is always there."""
    [case] = [case for case in load_cases(["photographs"]) if (case.image, case.label) == MUG]
    rng, scenes = np.random.default_rng(7), []
    for _ in range(12):
        dx, dy = rng.integers(-12, 13, 2)
        gain, noise = rng.uniform(0.75, 1.2), rng.normal(0, 6, case.pixels.shape)
        moved = _shifted(case.pixels, dx, dy)
        pixels = np.clip(moved * gain + noise, 0, 255).astype(np.uint8)
        scenes.append(Scene(pixels, (_shifted(case.mask.astype(np.uint8), dx, dy) > 0,)))
    return Trial(case.pixels, case.mask, tuple(scenes), "fixed", {"max_shift": 0.05})


def absent() -> Trial:
    """Half of the pictures hold coins, the other half none."""
    trial = coins()
    masks, pixels = read_labels(COINS), read_picture("coins")
    height = pixels.shape[0] // 2
    scenes = [*trial.scenes]
    for rows in (slice(0, height), slice(height, None)):
        part = tuple(mask[rows] for mask in masks if mask[rows].sum() == mask.sum())
        cut = tuple(mask[rows] for mask in masks if 0 < mask[rows].sum() < mask.sum())
        scenes.append(Scene(np.ascontiguousarray(pixels[rows]), part, cut))
    empty = ("chelsea", "brick", "page", "rocket", "coffee", "retina")[: len(scenes)]
    scenes += [Scene(read_picture(name)[: SIZE_HW[0], : SIZE_HW[1]], ()) for name in empty]
    return Trial(trial.pixels, trial.example, tuple(scenes))


def thing(wanted: again.Thing) -> Trial:
    """An everyday thing, on other photographs of it, and on some without."""
    example = again.read(*wanted.example)
    scenes = [Scene(pixels, (mask,)) for pixels, mask in (again.read(*one) for one in wanted.again)]
    return Trial(*example, (*scenes, *(Scene(read_picture(name), ()) for name in again.WITHOUT)))


THINGS: dict[str, Callable[[], Trial]] = {one.name: partial(thing, one) for one in again.THINGS}
SETS: dict[str, Callable[[], Trial]] = {
    "coins": coins,
    "cells": cells,
    "horses": horses,
    "mugs": mugs,
    "camera": camera,
    "absent": absent,
    **THINGS,
}


def _typical(masks: Sequence[Mask]) -> Mask:
    """The mask of median area."""
    return sorted(masks, key=lambda mask: int(mask.sum()))[len(masks) // 2]


def _shifted(values: Any, dx: int, dy: int) -> Any:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = values.shape[1::-1]
    return cv2.warpAffine(values, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)


def _pasted(filling: Pixels, alpha: Mask, *, heights: Sequence[int], seed: int) -> Trial:
    rng = np.random.default_rng(seed)
    scenes = [_scene(ground, filling, alpha, heights, rng) for ground in ("grass", "gravel", "brick", "grass")]
    return Trial(scenes[0].pixels, scenes[0].wanted[0], tuple(scenes[1:]))


def _scene(ground: str, filling: Pixels, alpha: Mask, heights: Sequence[int], rng: np.random.Generator) -> Scene:
    pixels = read_picture(ground)[: SIZE_HW[0], : SIZE_HW[1]].astype(np.float32)
    taken, masks = np.zeros(SIZE_HW, bool), []
    for height in heights:
        wide = round(height * alpha.shape[1] / alpha.shape[0])
        small = np.asarray(cv2.resize(alpha.astype(np.float32), (wide, height), interpolation=cv2.INTER_AREA))
        color = np.asarray(cv2.resize(filling, (wide, height), interpolation=cv2.INTER_AREA), np.float32)
        if rng.random() < 0.5:
            small, color = small[:, ::-1], color[:, ::-1]
        for _ in range(200):
            y, x = rng.integers(4, SIZE_HW[0] - height - 4), rng.integers(4, SIZE_HW[1] - wide - 4)
            here = (slice(y, y + height), slice(x, x + wide))
            if not taken[here].any():
                break
        else:
            continue
        taken[here] = True
        pixels[here] = small[..., None] * color + (1 - small[..., None]) * pixels[here]
        mask = np.zeros(SIZE_HW, bool)
        mask[here] = small >= 0.5
        masks.append(mask)
    return Scene(pixels.round().astype(np.uint8), tuple(masks))


@dataclass(frozen=True)
class Figures:
    """What came of a trial."""

    wanted: int
    found: int
    kept: int
    false: int
    seconds: float
    example_iou: float


def run(
    trial: Trial, model: Any, drawn: list[Pixels] | None = None, *, features: Any = None, **parameters: float
) -> Figures:
    """Make the template from one click, search every scene; compare the features of another model if there is one."""
    embedding = model.encode(trial.pixels)
    compared = ImageFeatures(embedding, features and features.encode(trial.pixels))
    prompt, mask = annotated(trial.example, model, embedding)
    examples = (make_example("0" * 64, prompt, mask, compared, place=trial.strategy == "fixed"),)
    template = make_template(
        "benchmark",
        trial.strategy,
        [CategoryExamples("object", examples)],
        model=model.fingerprint,
        parameters={**trial.parameters, **parameters},
    )
    wanted = found = kept = false = 0
    seconds = 0.0
    for scene in trial.scenes:
        searched = ImageFeatures(model.encode(scene.pixels), features and features.encode(scene.pixels))
        started = time.perf_counter()
        masks = [match.mask for match in find_objects(template, searched, model.decode, propose=model.propose)]
        seconds += time.perf_counter() - started
        here = tally(scene, masks)
        wanted, kept, found, false = wanted + len(scene.wanted), kept + len(masks), found + here[0], false + here[1]
        if drawn is not None:
            drawn.append(overlay(scene.pixels, masks) if masks else scene.pixels)
    return Figures(wanted, found, kept, false, seconds / len(trial.scenes), mask_iou(mask, trial.example))


def added(figures: Sequence[Figures]) -> Figures:
    """Counts added up, times and IoU averaged."""
    counts = (sum(getattr(f, name) for f in figures) for name in ("wanted", "found", "kept", "false"))
    return Figures(*counts, *(fmean(getattr(f, name) for f in figures) for name in ("seconds", "example_iou")))


def tally(scene: Scene, masks: Sequence[Mask]) -> tuple[int, int]:
    """How many of the wanted objects are found, and how many of the masks are false."""
    found = sum(any(mask_iou(mask, one) >= 0.7 for mask in masks) for one in scene.wanted)
    wrong = [m for m in masks if all(mask_iou(m, one) < 0.5 for one in (*scene.wanted, *scene.others))]
    return found, sum(not _touches_edge(mask) for mask in wrong)


def annotated(wanted: Mask, model: Any, embedding: Any) -> tuple[Prompt, Mask]:
    """One click, and at most two more where the mask is not right yet: what a hand would do in the annotator."""
    prompt, logits = Prompt.of(points=[first_click(wanted)]), None
    for _ in range(3):
        prediction = model.decode(embedding, prompt, mask_input=logits)
        # The hand also chooses among the candidates.
        index = int(np.argmax([mask_iou(mask, wanted) for mask in prediction.masks]))
        mask, logits = prediction.masks[index], prediction.low_res_logits[index]
        if mask_iou(mask, wanted) >= 0.85:
            break
        click = next_click(wanted, mask, prompt.points)
        assert click is not None  # an IoU below 0.85 has mistakes
        (x, y), label = click
        said, prompt = prompt, prompt.with_point(x, y, label=label)
    else:
        prompt = said
    return prompt, mask


def _touches_edge(mask: Mask) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def lines(results: dict[str, Figures]) -> Iterator[str]:
    """The table."""
    yield f"{'set':<11}{'found':>12}{'false of kept':>16}{'s/image':>9}{'IoU of the example':>20}"
    for name, f in results.items():
        share = f"{f.found}/{f.wanted} {f.found / max(1, f.wanted):.0%}"
        yield f"{name:<11}{share:>12}{f'{f.false}/{f.kept}':>16}{f.seconds:>9.2f}{f.example_iou:>20.2f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--features", help="another model, whose features are compared")
    parser.add_argument("--features-checkpoint", type=Path)
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=NUMBER", help="parameters of the templates"
    )
    parser.add_argument("--draw", type=Path, help="folder for pictures of what was found")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model, results = load_model(arguments.model, checkpoint=arguments.checkpoint), {}
    features = None
    if arguments.features:
        features = load_model(arguments.features, checkpoint=arguments.features_checkpoint)
    parameters = {name: float(value) for name, _, value in (one.partition("=") for one in arguments.set)}
    for name in arguments.sets:
        drawn: list[Pixels] = []
        results[name] = run(SETS[name](), model, drawn, features=features, **parameters)
        if arguments.draw:
            arguments.draw.mkdir(parents=True, exist_ok=True)
            for number, picture in enumerate(drawn):
                cv2.imwrite(str(arguments.draw / f"{name}_{number}.png"), picture[..., ::-1])
    everyday = [results[name] for name in arguments.sets if name in THINGS]
    if everyday:
        results["everyday"] = added(everyday)
    print(*lines(results), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps({name: vars(f) for name, f in results.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
