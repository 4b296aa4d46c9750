from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from samnb.errors import ImageError
from samnb.masks import (
    CATEGORY_COLORS,
    Polygon,
    category_color,
    clean_mask,
    contact_sheet,
    decode_rle,
    encode_rle,
    mask_area,
    mask_bbox,
    mask_iou,
    mask_polygons,
    overlay,
)

any_mask = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14))


def blob(seed: int, size: tuple[int, int] = (90, 120), share: float = 0.35) -> np.ndarray:
    """Smooth random shapes, with parts and holes."""
    noise = np.random.default_rng(seed).random(size).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return smooth > np.quantile(smooth, 1 - share)


def filled(polygons: list[Polygon], size: tuple[int, int]) -> np.ndarray:
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


# ---------------------------------------------------------------- run lengths


@given(any_mask)
def test_rle_agrees_with_pycocotools(mask):
    rle = encode_rle(mask)
    height, width = mask.shape
    theirs = coco_mask.frPyObjects(rle, height, width)
    np.testing.assert_array_equal(coco_mask.decode(theirs).astype(bool), mask)
    assert theirs["counts"] == coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    assert int(coco_mask.area(theirs)) == mask_area(mask)
    assert tuple(int(v) for v in coco_mask.toBbox(theirs)) == mask_bbox(mask)


@given(any_mask)
def test_rle_comes_back_through_json(mask):
    back = decode_rle(json.loads(json.dumps(encode_rle(mask))))
    assert back.dtype == bool
    np.testing.assert_array_equal(back, mask)


def test_rle_is_of_the_mask_not_of_its_memory():
    mask = blob(1)
    assert encode_rle(np.asfortranarray(mask)) == encode_rle(mask)
    assert encode_rle(mask.astype(np.uint8) * 255) == encode_rle(mask)
    assert encode_rle(mask[::-1]) != encode_rle(mask)


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        ({"size": [2, 3], "counts": [5]}, "do not fill"),
        ({"size": [2, 3], "counts": [9, -3]}, "do not fill"),
        ({"size": [2, 3], "counts": [2**63 - 1, 2**63 - 1, 8]}, "do not fill"),
        ({"size": [2, 3], "counts": "06"}, "uncompressed"),
        ({"size": [2, 3], "counts": [2.9, 4.7]}, "whole numbers, got 2.9 as number 1 of 2"),
        ({"size": [2, 3], "counts": [2, float("nan"), 4]}, "whole numbers, got nan"),
    ],
)
def test_damaged_rle_says_so(rle, words):
    with pytest.raises(ImageError, match=words):
        decode_rle(rle)


# ---------------------------------------------------------------- numbers


@given(any_mask, any_mask)
def test_iou_agrees_with_pycocotools(a, b):
    if a.shape != b.shape:
        with pytest.raises(ImageError, match="one size"):
            mask_iou(a, b)
        return
    encoded = [coco_mask.encode(np.asfortranarray(m.astype(np.uint8))) for m in (a, b)]
    expected = coco_mask.iou([encoded[0]], [encoded[1]], [0])[0, 0] if (a | b).any() else 0.0
    assert mask_iou(a, b) == pytest.approx(expected)


def test_numbers_of_empty_and_full_masks():
    empty, full = np.zeros((5, 7), bool), np.ones((5, 7), bool)
    assert (mask_area(empty), mask_bbox(empty)) == (0, (0, 0, 0, 0))
    assert (mask_area(full), mask_bbox(full)) == (35, (0, 0, 7, 5))
    assert mask_iou(empty, empty) == 0.0
    assert mask_iou(full, empty) == 0.0
    assert mask_iou(full, full) == 1.0


@pytest.mark.parametrize("wrong", [np.zeros((2, 3, 3), bool), np.zeros(4, bool), np.zeros((2, 3), np.float32)])
def test_what_is_not_a_mask_is_refused(wrong):
    for call in (encode_rle, mask_bbox, mask_area, clean_mask, mask_polygons):
        with pytest.raises(ImageError, match="logits"):
            call(wrong)


# ---------------------------------------------------------------- cleaning


def test_clean_mask_drops_small_parts_and_keeps_the_rest():
    mask = np.zeros((20, 20), bool)
    mask[1:3, 1:3] = True
    mask[3, 3] = True  # touches at a corner: the same part
    mask[10, 10] = True
    mask[12:18, 12:18] = True
    assert mask_area(clean_mask(mask, min_area=2)) == 4 + 1 + 36
    assert mask_area(clean_mask(mask, min_area=6)) == 36
    assert mask_area(clean_mask(mask, min_area=100)) == 0
    assert mask_bbox(clean_mask(mask, keep_largest=True)) == (12, 12, 6, 6)
    assert mask_area(clean_mask(mask, keep_largest=True, min_area=37)) == 0


def test_clean_mask_fills_holes_but_not_bays():
    mask = np.ones((9, 9), bool)
    mask[2:4, 2:4] = False
    mask[6, 5:] = False
    expected = np.ones((9, 9), bool)
    expected[6, 5:] = False
    np.testing.assert_array_equal(clean_mask(mask, fill_holes=True), expected)


