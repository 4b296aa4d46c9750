"""`MaskPart`: a mask by the rectangle around it, for pictures so large that a whole mask would take gigabytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .geometry import Mask, as_mask, mask_bbox
from .polygons import Polygon, mask_polygons
from .rle import encode_part_rle

_MOST = 250_000_000  # pixels of a rectangle


@dataclass(frozen=True, eq=False)
class MaskPart:
    """A mask of an (H, W) picture, of which only the rectangle around the object is kept.

    Parameters
    ----------
    mask : (h, w) bool
        The mask inside the rectangle; `of` makes it as small as possible.
    corner : (x, y)
        The rectangle's first pixel.
    size_hw : (H, W)
        Of the picture.

    Examples
    --------
    >>> from samnb.masks.part import MaskPart
    >>> part = MaskPart.of(np.eye(3, dtype=bool), (10, 20), (40_000, 40_000))
    >>> part.bbox, part.area, MaskPart.of_rle(part.rle).bbox
    ((10, 20, 3, 3), 3, (10, 20, 3, 3))
    """

    mask: Mask
    corner: tuple[int, int]
    size_hw: tuple[int, int]

    @classmethod
    def of(
        cls, mask: NDArray[Any], corner: tuple[int, int] = (0, 0), size_hw: tuple[int, int] | None = None
    ) -> MaskPart:
        """Of a mask in a rectangle that begins at `corner`, or in the whole picture."""
        on = as_mask(mask)
        x, y, width, height = mask_bbox(on)
        size = (on.shape[0], on.shape[1]) if size_hw is None else size_hw
        return cls(on[y : y + height, x : x + width], (corner[0] + x, corner[1] + y), size)

    @classmethod
    def of_rle(cls, rle: Mapping[str, Any]) -> MaskPart:
        """Of COCO's uncompressed run lengths; time and memory depend on the rectangle alone.

        Raises
        ------
        ImageError
            Counts that do not fill the size.
        """
        height, width = (int(v) for v in rle["size"])
        counts = np.asarray(rle["counts"], np.int64)
        if counts.sum() != height * width or (counts < 0).any():
            raise ImageError(
                f"Run lengths of {int(counts.sum()):,} pixels do not fill a mask of {height} x {width} = "
                f"{height * width:,}. The record is damaged, or its size is written as [width, height]."
            )
        ends = np.cumsum(counts)
        starts, stops = ends[:-1:2], ends[1::2]
        some = starts < stops
        columns, tops, bottoms = _in_columns(starts[some], stops[some], height)
        if not len(columns):
            return cls(np.zeros((0, 0), bool), (0, 0), (height, width))
        x, y = int(columns.min()), int(tops.min())
        across, down = int(columns.max()) - x + 1, int(bottoms.max()) - y
        if across * down > _MOST:
            raise ImageError(f"A mask of {across} x {down} pixels around its object is too large to be decoded.")
        steps = np.zeros((across, down + 1), np.int8)
        # Runs of one column do not touch, so no place has two steps of one sign.
        np.add.at(steps, (columns - x, tops - y), 1)
        np.add.at(steps, (columns - x, bottoms - y), -1)
        return cls(np.cumsum(steps[:, :-1], axis=1, dtype=np.int8).astype(bool).T, (x, y), (height, width))

    @property
    def rle(self) -> dict[str, Any]:
        """COCO's run lengths of the whole mask, as `samnb.masks.encode_rle` gives them."""
        return encode_part_rle(self.mask, self.corner, self.size_hw)

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """(x, y, width, height); of an empty mask width and height are 0."""
        return (*self.corner, self.mask.shape[1], self.mask.shape[0])

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1)."""
        x, y, width, height = self.bbox
        return (x, y, x + width, y + height)

    @property
    def whole(self) -> Mask:
        """(H, W) bool: the mask of the whole picture."""
        return self.inside((0, 0, self.size_hw[1], self.size_hw[0]))

    @property
    def area(self) -> int:
        """Pixels inside the mask."""
        return int(np.count_nonzero(self.mask))

    @property
    def middle(self) -> tuple[float, float]:
        """(x, y) of the middle of the rectangle."""
        x, y, width, height = self.bbox
        return (x + width / 2, y + height / 2)

    def inside(self, box: tuple[int, int, int, int]) -> Mask:
        """The mask of a box (x0, y0, x1, y1), (y1 - y0, x1 - x0) bool."""
        x0, y0, x1, y1 = box
        found = np.zeros((max(0, y1 - y0), max(0, x1 - x0)), bool)
        left, top, right, bottom = _common(box, self.box)
        if left < right and top < bottom:
            x, y = self.corner
            found[top - y0 : bottom - y0, left - x0 : right - x0] = self.mask[
                top - y : bottom - y, left - x : right - x
            ]
        return found

    def holds(self, x: float, y: float) -> bool:
        """Whether a point in image pixels is on the mask."""
        column, row = int(x) - self.corner[0], int(y) - self.corner[1]
        return 0 <= row < self.mask.shape[0] and 0 <= column < self.mask.shape[1] and bool(self.mask[row, column])

    def common(self, other: MaskPart) -> int:
        """Pixels that two masks have in common."""
        box = _common(self.box, other.box)
        return int(np.count_nonzero(self.inside(box) & other.inside(box))) if box[0] < box[2] and box[1] < box[3] else 0

    def iou(self, other: MaskPart) -> float:
        """Intersection over union, 0 to 1; two empty masks have nothing in common."""
        common = self.common(other)
        union = self.area + other.area - common
        return common / union if union else 0.0

    def polygons(self, *, tolerance: float = 0.5, exact: bool = True) -> list[Polygon]:
        """The outlines in image pixels, as `samnb.masks.mask_polygons` makes them."""
        found = mask_polygons(self.mask, tolerance=tolerance, exact=exact)
        return [polygon.moved(*self.corner) for polygon in found]

    def overlap_of_smaller(self, other: MaskPart) -> float:
        """The share of the smaller mask that is in the other, 0 to 1; see `samnb.masks.geometry.overlap_of_smaller`."""
        smaller = min(self.area, other.area)
        return self.common(other) / smaller if smaller else 0.0

    def __or__(self, other: MaskPart) -> MaskPart:
        if not self.area or not other.area:  # the box of an empty mask is no place
            return other if not self.area else self
        one, two = self.box, other.box
        box = (min(one[0], two[0]), min(one[1], two[1]), max(one[2], two[2]), max(one[3], two[3]))
        return MaskPart(self.inside(box) | other.inside(box), box[:2], self.size_hw)


def _common(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))


def _in_columns(
    starts: NDArray[np.int64], stops: NDArray[np.int64], height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Runs cut at the ends of columns: the column, the first row, and the row after the last one of each."""
    first, last = starts // height, (stops - 1) // height
    pieces = last - first + 1
    run = np.repeat(np.arange(len(starts)), pieces)
    columns = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    tops = np.maximum(starts[run] - columns * height, 0)
    bottoms = np.minimum(stops[run] - columns * height, height)
    return columns, tops, bottoms
