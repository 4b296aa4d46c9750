"""Annotations for other tools: one COCO file, or a folder of PNG masks.

A format is an entry of `EXPORTERS`. Sizes and coordinates are those of the upright pictures. Images without
annotations are exported too, and every file is complete or not there: written beside its place, then moved.
"""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import AnyPath, ImageError, StoreError, UnknownName, UnknownOption
from .files import write_whole
from .masks import Polygon, category_color, decode_rle, mask_polygons
from .records import AnnotationRecord, ImageRecord

__all__ = ["EXPORTERS", "ExportItem", "ExportReport", "export", "export_coco", "export_masks"]


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Parameters
    ----------
    format : str
        Name of the format, a key of `EXPORTERS`.
    path : Path
        The file or folder that was asked for.
    images, annotations : int
        How many are in it; images without annotations count.
    files : tuple of Path
        Every file written.
    """

    format: str
    path: Path
    images: int
    annotations: int
    files: tuple[Path, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        return f"{_count(self.annotations, 'annotation')} on {_count(self.images, 'image')} → {self.path}"


def export(
    format: str,
    path: AnyPath,
    *,
    images: Sequence[ImageRecord],
    annotations: Sequence[AnnotationRecord],
    categories: Sequence[str],
    **options: Any,
) -> ExportReport:
    """Write annotations in one of the formats of `EXPORTERS`.

    Parameters
    ----------
    format : {"coco", "masks"}
        A JSON file (see `export_coco`) or a folder of PNG files (see `export_masks`).
    path : path
        The file or folder; missing folders are made.
    images : sequence of ImageRecord
        In the order they shall have.
    annotations : sequence of AnnotationRecord
        Each on one of `images`, of one of `categories`.
    categories : sequence of str
        Numbered from 1 in this order.
    **options
        What the format's exporter takes besides.

    Raises
    ------
    UnknownName
        No such format; an annotation's image or category is not among those given.
    UnknownOption
        The format takes no such option.
    ImageError
        An annotation's mask has another size than its image.
    StoreError
        The place cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> report = export("coco", folder / "none.json", images=[], annotations=[], categories=["coin"])
    >>> report.images, report.annotations, report.files[0].name
    (0, 0, 'none.json')
    """
    if format not in EXPORTERS:
        raise UnknownName("export format", format, EXPORTERS)
    exporter = EXPORTERS[format]
    known = {name for name, p in inspect.signature(exporter).parameters.items() if p.kind is p.KEYWORD_ONLY}
    if unknown := options.keys() - known:
        raise UnknownOption(f"export({format!r})", unknown, known or {"none"})
    place = Path(path).expanduser()
    categories = list(dict.fromkeys(categories))
    work = _gather(images, annotations, categories)
    try:
        return exporter(place, work, categories, **options)
    except OSError as error:
        raise StoreError(
            f"{place}: cannot be written ({error.strerror or error}). Choose another place, "
            "or check the folder's permissions and the disk's free space."
        ) from error


@dataclass(frozen=True)
class ExportItem:
    """One image to export: its record, a name that no other image has, its annotations, the topmost last."""

    image: ImageRecord
    name: str
    annotations: tuple[AnnotationRecord, ...]


def _gather(
    images: Sequence[ImageRecord], annotations: Iterable[AnnotationRecord], categories: Sequence[str]
) -> list[ExportItem]:
    of_image: dict[str, list[AnnotationRecord]] = {image.id: [] for image in images}
    sizes = {image.id: [image.height, image.width] for image in images}
    for annotation in sorted(annotations, key=lambda a: (a.layer, a.id)):
        if annotation.category not in categories:
            raise UnknownName("category", annotation.category, categories)
        if annotation.image_id not in of_image:
            raise UnknownName("image", annotation.image, (image.filename for image in images))
        if list(annotation.rle["size"]) != sizes[annotation.image_id]:
            raise ImageError(
                f"{annotation.image}: annotation {annotation.id} has a mask of (H, W) {annotation.rle['size']}, "
                f"the image is {sizes[annotation.image_id]}. The file was replaced by one of another size: "
                "put the earlier one back, or remove the annotation."
            )
        of_image[annotation.image_id].append(annotation)
    names = _distinct_names(images)
    return [ExportItem(image, name, tuple(of_image[image.id])) for image, name in zip(images, names, strict=True)]


def _distinct_names(images: Sequence[ImageRecord]) -> list[str]:
    """File names; where several images share one, with the dataset before it, or the folder as well."""
    choices = [
        (i.filename, f"{i.dataset}/{i.filename}", f"{i.dataset}/{Path(i.path).parent.name}/{i.filename}")
        for i in images
    ]
    counts = Counter(name for names in choices for name in set(names))
    used: set[str] = set()
    return [_unused(next((n for n in names if counts[n] == 1), names[-1]), used) for names in choices]


def _unused(name: str, used: set[str]) -> str:
    """The name, or with a number before its suffix when it is taken; upper and lower case count as equal."""
    stem, suffix = os.path.splitext(name)
    number, free = 1, name
    while free.casefold() in used:
        number += 1
        free = f"{stem}~{number}{suffix}"
    used.add(free.casefold())
    return free


# ---------------------------------------------------------------- COCO


def export_coco(
    path: Path, items: Sequence[ExportItem], categories: Sequence[str], *, polygons: bool = False
) -> ExportReport:
    """One JSON file in COCO's format for instances; image, annotation and category ids count from 1.

    Parameters
    ----------
    polygons : bool
        False: masks as uncompressed run lengths, exact. They are no crowds (``iscrowd`` 0): evaluation
        counts each as one object, and pycocotools reads them like any other.
        True: masks as polygons, within half a pixel. COCO knows no holes, so a hole is joined to the outline
        by a cut of no width, which filling the polygon leaves open.
    """
    numbers = {category: number for number, category in enumerate(categories, 1)}
    found = [(image_id, annotation) for image_id, item in enumerate(items, 1) for annotation in item.annotations]
    document = {
        "info": {"description": "Annotations made with samnb"},
        "licenses": [],
        "images": [
            {"id": number, "file_name": i.name, "height": i.image.height, "width": i.image.width}
            for number, i in enumerate(items, 1)
        ],
        "categories": [{"id": n, "name": name, "supercategory": ""} for name, n in numbers.items()],
        "annotations": [
            {
                "id": number,
                "image_id": image_id,
                "category_id": numbers[annotation.category],
                "segmentation": _segmentation(annotation, polygons),
                "bbox": list(annotation.bbox),
                "area": annotation.area,
                "iscrowd": 0,
                "score": annotation.score,
            }
            for number, (image_id, annotation) in enumerate(found, 1)
        ],
    }
    # ASCII, because pycocotools opens the file in whatever encoding the system has.
    write_whole(path, json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii"))
    return ExportReport("coco", path, len(items), len(found), (path,))


def _segmentation(annotation: AnnotationRecord, polygons: bool) -> Any:
    if not polygons or not annotation.area:
        return {"size": list(annotation.rle["size"]), "counts": list(annotation.rle["counts"])}
    rings = (_without_holes(polygon) for polygon in mask_polygons(decode_rle(annotation.rle)))
    return [ring.round(2).ravel().tolist() for ring in rings]


def _without_holes(polygon: Polygon) -> NDArray[np.float64]:
    """One ring that runs along the exterior and, over cuts walked there and back, around each hole."""
    ring = polygon.exterior
    for hole in polygon.holes:
        nearest = int(((ring - hole[0]) ** 2).sum(1).argmin())
        ring = np.concatenate([ring[: nearest + 1], hole, hole[:1], ring[nearest:]])
    return ring


# ---------------------------------------------------------------- masks

_INDEX_COLUMNS = (
    *("mask", "labels", "image", "dataset", "width", "height", "category", "category_id"),
    *("x", "y", "w", "h", "area", "score", "source", "annotation_id"),
)


def export_masks(path: Path, items: Sequence[ExportItem], categories: Sequence[str]) -> ExportReport:
    """A folder of PNG files.

    - ``<image>__<number>_<category>.png``: one annotation, 255 on the object and 0 elsewhere;
    - ``labels/<image>.png``: one image, each pixel the number of its category from 1, 0 where there is none,
      with a palette of the category colours (16-bit grey for more than 255 categories). Where annotations
      overlap, the one of the higher layer lies on top, and of one layer the later;
    - ``index.csv``: a row for each annotation, in UTF-8.

    Exporting again into the same folder removes the files that the earlier ``index.csv`` names.
    """
    earlier = _listed(path)
    index, files, stems, names = [], [], set[str](), set[str]()
    for item in items:
        stem = _unused(_safe(os.path.splitext(item.name)[0], "image"), stems)
        labels = np.zeros(item.image.size_hw, np.uint8 if len(categories) < 256 else np.uint16)
        for number, annotation in enumerate(item.annotations, 1):
            name = _unused(f"{stem}__{number}_{_safe(annotation.category, 'category')}.png", names)
            mask = decode_rle(annotation.rle)
            files.append(write_whole(path / name, _png(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)))))
            index.append(_index_row(item, annotation, name, f"labels/{stem}.png", categories))
        for annotation in item.annotations:
            labels[decode_rle(annotation.rle)] = categories.index(annotation.category) + 1
        files.append(write_whole(path / "labels" / f"{stem}.png", _labels_png(labels, len(categories))))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_INDEX_COLUMNS, *index])
    files.append(write_whole(path / "index.csv", text.getvalue().encode(errors="surrogateescape")))
    for stale in earlier - set(files):
        stale.unlink(missing_ok=True)
    return ExportReport("masks", path, len(items), len(index), tuple(files))


def _index_row(
    item: ExportItem, annotation: AnnotationRecord, name: str, labels: str, categories: Sequence[str]
) -> tuple[Any, ...]:
    image = item.image
    return (
        *(name, labels, item.name, image.dataset, image.width, image.height),
        *(annotation.category, categories.index(annotation.category) + 1),
        *(*annotation.bbox, annotation.area, annotation.score, annotation.source, annotation.id),
    )


def _listed(folder: Path) -> set[Path]:
    """The PNG files inside the folder that its index.csv, if there is one, says were exported."""
    file = folder / "index.csv"
    if not file.is_file():
        return set()
    with open(file, encoding="utf-8", errors="surrogateescape", newline="") as stream:
        rows = csv.DictReader(stream)
        if tuple(rows.fieldnames or ()) != _INDEX_COLUMNS:  # somebody else's
            return set()
        named = [row[column] for row in rows for column in ("mask", "labels")]
    inside = (folder, folder / "labels")
    paths = {folder / (name or "") for name in named}
    return {path for path in paths if path.suffix == ".png" and path.parent in inside}


def _labels_png(labels: NDArray[Any], categories: int) -> bytes:
    image = Image.fromarray(labels)
    if labels.dtype == np.uint8:
        colors = "".join(category_color(index)[1:] for index in range(categories))
        image.putpalette(bytes.fromhex("000000" + colors))
    return _png(image)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _safe(name: str, instead: str) -> str:
    """A name for every file system: letters, digits, ``. - _``; at most 80 bytes, not hidden."""
    kept = re.sub(r"[^\w.-]+", "-", name).strip(".-")
    return kept.encode()[:80].decode(errors="ignore") or instead


# ---------------------------------------------------------------- both


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


Exporter = Callable[..., ExportReport]

EXPORTERS: dict[str, Exporter] = {"coco": export_coco, "masks": export_masks}
