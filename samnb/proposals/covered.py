"""Which proposals are still worth offering: those that no annotation covers yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..masks.rle import common_area
from ..records import AnnotationRecord, ProposalRecord

COVERED = 0.5
"""IoU with an annotation from which a proposal shows the same object. A part of an annotated whole is offered."""

Box = tuple[float, float, float, float]


def uncovered(proposals: Iterable[ProposalRecord], annotations: Sequence[AnnotationRecord]) -> list[ProposalRecord]:
    """The proposals that show no annotated object.

    Parameters
    ----------
    proposals, annotations
        Of one image. An annotation of another size belongs to an earlier picture, and covers nothing.
    """

    def covers(annotation: AnnotationRecord, proposal: ProposalRecord) -> bool:
        if annotation.rle["size"] != proposal.rle["size"] or not _may_cover(annotation, proposal):
            return False
        common = common_area(annotation.rle, proposal.rle)
        return common > COVERED * (annotation.area + proposal.area - common)

    return [one for one in proposals if not any(covers(annotation, one) for annotation in annotations)]


def _may_cover(annotation: AnnotationRecord, proposal: ProposalRecord) -> bool:
    """Whether areas and boxes leave that open: runs are compared for few."""
    smaller, larger = sorted((annotation.area, proposal.area))
    return smaller > COVERED * larger and _common(annotation.bbox, proposal.bbox) > COVERED * smaller


def _common(one: Box, other: Box) -> float:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
