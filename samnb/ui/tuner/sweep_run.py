"""A sweep of the tuner: on images annotated by hand, and on objects that were marked as good or bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from ...cards import count_text
from ...errors import NothingToMeasure
from ...models import Model
from ...templates import Template
from ...templates.evaluation import LabelledImage, sweep
from ...templates.preview import Sample
from ...templates.report import DetectionCounts, Sweep, SweepRow
from .feedback import Feedback
from .sweep_plot import grid_round


@dataclass(frozen=True, eq=False)
class TunerSweep:
    """The rows of a sweep, and what they were measured on.

    Parameters
    ----------
    result : Sweep
    marks : int
        Marked objects that count in it, on images that are not annotated by hand.
    own : bool
        Nothing but the examples' own images was measured: the figures are too good.
    """

    result: Sweep
    marks: int
    own: bool

    @property
    def said(self) -> str:
        """The summary."""
        rows = f"sweep: {count_text(len(self.result.rows), 'combination')} on "
        if self.own:
            return f"{rows}the examples' own images: F1 –, nothing independent to measure. Mark some objects"
        on = [count_text(self.result.images, "image")] if self.result.images else []
        on += [count_text(self.marks, "mark")] if self.marks else []
        return f"{rows}{' and '.join(on)}, the best F1 {self.result.rows[0].tally.f1:.3f}"


def run_sweep(
    template: Template, known: Sequence[LabelledImage], samples: Sequence[Sample], marks: Feedback, model: Model
) -> TunerSweep:
    """Try values around those of a template; called on a worker's thread.

    Parameters
    ----------
    known : sequence of LabelledImage
        Images annotated by hand; the examples' own ones count only if there is nothing else.
    samples : sequence of Sample
        Images with marks.
    marks : Feedback
        They count on images that are not among `known`.

    Raises
    ------
    NothingToMeasure
        No image is annotated by hand, and nothing is marked.
    """
    examples = {one for each in template.categories for one in each.pixel_hashes}
    others = [one for one in known if one.image.pixel_hash not in examples]
    by_hand = {one.image.id for one in known}
    own_marks = {mark.image_id for mark in marks.all} - by_hand
    marked = [sample for sample in samples if sample.image.id in own_marks]
    if not known and not marked:
        raise NothingToMeasure(f"template {template.name!r}")
    counted = others or ([] if marked else list(known))
    grid = grid_round(template)
    if counted:
        result = sweep(template, grid, counted, model)
    else:
        values = (dict(zip(grid, map(float, each), strict=True)) for each in product(*grid.values()))
        rows = tuple(SweepRow(parameters, DetectionCounts()) for parameters in values)
        result = Sweep(f"{template.name} v{template.version}", rows, 0)
    if marked:
        rows = tuple(
            SweepRow(row.parameters, row.tally + marks.counts(template.with_parameters(**row.parameters), marked))
            for row in result.rows
        )
        ranked = sorted(rows, key=lambda row: (-row.tally.f1, -row.tally.mean_iou))
        result = Sweep(result.template, tuple(ranked), result.images)
    count = sum(mark.image_id in own_marks for mark in marks.all)
    return TunerSweep(result, count, own=not others and not marked)
