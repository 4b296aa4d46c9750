"""Segment Anything's own three sizes, in the architecture and with the weights of Kirillov et al., ICCV 2023.

The parts are built apart, with the parameters of ``segment_anything.build_sam``, which can only build all of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..weights.checkpoints import ModelInfo
from .model import SamConfig
from .reference import import_modeling

IMAGE_SIZE, PATCH_SIZE, DIM = 1024, 16, 256
GRID_SIZE = IMAGE_SIZE // PATCH_SIZE

_ENCODERS: dict[str, dict[str, Any]] = {
    "vit_b": {"embed_dim": 768, "depth": 12, "num_heads": 12, "global_attn_indexes": (2, 5, 8, 11)},
    "vit_l": {"embed_dim": 1024, "depth": 24, "num_heads": 16, "global_attn_indexes": (5, 11, 17, 23)},
    "vit_h": {"embed_dim": 1280, "depth": 32, "num_heads": 16, "global_attn_indexes": (7, 15, 23, 31)},
}


def _info(name: str, suffix: str, size_bytes: int, sha256: str, description: str) -> ModelInfo:
    file_name = f"sam_{name}_{suffix}.pth"
    url = f"https://dl.fbaipublicfiles.com/segment_anything/{file_name}"
    return ModelInfo(name, "sam", file_name, size_bytes, sha256, False, description, url)


MODELS: tuple[ModelInfo, ...] = (
    _info(
        "vit_b",
        "01ec64",
        375042383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        "Segment Anything ViT-B, 94 M parameters: for a CPU, 3 to 6 s an image on two cores, then 0.05 s a prompt.",
    ),
    _info(
        "vit_l",
        "0b3195",
        1249524607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        "Segment Anything ViT-L, 312 M parameters: better masks, three times the work of ViT-B.",
    ),
    _info(
        "vit_h",
        "4b8939",
        2564550879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        "Segment Anything ViT-H, 641 M parameters: the best masks, six times the work of ViT-B; for a GPU.",
    ),
)


def sam_config(name: str) -> SamConfig:
    """Describe how ``"vit_b"``, ``"vit_l"`` or ``"vit_h"`` is built; builds nothing and imports no torch."""
    return SamConfig(
        image_size=IMAGE_SIZE,
        embedding_shape=(DIM, GRID_SIZE, GRID_SIZE),
        image_encoder=partial(build_image_encoder, **_ENCODERS[name]),
        prompt_encoder=build_prompt_encoder,
        mask_decoder=build_mask_decoder,
        bfloat16="packed",
    )


def build_image_encoder(**sizes: Any) -> Any:
    """A ViT with random weights; `sizes` as in `_ENCODERS`."""
    modeling = import_modeling()
    import torch

    return modeling.ImageEncoderViT(
        img_size=IMAGE_SIZE,
        mlp_ratio=4,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        patch_size=PATCH_SIZE,
        qkv_bias=True,
        use_rel_pos=True,
        window_size=14,
        out_chans=DIM,
        **sizes,
    )


def build_prompt_encoder() -> Any:
    """The prompt encoder, the same for all three sizes, with random weights."""
    return import_modeling().PromptEncoder(
        embed_dim=DIM,
        image_embedding_size=(GRID_SIZE, GRID_SIZE),
        input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
        mask_in_chans=16,
    )


def build_mask_decoder() -> Any:
    """The mask decoder, the same for all three sizes, with random weights."""
    modeling = import_modeling()
    return modeling.MaskDecoder(
        num_multimask_outputs=3,
        transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=DIM, mlp_dim=2048, num_heads=8),
        transformer_dim=DIM,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
