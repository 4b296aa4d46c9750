"""`AnnotationSet`: the annotations of the image shown, and which of them is selected. No widgets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from typing import TYPE_CHECKING

from ...errors import UnknownName
from ...records import REJECTED

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from .history import Change


SAME = 0.95
"""IoU from which on two masks are taken for two of one object."""

# Of boxes of two such masks: the distance of their left and right edges together, as a share of the width, of which
# some pixels are of no account.
_BOX_SLACK, _SMALL = 0.2, 20


class AnnotationSet:
    """Annotations by id, and the selected one.

    Attributes
    ----------
    hidden : frozenset of str
        Categories that are not drawn: no place finds their annotations.
    version : int
        Counts the changes made by this annotator, so that an older reading of the session is recognised.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, Annotation] = {}
        self._selection: tuple[int, ...] = ()
        self.hidden: frozenset[str] = frozenset()
        self.version = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Annotation]:
        return iter(self._by_id.values())

    def __contains__(self, annotation_id: object) -> bool:
        return annotation_id in self._by_id

    @property
    def in_drawing_order(self) -> list[Annotation]:
        """All annotations from the lowest to the topmost: by layer, then by id."""
        return sorted(self._by_id.values(), key=lambda a: (a.layer, a.id))

    @property
    def selected(self) -> int | None:
        """The id of the annotation selected last; None: none is selected, or all are gone."""
        return self.selection[-1] if self.selection else None

    @selected.setter
    def selected(self, annotation_id: int | None) -> None:
        self._selection = () if annotation_id is None else (annotation_id,)

    @property
    def selection(self) -> tuple[int, ...]:
        """The ids of all selected annotations, in the order they were selected."""
        return tuple(each for each in self._selection if each in self._by_id)

    def select_only(self, annotation_ids: Iterable[int]) -> None:
        """Select these, and no others."""
        self._selection = tuple(annotation_ids)

    def select_more(self, annotation_id: int) -> None:
        """Select one more, or let go of one that is selected."""
        others = tuple(each for each in self.selection if each != annotation_id)
        self._selection = others if annotation_id in self.selection else (*others, annotation_id)

    def replace(self, annotations: Iterable[Annotation]) -> None:
        """All annotations as they are in the session now."""
        self._by_id = {annotation.id: annotation for annotation in sorted(annotations, key=lambda a: a.id)}

    def same(self, annotations: Iterable[Annotation]) -> bool:
        """Whether these are the annotations that are here, unchanged."""
        # Not by `updated_at`, which is that of the object: its category may have been renamed meanwhile.
        return {one.id: one.record for one in annotations} == {one.id: one.record for one in self}

    def apply(self, changes: Iterable[Change]) -> None:
        """Changes that were made in the session."""
        self.version += 1
        for change in changes:
            if change.after is None or change.after.review == REJECTED:
                self._by_id.pop((change.after or change.before).id, None)
            else:
                # A copy, since the steps of undo have this one: what is decoded here is not kept there.
                self._by_id[change.after.id] = copy(change.after)
        # One that comes back has its old place.
        self._by_id = dict(sorted(self._by_id.items()))

    def get(self, annotation_id: int | None) -> Annotation | None:
        """An annotation by its id; None if there is none."""
        return None if annotation_id is None else self._by_id.get(annotation_id)

    def find(self, annotation_id: int) -> Annotation:
        """An annotation by its id. Raises `UnknownName` if this image has none of that id."""
        if annotation_id not in self._by_id:
            raise UnknownName("annotation", annotation_id, [str(each) for each in self._by_id])
        return self._by_id[annotation_id]

    def topmost(self, x: float, y: float) -> Annotation | None:
        """The topmost annotation at a place, image pixels."""
        return next(self._at(x, y), None)

    def below_selected(self, x: float, y: float) -> Annotation | None:
        """The annotation at a place under the selected one, or the topmost if that is not there or is the lowest."""
        there = list(self._at(x, y))
        ids = [annotation.id for annotation in there]
        place = ids.index(self.selected) + 1 if self.selected in ids else 0
        return there[place % len(there)] if there else None

    def nearly_same(self, annotation_id: int) -> tuple[Annotation, float] | None:
        """Another annotation whose mask has at least `SAME` in common with this one, and its IoU; None: there is none.

        Masks are decoded only where areas and boxes agree: of two thousand annotations, few or none.
        """
        this = self.find(annotation_id)
        (x, y, width, height), area = this.bbox, this.area
        for other in self:
            left, top, across, down = other.bbox
            if abs(left - x) + abs(left + across - x - width) > _BOX_SLACK * max(width, _SMALL):
                continue
            if abs(top - y) + abs(top + down - y - height) > _BOX_SLACK * max(height, _SMALL):
                continue
            if other.id == this.id or not SAME * area <= other.area <= area / SAME:
                continue
            if other.part.size_hw == this.part.size_hw and (iou := this.part.iou(other.part)) >= SAME:
                return other, iou
        return None

    def _at(self, x: float, y: float) -> Iterator[Annotation]:
        for annotation in reversed(self.in_drawing_order):
            if annotation.category in self.hidden:
                continue
            left, top, width, height = annotation.bbox
            if left <= x < left + width and top <= y < top + height and annotation.part.holds(x, y):
                yield annotation
