"""The strategy "phrase": the objects that a model with words finds by a phrase, by exemplars, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TemplateError
from ..models import Exemplar, ExemplarTokens, FoundObjects, Model, check_phrases
from ..models.phrases import Find
from ..prompts import Embedding
from .examples import CategoryExamples, ImageExemplars
from .image_features import ImageFeatures
from .match import Match, PromptDecoder, without_doubles
from .template import Template


def find_phrase(
    template: Template, examples: CategoryExamples, features: ImageFeatures, decoder: PromptDecoder
) -> list[Match]:
    """The objects of one category, the best score first.

    Parameters
    ----------
    template : Template
    examples : CategoryExamples
        With a phrase, exemplars, or both.
    features : ImageFeatures
    decoder : PromptDecoder
        With `find`.
    """
    if decoder.find is None or not (examples.phrase or examples.exemplars):
        raise TemplateError(
            f"strategy 'phrase': {examples.category!r} has no phrase, or the search got no model that knows words. "
            'Make the template by session.template(name, phrase="yellow taxi").'
        )
    limits = template.parameters
    found = decoder.find(
        features.embedding,
        phrase=examples.phrase or None,
        exemplars=[ExemplarTokens(one.tokens, template.model) for one in examples.exemplars],
        min_score=limits["min_score"],
    )
    # Overlaps are those of the small masks: full ones are made for the objects that are kept.
    objects = [_Small(mask, float(found.scores[number]), number) for number, mask in enumerate(found.small)]
    kept = without_doubles([one for one in objects if one.mask.any()], limits["max_overlap"])
    matches = (
        Match(examples.category, found.masks.one(one.number), one.score, found.prompt(one.number))
        for one in kept[: int(limits["max_objects"])]
    )
    return [match for match in matches if match.mask.any()]


def image_exemplars(
    pixel_hash: str, exemplars: Sequence[Exemplar], embedding: Embedding, model: Model
) -> ImageExemplars:
    """Exemplars of a template from boxes on one image.

    Raises
    ------
    ModelError
        The model knows no words.
    PromptError
        No box, or one outside the image.
    """
    tokens = check_phrases(model).exemplar_tokens(embedding, exemplars)
    height, width = embedding.original_size
    boxes = tuple((x0 / width, y0 / height, x1 / width, y1 / height) for x0, y0, x1, y1 in (e.box for e in exemplars))
    return ImageExemplars(pixel_hash, boxes, tuple(one.positive for one in exemplars), tokens.values)


class KnownSearches:
    """`find` for one image: a search is done again only for objects with lower scores than before.

    Parameters
    ----------
    find : callable
        `SupportsPhrases.find`.
    least : float, optional
        Always search for objects from this score, and for none below it.
    """

    def __init__(self, find: Find, *, least: float | None = None):
        self._find, self._least = find, least
        self._known: dict[Any, tuple[float, FoundObjects, Sequence[ExemplarTokens]]] = {}

    def __call__(
        self, embedding: Embedding, *, phrase: str | None, exemplars: Sequence[ExemplarTokens], min_score: float
    ) -> FoundObjects:
        """As `SupportsPhrases.find`; for exemplars as tokens."""
        key = (phrase, *(id(one.values) for one in exemplars))
        searched, found, _ = self._known.get(key, (2.0, None, ()))
        if found is None or searched > max(min_score, self._least or 0.0):
            searched = min_score if self._least is None else self._least
            found = self._find(embedding, phrase=phrase, exemplars=exemplars, min_score=searched)
            self._known[key] = (searched, found, exemplars)  # held, so that their addresses are not used again
        return found.above(min_score)


@dataclass(frozen=True, eq=False)
class _Small:
    mask: NDArray[np.bool_]
    score: float
    number: int
