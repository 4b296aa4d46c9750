"""`Match`: one object found by a template; and `PromptDecoder`, the model as the strategies call it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..masks.geometry import overlap_of_smaller
from ..models.candidates import Propose
from ..models.phrases import Find
from ..prompts import Prediction, Prompt

Decode = Callable[..., Prediction]


@dataclass(frozen=True)
class PromptDecoder:
    """A model: `decode` for one prompt with any options, `propose` for many points, `find` for phrases."""

    decode: Decode
    propose: Propose
    find: Find | None = None


@dataclass(frozen=True, eq=False)
class Match:
    """One object found by a template.

    Parameters
    ----------
    category : str
    mask : (H, W) bool
    score : float
        Cosine of the mask with the nearest example x predicted IoU, 0 to 1 (strategy "fixed": predicted IoU x the
        similarity of its mask to the example's).
    prompt : Prompt
        The decoded prompt, in image pixels.
    """

    category: str
    mask: NDArray[np.bool_]
    score: float
    prompt: Prompt


class Scored(Protocol):
    """Something with a mask and a score."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(h, w) bool."""

    @property
    def score(self) -> float:
        """0 to 1."""


AnyScored = TypeVar("AnyScored", bound=Scored)


def without_doubles(found: Sequence[AnyScored], max_overlap: float) -> list[AnyScored]:
    """Without overlapping masks of lower score, in order of score."""
    kept: list[AnyScored] = []
    for match in sorted(found, key=lambda match: -match.score):
        if all(overlap_of_smaller(match.mask, other.mask) <= max_overlap for other in kept):
            kept.append(match)
    return kept
