"""Folders of mask pictures: the output of ``samnb export masks``, and masks of others, identified by their names.

Three layouts are accepted:

- a folder with the ``index.csv`` that ``samnb export masks`` writes: its masks, categories and pictures;
- one object each: ``photo.png``, ``photo_3.png``, ``photo__2_coin.png`` for ``photo.jpg``, or any name in a folder
  ``photo/``. After two underscores and a number comes the category;
- label maps of the same names; see `samnb.exchange.readers.mask_values`.

Unusable files are reported, with the reason, and the rest continues.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ...errors import FormatError, ImageError, ImageNotFound
from ...images.discovery import find_images
from ...images.folder import PictureFolder
from ...records import Failure
from ..csv_text import unquoted
from ..writers.layout import MANIFEST
from .mask_values import is_lossy, labels_of, mask_number, mask_of
from .objects import Contents, ImageReference, ImportedObject, Mask, Size, plain, read_json

_KIND = "a folder of masks that samnb exported"


def read_mask_pictures(path: Path, pictures: PictureFolder, *, categories: Sequence[str] = ()) -> Contents:
    """The contents of a folder of mask pictures: one object per file, or one number per pixel.

    Parameters
    ----------
    path : path
        The folder. `pictures` may lie in it, or it in `pictures`; or they are the same folder when masks lie beside
        their pictures: there a mask's name is its picture's with something after it, or the same with a lossless
        suffix.
    pictures : PictureFolder
        The available pictures.
    categories : sequence of str
        Names of the numbers 1, 2, … of label maps; default "label 1", "label 2", ….

    Raises
    ------
    ImageNotFound
        No such folder, or no picture in it.
    FormatError
        Its index.csv cannot be read.
    """
    if not path.is_dir():
        raise ImageNotFound(path, expected="a folder of mask pictures")
    rows = _index(path / "index.csv")
    if rows is not None:
        return _exported(path, rows)
    objects, failed = _by_names(path, pictures, categories)
    order = {str(picture): place for place, picture in enumerate(pictures.paths)}
    objects.sort(key=lambda found: order[found.picture.name])
    named = dict.fromkeys(found.picture for found in objects)
    used = sorted(found.category for found in objects if found.category)
    return Contents(tuple(named), tuple(objects), tuple(dict.fromkeys([*categories, *used])), tuple(failed))


# -- identified by their names --------------------------------------------------------------------------


def _by_names(
    root: Path, pictures: PictureFolder, categories: Sequence[str]
) -> tuple[list[ImportedObject], list[Failure]]:
    objects: list[ImportedObject] = []
    failed: list[Failure] = []
    beside, around = root.resolve() == pictures.root.resolve(), root in pictures.root.parents
    for path in find_images(root):
        if (beside and is_lossy(path)) or (around and pictures.root in path.parents):
            continue
        try:
            picture = _picture_of(path, root, pictures)
            # In one folder, a file that belongs to no picture is a picture.
            if picture is None and not beside:
                failed.append(
                    Failure(str(path), "no picture of that name; docs/exchange.md lists the names understood")
                )
            if picture is not None:
                objects += _objects(path, ImageReference(str(picture), root), categories)
        except ImageError as error:
            failed.append(Failure.of(str(path), error))
    return objects, failed


def _picture_of(mask: Path, root: Path, pictures: PictureFolder) -> Path | None:
    """The picture that a mask's name, or its folder's name, refers to; of several the one in the matching folder."""
    inside = mask.relative_to(root).parent
    for stem in (*_stems(mask.stem), inside.name):
        found = [path for path in pictures.of_stem(stem) if path != mask]
        near = [path for path in found if path.parent.relative_to(pictures.root) in (inside, inside.parent)]
        if len(near or found) > 1:
            raise ImageError(f"could belong to several pictures: {', '.join(map(str, found[:3]))}. Rename one.")
        if found:
            return (near or found)[0]
    return None


def _stems(stem: str) -> Iterator[str]:
    """The stem, then what is left when pieces after "_", "-" or "." are taken off its end, the longest first."""
    yield stem
    for cut in sorted((m.start() for m in re.finditer(r"[_.-]+", stem) if m.start()), reverse=True):
        yield stem[:cut]


def _objects(path: Path, picture: ImageReference, categories: Sequence[str]) -> Iterator[ImportedObject]:
    """One object for each label of a mask file."""
    named = re.search(r"__\d+_(.+)$", path.stem)
    for label in labels_of(path):
        number = label or 0
        if label is None:
            category, place = named[1] if named else "", str(path)
            if not category and categories:
                number = _only_number(path)
        else:
            category, place = named[1] if named else f"label {label}", f"{path}, label {label}"
        if 0 < number <= len(categories) and not named:
            category = categories[number - 1]
        yield ImportedObject(
            picture,
            place,
            category,
            partial(_read, path, label),
            may_be_empty=True,
            is_number=label is not None and not named,
        )


def _only_number(path: Path) -> int:
    """The number of the only object of a label map; 0 if its file is a mask alone."""
    highest = mask_number(path)
    # Only single masks have white.
    return 0 if highest == 255 else highest


def _read(path: Path, label: int | None, size_hw: Size) -> Mask:
    return mask_of(path, label)


# -- exported by samnb -----------------------------------------------------------------------------


def _index(path: Path) -> list[dict[str, str]] | None:
    """The rows of an exported index.csv; None if there is none, or another one."""
    if not path.is_file():
        return None
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            rows = [{name: unquoted(text) for name, text in row.items() if isinstance(text, str)} for row in reader]
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
