"""Queries about datasets and images inside a transaction: each function takes the connection it works on."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import PurePath
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, or_, select, tuple_, update

from ..errors import AnyPath, UnknownName, WorkWouldBeLost
from ..records import ACCEPTED, REJECTED, DatasetRecord, ImageRecord, NewImage, RemovalReport
from .tables import annotation_table, dataset_table, image_table, proposal_table, search_table
from .values import batches, folded, is_text, path_text

KNOWN_NAMES = 500
TEMPLATE_SOURCE = "template:"
"""First part of the source of an annotation that a template made."""
ORDER = (dataset_table.c.created_at, dataset_table.c.name, image_table.c.position)
SEED_COLUMNS = tuple(
    image_table.c[name]
    for name in ("id", "dataset_id", "filename", "path", "width", "height", "content_hash", "embedding_cached")
)

DATASET_NAME = dataset_table.c.name.label("dataset")
_IMAGE_COLUMNS = tuple(DATASET_NAME if f.name == "dataset" else image_table.c[f.name] for f in fields(ImageRecord))
_IMAGE_NAMES = [f.name for f in fields(ImageRecord)]
_CACHED, _CONTENT = _IMAGE_NAMES.index("embedding_cached"), _IMAGE_NAMES.index("content_hash")
_SEARCH_KEY = ("pixel_hash", "model", "search")
_SHORT_HASH = re.compile(r"[0-9a-fA-F]{8,64}")


# -- datasets


def dataset_records(connection: Connection, *wanted: Any) -> list[DatasetRecord]:
    """Datasets with their counts, the oldest first."""
    cached = func.coalesce(func.sum(image_table.c.embedding_cached), 0)
    query = (
        select(dataset_table.c.id, dataset_table.c.name, func.count(image_table.c.id), cached)
        .outerjoin(image_table)
        .where(*wanted)
        .group_by(dataset_table.c.id, dataset_table.c.name, dataset_table.c.created_at)
        .order_by(dataset_table.c.created_at, dataset_table.c.name)
    )
    return [DatasetRecord(*row) for row in connection.execute(query)]


def dataset_ids(connection: Connection) -> list[str]:
    """The ids of all datasets, the oldest first."""
    query = select(dataset_table.c.id).order_by(dataset_table.c.created_at, dataset_table.c.name)
    return list(connection.scalars(query))


def find_dataset(connection: Connection, name: str) -> DatasetRecord:
    """The dataset of that name, or `UnknownName`."""
    found = dataset_records(connection, dataset_table.c.name == name)
    if not found:
        raise UnknownName("dataset", name, connection.scalars(select(dataset_table.c.name)))
    return found[0]


def dataset_id_of(connection: Connection, name: str) -> str:
    """The id of the dataset of that name, or `UnknownName`; cheaper than `find_dataset`, which counts images."""
    found = connection.scalar(select(dataset_table.c.id).where(dataset_table.c.name == name))
    return find_dataset(connection, name).id if found is None else found


def remove_images(connection: Connection, dataset: str, *wanted: Any, discard: bool, what: str = "") -> RemovalReport:
    """Delete images of one dataset, their annotations and searches; `WorkWouldBeLost` where a person annotated.

    `what`: what the error says would be deleted, if it is not the dataset.
    """
    ids = select(image_table.c.id).where(*wanted)
    theirs = annotation_table.c.image_id.in_(ids)
    # A template makes its annotations again in seconds.
    of_template = func.substr(annotation_table.c.source, 1, len(TEMPLATE_SOURCE)) == TEMPLATE_SOURCE
    # A person's decision is a person's work.
    by_hand = ~of_template | annotation_table.c.review.in_((ACCEPTED, REJECTED))
    count = select(func.count()).select_from(annotation_table).where(theirs)
    lost = connection.scalars(count.where(by_hand)).one()
    if lost and not discard:
        raise WorkWouldBeLost(what or f"dataset {dataset!r}", lost)
    annotations = connection.scalars(count).one()
    connection.execute(delete(search_table).where(_searched_only_on(ids)))
    return RemovalReport(dataset, connection.execute(delete(image_table).where(*wanted)).rowcount, annotations)


def _searched_only_on(ids: Select[tuple[str]]) -> ColumnElement[bool]:
    """Searches of pictures that only these images show, and on whose proposals nobody decided."""
    pictures = select(image_table.c.pixel_hash).where(image_table.c.id.in_(ids))
    other, proposal = image_table.alias(), proposal_table
    shown = exists().where(other.c.pixel_hash == search_table.c.pixel_hash, other.c.id.not_in(ids))
    decided = exists().where(
        *(proposal.c[name] == search_table.c[name] for name in _SEARCH_KEY), proposal.c.review != ""
    )
    return search_table.c.pixel_hash.in_(pictures) & ~shown & ~decided


# -- images


def new_ids(count: int) -> list[str]:
    """New ids, each greater than the ones before: 48 bits of time, a count, and random digits.

    With random ids every new row would touch another page of the primary key's index.
    """
    began, chance = f"{time.time_ns() // 1_000_000:012x}", os.urandom(8 * count).hex()
    return [f"{began}{number:04x}{chance[16 * number : 16 * number + 16]}" for number in range(count)]


def added_ns(image_id: str) -> int:
    """The time in an id of `new_ids`, in nanoseconds since 1970; another id gives any number.

    >>> abs(added_ns(new_ids(1)[0]) - time.time_ns()) < 10**9
    True
    """
    try:
        return (int(image_id[:12], 16) + 1) * 1_000_000
    except ValueError:
        return sys.maxsize


def image_values(picture: NewImage, path: str) -> dict[str, Any]:
    """A picture's values as columns; the path is as `path_text` returns it."""
    return {
        "filename": picture.filename,
        "path": path,
        "content_hash": picture.content_hash,
        "pixel_hash": picture.pixel_hash,
        "perceptual_hash": picture.perceptual_hash,
        "width": int(picture.width),
        "height": int(picture.height),
        "size_bytes": int(picture.size_bytes),
        "mtime_ns": int(picture.mtime_ns),
        "inode": folded(int(picture.inode)),
        "embedding_cached": int(picture.embedding_cached),
        "perceptual_version": int(picture.perceptual_version),
        "perceptual_detail": float(picture.perceptual_detail),
    }


