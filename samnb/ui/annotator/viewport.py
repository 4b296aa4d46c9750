"""`Viewport`: the position of a picture on the canvas; all coordinates are converted here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# Maximum CSS pixels per image pixel.
_LARGEST = 48.0


@dataclass(frozen=True)
class Viewport:
    """A view of a picture: fitted into a stage and centred, or zoomed and moved.

    Parameters
    ----------
    image_size : (W, H)
        Image pixels.
    stage_size : (width, height)
        CSS pixels.
    backing : float
        Canvas pixels for each CSS pixel, the page's device pixel ratio.
    zoom : float
        1 fits the picture into the stage.
    center : (x, y) or None
        The image pixel in the middle of the stage; None: that of the picture.

    Examples
    --------
    >>> view = Viewport((100, 50), (400, 300))
    >>> view.scale, view.offset
    (4.0, (0.0, 50.0))
    >>> view.to_image(0.5, 0.5)
    (50.0, 25.0)
    >>> closer = view.zoomed(2, (0, 150))
    >>> closer.scale, closer.to_image(0, 0.5)
    (8.0, (0.0, 25.0))
    """

    image_size: tuple[int, int]
    stage_size: tuple[float, float]
    backing: float = 2.0
    zoom: float = 1.0
    center: tuple[float, float] | None = None

    @property
    def fit_scale(self) -> float:
        """CSS pixels per image pixel when the picture just fits."""
        return min(s / i for s, i in zip(self.stage_size, self.image_size, strict=True))

    @property
    def scale(self) -> float:
        """CSS pixels for each image pixel."""
        return self.fit_scale * self.zoom

    @property
    def offset(self) -> tuple[float, float]:
        """CSS pixels left of and above the picture, negative if it starts outside; whole canvas pixels."""
        middle = self.center or (self.image_size[0] / 2, self.image_size[1] / 2)
        x, y = (
            round((stage / 2 - self.scale * at) * self.backing) / self.backing
            for stage, at in zip(self.stage_size, middle, strict=True)
        )
        return x, y

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(width, height) in canvas pixels."""
        return round(self.stage_size[0] * self.backing), round(self.stage_size[1] * self.backing)

    @property
    def visible(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) in image pixels: the part of the picture that is on the stage."""
        (x0, y0), (x1, y1) = self.to_image(0, 0), self.to_image(1, 1)
        return x0, y0, x1, y1

    @property
    def is_fit(self) -> bool:
        """True while the whole picture is shown as large as possible."""
        return self.zoom == 1.0

    # -- other views of the same picture ---------------------------------------------------------------

    def fitted(self) -> Viewport:
        """The whole picture."""
        return replace(self, zoom=1.0, center=None)

    def zoomed(self, factor: float, at: tuple[float, float] | None = None) -> Viewport:
        """Zoomed by `factor`; the image pixel under `at`, CSS pixels of the stage, stays there. None: the middle."""
        most = max(_LARGEST / self.fit_scale, 1.0)
        least = min(1.0, 1 / (self.fit_scale * self.backing))
        zoom = min(max(self.zoom * factor, least), most)
        if abs(zoom - 1) < 1e-6:
            zoom = 1.0
        x, y = at or (self.stage_size[0] / 2, self.stage_size[1] / 2)
        (left, top), scale = self.offset, self.fit_scale * zoom
        held = ((x - left) / self.scale, (y - top) / self.scale)
        center = (
            held[0] + (self.stage_size[0] / 2 - x) / scale,
            held[1] + (self.stage_size[1] / 2 - y) / scale,
        )
        return replace(self, zoom=zoom)._centered(center)

    def at_actual_size(self) -> Viewport:
        """One image pixel on one pixel of the screen, around the same middle."""
        return self.zoomed(1 / (self.scale * self.backing))

    def panned(self, dx: float, dy: float) -> Viewport:
        """Moved by (dx, dy) CSS pixels; the picture's edges stop at those of the stage."""
        left, top = self.offset
        center = (
            (self.stage_size[0] / 2 - left - dx) / self.scale,
            (self.stage_size[1] / 2 - top - dy) / self.scale,
        )
        return self._centered(center)

    def centered_at(self, x: float, y: float) -> Viewport:
        """With that image pixel in the middle of the stage, as far as the picture's edges allow."""
        return self._centered((x, y))

    def resized(self, stage_size: tuple[float, float], backing: float) -> Viewport:
        """The same view on a stage of another size."""
        resized = replace(self, stage_size=stage_size, backing=backing)
        return resized._centered(self.center) if self.center else resized

    def _centered(self, center: tuple[float, float]) -> Viewport:
        kept = []
        for at, image, stage in zip(center, self.image_size, self.stage_size, strict=True):
            half = stage / self.scale / 2
            kept.append(image / 2 if 2 * half >= image else min(max(at, half), image - half))
        middle = (kept[0], kept[1])
        whole = middle == (self.image_size[0] / 2, self.image_size[1] / 2)
        return replace(self, center=None if whole else middle)

    # -- coordinates ---------------------------------------------------------------------------------

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Convert fractions of the stage (0 to 1) to image pixels; points beside the picture are moved to its edge."""
        inside = []
        for fraction, stage, image, offset in zip((x, y), self.stage_size, self.image_size, self.offset, strict=True):
            inside.append(float(min(max((fraction * stage - offset) / self.scale, 0.0), image)))
        return inside[0], inside[1]

    def holds(self, x: float, y: float) -> bool:
        """True if the point is on the picture, not beside it; fractions of the stage."""
        return all(
            0 <= fraction <= 1 and 0 <= (fraction * stage - offset) / self.scale < image
            for fraction, stage, image, offset in zip(
                (x, y), self.stage_size, self.image_size, self.offset, strict=True
            )
        )

    def to_stage(self, x: float, y: float) -> tuple[float, float]:
        """The position of that image pixel on the stage, CSS pixels."""
        left, top = self.offset
        return x * self.scale + left, y * self.scale + top

    def to_canvas(self, points: Iterable[tuple[float, float]] | NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) canvas pixels of (N, 2) image pixels."""
        array = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return (array * self.scale + self.offset) * self.backing


def stage_size(image_sizes: Iterable[tuple[int, int]], most: tuple[int, int]) -> tuple[int, int]:
    """The smallest stage, at most `most`, in which each of the (W, H) pictures is as large as `most` allows.

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
    # An extreme panorama still gets a usable stage; without pictures the stage has full size.
    return (max(width, most[0] // 4), max(height, most[1] // 4)) if width else most
