"""Mask pictures: a PNG for each object, a PNG for each image, and a table of them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import UnknownName
from ...masks import category_color, decode_rle
from ...records import Failure
from ..csv_text import csv_bytes
from ..report import ExportReport
from .layout import ExportItem, FolderWriter, Names, of_whole_masks, safe

_INDEX_COLUMNS = (
    *("mask", "labels", "label", "image", "dataset", "width", "height", "category", "category_id"),
    *("x", "y", "w", "h", "area", "score", "source", "annotation_id", "attributes"),
)
_LABELS = ("category", "object", "none")


def export_masks(
    path: Path,
    items: Sequence[ExportItem],
    categories: Sequence[str],
    *,
    objects: bool = True,
    labels: str = "category",
) -> ExportReport:
    """A folder of PNG files.

    - ``<image>__<number>_<category>.png``: one annotation, 255 on the object and 0 elsewhere;
    - ``labels/<image>.png``: one image, each pixel the number of its category from 1, 0 if there is none,
      with a palette of the category colours (16-bit grey for numbers above 255). Where annotations
      overlap, the one of the higher layer lies on top, and of one layer the later;
    - ``index.csv``: a row for each annotation, in UTF-8; ``label`` is its number in ``labels``.

    Parameters
    ----------
    objects : bool
        False: no PNG for each annotation.
    labels : {"category", "object", "none"}
        The numbers in ``labels``: those of the categories, or of the annotations of that image, as in the other
        files' names; or no such files.
    """
    if labels not in _LABELS:
        raise UnknownName("kind of labels", labels, _LABELS)
    index: list[tuple[Any, ...]] = []
    failed: list[Failure] = []
    items = of_whole_masks(items, failed)
    stems, names = Names(), Names()
    with FolderWriter(path, items) as folder:
        for item in items:
            stem = stems.stem(item.name)
            label_name = "" if labels == "none" else f"labels/{stem}.png"
            numbers = [categories.index(annotation.category) + 1 for annotation in item.annotations]
            if labels == "object":
                numbers = list(range(1, len(item.annotations) + 1))
            for number, annotation in enumerate(item.annotations, 1):
                name = names.free(f"{stem}__{number}_{safe(annotation.category, 'category')}.png") if objects else ""
                if objects:
                    mask = decode_rle(annotation.rle)
                    folder.write(name, png_bytes(Image.fromarray(mask.astype(np.uint8) * np.uint8(255))))
                label = numbers[number - 1] if label_name else ""
                row = (name, label_name, label, item.name, item.image.dataset, item.image.width, item.image.height)
                about = (annotation.category, categories.index(annotation.category) + 1, *annotation.bbox)
                values = json.dumps(annotation.attributes) if annotation.attributes else ""
                last = (annotation.area, annotation.score, annotation.source, annotation.id, values)
                index.append((*row, *about, *last))
            if label_name:
                highest = len(categories) if labels == "category" else len(numbers)
                colors = [category_color(number) for number in range(min(highest, 255))]
                folder.write(label_name, indexed_png(item, numbers, colors, highest=highest))
        folder.write("index.csv", csv_bytes([_INDEX_COLUMNS, *index]))
        folder.write_manifest("masks", images=[item.name for item in items], failed=failed)
    return ExportReport("masks", path, len(items), len(index), tuple(folder.files), tuple(failed), folder.notes)


def indexed_png(item: ExportItem, numbers: Sequence[int], colors: Sequence[str], *, highest: int) -> bytes:
    """A PNG of an image's size: each annotation's number where it lies, the later ones on top; 0 elsewhere.

    Parameters
    ----------
    numbers : sequence of int
        One for each annotation of the item, from 1.
    colors : sequence of "#rrggbb"
        Of the numbers 1, 2, …; a palette, unless the numbers go above 255.
    highest : int
        The highest number there could be: above 255 the picture is 16-bit grey.
    """
    labels: NDArray[Any] = np.zeros(item.image.size_hw, np.uint8 if highest < 256 else np.uint16)
    for number, annotation in zip(numbers, item.annotations, strict=True):
        labels[decode_rle(annotation.rle)] = number
    image = Image.fromarray(labels)
    if labels.dtype == np.uint8:
        image.putpalette(bytes.fromhex("000000" + "".join(color[1:] for color in colors)))
    return png_bytes(image)


def png_bytes(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
