"""`ScaleBar`: a bar on the stage that is as long as its text says, for pictures whose pixel size is known."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING

import ipywidgets

from ...images.lazy.units import length_text

if TYPE_CHECKING:
    from ...images.lazy import PixelSize
    from .viewport import Viewport

_LONGEST = 140.0  # CSS pixels


class ScaleBar(ipywidgets.HTML):
    """Lies over a corner of the stage; hidden where the size of a pixel is not known."""

    def __init__(self) -> None:
        self._size: PixelSize | None = None
        self._text = ""
        super().__init__()
        self.add_class("samnb-scale")

    def show_size(self, size: PixelSize | None, view: Viewport) -> None:
        """The size of the picture's pixels from now on."""
        self._size = size
        self.show_view(view)

    def show_view(self, view: Viewport) -> None:
        """Fit the bar to a view."""
        text = ""
        if self._size is not None:
            um = round_length(_LONGEST / view.scale * self._size.x_um)
            width = um / self._size.x_um * view.scale
            text = f'<div style="width:{width:.1f}px">{length_text(um)}</div>'
        if text != self._text:
            self._text = self.value = text


def round_length(longest: float) -> float:
    """The longest of 1, 2, 5, 10, 20 … that is not above a length.

    >>> round_length(137), round_length(0.3), round_length(5)
    (100.0, 0.2, 5.0)
    """
    power = 10.0 ** floor(log10(longest))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= longest * 1.0000001)
