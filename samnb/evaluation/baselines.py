"""Baselines without training that answer the same clicks: GrabCut, flood fill, random walker.

A model that does not beat them is not worth loading. For an evaluation each is a `Model`: its
"embedding" is the picture, scaled so that the longest side is at most `longest_side`, its `mask_input` the mask it
showed before. It gives one mask and no score (NaN).

The settings are fixed, for any picture, and relative to its size and contrast:

- **GrabCut** (Rother et al. 2004; OpenCV, 3 rounds, 256 pixels): a disc of 8 % of the shorter side around each positive
  click is probably the object, on later clicks also the mask shown before; 1 % around a click is certain.
- **flood fill** (OpenCV, 384 pixels): in the picture smoothed by a median of 3 x 3, all that is connected to a
  positive click and differs from it in no channel by more than a fifth of the picture's range of grey levels
  (2nd to 98th percentile). A negative click inside halves that until it is out. Holes are filled.
- **random walker** (Grady 2006; scikit-image, beta 130, 128 pixels): positive clicks against negative clicks
  and the picture's border.

Only the parts of a mask that contain a positive click are kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PackageMissing, PromptError, UnknownName
from ..masks import clean_mask
from ..masks.geometry import Mask
from ..prompts import Embedding, Prediction, Prompt

Pixels = NDArray[np.uint8]
Cell = tuple[int, int]
Method = Callable[[Pixels, Sequence[Cell], Sequence[Cell], Mask | None], Mask]


class Baseline:
    """A method that needs no training, with the methods of `samnb.models.Model`.

    Parameters
    ----------
    name : str
    method : callable
        ``method(pixels, positive, negative, previous)`` gives the mask; clicks are (column, row) of the scaled picture.
    longest_side : int
        Larger pictures are scaled down to it, in pixels.
    """

    device = "cpu"
    encoder_built = True

    def __init__(self, name: str, method: Method, longest_side: int):
        self.name, self.method, self.longest_side = name, method, longest_side
        self.fingerprint, self.embedding_spec = f"baseline-{name}/1", f"longest={longest_side}"
        self.encodes = 0

    def encode(self, pixels: Pixels) -> Embedding:
        """The scaled picture, (h, w, 3) uint8."""
        self.encodes += 1
        height, width = pixels.shape[:2]
        scale = min(1.0, self.longest_side / max(height, width))
        small = max(1, round(height * scale)), max(1, round(width * scale))
        scaled = np.ascontiguousarray(cv2.resize(pixels, small[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        return Embedding({"pixels": scaled}, (height, width), small)

    def decode(
        self, embedding: Embedding, prompt: Prompt, *, multimask: bool = True, mask_input: NDArray[Any] | None = None
    ) -> Prediction:
        """One mask for all clicks so far; `multimask` is ignored.

        Raises
        ------
        PromptError
            No positive click, a box, or a place outside the picture.
        """
        if prompt.box is not None or 1 not in prompt.point_labels:
            raise PromptError(f"{self.name} takes clicks alone, at least one of them positive; got {prompt}.")
        prompt.check_inside(embedding.original_size)
        pixels = embedding.tensors["pixels"]
        cells = _cells(prompt, embedding)
        positive = [cell for cell, label in zip(cells, prompt.point_labels, strict=True) if label]
        negative = [cell for cell, label in zip(cells, prompt.point_labels, strict=True) if not label]
        previous = None if mask_input is None else np.asarray(mask_input).reshape(pixels.shape[:2]) > 0
        logits = _clicked_parts(self.method(pixels, positive, negative, previous), positive).astype(np.float32) - 0.5
        full = cv2.resize(logits, embedding.original_size[::-1], interpolation=cv2.INTER_LINEAR)
        return Prediction(full[None] > 0, np.full(1, np.nan, np.float32), logits[None], prompt, model=self.fingerprint)

    def __repr__(self) -> str:
        return f"<Baseline {self.name}>"


def grab_cut(pixels: Pixels, positive: Sequence[Cell], negative: Sequence[Cell], previous: Mask | None) -> Mask:
    """GrabCut; see the top of this file for its settings."""
    side = min(pixels.shape[:2])
    trimap = np.full(pixels.shape[:2], cv2.GC_PR_BGD, np.uint8)
    if previous is not None:
        trimap[previous] = cv2.GC_PR_FGD
    sure, probable = max(1, round(0.01 * side)), max(3, round(0.08 * side))
    for cell in positive:
        cv2.circle(trimap, cell, probable, cv2.GC_PR_FGD, -1)
    for cells, kind in ((negative, cv2.GC_BGD), (positive, cv2.GC_FGD)):
        for cell in cells:
            cv2.circle(trimap, cell, sure, kind, -1)
    if not np.isin(trimap, (cv2.GC_BGD, cv2.GC_PR_BGD)).any() or min(pixels.shape[:2]) < 2:
        return trimap % 2 == 1  # OpenCV refuses a trimap of one kind
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels, trimap, None, *models, 3, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))


def flood_fill(pixels: Pixels, positive: Sequence[Cell], negative: Sequence[Cell], previous: Mask | None) -> Mask:
    """Flood fill; see the top of this file for its settings. `previous` is not used: all clicks are flooded again."""
    # A median keeps edges where they are; a Gaussian would make a rim that the flood does not cover.
    smooth = np.ascontiguousarray(cv2.medianBlur(pixels, 3), np.uint8)
    low, high = np.percentile(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), (2, 98))
    flooded = np.zeros(pixels.shape[:2], np.bool_)
    for cell in positive:
        tolerance, part = 0.2 * float(high - low), np.zeros_like(flooded)
        for _ in range(8):
            part = _flood(smooth, cell, tolerance)
            if not any(part[row, column] for column, row in negative):
                break
            tolerance /= 2
        flooded |= part
    filled = clean_mask(flooded, fill_holes=True)
    # A hole with a negative click in it is intended.
    return filled if not any(filled[row, column] for column, row in negative) else flooded


def random_walker(pixels: Pixels, positive: Sequence[Cell], negative: Sequence[Cell], previous: Mask | None) -> Mask:
    """Random walker; see the top of this file for its settings. `previous` is not used."""
    from skimage.segmentation import random_walker as walk

    seeds = np.zeros(pixels.shape[:2], np.int32)
    seeds[[0, -1]] = seeds[:, [0, -1]] = 2
    for cells, kind in ((negative, 2), (positive, 1)):
        for column, row in cells:
            seeds[row, column] = kind
    if not (seeds == 0).any() or not (seeds == 2).any() or not np.ptp(pixels):
        return seeds == 1  # nothing is undecided, or there are no seeds
    with warnings.catch_warnings():
        # The warning that umfpack or pyamg would be faster: at this size they are not.
        warnings.simplefilter("ignore", UserWarning)
        labels = walk(pixels, seeds, beta=130, mode="cg_j", channel_axis=-1)
    return np.asarray(labels) == 1


@dataclass(frozen=True)
class _Recipe:
    """The function of a baseline, and the package it needs."""

    method: Method
    longest_side: int
    needs: str = "cv2"


BASELINES: dict[str, _Recipe] = {
    "grabcut": _Recipe(grab_cut, 256),
    "flood_fill": _Recipe(flood_fill, 384),
    "random_walker": _Recipe(random_walker, 128, needs="skimage"),
}


def make_baseline(name: str) -> Baseline:
    """A baseline by name.

    Raises
    ------
    UnknownName
        Not in `BASELINES`.
    PackageMissing
        The random walker without scikit-image.

    Examples
    --------
    >>> make_baseline("grabcut")
    <Baseline grabcut>
    """
    if name not in BASELINES:
        raise UnknownName("baseline", name, BASELINES)
    recipe = BASELINES[name]
    if find_spec(recipe.needs) is None:
        others = ", ".join(other for other, r in BASELINES.items() if r.needs == "cv2")
        raise PackageMissing(f"The baseline {name!r}", "scikit-image", "demo", f"Without it: {others}.")
    return Baseline(name, recipe.method, recipe.longest_side)


def _cells(prompt: Prompt, embedding: Embedding) -> list[Cell]:
    """(column, row) of each click in the scaled picture."""
    (height, width), (rows, columns) = embedding.original_size, embedding.input_size
    scaled = prompt.scaled(columns / width, rows / height)
    return [(min(int(x), columns - 1), min(int(y), rows - 1)) for x, y in scaled.points]


def _flood(smooth: Pixels, cell: Cell, tolerance: float) -> Mask:
    height, width = smooth.shape[:2]
    # OpenCV wants a mask with a border of one pixel, and fills it in the flags' second byte.
    filled, limits = np.zeros((height + 2, width + 2), np.uint8), (tolerance,) * 3
    flags = 4 | (1 << 8) | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY
    cv2.floodFill(smooth, filled, cell, (0, 0, 0), limits, limits, flags)
    return filled[1:-1, 1:-1] == 1


def _clicked_parts(mask: Mask, positive: Sequence[Cell]) -> Mask:
    """The connected parts that hold a positive click."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    wanted = {int(labels[row, column]) for column, row in positive} - {0}
    return np.isin(labels, list(wanted))
