"""The second pass: a crop round a mask, from the maps that are there already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .answer import Answer, ImageSide, mask_facts
from .config import CROP_CELLS, CROP_DIM, DRAW_DIM, LOGIT_STRIDE, MASKS
from .fills import FINE_FILLS, fill_maps
from .layers import LOGIT_SCALE, Block, Film, Pointwise, Prompts, conv_norm, draw_boxes, draw_spots

MARGIN, SMALLEST = 0.2, 40.0
"""Room round a mask, as a share of its longer side; smallest side of a crop in pixels of the frame."""

OUTSIDE = -8.0
"""Logits beyond the crop are cut to at most half of this: the crop holds the whole mask."""

CROP_MAPS = 4 * (2 + FINE_FILLS + 3) + 10 + 3 + 2
"""Maps of the crop: the first pass's and earlier logits, fills and colours in 2x2; spots, box, likeness."""

CROP_VECTOR_DIM = 2 * DRAW_DIM + MASKS + 1
"""Values of the mask beside those of the clicks: features in and just outside it, its number, the crop's size."""


LEVELS = FINE_FILLS // 2
"""Fills of one kind of click."""

DRAWN, EARLIER, FOREGROUND, BACKGROUND, COLOURS = 0, 1, 2, 2 + LEVELS, 2 + 2 * LEVELS
"""Channels of the finer maps: the first pass's and an earlier answer, fills from clicks of both kinds, colours."""


@dataclass(frozen=True, eq=False)
class Refined:
    """K masks drawn anew.

    Parameters
    ----------
    logits
        (K, 1, 2 R, 2 R) of the crop.
    windows
        (K, 3) x0, y0, side of the crop in pixels of the frame.
    scores
        (K,) logits of the estimated IoU.
    prior
        (K, 1, H, W) the first pass's logits of the whole frame, at stride 4.
    """

    logits: Tensor
    windows: Tensor
    scores: Tensor
    prior: Tensor

    def in_frame(self) -> Tensor:
        """(K, 1, 2 H, 2 W) logits of the whole frame at stride 2."""
        prior = F.interpolate(self.prior, scale_factor=2.0, mode="bilinear", align_corners=False)
        frame = prior.clamp(max=OUTSIDE / 2)
        for number, (x0, y0, side) in enumerate(self.windows.tolist()):
            rows, y = _inside(y0, side, frame.shape[-2])
            columns, x = _inside(x0, side, frame.shape[-1])
            grid = torch.stack(torch.broadcast_tensors(x[None], y[:, None]), -1)[None].to(frame)
            drawn = F.grid_sample(self.logits[number, None], grid, padding_mode="border", align_corners=False)
            frame[number, :, rows, columns] = drawn[0]
        return frame


def _inside(start: float, side: float, length: int) -> tuple[slice, Tensor]:
    """The cells of one axis of the frame whose centres lie in a window, and where they lie in it, -1 to 1."""
    places = 2 * ((torch.arange(length) + 0.5) * LOGIT_STRIDE - start) / side - 1
    cells = torch.nonzero(places.abs() < 1)[:, 0]
    low, high = (int(cells[0]), int(cells[-1]) + 1) if len(cells) else (0, 0)
    return slice(low, high), places[low:high]