def image_record_of(row: Mapping[str, Any], dataset: str) -> ImageRecord:
    """The record of a row that was just written to the dataset of that name."""
    return _image_record([dataset if name == "dataset" else row[name] for name in _IMAGE_NAMES])


def update_image(connection: Connection, image_id: str, picture: NewImage) -> bool:
    """Write a picture's values over an image's; False if there is none, or its dataset has that path already."""
    values = image_values(picture, path_text(picture.path))
    this_one = image_table.c.id == image_id
    others = image_table.alias()
    own_dataset = select(image_table.c.dataset_id).where(this_one).scalar_subquery()
    same_path = select(others.c.id).where(
        others.c.dataset_id == own_dataset, others.c.path == values["path"], others.c.id != image_id
    )
    return bool(connection.execute(update(image_table).where(this_one, ~same_path.exists()).values(values)).rowcount)


def image_records(
    connection: Connection,
    *wanted: Any,
    order: Sequence[Any] = ORDER,
    offset: int | None = None,
    limit: int | None = None,
) -> list[ImageRecord]:
    """Images by dataset and position, or in another order."""
    query = select(*_IMAGE_COLUMNS).join(dataset_table).where(*wanted).order_by(*order).offset(offset).limit(limit)
    return [_image_record(row) for row in connection.execute(query)]


def _image_record(row: Sequence[Any]) -> ImageRecord:
    values = list(row)
    values[_CACHED], values[_CONTENT] = bool(values[_CACHED]), values[_CONTENT] or ""
    return ImageRecord(*values)


