"""`AnnotationCatalog`: the part of the catalog for annotations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select, update

from ..errors import UnknownName
from ..records import REJECTED, REVIEWS, AnnotationRecord, NewAnnotation
from .annotation_queries import (
    accepted_if_of_template,
    annotation_record,
    annotation_records,
    change_mask,
    insert_annotations,
    put_back,
)
from .database import Database
from .image_queries import dataset_id_of
from .tables import annotation_table, image_table
from .values import batches, now, to_json


class AnnotationCatalog:
    """Annotations of a `Catalog`."""

    _database: Database

    def add_annotations(self, new: Sequence[NewAnnotation]) -> list[AnnotationRecord]:
        """Save annotations, all or none; the records are in the order given.

        Raises
        ------
        UnknownName
            An image id that is not in the catalog.
        """
        with self._database.write() as connection:
            return insert_annotations(connection, new)

    def annotations(
        self,
        *,
        category: str | None = None,
        image_id: str | None = None,
        dataset: str | None = None,
        source: str | None = None,
        review: str | None = None,
    ) -> list[AnnotationRecord]:
        """Annotations in the order they were saved; each keyword narrows. Rejected ones: review="rejected".

        Raises
        ------
        UnknownName
            No dataset of that name. An unknown category, image id or source only finds nothing.
        """
        columns = {"category": category, "image_id": image_id, "source": source, "review": review}
        wanted = [annotation_table.c[name] == value for name, value in columns.items() if value is not None]
        with self._database.read() as connection:
            if dataset is not None:
                wanted.append(image_table.c.dataset_id == dataset_id_of(connection, dataset))
            return annotation_records(connection, *wanted, rejected=review == REJECTED)

    def annotations_on(self, image_ids: Collection[str]) -> dict[str, list[AnnotationRecord]]:
        """The annotations of several images by image id, also rejected ones; [] for an image without any."""
        found: dict[str, list[AnnotationRecord]] = {image_id: [] for image_id in image_ids}
        for batch in batches(sorted(found)):
            with self._database.read() as connection:
                for record in annotation_records(connection, annotation_table.c.image_id.in_(batch), rejected=True):
                    found[record.image_id].append(record)
        return found

    def shown_on(self, image_ids: Collection[str]) -> dict[str, list[AnnotationRecord]]:
        """As `annotations_on`, without rejected ones."""
        found = self.annotations_on(image_ids)
        return {image_id: [one for one in there if one.review != REJECTED] for image_id, there in found.items()}

    def last_annotation_id(self) -> int:
        """The highest id of an annotation; 0 without any."""
        with self._database.read() as connection:
            return connection.scalar(select(func.max(annotation_table.c.id))) or 0

    def annotation(self, id: int) -> AnnotationRecord:
        """The annotation with that id, in any review state.

        Raises
        ------
        UnknownName
            It was removed, or never existed.
        """
        with self._database.read() as connection:
            return annotation_record(connection, id)

    def count_annotations(self, dataset: str | None = None, *, review: str | None = None) -> dict[str, int]:
        """Number of annotations by image id; images without any are left out.

        Parameters
        ----------
        review : str, optional
            Only those of this review state. None: all but rejected ones.

        Raises
        ------
        UnknownName
            No such dataset or review state.
        """
        if review is not None and review not in REVIEWS:
            raise UnknownName("review state", review, REVIEWS)
        image_id = annotation_table.c.image_id
        counted = annotation_table.c.review != REJECTED if review is None else annotation_table.c.review == review
        query = select(image_id, func.count()).where(counted).group_by(image_id)
        with self._database.read() as connection:
            if dataset is not None:
                in_dataset = image_table.c.dataset_id == dataset_id_of(connection, dataset)
                query = query.join(image_table, image_table.c.id == image_id).where(in_dataset)
            return {image: int(count) for image, count in connection.execute(query)}

    def remove_annotations(self, ids: Iterable[int]) -> int:
        """Remove annotations in one transaction; returns the number of removed ones."""
        removed = 0
        with self._database.write() as connection:
            for batch in batches(list(ids)):
                these = annotation_table.c.id.in_(batch)
                removed += connection.execute(delete(annotation_table).where(these)).rowcount
        return removed

    def update_annotation(
        self,
        id: int,
        *,
        category: str | None = None,
        rle: Mapping[str, Any] | None = None,
        bbox: tuple[float, float, float, float] | None = None,
        area: int | None = None,
        score: float | None = None,
        prompt: Mapping[str, Any] | None = None,
        layer: int | None = None,
        review: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        by_hand: bool = False,
    ) -> AnnotationRecord:
        """Change an annotation under its id; omitted values stay, and `updated_at` gets the time.

        Parameters
        ----------
        by_hand : bool
            A person made the change: what a template made counts as accepted then, and applying the template again
            keeps it.
        rle, bbox, area
            The mask, its box and its number of pixels: all three, or none.

        Raises
        ------
        UnknownName
            It was deleted.
        """
        if len({value is None for value in (rle, bbox, area)}) > 1:
            raise TypeError("update_annotation: rle, bbox and area say one thing; give all three, or none.")
        as_json = {"rle": rle, "bbox": bbox, "prompt": prompt, "attributes": attributes}
        numbers = {"area": (int, area), "score": (float, score), "layer": (int, layer)}
        values: dict[str, Any] = {name: to_json(value) for name, value in as_json.items() if value is not None}
        values |= {name: kind(value) for name, (kind, value) in numbers.items() if value is not None}
        values |= {n: v for n, v in {"category": category, "review": review}.items() if v is not None}
        if by_hand and review is None:
            values["review"] = accepted_if_of_template()
        changed = update(annotation_table).where(annotation_table.c.id == id).values(**values, updated_at=now())
        with self._database.write() as connection:
            connection.execute(changed)
            return annotation_record(connection, id)

    def edit_annotations(
        self,
        changed: Mapping[int, NewAnnotation],
        *,
        added: Sequence[NewAnnotation] = (),
        removed: Iterable[int] = (),
    ) -> list[AnnotationRecord]:
        """Give annotations other masks and attributes, add some and remove some, in one transaction or none.

        Parameters
        ----------
        changed : mapping of int to NewAnnotation
            The rows whose rle, bbox, area and attributes the annotations of these ids get; all else of them stays.
        added : sequence of NewAnnotation
        removed : iterable of int

        Returns
        -------
        list of AnnotationRecord
            The changed ones, then the added ones, in the order given.

        Raises
        ------
        UnknownName
            One of those to change or to remove was deleted.
        """
        with self._database.write() as connection:
            for id, row in changed.items():
                change_mask(connection, id, row)
            for id in removed:
                annotation_record(connection, id)
                connection.execute(delete(annotation_table).where(annotation_table.c.id == id))
            records = [annotation_record(connection, id) for id in changed]
            return records + insert_annotations(connection, added)

    def restore_annotations(self, records: Sequence[AnnotationRecord]) -> list[AnnotationRecord]:
        """Put removed annotations back under the ids they had, all or none; one that is there stays as it is.

        Raises
        ------
        UnknownName
            Their image was deleted.
        """
        insert = self._database.insert(annotation_table)
        with self._database.write() as connection:
            put_back(connection, records, insert)
            ids = sorted({record.id for record in records})
            these = (annotation_table.c.id.in_(batch) for batch in batches(ids))
            found = (annotation_records(connection, batch, rejected=True) for batch in these)
            return [record for batch in found for record in batch]
