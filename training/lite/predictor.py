"""From an entry and prompts in image pixels to logits and scores: what drives `LiteDecoder`."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samnb.errors import ModelError, PromptError
from samnb.prompts import Embedding, Prompt
from training.lite.config import FINE_DIM, LOGIT_STRIDE, MASKS, MIDDLE_DIM, SEMANTIC_DIM

__all__ = ["Answer", "LitePredictor", "stability"]

STEADY = 1.0
"""By how much the threshold on logits is raised and lowered to see how steady a mask is."""

KEPT_IMAGES = 4
"""Images whose side of the decoder is kept: 3 MB each."""

Answer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Logits (N, h, w) and scores (N,) of one prompt."""


class LitePredictor:
    """The prompt side with what it made of the last few images.

    Parameters
    ----------
    decoder : LiteDecoder
    frame : int
        Side of the square that images were scaled to, in pixels.
    refine : bool
        Whether the second pass is taken.
    device : str
    """

    def __init__(self, decoder: Any, *, frame: int, refine: bool, device: str):
        self.decoder, self.frame, self.refine, self.device = decoder, frame, refine, device
        self._sides: list[tuple[weakref.ref[Embedding], Any]] = []

    def run(
        self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool, mask_input: Any = None
    ) -> list[Answer]:
        """Logits and scores of prompts on one image; call it within ``torch.inference_mode``.

        Parameters
        ----------
        multimask
            Three candidates, or one.
        mask_input : (h, w) or (1, h, w) float, optional
            Logits of an earlier answer, for a single prompt.
        """
        import torch

        earlier = None if mask_input is None else self._mask_input(mask_input)
        side, given = self._side_of(embedding), self._prompts(embedding, prompts, earlier)
        owners = torch.zeros(len(prompts), dtype=torch.long, device=self.device)
        answer = self.decoder.first_pass(side, owners, given)
        wanted = list(range(1, MASKS)) if multimask else [0]
        count = len(wanted)
        which = torch.tensor([wanted], device=self.device).expand(len(prompts), -1)
        if self.refine:
            drawn = self.decoder.second_pass(side, answer, which)
            logits, scores = drawn.in_frame()[:, 0], drawn.scores
        else:
            logits = torch.nn.functional.interpolate(answer.logits[:, wanted], scale_factor=2.0, mode="bilinear")
            logits, scores = logits.flatten(0, 1), answer.scores[:, wanted].flatten()
        drawn_logits = logits.float().cpu().numpy().reshape(len(prompts), count, *logits.shape[-2:])
        estimates = torch.sigmoid(scores).float().cpu().numpy().reshape(len(prompts), count)
        steady = stability(drawn_logits)
        estimates *= steady / np.maximum(steady.max(1, keepdims=True), 1e-6)
        return list(zip(drawn_logits, estimates, strict=True))

    def _side_of(self, embedding: Embedding) -> Any:
        """What the prompt side makes of an image, kept for the last few images."""
        import torch

        for owner, side in self._sides:
            if owner() is embedding:
                return side
        cells = self.frame // 16
        expected = {
            "semantic": (SEMANTIC_DIM, cells, cells),
            "middle": (MIDDLE_DIM, 2 * cells, 2 * cells),
            "fine": (FINE_DIM, 4 * cells, 4 * cells),
            "colours": (3, 8 * cells, 8 * cells),
        }
        got = {name: tuple(values.shape) for name, values in embedding.tensors.items()}
        if got != expected:
            raise ModelError(
                f"The embedding is another model's: expected {expected}; got {got}. Encode the image with this model."
            )
        entry = {
            name: torch.tensor(np.asarray(embedding.tensors[name], np.float32), device=self.device)[None]
            for name in expected
        }
        side = self.decoder.look_at(entry)
        self._sides = [(weakref.ref(embedding), side), *self._sides[: KEPT_IMAGES - 1]]
        return side

    def _prompts(self, embedding: Embedding, prompts: Sequence[Prompt], earlier: Any) -> Any:
        """In pixels of the frame; prompts of fewer points are filled up with points that are none."""
        import torch

        from training.lite.layers import Prompts

        most = max(len(prompt.points) for prompt in prompts)
        points, labels = np.zeros((len(prompts), most, 2), "f"), np.full((len(prompts), most), -1, "f")
        boxes = np.full((len(prompts), 4), -1, "f")
        scale = np.array(embedding.input_size[::-1], float) / np.array(embedding.original_size[::-1], float)
        for number, prompt in enumerate(prompts):
            count = len(prompt.points)
            if count:
                points[number, :count] = (np.asarray(prompt.points) + 0.5) * scale
                labels[number, :count] = prompt.point_labels
            if prompt.box is not None:
                boxes[number] = np.asarray(prompt.box) * np.tile(scale, 2)
        given = (torch.from_numpy(values).to(self.device) for values in (points, labels, boxes))
        return Prompts(*given, earlier)

    def _mask_input(self, mask_input: NDArray[np.floating[Any]]) -> Any:
        import torch

        side = self.frame // LOGIT_STRIDE
        values = np.asarray(mask_input, np.float32)
        if values.shape not in ((side, side), (1, side, side)):
            raise PromptError(f"mask_input: expected ({side}, {side}), low_res_logits of a prediction; {values.shape}.")
        return torch.tensor(values.reshape(1, 1, side, side), device=self.device)


def stability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """How little masks (..., h, w) depend on where the threshold lies: IoU of a raised and a lowered one, (...).

    A small net's estimate of IoU ranks masks less well than this does (EdgeSAM, 2023); both together rank best here.
    """
    high, low = (logits > STEADY).sum((-2, -1)), (logits > -STEADY).sum((-2, -1))
    return (high / np.maximum(low, 1)).astype(np.float32)
