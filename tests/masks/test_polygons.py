"""Outlines of masks, exact and quick, and masks inside polygons."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from samnb.errors import ImageError
from samnb.masks import Polygon, clean_mask, mask_iou, mask_polygons
from samnb.masks.polygons import fill_polygon

any_mask = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14))


SIZE = (40, 60)


def blob(seed: int, size: tuple[int, int] = (90, 120), share: float = 0.35) -> np.ndarray:
    """Smooth random shapes, with parts and holes."""
    noise = np.random.default_rng(seed).random(size).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return smooth > np.quantile(smooth, 1 - share)


def fill_all(polygons: list[Polygon], size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies inside an odd number of rings."""
    x, y = np.meshgrid(np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5)
    inside = np.zeros(size, bool)
    for polygon in polygons:
        for ring in (polygon.exterior, *polygon.holes):
            for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                if y0 != y1:
                    crosses = ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
                    inside ^= crosses
    return inside


@given(any_mask)
def test_polygons_without_tolerance_are_exact(mask):
    polygons = mask_polygons(mask, tolerance=0)
    np.testing.assert_array_equal(fill_all(polygons, mask.shape), mask)
    assert len(polygons) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1


def shoelace(ring: np.ndarray) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@given(any_mask)
def test_polygon_areas_add_up_and_holes_turn_the_other_way(mask):
    polygons = mask_polygons(mask, tolerance=0)
    assert all(shoelace(p.exterior) > 0 for p in polygons)
    assert all(shoelace(hole) < 0 for p in polygons for hole in p.holes)
    assert sum(shoelace(ring) for p in polygons for ring in (p.exterior, *p.holes)) == mask.sum()


@pytest.mark.parametrize("seed", range(12))
def test_polygons_with_tolerance_stay_near(seed):
    mask = clean_mask(blob(seed), min_area=24)
    polygons = mask_polygons(mask)
    assert mask_iou(fill_all(polygons, mask.shape), mask) >= 0.95
    corners = [sum(len(p.exterior) for p in mask_polygons(mask, tolerance=t)) for t in (0, 0.5, 1)]
    assert corners[1] < 0.9 * corners[0]
    assert corners[2] < 0.5 * corners[0]


@pytest.mark.parametrize("radius", [3, 4, 7, 15, 40])
def test_polygons_of_discs(radius):
    y, x = np.mgrid[:100, :100]
    mask = (x - 50) ** 2 + (y - 50) ** 2 <= radius**2
    [polygon] = mask_polygons(mask)
    assert mask_iou(fill_all([polygon], mask.shape), mask) >= 0.95


def test_a_ring_has_one_hole():
    y, x = np.mgrid[:60, :60]
    distance = np.hypot(x - 30, y - 30)
    [polygon] = mask_polygons((distance < 25) & (distance > 10))
    assert len(polygon.holes) == 1


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("tolerance", [np.nan, np.inf, 1e30])
def test_a_tolerance_that_is_no_number_of_pixels_is_an_error(tolerance, exact):
    with pytest.raises(ImageError, match="tolerance: expected a number of pixels"):
        mask_polygons(np.ones((4, 6), bool), tolerance=tolerance, exact=exact)


def test_one_pixel_and_whole_picture():
    dot = np.zeros((5, 7), bool)
    dot[2, 3] = True
    for mask, corners in (
        (dot, {(3, 2), (4, 2), (4, 3), (3, 3)}),
        (np.ones((5, 7), bool), {(0, 0), (7, 0), (7, 5), (0, 5)}),
    ):
        for tolerance in (0, 0.5, 3):
            [polygon] = mask_polygons(mask, tolerance=tolerance)
            assert len(polygon.exterior) >= 3
            if tolerance <= 0.5:
                assert set(map(tuple, polygon.exterior)) == corners
    assert mask_polygons(np.zeros((5, 7), bool)) == []


# -- quick outlines for a screen ----------------------------------------------------------------------

