"""Crops and clicks beside segment-anything's own functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from samnb.models.sam.reference import import_segment_anything
from samnb.proposals.crops import crops, grid, is_cut_off

amg = import_segment_anything().utils.amg


@pytest.mark.parametrize("size_hw", [(400, 600), (301, 1000), (64, 64), (1999, 1501)])
@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("ratio", [512 / 1500, 0.0, 0.5])
def test_crops_are_the_official_ones(size_hw: tuple[int, int], layers: int, ratio: float) -> None:
    boxes, numbers = amg.generate_crop_boxes(size_hw, layers, ratio)
    assert crops(size_hw, layers, ratio) == [(tuple(box), n) for box, n in zip(boxes, numbers, strict=True)]


@pytest.mark.parametrize("per_side", [1, 2, 5, 32])
def test_clicks_are_the_official_ones(per_side: int) -> None:
    np.testing.assert_allclose(grid(per_side), amg.build_point_grid(per_side), rtol=1e-12)


def test_cut_off_masks_are_the_official_ones() -> None:
    rng, crop, whole = np.random.default_rng(0), (100, 50, 300, 250), (0, 0, 310, 400)
    cut = []
    for _ in range(400):
        x, y = rng.integers(100, 290), rng.integers(50, 240)
        w, h = rng.integers(1, 301 - x), rng.integers(1, 251 - y)
        inside = torch.tensor([[x - 100, y - 50, x + w - 1 - 100, y + h - 1 - 50]])
        official = bool(amg.is_box_near_crop_edge(inside, list(crop), list(whole))[0])
        cut.append(is_cut_off((x, y, w, h), crop, (400, 310)))
        assert cut[-1] == official
    assert 50 < sum(cut) < 350
