"""RoIAlign (He et al. 2017, arXiv:1703.06870) in torch alone: mean features of the cells of a box.

``transformers`` calls torchvision's for the exemplars of SAM 3. Its compiled operators are missing where torchvision
was built for another torch, as beside most CPU builds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any


def roi_align(features: Any, boxes: Sequence[Any], output_size: int) -> Any:
    """Mean features of the cells of boxes, as ``torchvision.ops.roi_align`` with its defaults.

    Bilinear samples, as many as a box covers features; boxes smaller than one feature count as one.

    Parameters
    ----------
    features : (B, C, H, W) tensor
    boxes : sequence of B tensors (N, 4)
        (x0, y0, x1, y1) in features of each image.
    output_size : int
        Number of cells of a box in each direction.

    Returns
    -------
    (sum of N, C, output_size, output_size) tensor

    Examples
    --------
    >>> import torch
    >>> ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    >>> roi_align(ramp, [torch.tensor([[2.0, 2.0, 6.0, 6.0]])], 2)[0, 0].tolist()
    [[3.0, 5.0], [3.0, 5.0]]
    """
    import torch

    height, width = features.shape[-2:]
    rows = []
    for image, own in zip(features, boxes, strict=True):
        for x0, y0, x1, y1 in own.tolist():
            down = _weights(y0, y1, height, output_size).to(features)
            across = _weights(x0, x1, width, output_size).to(features)
            rows.append(torch.einsum("ih,chw,jw->cij", down, image, across))
    return torch.stack(rows) if rows else features.new_zeros((0, features.shape[1], output_size, output_size))


def _weights(start: float, end: float, length: int, cells: int) -> Any:
    """(cells, length): the weight of each feature in the mean of each cell, along one axis."""
    import torch

    extent = max(end - start, 1.0)
    samples = math.ceil(extent / cells)
    places = start + (torch.arange(cells * samples, dtype=torch.float64) + 0.5) * extent / (cells * samples)
    counted = ((places >= -1) & (places <= length)).double() / samples
    places = places.clamp(0, length - 1)
    lower = places.floor().long()
    upper = (lower + 1).clamp(max=length - 1)
    share = places - lower
    weights = torch.zeros((cells * samples, length), dtype=torch.float64)
    weights.scatter_add_(1, lower[:, None], ((1 - share) * counted)[:, None])
    weights.scatter_add_(1, upper[:, None], (share * counted)[:, None])
    return weights.reshape(cells, samples, length).sum(1)


def use_own_roi_align(geometry_encoder: Any) -> None:
    """Make one geometry encoder of ``transformers`` call `roi_align` here; the module it comes from stays as it is.

    Its method is given other globals, in which ``torchvision`` has this function only.
    """
    method = type(geometry_encoder)._encode_boxes
    ours = SimpleNamespace(ops=SimpleNamespace(roi_align=roi_align))
    names = {**method.__globals__, "torchvision": ours}
    own = FunctionType(method.__code__, names, method.__name__, method.__defaults__, method.__closure__)
    geometry_encoder._encode_boxes = MethodType(own, geometry_encoder)
