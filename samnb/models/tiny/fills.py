"""Flood fills from the clicks on an entry's colours, at strides 4 and 2; see `samnb.models.tiny_sam.flood_fill`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..tiny_sam.flood_fill import TOLERANCES, fill
from .config import SHADES
from .layers import Prompts

FINE_LEVELS = (0.15, 0.3, 0.5, 0.8)
"""Tolerances of the fills at stride 2."""

THREADS = 1
"""How many prompts are filled at a time; training with a GPU sets it higher."""

COARSE_FILLS, FINE_FILLS = 2 * (len(TOLERANCES) + 1), 2 * (len(FINE_LEVELS) + 1)
"""Maps for foreground and for background clicks: a fill for each level, and how alike each colour is anywhere."""


def shades_of(colours: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Colours (B, 3, H, W) of an entry as whole shades at stride 4, (B, 3, H / 2, W / 2), and at stride 2."""
    fine = torch.round(colours.float() * SHADES)
    coarse = torch.round(F.avg_pool2d(fine, 2))
    return coarse.cpu().numpy(), fine.cpu().numpy()


@torch.no_grad()
def fill_maps(shades: np.ndarray, owners: np.ndarray, prompts: Prompts, stride: int) -> Tensor:
    """Fill outward from the clicks.

    Parameters
    ----------
    shades
        (I, 3, H, W) of I images.
    owners
        (B,) which image each prompt is on.
    prompts
        B prompts.
    stride
        Of the shades, in pixels of the frame: 4 or 2.

    Returns
    -------
    Tensor
        (B, COARSE_FILLS or FINE_FILLS, H, W) in 0..1; zero for a kind of click that there is none of.
    """
    levels, count = (TOLERANCES, COARSE_FILLS) if stride == 4 else (FINE_LEVELS, FINE_FILLS)
    height, width = shades.shape[2:]
    maps = np.zeros((len(owners), count, height, width), np.float32)
    points, labels = prompts.points.cpu().numpy(), prompts.labels.cpu().numpy()
    half = count // 2

    def fill_one(number: int) -> None:
        for index, kind in enumerate((1, 0)):
            chosen = points[number][labels[number] == kind]
            if len(chosen):
                marked = np.zeros((height, width), bool)
                x, y = (chosen.T / stride).astype(int)
                marked[y.clip(0, height - 1), x.clip(0, width - 1)] = True
                fill(shades[owners[number]], marked, maps[number, index * half : (index + 1) * half], levels)

    if THREADS > 1:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(fill_one, range(len(owners))))
    else:
        for number in range(len(owners)):
            fill_one(number)
    return torch.from_numpy(maps).to(prompts.points.device)
