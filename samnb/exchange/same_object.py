"""Which annotation of an image is the object that a file has: the same mask, nearly the same, or drawn in its box."""

from __future__ import annotations

from collections.abc import Sequence

from ..masks import decode_rle, mask_iou
from ..masks.geometry import Mask
from ..records import BY_HAND, AnnotationRecord, NewAnnotation

Box = tuple[float, float, float, float]

SAME = 0.9
"""From this IoU on two masks of a category are one object: a conversion to polygons changes an outline."""

_EDITED = 0.5
"""From this IoU on it is one that was changed by hand."""

_ROUNDING = 2
"""Pixels that a box may differ by from file to file."""


def key_of(annotation: NewAnnotation | AnnotationRecord) -> tuple[str, str]:
    """What exactly the same annotations have in common: category and mask."""
    return annotation.category, str(annotation.rle["counts"])


def like(row: NewAnnotation, there: Sequence[AnnotationRecord], *, by_hand: bool) -> AnnotationRecord | None:
    """The annotation that is the same object, up to some pixels; None if there is none."""
    best, nearest = None, 0.0
    mask: Mask | None = None
    for record in there:
        imported = record.source.startswith("import:") or (by_hand and record.source == BY_HAND)
        edited = imported and record.updated_at is not None
        least = _EDITED if edited else SAME
        sizes = sorted((row.area, record.area))
        # The IoU is at most the ratio of the areas, and what the boxes share over the larger area.
        if (record.category != row.category and not edited) or sizes[0] < least * sizes[1]:
            continue
        if _shared(row.bbox, record.bbox) < least * sizes[1]:
            continue
        mask = decode_rle(row.rle) if mask is None else mask
        other = decode_rle(record.rle)
        iou = mask_iou(mask, other) if other.shape == mask.shape else 0.0
        if iou >= least and iou > nearest:
            best, nearest = record, iou
    return best


def of_box(box: Box, category: str, there: Sequence[AnnotationRecord]) -> AnnotationRecord | None:
    """The imported annotation of a box, drawn in it or the rectangle itself; None if there is none.

    One that was changed by hand may have another category. Another file may have another rounding.
    """
    nearest: tuple[float, AnnotationRecord] | None = None
    for record in there:
        edited = record.updated_at is not None
        if not record.source.startswith("import:") or (record.category != category and not edited):
            continue
        x, y, width, height = record.bbox
        known = record.prompt.get("box") or ((x, y, x + width, y + height) if record.area == width * height else None)
        apart = max(abs(one - other) for one, other in zip(box, known, strict=True)) if known else _ROUNDING + 1
        if apart <= _ROUNDING and (nearest is None or apart < nearest[0]):
            nearest = apart, record
    return nearest[1] if nearest else None


def _shared(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes (x, y, width, height) share."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(0, wide) * max(0, high)
