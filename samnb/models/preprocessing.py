"""Preprocessing: from pixels to the square input of an image encoder, as ``segment_anything``'s transforms do it.

Sizes are (H, W).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ModelError


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image, checked and scaled, as `encode_prepared` of a model takes it.

    Parameters
    ----------
    resized : (h, w, 3) uint8
        Scaled so that the longer side is that of the model's square input.
    original_size : (H, W)
    """

    resized: NDArray[np.uint8]
    original_size: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of `resized`."""
        return self.resized.nbytes


def prepare(image: Any, longest: int) -> Prepared:
    """Check (H, W, 3) uint8 pixels, or an upright RGB image of Pillow's, and scale it.

    An image of Pillow's is scaled by Pillow, which saves two copies of it.

    Examples
    --------
    >>> prepared = prepare(np.zeros((60, 80, 3), np.uint8), 40)
    >>> prepared.resized.shape, prepared.original_size
    ((30, 40, 3), (60, 80))
    """
    if isinstance(image, Image.Image) and image.mode == "RGB":
        return Prepared(_scaled(image, longest), (image.height, image.width))
    check_pixels(image)
    return Prepared(resize_longest_side(image, longest), image.shape[:2])


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
    return _scaled(Image.fromarray(np.ascontiguousarray(pixels)), longest)


def _scaled(image: Image.Image, longest: int) -> NDArray[np.uint8]:
    height, width = input_size_of((image.height, image.width), longest)
    if image.size == (width, height):
        return np.array(image)
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))


def normalised(
    resized: NDArray[np.uint8],
    side: int,
    *,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    device: str,
) -> Any:
    """(1, 3, side, side) float32 on `device`: normalised by mean and std, then padded right and below with zeros."""
    import torch

    if device.startswith("cuda"):
        # pinned memory: the copy runs while the GPU computes
        tensor = torch.from_numpy(resized).pin_memory().to(device, non_blocking=True)
    else:
        tensor = torch.tensor(resized, device=device)
    tensor = tensor.permute(2, 0, 1).contiguous()[None]
    means, stds = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (mean, std))
    height, width = resized.shape[:2]
    return torch.nn.functional.pad((tensor - means) / stds, (0, side - width, 0, side - height))
