"""`convolved`: a convolution and its ReLU6 in one pass of oneDNN, where torch has that. Imports torch."""

from __future__ import annotations

import platform
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def convolved(
    layer: nn.Conv2d, x: Tensor, *, relu6: bool, weight: Tensor | None = None, padding: int | None = None
) -> Tensor:
    """A convolution of (B, C, H, W), and then ReLU6 if `relu6`; `weight` and `padding` instead of the layer's own.

    On one thread torch computes small kernels by a matrix product of copied pixels, and then clamps the result in
    another pass: on an AMD EPYC the encoder takes twice as long that way. The sums are the same, some in
    another order.

    Examples
    --------
    >>> layer = nn.Conv2d(3, 8, 1)
    >>> with torch.inference_mode():
    ...     convolved(layer, torch.ones(1, 3, 4, 4), relu6=True).shape
    torch.Size([1, 8, 4, 4])
    """
    kernel = layer.weight if weight is None else weight
    around = layer.padding if padding is None else (padding, padding)
    sizes: Any = (layer.stride, around, layer.dilation, layer.groups)
    plain = x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_grad_enabled()
    if plain or torch.is_autocast_enabled("cpu") or not _has_onednn():
        y = F.conv2d(x, kernel, layer.bias, *sizes)
        return F.relu6(y) if relu6 else y
    return _onednn(x, kernel, layer.bias, sizes, relu6)


def _onednn(x: Tensor, kernel: Tensor, bias: Tensor | None, sizes: Any, relu6: bool) -> Tensor:
    stride, padding, dilation, groups = sizes
    after: Any = ("hardtanh", [0.0, 6.0], "") if relu6 else ("none", [], "")
    convolution = torch.ops.mkldnn._convolution_pointwise
    found: Tensor = convolution(x, kernel, bias, padding, stride, dilation, groups, *after)
    return found


@lru_cache(maxsize=1)
def _has_onednn() -> bool:
    """Whether torch has oneDNN's convolution, which is no public name, and it computes the same."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    x = torch.linspace(-9, 9, 2 * 8 * 5 * 5).view(2, 8, 5, 5).contiguous(memory_format=torch.channels_last)
    weights = torch.linspace(-1, 1, 8 * 8 * 9)
    for groups, kernel, stride in ((1, 1, 1), (1, 3, 2), (8, 3, 1)):
        layer = nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=groups).requires_grad_(False)
        layer.weight.copy_(weights[: layer.weight.numel()].view_as(layer.weight))
        for relu6 in (False, True):
            expected = nn.Conv2d.forward(layer, x)
            expected = F.relu6(expected) if relu6 else expected
            try:
                sizes = (layer.stride, layer.padding, layer.dilation, layer.groups)
                found = _onednn(x, layer.weight, layer.bias, sizes, relu6)
            except (AttributeError, RuntimeError, TypeError):  # a torch without it, or with other arguments
                return False
            if not torch.allclose(found, expected, atol=1e-4):
                return False
    return True
