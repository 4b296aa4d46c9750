"""The embedded net's image side: EfficientNet-Lite0 and a small pyramid, pixels to an entry of named tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .backbone import LiteBackbone
from .config import BACKBONE_DIMS, FINE_DIM, MIDDLE_DIM, SEMANTIC_DIM, SHADES
from .layers import Block, conv_norm

Entry = dict[str, Tensor]
"""``semantic``, ``middle``, ``fine``, ``colours``, ``backbone8``, ``backbone16`` of B images,
see `samnb.models.tiny.config`."""

WIDTHS = (24, 56, 128)
"""Channels of the pyramid at strides 4, 8, and 16 and 32."""


class Pyramid(nn.Module):
    """The backbone's maps, each told what the coarser ones know."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.take4, self.take8, self.take16, self.take32 = (
            conv_norm(inputs, outputs) for inputs, outputs in zip(BACKBONE_DIMS, (a, b, c, c), strict=True)
        )
        self.deep32 = nn.Sequential(Block(c, 2 * c), Block(c, 2 * c))
        self.deep16 = nn.Sequential(Block(c, 2 * c), Block(c, 2 * c))
        self.down16, self.down8 = conv_norm(c, b), conv_norm(b, a)
        self.deep8 = Block(b, 2 * b)
        self.deep4 = Block(a, 2 * a, 3)
        self.semantic = conv_norm(c, SEMANTIC_DIM)
        self.middle = conv_norm(b, MIDDLE_DIM)
        self.fine = conv_norm(a, FINE_DIM)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Maps at strides 4 to 32 to semantic, middle and fine map."""
        map4, map8, map16, map32 = maps
        x32 = self.deep32(F.relu(self.take32(map32)))
        x16 = self.deep16(F.relu(self.take16(map16) + F.interpolate(x32, scale_factor=2.0, mode="nearest")))
        above = F.interpolate(self.down16(x16), scale_factor=2.0, mode="bilinear", align_corners=False)
        x8 = self.deep8(F.relu(self.take8(map8) + above))
        above = F.interpolate(self.down8(x8), scale_factor=2.0, mode="bilinear", align_corners=False)
        x4 = self.deep4(F.relu(self.take4(map4) + above))
        return self.semantic(x16), self.middle(x8), self.fine(x4)


class ImageEncoder(nn.Module):
    """Pixels to entry."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = LiteBackbone()
        self.pyramid = Pyramid()

    def forward(self, x: Tensor) -> Entry:
        """Encode (B, 3, S, S) normalised RGB; 32 divides S."""
        maps = self.backbone(x)
        semantic, middle, fine = self.pyramid(maps)
        drawn_from = {"semantic": semantic, "middle": middle, "fine": fine, "colours": shaded(F.avg_pool2d(x, 2))}
        return drawn_from | {"backbone8": maps[1], "backbone16": maps[2]}


def shaded(colours: Tensor) -> Tensor:
    """Normalised colours in whole shades, so that no storage changes them; padding stays zero."""
    return torch.round(colours.float() * SHADES) / SHADES
