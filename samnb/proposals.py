"""Candidate masks of many prompts on one image, scaled up to the image only when they are wanted.

A search asks the model dozens of times and keeps a few masks. Scaling three masks to the size of the image takes as
long as computing them, and one call for many prompts takes less than as many calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .prompts import Embedding, Prediction, Prompt

__all__ = ["Proposal", "Propose", "proposer"]


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a model answers to one prompt.

    Parameters
    ----------
    prompt : Prompt
        In image pixels.
    scores : (N,) float32
        The model's own estimate of each mask's IoU.
    small : (N, h, w) bool
        The masks, of the whole image, at whatever size they were computed.
    full : callable
        Gives the (H, W) bool mask of that index.
    memo : dict
        What a search found out about its masks, so that the next one need not: a sweep asks the same many times.
    """

    prompt: Prompt
    scores: NDArray[np.float32]
    small: NDArray[np.bool_]
    full: Callable[[int], NDArray[np.bool_]] = field(repr=False)
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)


Propose = Callable[[Embedding, Sequence[Prompt]], list[Proposal]]


def proposer(decode: Callable[..., Prediction], model: Any = None) -> Propose:
    """How to ask for many prompts: the model's own `propose` if it has one, else one `decode` after the other.

    Parameters
    ----------
    decode : callable
        `Model.decode`.
    model : Model, optional
    """
    own: Propose | None = getattr(model, "propose", None)
    if own is not None:
        return own
    return lambda embedding, prompts: [_proposal(decode(embedding, prompt)) for prompt in prompts]


def _proposal(prediction: Prediction) -> Proposal:
    masks = prediction.masks
    return Proposal(prediction.prompt, prediction.scores, masks, lambda index: masks[index])
