"""Finds a template's objects in another image, from its cached embedding alone.

The model is prompted where an object of the examples' size would be most similar, and its masks are compared with
the examples as wholes: single cells vary too much to identify an object, the mean inside a mask hardly does. On the
sets of ``benchmarks/template_transfer.py`` that separates objects from everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import TemplateError, UnknownName
from ..masks import mask_bbox, mask_iou
from ..masks.clicks import deepest_pixel
from ..models.candidates import Candidates, Propose, as_candidates, proposer
from ..models.phrases import Find
from ..prompts import Embedding, Prediction, Prompt
from .examples import CategoryExamples
from .features import share_matched_back, similarity_map
from .fixed_strategy import find_fixed
from .image_features import ImageFeatures, as_features, cells_of
from .match import Decode, Match, PromptDecoder, without_doubles
from .phrase_strategy import find_phrase
from .template import STRATEGY_NAMES, Template

#: Radius around a tried place in which no other is tried, in diameters of an example.
TRIED = 0.2

#: The search of an image ends after this number of consecutive places without an object.
MAX_MISSES = 8


def find_objects(
    template: Template,
    embedding: Embedding | ImageFeatures,
    decode: Decode,
    *,
    propose: Propose | None = None,
    find: Find | None = None,
) -> list[Match]:
    """All objects of all categories, category by category, the best score first.

    If masks of two categories are nearly the same (their IoU is above "max_iou_between"), the one with the lower
    score is dropped; a part inside a whole stays.

    Parameters
    ----------
    template : Template
    embedding : Embedding or ImageFeatures
        Of the image to search. With the features of another model where the template compares those.
    decode : callable
        `Model.decode`.
    propose : callable, optional
        `Model.propose`, if the model has it: the same masks in less time.
    find : callable, optional
        `SupportsPhrases.find`, for strategy "phrase".

    Raises
    ------
    UnknownName
        A strategy that is not known in this process.
    TemplateError
        Features of another length than those of the template.
    """
    if template.strategy not in STRATEGIES:
        raise UnknownName("strategy", template.strategy, STRATEGIES)
    search, features, decoder = (
        STRATEGIES[template.strategy],
        as_features(embedding),
        PromptDecoder(decode, propose or proposer(decode), find),
    )
    _check_length(template, features)
    found = [match for examples in template.categories for match in search(template, examples, features, decoder)]
    return _without_rivals(found, template.parameters["max_iou_between"]) if len(template.categories) > 1 else found


def _check_length(template: Template, features: ImageFeatures) -> None:
    """Raise `TemplateError` for features that cannot be compared with the template's."""
    examples = [example for each in template.categories for example in each.examples]
    if not examples:
        return  # of a phrase: no features are compared
    means = {len(example.prototype) for example in examples} - {0}
    cells = {len(cell) for example in examples for cell in (*example.parts, *example.around)}
    expected = (features.length, len(features.features))
    if means - {expected[0]} or cells - {expected[1]}:
        raise TemplateError(
            f"Template {template.name!r}: its examples have {sorted(means | cells)} features, expected "
            f"{sorted(set(expected))}, those of this image. Make it again: session.template({template.name!r})."
        )


# -- by similarity -------------------------------------------------------------------------------------


def _find_best(
    template: Template, examples: CategoryExamples, features: ImageFeatures, decoder: PromptDecoder
) -> list[Match]:
    found = _search(template, examples, features, decoder, tries=5)
    return [_whole(max(found, key=lambda one: one.score), examples)] if found else []


def _find_all(
    template: Template, examples: CategoryExamples, features: ImageFeatures, decoder: PromptDecoder
) -> list[Match]:
    most = int(template.parameters["max_objects"])
    found = _search(template, examples, features, decoder, tries=2 * most)
    kept = without_doubles(found, template.parameters["max_overlap"])[:most]
    return [_whole(one, examples) for one in kept]


@dataclass(frozen=True, eq=False)
class _Found:
    """An object of a search, with its mask at the size of the logits."""

    mask: NDArray[np.bool_]
    score: float
    candidates: Candidates
    index: int


def _whole(found: _Found, examples: CategoryExamples) -> Match:
    return Match(examples.category, found.candidates.full(found.index), found.score, found.candidates.prompt)


