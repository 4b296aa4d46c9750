"""Queries about annotations and templates inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, case, delete, func, select, update

from ..errors import UnknownName
from ..records import ACCEPTED, REJECTED, AnnotationRecord, NewAnnotation
from .image_queries import DATASET_NAME, TEMPLATE_SOURCE, checked_image_ids
from .tables import annotation_table, dataset_table, image_table, template_table
from .values import batches, now, to_json

_ELSEWHERE = {"dataset": DATASET_NAME, "image": image_table.c.filename.label("image")}
_COLUMNS = tuple(
    _ELSEWHERE[f.name] if f.name in _ELSEWHERE else annotation_table.c[f.name] for f in fields(AnnotationRecord)
)
_AS_JSON = ("rle", "bbox", "prompt", "attributes")

# -- annotations


def insert_annotations(connection: Connection, new: Sequence[NewAnnotation]) -> list[AnnotationRecord]:
    """Save annotations; the records are in the order given."""
    checked_image_ids(connection, (annotation.image_id for annotation in new))
    insert = annotation_table.insert().returning(annotation_table.c.id, sort_by_parameter_order=True)
    records: list[AnnotationRecord] = []
    for batch in batches(new):
        ids = list(connection.scalars(insert, [_annotation_row(annotation) for annotation in batch]))
        records += annotation_records(connection, annotation_table.c.id.in_(ids), rejected=True)
    return records


def _annotation_row(annotation: NewAnnotation) -> dict[str, Any]:
    return {
        "image_id": annotation.image_id,
        "category": annotation.category,
        "rle": to_json(annotation.rle),
        "bbox": to_json(annotation.bbox),
        "area": int(annotation.area),
        "score": float(annotation.score),
        "source": annotation.source,
        "prompt": to_json(annotation.prompt),
        "model": annotation.model,
        "created_at": now(),
        "layer": int(annotation.layer),
        "review": annotation.review,
        "attributes": to_json(annotation.attributes),
    }


def annotation_records(connection: Connection, *wanted: Any, rejected: bool = False) -> list[AnnotationRecord]:
    """Annotations by id; rejected ones only with `rejected`."""
    query = select(*_COLUMNS).select_from(annotation_table).join(image_table).join(dataset_table)
    if not rejected:
        wanted = (*wanted, annotation_table.c.review != REJECTED)
    rows = connection.execute(query.where(*wanted).order_by(annotation_table.c.id)).mappings()
    return [_annotation_record(row) for row in rows]


def annotation_record(connection: Connection, id: int) -> AnnotationRecord:
    """The annotation with that id, in any review state, or `UnknownName`."""
    found = annotation_records(connection, annotation_table.c.id == id, rejected=True)
    if not found:
        latest = select(annotation_table.c.id).order_by(annotation_table.c.id.desc()).limit(12)
        raise UnknownName("annotation", id, map(str, connection.scalars(latest)))
    return found[0]


def _annotation_record(row: RowMapping) -> AnnotationRecord:
    # Many have neither prompt nor attributes, and reading "{}" takes as long as reading a box.
    from_json = {name: {} if (text := row[name]) == "{}" else json.loads(text) for name in _AS_JSON}
    return AnnotationRecord(**{**row, **from_json, "bbox": tuple(from_json["bbox"])})


def put_back(connection: Connection, records: Sequence[AnnotationRecord], insert: Any) -> None:
    """Save annotations under the ids they had; one that is there already stays as it is."""
    checked_image_ids(connection, (record.image_id for record in records))
    insert = insert.on_conflict_do_nothing(index_elements=["id"])
    for batch in batches(records):
        connection.execute(insert, [_row_as_it_was(record) for record in batch])


def _row_as_it_was(record: AnnotationRecord) -> dict[str, Any]:
    names = (column.name for column in annotation_table.c)
    return {name: to_json(value) if name in _AS_JSON else value for name in names for value in [getattr(record, name)]}


def accepted_if_of_template() -> Any:
    """The review state of an annotation that a person changed: what a template made counts as accepted."""
    of_template = func.substr(annotation_table.c.source, 1, len(TEMPLATE_SOURCE)) == TEMPLATE_SOURCE
    return case((of_template, ACCEPTED), else_=annotation_table.c.review)


def change_mask(connection: Connection, id: int, row: NewAnnotation) -> None:
    """Give an annotation mask and attributes of a row that a person made; `UnknownName` if it was deleted."""
    values = {name: to_json(getattr(row, name)) for name in ("rle", "bbox", "attributes")} | {"area": int(row.area)}
    changed = update(annotation_table).where(annotation_table.c.id == id)
    if not connection.execute(changed.values(**values, review=accepted_if_of_template(), updated_at=now())).rowcount:
        annotation_record(connection, id)


# -- templates

FORMERLY = "formerly"
"""In the content of a saved template, beside its values: its categories' former names, each with the present one."""


def template_contents(connection: Connection, name: str) -> dict[int, str]:
    """A template's saved values, as JSON, by version."""
    query = select(template_table.c.version, template_table.c.content).where(template_table.c.name == name)
    return {row.version: row.content for row in connection.execute(query)}


def template_values(content: str) -> dict[str, Any]:
    """The values of a saved template."""
    values: dict[str, Any] = json.loads(content)
    values.pop(FORMERLY, None)
    return values


def version_for(contents: Mapping[int, str], content: str) -> int:
    """The version for these values: the latest if its values are the same, else the next."""
    latest = max(contents, default=0)
    # As values: a file from elsewhere has its keys in another order, and 1.0 where this process had 1.
    is_same = latest in contents and template_values(contents[latest]) == json.loads(content)
    return latest if is_same else latest + 1


def from_template(annotation: NewAnnotation, image_id: str, source: str) -> NewAnnotation:
    """The annotation with its source; `UnknownName` where it is of another image."""
    if annotation.image_id != image_id:
        raise UnknownName("image in what was applied:", annotation.image_id, [image_id])
    return replace(annotation, source=source)


def remove_of_template(connection: Connection, source: str, *wanted: Any) -> int:
    """Delete what any version of the template made and no review decided on; returns the number."""
    column, versioned = annotation_table.c.source, f"{source}@"
    # Not LIKE, which ignores case in SQLite and takes % and _ in a name for wildcards.
    of_template = (column == source) | (func.substr(column, 1, len(versioned)) == versioned)
    open_ones = annotation_table.c.review.not_in((ACCEPTED, REJECTED))
    return connection.execute(delete(annotation_table).where(of_template, open_ones, *wanted)).rowcount
