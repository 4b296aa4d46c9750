"""`stitch`: one object is one mask, whatever seams cross it."""

import numpy as np
import pytest

from samnb.encoding.tiles import TileGrid
from samnb.masks.part import MaskPart
from samnb.masks.stitching import Piece, stitch, touches_rim

SIZE = (1000, 1000)
GRID = TileGrid(SIZE, side=256, halo=32)


def disc(x: int, y: int, radius: int) -> MaskPart:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return MaskPart.of(np.hypot(rows - y, columns - x) < radius)


def seen(part: MaskPart) -> list[Piece]:
    """The object as each tile that shows a piece of it would find it."""
    cut = [(MaskPart.of(part.inside(tile), tile[:2], SIZE), tile) for tile in GRID.tiles()]
    return [Piece(piece, tile) for piece, tile in cut if piece.area]


@pytest.mark.parametrize("radius", [10, 25, 60, 200])
def test_each_of_many_objects_is_one_mask(radius: int) -> None:
    random = np.random.default_rng(radius)
    for x, y in random.integers(radius, 1000 - radius, (12, 2)).tolist():
        truth = disc(x, y, radius)
        pieces = seen(truth)
        [found] = stitch(pieces)
        assert sorted(found.members) == list(range(len(pieces)))
        assert found.part.iou(truth) == 1
        assert found.is_cut == all(piece.is_cut for piece in pieces)


def test_an_object_no_larger_than_the_overlap_is_whole_in_one_tile() -> None:
    for x in range(180, 220):
        assert any(not piece.is_cut for piece in seen(disc(x, 192, 30)))


def test_neighbours_that_touch_stay_apart() -> None:
    left, right = disc(170, 192, 25), disc(222, 192, 25)
    found = stitch([*seen(left), *seen(right)])
    assert len(found) == 2
    assert {round(one.part.middle[0]) for one in found} == {170, 222}


def test_masks_of_one_tile_are_not_compared() -> None:
    whole, part = disc(100, 100, 40), disc(100, 100, 38)
    tile = GRID.at(100, 100)
    assert len(stitch([Piece(whole, tile), Piece(part, tile)])) == 2


def test_the_border_of_the_picture_cuts_nothing() -> None:
    corner = disc(0, 0, 30)
    assert not touches_rim(corner, GRID.at(0, 0))
    assert stitch(seen(corner))[0].is_cut is False
