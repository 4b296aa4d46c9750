"""The strategy "fixed": an example's relative prompt on every image, moved with what surrounds the object."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..masks import decode_rle, mask_iou
from ..prompts import Embedding, Prediction, Prompt
from .examples import CategoryExamples, Example
from .features import shift_of
from .image_features import ImageFeatures
from .match import Match, PromptDecoder, without_doubles
from .template import Template

_SURE = 8.0  # a mask logit that leaves little doubt


def find_fixed(
    template: Template, examples: CategoryExamples, features: ImageFeatures, decoder: PromptDecoder
) -> list[Match]:
    """The examples' relative prompts; with "max_shift", moved to where the surroundings look like the example."""
    height, width = features.embedding.original_size
    reach = template.parameters["max_shift"]
    rows, columns = features.cells
    found = []
    for example in examples.examples:
        shape = _shape_of(example, (height, width))
        across, down = shift_of(features, example.place, reach) if reach and example.place is not None else (0.0, 0.0)
        dx, dy = across * width / columns, down * height / rows
        prompt = _moved(example.prompt.scaled(width, height), dx, dy, (height, width))
        first = decoder.decode(features.embedding, prompt)
        tries = [_like_the_example(first, shape, (dx, dy), examples.category)]
        if shape is not None:
            # The example's clicks alone may mean something else here; its outline is more specific.
            drawn = _as_logits(_moved_mask(shape, dx, dy), features.embedding, first.low_res_logits.shape[-1])
            again = decoder.decode(features.embedding, prompt, mask_input=drawn)
            tries.append(_like_the_example(again, shape, (dx, dy), examples.category))
        match = max((m for m in tries if m is not None), key=lambda m: m.score, default=None)
        if match is not None and match.score >= template.parameters["min_score"]:
            found.append(match)
    return without_doubles(found, template.parameters["max_overlap"])


def _shape_of(example: Example, size_hw: tuple[int, int]) -> NDArray[np.bool_] | None:
    """The example's mask at the size of this image."""
    if not example.rle:
        return None
    mask = decode_rle(example.rle)
    if mask.shape == size_hw:
        return mask
    return np.asarray(cv2.resize(mask.astype(np.uint8), size_hw[::-1], interpolation=cv2.INTER_NEAREST) > 0)


def _moved(prompt: Prompt, dx: float, dy: float, size_hw: tuple[int, int]) -> Prompt:
    """The prompt shifted by (dx, dy) pixels, its points kept inside the image."""
    height, width = size_hw
    points = tuple((min(max(x + dx, 0.0), width), min(max(y + dy, 0.0), height)) for x, y in prompt.points)
    box = prompt.box
    if box is not None:
        x0, x1 = (min(max(x + dx, 0.0), width) for x in (box[0], box[2]))
        y0, y1 = (min(max(y + dy, 0.0), height) for y in (box[1], box[3]))
        box = (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else prompt.box
    return Prompt(points, prompt.point_labels, box)


def _moved_mask(mask: NDArray[np.bool_], dx: float, dy: float) -> NDArray[np.bool_]:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return np.asarray(cv2.warpAffine(mask.astype(np.uint8), matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST) > 0)


def _as_logits(mask: NDArray[np.bool_], embedding: Embedding, side: int) -> NDArray[np.float32]:
    """A mask as logits, (side, side), in the model's square frame: high inside and low outside."""
    frame = max(embedding.input_size)
    rows, columns = (max(1, round(side * length / frame)) for length in embedding.input_size)
    logits = np.full((side, side), -_SURE, np.float32)
    share = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    logits[:rows, :columns] = (share - 0.5) * 2 * _SURE
    return logits


def _like_the_example(
    prediction: Prediction, shape: NDArray[np.bool_] | None, shift: tuple[float, float], category: str
) -> Match | None:
    """The candidate most similar to the example's mask, moved; without one, the highest score."""
    if shape is None:
        best = prediction.best
        score = float(prediction.scores[best])
    else:
        there = _moved_mask(shape, *shift)
        scores = [
            float(np.clip(score, 0, 1)) * mask_iou(mask, there)
            for mask, score in zip(prediction.masks, prediction.scores, strict=True)
        ]
        best = int(np.argmax(scores))
        score = scores[best]
    mask = prediction.masks[best]
    return Match(category, mask, score, prediction.prompt) if mask.any() else None
