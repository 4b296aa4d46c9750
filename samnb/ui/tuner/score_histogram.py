"""`Thresholds`: the scores of all found objects, with the two thresholds as handles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets
import numpy as np

from ...cards import count_text
from ..common import style

# The handles are those of a range slider over the bars: they take mouse, touch and arrow keys like every slider.
# A canvas with its own handles would have to implement and label all of that itself.
CSS = """
.samnb .samnb-thresholds { position: relative; padding: 0 8px; overflow: hidden; flex: none; display: block; }
.samnb .samnb-scores { display: block; width: 100%; height: 72px; background: var(--samnb-sunk); }
.samnb .samnb-thresholds .widget-hslider { position: absolute; left: 8px; right: 8px; top: 0; width: auto; height: 72px;
  margin: 0; }
.samnb .samnb-thresholds .slider-container { margin: 0; padding: 0; height: 72px; flex: 1 1 auto; }
.samnb .samnb-thresholds .noUi-target { height: 72px; margin: 0; border: 0; background: none; box-shadow: none; }
.samnb .samnb-thresholds .noUi-base, .samnb .samnb-thresholds .noUi-connects { height: 72px; background: none; }
.samnb .samnb-thresholds .noUi-connect { background: rgba(255, 179, 0, .16); height: 72px; top: 0; }
.samnb .samnb-thresholds .noUi-handle { width: 14px; height: 72px; top: 0; right: -7px; border: 0; border-radius: 3px;
  background: linear-gradient(90deg, transparent 6px, var(--samnb-bad) 6px, var(--samnb-bad) 8px, transparent 8px);
  box-shadow: none; cursor: ew-resize; }
.samnb .samnb-thresholds .noUi-handle-upper { background:
  linear-gradient(90deg, transparent 6px, var(--samnb-text) 6px, var(--samnb-text) 8px, transparent 8px); }
.samnb .samnb-thresholds .noUi-handle::before { content: ""; position: absolute; left: 2px; top: 0; width: 10px;
  height: 14px; border-radius: 3px; background: var(--samnb-bad); display: block; transform: none; }
.samnb .samnb-thresholds .noUi-handle-upper::before { background: var(--samnb-text); top: 58px; }
.samnb .samnb-thresholds .noUi-handle::after { display: none; }
.samnb .samnb-counts { display: flex; flex-flow: row wrap; gap: 0 12px; }
.samnb .samnb-counts span::before { content: ""; display: inline-block; width: 9px; height: 9px; margin-right: 5px;
  border-radius: 2px; background: var(--samnb-accent); }
.samnb .samnb-counts .samnb-unsure::before { background: #ffb300; }
.samnb .samnb-counts .samnb-rejected::before { background: #9e9e9e; }
"""

_BINS = 40


class Thresholds(ipywidgets.VBox):
    """The histogram, its two handles, and the numbers of accepted, uncertain and rejected objects.

    Parameters
    ----------
    on_move : callable
        Called with (min_score, review_score) when the user moved one of them.
    """

    def __init__(self, on_move: Callable[[float, float], None]):
        self._on_move, self._setting = on_move, False
        self._scores: tuple[float, ...] = ()
        self._bars, self._said = style.html(), style.html()
        self._handles = ipywidgets.FloatRangeSlider(
            value=(0, 1), min=0, max=1, step=0.01, readout=False, tooltip="accept from · sure from"
        )
        self._handles.observe(self._moved, "value")
        super().__init__([style.box(self._bars, self._handles, classes=("samnb-thresholds",)), self._said])

    def show(self, scores: Iterable[float], *, min_score: float, review_score: float) -> None:
        """Draw scores, 0 to 1, including rejected ones; the model is not used."""
        self._scores = tuple(scores)
        self._setting = True
        try:
            # The handles cannot pass each other; no object is uncertain if the second threshold is below the first.
            self._handles.value = (min_score, max(min_score, review_score))
        finally:
            self._setting = False
        self._bars.value = drawn(self._scores, min_score=min_score, review_score=review_score)
        accepted, unsure, rejected = counted(self._scores, min_score=min_score, review_score=review_score)
        self._said.value = (
            f'<div class="samnb-counts samnb-number" role="status"><span>{accepted} accepted</span>'
            f'<span class="samnb-unsure">{unsure} to review</span>'
            f'<span class="samnb-rejected">{rejected} rejected</span></div>'
        )

    @property
    def counts(self) -> tuple[int, int, int]:
        """(accepted, to review, rejected), as shown."""
        least, sure = self._handles.value
        return counted(self._scores, min_score=least, review_score=sure)

    def _moved(self, change: Any) -> None:
        if not self._setting:
            self._on_move(*change["new"])


def counted(scores: Iterable[float], *, min_score: float, review_score: float) -> tuple[int, int, int]:
    """(accepted, to review, rejected) of scores.

    Examples
    --------
    >>> counted([0.1, 0.4, 0.6, 0.9], min_score=0.3, review_score=0.5)
    (2, 1, 1)
    """
    values = np.fromiter(scores, float)
    rejected = int((values < min_score).sum())
    unsure = int(((values >= min_score) & (values < review_score)).sum())
    return len(values) - unsure - rejected, unsure, rejected


def drawn(scores: Iterable[float], *, min_score: float, review_score: float) -> str:
    """Bars of the scores in steps of 0.025, as SVG: grey rejected, yellow to review, blue accepted."""
    values = np.clip(np.fromiter(scores, float), 0, 1)
    counts, edges = np.histogram(values, bins=_BINS, range=(0, 1))
    top, bars = max(int(counts.max(initial=0)), 1), []
    for left, count in zip(edges, counts, strict=False):
        middle, height = left + 0.5 / _BINS, 68 * count / top
        color = "#9e9e9e" if middle < min_score else "#ffb300" if middle < review_score else "var(--samnb-accent)"
        if count:
            bars.append(
                f'<rect x="{100 * left + 0.3:.2f}" y="{72 - height:.1f}" width="{100 / _BINS - 0.6:.2f}" '
                f'height="{height:.1f}" style="fill:{color}"/>'
            )
    accepted, unsure, rejected = counted(values, min_score=min_score, review_score=review_score)
    said = f"scores of {count_text(len(values), 'mask')}: {accepted} accepted, {unsure} to review, {rejected} rejected"
    return (
        f'<svg class="samnb-scores" viewBox="0 0 100 72" preserveAspectRatio="none" role="img" aria-label="{said}">'
        f"{''.join(bars)}</svg>"
    )
