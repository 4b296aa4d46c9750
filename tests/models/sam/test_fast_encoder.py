"""The fast encoder gives the official numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from samnb.models.sam import fast_encoder
from samnb.models.sam.fast_encoder import use_fast_encoder, wants_fast_encoder
from samnb.models.sam.reference import import_segment_anything


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(scope="module")
def built() -> Callable[..., Any]:
    """Builds small ViTs, two blocks with windows of 7 and two global ones; every table and bias random."""
    import torch

    modeling = import_segment_anything().modeling

    def build(side: int = 256, **changes: Any) -> Any:
        settings: dict[str, Any] = {"use_rel_pos": True, "window_size": 7, "global_attn_indexes": (1, 3), **changes}
        norm = partial(torch.nn.LayerNorm, eps=1e-6)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = modeling.ImageEncoderViT(
                img_size=side, embed_dim=64, depth=4, num_heads=4, out_chans=32, norm_layer=norm, **settings
            )
            for name, parameter in net.named_parameters():
                if "rel_pos" in name or "pos_embed" in name or name.endswith("bias"):
                    torch.nn.init.normal_(parameter, std=0.5)
        return net.eval().requires_grad_(False)

    return build


def pictures(batch: int, height: int, width: int) -> Any:
    import torch

    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def both(net: Any, images: Any) -> tuple[Any, Any]:
    """What the official forward gives, and the fast one."""
    import torch

    with torch.inference_mode():
        official = net(images)
        assert use_fast_encoder(net)
        fast = net(images)
        use_fast_encoder(net, wanted=False)
        assert torch.equal(net(images), official)
    return official, fast


def apart(pair: tuple[Any, Any]) -> float:
    official, fast = pair
    assert official.shape == fast.shape
    return float((fast - official).abs().max())


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("rel_pos", [True, False])
def test_same_numbers_as_the_official_forward(batch: int, rel_pos: bool, built: Callable[..., Any]) -> None:
    assert apart(both(built(use_rel_pos=rel_pos), pictures(batch, 256, 256))) <= 1e-5


# In tokens and windows of 7: 14 no padding, 15 windows with one token each way, 6 less than one window.
@pytest.mark.parametrize("side", [224, 240, 96])
def test_whatever_the_padding(side: int, built: Callable[..., Any]) -> None:
    assert apart(both(built(side), pictures(2, side, side))) <= 1e-5


# Another frame than the tables were made for: the official code interpolates them.
@pytest.mark.parametrize(("height", "width"), [(208, 160), (64, 320)])
def test_whatever_the_shape(height: int, width: int, built: Callable[..., Any]) -> None:
    assert apart(both(built(use_abs_pos=False), pictures(1, height, width))) <= 1e-5


@pytest.mark.parametrize("changes", [{"window_size": 0}, {"global_attn_indexes": ()}, {"qkv_bias": False}])
def test_other_nets_of_the_kind(changes: dict[str, Any], built: Callable[..., Any]) -> None:
    assert apart(both(built(**changes), pictures(1, 256, 256))) <= 1e-5


# 48 queries are 3 of 16 rows: the last piece is shorter. 5 is less than one row.
@pytest.mark.parametrize(("queries", "tokens"), [(64, 64), (48, 100), (5, 7)])
def test_however_it_is_cut(
    queries: int, tokens: int, built: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_encoder, "QUERIES", queries)
    monkeypatch.setattr(fast_encoder, "TOKENS", tokens)
    assert apart(both(built(), pictures(1, 256, 256))) <= 1e-5


def test_linear_layers_of_torch_do_the_same(built: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_encoder, "_onednn", _refuse)
    monkeypatch.setattr(fast_encoder, "_has_onednn", lambda *_: False)
    for changes in ({}, {"qkv_bias": False}):
        assert apart(both(built(**changes), pictures(1, 256, 256))) <= 1e-5


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError])
def test_without_onednn_torchs_own_layers_run(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error("no such operation")

    monkeypatch.setattr(fast_encoder, "_onednn", refuse)
    assert not fast_encoder._has_onednn.__wrapped__()


def test_an_onednn_that_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_encoder, "_onednn", lambda *args, **way: fast_encoder._plain(*args, **way) + 1e-3)
    assert not fast_encoder._has_onednn.__wrapped__()


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("was called")


@pytest.mark.parametrize("block", [0, 1], ids=["window", "global"])
def test_the_tables_matter(block: int, built: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above would be empty if the position tables changed nothing."""
    import torch

    net = built()
    use_fast_encoder(net)
    with torch.inference_mode():
        usual = net(pictures(1, 256, 256))
        monkeypatch.setattr(net.blocks[block].attn, "use_rel_pos", False)
        assert (net(pictures(1, 256, 256)) - usual).abs().max() > 1e-3


