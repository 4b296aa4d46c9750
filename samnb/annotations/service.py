"""`AnnotationService`: annotations saved, changed, restored and reviewed, and their categories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..cards import count_text
from ..catalog import Catalog
from ..errors import PromptError, UnknownName
from ..ingest.library import ImageLibrary
from ..masks.editing import pieces
from ..masks.part import MaskPart
from ..prompts import Prediction, Prompt
from ..records import BY_HAND, UNSURE, AnnotationRecord, AttributeRecord, ImageRecord, ImageRef, NewAnnotation
from .annotation import Annotation, Annotations
from .attributes import checked_attributes
from .category_file import Labels
from .changes import AnnotationChanges
from .rows import as_new, category_name, checked_part, checked_score, chosen_annotation, new_annotation

if TYPE_CHECKING:
    from ..models import Model


# Fields that may change while an annotation keeps its id.
_CHANGING = ("category", "rle", "bbox", "area", "score", "prompt", "layer", "review", "attributes")


class AnnotationService:
    """The annotation methods of `samnb.session.Session`, which documents the arguments.

    Parameters
    ----------
    catalog : Catalog
    library : ImageLibrary
    model : Model
        Annotations record its fingerprint.
    changes : AnnotationChanges
        Notified of every change.
    """

    def __init__(self, catalog: Catalog, library: ImageLibrary, model: Model, changes: AnnotationChanges):
        self._catalog, self._library, self._model, self._changes = catalog, library, model, changes

    def accept(self, prediction: Prediction, *, category: str, index: int | None = None) -> Annotation:
        """Save one mask of a prediction."""
        image, model = self._library.image(prediction.image_id), prediction.model or self._model.fingerprint
        return self._save(chosen_annotation(prediction, image, category, index, source=BY_HAND, model=model))

    def accept_mask(
        self, image: ImageRef, mask: NDArray[np.bool_] | MaskPart, *, category: str, prompt: Prompt | None, score: float
    ) -> Annotation:
        """Save a mask that was drawn or edited by hand."""
        record = self._library.read(image)
        name, checked = category_name(category), checked_part(mask, record)
        model = self._model.fingerprint if prompt else ""
        used = prompt or Prompt()
        row = new_annotation(
            record, checked, category=name, score=checked_score(score), prompt=used, source=BY_HAND, model=model
        )
        return self._save(row)

    def find(self, *, category: str | None, image: ImageRef | None, dataset: str | None) -> Annotations:
        """Annotations in the order they were made; each argument that is not None narrows."""
        categories = [] if category is None else self._catalog.categories()
        if category is not None and category not in categories:
            raise UnknownName("category", category, categories)
        image_id = None if image is None else self._library.image(image, dataset=dataset).id
        records = self._catalog.annotations(category=category, image_id=image_id, dataset=dataset)
        return Annotations(Annotation(record) for record in records)

    def update(
        self,
        annotation: Annotation | int,
        *,
        mask: NDArray[np.bool_] | MaskPart | None,
        category: str | None,
        layer: int | None,
        prompt: Prompt | None,
        score: float | None,
        attributes: Mapping[str, bool | str] | None,
    ) -> Annotation:
        """Change an annotation and keep its id; what is None stays."""
        values: dict[str, Any] = {"layer": layer, "score": None if score is None else checked_score(score)}
        if attributes is not None:
            values["attributes"] = checked_attributes(attributes, self._catalog.attributes())
        if category is not None:
            values["category"] = category_name(category)
        if mask is not None:
            part = checked_part(mask, self._image_of(annotation))
            values |= {"rle": part.rle, "bbox": part.bbox, "area": part.area}
        if prompt is not None:
            values["prompt"] = prompt.as_dict()
        given = {name: value for name, value in values.items() if value is not None}
        # A score is the model's word; all else that is given is a person's.
        by_hand = bool(given.keys() - {"score"})
        return self._changed(annotation, **given, by_hand=by_hand)

    def remove(self, annotation: Annotation | int) -> bool:
        """Delete an annotation; False if there was none."""
        removed = bool(self._catalog.remove_annotations([_id(annotation)]))
        if removed:
            self._changes.emit("" if isinstance(annotation, int) else annotation.image_id)
        return removed

    def restore(self, annotations: Iterable[Annotation], *, changed_from: Iterable[Annotation]) -> None:
        """Make annotations what they were; see `samnb.session.Session.restore`."""
        records = [annotation.record for annotation in annotations]
        now = {annotation.id: annotation.record for annotation in changed_from}
        gone = []
        for record in records:
            values = {name: getattr(record, name) for name in _CHANGING}
            if record.id in now:
                values = {name: value for name, value in values.items() if value != getattr(now[record.id], name)}
            if "rle" in values:  # the three go together
                values |= {name: getattr(record, name) for name in ("bbox", "area")}
            elif {"bbox", "area"} & values.keys():
                values |= {name: getattr(record, name) for name in ("rle", "bbox", "area")}
            try:
                self._catalog.update_annotation(record.id, **values)
            except UnknownName:
                gone.append(record)
        self._catalog.restore_annotations(gone)
        for image_id in dict.fromkeys(record.image_id for record in records):
            self._changes.emit(image_id)

    def merge(self, annotations: Sequence[Annotation | int]) -> Annotation:
        """Make one annotation of several of one image; see `samnb.session.Session.merge`."""
        records = [self._record(id) for id in dict.fromkeys(map(_id, annotations))]
        parts = [MaskPart.of_rle(record.rle) for record in records]
        images = {(record.image_id, part.size_hw) for record, part in zip(records, parts, strict=True)}
        if len(records) < 2 or len(images) > 1:
            raise PromptError(
                f"merge: expected two or more annotations of one image; got {len(records)} of "
                f"{count_text(len(images), 'image')}. Choose others."
            )
        [first, *others] = records
        attributes: dict[str, bool | str] = {}
        for record in reversed(records):  # the first one wins
            attributes |= {name: value for name, value in record.attributes.items() if value}
        row = replace(as_new(first, reduce(or_, parts)), attributes=attributes)
        [changed] = self._catalog.edit_annotations({first.id: row}, removed=[record.id for record in others])
        self._changes.emit(first.image_id)
        return Annotation(changed)

    def split(self, annotation: Annotation | int) -> Annotations:
        """Make an annotation of each connected part of one; see `samnb.session.Session.split`."""
        record = self._record(annotation)
        whole = MaskPart.of_rle(record.rle)
        separate = [MaskPart.of(piece, whole.corner, whole.size_hw) for piece in pieces(whole.mask)]
        rows = [as_new(record, part) for part in separate]
        if len(rows) < 2:
            raise PromptError(f"split: the mask of annotation {record.id} is one piece. Erase what joins its parts.")
        added = [replace(row, source=BY_HAND, prompt={}, model="", review="") for row in rows[1:]]
        parts = self._catalog.edit_annotations({record.id: rows[0]}, added=added)
        self._changes.emit(record.image_id)
        return Annotations(Annotation(part) for part in parts)

    def save_all(self, rows: Sequence[NewAnnotation]) -> None:
        """Save rows of one image."""
        self._catalog.add_annotations(rows)
        self._changes.emit(rows[0].image_id)

    def save_proposals(self, proposals: Iterable[int], rows: Sequence[NewAnnotation]) -> Annotations:
        """Save rows made of proposals, of any images; see `samnb.catalog.Catalog.accept_proposals`."""
        records = self._catalog.accept_proposals(proposals, rows)
        for image_id in dict.fromkeys(row.image_id for row in rows):
            self._changes.emit(image_id)
        return Annotations(Annotation(record) for record in records)

    def copy(self, annotations: Iterable[Annotation], image: ImageRecord) -> Annotations:
        """Save the same objects on another image of the same size, as made by hand."""
        rows = []
        for annotation in annotations:
            checked_part(annotation.part, image)
            names = ("category", "rle", "bbox", "area", "score", "prompt", "layer", "attributes")
            same: dict[str, Any] = {name: getattr(annotation.record, name) for name in names}
            rows.append(NewAnnotation(image_id=image.id, source=BY_HAND, **same))
        records = self._catalog.add_annotations(rows)
        if records:
            self._changes.emit(image.id)
        return Annotations(Annotation(record) for record in records)

    def mark_image(self, image: ImageRecord, state: str) -> None:
        """Give an image a state of `samnb.records.STATES`."""
        self._catalog.save_image_state(image.id, state)
        self._changes.emit(image.id)

    # -- review ------------------------------------------------------------------------------------

    def to_review(self, *, dataset: str | None, template: str | None) -> Annotations:
        """Annotations of templates that await a review, the lowest score first."""
        records = self._catalog.annotations(dataset=dataset, review=UNSURE)
        own = [r for r in records if template is None or r.source.partition("@")[0] == f"template:{template}"]
        return Annotations(Annotation(record) for record in sorted(own, key=lambda record: record.score))

    def review(self, annotation: Annotation | int, verdict: str) -> Annotation:
        """Set the review state: `samnb.records.ACCEPTED`, `REJECTED`, or `UNSURE`, which is "" of one made by hand."""
        if verdict == UNSURE and self._record(annotation).source == BY_HAND:
            verdict = ""
        return self._changed(annotation, review=verdict)

    # -- categories --------------------------------------------------------------------------------

    def add_category(self, name: str, *, color: str | None = None) -> None:
        """Add a category, or give one another colour."""
        self._catalog.save_category(category_name(name), color=color)
        self._changes.emit()

    def recolor_category(self, name: str, color: str) -> None:
        """Give a category another colour. Raises `UnknownName`."""
        if name not in self._catalog.categories():
            raise UnknownName("category", name, self._catalog.categories())
        self._catalog.save_category(name, color=color)
        self._changes.emit()

    def rename_category(self, name: str, new_name: str) -> None:
        """Rename a category, in its annotations too."""
        self._catalog.rename_category(name, category_name(new_name))
        self._changes.emit()

    def move_category(self, name: str, position: int) -> None:
        """Put a category in another place, from 0."""
        if name not in (known := self._catalog.categories()):
            raise UnknownName("category", name, known)
        self._catalog.save_category(name, position=position)
        self._changes.emit()

    def merge_category(self, name: str, into: str) -> int:
        """Give all annotations of a category another one, and remove it."""
        moved = self._catalog.merge_category(name, into)
        self._changes.emit()
        return moved

    def load(self, labels: Labels) -> list[str]:
        """Add categories and attributes that are not there; returns the names of new categories."""
        new = self._catalog.have_categories(name for name, _ in labels.categories)
        for name, color in labels.categories:
            if color is not None:
                self._catalog.save_category(name, color=color)
        self._catalog.have_attributes(labels.attributes)
        self._changes.emit()
        return new

    def add_attribute(self, name: str, kind: str, choices: Sequence[str]) -> AttributeRecord:
        """Declare an attribute."""
        record = self._catalog.save_attribute(name, kind, choices)
        self._changes.emit()
        return record

    def remove_attribute(self, name: str, *, discard: bool) -> None:
        """Remove an attribute."""
        self._catalog.remove_attribute(name, discard=discard)
        self._changes.emit()

    def remove_category(self, name: str) -> None:
        """Remove a category that has no annotations."""
        self._catalog.remove_category(name)
        self._changes.emit()

    # -- inside ------------------------------------------------------------------------------------

    def _save(self, row: NewAnnotation) -> Annotation:
        [record] = self._catalog.add_annotations([row])
        self._changes.emit(record.image_id)
        return Annotation(record)

    def _changed(self, annotation: Annotation | int, **values: Any) -> Annotation:
        record = self._catalog.update_annotation(_id(annotation), **values)
        self._changes.emit(record.image_id)
        return Annotation(record)

    def _record(self, annotation: Annotation | int) -> AnnotationRecord:
        return self._catalog.annotation(_id(annotation))

    def _image_of(self, annotation: Annotation | int) -> ImageRecord:
        record = annotation if isinstance(annotation, Annotation) else self._catalog.annotation(annotation)
        return self._library.image(record.image_id)


def _id(annotation: Annotation | int) -> int:
    return annotation if isinstance(annotation, int) else int(annotation.id)
