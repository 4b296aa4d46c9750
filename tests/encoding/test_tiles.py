import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samnb.encoding.regions import check_region
from samnb.encoding.tiles import FILLED, TileGrid, box_of, holds_box, nearest_first
from samnb.masks.part import MaskPart
from samnb.prompts import Prompt

SIDES = st.integers(1, 50_000)
SHARES = st.floats(0, 1)


@given(SIDES, SIDES, SHARES, SHARES)
def test_every_point_has_a_tile_that_holds_it_and_all_tiles_have_one_size(height, width, x, y):
    grid = TileGrid((height, width))
    x, y = x * width, y * height
    tile = check_region(grid.at(x, y), (height, width))
    assert holds_box(tile, (x, y, x, y))
    assert (tile[2] - tile[0], tile[3] - tile[1]) == (min(grid.side, width), min(grid.side, height))
    inside = 4 * grid.inner < min(height, width) and all(
        grid.inner < v < s - grid.inner for v, s in ((x, width), (y, height))
    )
    if inside:  # no object up to the halo is cut off around a point of the inner square
        assert min(x - tile[0], tile[2] - x, y - tile[1], tile[3] - y) >= grid.halo - 1e-6


@given(SIDES, SIDES, SHARES, SHARES, SHARES, SHARES)
def test_a_centred_tile_holds_its_box_and_is_read_at_a_level_of_at_most_a_tile(height, width, x0, y0, x1, y1):
    grid = TileGrid((height, width))
    (x0, x1), (y0, y1) = sorted((x0 * width, x1 * width)), sorted((y0 * height, y1 * height))
    tile = check_region(grid.centred((x0, y0, x1, y1)), (height, width))
    assert holds_box(tile, (x0, y0, x1, y1))
    level = grid.level(tile)
    assert max(tile[2] - tile[0], tile[3] - tile[1]) <= grid.side << level
    if max(x1 - x0, y1 - y0) <= FILLED * grid.side:
        assert level == 0


def test_the_tiles_of_a_region_are_those_whose_inner_squares_have_pixels_of_it():
    grid = TileGrid((10_000, 10_000))
    assert len(grid.tiles()) == 13 * 13  # the last two inner squares of a row are in one tile, moved inside
    assert len(grid.tiles((768, 768, 768 * 11, 768 * 11))) == 100
    assert grid.tiles((0, 0, 1, 1)) == [grid.at(0, 0)]


def test_a_prompt_that_no_tile_holds_gets_one_of_its_own():
    grid = TileGrid((10_000, 10_000))
    assert grid.for_prompt(Prompt.of(points=[(3000, 3000)])) == grid.at(3000, 3000)
    far = Prompt.of(points=[(100, 100), (3000, 2500)], point_labels=[1, 0])
    assert holds_box(grid.for_prompt(far), box_of(far))


def test_a_mask_at_the_rim_moves_the_tile_and_a_larger_one_enlarges_it():
    grid, size = TileGrid((10_000, 10_000)), (10_000, 10_000)
    tile, prompt = grid.at(1100, 1100), Prompt.of(points=[(1000, 1100)])
    inside = MaskPart.of(np.ones((50, 50), bool), (1000, 1090), size)
    assert grid.beyond(tile, inside, prompt) is None
    cut = MaskPart.of(np.ones((50, 300), bool), (tile[0], 1090), size)
    moved = grid.beyond(tile, cut, prompt)
    assert moved is not None
    assert moved[2] - moved[0] == grid.side
    assert abs((moved[0] + moved[2]) / 2 - (tile[0] + 150)) <= grid.side / 16
    filling = MaskPart.of(np.ones((tile[3] - tile[1], tile[2] - tile[0]), bool), tile[:2], size)
    larger = grid.beyond(tile, filling, prompt)
    assert larger is not None
    assert larger[2] - larger[0] == 2 * grid.side


@pytest.mark.parametrize("near", [(0, 0), (9_000, 4_000)])
def test_the_nearest_tile_comes_first(near):
    grid = TileGrid((10_000, 10_000))
    assert nearest_first(grid.tiles(), *near)[0] == grid.at(*near)
