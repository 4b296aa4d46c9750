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
from samnb.masks import decode_rle, encode_rle, mask_area, mask_bbox
from samnb.masks.rle import common_area, decompress_counts, encode_part_rle

any_mask = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14))


def blob(seed: int, size: tuple[int, int] = (90, 120), share: float = 0.35) -> np.ndarray:
    """Smooth random shapes, with parts and holes."""
    noise = np.random.default_rng(seed).random(size).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return smooth > np.quantile(smooth, 1 - share)


@given(any_mask)
def test_rle_agrees_with_pycocotools(mask):
    rle = encode_rle(mask)
    height, width = mask.shape
    theirs = coco_mask.frPyObjects(rle, height, width)
    np.testing.assert_array_equal(coco_mask.decode(theirs).astype(bool), mask)
    assert theirs["counts"] == coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    assert int(coco_mask.area(theirs)) == mask_area(mask)
    assert tuple(int(v) for v in coco_mask.toBbox(theirs)) == mask_bbox(mask)


@given(st.data(), array_shapes(min_dims=2, max_dims=2, max_side=14))
def test_common_area_is_that_of_the_masks(data, size):
    one, other = (data.draw(arrays(bool, size)) for _ in range(2))
    assert common_area(encode_rle(one), encode_rle(other)) == np.count_nonzero(one & other)


def test_common_area_counts_runs_without_pixels():
    size = [1, 5]
    assert common_area({"size": size, "counts": [0, 2, 0, 3]}, {"size": size, "counts": [1, 2, 0, 1, 1]}) == 3


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
    assert encode_rle(mask.tolist()) == encode_rle(mask)


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        ({"size": [2, 3], "counts": [5]}, "do not fill"),
        ({"size": [2, 3], "counts": [9, -3]}, "do not fill"),
        ({"size": [2, 3], "counts": [2**63 - 1, 2**63 - 1, 8]}, "do not fill"),
        ({"size": [2, 3], "counts": [5, 1e30]}, "from 5.0 to 1e\\+30 pixels do not fill"),
        ({"size": [2, 3], "counts": [10**30, 6]}, "list of numbers up to 6"),
        ({"size": [2, 3], "counts": [None, 6]}, "list of numbers up to 6"),
        ({"size": [2, 3], "counts": [[2, 4]]}, "list of numbers up to 6"),
        ({"size": [2, 3], "counts": "06"}, "uncompressed"),
        ({"size": [2, 3], "counts": [2.9, 4.7]}, "whole numbers, got 2.9 as number 1 of 2"),
        ({"size": [2, 3], "counts": [2, float("nan"), 4]}, "whole numbers, got nan"),
        ({"size": [2, 3], "counts": [2, [4]]}, "list of numbers up to 6"),
        ({"size": [2, 3]}, "list of numbers up to 6, got None"),
        ({"counts": [6]}, r"\[height, width\], got None"),
        ({"size": [6], "counts": [6]}, r"\[height, width\], got \[6\]"),
        ({"size": [-2, -3], "counts": [6]}, r"\[height, width\], got \[-2, -3\]"),
        ({"size": [float("inf"), 3], "counts": [6]}, r"\[height, width\], got \[inf, 3\]"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_damaged_rle_says_so(rle, words):
    with pytest.raises(ImageError, match=words):
        decode_rle(rle)


@pytest.mark.parametrize("seed", range(6))
def test_compressed_run_lengths_are_pycocotools_own(seed):
    mask = blob(seed)
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert decompress_counts(code["counts"]) == encode_rle(mask)["counts"]
    assert decompress_counts(code["counts"].decode()) == encode_rle(mask)["counts"]


@given(any_mask, st.tuples(*[st.integers(0, 3)] * 4))
def test_run_lengths_of_a_part_are_those_of_the_whole(part, margins):
    left, above, right, below = margins
    whole = np.pad(part, ((above, below), (left, right)))
    assert encode_part_rle(part, (left, above), whole.shape) == encode_rle(whole)
