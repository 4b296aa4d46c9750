"""Mask pictures: the output of `samnb export masks`, and masks of others, identified by their names."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import FormatError, ImageError
from ...evaluation.cases import CaseSource
from ...evaluation.mask_cases import mask_number, mask_of, read_masks
from ...images.folder import PictureFolder
from ...records import Failure
from ..writers.layout import MANIFEST
from .objects import Contents, ImageReference, ImportedObject, Mask, Size, plain, read_json

__all__ = ["read_mask_pictures"]

_KIND = "a folder of masks that samnb exported"


def read_mask_pictures(path: Path, pictures: PictureFolder, *, categories: Sequence[str] = ()) -> Contents:
    """The contents of a folder of mask pictures: one object per file, or one number per pixel.

    Parameters
    ----------
    pictures : PictureFolder
        The available pictures; `samnb.evaluation.mask_cases` lists the accepted names of masks.
    categories : sequence of str
        Names of the numbers 1, 2, … of label maps; default "label 1", "label 2", ….

    Raises
    ------
    ImageNotFound
        No such folder, or no picture in it.
    FormatError
        Its index.csv cannot be read.
    """
    rows = _index(path / "index.csv")
    if rows is not None:
        return _exported(path, rows)
    cases = read_masks(path, pictures)
    objects = []
    for source in cases.sources:
        number = _number(source) if categories else 0
        category = categories[number - 1] if 0 < number <= len(categories) else source.category
        read_mask = partial(_read, source.read_mask)
        objects.append(
            ImportedObject(ImageReference(source.id, path), source.place, category, read_mask, may_be_empty=True)
        )
    named = dict.fromkeys([*(found.picture for found in objects)])
    used = [found.category for found in objects if found.category]
    return Contents(tuple(named), tuple(objects), tuple(dict.fromkeys([*categories, *sorted(used)])), cases.failed)


def _number(source: CaseSource) -> int:
    """The number of an object in its label map; 0 if its file is a single mask."""
    label = re.fullmatch(r"label (\d+)", source.category)
    if label or source.category:
        return int(label[1]) if label else 0
    try:
        highest = mask_number(Path(source.place))
    except ImageError:  # reported when its mask is read
        return 0
    # Only single masks have white.
    return 0 if highest == 255 else highest


def _read(read: Any, size_hw: Size) -> Mask:
    mask: Mask = read()
    return mask


def _index(path: Path) -> list[dict[str, str]] | None:
    """The rows of an exported index.csv; None if there is none, or another one."""
    if not path.is_file():
        return None
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            rows = list(reader)
    except (OSError, csv.Error) as error:
        raise FormatError(path.parent, _KIND, f"its index.csv cannot be read ({error})") from error
    return rows if {"mask", "image", "category"} <= set(reader.fieldnames or ()) else None


def _exported(root: Path, rows: Sequence[Mapping[str, str]]) -> Contents:
    objects: list[ImportedObject] = []
    failed: list[Failure] = []
    categories: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for line, row in enumerate(rows, 2):
        place = f"index.csv, line {line}"
        if not row["image"] or not (row["mask"] or (row.get("labels") and row.get("label"))):
            failed.append(Failure(place, "expected an image and a mask"))
            continue
        if row["category"]:
            categories.setdefault(row["category"], _whole(row.get("category_id")) or len(categories) + 1)
        if not row["mask"]:
            # Annotations with one number in the label map are one object.
            if (row["labels"], row["label"]) in seen:
                failed.append(Failure(place, f"cannot be told from others of number {row['label']} in {row['labels']}"))
                continue
            seen.add((row["labels"], row["label"]))
        picture = ImageReference(row["image"], root, _size(row))
        objects.append(
            ImportedObject(picture, place, row["category"], partial(_listed, root, row), _score(row.get("score")))
        )
    of_name = {found.picture.name: found.picture for found in objects}
    # An image without annotations has no row.
    pictures = {**{name: ImageReference(name, root) for name in _names(root / MANIFEST)}, **of_name}
    named = pictures.values()
    return Contents(tuple(named), tuple(objects), tuple(sorted(categories, key=categories.__getitem__)), tuple(failed))


def _names(manifest: Path) -> list[str]:
    """The images of an export in its order; none if it does not list them."""
    try:
        names = read_json(manifest, _KIND).get("images")
    except FormatError:  # only the list is missing
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _listed(root: Path, row: Mapping[str, str], size_hw: Size) -> Mask:
    name = row["mask"] or row["labels"]
    if "\0" in name:
        raise ImageError(f"{plain(name)}: no file name has null characters.")
    place = root / name
    if not place.resolve().is_relative_to(root.resolve()):
        raise ImageError(f"{name}: expected a file in {root}.")
    return mask_of(place, None if row["mask"] else _whole(row["label"]))


def _whole(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def _size(row: Mapping[str, str]) -> Size | None:
    height, width = _whole(row.get("height")), _whole(row.get("width"))
    return (height, width) if height and width else None


def _score(text: str | None) -> float:
    try:
        score = float(text or "")
    except ValueError:
        return 1.0
    return score if math.isfinite(score) else 1.0
