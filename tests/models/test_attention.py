"""The leaner attention gives the official numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from samnb.models import attention
from samnb.models.attention import use_fast_attention, wants_fast_attention
from samnb.models.reference import import_segment_anything


@pytest.fixture(scope="module")
def encoder() -> Any:
    """A small ViT, 256 px, one window block and one global block, with filled position tables."""
    import torch

    modeling = import_segment_anything().modeling
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = modeling.ImageEncoderViT(
            img_size=256,
            patch_size=16,
            embed_dim=64,
            depth=2,
            num_heads=4,
            out_chans=32,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=7,
            global_attn_indexes=(1,),
        )
        for name, parameter in encoder.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                torch.nn.init.normal_(parameter, std=0.5)
    return encoder.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pictures() -> Any:
    import torch

    return torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))


# 48 query rows are 3 of 16 image rows: the last span is shorter. 5 is less than one image row.
@pytest.mark.parametrize("query_rows", [512, 64, 48, 5])
def test_same_numbers_as_the_official_forward(
    query_rows: int, encoder: Any, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(attention, "QUERY_ROWS", query_rows)
    with torch.inference_mode():
        official = encoder(pictures)
        assert use_fast_attention(encoder) == 1
        fast = encoder(pictures)
        use_fast_attention(encoder, wanted=False)
        again = encoder(pictures)
    assert (fast - official).abs().max() <= 1e-6
    assert torch.equal(again, official)


def test_the_bias_matters(encoder: Any, pictures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above would be empty if the position tables changed nothing."""
    import torch

    use_fast_attention(encoder)
    with torch.inference_mode():
        with_bias = encoder(pictures)
        monkeypatch.setattr(encoder.blocks[1].attn, "use_rel_pos", False)
        without = encoder(pictures)
    use_fast_attention(encoder, wanted=False)
    assert (with_bias - without).abs().max() > 1e-3


def test_only_global_blocks_are_swapped_and_swapped_back(encoder: Any) -> None:
    use_fast_attention(encoder)
    assert "forward" not in vars(encoder.blocks[0].attn)
    assert "forward" in vars(encoder.blocks[1].attn)
    use_fast_attention(encoder, wanted=False)
    assert "forward" not in vars(encoder.blocks[1].attn)


def test_other_nets_are_left_alone() -> None:
    import torch

    assert use_fast_attention(torch.nn.Conv2d(3, 3, 1)) == 0


@pytest.mark.parametrize(
    ("environment", "argument", "expected"),
    [(None, None, True), ("0", None, False), ("off", None, False), ("1", None, True), ("0", True, True)],
)
def test_can_be_turned_off(
    environment: str | None, argument: bool | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment is not None:
        monkeypatch.setenv("SAMNB_FAST_ATTENTION", environment)
    assert wants_fast_attention(argument) is expected
