"""Other nets than the shipped one, for `training.compare`: each leaves an idea out, or does a thing the usual way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.models import tiny


def shipped() -> Any:
    """The net as it ships."""
    return tiny.build_sam(None)


def shallow() -> Any:
    """Without the deep blocks at strides 16 and 32 (1.9 million parameters fewer)."""
    sam: Any = tiny.build_sam(None)
    sam.image_encoder.deep16, sam.image_encoder.deep32 = nn.Identity(), nn.Identity()
    return sam


def transformer() -> Any:
    """A vision transformer at stride 16 (eight blocks of global attention) in place of the convolutions there."""
    from samnb.models.tiny.network import GlobalBlock

    sam: Any = tiny.build_sam(None)
    encoder = sam.image_encoder
    channels = encoder.lateral16.in_channels
    encoder.stage16 = nn.Sequential(
        encoder.stage16[0], *[_learning(GlobalBlock(channels)) for _ in range(8)], nn.ReLU()
    )
    encoder.deep16 = nn.Identity()
    return sam


def _learning(block: Any) -> Any:
    """Let a block that begins as an identity begin as others do: eight identities would be no net at all."""
    for last in (block.out, block.mix[-1]):
        nn.init.trunc_normal_(last.weight, std=0.02)
    return block


def no_click_maps() -> Any:
    """Prompts as tokens only, as in Segment Anything: where the click is, attention has to find out."""
    sam: Any = tiny.build_sam(None)
    for layer in sam.prompt_encoder.draw:
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight).requires_grad_(False)
    _never_compare(sam)
    return sam


def no_likeness() -> Any:
    """Without the maps of how much each cell looks like the clicked ones."""
    sam: Any = tiny.build_sam(None)
    _never_compare(sam)
    return sam


def _never_compare(sam: Any) -> None:
    compare = sam.mask_decoder._compare
    sam.mask_decoder._compare = lambda coarse, seeds: compare(coarse, seeds) * 0


def no_detail() -> Any:
    """Without stride-4 detail in the embedding: masks are scaled up from stride 8 alone."""
    sam: Any = tiny.build_sam(None)
    sam.mask_decoder.detail = _Nothing(tiny.DECODER_DIM // 4)
    return sam


class _Nothing(nn.Module):
    def __init__(self, channels: int, scale: int = 2) -> None:
        super().__init__()
        self.channels, self.scale = channels, scale

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return x.new_zeros(len(x), self.channels, self.scale * height, self.scale * width)


def no_reach() -> Any:
    """Without the maps of what flood fills from the clicks reach, and without colours for the outlines."""
    sam: Any = tiny.build_sam(None)
    sam.mask_decoder.reach = _Nothing(tiny.DECODER_DIM, 1)
    sam.mask_decoder.reach_detail = _Nothing(tiny.DECODER_DIM // 4, 1)
    return sam


def stride_16() -> Any:
    """Embedding and decoder at stride 16, with as much detail in the embedding; masks at stride 4, scaled up."""
    from samnb.models.tiny.network import TinyPromptEncoder

    sam: Any = tiny.build_sam(None)
    encoder, decoder = sam.image_encoder, sam.mask_decoder
    encoder.merge8, encoder.lateral16 = nn.Identity(), nn.Identity()
    encoder.coarse = nn.Conv2d(encoder.lateral32.out_channels, tiny.DECODER_DIM, 1)
    encoder.fine = nn.Sequential(encoder.fine[0], nn.PixelUnshuffle(4))
    decoder.detail = nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(tiny.FINE_DIM, tiny.DECODER_DIM // 4, 1))

    def encode(x: Tensor) -> Tensor:
        x4 = encoder.stage4(x.contiguous(memory_format=torch.channels_last))
        x16 = encoder.deep16(encoder.stage16(encoder.stage8(x4)))
        x32 = encoder.deep32(encoder.stage32(x16))
        x16 = encoder.merge16(x16 + F.interpolate(encoder.lateral32(x32), scale_factor=2.0, mode="nearest"))
        colour = F.pixel_unshuffle(F.avg_pool2d(x, 8), 2)
        return torch.cat([encoder.coarse(x16), encoder.fine(x4), colour], 1)

    def predict(*inputs: Any) -> tuple[Tensor, Tensor]:
        logits, scores = type(decoder).predict_masks(decoder, *inputs)
        return F.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False), scores

    prompts = sam.prompt_encoder
    prompts.mask_downscaling = nn.Sequential(nn.AvgPool2d(2), prompts.mask_downscaling)
    encoder.forward, decoder.predict_masks = encode, predict
    assert isinstance(prompts, TinyPromptEncoder)
    return sam


VARIANTS: dict[str, tuple[Callable[[], Any], int]] = {
    "shipped": (shipped, 8),
    "shallow": (shallow, 8),
    "transformer": (transformer, 8),
    "stride 16": (stride_16, 16),
    "no click maps": (no_click_maps, 8),
    "no likeness": (no_likeness, 8),
    "no reach": (no_reach, 8),
    "no detail": (no_detail, 8),
}
"""How each is made, and the stride of its embedding."""


@contextmanager
def at_stride(stride: int) -> Iterator[None]:
    """Let everything that asks for the stride of an embedding see this one."""
    usual, tiny.STRIDE = tiny.STRIDE, stride
    try:
        yield
    finally:
        tiny.STRIDE = usual
