"""Jittered clicks: does a model still answer well when the first click is not in the middle of the object?

A person does not click in the exact middle. Here the first click goes to a random place inside the object, again for
several seeds; further clicks are those of `samnb.evaluation.evaluate`. The result is the mean over all seeds and the
spread: the standard deviation between the seeds, of the mean over all cases and of single cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PromptError
from ..models import Model
from ..prompts import Embedding, Point
from .cases import Case
from .evaluate import evaluate

_ASIDE = 0.25


def jittered_click(mask: NDArray[np.bool_], rng: np.random.Generator) -> Point:
    """A random pixel inside an object, at least a quarter as deep as its middle: nobody aims at the very edge.

    Parameters
    ----------
    mask : (H, W) bool
    rng : numpy.random.Generator

    Returns
    -------
    (x, y)
        The pixel's centre.

    Raises
    ------
    PromptError
        An empty mask.

    Examples
    --------
    >>> mask = np.zeros((8, 8), bool)
    >>> mask[2:7, 1:6] = True
    >>> x, y = jittered_click(mask, np.random.default_rng(0))
    >>> bool(mask[int(y), int(x)])
    True
    """
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    if not depth.any():
        raise PromptError("An empty mask has no place to click. Give a mask with at least one pixel.")
    places = np.argwhere(depth >= max(_ASIDE * float(depth.max()), 1e-6))
    row, column = places[rng.integers(len(places))]
    return float(column) + 0.5, float(row) + 0.5


@dataclass(frozen=True)
class Jitter:
    """The result of jittered clicks.

    Parameters
    ----------
    cases : int
        How many.
    iou_1, iou_5 : tuple of float
        The mean IoU over all cases after one and after five clicks, one value per seed.
    case_spread : float
        The mean over all cases of the standard deviation of a case's IoU after one click, between the seeds.

    Examples
    --------
    >>> result = Jitter(2, (0.5, 0.7), (0.8, 0.8), 0.15)
    >>> print(result)
    first click at random, 2 seeds: 0.600 ± 0.100 after 1 click, 0.800 ± 0.000 after 5; one case varies by 0.150
    """

    cases: int
    iou_1: tuple[float, ...]
    iou_5: tuple[float, ...]
    case_spread: float

    def as_dict(self) -> dict[str, Any]:
        """Means, spreads and the values per seed, for JSON."""
        found: dict[str, Any] = {"cases": self.cases, "seeds": len(self.iou_1), "case_spread": self.case_spread}
        for name, values in (("iou_1", self.iou_1), ("iou_5", self.iou_5)):
            found |= {name: float(np.mean(values)), f"{name}_spread": float(np.std(values)), f"{name}_seeds": [*values]}
        return found

    def __str__(self) -> str:
        one, five = (f"{np.mean(values):.3f} ± {np.std(values):.3f}" for values in (self.iou_1, self.iou_5))
        return (
            f"first click at random, {len(self.iou_1)} seeds: {one} after 1 click, {five} after 5; "
            f"one case varies by {self.case_spread:.3f}"
        )


def evaluate_jittered(model: Model, cases: Iterable[Case], *, seeds: int = 5) -> Jitter:
    """Evaluate a model with the first click at random places inside each object.

    Parameters
    ----------
    model : Model
    cases : iterable of Case
        Those that the model cannot decode, with any of the first clicks, are left out.
    seeds : int
        How often every case is clicked; the seeds are 0, 1, 2, …

    Raises
    ------
    PromptError
        No seed, or no case that could be decoded.

    Examples
    --------
    >>> from samnb.evaluation.baselines import make_baseline
    >>> pixels, mask = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), bool)
    >>> mask[10:30, 20:50], pixels[10:30, 20:50] = True, 200
    >>> result = evaluate_jittered(make_baseline("flood_fill"), [Case("square.png", pixels, mask)], seeds=2)
    >>> result.iou_1[0] > 0.9, result.iou_1[0] == result.iou_1[1]
    (True, True)
    """
    if seeds < 1:
        raise PromptError(f"seeds: expected at least 1; got {seeds}.")
    kept = list(cases)
    embeddings: dict[int, Embedding] = {}

    def embed(case: Case) -> tuple[Embedding, bool]:
        key = id(case.pixels)
        known = key in embeddings
        if not known:
            embeddings[key] = model.encode(case.pixels)
        return embeddings[key], known

    numbered = [replace(case, image=str(number)) for number, case in enumerate(kept)]
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        report = evaluate(model, numbered, max_clicks=5, embed=embed, first=partial(jittered_click, rng=rng))
        for result in report.cases:
            found.setdefault(result.image, []).append((result.after(1), result.after(5)))
    # A case that cannot be decoded with every first click is left out, so that all seeds have the same.
    table = np.array([rows for rows in found.values() if len(rows) == seeds], float)
    if not table.size:
        raise PromptError("There is no case to click.")
    means = table.mean(axis=0)
    return Jitter(
        cases=len(table),
        iou_1=tuple(means[:, 0].tolist()),
        iou_5=tuple(means[:, 1].tolist()),
        case_spread=float(table[:, :, 0].std(axis=1).mean()),
    )
