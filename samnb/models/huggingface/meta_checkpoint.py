"""Names and sizes of SAM 2 and 2.1 as Meta published them: one file, with other names for the same tensors.

``sam2.1_hiera_tiny.pt`` and its like hold ``{"model": tensors}``, for images and for videos. The net is the one of
``transformers``; this module maps its tensor names to those of such a file, and knows the sizes of the four nets, which
are in no file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

_BACKBONE = {"model_type": "sam2_hiera_det_model"}
_POINTS = 4  # points that are not the object, points that are, and two corners of a box: one tensor each

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        **{"hidden_size": 96, "num_attention_heads": 1, "blocks_per_stage": [1, 2, 7, 2]},
        **{"embed_dim_per_stage": [96, 192, 384, 768], "num_attention_heads_per_stage": [1, 2, 4, 8]},
        **{"window_size_per_stage": [8, 4, 14, 7], "global_attention_blocks": [5, 7, 9]},
        "window_positional_embedding_background_size": [7, 7],
    },
    "small": {
        **{"hidden_size": 96, "num_attention_heads": 1, "blocks_per_stage": [1, 2, 11, 2]},
        **{"embed_dim_per_stage": [96, 192, 384, 768], "num_attention_heads_per_stage": [1, 2, 4, 8]},
        **{"window_size_per_stage": [8, 4, 14, 7], "global_attention_blocks": [7, 10, 13]},
        "window_positional_embedding_background_size": [7, 7],
    },
    "base_plus": {
        **{"hidden_size": 112, "num_attention_heads": 2, "blocks_per_stage": [2, 3, 16, 3]},
        **{"embed_dim_per_stage": [112, 224, 448, 896], "num_attention_heads_per_stage": [2, 4, 8, 16]},
        **{"window_size_per_stage": [8, 4, 14, 7], "global_attention_blocks": [12, 16, 20]},
        "window_positional_embedding_background_size": [14, 14],
    },
    "large": {
        **{"hidden_size": 144, "num_attention_heads": 2, "blocks_per_stage": [2, 6, 36, 4]},
        **{"embed_dim_per_stage": [144, 288, 576, 1152], "num_attention_heads_per_stage": [2, 4, 8, 16]},
        **{"window_size_per_stage": [8, 4, 16, 8], "global_attention_blocks": [23, 33, 43]},
        "window_positional_embedding_background_size": [7, 7],
    },
}
"""The image encoder in Meta's configuration files; heads and windows cannot be derived from the tensors."""

DEPTHS = {12: "tiny", 16: "small", 24: "base_plus", 48: "large"}
"""The size by the number of its blocks."""

