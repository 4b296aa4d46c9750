"""`PixelMapping`: how the values of a picture become pixels; a frozen value that is recorded and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hashing import DECODER_VERSION, PixelHasher
from .source import PictureSource, Region

_RGB = ("#ff0000", "#00ff00", "#0000ff")
_STRIP = 1 << 20  # pixels that are mapped at once


@dataclass(frozen=True)
class ShownChannel:
    """One channel as it is shown.

    Parameters
    ----------
    index : int
        Of the file's channels, from 0.
    color : str
        "#rrggbb" of full brightness; "#ffffff" is grey.
    low, high : float
        The values that are black and of full brightness. `low` above `high` turns the picture over.
    """

    index: int
    color: str
    low: float
    high: float


@dataclass(frozen=True)
class PixelMapping:
    """Channels with colours and limits, added, with one gamma.

    A value v of a channel becomes ``clip((v - low) / (high - low), 0, 1) ** gamma`` of its colour; the channels are
    added, and the sum is rounded to 0..255. Values that are not finite become black.

    Parameters
    ----------
    channels : tuple of ShownChannel
    gamma : float
        Below 1 brightens dark values, 1 changes nothing.
    limits_from : str
        Where the limits come from, in words: "the file", "percentiles 0.1 and 99.9" … Not part of the hash.

    Examples
    --------
    >>> from samnb.images.lazy import PixelMapping, ShownChannel
    >>> mapping = PixelMapping((ShownChannel(0, "#ffffff", 0, 4095),))
    >>> mapping.pixels(np.array([[[0], [4095]]], np.uint16))[0].tolist()
    [[0, 0, 0], [255, 255, 255]]
    """

    channels: tuple[ShownChannel, ...]
    gamma: float = 1.0
    limits_from: str = ""

    @property
    def indices(self) -> list[int]:
        """The channels to read."""
        return [one.index for one in self.channels]

    def pixels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 of (H, W, C) values, C the channels of `indices`."""
        if self.keeps(values.dtype):
            return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))
        shown = np.empty((*values.shape[:2], 3), np.uint8)
        tables = [self._table(one, values.dtype) for one in self.channels]
        rows = max(1, _STRIP // max(1, values.shape[1]))
        for top in range(0, len(values), rows):
            strip = values[top : top + rows]
            total = np.zeros((*strip.shape[:2], 3), np.float32)
            for at, (one, table) in enumerate(zip(self.channels, tables, strict=True)):
                plane = strip[..., at]
                bright = self._bright(plane, one) if table is None else table[plane.view(_unsigned(plane.dtype))]
                for part, weight in enumerate(_weights(one.color)):
                    if weight:
                        total[..., part] += weight * bright
            shown[top : top + rows] = (total.clip(0, 1) * 255).round()
        return shown

    def hash_of(self, values: NDArray[Any]) -> str:
        """The pixel hash of (H, W, C) values shown by this mapping.

        It is of the values and the mapping, so that two pictures which 8 bits do not tell apart have two hashes. Values
        of 8 bits that are shown as they are have that of their pixels: the same picture in another file is found.
        """
        hasher = self.hasher(values.dtype, values.shape)
        hasher.update(values)
        return hasher.hexdigest()

    def hasher(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> ValueHasher:
        """`hash_of` a picture of (H, W, C) values that come one band of rows after the other."""
        return ValueHasher(self, dtype, shape)

    def read(
        self,
        source: PictureSource,
        *,
        level: int = 0,
        at: Mapping[str, int] | None = None,
        region: Region | None = None,
    ) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 of a source; the arguments are those of `PictureSource.read`."""
        return self.pixels(source.read(level=level, at=at, channels=self.indices, region=region))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        shown = [{"index": c.index, "color": c.color, "low": c.low, "high": c.high} for c in self.channels]
        return {"channels": shown, "gamma": self.gamma, "limits_from": self.limits_from}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PixelMapping:
        """The mapping of `as_dict`. Raises ValueError, KeyError or TypeError for other values."""
        shown = tuple(
            ShownChannel(int(one["index"]), checked_color(one["color"]), float(one["low"]), float(one["high"]))
            for one in values["channels"]
        )
        gamma = float(values.get("gamma", 1.0))
        if not shown or not gamma > 0 or not np.isfinite([gamma, *(v for c in shown for v in (c.low, c.high))]).all():
            raise ValueError("no channel, or limits that are not finite")
        return cls(shown, gamma, str(values.get("limits_from", "")))

    def __str__(self) -> str:
        names = {"#ffffff": "grey", "#ff0000": "red", "#00ff00": "green", "#0000ff": "blue"}
        parts = [f"channel {c.index} {names.get(c.color, c.color)} {c.low:.6g}..{c.high:.6g}" for c in self.channels]
        if self._is_plain_grey and len(parts) == 1 and not self.channels[0].index:
            parts = [f"{self.channels[0].low:.6g}..{self.channels[0].high:.6g}"]
        gamma = "" if self.gamma == 1 else f", gamma {self.gamma:g}"
        origin = f" (limits: {self.limits_from})" if self.limits_from else ""
        return f"{', '.join(parts)}{gamma}{origin}"

    @property
    def _is_plain_grey(self) -> bool:
        return len(self.channels) == 1 and self.channels[0].color == "#ffffff"

    def keeps(self, dtype: np.dtype[Any]) -> bool:
        """True if values of that type are shown as they are: of 8 bits."""
        colors = tuple(one.color for one in self.channels)
        whole = all((one.low, one.high) == (0, 255) for one in self.channels)
        return dtype == np.uint8 and whole and self.gamma == 1 and (self._is_plain_grey or colors == _RGB)

    def _table(self, channel: ShownChannel, dtype: np.dtype[Any]) -> NDArray[np.float32] | None:
        """The brightness of each value of an integer of 8 or 16 bits, by its bits; None for other types."""
        if dtype.kind not in "ui" or dtype.itemsize > 2:
            return None
        bits = np.arange(1 << (8 * dtype.itemsize), dtype=_unsigned(dtype))
        return self._bright(bits.view(dtype.newbyteorder("=")), channel)

    def _bright(self, values: NDArray[Any], channel: ShownChannel) -> NDArray[np.float32]:
        length = (channel.high - channel.low) or 1.0
        bright = np.nan_to_num((values.astype(np.float64) - channel.low) / length, nan=0.0, posinf=1.0, neginf=0.0)
        np.clip(bright, 0, 1, out=bright)
        if values.dtype.kind == "f":
            bright[~np.isfinite(values)] = 0
        return (bright if self.gamma == 1 else bright**self.gamma).astype(np.float32)


class ValueHasher:
    """`PixelMapping.hash_of` a picture, band by band.

    Parameters
    ----------
    mapping : PixelMapping
    dtype : numpy.dtype
        Of the values.
    shape : (H, W, C)
        Of the whole picture.
    """

    def __init__(self, mapping: PixelMapping, dtype: np.dtype[Any], shape: tuple[int, ...]):
        self._mapping = mapping
        self._pixels = PixelHasher((shape[0], shape[1])) if mapping.keeps(dtype) else None
        channels = [[one.color, one.low, one.high] for one in mapping.channels]
        about = json.dumps({"channels": channels, "gamma": mapping.gamma}, sort_keys=True)
        text = f"{DECODER_VERSION}|view|{about}|{dtype.newbyteorder('=')}|{tuple(shape)}|"
        self._values = hashlib.sha256(text.encode())

    def update(self, values: NDArray[Any]) -> None:
        """The next (h, W, C) rows."""
        if self._pixels is not None:
            self._pixels.update(self._mapping.pixels(values))
            return
        rows = max(1, _STRIP // max(1, values.shape[1] * values.shape[2]))
        for top in range(0, len(values), rows):
            self._values.update(values[top : top + rows].astype(values.dtype.newbyteorder("<")).tobytes())

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return (self._pixels or self._values).hexdigest()


def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"u{dtype.itemsize}")


def _weights(color: str) -> tuple[float, float, float]:
    return (int(color[1:3], 16) / 255, int(color[3:5], 16) / 255, int(color[5:7], 16) / 255)


def checked_color(color: str) -> str:
    """A colour "#rrggbb" in lower case; raises ValueError for others."""
    if len(color) != 7 or color[0] != "#":
        raise ValueError(f"the colour {color!r}")
    int(color[1:], 16)
    return color.lower()


def on_white(pixels: NDArray[np.uint8], share: NDArray[np.uint8], *, premultiplied: bool) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 blended with white by the (H, W, 1) uint8 of an alpha channel, 255 for all of a pixel."""
    of_255 = share.astype(np.uint16)
    if premultiplied:
        return np.minimum(pixels + (255 - of_255), 255).astype(np.uint8)
    return ((pixels * of_255 + 255 * (255 - of_255) + 127) // 255).astype(np.uint8)
