"""The embedded default model: a small Segment-Anything whose weights ship with the package.

It answers at once, on a CPU, without a download. What it was trained on and where it fails is in
``weights/MODEL_CARD.md``. Importing this module is cheap: torch is imported by the functions, when they are called.

The three parts can be built one by one, since an embedding from a cache is decoded without the image encoder:

>>> prompt_encoder = build_prompt_encoder()
>>> mask_decoder = build_mask_decoder()
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

    from samnb.models.tiny.fused_decoder import LeanMaskDecoder
    from samnb.models.tiny.network import TinyImageEncoder, TinyMaskDecoder, TinyPromptEncoder

WEIGHTS = Path(__file__).with_name("weights") / "tiny.safetensors"

IMAGE_SIZE = 384
"""Side of the square the encoder sees, in pixels: an image's longest side is resized to it, the rest is padded."""

STRIDE = 8
"""Pixels of that square per cell of the embedding, per side."""

GRID_SIZE = IMAGE_SIZE // STRIDE
"""Side of the embedding, in cells."""

LOW_RES_SIZE = 4 * GRID_SIZE
"""Side of the mask logits before they are scaled up, and of a mask given as prompt."""

DECODER_DIM = 96
"""Channels of tokens and cells inside the decoder."""

FINE_DIM = 32
"""Channels of the embedding that hold stride-4 detail, packed 2×2 into each cell."""

COLOUR_DIM = 12
"""Channels of the embedding that hold the mean colours of 4×4 pixels, packed 2×2 into each cell."""

EMBED_DIM = DECODER_DIM + FINE_DIM + COLOUR_DIM
"""Channels of the embedding: an embedding is (EMBED_DIM, GRID_SIZE, GRID_SIZE) float32."""

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""Mean and deviation per RGB channel, 0..255, the ones of ``segment_anything``: padding is zero after normalisation."""


def build_image_encoder(weights: Path | None = WEIGHTS) -> TinyImageEncoder:
    """Build the image encoder, pixels to embedding, in evaluation mode.

    Parameters
    ----------
    weights
        A safetensors file; None leaves the random initial weights (for training).
    """
    return _build("image_encoder", _net().TinyImageEncoder, weights)


def build_prompt_encoder(weights: Path | None = WEIGHTS) -> TinyPromptEncoder:
    """Build the prompt encoder, points, boxes and masks to embeddings; see `build_image_encoder`."""
    return _build("prompt_encoder", _net().TinyPromptEncoder, weights)


def build_mask_decoder(weights: Path | None = WEIGHTS) -> TinyMaskDecoder:
    """Build the mask decoder, embeddings to mask logits and scores; see `build_image_encoder`."""
    return _build("mask_decoder", _net().TinyMaskDecoder, weights)


def lean_decoder(plain: TinyMaskDecoder) -> LeanMaskDecoder:
    """Make of a mask decoder with its weights one that answers the same in less time, one prompt at a time."""
    from samnb.models.tiny.fused_decoder import LeanMaskDecoder

    return LeanMaskDecoder(plain)


def build_sam(weights: Path | None = WEIGHTS) -> Sam:
    """Build the whole model as a ``segment_anything`` `Sam`, which `SamPredictor` drives unmodified."""
    parts = build_image_encoder(weights), build_prompt_encoder(weights), build_mask_decoder(weights)
    return _net().assemble(*parts).eval()


def _net() -> Any:
    from samnb.models.tiny import network as tiny_net

    return tiny_net


def _build(part: str, make: Callable[[], Any], weights: Path | None) -> Any:
    module = make()
    if weights is not None:
        module.load_state_dict(_part_of(part, weights))
    return module.eval()


def _part_of(part: str, weights: Path) -> dict[str, Any]:
    """Return one part's tensors, as float32 whatever the file stores."""
    prefix = part + "."
    tensors = _tensors(weights, weights.stat().st_mtime_ns)
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@lru_cache(maxsize=1)
def _tensors(weights: Path, changed: int) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: value.float() if value.is_floating_point() else value for name, value in load_file(weights).items()}
