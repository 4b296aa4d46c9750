"""What the decoder passes from step to step: the image side, the first pass's answer, figures of a mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .layers import Prompts


@dataclass(frozen=True, eq=False)
class ImageSide:
    """What the decoder makes of I entries, whatever the prompt."""

    trunk: Tensor
    draw: Tensor
    looks16: Tensor
    looks8: Tensor
    crop: Tensor
    looks4: Tensor
    coarse: np.ndarray
    fine: np.ndarray

    def of(self, owners: Tensor) -> ImageSide:
        """The same for B prompts, each on the image of its number; the colours stay those of the images."""
        if len(owners) == len(self.trunk) == 1:
            return self
        own = ("trunk", "draw", "looks16", "looks8", "crop", "looks4")
        return replace(self, **{name: getattr(self, name)[owners] for name in own})


@dataclass(frozen=True, eq=False)
class Answer:
    """The first pass's answer to B prompts.

    Parameters
    ----------
    logits
        (B, MASKS, H, W) at stride 4.
    scores
        (B, MASKS) logits of the estimated IoU.
    cells
        (B, DRAW_DIM, H / 2, W / 2), what the first pass knows of each cell.
    vector
        (B, VECTOR_DIM), see `VECTOR_DIM`.
    side, prompts, fills
        What it was made of, prompt by prompt; `fills` at stride 4.
    owners
        (B,) the image of each prompt.
    """

    logits: Tensor
    scores: Tensor
    cells: Tensor
    vector: Tensor
    side: ImageSide
    prompts: Prompts
    fills: Tensor
    owners: Tensor

    def of(self, chosen: Tensor) -> Answer:
        """The answer to some of the prompts, by their numbers."""
        own = ("logits", "scores", "cells", "vector", "fills", "owners")
        parts: dict[str, Any] = {name: getattr(self, name)[chosen] for name in own}
        return replace(self, **parts, side=self.side.of(chosen), prompts=self.prompts.of(chosen))


def mask_facts(logits: Tensor, fills: Tensor) -> tuple[Tensor, Tensor]:
    """Figures that tell how good a mask is.

    Parameters
    ----------
    logits
        (B, M, 2 H, 2 W).
    fills
        (B, F, H, W) in 0..1, from foreground clicks.

    Returns
    -------
    tuple
        (B, M, 3 + F / 2): expected IoU, root of the share of the frame, decidedness inside, IoU with each fill; and
        (B, M, H * W) the cells each mask covers, adding up to 1.
    """
    soft = torch.sigmoid(logits)
    hard = (logits > 0).to(soft)
    area, overlap, total = hard.sum((2, 3)), (soft * hard).sum((2, 3)), soft.sum((2, 3))
    expected = overlap / (area + total - overlap + 1e-3)
    inside = overlap / (area + 1e-3)
    share = area / hard[0, 0].numel()
    halved = F.avg_pool2d(soft, 2).flatten(2)
    reached = fills.flatten(2)
    common = torch.einsum("bmn,bfn->bmf", halved, reached)
    joined = halved.sum(2)[:, :, None] + reached.sum(2)[:, None] - common
    agreed = common / (joined + 1e-3)
    coverage = halved / (halved.sum(2, keepdim=True) + 1e-3)
    return torch.cat([torch.stack([expected, share.sqrt(), inside], 2), agreed], 2), coverage
