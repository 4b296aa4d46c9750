"""Layers that the embedded net's neck and decoder share, and how prompts are drawn. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

CLICK_SIGMAS = (5.0, 16.0, 48.0)
"""Radii in pixels of the Gaussian spots a click is drawn as."""

PROMPT_MAPS = 2 * len(CLICK_SIGMAS) + 5
"""Spots of foreground and background clicks; box inside, box outline, box present; earlier answer, and whether."""

LOGIT_SCALE = 4.0
"""Logits are given to layers as tanh(logits / LOGIT_SCALE)."""


@dataclass(frozen=True, eq=False)
class Prompts:
    """B prompts, in pixels of the frame.

    Parameters
    ----------
    points
        (B, N, 2) x, y of pixel centres; N may be 0.
    labels
        (B, N): 1 foreground, 0 background, -1 no click.
    boxes
        (B, 4) x0, y0, x1, y1; a row of -1 is no box.
    logits
        (B, 1, h, w) of an earlier answer; a prompt all of whose logits are 0 has none.
    """

    points: Tensor
    labels: Tensor
    boxes: Tensor
    logits: Tensor | None = None

    @property
    def boxed(self) -> Tensor:
        """(B,) 1 where there is a box."""
        return (self.boxes[:, 2] > self.boxes[:, 0]).float()

    def to(self, device: str) -> Prompts:
        """The same on another device."""
        logits = None if self.logits is None else self.logits.to(device)
        return Prompts(self.points.to(device), self.labels.to(device), self.boxes.to(device), logits)

    def of(self, chosen: Tensor) -> Prompts:
        """Some of these prompts, by their numbers."""
        logits = None if self.logits is None else self.logits[chosen]
        return Prompts(self.points[chosen], self.labels[chosen], self.boxes[chosen], logits)

    def repeated(self, count: int) -> Prompts:
        """Each prompt `count` times in a row, without its earlier answer."""
        return Prompts(*(part.repeat_interleave(count, 0) for part in (self.points, self.labels, self.boxes)))

    def with_click(self, points: Tensor, labels: Tensor, logits: Tensor | None) -> Prompts:
        """Add one click (B, 2), (B,) to each prompt, and give another earlier answer."""
        return replace(
            self,
            points=torch.cat([self.points, points[:, None]], 1),
            labels=torch.cat([self.labels, labels[:, None]], 1),
            logits=logits,
        )


class Pointwise(nn.Conv2d):
    """A 1×1 convolution, computed as one matrix product of all pixels: no copies where channels lie side by side."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return F.linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0, 0], self.bias).permute(0, 3, 1, 2)


