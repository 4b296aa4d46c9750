from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from samnb.errors import ImageError
from samnb.masks import clean_mask, encode_rle, mask_area, mask_bbox, mask_iou, mask_polygons

any_mask = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14))


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
