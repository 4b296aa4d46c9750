"""`HeifSource`: HEIC pictures of phones, through pillow-heif."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray

from ...errors import ImageUnreadable
from .description import ALPHA, Channel, Level, SourceDescription, StackAxis
from .source import BaseSource, Region

_MODES = {"L": "grey", "RGB": "rgb", "RGBA": "rgb", "I;16": "grey", "RGB;16": "rgb", "RGBA;16": "rgb"}


class HeifSource(BaseSource):
    """A HEIC file, turned upright by its decoder; see `samnb.images.lazy.PictureSource`.

    A picture is decoded as a whole. More than 8 bits are kept, in the high bits of 16.
    """

    def __init__(self, file: Any, name: str):
        self._file = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
        self._lock = Lock()
        first = self._file[self._file.primary_index]
        if first.mode not in _MODES:
            raise ImageUnreadable(name, f"HEIC of mode {first.mode}")
        same = [one for one in self._file if (one.size, one.mode) == (first.size, first.mode)]
        # The picture that viewers show comes first.
        self._pictures = [first, *(one for one in same if one is not first)]
        width, height = first.size
        count = {"L": 1, "I": 1, "RGB": 3, "RGBA": 4}[first.mode.partition(";")[0]]
        left = len(self._file) - len(same)
        self.description = SourceDescription(
            path=name,
            format="HEIC",
            dtype="uint16" if first.mode.endswith("16") else "uint8",
            levels=(Level(height, width),),
            channels=(*(Channel(),) * min(count, 3), *((Channel(ALPHA),) if count == 4 else ())),
            colour=_MODES[first.mode],
            stack=(StackAxis("page", len(same)),) if len(same) > 1 else (),
            notes=(f"{left} further pictures of other sizes left out",) if left else (),
        )

    def _read(self, level: int, place: tuple[int, ...], channels: list[int], region: Region) -> NDArray[Any]:
        with self._lock:
            values = np.asarray(self._pictures[place[0] if place else 0])
        values = values[..., None] if values.ndim == 2 else values
        return values[region.y : region.y + region.height, region.x : region.x + region.width][..., channels].copy()
