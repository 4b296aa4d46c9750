"""The embedded model of earlier versions: a small Segment-Anything trained on rendered scenes.

Its weights do not ship any more; ``load_model("tiny", checkpoint=FILE)`` opens a file of them, so that what was made
with it can be made again.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..sam.model import SamConfig
from .config import (
    COLOUR_DIM,
    DECODER_DIM,
    EMBED_DIM,
    FINE_DIM,
    GRID_SIZE,
    IMAGE_SIZE,
    LOW_RES_SIZE,
    PIXEL_MEAN,
    PIXEL_STD,
    STRIDE,
)

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

    from .fused_decoder import FusedMaskDecoder
    from .network import TinyImageEncoder, TinyMaskDecoder, TinyPromptEncoder

__all__ = [
    "COLOUR_DIM",
    "DECODER_DIM",
    "EMBED_DIM",
    "FAMILY",
    "FINE_DIM",
    "GRID_SIZE",
    "IMAGE_SIZE",
    "LOW_RES_SIZE",
    "PIXEL_MEAN",
    "PIXEL_STD",
    "STRIDE",
    "build_image_encoder",
    "build_mask_decoder",
    "build_prompt_encoder",
    "build_sam",
    "sam_config",
]

FAMILY = "tiny"
"""The first part of its fingerprints."""


def sam_config() -> SamConfig:
    """Describe how the model is built; builds nothing and imports no torch."""
    return SamConfig(
        image_size=IMAGE_SIZE,
        embedding_shape=(EMBED_DIM, GRID_SIZE, GRID_SIZE),
        image_encoder=partial(build_image_encoder, weights=None),
        prompt_encoder=partial(build_prompt_encoder, weights=None),
        mask_decoder=partial(build_mask_decoder, weights=None),
        pixel_mean=PIXEL_MEAN,
        pixel_std=PIXEL_STD,
        # Its layers take a millisecond each: two threads gain little on an idle machine, and where anything else runs,
        # every layer waits until both are scheduled (measured: 33 ms a decode on one, 1,500 on two).
        threads=1,
        fused_decoder=_fused_decoder,
    )


def build_image_encoder(weights: Path | None) -> TinyImageEncoder:
    """Build the image encoder, pixels to embedding, in evaluation mode.

    Parameters
    ----------
    weights
        A safetensors file; None leaves the random initial weights (for training).
    """
    from .network import TinyImageEncoder

    return _with_weights(TinyImageEncoder(), "image_encoder", weights)


def build_prompt_encoder(weights: Path | None) -> TinyPromptEncoder:
    """Build the prompt encoder, points, boxes and masks to embeddings; see `build_image_encoder`."""
    from .network import TinyPromptEncoder

    return _with_weights(TinyPromptEncoder(), "prompt_encoder", weights)


def build_mask_decoder(weights: Path | None) -> TinyMaskDecoder:
    """Build the mask decoder, embeddings to mask logits and scores; see `build_image_encoder`."""
    from .network import TinyMaskDecoder

    return _with_weights(TinyMaskDecoder(), "mask_decoder", weights)


def build_sam(weights: Path | None) -> Sam:
    """Build the whole model as a ``segment_anything`` `Sam`, which `SamPredictor` drives unmodified."""
    from .network import assemble

    return assemble(build_image_encoder(weights), build_prompt_encoder(weights), build_mask_decoder(weights)).eval()


def _fused_decoder(plain: TinyMaskDecoder) -> FusedMaskDecoder:
    from .fused_decoder import FusedMaskDecoder

    return FusedMaskDecoder(plain)


def _with_weights(module: Any, part: str, weights: Path | None) -> Any:
    if weights is not None:
        module.load_state_dict(_part_of(part, weights))
    return module.eval()


def _part_of(part: str, weights: Path) -> dict[str, Any]:
    """Return one part's tensors, as float32 whatever the file stores."""
    prefix = part + "."
    tensors = _tensors(weights, weights.stat().st_mtime_ns)
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@lru_cache(maxsize=1)
def _tensors(weights: Path, mtime_ns: int) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: value.float() if value.is_floating_point() else value for name, value in load_file(weights).items()}
