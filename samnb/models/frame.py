"""From pixels to the square frame an image encoder sees; the same numbers as ``segment_anything``'s transforms.

Sizes are (H, W).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ModelError

__all__ = ["check_pixels", "input_size_of", "normalised", "resize_longest_side"]


def check_pixels(pixels: Any) -> None:
    """Raise `ModelError` unless `pixels` is an (H, W, 3) uint8 array with at least one pixel."""
    shape, dtype = getattr(pixels, "shape", None), getattr(pixels, "dtype", None)
    if shape is None or dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ModelError(
            f"pixels: expected an (H, W, 3) uint8 array, RGB; got {type(pixels).__name__} of shape {shape}, "
            f"type {dtype}. samnb.images.as_pixels makes one from a PIL image or an array."
        )


def input_size_of(size_hw: tuple[int, int], longest: int) -> tuple[int, int]:
    """(H, W) after scaling the longer side to `longest`, rounded as ``ResizeLongestSide`` does; at least 1.

    >>> input_size_of((427, 640), 1024)
    (683, 1024)
    """
    height, width = size_hw
    scale = longest * 1.0 / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def resize_longest_side(pixels: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Scale (H, W, 3) uint8 so that its longer side is `longest`; Pillow's antialiased bilinear filter."""
    height, width = input_size_of((pixels.shape[0], pixels.shape[1]), longest)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if picture.size == (width, height):
        return np.array(picture)
    return np.array(picture.resize((width, height), Image.Resampling.BILINEAR))


def normalised(
    resized: NDArray[np.uint8],
    side: int,
    *,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    device: str,
) -> Any:
    """(1, 3, side, side) float32 on `device`: mean and std taken out, then padded right and below with zeros."""
    import torch

    tensor = torch.tensor(resized, device=device).permute(2, 0, 1).contiguous()[None]
    means, stds = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (mean, std))
    height, width = resized.shape[:2]
    return torch.nn.functional.pad((tensor - means) / stds, (0, side - width, 0, side - height))
