"""What one round of prompts costs the embedded net: masks of both passes, and their scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from samnb.models.tiny_lite0.answer import Answer
from samnb.models.tiny_lite0.crop_pass import Refined
from training.losses import SHOWN_SHARE, SHOWN_WIDTH, mask_losses, true_ious


@dataclass(frozen=True, eq=False)
class FirstPass:
    """The first pass's loss (scalar), the IoUs of its masks (B, MASKS), and figures for the log."""

    loss: Tensor
    ious: Tensor
    figures: dict[str, float]


def first_pass_loss(answer: Answer, targets: Tensor) -> FirstPass:
    """Compare the first pass's masks with targets (B, 384, 384).

    The single mask always learns; of the three candidates the best one does, and softly those that would be shown.
    """
    wanted = F.avg_pool2d(targets[:, None], 4)[:, 0]
    each, ious = mask_losses(answer.logits, wanted), true_ious(answer.logits, wanted)
    shown = torch.sigmoid(answer.scores.detach())
    masks = 0.5 * each[:, 0] + each[:, 1:].amin(1) + 0.03 * each[:, 1:].mean(1)
    chosen = torch.softmax(shown[:, 1:] / SHOWN_WIDTH, 1)
    masks = masks + SHOWN_SHARE * (chosen * each[:, 1:]).sum(1)
    ranking = F.binary_cross_entropy_with_logits(answer.scores, ious)
    picked = shown[:, 1:].argmax(1, keepdim=True)
    figures = {
        "best": float(ious[:, 1:].amax(1).mean()),
        "scored": float(ious[:, 1:].gather(1, picked).mean()),
        "single": float(ious[:, 0].mean()),
        "score_error": float((shown - ious).abs().mean()),
    }
    return FirstPass(masks.mean() + ranking, ious, figures)


def second_pass_loss(refined: Refined, targets: Tensor, before: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Compare masks drawn anew with their targets.

    Parameters
    ----------
    refined
        K masks.
    targets
        (K, 384, 384).
    before
        (K,) IoUs of the same masks after the first pass.
    """
    wanted = crop_targets(targets, refined.windows, refined.logits.shape[-1])
    each = mask_losses(refined.logits, wanted[:, None][:, 0])[:, 0]
    ious = crop_ious(refined, targets, wanted)
    # A mask that is another reading of the prompt is not to be bent to this target.
    weight = (before / 0.4).clamp(0.1, 1)
    ranking = F.binary_cross_entropy_with_logits(refined.scores, ious)
    figures = {
        "refined": float(ious.mean()),
        "gain": float((ious - before).mean()),
        "refined_error": float((torch.sigmoid(refined.scores.detach()) - ious).abs().mean()),
    }
    return (weight * each).mean() + ranking, figures


@torch.no_grad()
def crop_targets(targets: Tensor, windows: Tensor, cells: int) -> Tensor:
    """(K, cells, cells) share of each cell of the crops that (K, S, S) targets cover."""
    steps = (torch.arange(cells, device=targets.device) + 0.5) / cells
    frame = targets.shape[-1]
    x = (windows[:, 0, None] + windows[:, 2, None] * steps) / frame * 2 - 1
    y = (windows[:, 1, None] + windows[:, 2, None] * steps) / frame * 2 - 1
    grid = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), -1)
    return F.grid_sample(targets[:, None], grid, align_corners=False)[:, 0]


@torch.no_grad()
def crop_ious(refined: Refined, targets: Tensor, wanted: Tensor) -> Tensor:
    """(K,) IoUs of masks in crops; what a target holds outside its crop counts as missed."""
    drawn, inside = refined.logits[:, 0] > 0, wanted > 0.5
    pixels = (refined.windows[:, 2] / wanted.shape[-1]).square()
    outside = (targets.sum((1, 2)) - inside.sum((1, 2)) * pixels).clamp(min=0)
    union = (drawn | inside).sum((1, 2)) * pixels + outside
    return (drawn & inside).sum((1, 2)) * pixels / union.clamp(min=1)
