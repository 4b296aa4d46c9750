"""`ValuePreview`: the values of a picture, to be shown by one mapping after another before one is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from .large import FileSource, LargePicture, Pixels, overview_level
from .lazy import Channel, PixelMapping, Region
from .lazy.source import BaseSource

_BAND_BYTES = 64_000_000
_LONGEST = 2048  # of an overview: it is mapped at every move of a slider


class ValuePreview:
    """The values of a picture; of a large one those of its overview, the others are read when they are in view.

    A file without a pyramid is read once from top to bottom for the overview, of which every 2**n-th value is kept.

    Parameters
    ----------
    source : BaseSource
        Open; it is closed with this object, and with what `shown` gave.
    at : mapping of str to int
        The place in the stack.
    whole : bool
        Whether all values are kept.

    Raises
    ------
    ImageError
        The file is damaged.
    """

    def __init__(self, source: BaseSource, at: Mapping[str, int], *, whole: bool):
        self._source, self._at, self._whole = source, dict(at), whole
        self._level = overview_level(source.description.size_hw, _LONGEST)
        self._closing = finalize(self, source.close)
        try:
            self._values = source.read(at=self._at) if whole else self._overview()
        except BaseException:
            self._closing()
            raise

    @property
    def channels(self) -> Sequence[Channel]:
        """Those of the file."""
        return self._source.description.channels

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """The lowest and the highest finite of the kept values of each channel; (0, 1) where none is finite."""
        return [_range(self._values[..., channel]) for channel in range(self._values.shape[2])]

    def shown(self, mapping: PixelMapping) -> Pixels | LargePicture:
        """The picture by a mapping: (H, W, 3), or a large one that is read in parts."""
        pixels = mapping.pixels(self._values[..., mapping.indices])
        if self._whole:
            return pixels
        picture = LargePicture(_Shared(self, mapping), pixels)
        picture.overview_level = self._level
        return picture

    def _overview(self) -> NDArray[np.generic]:
        """Every 2**n-th value along both sides, of the file's smallest level that has them."""
        about, step = self._source.description, 1 << self._level
        fitting = [number for number, one in enumerate(about.levels) if round(one.scale, 2) in _powers(step)]
        number = max(fitting, key=lambda at: about.levels[at].scale)
        level = about.levels[number]
        every = step // round(level.scale)
        row = level.width * len(about.channels) * np.dtype(about.dtype).itemsize
        rows = max(1, _BAND_BYTES // row // every) * every
        bands = []
        for top in range(0, level.height, rows):
            region = Region(top, 0, min(rows, level.height - top), level.width)
            bands.append(self._source.read(level=number, at=self._at, region=region)[::every, ::every].copy())
        values = np.concatenate(bands)
        # As in `FileSource`: a level of the file may be a pixel smaller than its share of the picture.
        missing = [max(0, -(-size // step) - have) for size, have in zip(about.size_hw, values.shape[:2], strict=True)]
        return np.pad(values, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else values


class _Shared(FileSource):
    """The file of a preview, which closes it: the same one is shown by many mappings."""

    def __init__(self, preview: ValuePreview, mapping: PixelMapping):
        super().__init__(preview._source, mapping, preview._at)
        self._preview = preview

    def close(self) -> None:
        """Leave it open."""


def _powers(highest: int) -> list[int]:
    """1, 2, 4 … up to a power of two."""
    return [1 << exponent for exponent in range(highest.bit_length())]


def _range(values: NDArray[np.generic]) -> tuple[float, float]:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
