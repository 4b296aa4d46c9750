"""`PictureLook`: brightness, contrast and channel of the picture that is shown; the model gets the picture as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANNELS = ("colour", "red", "green", "blue", "grey")


@dataclass(frozen=True)
class PictureLook:
    """How a picture is shown.

    Parameters
    ----------
    brightness : float
        -1 to 1: added to values of 0 to 1.
    contrast : float
        0.2 to 5: the distance from the middle is multiplied by it.
    channel : str
        One of `CHANNELS`; all but "colour" are shown in grey.

    Examples
    --------
    >>> PictureLook(brightness=0.2).of(np.full((1, 1, 3), 100, np.uint8))[0, 0].tolist()
    [151, 151, 151]
    >>> PictureLook(channel="red").of(np.array([[[200, 0, 0]]], np.uint8))[0, 0].tolist()
    [200, 200, 200]
    """

    brightness: float = 0.0
    contrast: float = 1.0
    channel: str = "colour"

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 as it is shown; the same array if nothing is to change."""
        if self == AS_IT_IS:
            return pixels
        shown: NDArray[np.uint8] = pixels
        if self.channel == "grey":
            weights = np.array([0.299, 0.587, 0.114], np.float32)
            shown = np.repeat((pixels @ weights).round().astype(np.uint8)[..., None], 3, axis=2)
        elif self.channel != "colour":
            place = CHANNELS.index(self.channel) - 1
            shown = np.repeat(pixels[..., place : place + 1], 3, axis=2)
        if (self.brightness, self.contrast) == (0.0, 1.0):
            return shown
        values = np.arange(256) / 255
        curve = np.clip((values - 0.5) * self.contrast + 0.5 + self.brightness, 0, 1)
        return (255 * curve).round().astype(np.uint8)[shown]


AS_IT_IS = PictureLook()
