"""What one round of prompts costs: masks of both passes and their scores; and where the next corrective click goes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from samnb.models.tiny.answer import Answer
from samnb.models.tiny.crop_pass import Refined

SHOWN_SHARE, SHOWN_WIDTH = 0.5, 0.05
"""How much the mask that would be shown counts beside the best one; how far below the top score one still counts."""


def mask_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy plus dice of each mask.

    Cross-entropy is divided by the root of the object's share of the image (with a floor), so that small objects count
    while most of an image is still background.

    Parameters
    ----------
    logits
        (N, M, H, W).
    targets
        (N, H, W) in 0..1.

    Returns
    -------
    Tensor
        (N, M).
    """
    wanted = targets[:, None].expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean((2, 3))
    area = wanted.sum((2, 3))
    entropy = entropy / (area / targets[0].numel()).clamp(min=0.01).sqrt()
    soft = torch.sigmoid(logits)
    dice = 1 - (2 * (soft * wanted).sum((2, 3)) + 1) / (soft.sum((2, 3)) + area + 1)
    return entropy + dice


@torch.no_grad()
def true_ious(logits: Tensor, targets: Tensor) -> Tensor:
    """IoU (N, M) of the masks as they would be drawn, with the targets."""
    drawn, wanted = logits > 0, (targets > 0.5)[:, None]
    union = (drawn | wanted).sum((2, 3))
    return (drawn & wanted).sum((2, 3)) / union.clamp(min=1)


def next_clicks(logits: Tensor, targets: Tensor, stride: int = 2) -> tuple[Tensor, Tensor]:
    """Click into the deepest point of the larger kind of error, as a person would.

    Parameters
    ----------
    logits
        (N, H, W) of the masks shown.
    targets
        (N, H, W).
    stride
        Pixels of the image per mask pixel.

    Returns
    -------
    tuple
        (N, 2) x, y in image pixels and (N,) labels: 1 where something was missed, 0 where too much was taken.
    """
    drawn = (logits.detach() > 0).cpu().numpy()
    wanted = (targets > 0.5).cpu().numpy()
    clicks = np.zeros((len(drawn), 2), np.float32)
    labels = np.ones(len(drawn), np.float32)
    for i, (have, want) in enumerate(zip(drawn, wanted, strict=True)):
        missed, extra = want & ~have, have & ~want
        labels[i] = float(missed.sum() >= extra.sum())
        wrong = missed if labels[i] else extra
        if not wrong.any():  # nothing to mend: confirm the object
            wrong = want if want.any() else ~want
            labels[i] = float(want.any())
        depth = cv2.distanceTransform(np.pad(wrong, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        clicks[i] = (x * stride + stride // 2, y * stride + stride // 2)
    return torch.from_numpy(clicks), torch.from_numpy(labels)


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