# From the names of transformers; the first that fits a name is used, and every pattern of it.
_PARTS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "vision_encoder.backbone.",
        (
            (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
            (r"\bpatch_embed\.projection\b", "patch_embed.proj"),
            (r"\blayer_norm(\d)\b", r"norm\1"),
            (r"\bmlp\.proj_in\b", "mlp.layers.0"),
            (r"\bmlp\.proj_out\b", "mlp.layers.1"),
        ),
    ),
    ("vision_encoder.neck.", ((r"^vision_encoder\.neck\.convs\.(\d+)\.", r"image_encoder.neck.convs.\1.conv."),)),
    ("shared_image_embedding.", ((r"^.*$", "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),)),
    (
        "prompt_encoder.",
        (
            (r"\bshared_embedding\.positional_embedding$", "pe_layer.positional_encoding_gaussian_matrix"),
            (r"\bmask_embed\.conv1\b", "mask_downscaling.0"),
            (r"\bmask_embed\.layer_norm1\b", "mask_downscaling.1"),
            (r"\bmask_embed\.conv2\b", "mask_downscaling.3"),
            (r"\bmask_embed\.layer_norm2\b", "mask_downscaling.4"),
            (r"\bmask_embed\.conv3\b", "mask_downscaling.6"),
            (r"^", "sam_"),
        ),
    ),
    (
        "mask_decoder.transformer.",
        (
            (r"\blayer_norm(\d)\b", r"norm\1"),
            (r"\blayer_norm_final_attn\b", "norm_final_attn"),
            (r"\bo_proj\b", "out_proj"),
            (r"\bmlp\.proj_in\b", "mlp.layers.0"),
            (r"\bmlp\.proj_out\b", "mlp.layers.1"),
            (r"^", "sam_"),
        ),
    ),
    (
        "mask_decoder.",
        (
            (r"\bupscale_conv1\b", "output_upscaling.0"),
            (r"\bupscale_layer_norm\b", "output_upscaling.1"),
            (r"\bupscale_conv2\b", "output_upscaling.3"),
            # Three layers each: the middle one has to make room before the first one comes.
            (r"\blayers\.0\b", "layers.1"),
            (r"\bproj_in\b", "layers.0"),
            (r"\bproj_out\b", "layers.2"),
            (r"^", "sam_"),
        ),
    ),
    ("no_memory_embedding", ((r"^no_memory_embedding$", "no_mem_embed"),)),
)
# Tensors that only videos need.
_OF_VIDEOS = re.compile(
    r"(memory_attention|memory_encoder|mask_downsample|obj_ptr_proj|obj_ptr_tpos_proj)\."
    r"|(maskmem_tpos_enc|no_mem_pos_enc|no_obj_ptr|no_obj_embed_spatial)$"
)


def config_of(size: str) -> dict[str, Any]:
    """Build the ``config.json`` of ``transformers`` for one of `SIZES`.

    >>> config_of("large")["vision_config"]["backbone_channel_list"]
    [1152, 576, 288, 144]
    """
    backbone = {**_BACKBONE, **SIZES[size]}
    channels = backbone["embed_dim_per_stage"][::-1]
    vision = {"model_type": "sam2_vision_model", "backbone_config": backbone, "backbone_channel_list": channels}
    return {"model_type": "sam2", "vision_config": vision}


def meta_names(name: str) -> tuple[str, ...]:
    """Map a tensor name of ``transformers`` to the name, or names, in Meta's file; () for none.

    Examples
    --------
    >>> meta_names("vision_encoder.backbone.blocks.3.mlp.proj_in.weight")
    ('image_encoder.trunk.blocks.3.mlp.layers.0.weight',)
    >>> len(meta_names("prompt_encoder.point_embed.weight")), meta_names("hello")
    (4, ())
    """
    if name == "prompt_encoder.point_embed.weight":
        return tuple(f"sam_prompt_encoder.point_embeddings.{number}.weight" for number in range(_POINTS))
    for start, changes in _PARTS:
        if name.startswith(start):
            for pattern, becomes in changes:
                name = re.sub(pattern, becomes, name, count=1)
            return (name,)
    return ()


def unknown_names(names: Collection[str], wanted: Collection[str], *, with_encoder: bool) -> list[str]:
    """List the names of a file that are neither a tensor of `wanted`, of the net of ``transformers``, nor for videos.

    Without the image encoder in `wanted`, its tensors in the file are ignored.
    """
    known = {other for name in wanted for other in meta_names(name)}
    unknown = (name for name in names if name not in known and not _OF_VIDEOS.match(name))
    return sorted(name for name in unknown if with_encoder or not name.startswith("image_encoder."))


def rename(tensors: Mapping[str, Any], wanted: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the tensors of a file by their names in ``transformers``, and the names that the file lacks."""
    import torch

    found: dict[str, Any] = {}
    absent: list[str] = []
    for name in wanted:
        others = meta_names(name) or (name,)
        missing = [other for other in others if other not in tensors]
        absent += missing
        if not missing:
            parts = [tensors[other] for other in others]
            found[name] = parts[0] if len(parts) == 1 else torch.cat(parts)
    return found, sorted(absent)
