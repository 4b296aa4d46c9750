"""`SourceDescription`: what a picture file holds, known without reading its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import ImageUnreadable

MOST_PLANES = 1_000_000
"""Pictures of one stack: a header of a few bytes may say any number."""

MOST_CHANNELS = 4096
"""Channels of one picture, for the same reason; cameras of many wavelengths have some hundred."""

ALPHA = "alpha"
"""The name of a channel that is no brightness but opacity; it is not shown unless asked for."""


def check_channels(count: int, name: str) -> None:
    """Raise `ImageUnreadable` for more than `MOST_CHANNELS`, before a list of them is made."""
    if count > MOST_CHANNELS:
        what = f"{count:,} channels, more than the limit of {MOST_CHANNELS:,}"
        raise ImageUnreadable(name, f"{what}: save them as the pages of a stack, or in several files")


@dataclass(frozen=True)
class PixelSize:
    """The size of a pixel of level 0, in µm.

    Parameters
    ----------
    x_um, y_um : float
        Width and height, greater than 0.
    z_um : float
        Distance of two slices; 0 if it is not known.

    Examples
    --------
    >>> from samnb.images.lazy import PixelSize
    >>> PixelSize(0.5, 0.5).area_um2(100)
    25.0
    """

    x_um: float
    y_um: float
    z_um: float = 0.0

    def area_um2(self, pixels: float) -> float:
        """The area of that many pixels, in µm²."""
        return pixels * self.x_um * self.y_um


@dataclass(frozen=True)
class Level:
    """One resolution of a picture: its size in pixels, and how many pixels of level 0 one of its pixels covers."""

    height: int
    width: int
    scale: float = 1.0

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W)."""
        return (self.height, self.width)


@dataclass(frozen=True)
class Channel:
    """One channel of a picture.

    Parameters
    ----------
    name : str
        As the file has it, "" for none.
    color : str
        "#rrggbb" in which the file shows it, "" for none.
    low, high : float or None
        The values that the file shows as black and as full brightness; None where it does not say.
    """

    name: str = ""
    color: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class StackAxis:
    """An axis along which a file has several pictures: "z", "t", "page", or another, and their number."""

    name: str
    size: int


@dataclass(frozen=True)
class SourceDescription:
    """What a picture file holds.

    Parameters
    ----------
    path : str
    format : str
        "TIFF", "OME-TIFF", "ImageJ TIFF", "OME-Zarr", "DICOM", "HEIC" …
    dtype : str
        NumPy's name of the values' type, in native byte order: "uint16".
    levels : tuple of Level
        At least one; the first is the full resolution, each next one smaller.
    channels : tuple of Channel
        At least one. Samples of a colour picture are channels too.
    colour : {"grey", "white is zero", "rgb"}
        "rgb": the first three channels are red, green and blue. "white is zero": the lowest value is white.
    stack : tuple of StackAxis
        Axes other than channel, y and x, outermost first; () for a single picture.
    bits : int
        Significant bits of an integer as the file states them; 0 where it does not.
    pixel_size : PixelSize or None
    premultiplied : bool
        The colours are multiplied with the opacity already.
    notes : tuple of str
        What of the file is left out, in words.
    """

    path: str
    format: str
    dtype: str
    levels: tuple[Level, ...]
    channels: tuple[Channel, ...] = (Channel(),)
    colour: str = "grey"
    stack: tuple[StackAxis, ...] = ()
    bits: int = 0
    pixel_size: PixelSize | None = None
    notes: tuple[str, ...] = ()
    premultiplied: bool = False

    def __post_init__(self) -> None:
        if len(self.channels) < (3 if self.colour == "rgb" else 1):
            raise ValueError(f"{len(self.channels)} channels for {self.colour}")

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W) of the full resolution."""
        return self.levels[0].size_hw

    @property
    def has_alpha(self) -> bool:
        """True for colours whose fourth channel is the opacity; it may be any other: near infrared, for example."""
        return self.colour == "rgb" and len(self.channels) > 3 and self.channels[3].name == ALPHA

    @property
    def slices(self) -> int:
        """The number of pictures in the stack; 1 for a single picture."""
        return int(np.prod([axis.size for axis in self.stack], dtype=np.int64))