def _search(
    template: Template, examples: CategoryExamples, features: ImageFeatures, decoder: PromptDecoder, *, tries: int
) -> list[_Found]:
    """Prompt where an object of the examples' size would be most similar, then at the next place not yet covered."""
    limits = template.parameters
    weight, parts = limits["background_weight"], int(limits["parts"])
    similarity = similarity_map(features, examples, background_weight=weight, parts=parts)
    if limits["guidance"]:
        decoder = _guided(decoder, features.on_own_cells(similarity), limits["guidance"])
    diameter = features.diameter_in_cells(examples) * similarity.shape[0] / features.cells[0]
    places, bright, tried = _places(similarity, diameter), _smooth(similarity), max(1, round(diameter * TRIED))
    found: list[_Found] = []
    misses = 0
    # Places are tried from the most similar down, so several misses mean that only worse ones are left.
    while tries and misses < MAX_MISSES and places.max() >= limits["min_similarity"]:
        tries, misses = tries - 1, misses + 1
        row, column = divmod(int(np.argmax(places)), places.shape[1])
        # For a round object its middle is the better click; for others the middle may be outside the object.
        cells = {(row, column), _brightest(bright, (row, column), max(1, round(diameter * 0.4)))}
        match = _decode_at(cells, places.shape, limits, examples, features, decoder)
        cv2.circle(places, (column, row), tried, -1.0, thickness=-1)
        if match is None:
            continue
        places[cells_of(match.mask, places.shape) > 0.25] = -1.0
        if match.score >= limits["min_score"] and _matches_back(match.mask, limits, examples, features):
            misses = 0
            found.append(_cascaded(match, limits, examples, features, decoder))
    return found


def _matches_back(
    mask: NDArray[np.bool_], limits: Mapping[str, float], examples: CategoryExamples, features: ImageFeatures
) -> bool:
    least = limits["reverse_check"]
    return not least or share_matched_back(features, mask, examples) >= least


def _guided(decoder: PromptDecoder, similarity: NDArray[np.float32], weight: float) -> PromptDecoder:
    """The same model, with its attention guided to similar cells.

    PerSAM (section 3.2) adds the map to attention weights and applies a softmax once more. Weights of thousands of
    cells are so small that this makes all of them nearly equal, so here they are multiplied by the map.
    """
    spread = float(similarity.std()) or 1.0
    guide = (1 / (1 + np.exp(-(similarity - similarity.mean()) / spread))) ** weight

    def decode(embedding: Embedding, prompt: Prompt) -> Prediction:
        try:
            return decoder.decode(embedding, prompt, guidance=guide)
        except TypeError as error:
            if "guidance" not in str(error):
                raise
            raise TemplateError(
                "guidance: this model's attention cannot be drawn anywhere; set guidance=0, or use MobileSAM or one "
                "of segment-anything's own models."
            ) from error

    return PromptDecoder(decoder.decode, proposer(decode))


def _cascaded(
    match: _Found,
    limits: Mapping[str, float],
    examples: CategoryExamples,
    features: ImageFeatures,
    decoder: PromptDecoder,
) -> _Found:
    """The mask refined by the model, then with its bounding box (PerSAM, section 3.3), while that is not worse."""
    for turn in range(int(limits["cascade"])):
        prompt, logits = match.candidates.prompt, match.candidates.logits
        if logits is None:
            logits = decoder.decode(features.embedding, prompt).low_res_logits.__getitem__
        if turn:
            x, y, wide, high = mask_bbox(match.candidates.full(match.index))
            if not (wide and high):
                break
            prompt = Prompt(prompt.points, prompt.point_labels, (x, y, x + wide, y + high))
        prediction = decoder.decode(features.embedding, prompt, mask_input=logits(match.index))
        again = _best_candidate(as_candidates(prediction, match.mask.shape), limits, examples, features)
        if again is None or again.score < match.score:
            break
        match = again
    return match


def _places(similarity: NDArray[np.float32], diameter: float) -> NDArray[np.float32]:
    """Mean similarity of a disc of the examples' size around every cell: highest in the middle of an object.

    A single cell says little about an object of many, and the most similar one is often at its edge, where a click
    means the edge.
    """
    side = 2 * max(1, round(diameter * 0.4)) + 1
    disc = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.float32)
    return np.asarray(cv2.filter2D(similarity, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE), np.float32)


def _brightest(values: NDArray[np.float32], cell: tuple[int, int], radius: int) -> tuple[int, int]:
    """The cell with the highest value, of those at most `radius` rows and columns away."""
    top, left = max(0, cell[0] - radius), max(0, cell[1] - radius)
    part = values[top : cell[0] + radius + 1, left : cell[1] + radius + 1]
    row, column = divmod(int(np.argmax(part)), part.shape[1])
    return top + row, left + column


