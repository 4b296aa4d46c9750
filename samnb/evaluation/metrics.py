"""The metrics of an evaluation: the result of one case, and the means of many with their uncertainty.

Names used in tables and JSON files:

- `iou_1`: mean IoU after one click, of the mask the model itself scores highest;
- `iou_1_best`: the same if the best of the candidates was chosen;
- `iou_3`, `iou_5`: mean IoU after three and five clicks;
- `noc_85`, `noc_90` (number of clicks): mean count until the IoU first reached 0.85 and 0.90, where a case that never
  did counts as the cap;
- `nof_85`, `nof_90` (number of failures): how many cases never did;
- `score_error`: mean distance of score and IoU, over all candidates of the first click;
- `score_correlation`: Pearson's, over the same;
- `score_gap`: `iou_1_best` minus `iou_1`, the loss from choosing by score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
"""The number of bootstrap samples for an interval."""

_MEANS = ("iou_1", "iou_1_best", "iou_3", "iou_5", "noc_85", "noc_90", "score_error", "score_gap")


@dataclass(frozen=True)
class CaseResult:
    """The result of one case.

    Parameters
    ----------
    image, category, group : str
        Of the case.
    area : int
        Of its mask, in pixels.
    ious : tuple of float
        IoU of the shown mask after each click. Shorter than the cap if further clicks could not change a metric.
    candidate_ious, candidate_scores : tuple of float
        Of all masks offered after the first click; scores are NaN for a method that gives none.
    max_clicks : int
        The maximum number of clicks.
    """

    image: str
    category: str
    group: str
    area: int
    ious: tuple[float, ...]
    candidate_ious: tuple[float, ...]
    candidate_scores: tuple[float, ...]
    max_clicks: int

    def after(self, clicks: int) -> float:
        """IoU after that number of clicks; NaN beyond the cap. After an early stop nothing was left to correct."""
        return float("nan") if clicks > self.max_clicks else self.ious[min(clicks, len(self.ious)) - 1]

    def clicks_to(self, iou: float) -> int | None:
        """The number of clicks to first reach that IoU; None if it never did."""
        return next((number for number, value in enumerate(self.ious, 1) if value >= iou), None)

    @property
    def values(self) -> dict[str, float]:
        """This case's value for every mean, by the names above."""
        scores, ious = np.array(self.candidate_scores), np.array(self.candidate_ious)
        best = max(self.candidate_ious)
        return {
            "iou_1": self.ious[0],
            "iou_1_best": best,
            "iou_3": self.after(3),
            "iou_5": self.after(5),
            "noc_85": float(self.clicks_to(0.85) or self.max_clicks),
            "noc_90": float(self.clicks_to(0.90) or self.max_clicks),
            "score_error": float(np.abs(scores - ious).mean()),
            "score_gap": best - self.ious[0],
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and tables; NaN becomes None."""
        found = {"image": self.image, "category": self.category, "group": self.group, "area": self.area}
        reached = {"noc_85": self.clicks_to(0.85), "noc_90": self.clicks_to(0.90)}
        return found | {name: _plain(v) for name, v in self.values.items()} | reached | {"ious": list(self.ious)}


@dataclass(frozen=True)
class Metrics:
    """Means over some cases; the top of this file explains the names. NaN: unknown.

    Parameters
    ----------
    cases : int
        How many.
    intervals : mapping of str to (low, high)
        95 % bootstrap intervals of the means, cases drawn with replacement. Cases of one picture are similar, so
        with few pictures the real uncertainty is larger.
    """

    cases: int
    iou_1: float
    iou_1_best: float
    iou_3: float
    iou_5: float
    noc_85: float
    noc_90: float
    nof_85: int
    nof_90: int
    score_error: float
    score_correlation: float
    score_gap: float
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; NaN becomes None."""
        names = ("cases", *_MEANS, "nof_85", "nof_90", "score_correlation")
        intervals = {name: [_plain(v) for v in pair] for name, pair in self.intervals.items()}
        return {name: _plain(getattr(self, name)) for name in names} | {"intervals": intervals}


def summarise(rows: Sequence[CaseResult], *, seed: int = 0) -> Metrics:
    """The means of some cases and their intervals; the same rows and seed give the same result.

    Examples
    --------
    >>> rows = [CaseResult("a.png", "coin", "", 9, (iou,), (iou,), (0.9,), 1) for iou in (0.4, 0.8)]
    >>> metrics = summarise(rows)
    >>> round(metrics.iou_1, 3), metrics.intervals["iou_1"], metrics.nof_85
    (0.6, (0.4, 0.8), 2)
    """
    table = np.array([[row.values[name] for name in _MEANS] for row in rows], float).reshape(len(rows), len(_MEANS))
    means = table.mean(axis=0) if len(rows) else np.full(len(_MEANS), np.nan)
    scores = np.array([score for row in rows for score in row.candidate_scores], float)
    ious = np.array([iou for row in rows for iou in row.candidate_ious], float)
    return Metrics(
        cases=len(rows),
        **dict(zip(_MEANS, means.tolist(), strict=True)),
        nof_85=sum(row.clicks_to(0.85) is None for row in rows),
        nof_90=sum(row.clicks_to(0.90) is None for row in rows),
        score_correlation=_correlation(scores, ious),
        intervals=_intervals(table, seed) if len(rows) else {},
    )


def _correlation(scores: NDArray[np.float64], ious: NDArray[np.float64]) -> float:
    if len(scores) < 2 or not np.isfinite(scores).all() or np.ptp(scores) == 0 or np.ptp(ious) == 0:
        return float("nan")
    return float(np.corrcoef(scores, ious)[0, 1])


def _intervals(table: NDArray[np.float64], seed: int) -> dict[str, tuple[float, float]]:
    """Percentiles 2.5 and 97.5 of each column's mean over cases drawn with replacement."""
    rng, count = np.random.default_rng(seed), len(table)
    means = []
    for size in [100] * (RESAMPLES // 100):  # in portions, because the counts per case are a large table
        means.append(rng.multinomial(count, np.full(count, 1 / count), size=size) @ table / count)
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5), axis=0)
    return {
        name: (float(a), float(b)) for name, a, b in zip(_MEANS, low.round(12), high.round(12), strict=True) if a == a
    }


def _plain(value: float) -> float | int | None:
    if isinstance(value, int):
        return value
    return None if value != value else float(value)
