"""`stitch`: masks found tile by tile, put together so that one object is one mask.

Neighbouring tiles overlap, so an object at a seam is found in each of them. The rule:

1. A mask that touches the rim of its tile, where that is not the border of the picture, is cut off. Others are whole.
2. Two masks are of one object if their IoU within the area that both tiles show is at least 1/2.
3. Of whole masks of one object, the one nearest to the middle of its tile is kept.
4. Cut-off masks of an object of which there is a whole one are dropped. Others of one object are united.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .part import MaskPart

SAME = 0.5
"""IoU within the common area of two tiles from which on two masks are of one object."""

RIM = 2
"""Pixels: a mask that is nearer to the rim of its tile than this touches it."""

_CELL = 512  # pixels; only masks in one cell are compared

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Piece:
    """A mask found on one tile.

    Parameters
    ----------
    part : MaskPart
    tile : (x0, y0, x1, y1)
        Image pixels.
    """

    part: MaskPart
    tile: Box

    @property
    def is_cut(self) -> bool:
        """True if the mask touches the rim of its tile, and the picture goes on there."""
        return touches_rim(self.part, self.tile)

    def shared_iou(self, other: Piece) -> float:
        """IoU of two masks within the area that both tiles show, 0 to 1."""
        box = (
            max(self.tile[0], other.tile[0]),
            max(self.tile[1], other.tile[1]),
            min(self.tile[2], other.tile[2]),
            min(self.tile[3], other.tile[3]),
        )
        around = (
            min(self.part.box[0], other.part.box[0]),
            min(self.part.box[1], other.part.box[1]),
            max(self.part.box[2], other.part.box[2]),
            max(self.part.box[3], other.part.box[3]),
        )
        box = (max(box[0], around[0]), max(box[1], around[1]), min(box[2], around[2]), min(box[3], around[3]))
        if box[0] >= box[2] or box[1] >= box[3]:
            return 0.0
        one, two = self.part.inside(box), other.part.inside(box)
        union = int(np.count_nonzero(one | two))
        return int(np.count_nonzero(one & two)) / union if union else 0.0


@dataclass(frozen=True, eq=False)
class Stitched:
    """One object.

    Parameters
    ----------
    part : MaskPart
    members : tuple of int
        Indices of the pieces it was made of; the first one is the best of them.
    is_cut : bool
        It was put together from cut-off masks: no tile shows it whole.
    """

    part: MaskPart
    members: tuple[int, ...]
    is_cut: bool


def touches_rim(part: MaskPart, tile: Box, rim: int = RIM) -> bool:
    """Whether a mask comes nearer than `rim` pixels to the rim of its tile where the picture goes on.

    >>> part = MaskPart.of(np.ones((4, 4), bool), (96, 50), (200, 200))
    >>> touches_rim(part, (0, 0, 100, 100)), touches_rim(part, (50, 0, 150, 100)), touches_rim(part, (96, 0, 200, 100))
    (True, False, True)
    """
    (x0, y0, x1, y1), (left, top, right, bottom), (height, width) = part.box, tile, part.size_hw
    if x0 == x1:
        return False
    return (
        (left > 0 and x0 - left < rim)
        or (top > 0 and y0 - top < rim)
        or (right < width and right - x1 < rim)
        or (bottom < height and bottom - y1 < rim)
    )


def stitch(pieces: Sequence[Piece]) -> list[Stitched]:
    """One mask for each object, in the order of its best piece.

    Parameters
    ----------
    pieces : sequence of Piece
        Of one category. Overlapping masks of one tile stay: within a tile nothing is compared.

    Examples
    --------
    >>> size = (100, 200)
    >>> disc = np.hypot(*np.ogrid[-10:10, -10:10]) < 9
    >>> left, right = (0, 0, 110, 100), (90, 0, 200, 100)
    >>> whole = Piece(MaskPart.of(disc, (85, 40), size), left)
    >>> cut = Piece(MaskPart.of(disc[:, 5:], (90, 40), size), right)
    >>> [(one.members, one.is_cut) for one in stitch([whole, cut])]
    [((0, 1), False)]
    """
    by_nearness = sorted(range(len(pieces)), key=lambda number: (pieces[number].is_cut, _off_middle(pieces[number])))
    near = _Neighbours(pieces)
    whole: dict[int, list[int]] = {}
    cut: list[int] = []
    for number in by_nearness:
        piece = pieces[number]
        same = (other for other in near.of(number) if other in whole and _are_same(piece, pieces[other]))
        known = next(same, None)
        if known is not None:
            whole[known].append(number)
        elif piece.is_cut:
            cut.append(number)
        else:
            whole[number] = [number]
    found = [Stitched(pieces[kept].part, tuple(members), False) for kept, members in whole.items()]
    found += [_united(pieces, members) for members in _groups(pieces, cut, near)]
    return sorted(found, key=lambda one: min(one.members))


def _are_same(one: Piece, other: Piece) -> bool:
    return one.tile != other.tile and one.shared_iou(other) >= SAME


def _off_middle(piece: Piece) -> float:
    (x, y), (x0, y0, x1, y1) = piece.part.middle, piece.tile
    return max(abs(2 * x - x0 - x1), abs(2 * y - y0 - y1))


def _groups(pieces: Sequence[Piece], cut: Sequence[int], near: _Neighbours) -> Iterator[list[int]]:
    """Cut-off masks of one object, by union-find among neighbours."""
    parent = {number: number for number in cut}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number in cut:
        for other in near.of(number):
            if other in parent and root(other) != root(number) and _are_same(pieces[number], pieces[other]):
                parent[root(other)] = root(number)
    groups: dict[int, list[int]] = defaultdict(list)
    for number in cut:
        groups[root(number)].append(number)
    yield from groups.values()


def _united(pieces: Sequence[Piece], members: Sequence[int]) -> Stitched:
    part = pieces[members[0]].part
    for number in members[1:]:
        part = part | pieces[number].part
    best = sorted(members, key=lambda number: -pieces[number].part.area)
    return Stitched(part, tuple(best), True)


class _Neighbours:
    """Which pieces lie in a common cell of a coarse grid."""

    def __init__(self, pieces: Sequence[Piece]):
        self._cells: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._of = [list(self._cells_of(piece)) for piece in pieces]
        for number, cells in enumerate(self._of):
            for cell in cells:
                self._cells[cell].append(number)

    def of(self, number: int) -> list[int]:
        """Other pieces near that one, in their order."""
        return sorted({other for cell in self._of[number] for other in self._cells[cell]} - {number})

    @staticmethod
    def _cells_of(piece: Piece) -> Iterator[tuple[int, int]]:
        x0, y0, x1, y1 = piece.part.box
        for column in range(x0 // _CELL, (x1 - 1) // _CELL + 1):
            for row in range(y0 // _CELL, (y1 - 1) // _CELL + 1):
                yield (column, row)
