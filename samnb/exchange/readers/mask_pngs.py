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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from ...cards import count_text
from ...errors import FormatError, ImageError, ImageNotFound, PromptError
from ...images.discovery import find_images
from ...images.folder import PictureFolder
from ...json_files import encoding_of, parse_json
from ...records import Failure
from ..attributes import values_in
from ..csv_text import unquoted
from ..writers.layout import MANIFEST
from .mask_colours import Categories, colours_of, number_of
from .mask_values import has_void, is_coloured, is_lossy, labels_of, mask_number, mask_of, palette_of
from .objects import Contents, ImageReference, ImportedObject, Mask, Size, plain, read_json

_KIND = "a folder of masks that samnb exported"
_LONGEST_HEAD = 10_000


def read_mask_pictures(path: Path, pictures: PictureFolder, *, categories: Categories | None = ()) -> Contents:
    """The contents of a folder of mask pictures: one object per file, or one number per pixel.

    Parameters
    ----------
    path : path
        The folder. `pictures` may lie in it, or it in `pictures`; or they are the same folder when masks lie beside
        their pictures: there a mask's name is its picture's with something after it, or the same with a lossless
        suffix.
    pictures : PictureFolder
        The available pictures.
    categories : sequence of str, or mapping
        Names of the numbers 1, 2, … of label maps; default "label 1", "label 2", …. Or a mapping of names to colours,
        see `samnb.exchange.readers.mask_colours`. None: categories do not matter.

    Raises
    ------
    ImageNotFound
        No such folder, or no picture in it.
    FormatError
        Its index.csv cannot be read.
    PromptError
        `categories` are not names.
    """
    if not path.is_dir():
        raise ImageNotFound(path, expected="a folder of mask pictures")
    categories = _checked(categories)
    rows = _index(path / "index.csv")
    if rows is not None:
        return _exported(path, rows)
    objects, failed, notes = _by_names(path, pictures, categories or (), any_colour=categories is None)
    order = {str(picture): place for place, picture in enumerate(pictures.paths)}
    objects.sort(key=lambda found: order[found.picture.name])
    named = dict.fromkeys(found.picture for found in objects)
    used = sorted(found.category for found in objects if found.category)
    all_categories = tuple(dict.fromkeys([*(categories or ()), *used]))
    return Contents(tuple(named), tuple(objects), all_categories, tuple(failed), notes)


def _checked(categories: Categories | None) -> Categories | None:
    if categories is None or isinstance(categories, Mapping):
        return categories
    names = [categories] if isinstance(categories, str) or not isinstance(categories, Iterable) else list(categories)
    if not all(isinstance(name, str) for name in names):
        raise PromptError(f"categories: expected names in a list, such as ['coin', 'leaf']; got {categories!r}.")
    return names


# -- identified by their names --------------------------------------------------------------------------


def _by_names(
    root: Path, pictures: PictureFolder, categories: Categories, *, any_colour: bool
) -> tuple[list[ImportedObject], list[Failure], tuple[str, ...]]:
    objects: list[ImportedObject] = []
    failed: list[Failure] = []
    meanings = _Meanings(categories, {} if any_colour else colours_of(root, categories), any_colour)
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
                objects += _objects(path, ImageReference(str(picture), root), meanings)
        except ImageError as error:
            failed.append(Failure.of(str(path), error))
    if any(found.is_number for found in objects):
        # Beside label maps, a file with one number is one of them.
        numbers = ((found, meanings.alone.get(found.place, 0)) for found in objects)
        objects = [replace(one, category=f"label {n}", is_number=True) if n else one for one, n in numbers]
    notes = meanings.notes
    if any(one.is_number and one.category.startswith("label ") for one in objects):
        notes += ('numbers of label maps became "label 1", …: categories=["cat", …] names 1, 2, … in their order',)
    return objects, failed, notes


@dataclass
class _Meanings:
    """What numbers and colours mean in all files of a folder.

    Parameters
    ----------
    categories : sequence of str, or mapping
    colours : dict of int to str
    any_colour : bool
        Categories do not matter.
    alone : dict of str to int
        The only number of files without a category, by the place in messages.
    palette : dict of int to (colour, Path)
        The colour of each number in a palette, and the first file that has it.
    void : list of str
        Files of which 255 was left out.
    """

    categories: Categories
    colours: dict[int, str]
    any_colour: bool = False
    alone: dict[str, int] = field(default_factory=dict)
    palette: dict[int, tuple[int, Path]] = field(default_factory=dict)
    void: list[str] = field(default_factory=list)

    @property
    def notes(self) -> tuple[str, ...]:
        """What may have been meant in another way."""
        if not self.void:
            return ()
        shown = ", ".join(self.void[:3]) + (" …" if len(self.void) > 3 else "")
        return (f"255 is void, and no object, in {count_text(len(self.void), 'label map')}: {shown}",)

    def of_colour(self, colour: int) -> tuple[str, bool]:
        """The category of a colour, "" for no object, and True if it is only a number. Raises `ImageError`."""
        if self.any_colour:
            return f"#{colour:06x}", True
        if self.colours:
            if colour not in self.colours and colour:
                raise ImageError(f"its colour #{colour:06x} is not among those that have a category.")
            return self.colours.get(colour, ""), False
        number = number_of(colour)
        return self.of_number(number) if number else ("", False)

    def of_number(self, number: int) -> tuple[str, bool]:
        """The category of a number, and True if it is only a number."""
        names = list(self.categories)
        return (names[number - 1] if 0 < number <= len(names) else f"label {number}"), True

    def check_palette(self, path: Path, numbers: Iterable[int]) -> None:
        """Raise `ImageError` if a number had another colour in an earlier file: then it means something else."""
        palette = {} if self.any_colour else palette_of(path)
        for number in numbers:
            colour, first = self.palette.setdefault(number, (palette.get(number, -1), path))
            if palette.get(number, -1) not in (colour, -1) and colour != -1:
                raise ImageError(
                    f"its number {number} is the colour #{palette[number]:06x}, in {first.name} it is #{colour:06x}: "
                    "each file has a palette of its own. Save all masks with one palette, or as RGB with "
                    "categories={'coin': '#ff0000', …}."
                )


