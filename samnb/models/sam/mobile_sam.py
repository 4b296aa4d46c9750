"""MobileSAM: Segment Anything's prompt encoder and mask decoder with a TinyViT of five million parameters.

Zhang et al., "Faster Segment Anything" (2023); the encoder is TinyViT-5M of Wu et al., ECCV 2022, with the last
downsampling left out so that 1024 pixels give 64 x 64 cells. Names of the modules are those of the official
``mobile_sam.pt``. Two of them, `norm_head` and `head`, are left over from ImageNet: in the file, never executed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..weights.checkpoints import ModelInfo
from .model import SamConfig
from .variants import DIM, GRID_SIZE, IMAGE_SIZE, build_mask_decoder, build_prompt_encoder

if TYPE_CHECKING:
    from .tiny_vit import TinyViT


MODEL = ModelInfo(
    name="mobile_sam",
    family="mobile_sam",
    file_name="mobile_sam.pt",
    size_bytes=40728226,
    sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    bundled=False,
    description="MobileSAM, 10 M parameters: light encoder, Segment Anything's decoder; a twelfth of ViT-B's work.",
    url="https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
)


def sam_config() -> SamConfig:
    """Describe how MobileSAM is built; builds nothing and imports no torch."""
    return SamConfig(
        image_size=IMAGE_SIZE,
        embedding_shape=(DIM, GRID_SIZE, GRID_SIZE),
        image_encoder=build_image_encoder,
        prompt_encoder=build_prompt_encoder,
        mask_decoder=build_mask_decoder,
        bfloat16="autocast",
    )


def build_image_encoder(**sizes: Any) -> TinyViT:
    """The image encoder with random weights; `sizes` as for `TinyViT`, of which MobileSAM's own are the defaults."""
    from .tiny_vit import TinyViT

    return TinyViT(**{"out_channels": DIM, **sizes})
