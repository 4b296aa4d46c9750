"""oneDNN's convolution gives what torch's own gives, and is used only where it does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from samnb.models.tiny import convolution
from samnb.models.tiny.backbone import SameConv
from samnb.models.tiny.convolution import convolved


def layer_of(kernel: int, stride: int, groups: int) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Conv2d(16, 32 if groups == 1 else 16, kernel, stride, kernel // 2, groups=groups).requires_grad_(
            False
        )


@pytest.mark.parametrize("relu6", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (3, 2, 1), (3, 1, 16), (5, 2, 16)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_same_numbers(kernel: int, stride: int, groups: int, relu6: bool, layout: torch.memory_format) -> None:
    layer = layer_of(kernel, stride, groups)
    x = (9 * torch.randn(2, 16, 17, 20)).contiguous(memory_format=layout)
    expected = F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding, groups=groups)
    expected = F.relu6(expected) if relu6 else expected
    with torch.inference_mode():
        assert torch.allclose(convolved(layer, x, relu6=relu6), expected, atol=1e-4)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(20, 16), (17, 16), (15, 17)])
def test_one_pixel_more_after_than_before_needs_no_padded_copy(kernel: int, size: tuple[int, int]) -> None:
    layer = SameConv(16, 16, kernel, 2, groups=16).requires_grad_(False)
    x = torch.randn(1, 16, *size).contiguous(memory_format=torch.channels_last)
    missing = [(-(-side // 2) - 1) * 2 + kernel - side for side in size]
    padded = F.pad(x, [each for m in reversed(missing) for each in (m // 2, -(-m // 2))])
    expected = F.relu6(F.conv2d(padded, layer.weight, layer.bias, 2, groups=16))
    with torch.inference_mode():
        found = layer(x)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)


def test_gradients_and_other_precisions_take_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("was called")

    monkeypatch.setattr(convolution, "_onednn", refuse)
    layer, x = layer_of(1, 1, 1), torch.ones(1, 16, 4, 4)
    layer.requires_grad_(True)
    convolved(layer, x, relu6=True).sum().backward()
    assert layer.weight.grad is not None
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert convolved(layer, x, relu6=False).dtype == torch.bfloat16


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError])
def test_a_torch_without_it_is_found_out(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise error("no such operation")

    monkeypatch.setattr(convolution, "_onednn", fail)
    assert not convolution._has_onednn.__wrapped__()


def test_one_that_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets_relu6(
        x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor, sizes: Any, relu6: bool
    ) -> torch.Tensor:
        return F.conv2d(x, kernel, bias, *sizes)

    monkeypatch.setattr(convolution, "_onednn", forgets_relu6)
    assert not convolution._has_onednn.__wrapped__()