def _decode_at(
    cells: Iterable[tuple[int, int]],
    shape: tuple[int, ...],
    limits: Mapping[str, float],
    examples: CategoryExamples,
    features: ImageFeatures,
    decoder: PromptDecoder,
) -> _Found | None:
    """Prompt at the centres of cells of `shape`, then at the middle of the best mask, while that is better."""
    (height, width), (rows, columns) = features.embedding.original_size, shape
    prompts = [Prompt.of(points=[((x + 0.5) * width / columns, (y + 0.5) * height / rows)]) for y, x in sorted(cells)]
    tries = [_best_candidate(one, limits, examples, features) for one in decoder.propose(features.embedding, prompts)]
    match = max((m for m in tries if m is not None), key=lambda m: m.score, default=None)
    if match is None:
        return None
    for _ in range(int(limits["refine"])):
        # A box around the mask was tried too: it raises the predicted IoU of anything in it, also of nothing.
        _, (x, y) = _known(match.candidates, ("middle", match.index), partial(deepest_pixel, match.mask, precise=False))
        centred = Prompt.of(points=[(x * width / match.mask.shape[1], y * height / match.mask.shape[0])])
        [candidates] = decoder.propose(features.embedding, [centred])
        again = _best_candidate(candidates, limits, examples, features)
        if again is None or again.score <= match.score:
            break
        match = again
    return match


def _best_candidate(
    candidates: Candidates, limits: Mapping[str, float], examples: CategoryExamples, features: ImageFeatures
) -> _Found | None:
    """The candidate mask most similar to the examples in features, size and the model's own estimate."""
    area_of_frame = features.embedding.input_size[0] * features.embedding.input_size[1]
    wanted = float(np.median([example.diameter for example in examples.examples]))
    largest = limits["max_area_ratio"]
    prototypes = np.stack([example.prototype for example in examples.examples])
    background = np.stack(examples.background) if examples.background else prototypes[:0]
    best: _Found | None = None
    for index, (mask, predicted_iou) in enumerate(zip(candidates.small, candidates.scores, strict=True)):
        area = _known(candidates, ("area", index), mask.mean) * area_of_frame
        if not area or not 1 / largest <= area / wanted**2 <= largest:
            continue
        mean = _known(candidates, ("look", index), partial(features.mean_inside, mask))
        look = float(features.alike(prototypes, mean).max())
        if examples.background:
            look -= limits["background_weight"] * max(0.0, float(features.alike(background, mean).max()))
        score = max(look, 0.0) * float(np.clip(predicted_iou, 0, 1))
        if best is None or score > best.score:
            best = _Found(mask, score, candidates, index)
    return best


# -- overlaps ------------------------------------------------------------------------------------------


def _known(candidates: Candidates, what: object, find_out: Callable[[], Any]) -> Any:
    """A value about candidate masks, cached: it does not depend on the template."""
    if what not in candidates.memo:
        candidates.memo[what] = find_out()
    return candidates.memo[what]


def _without_rivals(found: list[Match], max_iou: float) -> list[Match]:
    """Without those for which another category has nearly the same mask with a higher score; the order stays."""
    kept: list[Match] = []
    for match in sorted(found, key=lambda match: -match.score):
        others = (other for other in kept if other.category != match.category)
        if all(mask_iou(match.mask, other.mask) <= max_iou for other in others):
            kept.append(match)
    chosen = {id(match) for match in kept}
    return [match for match in found if id(match) in chosen]


def _smooth(similarity: NDArray[np.float32]) -> NDArray[np.float32]:
    # A single bright cell at an edge is a worse place to click than the middle of a bright patch.
    return np.asarray(cv2.GaussianBlur(similarity, (3, 3), 0.8), np.float32)


Strategy = Callable[[Template, CategoryExamples, ImageFeatures, PromptDecoder], list[Match]]

#: Strategy name → function; `add_strategy` adds to it.
STRATEGIES: dict[str, Strategy] = {
    "fixed": find_fixed,
    "match": _find_best,
    "match_all": _find_all,
    "phrase": find_phrase,
}


def add_strategy(name: str, find: Strategy) -> None:
    """Register a strategy under a name; replaces an earlier one.

    Parameters
    ----------
    name : str
    find : callable
        ``find(template, examples, features, decoder)``: the matches of one category on one image. `examples` are its
        `CategoryExamples`, `features` the image's embedding and its features, `decoder` has the model's `decode` and
        `propose`.
    """
    STRATEGIES[name] = find
    if name not in STRATEGY_NAMES:
        STRATEGY_NAMES.append(name)
