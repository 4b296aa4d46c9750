"""`LargePyramid`: an `ImagePyramid` of a picture that is read in parts, as the view needs them."""

from __future__ import annotations

from math import ceil, floor, log2

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...images.large import LargePicture
from .image_pyramid import Box, ImagePyramid

# Pixels of the file that a view may read; above this the overview is shown, enlarged, so that a view takes no seconds.
_MOST_PIXELS = 36_000_000


class LargePyramid(ImagePyramid):
    """A large picture for the stage.

    Parameters
    ----------
    picture : LargePicture

    Examples
    --------
    >>> from samnb.images.large import ArraySource
    >>> pyramid = LargePyramid(LargePicture(ArraySource(np.zeros((400, 800, 3), np.uint8))))
    >>> pyramid.size, pyramid.part((0.0, 0.0, 800.0, 400.0), (80, 40)).shape
    ((800, 400), (40, 80, 3))
    """

    def __init__(self, picture: LargePicture):
        self._picture = picture

    @property
    def size(self) -> tuple[int, int]:
        """(W, H)."""
        height, width = self._picture.size_hw
        return width, height

    def cost(self, box: Box, factor: float) -> float:
        """The number of pixels to read for that box at `factor` screen pixels per image pixel."""
        return self._picture.cost(box, self._level_for(box, 1 / max(factor, 1e-9)))

    def part(self, box: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
        """(h, w, 3) pixels of a box (x0, y0, x1, y1) in image pixels, shrunk to `size` (w, h)."""
        shrink = min((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1])
        level, (width, height) = self._level_for(box, shrink), self.size
        step = 1 << level
        # The filter also reads pixels beside the box.
        rim = ceil(3 * shrink) + step
        left, top = (max(floor(low) - rim, 0) // step * step for low in box[:2])
        right, bottom = min(ceil(box[2]) + rim, width), min(ceil(box[3]) + rim, height)
        image = Image.fromarray(self._picture.read((left, top, right, bottom), level))
        inside = (
            max((box[0] - left) / step, 0.0),
            max((box[1] - top) / step, 0.0),
            min((box[2] - left) / step, image.width),
            min((box[3] - top) / step, image.height),
        )
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=inside, reducing_gap=2.0))

    def exact(self, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """The original pixels of a box of whole image pixels."""
        return self._picture.read(box)

    def _level_for(self, box: Box, shrink: float) -> int:
        """The highest level with enough pixels; the overview's where that would read too much."""
        level = max(0, floor(log2(max(shrink, 1.0))))
        return level if self._picture.cost(box, level) <= _MOST_PIXELS else self._picture.overview_level


def for_stage(picture: NDArray[np.uint8] | LargePicture) -> NDArray[np.uint8] | ImagePyramid:
    """A picture as the stage takes it."""
    return LargePyramid(picture) if isinstance(picture, LargePicture) else picture