def _picture_of(mask: Path, root: Path, pictures: PictureFolder) -> Path | None:
    """The picture that a mask's name, or its folder's name, refers to; of several the one in the matching folder."""
    inside = mask.relative_to(root).parent
    for stem, place in (*((stem, inside) for stem in _stems(mask.stem)), (inside.name, inside.parent)):
        found = pictures.agreeing(stem, place.parts)
        near = [
            path
            for folder in dict.fromkeys((inside, inside.parent))
            for path in pictures.of_stem_in(pictures.root / folder, stem)
            if path != mask and path in found
        ]
        several = near or list(islice((path for path in found if path != mask), 3))
        if len(several) > 1:
            raise ImageError(f"could belong to several pictures: {', '.join(map(str, several))}. Rename one.")
        if several:
            return several[0]
    elsewhere = [path for path in pictures.of_stem(mask.stem) if path != mask]
    if elsewhere:
        raise ImageError(
            f"no picture of that name in that folder. {elsewhere[0]} has the name and lies in another one: if it is "
            f"meant, say images={str(elsewhere[0].parent)!r}."
        )
    return None


def _stems(stem: str) -> Iterator[str]:
    """The stem, then what is left when pieces after "_", "-" or "." are taken off its end, the longest first."""
    yield stem
    for cut in sorted((m.start() for m in re.finditer(r"[_.-]+", stem) if m.start()), reverse=True):
        yield stem[:cut]


def _objects(path: Path, picture: ImageReference, meanings: _Meanings) -> Iterator[ImportedObject]:
    """One object for each label of a mask file."""
    found = re.search(r"__\d+_(.+)$", path.stem)
    named = found[1] if found else ""
    labels, coloured = labels_of(path), is_coloured(path)
    if has_void(path, labels):
        meanings.void.append(path.name)
    if not named and not coloured:
        meanings.check_palette(path, (label or _only_number(path) for label in labels))
    for label in labels:
        category, is_number = named, False
        place = str(path) if label is None else f"{path}, label {label}"
        if coloured and label is not None:
            place = f"{path}, colour #{label & 0xFFFFFF:06x}"
            if not named:
                category, is_number = meanings.of_colour(label & 0xFFFFFF)
                if not category:
                    continue
        elif not named and label is not None:
            category, is_number = meanings.of_number(label)
        elif not named and (number := _only_number(path)):
            if meanings.categories:
                category, is_number = meanings.of_number(number)[0], False
            else:
                meanings.alone[place] = number
        read = partial(_read, path, label)
        yield ImportedObject(picture, place, category, read, may_be_empty=True, is_number=is_number)


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
        with open(path, "rb") as file:
            encoding = encoding_of(file.read(2))
        on_bad = "replace" if encoding == "utf-16" else "surrogateescape"
        with open(path, encoding=encoding, errors=on_bad, newline="") as stream:
            head = stream.readline(_LONGEST_HEAD)
            stream.seek(0)
            # A spreadsheet saves a table with semicolons where the comma is in numbers.
            reader = csv.DictReader(stream, restval="", delimiter=max(",;\t", key=head.count))
            rows = [{name: unquoted(text) for name, text in row.items() if isinstance(text, str)} for row in reader]
    except (OSError, csv.Error, UnicodeError) as error:
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
            ImportedObject(
                *(picture, place, row["category"], partial(_listed, root, row), _score(row.get("score"))),
                attributes=_attributes(row.get("attributes")),
            )
        )
    of_name = {found.picture.name: found.picture for found in objects}
    # An image without annotations has no row.
    pictures = {**{name: ImageReference(name, root) for name in _names(root / MANIFEST)}, **of_name}
    named = pictures.values()
    return Contents(
        tuple(named), tuple(objects), tuple(sorted(categories, key=categories.__getitem__)), tuple(failed), upright=True
    )


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


def _attributes(text: str | None) -> dict[str, bool | str]:
    try:
        return values_in(parse_json(text)) if text else {}
    except ValueError:
        return {}


def _score(text: str | None) -> float:
    try:
        score = float((text or "").replace(",", "."))
    except ValueError:
        return 1.0
    return score if math.isfinite(score) else 1.0
