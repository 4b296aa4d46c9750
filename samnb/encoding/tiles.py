"""`TileGrid`: a large picture as overlapping regions of one size, each encoded separately.

Tiles are squares of `TILE_SIDE` image pixels. The inner squares touch and begin at (0, 0); each tile goes on
by a halo on every side, so that an object at a seam is whole in one of them. Tiles at the border of the picture are
moved inside, so that all have the same size.

A region with a longer side is read at a pyramid level: level n has one pixel for 2**n x 2**n of the picture, and n is
the lowest with which the region has no more than `TILE_SIDE` pixels along a side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..masks.part import MaskPart
from ..masks.stitching import touches_rim
from ..prompts import Prompt
from .regions import Region

TILE_SIDE, HALO = 1024, 128
"""Image pixels: the side of a tile, and how far it goes on beyond its inner square."""

FILLED = 0.75
"""The share of a centred tile's side that its object may take."""

_STEPS = 16  # centred tiles begin at every sixteenth of their side, so that the next click finds the same one


@dataclass(frozen=True)
class TileGrid:
    """The tiles of an (H, W) picture.

    Examples
    --------
    >>> grid = TileGrid((40_000, 40_000))
    >>> len(grid.tiles()), tuple(grid.at(768, 0)), tuple(grid.at(39_999, 39_999))
    (2704, (640, 0, 1664, 1024), (38976, 38976, 40000, 40000))
    """

    size_hw: tuple[int, int]
    side: int = TILE_SIDE
    halo: int = HALO

    @property
    def inner(self) -> int:
        """The side of an inner square."""
        return self.side - 2 * self.halo

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        height, width = self.size_hw
        return -(-height // self.inner), -(-width // self.inner)

    def tile(self, row: int, column: int) -> Region:
        """The tile of a row and a column."""
        height, width = self.size_hw
        return self._inside(column * self.inner - self.halo, row * self.inner - self.halo, self.side, width, height)

    def at(self, x: float, y: float) -> Region:
        """The tile whose inner square holds a point: that with the nearest middle."""
        rows, columns = self.shape
        return self.tile(min(int(y) // self.inner, rows - 1), min(int(x) // self.inner, columns - 1))

    def tiles(self, region: Region | None = None) -> list[Region]:
        """All tiles, or those whose inner squares have pixels of a region; row by row."""
        rows, columns = (range(count) for count in self.shape)
        if region is not None:
            x0, y0, x1, y1 = region
            rows = range(y0 // self.inner, min((y1 - 1) // self.inner + 1, self.shape[0]))
            columns = range(x0 // self.inner, min((x1 - 1) // self.inner + 1, self.shape[1]))
        return list(dict.fromkeys(self.tile(row, column) for row in rows for column in columns))

    def for_prompt(self, prompt: Prompt) -> Region:
        """The tile nearest to the middle of a prompt; if it does not hold all of it, a tile centred on the prompt."""
        box = box_of(prompt)
        tile = self.at((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        return tile if holds_box(tile, box) else self.centred(box)

    def centred(self, box: Sequence[float]) -> Region:
        """A tile around the middle of a box (x0, y0, x1, y1), its side doubled until the box takes `FILLED` of it."""
        height, width = self.size_hw
        x0, y0, x1, y1 = box
        side = self.side
        while max(x1 - x0, y1 - y0) > FILLED * side and side < max(height, width):
            side *= 2
        step = max(1, side // _STEPS)
        left, top = (round(((low + high) / 2 - side / 2) / step) * step for low, high in ((x0, x1), (y0, y1)))
        return self._inside(left, top, side, width, height)

    def beyond(self, tile: Region, part: MaskPart, prompt: Prompt) -> Region | None:
        """A tile that shows an object whole which touches the rim of this one; None: it does not, or there is none."""
        if not touches_rim(part, tile):
            return None
        (x0, y0, x1, y1), given = part.box, box_of(prompt)
        box = (min(x0, given[0]), min(y0, given[1]), max(x1, given[2]), max(y1, given[3]))
        found = self.centred(box)
        if found == tile:  # it is in the middle, and still touches the rim
            found = self.centred(_grown(box, tile))
        return None if found == tile else found

    def level(self, region: Region) -> int:
        """The pyramid level at which a region is read."""
        x0, y0, x1, y1 = region
        level = 0
        while max(x1 - x0, y1 - y0) > self.side << level:
            level += 1
        return level

    @staticmethod
    def _inside(left: int, top: int, side: int, width: int, height: int) -> Region:
        x0, y0 = max(0, min(left, width - side)), max(0, min(top, height - side))
        return (x0, y0, min(x0 + side, width), min(y0 + side, height))


def nearest_first(tiles: Iterable[Region], x: float, y: float) -> list[Region]:
    """Tiles in the order of the distance of their middles from a point.

    >>> nearest_first([(0, 0, 2, 2), (4, 0, 6, 2), (2, 0, 4, 2)], 5, 1)
    [(4, 0, 6, 2), (2, 0, 4, 2), (0, 0, 2, 2)]
    """
    return sorted(tiles, key=lambda tile: (tile[0] + tile[2] - 2 * x) ** 2 + (tile[1] + tile[3] - 2 * y) ** 2)


def box_of(prompt: Prompt) -> tuple[float, float, float, float]:
    """The box (x0, y0, x1, y1) around a prompt's points and its box."""
    corners = () if prompt.box is None else (prompt.box[:2], prompt.box[2:])
    xs, ys = zip(*(*prompt.points, *corners), strict=True)
    return (min(xs), min(ys), max(xs), max(ys))


def holds_box(tile: Region, box: Sequence[float]) -> bool:
    """Whether a box lies in a tile."""
    return tile[0] <= box[0] and tile[1] <= box[1] and box[2] <= tile[2] and box[3] <= tile[3]


def _grown(box: tuple[float, float, float, float], tile: Region) -> tuple[float, float, float, float]:
    """The box, as large as the tile."""
    (x0, y0, x1, y1), side = box, max(tile[2] - tile[0], tile[3] - tile[1])
    return ((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, (x0 + x1 + side) / 2, (y0 + y1 + side) / 2)
