"""Candidate masks of many prompts on one image, scaled up to the image only on request.

A search sends dozens of prompts and keeps a few masks. Scaling three masks to the size of the image takes as long as
computing them, and one call for many prompts takes less time than one call for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from ..prompts import Embedding, Prediction, Prompt


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidate masks of one prompt.

    Parameters
    ----------
    prompt : Prompt
        In image pixels.
    scores : (N,) float32
        The model's own estimate of each mask's IoU.
    small : (N, h, w) bool
        The masks of the whole image, at the size at which they were computed.
    full : callable
        Returns the (H, W) bool mask of an index.
    memo : dict
        Results that a search keeps for these masks: a sweep sends the same prompts many times.
    logits : callable, optional
        Returns the logits of an index, which the model takes as `mask_input`; None if they were not kept.
    above : callable, optional
        Returns the (H, W) bool mask of an index where its logits are above a level; None if only masks are known.
    stable : callable, optional
        Returns the (H, W) bool mask of an index and its stability, 0 to 1, for an offset of the threshold on logits:
        the IoU of the masks above the offset and above its negative. None if only masks are known.

    Examples
    --------
    >>> masks = np.zeros((1, 4, 4), bool)
    >>> candidates = Candidates(
    ...     prompt=Prompt.of(points=[(1, 1)]),
    ...     scores=np.array([0.9], np.float32),
    ...     small=masks[:, ::2, ::2],
    ...     full=lambda index: masks[index],
    ... )
    >>> candidates.full(0).shape
    (4, 4)
    """

    prompt: Prompt
    scores: NDArray[np.float32]
    small: NDArray[np.bool_]
    full: Callable[[int], NDArray[np.bool_]] = field(repr=False)
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)
    logits: Callable[[int], NDArray[np.float32]] | None = field(default=None, repr=False)
    above: Callable[[int, float], NDArray[np.bool_]] | None = field(default=None, repr=False)
    stable: Callable[[int, float], tuple[NDArray[np.bool_], float]] | None = field(default=None, repr=False)


Propose = Callable[[Embedding, Sequence[Prompt]], list[Candidates]]


@runtime_checkable
class SupportsProposals(Protocol):
    """A `Model` that answers many prompts on one image in fewer calls of its net."""

    def propose(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Candidates]:
        """Compute the candidate masks of each prompt, in their order."""


def proposer(decode: Callable[..., Prediction], model: object = None) -> Propose:
    """Choose how many prompts are decoded: by `model.propose` where supported, else by one `decode` for each.

    Parameters
    ----------
    decode : callable
        `Model.decode`.
    model : Model, optional
    """
    if isinstance(model, SupportsProposals):
        return model.propose
    return lambda embedding, prompts: [as_candidates(decode(embedding, prompt)) for prompt in prompts]


def as_candidates(prediction: Prediction, small: tuple[int, ...] | None = None) -> Candidates:
    """The candidate masks of a prediction, with small ones of size `small` (h, w), or of the image's size."""
    masks = prediction.masks
    shrunk = masks if small is None else np.stack([_shrunk(mask, small) for mask in masks])
    logits = prediction.low_res_logits
    return Candidates(
        prediction.prompt, prediction.scores, shrunk, lambda index: masks[index], logits=lambda index: logits[index]
    )


def _shrunk(mask: NDArray[np.bool_], size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    share = cv2.resize(mask.astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(share >= 0.5)
