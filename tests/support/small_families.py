"""Small instances of the real classes of ``transformers``, with random weights: what a folder from the hub holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

SIDE = 128
GRID = SIDE // 16
_PROMPTS = {"hidden_size": 32, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 8}
_DECODER = {"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
_SAM_VISION = {
    **{"hidden_size": 32, "output_channels": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"image_size": SIDE, "patch_size": 16, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 16},
    "mlp_dim": 64,
}
_MAPS = {"fpn_hidden_size": 32, "backbone_feature_sizes": [[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2]}


def sam() -> Any:
    from transformers import SamConfig, SamModel

    prompts = _PROMPTS | {"image_embedding_size": GRID}
    return SamModel(SamConfig(vision_config=_SAM_VISION, prompt_encoder_config=prompts, mask_decoder_config=_DECODER))


def sam_hq() -> Any:
    from transformers import SamHQConfig, SamHQModel

    prompts = _PROMPTS | {"image_embedding_size": GRID}
    decoder = _DECODER | {"vit_dim": 32}
    return SamHQModel(
        SamHQConfig(vision_config=_SAM_VISION, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    )


def sam2() -> Any:
    from transformers import Sam2Config, Sam2Model

    return Sam2Model(Sam2Config(vision_config=_hiera(), prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER))


def sam2_video() -> Any:
    from transformers import Sam2VideoConfig, Sam2VideoModel

    memory = {
        **{"memory_attention_hidden_size": 32, "memory_attention_feed_forward_hidden_size": 64},
        **{"memory_attention_num_layers": 1, "memory_encoder_hidden_size": 32, "memory_encoder_output_channels": 8},
        **{"mask_downsampler_embed_dim": 32, "memory_fuser_embed_dim": 32, "memory_fuser_intermediate_dim": 64},
        **{"memory_fuser_num_layers": 1, "memory_attention_rope_feat_sizes": [GRID, GRID], "image_size": SIDE},
    }
    return Sam2VideoModel(
        Sam2VideoConfig(vision_config=_hiera(), prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER, **memory)
    )


def edgetam() -> Any:
    from transformers import EdgeTamConfig, EdgeTamModel

    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        **{"num_classes": 2, "label_names": ["LABEL_0", "LABEL_1"]},
        "model_args": {
            **{"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
            **{"embed_dim": [8, 16, 24, 32], "depth": [1, 1, 1, 1]},
        },
    }
    vision = _MAPS | {
        "model_type": "edgetam_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [32, 24, 16, 8],
    }
    return EdgeTamModel(
        EdgeTamConfig(vision_config=vision, prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER)
    )


def _hiera() -> dict[str, Any]:
    backbone = {
        **{"model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1},
        **{"image_size": [SIDE, SIDE], "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [8, 16, 32, 64]},
        **{"num_attention_heads_per_stage": [1, 2, 4, 8], "window_size_per_stage": [4, 4, 4, 4]},
        **{"global_attention_blocks": [3], "window_positional_embedding_background_size": [4, 4]},
    }
    return _MAPS | {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
    }


SAM3_PATCH = 14
SAM3_GRID = 8
SAM3_SIDE = SAM3_PATCH * SAM3_GRID


def sam3() -> Any:
    from transformers import Sam3VideoConfig, Sam3VideoModel

    backbone = {
        **{"model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "image_size": SAM3_SIDE, "patch_size": SAM3_PATCH, "window_size": 4},
        **{"global_attn_indexes": [1], "pretrain_image_size": SAM3_SIDE // 2},
    }
    vision = {
        **{"model_type": "sam3_vision_model", "backbone_config": backbone, "fpn_hidden_size": 32},
        "backbone_feature_sizes": [[4 * SAM3_GRID] * 2, [2 * SAM3_GRID] * 2, [SAM3_GRID] * 2],
    }
    text = {
        **{"model_type": "clip_text_model", "vocab_size": len(sam3_words()), "hidden_size": 32},
        **{"intermediate_size": 64, "projection_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1},
    }
    part = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_layers": 1}
    detector = {
        **{"model_type": "sam3", "vision_config": vision, "text_config": text, "geometry_encoder_config": part},
        **{"detr_encoder_config": part, "detr_decoder_config": part | {"num_layers": 2, "num_queries": 20}},
        "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 2},
    }
    memory = {
        **{"memory_attention_hidden_size": 32, "memory_attention_feed_forward_hidden_size": 64},
        **{"memory_attention_num_layers": 1, "memory_encoder_hidden_size": 32, "memory_encoder_output_channels": 8},
        **{"mask_downsampler_embed_dim": 32, "memory_fuser_embed_dim": 32, "memory_fuser_intermediate_dim": 64},
        **{"memory_fuser_num_layers": 1, "memory_attention_rope_feat_sizes": [SAM3_GRID, SAM3_GRID]},
    }
    tracker = {
        **{"model_type": "sam3_tracker_video", "vision_config": vision, "image_size": SAM3_SIDE},
        "prompt_encoder_config": _PROMPTS | {"image_size": SAM3_SIDE, "patch_size": SAM3_PATCH},
        "mask_decoder_config": _DECODER,
    }
    return Sam3VideoModel(Sam3VideoConfig(detector_config=detector, tracker_config=tracker | memory))


def sam3_words() -> dict[str, int]:
    """A vocabulary in which every word is spelled letter by letter."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return {name: number for number, name in enumerate(names)}