small_mask = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


def page_fill(polygons, size_hw, *, times):
    """What a page would fill, on so many screen pixels for each of the image."""
    drawn = np.zeros((size_hw[0] * times, size_hw[1] * times), np.uint8)
    for polygon in polygons:
        rings = [np.rint(ring * times * 16).astype(np.int32) - 8 for ring in (polygon.exterior, *polygon.holes)]
        cv2.fillPoly(drawn, rings, 1, shift=4)
    return drawn.astype(bool)


@pytest.mark.parametrize("tolerance", [0.0, 0.75])
def test_a_quick_ring_keeps_its_hole(tolerance):
    rows, columns = np.mgrid[:200, :300] + 0.5
    away = np.hypot(rows - 90, columns - 160)
    mask = (away < 70) & (away > 30)
    [polygon] = mask_polygons(mask, tolerance=tolerance, exact=False)
    assert len(polygon.holes) == 1
    drawn = page_fill([polygon], mask.shape, times=4)
    assert np.mean(drawn != np.kron(mask, np.ones((4, 4), bool))) < 0.02


@given(small_mask)
def test_quick_outlines_draw_every_part(mask):
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    drawn = page_fill(mask_polygons(mask, tolerance=0.75, exact=False), mask.shape, times=4)
    blocks = np.kron(labels, np.ones((4, 4), int))
    assert set(blocks[drawn].tolist()) >= set(range(1, count))


@given(small_mask, st.sampled_from([0.0, 0.75, 2.0]))
def test_no_quick_outline_is_a_line_or_outside(mask, tolerance):
    height, width = mask.shape
    for polygon in mask_polygons(mask, tolerance=tolerance, exact=False):
        for ring in (polygon.exterior, *polygon.holes):
            assert len(ring) > 2
            assert (ring >= 0).all()
            assert (ring <= (width, height)).all()


def test_nothing_has_no_quick_outline():
    for tolerance in (0.75, 0.0):
        assert mask_polygons(np.zeros((5, 5), bool), tolerance=tolerance, exact=False) == []


# -- filling -------------------------------------------------------------------------------------------


def boxes(seed: int, size_hw=SIZE) -> np.ndarray:
    """A few overlapping boxes with a hole: no two seeds alike."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size_hw, bool)
    for _ in range(3):
        y, x = (int(rng.integers(2, side - 18)) for side in size_hw)
        mask[y : y + int(rng.integers(8, 16)), x : x + int(rng.integers(8, 16))] = True
        mask[y + 3 : y + 5, x + 3 : x + 6] = False
    return mask


def test_a_polygon_of_many_long_edges_takes_no_more_memory_than_its_picture():
    zigzag = np.stack([np.linspace(0, 300, 4001), np.tile([0, 400], 2001)[:4001]], 1)
    ring = np.concatenate([zigzag, [[300, 400], [0, 400]]])
    tracemalloc.start()
    mask = fill_polygon(ring, (400, 300))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20
    assert 0.3 < mask.mean() < 0.7


@pytest.mark.parametrize("seed", range(6))
def test_filling_an_exact_outline_gives_the_mask_back(seed):
    mask = boxes(seed)
    shapes = [
        fill_polygon(polygon.exterior, SIZE)
        & ~np.any([fill_polygon(hole, SIZE) for hole in polygon.holes] or [[[False]]], axis=0)
        for polygon in mask_polygons(mask, tolerance=0)
    ]
    np.testing.assert_array_equal(np.any(shapes, axis=0), mask)


def test_a_polygon_takes_the_pixels_whose_centre_it_covers_also_beyond_the_border():
    ring = np.array([[-5, -5], [2.6, -5], [2.6, 2.4], [-5, 2.4]])
    expected = np.zeros((4, 5), bool)
    expected[:2, :3] = True
    np.testing.assert_array_equal(fill_polygon(ring, (4, 5)), expected)
    assert not fill_polygon(ring + 100, (4, 5)).any()
