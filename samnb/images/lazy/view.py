"""`View`: what a user asks to see of a picture, and the mapping that it becomes for one file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from ...errors import ImageError, UnknownName
from ..depth import limits_of
from .description import ALPHA, SourceDescription
from .mapping import PixelMapping, ShownChannel, checked_color
from .source import BaseSource
from .statistics import ValueRange, ranges_of

Limits = str | tuple[float, float] | Sequence[tuple[float, float]] | None

_COLORS = {
    "white": "#ffffff", "grey": "#ffffff", "gray": "#ffffff", "red": "#ff0000", "green": "#00ff00",
    "blue": "#0000ff", "cyan": "#00ffff", "magenta": "#ff00ff", "yellow": "#ffff00",
}  # fmt: skip
_RGB = ("#ff0000", "#00ff00", "#0000ff")
_RULES = ("file", "range", "percentiles")


@dataclass(frozen=True)
class View:
    """What to show of a picture: its channels, with which limits, and which picture of a stack.

    Parameters
    ----------
    channels : str, int, sequence or mapping, optional
        A channel by name or number is shown grey. A sequence of up to three: red, green, blue, None for nothing. A
        mapping has the colour of each: ``{"DAPI": "blue", "GFP": "#00ff00"}``. Default: the colours of a colour
        picture; of several channels those colours that the file has, else the first three as red, green, blue.
    limits : {"file", "range", "percentiles"}, (low, high) or a list of these pairs, optional
        The values that are black and of full brightness, of all channels or one pair for each.

        "file": those that the file has for display. "range": 8-bit values are 0..255; 16-bit ones count as 8, 12 or
        16 bits, by the highest value of the picture or stack, unless the file states its bits; floats are 0..1, and
        signed values and other floats go from the smallest to the largest. "percentiles": those of the values, by
        `percentiles`. Default: the file's where it has any, else the range.
    percentiles : (float, float)
        In percent.
    gamma : float
        Below 1 brightens dark values.
    at : mapping of str to int
        Which picture of a stack, by the names of its axes: ``{"z": 3}``; 0 for axes that are left out.

    Raises
    ------
    ImageError
        A gamma that is not above 0, percentiles that are not two numbers from 0 to 100, an index in `at` that is not a
        whole number. Whether a file has such channels, limits and axes is known when it is read.
    UnknownName
        A rule for limits that there is not.

    Examples
    --------
    >>> View(channels=["red cells", None, "nuclei"], limits=(0, 4095)).gamma
    1.0
    """

    channels: Any = None
    limits: Limits = None
    percentiles: tuple[float, float] = (0.1, 99.9)
    gamma: float = 1.0
    at: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (_is_finite(self.gamma) and self.gamma > 0):
            raise ImageError(f"Expected a gamma above 0, got {self.gamma!r}; 1 changes nothing.")
        if not _are_percentiles(self.percentiles):
            raise ImageError(f"Expected percentiles from 0 to 100, the lower first, got {self.percentiles!r}.")
        if not (isinstance(self.at, Mapping) and all(_is_finite(at) and at % 1 == 0 for at in self.at.values())):
            raise ImageError(f"Expected the index of each axis in at=, such as {{'z': 3}}, got {self.at!r}.")
        if isinstance(self.limits, str) and self.limits not in _RULES:
            raise UnknownName("rule for limits", self.limits, _RULES)

    def mapping(self, source: BaseSource, places: Sequence[Mapping[str, int]] = ()) -> PixelMapping:
        """The mapping for a file: one for all pictures of a stack, so that they can be compared.

        Parameters
        ----------
        source : PictureSource
            The open file, of `samnb.images.lazy.open_source`. Its values are read only where the limits depend on them.
        places : sequence of mapping of str to int
            The pictures of the stack whose values count for the limits, each as in `at`; default: the one of `at`. Of
            more than 64 pictures, 64 in equal distances count.

        Returns
        -------
        PixelMapping
            Colour and limits of each shown channel; its `read` gives (H, W, 3) uint8 pixels of the file.

        Raises
        ------
        UnknownName
            The file has no such channel, or there is no such colour. Where values are read, the stack has no such axis
            or index.
        ImageError
            `channels` are none, or more than three in a sequence. `limits` are "file" and the file has none, or not
            two finite, different numbers, or not one pair for each channel.
        ImageUnreadable
            Where values are read: the file is damaged, or a channel has no finite value.

        Examples
        --------
        >>> import pathlib, tempfile, tifffile
        >>> from samnb.images.lazy import open_source
        >>> file = pathlib.Path(tempfile.mkdtemp(), "cells.tif")
        >>> tifffile.imwrite(file, np.full((30, 40), 900, np.uint16))
        >>> with open_source(file) as source:
        ...     mapping = View(limits=(0, 1800)).mapping(source)
        ...     print(mapping, mapping.read(source).max())
        0..1800 (limits: by hand) 128
        """
        about = source.description
        colors = self._colors(about)
        limits, origin = self._limits(source, list(colors), places or [self.at])
        shown = tuple(
            ShownChannel(index, color, *pair) for (index, color), pair in zip(colors.items(), limits, strict=True)
        )
        return PixelMapping(shown, float(self.gamma), origin)

    def _colors(self, about: SourceDescription) -> dict[int, str]:
        """The colour of each shown channel, by its number."""
        if self.channels is None:
            if about.colour == "rgb":
                return dict(enumerate(_RGB))
            shown = [at for at, one in enumerate(about.channels) if one.name != ALPHA] or [0]
            if len(shown) == 1:
                return {shown[0]: "#ffffff"}
            own = {at: about.channels[at].color for at in shown if about.channels[at].color}
            return own or dict(zip(shown, _RGB, strict=False))
        if isinstance(self.channels, str | int | np.integer):
            one = self.channels if isinstance(self.channels, str) else int(self.channels)
            return {self._index(one, about): "#ffffff"}
        if isinstance(self.channels, Mapping) and self.channels:
            return {self._index(name, about): _color(color) for name, color in self.channels.items()}
        wanted = list(self.channels) if isinstance(self.channels, Iterable) else [self.channels]
        if not 1 <= len(wanted) <= 3 or all(one is None for one in wanted):
            raise ImageError(
                f"Expected one to three channels, for red, green and blue, got {wanted}. "
                "More channels are shown by {channel: colour}."
            )
        found: dict[int, str] = {}
        for name, color in zip(wanted, _RGB, strict=False):
            if name is not None:
                index = self._index(name, about)
                found[index] = _added(found[index], color) if index in found else color
        return found

    @staticmethod
    def _index(channel: str | int, about: SourceDescription) -> int:
        names = [one.name for one in about.channels]
        if isinstance(channel, str) and channel in names:
            return names.index(channel)
        if isinstance(channel, int | np.integer) and 0 <= channel < len(names):
            return int(channel)
        known = [name or str(at) for at, name in enumerate(names)]
        raise UnknownName(f"channel of {about.path}:", str(channel), known)

    def _limits(
        self, source: BaseSource, indices: list[int], places: Sequence[Mapping[str, int]]
    ) -> tuple[list[tuple[float, float]], str]:
        about = source.description
        if self.limits is not None and not isinstance(self.limits, str):
            return self._by_hand(len(indices)), "by hand"
        chosen = [about.channels[index] for index in indices]
        of_file = [(c.low, c.high) for c in chosen if c.low is not None and c.high is not None]
        over = about.colour == "white is zero"
        if self.limits in (None, "file") and len(of_file) == len(chosen):
            return _turned_over(of_file, over), "the file"
        if self.limits == "file":
            raise ImageError(f"{about.path}: has no limits for display. Take limits='range', or 'percentiles'.")
        if self.limits == "percentiles":
            found = ranges_of(source, indices, places, self.percentiles)
            origin = f"percentiles {self.percentiles[0]:g} and {self.percentiles[1]:g}"
            pairs = [(one.lower, one.upper) for one in _joined(found, about.colour)]
            return _turned_over([(a, b if b > a else a + 1) for a, b in pairs], over), origin
        dtype = np.dtype(about.dtype)
        if dtype.kind in "ui" and dtype.itemsize == 1 and not about.bits:
            ends = np.iinfo(dtype)
            return _turned_over([(float(ends.min), float(ends.max))] * len(indices), over), "its 8 bits"
        if dtype.kind == "u" and about.bits:
            return _turned_over([(0.0, float((1 << about.bits) - 1))] * len(indices), over), f"its {about.bits} bits"
        found = _joined(ranges_of(source, indices, places), about.colour)
        pairs = [limits_of(one.low, one.high, dtype.kind) for one in found]
        return _turned_over([(a, b if b > a else a + 1) for a, b in pairs], over), "its range"

    def _by_hand(self, count: int) -> list[tuple[float, float]]:
        given: Any = self.limits
        try:
            pairs = [given] * count if np.ndim(given[0]) == 0 else list(given)
            limits = [(float(low), float(high)) for low, high in pairs]
        except (TypeError, ValueError, LookupError, OverflowError) as error:
            raise ImageError(f"Expected limits (low, high), or one pair for each channel, got {given!r}.") from error
        if len(limits) != count:
            raise ImageError(f"Expected limits for {count} channels, got {len(limits)} pairs.")
        if not np.isfinite(limits).all() or any(low == high for low, high in limits):
            raise ImageError(f"Expected two finite, different limits, got {given!r}.")
        return limits


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _are_percentiles(values: Any) -> bool:
    try:
        low, high = values
    except (TypeError, ValueError):
        return False
    return _is_finite(low) and _is_finite(high) and bool(0 <= low < high <= 100)


def _joined(found: list[ValueRange], colour: str) -> list[ValueRange]:
    """Colours have one range, or their hues would change."""
    if colour != "rgb":
        return found
    low, lower = min(one.low for one in found), min(one.lower for one in found)
    high, upper = max(one.high for one in found), max(one.upper for one in found)
    return [ValueRange(low, high, lower, upper)] * len(found)


def _turned_over(limits: Sequence[tuple[float, float]], over: bool) -> list[tuple[float, float]]:
    return [(high, low) if over else (low, high) for low, high in limits]


def _color(name: str) -> str:
    if name in _COLORS:
        return _COLORS[name]
    try:
        return checked_color(name)
    except (ValueError, TypeError) as error:
        raise UnknownName("colour", str(name), [*_COLORS, "#rrggbb"]) from error


def _added(first: str, second: str) -> str:
    return f"#{int(first[1:], 16) | int(second[1:], 16):06x}"