def test_the_picture_is_left_as_it_was(built: Callable[..., Any]) -> None:
    import torch

    images = pictures(1, 256, 256)
    before = images.clone()
    both(built(), images)
    assert torch.equal(images, before)


def test_with_gradients_or_in_another_precision_the_official_forward_runs(
    built: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def refuse(*_: Any) -> None:
        raise AssertionError("the fast forward ran")

    net = built()
    use_fast_encoder(net)
    monkeypatch.setattr(fast_encoder, "_encode", refuse)
    images = pictures(1, 256, 256).requires_grad_()
    net(images).sum().backward()
    assert images.grad is not None
    with torch.inference_mode():
        assert net.double()(images.detach().double()).dtype == torch.float64
        net.float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            net(images.detach())
        with pytest.raises(AssertionError, match="the fast forward ran"):
            net(images.detach())


def test_other_nets_are_left_alone(built: Callable[..., Any]) -> None:
    import torch

    class Adapted(torch.nn.Linear):
        """As fine-tuning puts into a net."""

    other, adapted = built(act_layer=partial(torch.nn.GELU, approximate="tanh")), built()
    adapted.blocks[1].attn.qkv = Adapted(64, 192)
    for net in (torch.nn.Conv2d(3, 3, 1), other, adapted):
        before = dict(vars(net))
        assert not use_fast_encoder(net)
        assert vars(net) == before


def test_parts_are_left_alone(built: Callable[..., Any]) -> None:
    net = built()
    before = {name: dict(vars(module)) for name, module in net.named_modules() if name}
    use_fast_encoder(net)
    assert {name: vars(module) for name, module in net.named_modules() if name} == before


@pytest.mark.parametrize(
    ("environment", "argument", "expected"),
    [(None, None, True), ("0", None, False), ("off", None, False), ("1", None, True), ("0", True, True)],
)
def test_can_be_turned_off(
    environment: str | None, argument: bool | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment is not None:
        monkeypatch.setenv("SAMNB_FAST_ATTENTION", environment)
    assert wants_fast_encoder(argument) is expected


# -- bfloat16 ------------------------------------------------------------------------------------------


def near(net: Any, images: Any) -> tuple[Any, Any]:
    """What the official forward gives in float32, and the fast one in bfloat16."""
    import torch

    with torch.inference_mode():
        official = net(images)
        assert use_fast_encoder(net, precision="bfloat16")
        return official, net(images)


def likeness(pair: tuple[Any, Any]) -> float:
    import torch

    a, b = (each.flatten().double() for each in pair)
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("changes", [{}, {"use_rel_pos": False}, {"qkv_bias": False}, {"window_size": 0}])
def test_bfloat16_is_near_the_official_forward(
    changes: dict[str, Any], onednn: bool, built: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not onednn:
        monkeypatch.setattr(fast_encoder, "_has_onednn", lambda *_: False)
    official, fast = near(built(**changes), pictures(2, 256, 256))
    assert fast.dtype == official.dtype
    assert likeness((official, fast)) >= 0.9995
    assert apart((official, fast)) > 1e-4  # it did compute in bfloat16


def test_bfloat16_keeps_residuals_in_float32(built: Callable[..., Any]) -> None:
    """Rounding them too, as autocast does not but a net cast as a whole does, is further from the official numbers."""
    import torch

    net, images = built(), pictures(1, 256, 256)
    cast = net.to(torch.bfloat16)(images.bfloat16()).float()
    official, fast = near(built(), images)
    assert 1 - likeness((official, fast)) < 0.5 * (1 - likeness((official, cast)))


def test_bfloat16_gives_up_the_float32_weights_and_runs_anywhere(built: Callable[..., Any]) -> None:
    import torch

    net, images = built(), pictures(1, 256, 256)
    _, fast = near(net, images)
    assert all(block.mlp.lin1.weight.numel() == block.attn.qkv.weight.numel() == 0 for block in net.blocks)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(net(images), fast)


def test_the_seconds_of_a_block_leave_the_net_as_it_was(built: Callable[..., Any]) -> None:
    import torch

    net, images = built(), pictures(1, 256, 256)
    before = net(images)
    seconds = fast_encoder.seconds_of_block(net, ["float32", "bfloat16"], rounds=1)
    assert seconds.keys() == {"float32", "bfloat16"}
    assert min(seconds.values()) > 0
    assert torch.equal(net(images), before)
