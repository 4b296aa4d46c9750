"""RoIAlign in torch alone: against torchvision where it works, and against loops written here."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samnb.models.huggingface.roi_align import roi_align, use_own_roi_align
from samnb.models.sam.reference import import_segment_anything

BOXES = [
    [[0.0, 0.0, 8.0, 6.0], [1.3, 2.2, 5.9, 3.1], [-2.5, -1.0, 3.0, 9.0], [4.0, 4.0, 4.2, 4.1]],
    [[6.5, 0.5, 30.0, 5.5]],
]


def slow_roi_align(features: Any, boxes: Any, output_size: int) -> Any:
    """The definition, sample by sample: nothing in common with the function under test."""
    import torch

    height, width = features.shape[-2:]
    found = []
    for image, own in zip(features.double().numpy(), boxes, strict=True):
        for x0, y0, x1, y1 in own.tolist():
            bin_w, bin_h = max(x1 - x0, 1.0) / output_size, max(y1 - y0, 1.0) / output_size
            nx, ny = math.ceil(bin_w), math.ceil(bin_h)
            cells = np.zeros((len(image), output_size, output_size))
            for row, column in np.ndindex(output_size, output_size):
                for i, j in np.ndindex(ny, nx):
                    y = y0 + bin_h * (row + (i + 0.5) / ny)
                    x = x0 + bin_w * (column + (j + 0.5) / nx)
                    if -1 <= y <= height and -1 <= x <= width:
                        cells[:, row, column] += _bilinear(image, y, x) / (nx * ny)
            found.append(torch.tensor(cells, dtype=features.dtype))
    return torch.stack(found)


def _bilinear(image: Any, y: float, x: float) -> Any:
    y, x = min(max(y, 0), image.shape[1] - 1), min(max(x, 0), image.shape[2] - 1)
    top, left = min(int(y), image.shape[1] - 2), min(int(x), image.shape[2] - 2)
    down, across = y - top, x - left
    upper = image[:, top, left] * (1 - across) + image[:, top, left + 1] * across
    lower = image[:, top + 1, left] * (1 - across) + image[:, top + 1, left + 1] * across
    return upper * (1 - down) + lower * down


def _given() -> tuple[Any, list[Any]]:
    import torch

    features = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    return features, [torch.tensor(own) for own in BOXES]


@pytest.mark.parametrize("size", [1, 2, 7])
def test_is_the_definition(size: int) -> None:
    features, boxes = _given()
    ours = roi_align(features, boxes, size)
    assert ours.shape == (5, 3, size, size)
    np.testing.assert_allclose(ours.numpy(), slow_roi_align(features, boxes, size).numpy(), atol=1e-5)


def test_is_torchvisions() -> None:
    import_segment_anything()  # so that torchvision imports beside any torch
    import torchvision
    from torchvision.extension import _has_ops

    if not _has_ops():
        pytest.skip("torchvision was built for another torch: it would compile a slow version for a minute")
    features, boxes = _given()
    for size in (1, 2, 7):
        theirs = torchvision.ops.roi_align(features, boxes, size)
        np.testing.assert_allclose(roi_align(features, boxes, size).numpy(), theirs.numpy(), atol=1e-5)


def test_no_boxes_give_no_cells() -> None:
    import torch

    assert roi_align(torch.zeros(1, 3, 6, 8), [torch.zeros(0, 4)], 7).shape == (0, 3, 7, 7)


torchvision = SimpleNamespace(ops=SimpleNamespace(roi_align=lambda *given: "theirs"))


class _Encoder:
    def _encode_boxes(self, *given: Any) -> Any:
        return torchvision.ops.roi_align(*given)


def test_one_encoder_calls_ours_and_all_others_what_they_called() -> None:
    features, boxes = _given()
    changed, other = _Encoder(), _Encoder()
    use_own_roi_align(changed)
    assert changed._encode_boxes(features, boxes, 2).shape == (5, 3, 2, 2)
    assert other._encode_boxes(features, boxes, 2) == "theirs"
