"""Label TIFF files: one for each stack, or image, as napari and Fiji read them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import PackageMissing
from ...records import Failure
from ..csv_text import csv_bytes
from ..report import ExportReport
from .label_stacks import LabelStack, numbers_of, planes, stacks_of
from .layout import ExportItem, FolderWriter, of_whole_masks

INDEX_COLUMNS = (
    *("file", "label", "image", "dataset", "place", "category", "category_id"),
    *("x", "y", "w", "h", "area", "score", "source", "annotation_id", "attributes"),
)
_CENTIMETRE = "CENTIMETER"


def export_label_tiffs(
    path: Path, items: Sequence[ExportItem], categories: Sequence[str], *, labels: str = "object"
) -> ExportReport:
    """A folder of TIFF files of numbers, 0 where there is no object.

    - ``<image>.tif``: (H, W), or a page for each picture of a stack, uint16 (uint32 above 65,535 objects); with the
      axes, and the size of a pixel if it is known. Pictures of the stack that are not exported are empty pages. Where
      objects overlap, the topmost is seen.
    - ``index.csv``: a row for each annotation, with its number in ``label`` and its place in the stack.

    Parameters
    ----------
    labels : {"object", "linked", "category"}
        The numbers: one for each annotation of the file; one for annotations of a category that overlap from slice to
        slice with an IoU of 0.5 or more, so that an object of the stack is one; those of the categories.

    Raises
    ------
    PackageMissing
        Without tifffile.
    """
    try:
        import tifffile
    except ImportError as error:
        raise PackageMissing(
            "An export of label TIFFs", "tifffile", "scientific", 'export("masks") writes PNG.'
        ) from error
    index: list[tuple[Any, ...]] = []
    failed: list[Failure] = []
    items = of_whole_masks(items, failed)
    with FolderWriter(path, items) as folder:
        for stack in stacks_of(items):
            numbers = numbers_of(stack, categories, labels)
            folder.write(f"{stack.name}.tif", _tiff(tifffile, stack, numbers))
            index += index_rows(stack, f"{stack.name}.tif", numbers, categories)
        folder.write("index.csv", csv_bytes([INDEX_COLUMNS, *index]))
        folder.write_manifest("tiff", images=[item.name for item in items], failed=failed)
    return ExportReport("tiff", path, len(items), len(index), tuple(folder.files), tuple(failed), folder.notes)


def index_rows(
    stack: LabelStack, file: str, numbers: dict[int, int], categories: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The rows of `INDEX_COLUMNS` for the annotations of a stack."""
    rows = []
    for place, item in sorted(stack.items.items()):
        where = json.dumps(dict(zip(stack.axes, place, strict=True))) if stack.axes else ""
        for one in item.annotations:
            about = (file, numbers[one.id], item.name, item.image.dataset, where)
            kind = (one.category, categories.index(one.category) + 1)
            values = json.dumps(one.attributes) if one.attributes else ""
            rows.append((*about, *kind, *map(int, one.bbox), one.area, one.score, one.source, one.id, values))
    return rows


def _tiff(tifffile: Any, stack: LabelStack, numbers: dict[int, int]) -> bytes:
    details, buffer = stack.details, io.BytesIO()
    pages = planes(stack, numbers)
    first = next(pages)
    options: dict[str, Any] = {"metadata": {"axes": "".join(_letters(stack.axes)) + "YX"}}
    if details.x_um:
        options |= {"resolution": (1e4 / details.x_um, 1e4 / details.y_um), "resolutionunit": _CENTIMETRE}
    if details.z_um:
        options["metadata"]["spacing"] = details.z_um
    tifffile.imwrite(
        buffer,
        (page for part in ((first,), pages) for page in part),
        shape=stack.full_shape,
        dtype=first.dtype,
        photometric="minisblack",
        compression="zlib",
        software="samnb",
        **options,
    )
    return buffer.getvalue()


def _letters(axes: Sequence[str]) -> list[str]:
    """tifffile's letters of the axes; it has Q for axes of other kinds."""
    return [{"t": "T", "z": "Z"}.get(axis, "Q") for axis in axes]
