"""Evaluates a template on labelled images: found, missed and false objects; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NothingToMeasure, TemplateError
from ..masks import decode_rle, mask_iou
from ..models import Model, finder
from ..models.candidates import Candidates, Propose, proposer
from ..prompts import Embedding, Prompt
from ..records import ImageRecord
from .image_features import ImageFeatures, as_features
from .match import Match
from .phrase_strategy import KnownSearches
from .report import DetectionCounts, ImageMetrics, Sweep, SweepRow
from .strategies import find_objects
from .template import Template

MEMO_BYTES = 256 * 2**20
"""Bytes of masks that a sweep keeps of one image."""


class PackedMasks(Mapping[str, list[NDArray[np.bool_]]]):
    """The masks of one image by category, stored as run lengths and decoded on each access.

    One mask per image, for a thousand images of twelve megapixels, takes 12 GB; the run lengths some megabytes.

    Parameters
    ----------
    rles : mapping of str to list of mapping
        COCO's uncompressed run lengths, by category.

    Examples
    --------
    >>> from samnb.masks import encode_rle
    >>> packed = PackedMasks({"coin": [encode_rle(np.eye(2, dtype=bool))]})
    >>> packed["coin"][0].tolist(), packed.get("dog", [])
    ([[True, False], [False, True]], [])
    """

    def __init__(self, rles: Mapping[str, Sequence[Mapping[str, Any]]]):
        self._rles = rles

    def __getitem__(self, category: str) -> list[NDArray[np.bool_]]:
        return [decode_rle(rle) for rle in self._rles[category]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rles)

    def __len__(self) -> int:
        return len(self._rles)


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image and its true masks, by category.

    Parameters
    ----------
    image : ImageRecord
    embedding : callable
        Returns its embedding, or what a template compares on it.
    wanted : mapping of str to list of (H, W) bool
        `PackedMasks` for many images.
    """

    image: ImageRecord
    embedding: Callable[[], Embedding | ImageFeatures]
    wanted: Mapping[str, Sequence[NDArray[np.bool_]]]


def evaluate_image(template: Template, labelled: LabelledImage, model: Model, *, min_iou: float = 0.5) -> ImageMetrics:
    """The objects that a template finds on one image.

    Parameters
    ----------
    template : Template
    labelled : LabelledImage
    model : Model
    min_iou : float
        The IoU from which a mask counts as the object, above 0 and up to 1.

    Raises
    ------
    TemplateError
        Another `min_iou`.
    """
    check_min_iou(min_iou)
    return compare_with_labels(
        template,
        labelled,
        find_objects(
            template, labelled.embedding(), model.decode, propose=proposer(model.decode, model), find=finder(model)
        ),
        min_iou,
    )


def sweep(
    template: Template,
    grid: Mapping[str, Sequence[float]],
    labelled: Iterable[LabelledImage],
    model: Model,
    *,
    min_iou: float = 0.5,
) -> Sweep:
    """Try every combination of parameters.

    Repeated prompts on one image are decoded once, so that ten combinations take hardly longer than two.

    Parameters
    ----------
    grid : mapping of str to sequence of float
        Values to try, by parameter.

    Raises
    ------
    TemplateError, UnknownOption
        A parameter that is unknown, or a value out of its range, also of `min_iou`; an empty grid.
    NothingToMeasure
        No images.
    """
    check_min_iou(min_iou)
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*_values_to_try(grid))]
    templates = [template.with_parameters(**parameters) for parameters in combinations]
    tallies, images = [DetectionCounts() for _ in templates], 0
    for one in labelled:
        images += 1
        features, propose = as_features(one.embedding()), memoized(proposer(model.decode, model))
        find = KnownSearches(finder(model))
        for number, candidate in enumerate(templates):
            matches = find_objects(candidate, features, model.decode, propose=propose, find=find)
            tallies[number] += compare_with_labels(candidate, one, matches, min_iou).tally
    if not images:
        raise NothingToMeasure(f"template {template.name!r}")
    rows = [SweepRow(parameters, tally) for parameters, tally in zip(combinations, tallies, strict=True)]
    rows.sort(key=lambda row: (-row.tally.f1, -row.tally.mean_iou))
    return Sweep(f"{template.name} v{template.version}", tuple(rows), images)


def _values_to_try(grid: Mapping[str, Sequence[float]]) -> list[list[float]]:
    such_as = 'such as {"min_score": [0.2, 0.3, 0.4]}'
    found = []
    for name, values in grid.items():
        try:
            found.append([float(value) for value in values])
        except (TypeError, ValueError, OverflowError) as error:
            raise TemplateError(f"{name}: expected numbers in a list, {such_as}; got {values!r}.") from error
    if not found or not all(found):
        raise TemplateError(f"A sweep needs values to try, {such_as}; got none.")
    return found


def check_min_iou(min_iou: float) -> None:
    """`TemplateError` unless it is above 0 and up to 1."""
    # Written so that NaN is refused too.
    if not isinstance(min_iou, Real) or not 0 < min_iou <= 1:
        raise TemplateError(f"min_iou: expected a number above 0 and up to 1; got {min_iou!r}.")


def compare_with_labels(
    template: Template, labelled: LabelledImage, matches: Sequence[Match], min_iou: float
) -> ImageMetrics:
    """An image's objects among these masks: found, missed and false, by category."""
    tallies, scores, missed, false = {}, [], [], []
    for category in (examples.category for examples in template.categories):
        wanted = list(labelled.wanted.get(category, ()))
        kept = [match for match in matches if match.category == category]
        pairs = list(_pairs(wanted, [match.mask for match in kept], min_iou))
        tallies[category] = DetectionCounts(len(wanted), len(kept), len(pairs), sum(iou for iou, _, _ in pairs))
        right = {number for _, _, number in pairs}
        scores += [(match.score, number in right) for number, match in enumerate(kept)]
        missed += [mask for number, mask in enumerate(wanted) if number not in {n for _, n, _ in pairs}]
        false += [match.mask for number, match in enumerate(kept) if number not in right]
    return ImageMetrics(labelled.image.id, labelled.image.filename, tallies, tuple(scores), tuple(missed), tuple(false))


def _pairs(
    wanted: Sequence[NDArray[np.bool_]], kept: Sequence[NDArray[np.bool_]], min_iou: float
) -> Iterator[tuple[float, int, int]]:
    """(IoU, number of the object, number of the mask): the best pair first, each of both once."""
    ious = np.array([[mask_iou(one, mask) for mask in kept] for one in wanted]).reshape(len(wanted), len(kept))
    while ious.size and ious.max() >= min_iou:
        row, column = (int(place) for place in np.unravel_index(int(np.argmax(ious)), ious.shape))
        yield float(ious[row, column]), row, column
        ious[row], ious[:, column] = -1, -1


def memoized(propose: Propose, *, room: int = MEMO_BYTES) -> Propose:
    """`propose` for one image, with a cache of a number of bytes."""
    answers: dict[Prompt, Candidates] = {}

    def asked(embedding: Embedding, prompts: Sequence[Prompt]) -> list[Candidates]:
        nonlocal room
        new = [prompt for prompt in prompts if prompt not in answers]
        fresh = dict(zip(new, propose(embedding, new), strict=True)) if new else {}
        found = [answers.get(prompt) or fresh[prompt] for prompt in prompts]
        for prompt, candidates in fresh.items():
            size = 5 * candidates.small.nbytes  # with the logits that it can be scaled up from
            if size <= room:
                answers[prompt] = candidates
                room -= size
        return found

    return asked
