"""`ModelReport`: the result of an evaluation, as text, as a card, as JSON and as a table of all cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..cards import card, count_text, html_table, more_text
from ..records import Failure
from .metrics import CaseResult, Metrics, summarise

if TYPE_CHECKING:
    import pandas


_LINES = (
    ("1 click", "iou_1", ".3f"),
    ("1 click, best of all", "iou_1_best", ".3f"),
    ("3 clicks", "iou_3", ".3f"),
    ("5 clicks", "iou_5", ".3f"),
    ("clicks to 0.85", "noc_85", ".2f"),
    ("clicks to 0.90", "noc_90", ".2f"),
)
_SHORT = (("1 click", "iou_1"), ("best", "iou_1_best"), ("3", "iou_3"), ("5", "iou_5"))


@dataclass(frozen=True)
class ModelReport:
    """The result of an evaluation; made by `samnb.evaluation.evaluate.evaluate` and `Session.evaluate_model`.

    Parameters
    ----------
    model, fingerprint, device : str
        Of the model.
    max_clicks : int
        The cap for a case that never reached the IoU.
    multimask : bool
        Whether refining clicks decoded three candidates.
    seed : int
        Of the intervals.
    overall : Metrics
        Over all cases.
    groups : mapping of str to Metrics
        For each group alone; empty when there is only one.
    cases : tuple of CaseResult
        One for each case, in order.
    encode_ms, decode_ms : float or None
        Median milliseconds per image and per click; None if everything came from the cache.
    failed : tuple of Failure
        Cases that could not be read or decoded, and why.
    baselines : tuple of ModelReport
        Other methods under the same clicks.
    notes : tuple of str
        Caveats about the metrics.
    """

    model: str
    fingerprint: str
    device: str
    max_clicks: int
    multimask: bool
    seed: int
    overall: Metrics
    groups: Mapping[str, Metrics]
    cases: tuple[CaseResult, ...] = field(repr=False)
    encode_ms: float | None = None
    decode_ms: float | None = None
    failed: tuple[Failure, ...] = ()
    baselines: tuple[ModelReport, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, cases: Sequence[CaseResult], *, seed: int = 0, **about: Any) -> ModelReport:
        """The report of some cases, in all and per group; `about` are the other fields."""
        names = list(dict.fromkeys(case.group for case in cases))
        groups = {name: summarise([c for c in cases if c.group == name], seed=seed) for name in names}
        return cls(
            **about,
            seed=seed,
            overall=summarise(cases, seed=seed),
            groups=groups if len(groups) > 1 else {},
            cases=tuple(cases),
        )

    def with_baselines(self, baselines: Sequence[ModelReport]) -> ModelReport:
        """The same report with those of baselines."""
        return replace(self, baselines=tuple(baselines))

    def with_notes(self, *notes: str) -> ModelReport:
        """The same report with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def worst(self, count: int = 5, *, clicks: int = 1) -> list[CaseResult]:
        """The cases with the lowest IoU after that number of clicks, the worst first."""
        return sorted(self.cases, key=lambda case: case.ious[min(clicks, len(case.ious)) - 1])[:count]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown values are None."""
        plain = ("model", "fingerprint", "device", "max_clicks", "multimask", "seed", "encode_ms", "decode_ms")
        return {
            **{name: getattr(self, name) for name in plain},
            "overall": self.overall.as_dict(),
            "groups": {name: metrics.as_dict() for name, metrics in self.groups.items()},
            "cases": [case.as_dict() for case in self.cases],
            "failed": [asdict(failure) for failure in self.failed],
            "notes": list(self.notes),
            "baselines": [other.as_dict() for other in self.baselines],
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per case, those of the baselines below; needs pandas."""
        import pandas

        reports = (self, *self.baselines)
        return pandas.DataFrame([{"model": r.model, **case.as_dict()} for r in reports for case in r.cases])

    def __str__(self) -> str:
        blocks = [self._title, _aligned(self._main_table())]
        if self.groups:
            blocks.append(_aligned(self._group_table()))
        if self.cases:
            blocks.append("worst at one click\n" + _aligned(self._worst_table()))
        lines = [f"note: {note}" for note in self.notes]
        lines += [f"⚠ {failure}" for failure in self._all_failed[:20]]
        lines += filter(None, [more_text(len(self._all_failed), 20, "in .failed")])
        return "\n\n".join([*blocks, *(["\n".join(lines)] if lines else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = [_html_table(self._main_table())]
        if self.groups:
            tables.append(_html_table(self._group_table()))
        if self.cases:
            tables.append("<div style='margin-top:8px;opacity:.65'>worst at one click</div>")
            tables.append(_html_table(self._worst_table()))
        rows = {"cases": self._title.partition(" · ")[2]}
        if self.notes:
            rows["note"] = " · ".join(self.notes)
        if self._all_failed:
            rows["failed"] = " · ".join(str(failure) for failure in self._all_failed[:5])
        return card(f"samnb · {self.model} measured", rows) + "".join(tables)

    @property
    def _title(self) -> str:
        images = len({case.image for case in self.cases})
        counts = f"{count_text(self.overall.cases, 'case')} on {count_text(images, 'image')}"
        refused = f" · {len(self._all_failed)} failed" if self._all_failed else ""
        return f"{self.model} on {self.device} · {counts} · at most {count_text(self.max_clicks, 'click')}{refused}"

    @property
    def _all_failed(self) -> tuple[Failure, ...]:
        return (*self.failed, *(failure for other in self.baselines for failure in other.failed))

    def _main_table(self) -> list[list[str]]:
        reports = (self, *self.baselines)
        rows = [["mean IoU (95 %) after", *(report.model for report in reports)]]
        for label, name, form in _LINES:
            rows.append([label, *(self._cell(report, name, form) for report in reports)])
        never = [f"{r.overall.nof_85} and {r.overall.nof_90} of {r.overall.cases}" for r in reports]
        rows.append(["never in the cap", *never])
        if any(report.max_clicks != self.max_clicks for report in reports):
            rows.append(["clicks at most", *(str(report.max_clicks) for report in reports)])
        rows.append(["score error", *(_number(report.overall.score_error, ".3f") for report in reports)])
        rows.append(["score correlation", *(_number(report.overall.score_correlation, ".2f") for report in reports)])
        rows.append(["score gap", *(_number(report.overall.score_gap, ".3f") for report in reports)])
        rows.append(["ms to encode", *(_number(report.encode_ms, ".0f") for report in reports)])
        rows.append(["ms a click", *(_number(report.decode_ms, ".0f") for report in reports)])
        return rows

    def _cell(self, report: ModelReport, name: str, form: str) -> str:
        never = {"noc_85": report.overall.nof_85, "noc_90": report.overall.nof_90}.get(name)
        if never and report.max_clicks < self.max_clicks:
            # With the same cap as the model it would have been more.
            return "≥ " + _number(getattr(report.overall, name), form)
        return _with_interval(report.overall, name, form)

    def _group_table(self) -> list[list[str]]:
        heads = ["group", "cases", *(label for label, _ in _SHORT), "to 0.85", "to 0.90", "score gap"]
        heads += [f"{other.model}, 1 / 5" for other in self.baselines]
        rows = [heads]
        for name, metrics in self.groups.items():
            row = [name or "–", str(metrics.cases), *(_number(getattr(metrics, key), ".3f") for _, key in _SHORT)]
            row += [_number(metrics.noc_85, ".2f"), _number(metrics.noc_90, ".2f"), _number(metrics.score_gap, ".3f")]
            rows.append(row + [_one_and_five(other.groups.get(name)) for other in self.baselines])
        return rows

    def _worst_table(self) -> list[list[str]]:
        rows = [["image", "category", "area", "1 click", "best", "last"]]
        for case in self.worst():
            ious = (case.ious[0], max(case.candidate_ious), case.ious[-1])
            rows.append([case.image, case.category or "–", str(case.area), *(f"{iou:.3f}" for iou in ious)])
        return rows


def _with_interval(metrics: Metrics, name: str, form: str) -> str:
    text = _number(getattr(metrics, name), form)
    if name not in metrics.intervals:
        return text
    low, high = metrics.intervals[name]
    return f"{text} ({low:.2f}–{high:.2f})"


def _one_and_five(metrics: Metrics | None) -> str:
    return "–" if metrics is None else f"{_number(metrics.iou_1, '.2f')} / {_number(metrics.iou_5, '.2f')}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None or value != value else format(value, form)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
    return "\n".join("  " + line.rstrip() for line in lines)


def _html_table(rows: Sequence[Sequence[str]]) -> str:
    return html_table(rows[0], rows[1:], style="text-align:right")
