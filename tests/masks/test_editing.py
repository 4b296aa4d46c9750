"""Strokes, holes, specks and outlines: what they change, and what they never change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from samnb.errors import PromptError
from samnb.masks.editing import brush, drop_specks, erase, fill_holes, smooth, stroke_mask, tidy
from samnb.prompts import Prompt
from tests.support.waiting import Stopwatch

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))
coordinates = st.floats(-60, 60) | st.floats(-1e300, 1e300)
paths = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=6)


def disc(x, y, radius, size_hw=(60, 80)):
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    return np.hypot(columns - x, rows - y) <= radius


def test_a_dab_is_a_disc():
    assert (stroke_mask((60, 80), [(40, 30)], 12) == disc(40, 30, 12)).all()


def test_a_stroke_is_everything_within_the_radius_of_its_path():
    stroke = stroke_mask((60, 80), [(10.2, 10), (70, 50.7), (70, 5)], 4)
    steps = np.linspace(0, 1, 2000)
    way = np.concatenate([[(10.2 + t * 59.8, 10 + t * 40.7) for t in steps], [(70, 50.7 - t * 45.7) for t in steps]])
    rows, columns = np.mgrid[:60, :80] + 0.5
    nearest = np.sqrt(((columns[..., None] - way[:, 0]) ** 2 + (rows[..., None] - way[:, 1]) ** 2).min(-1))
    sure = abs(nearest - 4) > 0.01
    assert (stroke == (nearest <= 4))[sure].all()


def test_the_smallest_brush_paints_the_pixel_it_stands_in():
    for place in [(7.01, 3.01), (7.99, 3.99), (7.5, 3.5)]:
        stroke = stroke_mask((10, 10), [place], 0)
        assert stroke[3, 7]
        assert stroke.sum() <= 4


@given(masks, paths, st.floats(0, 50))
@settings(deadline=None)
def test_the_brush_only_adds_and_the_eraser_only_takes(mask, path, radius):
    before = mask.copy()
    more, less = brush(mask, path, radius), erase(mask, path, radius)
    assert (mask == before).all()
    assert more.shape == less.shape == mask.shape
    assert (more >= mask).all()
    assert (less <= mask).all()
    touched = stroke_mask(mask.shape, path, radius)
    assert (more == (mask | touched)).all()
    assert not (less & touched).any()


@pytest.mark.parametrize("bad", [[], [(1, float("nan"))], [(float("inf"), 2)]])
def test_a_stroke_of_nothing_is_refused(bad):
    with pytest.raises(PromptError, match="finite"):
        stroke_mask((5, 5), bad, 2)
    with pytest.raises(PromptError, match="radius"):
        smooth(np.ones((5, 5), bool), radius=float("nan"))


def test_a_stroke_across_a_large_picture_is_quick():
    zigzag = [(x, 5000 * (i % 2)) for i, x in enumerate(range(0, 5000, 250))]
    watch = Stopwatch()
    stroke_mask((5000, 5000), zigzag, 10)
    assert watch.seconds < 30


@given(masks)
@settings(deadline=None)
def test_filling_adds_dropping_takes_and_doing_it_again_changes_nothing(mask):
    filled, dropped = fill_holes(mask), drop_specks(mask, min_area=4)
    assert (filled >= mask).all()
    assert (fill_holes(filled) == filled).all()
    assert (dropped <= mask).all()
    assert dropped.any() == mask.any()
    assert (drop_specks(dropped, min_area=4) == dropped).all()
    assert smooth(mask).any() == mask.any()


def test_a_bay_is_no_hole_and_a_large_hole_may_stay():
    mask = np.ones((9, 9), bool)
    mask[3:6, 3:6] = False
    mask[0, 0] = False
    filled = fill_holes(mask)
    assert not filled[0, 0]
    assert filled.sum() == 80
    assert (fill_holes(mask, max_area=8) == mask).all()
    assert (fill_holes(mask, keep=[(4, 4)]) == mask).all()


def test_specks_go_by_their_share_of_the_largest_part():
    mask = disc(40, 30, 20)
    mask[2, 2] = mask[55:58, 70:76] = True
    assert (drop_specks(mask) == (disc(40, 30, 20) | (mask & (np.mgrid[:60, :80][1] > 69)))).all()
    assert drop_specks(mask, keep=[(2.5, 2.5)])[2, 2]
    assert drop_specks(mask, keep=[(-1, 500)]).sum() < mask.sum()


def test_smoothing_calms_an_outline_and_keeps_the_area():
    rng = np.random.default_rng(1)
    calm = disc(40, 30, 20)
    rough = calm ^ (rng.random(calm.shape) < 0.05)
    assert (smooth(rough) ^ calm).sum() < 0.5 * (rough ^ calm).sum()
    half = np.zeros((40, 40), bool)
    half[20:] = True
    assert (smooth(half, radius=3) == half).all()


def test_a_fresh_mask_is_tidied_but_not_where_somebody_pointed():
    mask = disc(40, 30, 20)
    mask[30, 40], mask[3, 3], mask[3, 70] = False, True, True
    everywhere = tidy(mask, Prompt.of(points=[(45, 35)]))
    assert (everywhere == disc(40, 30, 20)).all()
    pointed = Prompt.of(points=[(45, 35), (3.5, 3.5), (40.5, 30.5)], point_labels=[1, 1, 0])
    kept = tidy(mask, pointed)
    assert kept[3, 3]
    assert not kept[3, 70]
    assert not kept[30, 40]


@given(masks, st.booleans(), st.lists(st.tuples(st.floats(0, 96), st.floats(0, 96), st.booleans()), max_size=4))
def test_tidying_is_the_two_tools_after_each_other(mask, coarse, points):
    mask = np.kron(mask, np.ones((12, 12), bool)) if coarse else mask
    labels = [int(point[2]) for point in points]
    prompt = Prompt.of(points=[point[:2] for point in points], point_labels=labels) if points else Prompt()
    kept = drop_specks(mask, keep=[point[:2] for point in points if point[2]])
    pinhole = max(1, int(0.01 * kept.sum()) - 1)
    wanted = fill_holes(kept, max_area=pinhole, keep=[point[:2] for point in points if not point[2]])
    assert (tidy(mask, prompt) == wanted).all()


def test_tidying_a_mask_that_is_all_specks_is_no_wait():
    mask = np.random.default_rng(0).random((768, 1024)) > 0.9
    watch = Stopwatch()
    tidy(mask, Prompt())
    assert watch.seconds < 30


@given(masks)
@settings(deadline=None)
def test_tidying_never_leaves_nothing(mask):
    assert tidy(mask, Prompt()).any() == mask.any()