def _published(name: str) -> str:
    """The name of a tensor of SAM 3 in the published file; newer nets call the text encoder's another way."""
    text = "detector_model.text_encoder."
    rest = name.removeprefix(text)
    return name if rest == name or rest.startswith("text_") else f"{text}text_model.{rest}"


def save_sam3(folder: Path, *, seed: int = 0) -> Path:
    """A small SAM 3 with the files and the tensor names of the published folder."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPTokenizer, Sam3ImageProcessor, Sam3Processor

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        net = sam3()
        for name, parameter in net.named_parameters():  # in another order in other versions of transformers
            torch.manual_seed(seed + crc32(_published(name).encode()))
            _fill(name, parameter)
        for name, values in net.named_buffers():
            if name.endswith("positional_embedding"):
                torch.manual_seed(seed)
                values.normal_()
    net.config.save_pretrained(folder)
    # Not by save_pretrained: transformers 5.4 to 5.23 write some prefixes twice, which the published file does not.
    tensors = {_published(name): tensor.contiguous().clone() for name, tensor in net.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    images = Sam3ImageProcessor(size={"height": SAM3_SIDE, "width": SAM3_SIDE})
    Sam3Processor(images, CLIPTokenizer(vocab=sam3_words(), merges=[])).save_pretrained(folder)
    return folder


SMALL = {"sam_vit_base": sam, "sam_hq_vit_b": sam_hq, "sam2.1_hiera_tiny": sam2, "edgetam": edgetam}
"""By one registry name of each family."""


def save(make: Any, folder: Path, *, seed: int = 0) -> Path:
    """Build a net with random weights, large enough that masks depend on pictures, and save it as the hub has it."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        net = make()
        for name, parameter in net.named_parameters():
            _fill(name, parameter)
        _settle(net)
    net.save_pretrained(folder)
    return folder


def _fill(name: str, parameter: Any) -> None:
    if parameter.ndim > 1:
        parameter.normal_(std=1.5 / parameter[0].numel() ** 0.5)
    else:
        parameter.normal_(mean=float(name.endswith("weight")), std=0.2)


def _settle(net: Any) -> None:
    """Give batch norms the statistics of a random picture; without, values grow from layer to layer."""
    import torch

    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        net.train().get_image_embeddings(torch.randn(1, 3, SIDE, SIDE))
    net.eval()
