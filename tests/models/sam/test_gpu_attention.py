from functools import partial

import pytest
import torch

from samnb.models.sam.gpu_attention import use_gpu_attention
from samnb.models.sam.reference import import_segment_anything

modeling = import_segment_anything().modeling


def small_encoder(side, window, *, use_rel_pos=True):
    torch.manual_seed(0)
    encoder = modeling.ImageEncoderViT(
        img_size=side, patch_size=16, embed_dim=48, depth=2, num_heads=4, mlp_ratio=2, out_chans=16, qkv_bias=True,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), use_rel_pos=use_rel_pos, window_size=window,
        global_attn_indexes=(1,),
    )  # fmt: skip
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return encoder.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("side", "window", "rel_pos"), [(128, 3, True), (160, 7, True), (96, 14, True), (128, 4, False)]
)
def test_it_gives_what_the_official_attention_gives(side, window, rel_pos):
    encoder = small_encoder(side, window, use_rel_pos=rel_pos)
    pixels = torch.randn(2, 3, side, side)
    official = encoder(pixels)
    assert use_gpu_attention(encoder) == 2
    assert (encoder(pixels) - official).abs().max() < 1e-5
    assert use_gpu_attention(encoder, wanted=False) == 2
    assert torch.equal(encoder(pixels), official)


def test_it_bears_half_precision():
    encoder = small_encoder(128, 3)
    pixels = torch.randn(1, 3, 128, 128)
    official = encoder(pixels)
    use_gpu_attention(encoder)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = encoder(pixels).float()
    assert torch.isfinite(half).all()
    assert (half - official).abs().max() < 0.1


def test_one_block_in_float64_shows_that_the_fold_is_exact():
    attention = small_encoder(128, 0).blocks[1].attn.double()
    x = torch.randn(1, 8, 8, 48, dtype=torch.float64)
    official = attention(x)
    holder = torch.nn.Module()
    holder.blocks = [torch.nn.Module()]
    holder.blocks[0].attn = attention
    use_gpu_attention(holder)
    assert (attention(x) - official).abs().max() < 1e-12


def test_other_modules_are_left_alone():
    assert use_gpu_attention(torch.nn.Linear(2, 2)) == 0
