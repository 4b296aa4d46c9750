"""`MaskPart` is the whole mask, by its rectangle: compared with whole masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from samnb.errors import ImageError
from samnb.masks import encode_rle, mask_area, mask_bbox, mask_iou
from samnb.masks.part import MaskPart

MASKS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
PAIRS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda s: st.tuples(arrays(bool, s), arrays(bool, s)))


def whole(part: MaskPart) -> np.ndarray:
    return part.inside((0, 0, part.size_hw[1], part.size_hw[0]))


@given(MASKS)
def test_a_part_is_the_mask_and_so_are_its_run_lengths(mask):
    part = MaskPart.of(mask)
    assert (whole(part) == mask).all()
    assert part.rle == encode_rle(mask)
    again = MaskPart.of_rle(part.rle)
    assert (whole(again) == mask).all()
    assert again.area == mask_area(mask)
    if mask.any():
        assert again.bbox == part.bbox == mask_bbox(mask)


@given(PAIRS)
def test_pairs_have_the_same_common_pixels_iou_and_union(pair):
    one, other = map(MaskPart.of, pair)
    assert one.common(other) == np.count_nonzero(pair[0] & pair[1])
    assert one.iou(other) == pytest.approx(mask_iou(*pair))
    assert (whole(one | other) == (pair[0] | pair[1])).all()
    if pair[0].any() or pair[1].any():
        assert (one | other).bbox == mask_bbox(pair[0] | pair[1])


def test_a_mask_of_a_gigapixel_picture_takes_only_its_rectangle():
    disc = np.hypot(*np.ogrid[-50:50, -50:50]) < 45
    part = MaskPart.of(disc, (39_000, 38_000), (40_000, 40_000))
    again = MaskPart.of_rle(part.rle)
    assert again.bbox == (39_006, 38_006, 89, 89)
    assert again.iou(part) == 1
    assert again.mask.size == 89 * 89
    assert again.holds(39_050, 38_050)
    assert not again.holds(39_006, 38_006)


def test_counts_that_do_not_fill_the_size_and_rectangles_of_gigabytes_are_refused():
    with pytest.raises(ImageError, match="do not fill"):
        MaskPart.of_rle({"size": [4, 4], "counts": [3, 2]})
    side = 40_000
    with pytest.raises(ImageError, match="too large"):
        MaskPart.of_rle({"size": [side, side], "counts": [0, 1, side * side - 2, 1]})
