"""A sweep in the tuner: the tried values, its rows as text, its plot. No session, no widgets."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ...cards import count_text
from ...masks import CATEGORY_COLORS
from ...templates import Template
from ...templates.report import Sweep, SweepRow

CSS = """
.samnb .samnb-plot { display: block; width: 100%; height: auto; }
.samnb .samnb-plot text { font-size: 9px; fill: var(--samnb-dim); }
.samnb .samnb-plot .samnb-axis { stroke: var(--samnb-line); stroke-width: 1; }
.samnb .samnb-legend { display: flex; flex-flow: row wrap; gap: 0 10px; font-size: 11px; line-height: 16px; }
"""

WIDTH, HEIGHT = 300, 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 8, 8, 18

_SHORT = {"min_score": "score", "max_overlap": "overlap", "max_area_ratio": "area"}


def grid_round(template: Template) -> dict[str, Sequence[float]]:
    """A few values around those of a template."""
    limits = template.parameters
    steps = [min(max(round(limits["min_score"] + by, 2), 0.0), 1.0) for by in (-0.1, 0.0, 0.1)]
    overlaps = sorted({0.3, limits["max_overlap"], 0.7})[:3]
    ratios = sorted({2.0, limits["max_area_ratio"]})
    if template.strategy in ("fixed", "phrase"):
        return {"min_score": sorted(set(steps)), "max_overlap": overlaps}
    return {"min_score": sorted(set(steps)), "max_overlap": overlaps, "max_area_ratio": ratios}


def head_text(row: SweepRow) -> str:
    """The columns of the table: F1, precision, recall, and the parameters."""
    return "   F1 prec  rec" + "".join(f"{_SHORT.get(name, name):>8}" for name in row.parameters)


def row_text(row: SweepRow) -> str:
    """One row of the table.

    Examples
    --------
    >>> from samnb.templates.report import SweepRow, DetectionCounts
    >>> row = SweepRow({"min_score": 0.3, "max_overlap": 0.5}, DetectionCounts(wanted=4, kept=4, found=3, iou_sum=2.4))
    >>> print(head_text(row), row_text(row), sep="\\n")
       F1 prec  rec   score overlap
    0.750 0.75 0.75     0.3     0.5
    """
    tally, values = row.tally, "".join(f"{value:>8g}" for value in row.parameters.values())
    return f"{tally.f1:.3f} {tally.precision:.2f} {tally.recall:.2f}{values}"


def _said(row: SweepRow) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in row.parameters.items())
    return f"F1 {row.tally.f1:.3f}: {values}"


def plot(sweep: Sweep, chosen: int = -1) -> str:
    """F1 over the first parameter, one line for each combination of the others, as SVG.

    Parameters
    ----------
    sweep : Sweep
    chosen : int
        The row that the sliders show, ringed; -1: none.
    """
    first, *others = sweep.rows[0].parameters
    lines: dict[tuple[float, ...], list[tuple[float, float, int]]] = {}
    for number, row in enumerate(sweep.rows):
        key = tuple(row.parameters[name] for name in others)
        lines.setdefault(key, []).append((row.parameters[first], row.tally.f1, number))
    xs = sorted({row.parameters[first] for row in sweep.rows})
    low = min(row.tally.f1 for row in sweep.rows)
    low, high = max(0.0, low - 0.05), min(1.0, max(row.tally.f1 for row in sweep.rows) + 0.02)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - xs[0]) / (xs[-1] - xs[0]) if xs[-1] > xs[0] else 0.5
        up = (y - low) / (high - low) if high > low else 1.0
        return _LEFT + 8 + across * (WIDTH - _LEFT - _RIGHT - 16), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<line class="samnb-axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{_LEFT - 4}" y="{at + 3:.1f}" text-anchor="end">{value:.2f}</text>'
        for value in (low, (low + high) / 2, high)
        for at in (place(xs[0], value)[1],)
    ]
    parts += [f'<text x="{place(x, 0)[0]:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{x:g}</text>' for x in xs]
    legend = []
    for number, key in enumerate(sorted(lines)):
        color = CATEGORY_COLORS[number % len(CATEGORY_COLORS)]
        points = sorted(lines[key])
        drawn = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y, _ in points)
        dots = "".join(
            f'<circle cx="{across:.1f}" cy="{down:.1f}" r="2.5" fill="{color}">'
            f"<title>{escape(_said(sweep.rows[at]))}</title></circle>"
            for x, y, at in points
            for across, down in (place(x, y),)
        )
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{color}" stroke-width="1.5"/>{dots}')
        named = ", ".join(f"{_SHORT.get(name, name)} {value:g}" for name, value in zip(others, key, strict=True))
        legend.append(f'<span><span style="color:{color}">●</span> {escape(named)}</span>' if named else "")
    if 0 <= chosen < len(sweep.rows):
        row = sweep.rows[chosen]
        x, y = place(row.parameters[first], row.tally.f1)
        parts.append(
            f'<circle class="samnb-ring-on" cx="{x:.1f}" cy="{y:.1f}" r="5.5" fill="none" stroke="currentColor" '
            'stroke-width="1.5"/>'
        )
    said = f"F1 over {first}, {count_text(len(lines), 'line')}; the best is {_said(sweep.rows[0])}"
    return (
        f'<svg class="samnb-plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said, quote=True)}">'
        f'{"".join(parts)}</svg><div class="samnb-legend samnb-dim">F1 over {escape(first)}: {"".join(legend)}</div>'
    )
