"""Outlines for a screen: near the mask's edge, holes and all, and exact where asked."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from samnb.ui.common.rims import outlines

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


def filled(polygons, size_hw, *, times):
    """What a page would fill, on so many screen pixels for each of the image."""
    drawn = np.zeros((size_hw[0] * times, size_hw[1] * times), np.uint8)
    for polygon in polygons:
        rings = [np.rint(ring * times * 16).astype(np.int32) - 8 for ring in (polygon.exterior, *polygon.holes)]
        cv2.fillPoly(drawn, rings, 1, shift=4)
    return drawn.astype(bool)


@pytest.mark.parametrize("tolerance", [0.0, 0.75])
def test_a_ring_keeps_its_hole(tolerance):
    rows, columns = np.mgrid[:200, :300] + 0.5
    away = np.hypot(rows - 90, columns - 160)
    mask = (away < 70) & (away > 30)
    [polygon] = outlines(mask, tolerance)
    assert len(polygon.holes) == 1
    drawn = filled([polygon], mask.shape, times=4)
    assert np.mean(drawn != np.kron(mask, np.ones((4, 4), bool))) < 0.02


@given(masks)
def test_every_part_is_drawn(mask):
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    drawn = filled(outlines(mask, 0.75), mask.shape, times=4)
    blocks = np.kron(labels, np.ones((4, 4), int))
    assert set(blocks[drawn].tolist()) >= set(range(1, count))


@given(masks, st.sampled_from([0.0, 0.75, 2.0]))
def test_no_outline_is_a_line_or_outside(mask, tolerance):
    height, width = mask.shape
    for polygon in outlines(mask, tolerance):
        for ring in (polygon.exterior, *polygon.holes):
            assert len(ring) > 2
            assert (ring >= 0).all()
            assert (ring <= (width, height)).all()


def test_nothing_has_no_outline():
    assert outlines(np.zeros((5, 5), bool), 0.75) == outlines(np.zeros((5, 5), bool), 0.0) == ()
