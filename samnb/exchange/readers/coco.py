"""COCO files of instances: polygons of several parts, and run lengths plain or compressed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...cards import count_text
from ...errors import FormatError, ImageError
from ...json_files import parse_json
from ...masks import decode_rle
from ...masks.rle import decompress_counts
from ...records import Failure
from ..attributes import records_in, values_in
from ..writers.coco import MADE_WITH
from .objects import (
    Contents,
    ImageReference,
    ImportedObject,
    Mask,
    Size,
    box_alone,
    box_mask,
    joined,
    read_json,
    ring_mask,
    score_of,
    size_of,
    value_of,
)

_KIND = "a COCO file of instances"
_DIGITS = 18  # of an id that is a number: more would take Python long to read


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
            pictures[number] = ImageReference(name, path.parent, size_of(record), number=number)
        else:
            failed.append(Failure(f"{path.name}, image {number}", "it has no file_name"))
    objects: list[ImportedObject] = []
    marked = 0
    for place, record in enumerate(document["annotations"], 1):
        if value_of(record, "iscrowd") in (1, "1", "true"):
            marked += 1
            if not crowds:
                continue
        found = _found(path, place, record, pictures, categories)
        if isinstance(found, Failure):
            failed.append(found)
        else:
            objects.append(found)
    upright = value_of(document.get("info"), "description") == MADE_WITH
    declared = records_in(value_of(document.get("info"), "attributes"))
    taken = "taken for objects of their category" if crowds else "left out"
    notes = (f"{count_text(marked, 'object')} marked as crowds: {taken}",) if marked else ()
    named_here = tuple(categories.values())
    return Contents(tuple(pictures.values()), tuple(objects), named_here, tuple(failed), notes, upright, declared)


def _by_id(path: Path, kind: str, records: list[Any], failed: list[Failure]) -> dict[Any, Any]:
    """Records by their ids; of those with the same id the first."""
    by_id: dict[Any, Any] = {}
    for place, record in enumerate(records, 1):
        number = _id(value_of(record, "id"))
        if number is None:
            given = value_of(record, "id")
            failed.append(Failure(f"{path.name}, {kind} no. {place}", f"expected an id; got {given!r}"))
        elif number in by_id:
            failed.append(Failure(f"{path.name}, {kind} no. {place}", f"its id {number!r} is there already"))
        else:
            by_id[number] = record
    return by_id


def _id(value: Any) -> int | str | None:
    """An id as one key however a tool writes it, 1, 1.0 or "1"; None for what is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and str(int(value[:_DIGITS])) == value:
        return int(value)
    return value if isinstance(value, int | str) else None


def _found(
    path: Path, number: int, record: Any, pictures: Mapping[Any, ImageReference], categories: Mapping[Any, str]
) -> ImportedObject | Failure:
    identity = _id(value_of(record, "id"))
    place = f"{path.name}, annotation {f'no. {number}' if identity is None else identity}"
    image, kind = _id(value_of(record, "image_id")), _id(value_of(record, "category_id"))
    if image not in pictures:
        return Failure(place, f"its image {value_of(record, 'image_id')!r} is not in the file")
    given = value_of(record, "category_id")
    if given is not None and kind not in categories:
        return Failure(place, f"its category {given!r} is not in the file, or has no name there")
    given = value_of(record, "segmentation")
    segmentation = _segmentation(given)
    lost: list[str] = []
    read: Callable[[Size], Mask] = box_alone
    about: Any = {"lost": lost, "attributes": values_in(value_of(record, "attributes"))}
    if segmentation is not None:
        read = partial(_mask, segmentation, lost)
    elif given:
        return Failure(place, f"its segmentation is a {type(given).__name__}, expected polygons or run lengths")
    elif not isinstance(box := value_of(record, "bbox"), list | tuple) or not box:
        return Failure(place, "it has no segmentation, and no bbox")
    else:
        about["read_box"] = partial(_box, box)
    return ImportedObject(pictures[image], place, categories.get(kind, ""), read, score_of(record), **about)


def _box(bbox: Any, size_hw: Size) -> Mask:
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError(f"a broken bbox: expected x, y, width and height; got {bbox!r:.100}.") from error
    return box_mask((x, y, x + width, y + height), size_hw)


def _segmentation(value: Any) -> Any:
    """The segmentation as a list of parts, or run lengths, also where a text has it; None for anything else."""
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError:
            return None
    # Some tools write a single polygon without the list around it.
    if isinstance(value, list) and value and isinstance(value[0], int | float):
        return [value]
    return value if isinstance(value, Mapping | list) and value else None


def _mask(segmentation: Any, lost: list[str], size_hw: Size) -> Mask:
    parts = [segmentation] if isinstance(segmentation, Mapping) else segmentation
    return joined((partial(_part, part, size_hw) for part in parts), size_hw, lost)


def _part(part: Any, size_hw: Size) -> Mask:
    return _of_run_lengths(part, size_hw) if isinstance(part, Mapping) and part else ring_mask(part, size_hw)


def _of_run_lengths(segmentation: Mapping[str, Any], size_hw: Size) -> Mask:
    counts = segmentation.get("counts")
    if segmentation.get("size") != list(size_hw):
        raise ImageError(
            f"its run lengths are of size [H, W] {segmentation.get('size')!r}, its picture {list(size_hw)}."
        )
    try:
        # Python's text of bytes, written by accident.
        if isinstance(counts, str) and counts[:2] in ("b'", 'b"') and counts.endswith(counts[1]):
            counts = ast.literal_eval(counts).decode("ascii")
        plain = decompress_counts(counts) if isinstance(counts, str) else counts
        return decode_rle({"size": size_hw, "counts": plain})
    except ImageError:
        raise
    except (TypeError, ValueError, IndexError, OverflowError, SyntaxError, MemoryError) as error:
        raise ImageError(f"its run lengths cannot be read ({error}).") from error
