"""labelme: a JSON file beside each picture."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...cards import count_text
from ...errors import UnknownName
from ...masks.part import MaskPart
from ...records import AnnotationRecord, Failure
from ..report import ExportReport
from .layout import ExportItem, FolderWriter, Names, each
from .mask_pngs import png_bytes
from .pictures import upright_copy

_SHAPES = ("auto", "polygon", "mask")
# Mask shapes came with 5.3; later versions read this, too.
_VERSION = "5.4.1"


def export_labelme(
    path: Path,
    items: Sequence[ExportItem],
    categories: Sequence[str],
    *,
    pictures: bool = True,
    shapes: str = "auto",
    tolerance: float = 0.5,
) -> ExportReport:
    """A folder that labelme opens: each picture, and beside it ``<image>.json``; also where it has no annotations.

    The parts of one object are polygons with one ``group_id``. A polygon of labelme has no holes, so an
    object with holes is a mask shape, exact. Flags of an annotation are ``flags``, its other attributes
    ``attributes``, as X-AnyLabeling has them, and one called "description" the ``description``. ``labels.txt`` has
    the categories, for ``labelme --labels labels.txt``.

    Parameters
    ----------
    pictures : bool
        Upright copies of the pictures. False: only the JSON files, which name them anyway.
    shapes : {"auto", "polygon", "mask"}
        "auto" as above; all as polygons, their holes filled; or all as masks.
    tolerance : float
        How far, in pixels, a polygon may leave the mask's edge; 0: exact.
    """
    if shapes not in _SHAPES:
        raise UnknownName("kind of shapes", shapes, _SHAPES)
    failed: list[Failure] = []
    stems = Names()
    filled = 0

    def write(item: ExportItem) -> None:
        nonlocal filled
        stem = stems.stem(item.name)
        file = f"{stem}.png"
        if pictures:
            suffix, content = upright_copy(item.image)
            file = f"{stem}{suffix}"
            folder.write(file, content)
        drawn: list[dict[str, Any]] = []
        for group, annotation in enumerate(item.annotations, 1):
            new, lost = _shapes(annotation, group, shapes, tolerance)
            drawn += new
            filled += lost
        document: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": drawn,
            "imagePath": file,
            "imageData": None,
            "imageHeight": item.image.height,
            "imageWidth": item.image.width,
            # labelme keeps unknown fields.
            "samnb_image": item.name,
        }
        folder.write(f"{stem}.json", json.dumps(document, indent=1, allow_nan=False).encode("ascii"))

    with FolderWriter(path, items) as folder:
        items = list(each(items, write, failed))
        lines = "".join(f"{category}\n" for category in categories if category.isprintable())
        folder.write("labels.txt", lines.encode(errors="surrogateescape"))
        folder.write_manifest("labelme", failed=failed)
    written = sum(bool(annotation.area) for item in items for annotation in item.annotations)
    filled_text = (f"{count_text(filled, 'hole')} filled: polygons of labelme have none",) if filled else ()
    notes = (*filled_text, *folder.notes)
    return ExportReport("labelme", path, len(items), written, tuple(folder.files), tuple(failed), notes)


def _shapes(annotation: AnnotationRecord, group: int, kind: str, tolerance: float) -> tuple[list[dict[str, Any]], int]:
    """The shapes of one annotation, and how many holes they lack."""
    if not annotation.area:
        return [], 0
    found = MaskPart.of_rle(annotation.rle)
    polygons = [] if kind == "mask" else found.polygons(tolerance=tolerance)
    holes = sum(len(polygon.holes) for polygon in polygons)
    flags = {name: value for name, value in annotation.attributes.items() if isinstance(value, bool)}
    texts = {name: value for name, value in annotation.attributes.items() if name not in flags}
    about: dict[str, Any] = {"description": texts.pop("description", ""), "flags": flags}
    # labelme keeps unknown fields; X-AnyLabeling shows this one.
    about |= {"attributes": texts} if texts else {}
    shape: dict[str, Any] = {"label": annotation.category, **about, "mask": None}
    if polygons and (kind == "polygon" or not holes):
        same = group if len(polygons) > 1 else None
        rings = [polygon.exterior.round(2).tolist() for polygon in polygons]
        return [shape | {"points": ring, "group_id": same, "shape_type": "polygon"} for ring in rings], holes
    x, y, width, height = found.bbox
    part = Image.fromarray(found.mask.astype(np.uint8) * np.uint8(255))
    content = base64.b64encode(png_bytes(part.convert("1"))).decode("ascii")
    # The corners are those of pixels that are both inside: labelme fills mask[y1 : y2 + 1, x1 : x2 + 1].
    corners = [[float(x), float(y)], [float(x + width - 1), float(y + height - 1)]]
    return [shape | {"points": corners, "group_id": None, "shape_type": "mask", "mask": content}], 0
