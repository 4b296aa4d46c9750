"""`PictureSource`: a picture file that is read in parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import AnyPath, ImageError, ImageUnreadable, UnknownName
from ..files import most_bytes
from .description import SourceDescription


class Region(NamedTuple):
    """A rectangle of one level, in pixels of that level: top, left, height, width."""

    y: int
    x: int
    height: int
    width: int


class PictureSource(Protocol):
    """A picture file, open: its description, and its values read in parts. For any thread."""

    description: SourceDescription

    def read(
        self,
        *,
        level: int = 0,
        at: Mapping[str, int] | None = None,
        channels: Sequence[int] | None = None,
        region: Region | None = None,
    ) -> NDArray[Any]:
        """Values as the file has them.

        Parameters
        ----------
        level : int
            0 is the full resolution.
        at : mapping of str to int
            Which picture of a stack: index by name of the axis; an axis that is left out is 0.
        channels : sequence of int
            Default: all.
        region : Region
            In pixels of the level; default: all of it. Only what covers it is read.

        Returns
        -------
        (H, W, C) ndarray
            Of the description's dtype, upright.

        Raises
        ------
        ImageError
            Damaged; the region is not inside the picture.
        UnknownName
            No such axis, index, channel or level.
        """

    def read_region(self, level: int, y: int, x: int, height: int, width: int) -> NDArray[Any]:
        """`read` of a rectangle, all channels, of the first picture of a stack."""

    def close(self) -> None:
        """Close the file."""


class BaseSource(ABC):
    """What all sources do alike: checks of the arguments, and errors. A subclass has `_read`."""

    description: SourceDescription

    def read(
        self,
        *,
        level: int = 0,
        at: Mapping[str, int] | None = None,
        channels: Sequence[int] | None = None,
        region: Region | None = None,
    ) -> NDArray[Any]:
        """See `PictureSource.read`."""
        about = self.description
        if not 0 <= level < len(about.levels):
            raise UnknownName(f"level of {about.path}:", str(level), map(str, range(len(about.levels))))
        size_hw = about.levels[level].size_hw
        part = Region(0, 0, *size_hw) if region is None else Region(*map(int, region))
        _check_region(part, size_hw, about.path)
        chosen = list(range(len(about.channels))) if channels is None else [int(one) for one in channels]
        for one in chosen:
            if not 0 <= one < len(about.channels):
                raise UnknownName(f"channel of {about.path}:", str(one), map(str, range(len(about.channels))))
        place = checked_place(about, at or {})
        # Pixels are limited elsewhere, but each may have thousands of channels.
        size = part.height * part.width * len(chosen) * np.dtype(about.dtype).itemsize
        if size > (most := most_bytes()):
            raise ImageUnreadable(
                about.path,
                f"{len(chosen)} channels of {part.width} x {part.height} pixels are {size:,} bytes, more than the "
                f"limit of {most:,}: choose channels with view=samnb.View(channels=…)",
            )
        try:
            values = self._read(level, place, chosen, part)
        except (ImageError, MemoryError):
            raise
        except Exception as error:
            # Decoders of a dozen packages raise unrelated classes on damaged files.
            raise ImageUnreadable(about.path, f"cannot be decoded ({error or type(error).__name__})") from error
        if values.shape != (part.height, part.width, len(chosen)):
            expected = f"{(part.height, part.width, len(chosen))} values, got {values.shape}"
            raise ImageUnreadable(about.path, f"its parts do not fit its description: expected {expected}")
        return values

    def read_region(self, level: int, y: int, x: int, height: int, width: int) -> NDArray[Any]:
        """See `PictureSource.read_region`."""
        return self.read(level=level, region=Region(y, x, height, width))

    @abstractmethod
    def _read(self, level: int, place: tuple[int, ...], channels: list[int], region: Region) -> NDArray[Any]:
        """(H, W, C) of checked arguments; `place` has one index for each axis of the stack."""

    def close(self) -> None:  # noqa: B027  (not every source holds a file)
        """Close the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def checked_place(about: SourceDescription, at: Mapping[str, int]) -> tuple[int, ...]:
    """One index for each axis of the stack. Raises `UnknownName`."""
    names = [axis.name for axis in about.stack]
    for name, index in at.items():
        if name not in names:
            raise UnknownName(f"axis of {about.path}:", name, names or ["none: it is a single picture"])
        size = about.stack[names.index(name)].size
        if not 0 <= index < size:
            raise UnknownName(f"{name} of {about.path}:", str(index), [f"0..{size - 1}"])
    return tuple(int(at.get(name, 0)) for name in names)


def _check_region(region: Region, size_hw: tuple[int, int], path: AnyPath) -> None:
    height, width = size_hw
    inside = region.y >= 0 and region.x >= 0 and region.y + region.height <= height and region.x + region.width <= width
    if region.height < 1 or region.width < 1 or not inside:
        raise ImageError(
            f"{path}: expected a region inside {width} x {height} pixels, got x {region.x}, y {region.y}, "
            f"{region.width} x {region.height}. Cut it to the picture first."
        )


def native(values: NDArray[Any]) -> NDArray[Any]:
    """The same values in the computer's byte order."""
    return np.asarray(values, values.dtype.newbyteorder("="))
