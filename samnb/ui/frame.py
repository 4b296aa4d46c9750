"""Where a picture lies on the canvas: coordinates are turned here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "stage_size"]


@dataclass(frozen=True)
class Frame:
    """A picture fitted into a stage and centred.

    Parameters
    ----------
    image_size : (W, H)
        Image pixels.
    stage_size : (width, height)
        CSS pixels.
    backing : int
        Canvas pixels for each CSS pixel; 2 stays sharp on a HiDPI screen.

    Examples
    --------
    >>> frame = Frame((100, 50), (400, 300))
    >>> frame.scale, frame.offset
    (4.0, (0.0, 50.0))
    >>> frame.to_image(0.5, 0.5)
    (50.0, 25.0)
    """

    image_size: tuple[int, int]
    stage_size: tuple[int, int]
    backing: int = 2

    @property
    def scale(self) -> float:
        """CSS pixels for each image pixel."""
        return min(s / i for s, i in zip(self.stage_size, self.image_size, strict=True))

    @property
    def offset(self) -> tuple[float, float]:
        """CSS pixels left of and above the picture."""
        x, y = ((stage - self.scale * image) / 2 for stage, image in zip(self.stage_size, self.image_size, strict=True))
        return x, y

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """From fractions of the stage (0 to 1) to image pixels; places beside the picture go to its edge."""
        inside = []
        for fraction, stage, image, offset in zip((x, y), self.stage_size, self.image_size, self.offset, strict=True):
            inside.append(float(min(max((fraction * stage - offset) / self.scale, 0.0), image)))
        return inside[0], inside[1]

    def to_canvas(self, points: Iterable[tuple[float, float]] | NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) canvas pixels of (N, 2) image pixels."""
        array = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return (array * self.scale + self.offset) * self.backing


def stage_size(image_sizes: Iterable[tuple[int, int]], most: tuple[int, int]) -> tuple[int, int]:
    """The smallest stage, at most `most`, in which each of the (W, H) pictures is as large as `most` lets it be.

    One size for a whole dataset: resizing a canvas clears it, and the page would jump at each new picture.

    Examples
    --------
    >>> stage_size([(400, 400)], (720, 540))
    (540, 540)
    >>> stage_size([(400, 400), (2000, 1000)], (720, 540))
    (720, 540)
    """
    width = height = 0
    for size in image_sizes:
        scale = min(m / i for m, i in zip(most, size, strict=True))
        width, height = max(width, round(size[0] * scale)), max(height, round(size[1] * scale))
    # An extreme panorama still gets a stage a hand can hit; nothing at all gets the full one.
    return (max(width, most[0] // 4), max(height, most[1] // 4)) if width else most
