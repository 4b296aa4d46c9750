"""Vertices of a mask's outline: found, moved, added, removed; the mask changes near the edit and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samnb.masks.outline import Outline

HEIGHT, WIDTH = 60, 80


def blob(seed, *, size_hw=(HEIGHT, WIDTH)):
    """A ragged mask with a hole and a second part."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    noise = rng.random(size_hw) * 3
    far = np.hypot(columns - size_hw[1] * 0.4, rows - size_hw[0] * 0.5)
    mask = (far + noise < size_hw[0] * 0.4) & (far > size_hw[0] * 0.1)
    mask[2:8, size_hw[1] - 9 : size_hw[1] - 2] = True
    return mask


def area_of(outline, ring, *numbers):
    """(x0, y0, x1, y1) of these vertices and their neighbours."""
    vertices = outline.rings[ring]
    near = np.concatenate([vertices[(np.array(numbers) + shift) % len(vertices)] for shift in (-1, 0, 1)])
    return (*near.min(axis=0), *near.max(axis=0))


places = st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT))
tolerances = st.sampled_from([0.75, 1.0, 3.0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), tolerances, st.integers(0, 10**6), places)
def test_a_moved_vertex_changes_only_pixels_near_it(seed, tolerance, pick, to):
    mask = blob(seed)
    outline = Outline.of(mask, tolerance=tolerance)
    ring = pick % len(outline.rings)
    number = pick // 7 % len(outline.rings[ring])
    after = outline.moved(ring, number, to)
    edited = outline.edited(mask, after)
    x0, y0, x1, y1 = area_of(outline, ring, number)
    reach = tolerance + 1
    x0, y0, x1, y1 = min(x0, to[0]) - reach, min(y0, to[1]) - reach, max(x1, to[0]) + reach, max(y1, to[1]) + reach
    rows, columns = np.nonzero(edited != mask)
    assert edited.shape == mask.shape
    assert ((columns + 1 > x0) & (columns < x1) & (rows + 1 > y0) & (rows < y1)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), tolerances, st.lists(st.tuples(st.integers(0, 10**6), places, st.integers(0, 2)), max_size=6))
def test_any_edits_leave_a_mask_of_the_outline_s_shape(seed, tolerance, edits):
    mask = blob(seed)
    outline = Outline.of(mask, tolerance=tolerance)
    for pick, place, kind in edits:
        ring = pick % len(outline.rings)
        if not len(outline.rings[ring]):
            continue
        number = pick // 7 % len(outline.rings[ring])
        after = (
            outline.moved(ring, number, place)
            if kind == 0
            else outline.added(ring, number, place)
            if kind == 1
            else outline.removed(ring, number)
        )
        mask, outline = outline.edited(mask, after), after
    assert mask.dtype == bool
    # Away from the edges, the mask is what the outline surrounds.
    inside = outline.fill(mask.shape)
    wrong = np.argwhere(inside != mask)
    for row, column in wrong:
        assert outline.edge_at(column + 0.5, row + 0.5, outline.tolerance + 1.5) is not None


def test_an_outline_without_an_edit_changes_nothing():
    mask = blob(3)
    outline = Outline.of(mask, tolerance=4)
    assert (outline.edited(mask, outline) == mask).all()
    same = outline.moved(0, 2, tuple(outline.rings[0][2]))
    assert (outline.edited(mask, same) == mask).all()


def test_a_mask_without_pixels_has_no_vertices():
    outline = Outline.of(np.zeros((5, 5), bool))
    assert outline.count == 0
    assert outline.vertex_at(2, 2, 9) is None
    assert outline.edge_at(2, 2, 9) is None
    assert not outline.fill((5, 5)).any()


def test_a_corner_that_is_pulled_out_takes_the_straight_edges_along():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    mask[9, 12:28:3] = True  # teeth within the tolerance
    outline = Outline.of(mask, tolerance=1.5)
    corner = outline.vertex_at(30, 10, 2)
    assert corner is not None
    edited = outline.edited(mask, outline.moved(*corner, (38, 2)))
    assert edited[6, 33]
    inside = outline.moved(*corner, (38, 2)).fill((40, 40))
    assert (edited[:20, 14:] == inside[:20, 14:]).all()
    assert (edited[24:, :28] == mask[24:, :28]).all()


def test_the_first_and_the_last_vertex_move_like_the_others():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    outline = Outline.of(mask)
    for number in range(4):
        x, y = outline.rings[0][number]
        to = (x + np.sign(x - 10) * 3, y + np.sign(y - 10) * 3)
        edited = outline.edited(mask, outline.moved(0, number, to))
        assert edited.sum() > 100
        assert (edited & mask).sum() == 100


def test_vertices_are_added_and_removed_on_the_edge_that_is_nearest():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    outline = Outline.of(mask)
    assert outline.edge_at(10, 10, 3) is None
    ring, edge = outline.edge_at(10, 4.2, 1.5)
    roof = outline.added(ring, edge, (10, 0))
    house = outline.edited(mask, roof)
    assert roof.count == 5
    assert house[2, 10]
    assert not house[2, 6]
    again = roof.removed(*roof.vertex_at(10, 0, 1))
    assert (roof.edited(house, again) == mask).all()


def test_a_ring_of_fewer_than_three_vertices_goes_with_its_pixels():
    mask = np.zeros((20, 20), bool)
    mask[2:6, 2:6] = mask[10:18, 10:18] = True
    outline = Outline.of(mask)
    ring, _ = outline.vertex_at(2, 2, 1)
    fewer = outline.removed(ring, 0)
    triangle = outline.edited(mask, fewer)
    none = fewer.removed(ring, 0)
    assert not none.rings[ring].size
    left = fewer.edited(triangle, none)
    assert (left == (mask & (np.arange(20) > 8))).all()


def test_fewer_vertices_stay_near_the_old_ones():
    mask = blob(1, size_hw=(200, 300))
    outline = Outline.of(mask, tolerance=0.75)
    simple = outline.simplified(4)
    assert simple.count < outline.count / 2
    assert simple.tolerance == 4
    changed = np.argwhere(simple.fill(mask.shape) != mask)
    assert all(outline.edge_at(x + 0.5, y + 0.5, 6) is not None for y, x in changed[::7])


@pytest.mark.parametrize("to", [(-1e9, 1e9), (1e300, 0.0)])
def test_a_vertex_far_away_does_not_fail(to):
    mask = blob(0)
    outline = Outline.of(mask)
    assert outline.edited(mask, outline.moved(0, 0, to)).shape == mask.shape
