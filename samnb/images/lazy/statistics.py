"""`ranges_of`: the smallest and largest values of a picture or stack, and percentiles, from bounded parts of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...errors import ImageUnreadable
from .description import Level
from .source import BaseSource, Region

_MOST_SLICES, _MOST_PIXELS, _ENOUGH = 64, 64_000_000, 1_000_000
_SIDE, _PARTS = 512, 8
_KEPT = 100_000  # values of a part that count for percentiles


class ValueRange(NamedTuple):
    """The smallest and the largest finite value, and the values at two percentiles."""

    low: float
    high: float
    lower: float
    upper: float


def ranges_of(
    source: BaseSource,
    channels: Sequence[int],
    places: Sequence[Mapping[str, int]],
    percentiles: tuple[float, float] = (0.0, 100.0),
) -> list[ValueRange]:
    """For each channel, over the pictures at `places` together.

    Of more than 64 pictures, 64 in equal distances count. Of a picture with levels, the smallest one of a million
    pixels or more counts; of one above 64 million pixels without levels, 64 squares of 512 pixels in a grid.

    Raises
    ------
    ImageUnreadable
        No value is finite.
    """
    chosen = [places[at] for at in np.unique(np.linspace(0, len(places) - 1, _MOST_SLICES).round().astype(int))]
    level, parts = _parts_of(source.description.levels)
    lows, highs = np.full(len(channels), np.inf), np.full(len(channels), -np.inf)
    kept: list[list[np.ndarray]] = [[] for _ in channels]
    for place in chosen:
        for part in parts:
            values = source.read(level=level, at=place, channels=channels, region=part)
            for at in range(len(channels)):
                plane = values[..., at].ravel()
                if plane.dtype.kind == "f":
                    plane = plane[np.isfinite(plane)]
                if not plane.size:
                    continue
                lows[at], highs[at] = min(lows[at], float(plane.min())), max(highs[at], float(plane.max()))
                if percentiles != (0.0, 100.0):
                    kept[at].append(plane[:: max(1, plane.size // _KEPT)].astype(np.float64))
    if not np.isfinite(lows).all():
        raise ImageUnreadable(source.description.path, "a channel holds no finite value")
    found = []
    for low, high, values_of in zip(lows, highs, kept, strict=True):
        lower, upper = np.percentile(np.concatenate(values_of), percentiles) if values_of else (low, high)
        found.append(ValueRange(float(low), float(high), float(lower), float(upper)))
    return found


def _parts_of(levels: Sequence[Level]) -> tuple[int, list[Region]]:
    """The level to read, and its parts."""
    large = [at for at, one in enumerate(levels) if one.height * one.width >= _ENOUGH]
    level = large[-1] if large else 0
    height, width = levels[level].size_hw
    if height * width <= _MOST_PIXELS:
        return level, [Region(0, 0, height, width)]
    tall, wide = min(_SIDE, height), min(_SIDE, width)
    rows, columns = (np.linspace(0, end, _PARTS).astype(int) for end in (height - tall, width - wide))
    return level, [Region(int(y), int(x), tall, wide) for y in rows for x in columns]