@given(any_mask)
def test_clean_mask_without_wishes_is_a_copy(mask):
    cleaned = clean_mask(mask)
    np.testing.assert_array_equal(cleaned, mask)
    assert not np.shares_memory(cleaned, mask)


@given(any_mask, st.integers(0, 9), st.booleans())
def test_cleaning_twice_changes_nothing_more(mask, min_area, keep_largest):
    once = clean_mask(mask, min_area=min_area, fill_holes=True, keep_largest=keep_largest)
    twice = clean_mask(once, min_area=min_area, fill_holes=True, keep_largest=keep_largest)
    np.testing.assert_array_equal(once, twice)


# ---------------------------------------------------------------- polygons


@given(any_mask)
def test_polygons_without_tolerance_are_exact(mask):
    polygons = mask_polygons(mask, tolerance=0)
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)
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
    assert mask_iou(filled(polygons, mask.shape), mask) >= 0.95
    corners = [sum(len(p.exterior) for p in mask_polygons(mask, tolerance=t)) for t in (0, 0.5, 1)]
    assert corners[1] < 0.9 * corners[0]
    assert corners[2] < 0.5 * corners[0]


@pytest.mark.parametrize("radius", [3, 4, 7, 15, 40])
def test_polygons_of_discs(radius):
    y, x = np.mgrid[:100, :100]
    mask = (x - 50) ** 2 + (y - 50) ** 2 <= radius**2
    [polygon] = mask_polygons(mask)
    assert mask_iou(filled([polygon], mask.shape), mask) >= 0.95


def test_a_ring_has_one_hole():
    y, x = np.mgrid[:60, :60]
    distance = np.hypot(x - 30, y - 30)
    [polygon] = mask_polygons((distance < 25) & (distance > 10))
    assert len(polygon.holes) == 1


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


# ---------------------------------------------------------------- pictures


def test_overlay_tints_inside_and_leaves_the_rest():
    pixels = np.full((20, 30, 3), 100, np.uint8)
    mask = np.zeros((20, 30), bool)
    mask[5:15, 5:15] = True
    shown = overlay(pixels, mask[None], colors=["#ff0000"], alpha=0.5)
    assert (pixels == 100).all()
    np.testing.assert_array_equal(shown[~mask], pixels[~mask])
    assert shown[10, 10].tolist() == [178, 50, 50]
    assert shown[5, 5].tolist() == shown[14, 9].tolist() == [255, 0, 0]
    np.testing.assert_array_equal(overlay(pixels, []), pixels)
    np.testing.assert_array_equal(overlay(pixels, [np.zeros((20, 30), bool)]), pixels)


def test_overlay_says_what_is_wrong():
    pixels = np.zeros((4, 4, 3), np.uint8)
    mask = np.ones((4, 4), bool)
    with pytest.raises(ImageError, match="size"):
        overlay(pixels, [np.ones((4, 5), bool)])
    with pytest.raises(ImageError, match="one for each mask"):
        overlay(pixels, [mask], colors=[])
    for color in ("red", "#ff00", ""):
        with pytest.raises(ImageError, match="color"):
            overlay(pixels, [mask], colors=[color])


def test_category_colors_are_distinct_and_repeat():
    assert len(set(CATEGORY_COLORS)) == len(CATEGORY_COLORS)
    assert [category_color(i) for i in range(len(CATEGORY_COLORS))] == list(CATEGORY_COLORS)
    assert category_color(len(CATEGORY_COLORS) + 2) == CATEGORY_COLORS[2]


def test_contact_sheet_lays_tiles_row_by_row():
    tiles = [np.full((40, 40, 3), grey, np.uint8) for grey in (10, 60, 110)]
    sheet = contact_sheet(tiles, columns=2, tile=40)
    assert sheet.shape == (80, 80, 3)
    assert [int(sheet[y, x, 0]) for y, x in ((20, 20), (20, 60), (60, 20))] == [10, 60, 110]
    assert (sheet[41:, 41:] == sheet[60, 60]).all()


def test_contact_sheet_writes_captions():
    tiles = [np.zeros((30, 90, 3), np.uint8)] * 2
    plain = contact_sheet(tiles, tile=100)
    named = contact_sheet(tiles, tile=100, captions=["", "a very long name that has no room in here.jpg"])
    assert named.shape[0] > plain.shape[0]
    strip = named[100:]
    assert (strip[:, :100] == strip[0, 0]).all()
    assert (strip[:, 100:] != strip[0, 0]).any()
    assert contact_sheet(tiles, tile=100, captions=["münze", "硬币 0.94 ②"]).shape == named.shape


def test_contact_sheet_says_what_is_wrong():
    tiles = [np.zeros((3, 3, 3), np.uint8)]
    for options in ({"tiles": []}, {"tiles": tiles, "columns": 0}, {"tiles": tiles, "captions": []}):
        with pytest.raises(ImageError, match="Expected"):
            contact_sheet(**options)
