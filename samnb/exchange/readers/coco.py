"""COCO files of instances: polygons of several parts, and run lengths plain or compressed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...cards import count_text
from ...errors import FormatError, ImageError
from ...masks import decode_rle
from ...masks.rle import decompress_counts
from ...records import Failure
from .objects import Contents, ImageReference, ImportedObject, Mask, Size, read_json, ring_mask, value_of

_KIND = "a COCO file of instances"


def read_coco(path: Path, *, crowds: bool = True) -> Contents:
    """The contents of a COCO file.

    Parameters
    ----------
    crowds : bool
        Read objects marked ``iscrowd`` too: some tools mark every object with run lengths this way.

    Raises
    ------
    FormatError
        Not a COCO file, or not to be read.
    """
    document = read_json(path, _KIND)
    for name in ("images", "annotations"):
        if not isinstance(document.get(name), list):
            raise FormatError(path, _KIND, f"it has no list {name!r}")
    failed: list[Failure] = []
    named = document.get("categories")
    categories: dict[Any, str] = {}
    for number, record in _by_id(path, "category", named if isinstance(named, list) else [], failed).items():
        text = value_of(record, "name")
        # Some tools number their classes, and write the number as the name.
        if isinstance(text, str | int) and not isinstance(text, bool) and str(text).strip():
            categories[number] = str(text).strip()
        else:
            failed.append(Failure(f"{path.name}, category {number}", f"expected a name, a text; got {text!r}"))
    pictures: dict[Any, ImageReference] = {}
    for number, record in _by_id(path, "image", document["images"], failed).items():
        name = value_of(record, "file_name")
        if isinstance(name, str) and name.strip():
            pictures[number] = ImageReference(name.replace("\\", "/"), path.parent, _size(record))
        else:
            failed.append(Failure(f"{path.name}, image {number}", "it has no file_name"))
    objects: list[ImportedObject] = []
    marked = 0
    for place, record in enumerate(document["annotations"], 1):
        if value_of(record, "iscrowd"):
            marked += 1
            if not crowds:
                continue
        found = _found(path, place, record, pictures, categories)
        if isinstance(found, Failure):
            failed.append(found)
        else:
            objects.append(found)
    taken = "taken for objects of their category" if crowds else "left out"
    notes = (f"{count_text(marked, 'object')} marked as crowds: {taken}",) if marked else ()
    return Contents(tuple(pictures.values()), tuple(objects), tuple(categories.values()), tuple(failed), notes)


def _by_id(path: Path, kind: str, records: list[Any], failed: list[Failure]) -> dict[Any, Any]:
    """Records by their ids; of those with the same id the first."""
    by_id: dict[Any, Any] = {}
    for place, record in enumerate(records, 1):
        number = value_of(record, "id")
        if not isinstance(number, int | str):
            failed.append(Failure(f"{path.name}, {kind} no. {place}", f"expected an id; got {number!r}"))
        elif number in by_id:
            failed.append(Failure(f"{path.name}, {kind} no. {place}", f"its id {number!r} is there already"))
        else:
            by_id[number] = record
    return by_id


def _size(record: Any) -> Size | None:
    height, width = value_of(record, "height"), value_of(record, "width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _found(
    path: Path, number: int, record: Any, pictures: Mapping[Any, ImageReference], categories: Mapping[Any, str]
) -> ImportedObject | Failure:
    identity = value_of(record, "id")
    place = f"{path.name}, annotation {identity if isinstance(identity, int | str) else f'no. {number}'}"
    image, kind = value_of(record, "image_id"), value_of(record, "category_id")
    if not isinstance(image, int | str) or image not in pictures:
        return Failure(place, f"its image {image!r} is not in the file")
    if kind is not None and (not isinstance(kind, int | str) or kind not in categories):
        return Failure(place, f"its category {kind!r} is not in the file, or has no name there")
    segmentation = value_of(record, "segmentation")
    if not isinstance(segmentation, Mapping | list) or not segmentation:
        return Failure(place, "it has no segmentation; a box alone is no mask")
    category = categories.get(kind, "")
    return ImportedObject(
        pictures[image], place, category, partial(_mask, segmentation), _score(value_of(record, "score"))
    )


def _score(value: Any) -> float:
    try:
        score = float(value) if isinstance(value, int | float) else 1.0
    except OverflowError:  # JSON's whole numbers have no end
        return 1.0
    return score if math.isfinite(score) else 1.0


def _mask(segmentation: Any, size_hw: Size) -> Mask:
    if isinstance(segmentation, Mapping):
        return _of_run_lengths(segmentation, size_hw)
    mask = np.zeros(size_hw, bool)
    # Some tools write a single polygon without the list around it.
    rings = [segmentation] if isinstance(segmentation[0], int | float) else segmentation
    for ring in rings:
        mask |= ring_mask(ring, size_hw)
    return mask


def _of_run_lengths(segmentation: Mapping[str, Any], size_hw: Size) -> Mask:
    counts = segmentation.get("counts")
    if segmentation.get("size") != list(size_hw):
        raise ImageError(
            f"its run lengths are of size [H, W] {segmentation.get('size')!r}, its picture {list(size_hw)}."
        )
    try:
        plain = decompress_counts(counts) if isinstance(counts, str) else counts
        return decode_rle({"size": size_hw, "counts": plain})
    except ImageError:
        raise
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise ImageError(f"its run lengths cannot be read ({error}).") from error
