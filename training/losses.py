"""What a batch costs: mask losses, score losses, and where the next corrective click goes."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

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


def total_loss(logits: Tensor, scores: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Loss of one decoding: logits (N, 4, H, W), scores (N, 4), targets (N, H, W).

    Mask 0 (the single answer) always learns; of masks 1 to 3 the best one does, the others hardly, so that they may
    differ (Kirillov et al. 2023). All scores learn the true IoU of their mask.
    """
    each = mask_losses(logits, targets)
    ious = true_ious(logits, targets)
    masks = 0.5 * each[:, 0] + each[:, 1:].amin(1) + 0.03 * each[:, 1:].mean(1)
    # The mask that would be shown, softly: where the scores hesitate between readings, all of them are held to account.
    chosen = torch.softmax(scores.detach()[:, 1:] / SHOWN_WIDTH, 1)
    masks = masks + SHOWN_SHARE * (chosen * each[:, 1:]).sum(1)
    ranking = F.binary_cross_entropy(scores, ious) * 4
    shown = scores.detach()
    picked = shown[:, 1:].argmax(1, keepdim=True)
    figures = {
        "best": float(ious[:, 1:].amax(1).mean()),
        "scored": float(ious[:, 1:].gather(1, picked).mean()),
        "single": float(ious[:, 0].mean()),
        "score_error": float((shown - ious).abs().mean()),
    }
    return masks.mean() + 0.25 * ranking, figures


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
