"""COCO: one JSON file of instances."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...atomic_files import write_pieces
from ...masks.part import MaskPart
from ...records import FLAG, AnnotationRecord, AttributeRecord, Failure
from ..report import ExportReport
from .layout import ExportItem, FolderWriter, Names, each
from .pictures import upright_copy
from .single_ring import without_holes

MADE_WITH = "Annotations made with samnb"


class Items(Protocol):
    """What `samnb.exchange.items.ExportItems` is."""

    names: Sequence[str]

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[ExportItem]:
        """With annotations."""

    def heads(self) -> Iterator[ExportItem]:
        """Without annotations."""

    def only(self, names: Collection[str]) -> Items:
        """Those of these names."""


def export_coco(
    path: Path,
    items: Items,
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
    document = _Document(categories, polygons, tolerance, attributes)
    if not pictures:
        write_pieces(path, document.pieces(items, items.names))
        return ExportReport("coco", path, len(items), document.annotations, (path,))
    if path.is_dir():
        raise IsADirectoryError(21, "a folder is in the way")
    # The list is beside the copies: files beside the COCO file do not belong to this export.
    heads = list(items.heads())
    with FolderWriter(path.parent, heads, listed_in="images", asked=path.name) as folder:
        names, taken = {}, Names()

        def copy(item: ExportItem) -> None:
            stem = taken.stem(item.name)
            suffix, content = upright_copy(item.image)
            names[item.name] = folder.write(f"images/{stem}{suffix}", content)

        copied = items.only({item.name for item in each(heads, copy, failed)})
        file_names = [names[name].relative_to(path.parent).as_posix() for name in copied.names]
        folder.write(path.name, b"".join(document.pieces(copied, file_names)))
        if names:
            # Another COCO file beside this one may have its pictures in the same folder.
            folder.write_manifest("coco", keep=True)
    return ExportReport("coco", path, len(copied), document.annotations, tuple(folder.files), tuple(failed))


@dataclass
class _Document:
    """The JSON of an export, in pieces; `annotations` counts those that were written."""

    categories: Sequence[str]
    polygons: bool
    tolerance: float
    attributes: Sequence[AttributeRecord]
    annotations: int = 0

    def pieces(self, items: Items, names: Sequence[str]) -> Iterator[bytes]:
        numbers = {category: number for number, category in enumerate(self.categories, 1)}
        declared = [
            {"name": record.name, "kind": record.kind} | ({"choices": [*record.choices]} if record.choices else {})
            for record in self.attributes
        ]
        info = {"description": MADE_WITH} | ({"attributes": declared} if declared else {})
        yield b'{"info":' + _json(info) + b',"licenses":[],"images":['
        yield from _joined(self._images(items, names))
        known = [{"id": n, "name": name, "supercategory": ""} for name, n in numbers.items()]
        yield b'],"categories":' + _json(known) + b',"annotations":['
        yield from _joined(self._found(items, numbers))
        yield b"]}"

    def _images(self, items: Items, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        for number, (name, item) in enumerate(zip(names, items.heads(), strict=True), 1):
            size = {"height": item.image.height, "width": item.image.width}
            yield {"id": number, "file_name": name} | size | _slice(item)

    def _found(self, items: Items, numbers: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        flags: dict[str, bool | str] = {record.name: False for record in self.attributes if record.kind == FLAG}
        found = ((image_id, one) for image_id, item in enumerate(items, 1) for one in item.annotations)
        for self.annotations, (image_id, annotation) in enumerate(found, 1):
            yield {
                "id": self.annotations,
                "image_id": image_id,
                "category_id": numbers[annotation.category],
                "segmentation": _segmentation(annotation, self.polygons, self.tolerance),
                "bbox": list(annotation.bbox),
                "area": annotation.area,
                "iscrowd": 0,
                "score": annotation.score,
            } | ({"attributes": flags | annotation.attributes} if flags or annotation.attributes else {})


def _joined(values: Iterable[Any]) -> Iterator[bytes]:
    """The elements of a JSON list."""
    for number, value in enumerate(values):
        yield (b"," if number else b"") + _json(value)


def _json(value: Any) -> bytes:
    # ASCII, because pycocotools opens the file in the system's encoding.
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


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
