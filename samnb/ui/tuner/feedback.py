"""`Feedback`: marks of found objects in the tuner as good or bad, their precision, and their use as examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...masks import mask_iou
from ...templates import Template
from ...templates.match import Match
from ...templates.preview import Preview, Sample
from ...templates.report import DetectionCounts

SAME = 0.5
"""The IoU from which a mask is the marked object; parameters change outlines a little."""


@dataclass(frozen=True, eq=False)
class Mark:
    """One object of one image, and whether it is right.

    Parameters
    ----------
    image_id : str
    match : Match
        The match at the time it was marked.
    good : bool
    """

    image_id: str
    match: Match
    good: bool

    def is_of(self, preview: Preview, match: Match) -> bool:
        """Whether that match is this object."""
        same = preview.image.id == self.image_id and match.category == self.match.category
        return same and mask_iou(self.match.mask, match.mask) >= SAME


class Feedback:
    """All marks of a tuner; they stay when parameters change.

    Examples
    --------
    >>> Feedback().said([])
    ''
    """

    def __init__(self) -> None:
        self.all: list[Mark] = []

    def set(self, preview: Preview, match: Match, good: bool | None) -> None:
        """Mark an object as good or bad; None removes its mark."""
        self.all = [mark for mark in self.all if not mark.is_of(preview, match)]
        if good is not None:
            self.all.append(Mark(preview.image.id, match, good))

    def of(self, preview: Preview) -> dict[int, bool]:
        """The marks of the matches of a preview."""
        own = [mark for mark in self.all if mark.image_id == preview.image.id]
        found = ((n, mark) for n, match in enumerate(preview.matches) for mark in own if mark.is_of(preview, match))
        return {number: mark.good for number, mark in found}

    def at(self, preview: Preview, x: float, y: float) -> Match | None:
        """The smallest match at a point, 0 to 1 of the picture."""
        height, width = preview.pixels.shape[:2]
        row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
        there = [match for match in preview.matches if match.mask[row, column]]
        return min(there, key=lambda match: int(match.mask.sum()), default=None)

    def said(self, previews: Iterable[Preview]) -> str:
        """The precision of marked objects that are found, and the good ones that are no longer found."""
        if not self.all:
            return ""
        found = [good for preview in previews for good in self.of(preview).values()]
        right, missed = sum(found), sum(mark.good for mark in self.all) - sum(found)
        parts = [f"precision {right / len(found):.2f} ({right} of {len(found)} marked)"] if found else []
        if missed > 0:
            parts.append(f"{missed} marked good, not found now")
        if gone := sum(not mark.good for mark in self.all) - (len(found) - right):
            parts.append(f"{gone} bad gone")
        return "by your marks: " + " · ".join(parts)

    def counts(self, template: Template, samples: Iterable[Sample]) -> DetectionCounts:
        """What a template finds of the marked objects on these images: good ones are wanted, bad ones are wrong."""
        total = DetectionCounts()
        for sample in samples:
            own = [mark for mark in self.all if mark.image_id == sample.image.id]
            preview = sample.search(template)
            best = [
                (mark.good, max(mask_iou(mark.match.mask, m.mask) for m in preview.matches if mark.is_of(preview, m)))
                for mark in own
                if any(mark.is_of(preview, match) for match in preview.matches)
            ]
            found = [iou for good, iou in best if good]
            total += DetectionCounts(sum(mark.good for mark in own), len(best), len(found), sum(found))
        return total

    def applied(self, template: Template, samples: Sequence[Sample]) -> Template:
        """The template with the good ones as further examples and the bad ones as background examples.

        With strategy "phrase": as positive and negative exemplars.
        """
        if not self.all:
            return template
        by_image = {sample.image.id: sample for sample in samples}
        categories = []
        for each in template.categories:
            own = [m for m in self.all if m.match.category == each.category and m.image_id in by_image]
            if template.strategy == "phrase":
                new = tuple(
                    sample.exemplars_of(marked)
                    for name, sample in by_image.items()
                    if (marked := [(m.match, m.good) for m in own if m.image_id == name])
                )
                categories.append(replace(each, exemplars=each.exemplars + new) if new else each)
                continue
            place = any(example.place is not None for example in each.examples)
            good = tuple(by_image[m.image_id].example_of(m.match, place=place) for m in own if m.good)
            bad: tuple[NDArray[np.float32], ...] = tuple(
                by_image[m.image_id].prototype_of(m.match.mask) for m in own if not m.good
            )
            changed = replace(each, examples=each.examples + good, background=each.background + bad)
            categories.append(changed if good or bad else each)
        return replace(template, categories=tuple(categories))
