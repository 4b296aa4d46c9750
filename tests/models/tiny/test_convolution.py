"""oneDNN's convolution gives what torch's own gives, and is used only where it does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from samnb.models.tiny import convolution
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
    monkeypatch.setattr(convolution, "_onednn", lambda layer, x, relu6: nn.Conv2d.forward(layer, x))  # forgets ReLU6
    assert not convolution._has_onednn.__wrapped__()
