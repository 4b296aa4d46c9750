"""Which proposals are still worth offering: those that no annotation covers yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..masks import decode_rle
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
    masks: dict[int, NDArray[np.bool_]] = {}

    def mask_of(annotation: AnnotationRecord) -> NDArray[np.bool_]:
        if annotation.id not in masks:
            masks[annotation.id] = decode_rle(annotation.rle)
        return masks[annotation.id]

    def covers(annotation: AnnotationRecord, proposal: ProposalRecord) -> bool:
        if annotation.rle["size"] != proposal.rle["size"] or not _may_cover(annotation, proposal):
            return False
        x, y, width, height = (int(value) for value in proposal.bbox)
        part = (slice(y, y + height), slice(x, x + width))
        common = np.count_nonzero(mask_of(annotation)[part] & decode_rle(proposal.rle)[part])
        return bool(common > COVERED * (annotation.area + proposal.area - common))

    return [one for one in proposals if not any(covers(annotation, one) for annotation in annotations)]


def _may_cover(annotation: AnnotationRecord, proposal: ProposalRecord) -> bool:
    """Whether areas and boxes leave that open: masks are decoded for few."""
    smaller, larger = sorted((annotation.area, proposal.area))
    return smaller > COVERED * larger and _common(annotation.bbox, proposal.bbox) > COVERED * smaller


def _common(one: Box, other: Box) -> float:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
