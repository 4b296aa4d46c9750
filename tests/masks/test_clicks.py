"""Simulated clicks: where they fall, in which coordinates, and that they never fall beside a mistake."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from samnb.errors import ImageError, PromptError
from samnb.masks.clicks import deepest_pixel, first_click, next_click
from samnb.prompts import Prompt


def square(size_hw: tuple[int, int], top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_the_first_click_is_the_centre_of_the_middle_pixel():
    assert first_click(square((20, 30), 4, 11, 5, 5)) == (13.5, 6.5)


def test_of_equally_deep_pixels_the_topmost_then_the_leftmost_is_taken():
    assert first_click(square((20, 30), 4, 10, 4, 6)) == (11.5, 5.5)
    two = square((20, 30), 10, 2, 3, 3) | square((20, 30), 10, 20, 3, 3) | square((20, 30), 15, 12, 3, 3)
    assert first_click(two) == (3.5, 11.5)


def test_the_border_of_the_picture_counts_as_outside():
    # A strip along the left edge, five wide: its middle column is the deepest, not the outermost one.
    x, _ = first_click(square((40, 30), 0, 0, 40, 5))
    assert x == 2.5
    assert first_click(np.ones((7, 9), bool)) == (3.5, 3.5)


def test_the_first_click_prefers_the_thick_part_over_the_centre_of_mass():
    mask = square((40, 60), 19, 0, 2, 50) | square((40, 60), 15, 48, 9, 9)
    assert first_click(mask) == (52.5, 19.5)


def test_an_empty_mask_has_no_first_click():
    with pytest.raises(PromptError, match="empty mask"):
        first_click(np.zeros((5, 5), bool))


def test_the_deeper_kind_of_mistake_decides():
    wanted = square((40, 60), 5, 5, 20, 20)
    half = square((40, 60), 5, 5, 20, 10)
    assert next_click(wanted, half) == ((19.5, 9.5), 1)
    spilled = wanted | square((40, 60), 5, 25, 20, 30)
    (x, y), label = next_click(wanted, spilled)
    assert label == 0
    assert 25 < x < 55
    assert 5 < y < 25


def test_depth_decides_and_not_area():
    # Missed: a long thin line of 80 pixels, one deep. Added: a square of 49 pixels, four deep.
    wanted = square((40, 100), 2, 2, 1, 80) | square((40, 100), 20, 20, 10, 10)
    answer = square((40, 100), 20, 20, 10, 10) | square((40, 100), 20, 60, 7, 7)
    assert next_click(wanted, answer) == ((63.5, 23.5), 0)


def test_a_tie_goes_to_what_was_added():
    wanted, answer = square((20, 40), 5, 5, 5, 5), square((20, 40), 5, 25, 5, 5)
    assert next_click(wanted, answer) == ((27.5, 7.5), 0)


def test_a_pixel_is_not_clicked_twice():
    wanted, nothing = square((20, 20), 5, 5, 5, 5), np.zeros((20, 20), bool)
    taken: list[tuple[float, float]] = []
    for _ in range(25):
        point, label = next_click(wanted, nothing, taken)
        assert label == 1
        assert point not in taken
        taken.append(point)
    assert next_click(wanted, nothing, taken) is None
    # Any place within a pixel takes it.
    assert next_click(wanted, nothing, [(7.0, 7.99)])[0] != (7.5, 7.5)


def test_no_mistake_no_click():
    mask = square((20, 20), 5, 5, 5, 5)
    assert next_click(mask, mask) is None


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ImageError, match="one size"):
        next_click(np.ones((4, 4), bool), np.ones((4, 5), bool))


masks = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


@given(masks)
@settings(max_examples=200, deadline=None)
def test_a_click_always_falls_into_a_mistake_and_inside_the_picture(pair):
    wanted, answer = pair
    found = next_click(wanted, answer)
    if (wanted == answer).all():
        assert found is None
        return
    (x, y), label = found
    assert wanted[int(y), int(x)] != answer[int(y), int(x)]
    assert label == wanted[int(y), int(x)]
    Prompt.of(points=[(x, y)], point_labels=[label]).check_inside(wanted.shape)


@given(masks)
@settings(max_examples=100, deadline=None)
def test_looking_only_at_the_box_of_a_mistake_changes_nothing(pair):
    """The same as the rule written down plainly: distances over the whole padded picture."""
    import cv2

    wanted, answer = pair
    depths = [
        cv2.distanceTransform(np.pad(kind.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        for kind in (wanted & ~answer, answer & ~wanted)
    ]
    label = int(depths[0].max() > depths[1].max())
    depth = depths[1 - label]
    row, column = np.argwhere(depth == depth.max())[0]
    assert next_click(wanted, answer) in (None, ((column + 0.5, row + 0.5), label))


def test_the_deepest_pixel_does_not_depend_on_what_is_far_away():
    mask = square((40, 60), 10, 20, 9, 15)
    for precise in (True, False):
        depth, (x, y) = deepest_pixel(mask, precise=precise)
        assert depth == pytest.approx(5, rel=0.05)
        assert (x, y) == (24.5, 14.5)
        assert deepest_pixel(mask[8:25, 15:40], precise=precise) == (depth, (x - 15, y - 8))
    assert deepest_pixel(np.zeros((4, 4), bool)) == (0.0, (0.0, 0.0))