def find_image(connection: Connection, ref: AnyPath, dataset: str | None = None) -> ImageRecord:
    """The image with that id, name, path or hash, or `UnknownName`; see `Catalog.image` for the order."""
    if not isinstance(ref, str | PathLike) or not is_text(os.fspath(ref)):
        raise UnknownName("image", ref, file_names_near(connection, ""))
    conditions = list(_ways_to_name_an_image(ref))
    if dataset is not None:
        here = image_table.c.dataset_id == dataset_id_of(connection, dataset)
        conditions = [*(here & each for each in conditions), *conditions]
    for condition in conditions:
        found = image_records(connection, condition, limit=2)
        if len(found) > 1:
            _check_one_picture(connection, os.fspath(ref), condition)
        if found:
            return found[0]
    name = os.fspath(ref)
    if _SHORT_HASH.fullmatch(name):
        return _image_with_short_hash(connection, name)
    is_dataset = connection.scalar(select(dataset_table.c.id).where(dataset_table.c.name == name)) is not None
    advice = f"A dataset is named so: dataset={name!r} asks for its images." if is_dataset else ""
    raise UnknownName("image", name, file_names_near(connection, name), advice=advice)


def _ways_to_name_an_image(ref: AnyPath) -> Iterator[Any]:
    name = os.fspath(ref)
    paths = image_table.c.path.in_({name, os.path.abspath(name)})
    if isinstance(ref, PathLike):
        yield paths
    yield image_table.c.id == name
    yield image_table.c.filename == name
    splits = [(name[:at], name[at + 1 :]) for at, letter in enumerate(name) if letter == "/"]
    if splits:
        yield tuple_(dataset_table.c.name, image_table.c.filename).in_(splits)
    yield paths
    if len(name) == 64:
        yield or_(image_table.c.content_hash == name.lower(), image_table.c.pixel_hash == name.lower())


def _check_one_picture(connection: Connection, name: str, condition: Any) -> None:
    """Raise `UnknownName` where the images that a name means are not all of one file, or of the same pixels."""
    counts = (func.count(each.distinct()) for each in (image_table.c.path, image_table.c.pixel_hash))
    if min(connection.execute(select(*counts).select_from(image_table).join(dataset_table).where(condition)).one()) > 1:
        fitting = image_records(connection, condition, limit=12)
        names = {f"{image.dataset}/{image.filename}" for image in fitting}
        known = names if len(names) == len(fitting) else {image.path for image in fitting}
        raise UnknownName("image", name, known, several="Several pictures are called")


def _image_with_short_hash(connection: Connection, name: str) -> ImageRecord:
    low, high = (name.lower().ljust(64, digit) for digit in "0f")
    for column in (image_table.c.content_hash, image_table.c.pixel_hash):
        alike = select(column).where(column.between(low, high)).distinct().limit(13)
        hashes = list(connection.scalars(alike))
        if len(hashes) > 1:
            raise UnknownName("image", name, hashes, several="Several hashes begin with")
        if hashes:
            return image_records(connection, column == hashes[0], limit=1)[0]
    raise UnknownName("image", name, file_names_near(connection, name))


def file_names_near(connection: Connection, name: str) -> set[str]:
    """Some file names to suggest one from: those with the same first letters, and others."""
    query = select(image_table.c.filename).distinct().order_by(image_table.c.filename).limit(KNOWN_NAMES)
    alike = query.where(image_table.c.filename.startswith(PurePath(name).name[:2], autoescape=True))
    return {*connection.scalars(query), *connection.scalars(alike)}


def checked_image_ids(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Pixel hashes of these images by id; `UnknownName` for one that is not there."""
    wanted = sorted(set(ids))
    found: dict[str, str] = {}
    for batch in batches(wanted):
        query = select(image_table.c.id, image_table.c.pixel_hash).where(image_table.c.id.in_(batch))
        found.update((row.id, row.pixel_hash) for row in connection.execute(query))
    for image_id in wanted:
        if image_id not in found:
            raise UnknownName("image", image_id, file_names_near(connection, image_id))
    return found


def set_cached(connection: Connection, cached: bool, *wanted: Any) -> int:
    """Write `embedding_cached`; returns the number of images."""
    query = update(image_table).where(*wanted).values(embedding_cached=int(cached))
    return connection.execute(query).rowcount


def count_cached(connection: Connection, *wanted: Any) -> int:
    """Number of cached images."""
    query = select(func.count()).select_from(image_table).where(image_table.c.embedding_cached == 1, *wanted)
    return connection.scalars(query).one()
