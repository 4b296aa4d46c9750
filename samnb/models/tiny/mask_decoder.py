"""The embedded net's prompt side: an entry and prompts to masks and scores, in two passes.

The first pass looks at the whole frame and draws all masks at stride 4. The second pass looks at a crop of the same
maps round one of these masks, gets the features in it, and draws it anew with finer cells: conditioning on
prompt and mask is what an image encoder that knows no prompt cannot do (FocalClick, CVPR 2022; FocSAM, CVPR 2024).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .answer import Answer, ImageSide, mask_facts
from .config import (
    CROP_DIM,
    DRAW_DIM,
    FINE_DIM,
    LOOK_DIM,
    LOOK_HEADS,
    MASKS,
    MIDDLE_DIM,
    SEMANTIC_DIM,
    TRUNK_DIM,
)
from .crop_pass import CropPass, Refined
from .fills import COARSE_FILLS, fill_maps, shades_of
from .image_encoder import Entry
from .layers import (
    PROMPT_MAPS,
    Block,
    Film,
    Pointwise,
    Prompts,
    compare,
    conv_norm,
    draw_prompts,
    seeds_of,
)

VECTOR_DIM = 2 * TRUNK_DIM + 4
"""What pooled clicks say: features of foreground and background clicks, and which kinds of prompt there are."""

FACTS = 3 + COARSE_FILLS // 2
"""Figures of a mask: expected IoU, root of its area, how decided it is inside; agreement with each fill."""

FIRST_FILLS = (3, 1, 3, 5)
"""The fill that each mask begins as."""


class MaskDecoder(nn.Module):
    """Entries and prompts to masks and scores."""

    def __init__(self) -> None:
        super().__init__()
        self.take_semantic = conv_norm(SEMANTIC_DIM, TRUNK_DIM)
        self.take_middle = conv_norm(MIDDLE_DIM, DRAW_DIM)
        self.look16 = Pointwise(SEMANTIC_DIM, LOOK_HEADS * LOOK_DIM)
        self.look8 = Pointwise(MIDDLE_DIM, LOOK_HEADS * LOOK_DIM // 2)
        self.look4 = Pointwise(FINE_DIM, LOOK_DIM)
        self.crop_fine, self.crop_middle = conv_norm(FINE_DIM, CROP_DIM), conv_norm(MIDDLE_DIM, CROP_DIM)
        self.tell16 = conv_norm(PROMPT_MAPS + COARSE_FILLS + 2 * LOOK_HEADS, TRUNK_DIM)
        self.tell8 = conv_norm(PROMPT_MAPS + COARSE_FILLS + LOOK_HEADS, DRAW_DIM)
        self.film16, self.film8 = Film(VECTOR_DIM, TRUNK_DIM), Film(VECTOR_DIM + TRUNK_DIM, DRAW_DIM)
        hidden = TRUNK_DIM * 3 // 2
        self.trunk = nn.ModuleList(Block(TRUNK_DIM, hidden, kernel) for kernel in (5, 7, 7))
        self.all_cells = nn.Linear(TRUNK_DIM, TRUNK_DIM)
        self.rise = conv_norm(TRUNK_DIM, DRAW_DIM)
        self.drawing = nn.Sequential(*(Block(DRAW_DIM, DRAW_DIM * 3 // 2, kernel) for kernel in (5, 3)))
        self.masks = Pointwise(DRAW_DIM, 4 * MASKS)
        self.believe = nn.Linear(VECTOR_DIM + TRUNK_DIM, MASKS * COARSE_FILLS)
        self._begin_with_fills()
        self.score = nn.Sequential(
            nn.Linear(DRAW_DIM + VECTOR_DIM + FACTS + MASKS, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 1),
        )
        self.crop_pass = CropPass(VECTOR_DIM)

    @torch.no_grad()
    def _begin_with_fills(self) -> None:
        """Let each mask begin as one of the fills: a net that begins with empty masks takes much longer to learn."""
        nn.init.zeros_(self.believe.weight)
        beliefs = torch.zeros(MASKS, COARSE_FILLS)
        beliefs[range(MASKS), FIRST_FILLS] = 4.0
        self.believe.bias.copy_(beliefs.flatten())
        self.masks.weight.mul_(0.3)
        assert self.masks.bias is not None
        self.masks.bias.fill_(-2.0)

    def image_side(self, entry: Entry) -> ImageSide:
        """What is the same for all prompts on these images."""
        semantic, middle, fine = entry["semantic"], entry["middle"], entry["fine"]
        risen = F.interpolate(self.crop_middle(middle), scale_factor=2.0, mode="bilinear", align_corners=False)
        return ImageSide(
            self.take_semantic(semantic),
            self.take_middle(middle),
            F.normalize(self.look16(semantic).unflatten(1, (LOOK_HEADS, LOOK_DIM)), dim=2),
            F.normalize(self.look8(middle).unflatten(1, (LOOK_HEADS // 2, LOOK_DIM)), dim=2),
            self.crop_fine(fine) + risen,
            F.normalize(self.look4(fine), dim=1),
            *shades_of(entry["colours"]),
        )

    def first_pass(self, images: ImageSide, owners: Tensor, prompts: Prompts) -> Answer:
        """Draw all masks of B prompts, each on the image of its number in `owners` (B,)."""
        side = images.of(owners)
        fills = fill_maps(images.coarse, owners.cpu().numpy(), prompts, 4)
        size8 = (side.draw.shape[-2], side.draw.shape[-1])
        maps8 = draw_prompts(prompts, size8, 8)
        maps16, fills8 = F.avg_pool2d(maps8, 2), F.avg_pool2d(fills, 2)
        seeds16, seeds8 = seeds_of(maps16), seeds_of(maps8)
        alike16, alike8 = compare(side.looks16, seeds16), compare(side.looks8, seeds8)
        clicked = torch.einsum("bsn,bcn->bsc", seeds16, side.trunk.flatten(2)).flatten(1)
        vector = torch.cat([clicked, kinds_of(prompts)], 1)
        x = side.trunk + self.tell16(torch.cat([maps16, F.avg_pool2d(fills8, 2), alike16], 1))
        x = F.relu(self.film16(x, vector)).contiguous(memory_format=torch.channels_last)
        for number, block in enumerate(self.trunk):
            x = block(x)
            if number == 0:
                x = x + self.all_cells(x.mean((2, 3)))[..., None, None]
        told = torch.cat([vector, x.mean((2, 3))], 1)
        risen = F.interpolate(self.rise(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        y = side.draw + risen + self.tell8(torch.cat([maps8, fills8, alike8], 1))
        y = self.drawing(F.relu(self.film8(y, told)).contiguous(memory_format=torch.channels_last))
        beliefs = self.believe(told).unflatten(1, (MASKS, COARSE_FILLS))
        logits = F.pixel_shuffle(self.masks(y), 2) + torch.einsum("bmf,bfhw->bmhw", beliefs, fills)
        scores = self._score(logits.detach(), y, vector, fills8)
        return Answer(logits, scores, y, vector, side, prompts, fills, owners)

    def second_pass(self, images: ImageSide, answer: Answer, which: Tensor) -> Refined:
        """Draw masks anew: K = P * M masks of P prompts.

        Parameters
        ----------
        images
            The images' side.
        answer
            The first pass's.
        which
            (P, M) numbers of the masks wanted of each prompt.
        """
        return self.crop_pass(images, answer, which)

    def _score(self, logits: Tensor, cells: Tensor, vector: Tensor, fills8: Tensor) -> Tensor:
        """Estimate IoUs, (B, MASKS) logits, from what the masks cover and how decided they are."""
        facts, coverage = mask_facts(logits, fills8[:, : COARSE_FILLS // 2])
        covered = torch.einsum("bmn,bcn->bmc", coverage, cells.flatten(2))
        own = torch.eye(MASKS, device=logits.device).expand(len(logits), -1, -1)
        seen = torch.cat([covered, vector[:, None].expand(-1, MASKS, -1), facts, own], 2)
        return self.score(seen).squeeze(-1)


def kinds_of(prompts: Prompts) -> Tensor:
    """(B, 4): many clicks or few, any background click, a box, an earlier answer."""
    clicks = (prompts.labels >= 0).sum(1).float().clamp(max=4) / 4
    away = (prompts.labels == 0).any(1).float() if prompts.labels.shape[1] else torch.zeros_like(clicks)
    known = torch.zeros_like(clicks)
    if prompts.logits is not None:
        known = (prompts.logits != 0).flatten(1).any(1).float()
    return torch.stack([clicks, away, prompts.boxed, known], 1)
