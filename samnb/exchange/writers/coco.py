"""COCO: one JSON file of instances."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...atomic_files import write_atomic
from ...masks.part import MaskPart
from ...records import FLAG, AnnotationRecord, AttributeRecord, Failure
from ..report import ExportReport
from .layout import ExportItem, FolderWriter, Names, each
from .pictures import upright_copy
from .single_ring import without_holes

MADE_WITH = "Annotations made with samnb"


def export_coco(
    path: Path,
    items: Sequence[ExportItem],
    categories: Sequence[str],
    *,
    polygons: bool = False,
    tolerance: float = 0.5,
    pictures: bool = False,
    attributes: Sequence[AttributeRecord] = (),
) -> ExportReport:
    """One JSON file in COCO's format for instances; image, annotation and category ids count from 1.

    Annotations of an image are in stacking order, the topmost last.

    Parameters
    ----------
    polygons : bool
        False: masks as uncompressed run lengths, exact. They are no crowds (``iscrowd`` 0): evaluation
        counts each as one object, and pycocotools reads them like any other.
        True: masks as polygons, one for each part. COCO has no holes, so a hole is joined to the outline
        by a cut of zero width, which filling the polygon leaves open.
    tolerance : float
        For polygons: how far, in pixels, they may leave the mask's edge; 0: exact.
    pictures : bool
        True: upright copies of the pictures in a folder "images" beside the file, and ``file_name`` names them.
        False: ``file_name`` is the original's name. Sizes and masks are those of the upright picture: open
        originals with ``PIL.ImageOps.exif_transpose``.
    attributes : sequence of AttributeRecord
        Those of the session. Each annotation gets ``attributes`` as CVAT writes them, with all flags; the kinds and
        choices are in ``info``.
    """
    failed: list[Failure] = []
    if not pictures:
        content = _document(items, categories, [item.name for item in items], polygons, tolerance, attributes)
        return ExportReport("coco", path, len(items), _count(items), (write_atomic(path, content),))
    if path.is_dir():
        raise IsADirectoryError(21, "a folder is in the way")
    # The list is beside the copies: files beside the COCO file do not belong to this export.
    with FolderWriter(path.parent, items, listed_in="images", asked=path.name) as folder:
        names, taken = {}, Names()

        def copy(item: ExportItem) -> None:
            suffix, content = upright_copy(item.image)
            names[item.name] = folder.write(f"images/{taken.stem(item.name)}{suffix}", content)

        items = list(each(items, copy, failed))
        file_names = [names[item.name].relative_to(path.parent).as_posix() for item in items]
        folder.write(path.name, _document(items, categories, file_names, polygons, tolerance, attributes))
        if names:
            # Another COCO file beside this one may have its pictures in the same folder.
            folder.write_manifest("coco", keep=True)
    return ExportReport("coco", path, len(items), _count(items), tuple(folder.files), tuple(failed))


def _count(items: Sequence[ExportItem]) -> int:
    return sum(len(item.annotations) for item in items)


def _document(
    items: Sequence[ExportItem],
    categories: Sequence[str],
    names: Sequence[str],
    polygons: bool,
    tolerance: float,
    attributes: Sequence[AttributeRecord],
) -> bytes:
    numbers = {category: number for number, category in enumerate(categories, 1)}
    found = [(image_id, annotation) for image_id, item in enumerate(items, 1) for annotation in item.annotations]
    flags: dict[str, bool | str] = {record.name: False for record in attributes if record.kind == FLAG}
    declared = [
        {"name": record.name, "kind": record.kind} | ({"choices": [*record.choices]} if record.choices else {})
        for record in attributes
    ]
    document = {
        "info": {"description": MADE_WITH} | ({"attributes": declared} if declared else {}),
        "licenses": [],
        "images": [
            {"id": number, "file_name": name, "height": item.image.height, "width": item.image.width} | _slice(item)
            for number, (name, item) in enumerate(zip(names, items, strict=True), 1)
        ],
        "categories": [{"id": n, "name": name, "supercategory": ""} for name, n in numbers.items()],
        "annotations": [
            {
                "id": number,
                "image_id": image_id,
                "category_id": numbers[annotation.category],
                "segmentation": _segmentation(annotation, polygons, tolerance),
                "bbox": list(annotation.bbox),
                "area": annotation.area,
                "iscrowd": 0,
                "score": annotation.score,
            }
            | ({"attributes": flags | annotation.attributes} if flags or annotation.attributes else {})
            for number, (image_id, annotation) in enumerate(found, 1)
        ],
    }
    # ASCII, because pycocotools opens the file in the system's encoding.
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii")


def _slice(item: ExportItem) -> dict[str, Any]:
    """The stack that the image is a slice of, its place there, and the size of its pixels, where these are known."""
    details = item.details
    found: dict[str, Any] = {}
    if details.stack:
        found = {"stack": os.path.basename(details.stack), "place": dict(details.place)}
    if details.x_um:
        found["pixel_size_um"] = [details.x_um, details.y_um, *([details.z_um] if details.z_um else [])]
    return found


def _segmentation(annotation: AnnotationRecord, polygons: bool, tolerance: float) -> Any:
    if not polygons or not annotation.area:
        return {"size": list(annotation.rle["size"]), "counts": list(annotation.rle["counts"])}
    outlines = MaskPart.of_rle(annotation.rle).polygons(tolerance=tolerance)
    return [without_holes(polygon).round(2).ravel().tolist() for polygon in outlines]