def conv_norm(inputs: int, outputs: int, kernel: int = 1, groups: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution that keeps the size, and batch normalisation."""
    padding = dilation * (kernel // 2)
    conv: nn.Conv2d = Pointwise(inputs, outputs, bias=False)
    if kernel > 1:
        conv = nn.Conv2d(inputs, outputs, kernel, 1, padding, dilation, groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, momentum=0.03))


class Block(nn.Module):
    """Filter each channel over its surroundings, then mix channels; a shortcut round both."""

    def __init__(self, channels: int, hidden: int, kernel: int = 5, dilation: int = 1) -> None:
        super().__init__()
        self.filter = conv_norm(channels, channels, kernel, groups=channels, dilation=dilation)
        self.mix, self.back = Pointwise(channels, hidden), Pointwise(hidden, channels)
        # Half the usual start: a stack of blocks begins near the identity.
        nn.init.normal_(self.back.weight, std=0.5 * hidden**-0.5)
        assert self.back.bias is not None
        nn.init.zeros_(self.back.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.back(F.relu(self.mix(self.filter(x)), inplace=True))


class Film(nn.Module):
    """Scale and shift channels by what a vector says; begins as the identity."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.tell = nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 2 * channels))
        last = self.tell[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        """(B, C, H, W) and (B, inputs)."""
        scale, shift = self.tell(vector)[..., None, None].chunk(2, 1)
        return x * (1 + scale) + shift


def cell_centres(size: tuple[int, int], stride: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixel positions of a map's cells: y (H,) and x (W,)."""
    y = (torch.arange(size[0], device=device) + 0.5) * stride
    x = (torch.arange(size[1], device=device) + 0.5) * stride
    return y, x


def draw_spots(prompts: Prompts, y: Tensor, x: Tensor, sigmas: tuple[float, ...] | Tensor) -> Tensor:
    """Draw clicks as Gaussian spots.

    Parameters
    ----------
    prompts
        B prompts.
    y, x
        (H,) or (B, H), and (W,) or (B, W): pixel positions of rows and columns.
    sigmas
        S radii in pixels, or (B, S) of them.

    Returns
    -------
    Tensor
        (B, 2 * S, H, W) in 0..1: foreground clicks in all radii, then background clicks.
    """
    points = prompts.points
    radii = points.new_tensor(sigmas)[None] if isinstance(sigmas, tuple) else sigmas
    scale = -0.5 / radii.square()[:, None, :, None]  # (B or 1, 1, S, 1)
    y, x = y.expand(len(points), -1)[:, None, None], x.expand(len(points), -1)[:, None, None]
    down = torch.exp((y - points[..., 1, None, None]).square() * scale)  # (B, N, S, H)
    across = torch.exp((x - points[..., 0, None, None]).square() * scale)
    spots = []
    for kind in (1, 0):
        chosen = prompts.labels == kind
        if not bool(chosen.any()):
            spots.append(points.new_zeros(len(points), radii.shape[-1], y.shape[-1], x.shape[-1]))
            continue
        rows = down * chosen.to(down)[..., None, None]
        # A sum of products over clicks, cut at 1: near clicks of one kind are as good as one.
        spots.append(torch.einsum("bnsh,bnsw->bshw", rows, across).clamp(max=1))
    return torch.cat(spots, 1)


def draw_boxes(prompts: Prompts, y: Tensor, x: Tensor, stride: float) -> Tensor:
    """(B, 3, H, W): inside, near the outline, and whether there is a box at all."""
    if not bool(prompts.boxed.any()):
        return prompts.boxes.new_zeros(len(prompts.boxes), 3, y.shape[-1], x.shape[-1])
    boxes, boxed = prompts.boxes, prompts.boxed[:, None, None]
    y, x = y.expand(len(boxes), -1)[:, :, None], x.expand(len(boxes), -1)[:, None]
    x0, y0, x1, y1 = (side[:, None, None] for side in boxes.unbind(1))
    depth = torch.minimum(torch.minimum(x - x0, x1 - x), torch.minimum(y - y0, y1 - y))
    inside = torch.sigmoid(depth * (2 / stride)) * boxed
    outline = torch.exp(-0.5 * (depth / stride).square()) * boxed
    return torch.stack([inside, outline, boxed.expand_as(inside)], 1)


def draw_prompts(prompts: Prompts, size: tuple[int, int], stride: int) -> Tensor:
    """Draw prompts as (B, PROMPT_MAPS, H, W) maps of a grid."""
    y, x = cell_centres(size, stride, prompts.points.device)
    spots, boxes = draw_spots(prompts, y, x, CLICK_SIGMAS), draw_boxes(prompts, y, x, stride)
    if prompts.logits is None:
        return F.pad(torch.cat([spots, boxes], 1), (0, 0, 0, 0, 0, 2))
    earlier = F.adaptive_avg_pool2d(torch.tanh(prompts.logits / LOGIT_SCALE), size)
    known = (prompts.logits != 0).flatten(1).any(1).to(earlier)[:, None, None, None]
    return torch.cat([spots, boxes, earlier, known.expand_as(earlier)], 1)


def seeds_of(maps: Tensor) -> Tensor:
    """Weights of the cells that a prompt points at, (B, 2, H * W): foreground and background, each adding up to 1 or 0.

    Where there is no foreground click the inside of the box stands for one.
    """
    count = len(CLICK_SIGMAS)
    clicked, away, inside = maps[:, 0], maps[:, count], maps[:, 2 * count]
    none = (clicked.amax((1, 2), keepdim=True) < 1e-3).to(clicked)
    seeds = torch.stack([clicked + none * inside, away], 1).flatten(2)
    return seeds / (seeds.sum(2, keepdim=True) + 1e-4)


def compare(looks: Tensor, seeds: Tensor) -> Tensor:
    """How much each cell looks like the clicked ones.

    Parameters
    ----------
    looks
        (B, heads, D, H, W), normalised over D.
    seeds
        (B, 2, H * W), see `seeds_of`.

    Returns
    -------
    Tensor
        (B, 2 * heads, H, W) in -1..1.
    """
    size = looks.shape[-2:]
    flat = looks.flatten(3)
    clicked = torch.einsum("bsn,bkdn->bskd", seeds, flat)
    return torch.einsum("bskd,bkdn->bskn", clicked, flat).flatten(1, 2).unflatten(2, size)


def fold_norms(module: nn.Module) -> nn.Module:
    """Fold every batch normalisation that follows a convolution in a sequence; the module is changed and given back.

    Convolutions are laid out for pixels that lie channel by channel, which is twice as fast on a processor.
    """
    for name, child in list(module.named_children()):
        first, *rest = child if isinstance(child, nn.Sequential) else [child]
        if isinstance(first, nn.Conv2d) and len(rest) == 1 and isinstance(rest[0], nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(first.eval(), rest[0].eval()))
        else:
            fold_norms(child)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
