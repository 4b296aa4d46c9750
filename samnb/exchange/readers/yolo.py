"""YOLO's text files, one for each picture: polygons, or boxes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...cards import count_text
from ...errors import FormatError, ImageError, ImageNotFound, PromptError
from ...images.folder import PictureFolder
from ...json_files import encoding_of, read_bounded
from ...records import Failure
from ..writers.layout import MANIFEST
from .objects import (
    Contents,
    ImageReference,
    ImportedObject,
    Mask,
    PicturesBeside,
    Size,
    box_alone,
    box_mask,
    files_below,
    read_json,
    ring_mask,
)
from .yolo_names import Names, NamesBeside, document_in

_KIND = "a folder of YOLO, or its data.yaml"
_LISTS_OF_NAMES = ("classes.txt", "obj.names", "classes.names", "_darknet.labels")
_LARGEST = 1 << 24
_SHOWN = 100


def read_yolo(path: Path, pictures: PictureFolder, *, categories: Sequence[str] = ()) -> Contents:
    """The contents of a folder laid out for YOLO: text files below ``labels/``, or beside their pictures.

    A line is one object: the number of its category from 0, and then either the corners of its outline, x and y, or a
    box, the x and y of its middle, its width and height; all of them from 0 to 1. A number more at the end, the
    confidence of a detector, is its score.

    Parameters
    ----------
    path : path
        The folder, or a ``data.yaml``. The categories are named by that, or by the nearest ``data.yaml``,
        ``classes.txt`` or ``obj.names`` above a text file.
    pictures : PictureFolder
        The available pictures, for text files that have none in ``images/`` or beside them.
    categories : sequence of str
        Names of the numbers 0, 1, …, in place of those in files. Default: as files have them, else "class 0", ….

    Raises
    ------
    ImageNotFound
        No text file for a picture there.
    FormatError
        The ``data.yaml`` cannot be read.
    PromptError
        `categories` are not names.
    """
    if isinstance(categories, str) or not all(isinstance(name, str) for name in categories):
        raise PromptError(f"categories: expected names in a list, such as ['coin', 'leaf']; got {categories!r}.")
    root, given = path, None
    if not path.is_dir():
        given = document_in(path, _KIND)
        root = _root(path.parent, given.values)
    names = Names(dict(enumerate(categories)), False) if categories else given
    run = _Run(root, pictures, NamesBeside(root, _LISTS_OF_NAMES, _KIND, names), _originals(root))
    run.names.of(root)
    for file in run.label_files():
        run.read(file)
    if not run.pictures and not run.failed and not (root / MANIFEST).is_file():
        raise ImageNotFound(path, expected="a folder with YOLO's text files, below labels/ or beside pictures")
    unnamed = 'numbers without a name became "class 0", …: categories=["cat", …] names 0, 1, … in their order'
    used = sorted({found.category for found in run.objects})
    everything = tuple(dict.fromkeys([*run.names.all(), *used]))
    notes = (unnamed,) if run.unnamed else ()
    ours = bool(run.originals)
    return Contents(tuple(run.pictures), tuple(run.objects), everything, tuple(run.failed), notes, ours)


def _root(near: Path, document: Mapping[str, Any]) -> Path:
    """The folder of the data of a data.yaml: its ``path``, or what its lists have in common, if they are elsewhere."""
    said = document.get("path")
    if isinstance(said, str) and said and "\0" not in said and os.path.isdir(near / said):
        near = Path(os.path.abspath(near / said))
    splits = [document.get(name) for name in ("train", "val", "test")]
    texts = [text for split in splits for text in (split if isinstance(split, list) else [split])]
    places = [near / text for text in texts if isinstance(text, str) and text and "\0" not in text]
    found = [os.path.abspath(place) for place in places if os.path.isdir(place)]
    if found and not any(Path(place).is_relative_to(near) for place in found):
        folders = [str(_labels_of(Path(place))) for place in found]
        return Path(os.path.commonpath(folders))
    return near


def _originals(root: Path) -> dict[str, str]:
    """Of an export of samnb, the names that its images had, by those of their text files."""
    try:
        manifest = read_json(root / MANIFEST, _KIND)
    except FormatError:  # most folders have none
        return {}
    images = manifest.get("images") if manifest.get("format") == "yolo" else None
    return {stem: name for stem, name in images.items() if isinstance(name, str)} if isinstance(images, dict) else {}


@dataclass
class _Run:
    """One reading of a folder; see `read_yolo`."""

    root: Path
    available: PictureFolder
    names: NamesBeside
    originals: Mapping[str, str]
    pictures: list[ImageReference] = field(default_factory=list)
    objects: list[ImportedObject] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    unnamed: bool = False
    beside: PicturesBeside = field(default_factory=PicturesBeside)

    def label_files(self) -> Iterator[Path]:
        """The text files that have a picture, are in a folder ``labels``, or begin with numbers; no lists of names."""
        above = len(self.root.parts) - 2  # the root may be that folder, or one in it
        for file in files_below(self.root, ".txt"):
            inside = "labels" in file.parts[max(above, 0) : -1]
            named = file.name.lower() in _LISTS_OF_NAMES
            if self._own(file) or (not named and (inside or _begins_with_numbers(file))):
                yield file

    def read(self, file: Path) -> None:
        """The picture and the objects of a text file; what cannot be used is in `failed`."""
        place = str(file.relative_to(self.root))
        try:
            content = read_bounded(file, limit=_LARGEST)
            picture = self._picture(file)
            names = self.names.of(file.parent)
        except (OSError, ValueError, ImageError) as error:
            reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            self.failed.append(Failure(place, reason))
            return
        self.pictures.append(picture)
        lines = content.decode(encoding_of(content), "replace").splitlines()
        for number, line in enumerate(lines, 1):
            if line.strip():
                self._object(picture, f"{place}, line {number}", line, names)

    def _own(self, file: Path) -> list[Path]:
        """The pictures of its name in ``images/``, or beside it."""
        folders = dict.fromkeys((_images_of(file.parent), file.parent))
        return [path for folder in folders for path in self.beside.of_stem(folder, file.stem)]

    def _picture(self, file: Path) -> ImageReference:
        """The picture in ``images/`` or beside the text file, or of its name among those there are."""
        folders = [part for part in file.relative_to(self.root).parts[:-1] if part not in ("labels", "images")]
        original = self.originals.get(file.relative_to(self.root).with_suffix("").as_posix(), "")
        for found in (self._own(file), self.available.agreeing(file.stem, folders)):
            if len(found) > 1:
                places = ", ".join(str(path) for path in found[:3])
                raise ImageError(f"could belong to several pictures: {places}. Rename one.")
            if found:
                inside = self.root in found[0].parents
                name = os.path.relpath(found[0], self.root) if inside else str(found[0])
                return ImageReference(name, self.root, original=original)
        return ImageReference("/".join([*folders, file.stem]), file.parent, original=original)

    def _object(self, picture: ImageReference, place: str, line: str, names: Names) -> None:
        try:
            number, values, score = _numbers(line, keypoints=names.keypoints)
        except ImageError as error:
            self.failed.append(Failure(place, str(error)))
            return
        self.unnamed |= number not in names.of_number
        category = names.of_number.get(number, f"class {number}")
        if len(values) == 4:
            more: Any = {"read_box": partial(_box, values)}
            self.objects.append(ImportedObject(picture, place, category, box_alone, score, **more))
        else:
            self.objects.append(ImportedObject(picture, place, category, partial(_outline, values), score))


def _images_of(folder: Path) -> Path:
    """The folder of pictures for one of labels: the last "labels" in its path is "images"."""
    return _exchanged(folder, "labels", "images")


def _labels_of(folder: Path) -> Path:
    return _exchanged(folder, "images", "labels")


def _exchanged(folder: Path, one: str, other: str) -> Path:
    places = [place for place, part in enumerate(folder.parts) if part == one]
    return Path(*folder.parts[: places[-1]], other, *folder.parts[places[-1] + 1 :]) if places else folder


def _begins_with_numbers(file: Path) -> bool:
    """True for a file whose first line is an object: others are lists of pictures or names, and texts to read."""
    try:
        content = read_bounded(file, limit=_LARGEST)
        first = content.decode(encoding_of(content), "replace").lstrip().partition("\n")[0]
        _numbers(first, keypoints=True)
    except (OSError, ValueError, ImageError):
        return False
    return True


def _numbers(line: str, *, keypoints: bool) -> tuple[int, tuple[float, ...], float]:
    """The category's number, four values of a box or those of the corners, and the score of a line.

    >>> _numbers("3 0.5 0.5 0.25 0.1 0.75", keypoints=False)
    (3, (0.5, 0.5, 0.25, 0.1), 0.75)
    """
    try:
        first, *values = (float(text) for text in line.split())
    except ValueError as error:
        raise ImageError(f"expected numbers; got {line.strip()!r:.{_SHOWN}}.") from error
    if not (math.isfinite(first) and first >= 0 and first % 1 == 0 and first < 1e9):
        raise ImageError(f"expected the number of a category first; got {line.strip()!r:.{_SHOWN}}.")
    if keypoints:
        values = values[:4]
    if len(values) == 6 and values[5] >= 2 and values[5] % 1 == 0:  # the number of a track
        values.pop()
    score = 1.0
    if len(values) == 5 or (len(values) > 6 and len(values) % 2):
        score = values.pop()
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise ImageError(f"expected a box or an outline after the category; got {count_text(len(values), 'number')}.")
    if not all(-0.5 <= value <= 1.5 for value in (*values, score)):
        raise ImageError(f"expected numbers from 0 to 1, parts of the picture's sides; got {line.strip()!r:.{_SHOWN}}.")
    return int(first), tuple(values), score


def _box(values: Sequence[float], size_hw: Size) -> Mask:
    x, y, width, height = values
    high, wide = size_hw
    left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return box_mask((left * wide, top * high, right * wide, bottom * high), size_hw)


def _outline(values: Sequence[float], size_hw: Size) -> Mask:
    return ring_mask([value * size_hw[1 - place % 2] for place, value in enumerate(values)], size_hw)
