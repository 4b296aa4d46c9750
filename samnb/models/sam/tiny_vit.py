"""TinyViT as MobileSAM's image encoder: a convolutional stem and stage, then three stages of windowed attention.

Written from the papers' description, with the module names of the official weight file. Importing this file imports
torch. Tensors are (B, C, H, W) between stages and (B, H, W, C) inside a block of attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 1000  # of ImageNet; the official file still has that head


class ConvNorm(nn.Sequential):
    """A convolution without bias and its batch norm, named `c` and `bn`."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1):
        super().__init__()
        self.c = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)


class Stem(nn.Module):
    """A quarter of the size in two steps."""

    def __init__(self, dim: int):
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, dim // 2, 3, 2), nn.GELU(), ConvNorm(dim // 2, dim, 3, 2))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.seq(pixels)


class MBConv(nn.Module):
    """1 x 1 convolution to more channels, 3 x 3 depthwise, 1 x 1 back, added to the input."""

    def __init__(self, dim: int, expand: float):
        super().__init__()
        inner = int(dim * expand)
        self.conv1 = ConvNorm(dim, inner)
        self.conv2 = ConvNorm(inner, inner, 3, groups=inner)
        self.conv3 = ConvNorm(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.gelu(self.conv2(functional.gelu(self.conv1(x))))
        return functional.gelu(x + self.conv3(inner))


class PatchMerging(nn.Module):
    """Between two stages: another number of channels, and half the size where `stride` is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(functional.gelu(self.conv2(functional.gelu(self.conv1(x)))))


class Attention(nn.Module):
    """Attention within one window; a learnt bias for each head and each distance in rows and columns."""

    attention_bias_idxs: Tensor

    def __init__(self, dim: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        rows, columns = torch.arange(window * window) // window, torch.arange(window * window) % window
        distances = (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()
        self.register_buffer("attention_bias_idxs", distances, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        # In the file the three parts of one head lie together: (heads, q k v, dim of a head).
        parts = self.qkv(self.norm(x)).view(batch, tokens, self.heads, 3, dim // self.heads)
        q, k, v = parts.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self.attention_bias_idxs]
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, dim))


class Mlp(nn.Module):
    """Layer norm, four times wider, GELU, and back."""

    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1, self.fc2 = nn.Linear(dim, inner), nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    """Attention in windows, a 3 x 3 convolution of each channel, then the two linear layers."""

    def __init__(self, dim: int, heads: int, window: int):
        super().__init__()
        self.window = window
        self.attn = Attention(dim, heads, window)
        self.mlp = Mlp(dim, 4 * dim)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._in_windows(x)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(x)

    def _in_windows(self, x: Tensor) -> Tensor:
        """Attention on every window of (B, H, W, C); zeros pad the last ones and take part, as in training."""
        batch, height, width, dim = x.shape
        side = self.window
        down, right = -height % side, -width % side
        x = functional.pad(x, (0, 0, 0, right, 0, down))
        rows, columns = (height + down) // side, (width + right) // side
        windows = x.view(batch, rows, side, columns, side, dim).transpose(2, 3).reshape(-1, side * side, dim)
        mixed = self.attn(windows).view(batch, rows, columns, side, side, dim).transpose(2, 3)
        return mixed.reshape(batch, height + down, width + right, dim)[:, :height, :width]


class Stage(nn.Module):
    """Blocks and, in all but the last stage, the downsampling to the next one."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None, *, channels_last: bool):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        if self.channels_last:
            x = x.permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        return x if self.downsample is None else self.downsample(x)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, eps=1e-6).permute(0, 3, 1, 2)


class TinyViT(nn.Module):
    """From (B, 3, S, S) pixels, normalised, to (B, `out_channels`, S/16, S/16).

    Parameters
    ----------
    dims, depths, heads, windows : sequence of int
        Of the four stages; the first is convolutional, its heads and window are not used.
    out_channels : int
        Of the neck.
    """

    def __init__(
        self,
        *,
        dims: Sequence[int] = (64, 128, 160, 320),
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (2, 4, 5, 10),
        windows: Sequence[int] = (7, 7, 14, 7),
        out_channels: int = 256,
    ):
        super().__init__()
        self.patch_embed = Stem(dims[0])
        self.layers = nn.ModuleList()
        for index, (dim, depth, count, window) in enumerate(zip(dims, depths, heads, windows, strict=True)):
            last, convolutional = index == len(dims) - 1, index == 0
            # MobileSAM leaves the third halving out: SAM's decoder wants 64 x 64 cells.
            merging = None if last else PatchMerging(dim, dims[index + 1], 1 if index == len(dims) - 2 else 2)
            blocks = [MBConv(dim, 4.0) if convolutional else Block(dim, count, window) for _ in range(depth)]
            self.layers.append(Stage(blocks, merging, channels_last=not convolutional))
        self.norm_head, self.head = nn.LayerNorm(dims[-1]), nn.Linear(dims[-1], CLASSES)
        self.neck = nn.Sequential(
            nn.Conv2d(dims[-1], out_channels, 1, bias=False),
            ChannelNorm(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            ChannelNorm(out_channels),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embed(pixels)
        for stage in self.layers:
            x = stage(x)
        return self.neck(x)
