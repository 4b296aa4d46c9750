"""The parts beside the canvas: header and candidates. They know no session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ipywidgets
from numpy.typing import NDArray

from ..common import style
from ..common.thumbnails import BLANK

_NUMERALS = "①②③④⑤⑥⑦⑧⑨"


@dataclass(frozen=True)
class Counts:
    """The numbers of the header."""

    position: int
    images: int
    annotated: int
    cached: int
    done: int = 0
    empty: int = 0
    skip: int = 0


def header(session_name: str, dataset: str, filename: str, counts: Counts) -> str:
    """The header as HTML: session, dataset and image on the left, counts on the right."""
    left = style.span(session_name, "strong")
    if dataset:
        left += style.span(f" · {dataset}", "dim")
    if filename:
        left += style.span(f" · {filename}", "dim")
    states = {"done": counts.done, "empty": counts.empty, "skip": counts.skip}
    known = "".join(f" · {count} {name}" for name, count in states.items() if count)
    right = f"{counts.position} / {counts.images} · {counts.annotated} annotated{known} · ⚡ {counts.cached} cached"
    return f'<div class="samnb-spread"><span class="samnb-clip">{left}</span>{style.span(right, "number")}</div>'


class Candidates(ipywidgets.Box):
    """The candidate masks of a prediction as toggles with thumbnails: ① 0.94 ② 0.81 ③ 0.40."""

    def __init__(self, on_choose: Callable[[int], None]):
        self._on_choose = on_choose
        self._buttons: list[ipywidgets.Button] = []
        self._images: list[ipywidgets.Image] = []
        self._cells: list[ipywidgets.Box] = []
        super().__init__()
        self.add_class("samnb-candidates")
        self.show((), 0)

    def show(self, scores: Sequence[float] | NDArray[Any], chosen: int, thumbnails: Sequence[bytes] = ()) -> None:
        """One toggle per score; three disabled ones while there is no prediction.

        Parameters
        ----------
        thumbnails : sequence of bytes
            A PNG for each score; without them the places stay empty.
        """
        texts = [f"{_NUMERALS[i]} {float(s):.2f}" for i, s in enumerate(scores[:9])]
        for i, text in enumerate(texts or [f"{numeral} –" for numeral in _NUMERALS[:3]]):
            self._grow(i)
            toggle = self._buttons[i]
            toggle.description, toggle.disabled = text, not texts
            state = ", chosen" if texts and i == chosen else ""
            toggle.tooltip = f"Mask {i + 1} (Alt {i + 1}){state}"
            style.set_class(toggle, "samnb-chosen", bool(texts) and i == chosen)
            picture = thumbnails[i] if texts and i < len(thumbnails) else BLANK
            if self._images[i].value != picture:
                self._images[i].value = picture
        style.set_children(self, tuple(self._cells[: len(texts) or 3]))

    def _grow(self, index: int) -> None:
        while len(self._cells) <= index:
            number = len(self._cells)
            toggle = style.tool("", partial(self._on_choose, number), "")
            image = ipywidgets.Image(value=BLANK, format="png", layout=ipywidgets.Layout(width="100%"))
            # The button above describes it.
            image.add_class("samnb-thumbnail")
            self._buttons.append(toggle)
            self._images.append(image)
            self._cells.append(style.box(image, toggle, classes=("samnb-cell",)))