class CropPass(nn.Module):
    """Crops of maps to logits of the crop."""

    def __init__(self, vector_dim: int) -> None:
        super().__init__()
        self.cells = CROP_CELLS
        self.state = conv_norm(DRAW_DIM, CROP_DIM)
        self.tell = conv_norm(CROP_MAPS, CROP_DIM)
        self.film = Film(vector_dim + CROP_VECTOR_DIM, CROP_DIM)
        self.coarse = nn.Sequential(*(Block(CROP_DIM, 2 * CROP_DIM, 5) for _ in range(2)))
        self.sharp = nn.Sequential(*(Block(CROP_DIM, CROP_DIM * 5 // 4, 3) for _ in range(2)))
        self.draw = Pointwise(CROP_DIM, 4)
        self.believe = nn.Linear(vector_dim + CROP_VECTOR_DIM, FINE_FILLS)
        for layer in (self.draw, self.believe):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        seen = 2 * CROP_DIM + vector_dim + CROP_VECTOR_DIM + 5 + FINE_FILLS // 2
        self.score = nn.Sequential(nn.Linear(seen, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(
        self,
        images: ImageSide,
        answer: Answer,
        which: Tensor,
        windows: Tensor | None = None,
        cells: int | None = None,
    ) -> Refined:
        """Draw masks anew, see `MaskDecoder.second_pass`.

        Parameters
        ----------
        images, answer
            The images' side, and the first pass's answer to P prompts.
        which
            (P, M) numbers of the masks wanted of each prompt.
        windows
            (P * M, 3) crops to look at; None: round the masks, see `windows_of`.
        cells
            Side of the crop in cells; None: `self.cells`.
        """
        count, cells = which.shape[1], cells or self.cells
        prior = answer.logits.gather(1, which[..., None, None].expand(-1, -1, *answer.logits.shape[2:]))
        prior = prior.flatten(0, 1)[:, None]
        prompts = answer.prompts
        asked = prompts.repeated(count)
        first = prior.detach()
        if windows is None:
            windows = windows_of(first, asked)
        frame = first.shape[-1] * 4
        grid, fine_grid = (_grid(windows, n, first) / frame * 2 - 1 for n in (cells, 2 * cells))
        drawn = F.grid_sample(prior, fine_grid, align_corners=False, padding_mode="border")
        maps, channels = self._fine_maps(images, answer)
        told = _sampled(maps, fine_grid, count)
        state = F.interpolate(self.state(answer.cells), scale_factor=2.0, mode="bilinear", align_corners=False)
        alike = _alike(answer.side.looks4, prompts, frame)
        seen = torch.cat([answer.side.crop + state, alike], 1).contiguous(memory_format=torch.channels_last)
        features, alike = _sampled(seen, grid, count).split([CROP_DIM, 2], 1)
        vector = answer.vector.repeat_interleave(count, 0)
        vector = torch.cat([vector, _told_of(first, answer.cells, which, windows, frame)], 1)
        spots = _drawn(asked, windows, cells)
        fine = torch.cat([torch.tanh(drawn / LOGIT_SCALE), told], 1)
        x = features + self._tell(fine, [DRAWN, *channels], torch.cat([spots, alike], 1))
        x = F.relu(self.film(x.contiguous(memory_format=torch.channels_last), vector))
        wide = self.coarse(F.avg_pool2d(x, 2))
        x = self.sharp(x + F.interpolate(wide, scale_factor=2.0, mode="bilinear", align_corners=False))
        beliefs = self.believe(vector)
        logits = drawn + F.pixel_shuffle(self.draw(x), 2)
        for fills in (slice(0, LEVELS), slice(LEVELS + 3, 2 * LEVELS + 3))[: 1 + (BACKGROUND in channels)]:
            believed = beliefs[:, LEVELS:] if fills.start else beliefs[:, :LEVELS]
            logits = logits + torch.einsum("kf,kfhw->khw", believed, told[:, fills])[:, None]
        scores = self._score(
            logits.detach(), drawn.detach(), x, told[:, :LEVELS], vector, answer.scores.gather(1, which).flatten()
        )
        return Refined(logits, windows, scores, prior)

    def _tell(self, fine: Tensor, channels: list[int], coarse: Tensor) -> Tensor:
        """`self.tell` of maps with finer ones packed 2x2 in front, without packing them: a convolution of stride 2.

        Channels of the finer maps that are not there are zero.
        """
        first: Any
        first, *norm = self.tell if isinstance(self.tell, nn.Sequential) else [self.tell]
        packed, rest = first.weight.split([CROP_MAPS - coarse.shape[1], coarse.shape[1]], 1)
        weight = packed[:, :, 0, 0].unflatten(1, (-1, 2, 2))[:, channels].contiguous(memory_format=torch.channels_last)
        told = F.conv2d(fine.contiguous(memory_format=torch.channels_last), weight, first.bias, stride=2)
        told = told + F.conv2d(coarse, rest)
        whole: Tensor = norm[0](told) if norm else told
        return whole

    def _fine_maps(self, images: ImageSide, answer: Answer) -> tuple[Tensor, list[int]]:
        """(P, C, H, W) at stride 2, and the channels of `tell` that they are.

        Fills from foreground clicks, colours, and where a prompt has them: fills from background clicks, an earlier
        answer.
        """
        prompts, owners = answer.prompts, answer.owners.cpu().numpy()
        fills = fill_maps(images.fine, owners, prompts, 2)
        maps = [fills[:, :LEVELS], torch.from_numpy(images.fine[owners]).to(fills) / 100]
        channels = [*range(FOREGROUND, BACKGROUND), *range(COLOURS, COLOURS + 3)]
        if bool((prompts.labels == 0).any()):
            maps.append(fills[:, LEVELS:])
            channels += range(BACKGROUND, COLOURS)
        if prompts.logits is not None:
            maps.append(torch.tanh(prompts.logits / LOGIT_SCALE))
            channels.append(EARLIER)
        return torch.cat(maps, 1), channels

    def _score(self, logits: Tensor, before: Tensor, x: Tensor, fills: Tensor, vector: Tensor, guess: Tensor) -> Tensor:
        """Estimate the IoU of K masks, (K,) logits, from the crop; see `mask_facts`."""
        facts, coverage = mask_facts(logits, fills[..., ::2, ::2])
        facts, coverage = facts[:, 0], coverage[:, 0]
        flat = x.flatten(2)
        inside = torch.einsum("kn,kcn->kc", coverage, flat)
        new, old = logits > 0, before > 0
        kept = (new & old).sum((1, 2, 3)) / (new | old).sum((1, 2, 3)).clamp(min=1)
        seen = torch.cat([inside, flat.mean(2), vector, facts, kept[:, None], guess.detach()[:, None]], 1)
        return self.score(seen).squeeze(-1) + guess.detach()


def windows_of(logits: Tensor, prompts: Prompts) -> Tensor:
    """Square crops round masks, clicks and boxes with some room.

    Parameters
    ----------
    logits
        (K, 1, H, W) at stride 4.
    prompts
        K prompts.

    Returns
    -------
    Tensor
        (K, 3) x0, y0, side, in pixels of the frame.
    """
    # In numpy, where forty small steps take a third of the time.
    drawn: Any = (logits[:, 0] > 0).cpu().numpy()
    points, labels, boxes = (part.cpu().numpy() for part in (prompts.points, prompts.labels, prompts.boxes))
    ends = np.empty((2, 2, len(drawn)))
    for axis, column in ((1, 0), (2, 1)):
        line = drawn.any(axis)
        first, last = line.argmax(1), line.shape[1] - line[:, ::-1].argmax(1)
        ends[column] = np.where(line.any(1), (first * 4.0, last * 4.0), ((line.shape[1] * 4.0,), (0.0,)))
        if labels.shape[1]:
            clicked = labels == 1
            ends[column, 0] = np.minimum(ends[column, 0], np.where(clicked, points[..., column], 1e6).min(1))
            ends[column, 1] = np.maximum(ends[column, 1], np.where(clicked, points[..., column], -1e6).max(1))
        boxed = boxes[:, 2] > boxes[:, 0]
        ends[column, 0] = np.where(boxed, np.minimum(ends[column, 0], boxes[:, column]), ends[column, 0])
        ends[column, 1] = np.where(boxed, np.maximum(ends[column, 1], boxes[:, column + 2]), ends[column, 1])
    frame = 4.0 * logits.shape[-1]
    side = ((ends[:, 1] - ends[:, 0]).max(0) * (1 + 2 * MARGIN) + 16).clip(SMALLEST, frame)
    # A crop that would stick out of the frame is moved in: there is nothing to see outside.
    left, top = np.clip((ends.sum(1) - side) / 2, 0, frame - side)
    return torch.from_numpy(np.stack([left, top, side], 1).astype(np.float32)).to(logits.device)


def _grid(windows: Tensor, cells: int, like: Tensor) -> Tensor:
    """(K, cells, cells, 2) x, y in pixels of the frame."""
    y, x = _rows_columns(windows, cells)
    return torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), -1).to(like)


def _rows_columns(windows: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Pixel positions of a crop's cells: y (K, cells) and x (K, cells)."""
    steps = (torch.arange(cells, device=windows.device) + 0.5) / cells
    x0, y0, side = (column[:, None] for column in windows.unbind(1))
    return y0 + side * steps, x0 + side * steps


def _sampled(maps: Tensor, grid: Tensor, count: int) -> Tensor:
    """Crops (P * count, C, R, R) of maps (P, C, H, W): `count` of each, without copies of the maps."""
    cells = grid.shape[1]
    joined = F.grid_sample(maps, grid.reshape(len(maps), count * cells, cells, 2), align_corners=False)
    if count == 1:
        return joined
    return joined.unflatten(2, (count, cells)).transpose(1, 2).flatten(0, 1)


def _alike(looks: Tensor, prompts: Prompts, frame: int) -> Tensor:
    """(P, 2, H, W): how much each cell at stride 4 looks like the foreground and background clicks."""
    if not prompts.points.shape[1]:
        return looks.new_zeros((len(looks), 2, *looks.shape[-2:]))
    at = (prompts.points / frame * 2 - 1)[:, :, None]
    clicked = F.grid_sample(looks, at, align_corners=False)[..., 0]  # (P, LOOK_DIM, N)
    kinds = torch.stack([prompts.labels == 1, prompts.labels == 0], 2).to(clicked)
    weights = kinds / kinds.sum(1, keepdim=True).clamp(min=1)
    found = looks.permute(0, 2, 3, 1).flatten(1, 2) @ (clicked @ weights)
    return found.unflatten(1, looks.shape[-2:]).permute(0, 3, 1, 2)


def _drawn(prompts: Prompts, windows: Tensor, cells: int) -> Tensor:
    """(K, 13, R, R): spots of clicks, in pixels and in parts of the crop, and the box."""
    y, x = _rows_columns(windows, cells)
    side = windows[:, 2]
    radii = torch.stack([torch.full_like(side, radius) for radius in (3.0, 8.0, 24.0)] + [side / 24, side / 8], 1)
    return torch.cat([draw_spots(prompts, y, x, radii), draw_boxes(prompts, y, x, 4.0)], 1)


def _told_of(logits: Tensor, cells: Tensor, which: Tensor, windows: Tensor, frame: int) -> Tensor:
    """(P * M, CROP_VECTOR_DIM): what is in a mask and just outside it, its number, the crop's size."""
    soft = torch.sigmoid(F.avg_pool2d(logits, 2))[:, 0]
    # A maximum over a square is one over columns of one over rows, in a quarter of the time.
    near = F.max_pool2d(F.max_pool2d(soft[:, None], (1, 7), 1, (0, 3)), (7, 1), 1, (3, 0))[:, 0] * (1 - soft)
    means = []
    for weight in (soft, near):
        flat = weight.flatten(1)
        flat = (flat / (flat.sum(1, keepdim=True) + 1e-3)).view(*which.shape, -1)
        means.append(torch.einsum("pmn,pcn->pmc", flat, cells.flatten(2)).flatten(0, 1))
    own = F.one_hot(which.flatten(), MASKS).to(soft)
    return torch.cat([*means, own, torch.log2(windows[:, 2:] / frame)], 1)
