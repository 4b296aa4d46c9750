"""The canvas scenes are painted on: colour and labels are laid down together, so that both always agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.shapes import Outline, bounds, fill
from training.textures import Field, TextureBank

Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Scene:
    """One rendered scene.

    Attributes
    ----------
    pixels
        (S, S, 3) uint8 RGB.
    whole
        (S, S) uint16, the number of the object at each pixel, 0 for background.
    part
        (S, S) uint16, the number of the object's part at each pixel (unique in the scene), 0 where it has none.
    """

    pixels: npt.NDArray[np.uint8]
    whole: npt.NDArray[np.uint16]
    part: npt.NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Paint:
    """What a surface looks like: mean colour (3,) 0..255, texture contrast in grey levels, slope of its shading."""

    colour: Field
    contrast: float
    shade: float


class Canvas:
    """A scene in the making.

    Parameters
    ----------
    rng, bank
        Where chance and textures come from.
    size
        Side in pixels.
    """

    def __init__(self, rng: np.random.Generator, bank: TextureBank, size: int) -> None:
        self.rng, self.bank, self.size = rng, bank, size
        self.pixels: Field = np.zeros((size, size, 3), np.float32)
        self.whole: npt.NDArray[Any] = np.zeros((size, size), np.uint16)
        self.part: npt.NDArray[Any] = np.zeros((size, size), np.uint16)
        self._numbers = 0

    def number(self) -> int:
        """Hand out the next object or part number, from 1."""
        self._numbers += 1
        return self._numbers

    def random_paint(self, near: Field | None = None, distance: float = 60.0) -> Paint:
        """Draw a paint: of any colour, or about `distance` grey levels away from the colour `near`."""
        rng = self.rng
        if near is None:
            colour = rng.uniform(15, 240, 3)
            if rng.random() < 0.5:  # pale and grey surfaces are more frequent than pure colours
                colour = colour.mean() + (colour - colour.mean()) * rng.uniform(0, 0.4)
        else:
            step = rng.standard_normal(3)
            step += rng.choice([-1, 1]) * rng.uniform(0, 3)  # mostly lighter or darker
            colour = near + step / np.linalg.norm(step) * distance * np.sqrt(3)
        contrast = rng.choice([0.0, 1.0]) * np.exp(rng.uniform(np.log(2), np.log(45)))
        shade = rng.choice([0.0, 1.0]) * rng.uniform(5, 60)
        return Paint(np.clip(colour, 5, 250).astype(np.float32), float(contrast), float(shade))

    def surface(self, paint: Paint, height: int, width: int) -> Field:
        """Give a (height, width, 3) patch of the paint: colour, texture, and a light from one side."""
        rng = self.rng
        grey = np.zeros((height, width), np.float32)
        if paint.contrast > 0:
            grey += self.bank.patch(rng, height, width) * paint.contrast
        if paint.shade > 0:
            angle = rng.uniform(0, 2 * np.pi)
            y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
            x = np.linspace(-1, 1, width, dtype=np.float32)[None]
            grey += (x * np.cos(angle) + y * np.sin(angle)) * paint.shade
        tint = 1 + 0.3 * rng.standard_normal(3).astype(np.float32) * (rng.random() < 0.5)
        return paint.colour + grey[..., None] * tint

    def cover(self, paint: Paint) -> None:
        """Paint the whole canvas as background."""
        self.pixels = self.surface(paint, self.size, self.size)

    def stamp(
        self,
        outline: Outline,
        surface: Field | Paint,
        whole: int | None = None,
        part: int = 0,
        inside: int | None = None,
        opacity: float = 1.0,
    ) -> bool:
        """Paint a closed outline and write its labels.

        Parameters
        ----------
        outline
            (N, 2) vertices in pixels.
        surface
            A paint, or ready (h, w, 3) colours of the outline's window (see `training.shapes.bounds`).
        whole
            Object number to write; None leaves the object labels alone (a part, a mark, a shadow).
        part
            Part number to write; 0 clears the part labels under a new object.
        inside
            Paint only where the object labels already hold this number.
        opacity
            0..1.

        Returns
        -------
        bool
            False where nothing lies inside the canvas.
        """
        window = bounds(outline, self.size)
        if window is None:
            return False
        alpha = fill(outline, window)
        if inside is not None:
            alpha = alpha * (self.whole[window] == inside)
        self.blend(window, alpha * opacity, surface)
        solid = alpha > 0.5
        if whole is not None:
            self.whole[window][solid] = whole
            self.part[window][solid] = part
        elif part:
            self.part[window][solid] = part
        return bool(solid.any())

    def blend(self, window: Window, alpha: Field, surface: Field | Paint) -> None:
        """Mix a surface into the canvas by `alpha` (h, w) in 0..1, leaving labels alone."""
        height, width = alpha.shape
        colours = self.surface(surface, height, width) if isinstance(surface, Paint) else surface
        under = self.pixels[window]
        self.pixels[window] = under + (colours - under) * alpha[..., None]

    def shadow(self, outline: Outline, offset: tuple[float, float], softness: float, depth: float) -> None:
        """Darken what lies under the outline moved by `offset`: a soft cast shadow of `depth` 0..1."""
        moved = outline + np.asarray(offset, np.float32)
        margin = int(3 * softness) + 1
        grown = np.concatenate([moved - margin, moved + margin])
        window = bounds(grown, self.size)
        if window is None:
            return
        alpha = cv2.GaussianBlur(fill(moved, window), (0, 0), softness)
        self.pixels[window] *= 1 - depth * alpha[..., None]

    def scene(self) -> Scene:
        """Round the colours and hand the finished scene over."""
        return Scene(np.clip(self.pixels, 0, 255).astype(np.uint8), self.whole, self.part)
