"""A table: a row for each annotation, as CSV or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ...atomic_files import write_pieces, write_with
from ...errors import PackageMissing, UnknownName
from ...records import AnnotationRecord, ImageDetails
from ..csv_text import csv_pieces
from ..report import ExportReport
from .layout import ExportItem

COLUMNS = (
    *("dataset", "image", "path", "width", "height", "content_hash", "pixel_hash"),
    *("annotation_id", "category", "category_id", "x", "y", "w", "h", "area", "score", "layer"),
    *("source", "review", "model", "created_at", "updated_at", "prompt", "rle", "attributes"),
    *("place", "pixel_um", "area_um2", "w_um", "h_um"),
)
_SUFFIXES = (".csv", ".parquet")
_ROWS = 5000  # of a group in Parquet


def export_table(
    path: Path, items: Collection[ExportItem], categories: Sequence[str], *, paths: bool = False
) -> ExportReport:
    """One table, CSV or Parquet by the suffix of its name: a row for each annotation, the topmost of an image last.

    An image without annotations has one row, empty from ``annotation_id`` on. ``rle`` and ``prompt`` are JSON: the
    run lengths hold the mask exactly. CSV is UTF-8, and text in it that a spreadsheet would run as a formula begins
    with an apostrophe; Parquet needs pyarrow.

    ``place`` is the place in a stack, JSON; ``pixel_um``, ``area_um2``, ``w_um`` and ``h_um`` are in µm, and empty
    where the size of a pixel is not known.

    Parameters
    ----------
    paths : bool
        Fill the column ``path``. It shows users and folders of this computer.

    Raises
    ------
    UnknownName
        The path ends in something else.
    PackageMissing
        Parquet without pyarrow.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise UnknownName(f"kind of table in {path.name!r}:", path.suffix, _SUFFIXES)
    counted = _Counted()
    rows = (row for item in counted.of(items) for row in _rows(item, categories, paths=paths))
    if path.suffix.lower() == ".csv":
        write_pieces(path, csv_pieces(chain([COLUMNS], rows)))
    else:
        write_with(path, _parquet_writer(rows))
    return ExportReport("table", path, len(items), counted.annotations, (path,))


class _Counted:
    """Counts the annotations of the items that go through."""

    annotations = 0

    def of(self, items: Iterable[ExportItem]) -> Iterator[ExportItem]:
        for item in items:
            self.annotations += len(item.annotations)
            yield item


def _rows(item: ExportItem, categories: Sequence[str], *, paths: bool) -> list[tuple[Any, ...]]:
    image = item.image
    of_image = (image.dataset, image.filename, image.path if paths else "", image.width, image.height)
    hashes = (image.content_hash, image.pixel_hash if image.is_read else "")
    details = item.details
    place = json.dumps(dict(details.place)) if details.place else ""
    about = (place, details.x_um or None)
    empty = (None,) * (len(COLUMNS) - len(of_image) - len(hashes))
    rows = [
        (
            *(*of_image, *hashes, found.id, found.category, categories.index(found.category) + 1),
            *(*(int(value) for value in found.bbox), found.area, found.score, found.layer),
            *(found.source, found.review, found.model, found.created_at, found.updated_at),
            *(json.dumps(found.prompt), json.dumps(found.rle, separators=(",", ":")), json.dumps(found.attributes)),
            *(*about, *_measures(found, item.details)),
        )
        for found in item.annotations
    ]
    return rows or [(*of_image, *hashes, *empty)]


def _measures(found: AnnotationRecord, details: ImageDetails) -> tuple[float | None, ...]:
    """Area in µm², and width and height of the box in µm; None where the size of a pixel is not known."""
    if not details.x_um:
        return (None, None, None)
    _, _, width, height = found.bbox
    return found.area * details.x_um * details.y_um, width * details.x_um, height * details.y_um


def _parquet_writer(rows: Iterator[tuple[Any, ...]]) -> Callable[[Path], None]:
    """A function that writes the rows, `_ROWS` at a time, as a Parquet file."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise PackageMissing(
            "A Parquet table", "pyarrow", "parquet", "A table that ends in .csv needs nothing."
        ) from error
    whole = ("width", "height", "annotation_id", "category_id", "x", "y", "w", "h", "area", "layer")
    measures = ("score", "pixel_um", "area_um2", "w_um", "h_um")
    kinds = {name: pyarrow.int64() for name in whole} | {name: pyarrow.float64() for name in measures}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in COLUMNS])

    def write(file: Path) -> None:
        with parquet.ParquetWriter(file, schema) as out:
            some = list(islice(rows, _ROWS))
            while True:
                columns = [[_text(row[place]) for row in some] for place in range(len(COLUMNS))]
                arrays = [pyarrow.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
                out.write_table(pyarrow.table(arrays, schema=schema))
                if not (some := list(islice(rows, _ROWS))):
                    return

    return write


def _text(value: Any) -> Any:
    """Text for Parquet, which is UTF-8: other bytes of a file name become question marks."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
