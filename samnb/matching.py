"""Finds a template's objects in another image, from its cached embedding alone.

The idea is PerSAM's (Zhang et al. 2023, arXiv:2305.03048, section 3.1): the mean embedding inside an
example's mask, compared by cosine with every cell of another image, gives a point to prompt with. Here the
mean of each image's embedding is taken off first, since what all cells share says nothing about the object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .prompts import Embedding, Prediction, Prompt
from .templates import CategoryExamples, Example, Template

__all__ = [
    "MAX_MISSES",
    "STRATEGIES",
    "Match",
    "find_objects",
    "make_example",
    "overlap_of_smaller",
    "prototype",
    "similarity_map",
]

#: After so many places in a row that gave nothing, the search of an image ends.
MAX_MISSES = 8

Decode = Callable[[Embedding, Prompt], Prediction]


@dataclass(frozen=True, eq=False)
class Match:
    """One object found by a template.

    Parameters
    ----------
    category : str
    mask : (H, W) bool
    score : float
        Mean similarity inside the mask x predicted IoU, 0 to 1 (strategy "fixed": predicted IoU).
    prompt : Prompt
        What was decoded, in image pixels.
    """

    category: str
    mask: NDArray[np.bool_]
    score: float
    prompt: Prompt


def find_objects(template: Template, embedding: Embedding, decode: Decode) -> list[Match]:
    """All objects of all categories, category by category, the best score first.

    Parameters
    ----------
    template : Template
    embedding : Embedding
        Of the image to search.
    decode : callable
        `Model.decode`.
    """
    find = STRATEGIES[template.strategy]
    return [match for examples in template.categories for match in find(template, examples, embedding, decode)]


def make_example(pixel_hash: str, prompt: Prompt, mask: NDArray[np.bool_], embedding: Embedding) -> Example:
    """An example from an annotated object; prompt in image pixels, mask (H, W)."""
    height, width = mask.shape
    scale = embedding.input_size[0] / height
    return Example(
        pixel_hash,
        prompt.scaled(1 / width, 1 / height),
        prototype(embedding, mask),
        area=float(mask.mean()),
        diameter=float(np.sqrt(mask.sum()) * scale),
    )


def prototype(embedding: Embedding, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean centred embedding inside a mask, of length 1.

    A cell counts when at least half of it is inside; an object smaller than a cell has none, then the cell
    with the largest part of it stands for it.
    """
    features = _centred(embedding)
    cells = cv2.resize(mask.astype(np.float32), features.shape[:0:-1], interpolation=cv2.INTER_AREA)
    inside = cells >= min(0.5, float(cells.max()))
    mean = features[:, inside].mean(axis=1) if inside.any() else features.mean(axis=(1, 2))
    return _unit(mean, axis=0).astype(np.float32)


