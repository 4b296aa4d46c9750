"""Candidate masks of many prompts on one image, scaled up to the image only when they are wanted.

A search asks the model dozens of times and keeps a few masks. Scaling three masks to the size of the image takes as
long as computing them, and one call for many prompts takes less than as many calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..prompts import Embedding, Prediction, Prompt

__all__ = ["Proposal", "Propose", "as_proposal", "proposer"]


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
    logits : callable, optional
        Gives the logits of that index, as the model takes them back to be refined; None where they were not kept.
    """

    prompt: Prompt
    scores: NDArray[np.float32]
    small: NDArray[np.bool_]
    full: Callable[[int], NDArray[np.bool_]] = field(repr=False)
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)
    logits: Callable[[int], NDArray[np.float32]] | None = field(default=None, repr=False)


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
    return lambda embedding, prompts: [as_proposal(decode(embedding, prompt)) for prompt in prompts]


def as_proposal(prediction: Prediction, small: tuple[int, ...] | None = None) -> Proposal:
    """The same from a prediction, its small masks of that size (h, w), or as large as the image."""
    masks = prediction.masks
    shrunk = masks if small is None else np.stack([_shrunk(mask, small) for mask in masks])
    logits = prediction.low_res_logits
    return Proposal(
        prediction.prompt, prediction.scores, shrunk, lambda index: masks[index], logits=lambda index: logits[index]
    )


def _shrunk(mask: NDArray[np.bool_], size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    share = cv2.resize(mask.astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(share >= 0.5)