def overlap_of_smaller(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """How much of the smaller of two masks lies in the other, 0 to 1.

    Not the IoU: half of an object found beside the whole of it is a double, and has an IoU of only 0.5.

    Examples
    --------
    >>> whole, part = np.ones((4, 4), bool), np.eye(4, dtype=bool)
    >>> overlap_of_smaller(whole, part)
    1.0
    """
    smaller = min(int(one.sum()), int(other.sum()))
    return float((one & other).sum() / smaller) if smaller else 0.0


def similarity_map(embedding: Embedding, examples: CategoryExamples) -> NDArray[np.float32]:
    """Cosine of every cell with its nearest example: (h, w), -1 to 1, without the padding."""
    features = _unit(_centred(embedding), axis=0)
    prototypes = np.stack([example.prototype for example in examples.examples])
    return np.einsum("nc,chw->nhw", prototypes, features).max(axis=0)


def _find_fixed(template: Template, examples: CategoryExamples, embedding: Embedding, decode: Decode) -> list[Match]:
    height, width = embedding.original_size
    found = []
    for example in examples.examples:
        prompt = example.prompt.scaled(width, height)
        prediction = decode(embedding, prompt)
        if prediction.mask.any():
            found.append(Match(examples.category, prediction.mask, prediction.score, prompt))
    return _without_doubles(found, template.parameters["max_overlap"])


def _find_best(template: Template, examples: CategoryExamples, embedding: Embedding, decode: Decode) -> list[Match]:
    found = _search(template, examples, embedding, decode, tries=5)
    return [max(found, key=lambda match: match.score)] if found else []


def _find_all(template: Template, examples: CategoryExamples, embedding: Embedding, decode: Decode) -> list[Match]:
    most = int(template.parameters["max_objects"])
    found = _search(template, examples, embedding, decode, tries=2 * most)
    return _without_doubles(found, template.parameters["max_overlap"])[:most]


def _search(
    template: Template, examples: CategoryExamples, embedding: Embedding, decode: Decode, *, tries: int
) -> list[Match]:
    """Prompt at the most similar cell not yet covered, again and again."""
    limits = template.parameters
    similarity = similarity_map(embedding, examples)
    open_cells = _smooth(similarity)
    found: list[Match] = []
    misses = 0
    # Cells are tried from the most similar down, so a row of misses means that only worse ones are left.
    while tries and misses < MAX_MISSES and open_cells.max() >= limits["min_similarity"]:
        tries, misses = tries - 1, misses + 1
        row, column = divmod(int(np.argmax(open_cells)), open_cells.shape[1])
        match = _decode_at((row, column), similarity, template, examples, embedding, decode)
        open_cells[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = -1.0
        if match is None:
            continue
        open_cells[_cells_of(match.mask, open_cells.shape) > 0.25] = -1.0
        if match.score >= limits["min_score"]:
            misses = 0
            found.append(match)
    return found


def _decode_at(
    cell: tuple[int, int],
    similarity: NDArray[np.float32],
    template: Template,
    examples: CategoryExamples,
    embedding: Embedding,
    decode: Decode,
) -> Match | None:
    """Prompt at a cell's centre, then once more at the middle of what that gave."""
    height, width = embedding.original_size
    rows, columns = similarity.shape
    prompt = Prompt.of(points=[((cell[1] + 0.5) * width / columns, (cell[0] + 0.5) * height / rows)])
    match = _best_candidate(decode(embedding, prompt), similarity, template, examples, embedding)
    if match is None:
        return None
    centred = Prompt.of(points=[_middle(match.mask)])
    again = _best_candidate(decode(embedding, centred), similarity, template, examples, embedding)
    return max((m for m in (match, again) if m is not None), key=lambda m: m.score)


def _best_candidate(
    prediction: Prediction,
    similarity: NDArray[np.float32],
    template: Template,
    examples: CategoryExamples,
    embedding: Embedding,
) -> Match | None:
    """Of the candidate masks, the one most like the examples in look, size and the model's own estimate."""
    scale = embedding.input_size[0] / embedding.original_size[0]
    wanted = float(np.median([example.diameter for example in examples.examples]))
    largest = template.parameters["max_area_ratio"]
    best: Match | None = None
    for mask, predicted_iou in zip(prediction.masks, prediction.scores, strict=True):
        area = mask.sum() * scale**2
        if not area or not 1 / largest <= area / wanted**2 <= largest:
            continue
        weights = _cells_of(mask, similarity.shape)
        look = float((similarity * weights).sum() / weights.sum())
        score = max(look, 0.0) * float(np.clip(predicted_iou, 0, 1))
        if best is None or score > best.score:
            best = Match(examples.category, mask, score, prediction.prompt)
    return best


def _without_doubles(found: list[Match], max_overlap: float) -> list[Match]:
    """The best of those that lie on one another, in order of score."""
    kept: list[Match] = []
    for match in sorted(found, key=lambda match: -match.score):
        if all(overlap_of_smaller(match.mask, other.mask) <= max_overlap for other in kept):
            kept.append(match)
    return kept


def _centred(embedding: Embedding) -> NDArray[np.float32]:
    """The first tensor without its padding (C, h, w), less its mean over the image."""
    tensor = next(iter(embedding.tensors.values())).astype(np.float32)
    # The frame is a square with the image in its top left corner; cells wholly in the padding go.
    frame = max(embedding.input_size)
    rows, columns = (max(1, round(tensor.shape[1] * side / frame)) for side in embedding.input_size)
    features = tensor[:, :rows, :columns]
    return features - features.mean(axis=(1, 2), keepdims=True)


def _unit(values: NDArray[np.float32], *, axis: int) -> NDArray[np.float32]:
    return values / np.maximum(np.linalg.norm(values, axis=axis, keepdims=True), 1e-6)


def _smooth(similarity: NDArray[np.float32]) -> NDArray[np.float32]:
    # A single bright cell at a rim is a worse place to click than the middle of a bright patch.
    return np.asarray(cv2.GaussianBlur(similarity, (3, 3), 0.8), np.float32)


def _cells_of(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """How much of each cell a mask covers, 0 to 1; never all zero for a mask that is not empty."""
    share = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(share + 1e-9, np.float32)


def _middle(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """The (x, y) pixel centre farthest from the mask's edge."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(distance)), mask.shape)
    return (float(x) + 0.5, float(y) + 0.5)


#: Strategy name → function; others may add theirs.
STRATEGIES: dict[str, Callable[[Template, CategoryExamples, Embedding, Decode], list[Match]]] = {
    "fixed": _find_fixed,
    "match": _find_best,
    "match_all": _find_all,
}
