"""YOLO's text files, one for each picture: polygons, or boxes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...cards import count_text
from ...errors import FormatError, ImageError, ImageNotFound, PromptError
from ...images.discovery import is_picture_name
from ...images.folder import PictureFolder
from ...json_files import encoding_of, read_bounded
from ...records import Failure
from ..writers.layout import MANIFEST, Names
from .objects import (
    Contents,
    ImageReference,
    ImportedObject,
    Mask,
    Size,
    box_alone,
    box_mask,
    lines_of,
    read_json,
    ring_mask,
)

_KIND = "a folder of YOLO, or its data.yaml"
_YAML = (".yaml", ".yml")
_NAMES = ("classes.txt", "obj.names", "classes.names")
_LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt", "autosplit_train.txt", "autosplit_val.txt")
_LARGEST_YAML, _LARGEST_LABELS = 1 << 20, 1 << 24
_SHOWN = 100


def read_yolo(path: Path, pictures: PictureFolder, *, categories: Sequence[str] = ()) -> Contents:
    """The contents of a folder laid out for YOLO: text files below ``labels/``, or beside their pictures.

    A line is one object: the number of its category from 0, and then either the corners of its outline, x and y, or a
    box, the x and y of its middle, its width and height; all of them from 0 to 1. A number more at the end, the
    confidence of a detector, is its score.

    Parameters
    ----------
    path : path
        The folder, or its ``data.yaml``, which names the categories; ``classes.txt`` and ``obj.names`` do, too.
    pictures : PictureFolder
        The available pictures, for text files that have none in ``images/`` or beside them.
    categories : sequence of str
        Names of the numbers 0, 1, …, if no file has them; default "class 0", "class 1", ….

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
    document = _document(path)
    root = _root(path, document)
    files = _label_files(root)
    if not files and not document:
        raise ImageNotFound(path, expected="a folder with YOLO's text files, below labels/ or beside pictures")
    names = _names(document) or dict(enumerate(categories)) or dict(enumerate(_listed(root, files)))
    originals = _originals(root)
    run = _Run(root, pictures, names, "kpt_shape" in document, originals)
    for file in files:
        run.read(file)
    unnamed = 'numbers without a name became "class 0", …: categories=["cat", …] names 0, 1, … in their order'
    notes = (unnamed,) if run.unnamed else ()
    used = [found.category for found in run.objects]
    everything = tuple(dict.fromkeys([*(names[number] for number in sorted(names)), *sorted(set(used))]))
    return Contents(tuple(run.pictures), tuple(run.objects), everything, tuple(run.failed), notes, bool(originals))


def _document(path: Path) -> dict[str, Any]:
    """What data.yaml says; nothing where there is none. Every value is a text: the name "no" is no false."""
    if path.is_dir():
        there = sorted(file for file in path.iterdir() if file.suffix.lower() in _YAML)
        named = [file for file in there if file.stem.lower() in ("data", "dataset")] or there
        if len(named) != 1:
            return {}
        path = named[0]
    elif path.suffix.lower() not in _YAML:
        raise FormatError(path, _KIND, "expected a folder, or a file .yaml")
    import yaml

    try:
        # Loaders that make only texts; that in C is ten times as fast, and refuses what is nested without end.
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        document = yaml.load(read_bounded(path, limit=_LARGEST_YAML), Loader=loader)
    except OSError as error:
        raise FormatError(path, _KIND, f"it cannot be read ({error.strerror or error})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(path, _KIND, f"it is no YAML ({reason:.200})") from error
    if not isinstance(document, dict):
        raise FormatError(path, _KIND, "it holds no names of values")
    return document


def _root(path: Path, document: Mapping[str, Any]) -> Path:
    """The folder of the data: what data.yaml says if that is there, else the one that it is in."""
    near = path if path.is_dir() else path.parent
    said = document.get("path")
    if isinstance(said, str) and said and "\0" not in said and os.path.isdir(near / said):
        return Path(os.path.abspath(near / said))
    return near


def _names(document: Mapping[str, Any]) -> dict[int, str]:
    named = document.get("names")
    if isinstance(named, list):
        named = {str(number): name for number, name in enumerate(named)}
    if not isinstance(named, dict):
        return {}
    texts = {key: name.strip() for key, name in named.items() if isinstance(name, str) and name.strip()}
    return {int(key): name for key, name in texts.items() if isinstance(key, str) and key.isdecimal() and len(key) < 9}


def _originals(root: Path) -> dict[str, str]:
    """Of an export of samnb, the names that its images had, by those of their text files."""
    try:
        manifest = read_json(root / MANIFEST, _KIND)
    except FormatError:  # most folders have none
        return {}
    images, stems = manifest.get("images"), Names()
    if manifest.get("format") != "yolo" or not isinstance(images, list):
        return {}
    return {stems.stem(name): name for name in images if isinstance(name, str)}


def _label_files(root: Path) -> list[Path]:
    """The text files below a folder ``labels``; where there is none, those that are no list of pictures or names."""
    files = [file for file in sorted(root.rglob("*.txt")) if file.name.lower() not in (*_NAMES, *_LISTS)]
    inside = [file for file in files if "labels" in file.relative_to(root).parts[:-1] or root.name == "labels"]
    return inside or [file for file in files if not file.name.lower().startswith("readme")]


def _listed(root: Path, files: Sequence[Path]) -> list[str]:
    """The categories of a text file with one on each line, in the folder or beside the first labels."""
    for folder in dict.fromkeys((root, *(file.parent for file in files[:1]))):
        for name in _NAMES:
            if lines := [line.strip() for line in lines_of(folder / name)]:
                return [line or f"class {number}" for number, line in enumerate(lines)]
    return []


@dataclass
class _Run:
    """One reading of a folder; see `read_yolo`."""

    root: Path
    available: PictureFolder
    names: Mapping[int, str]
    keypoints: bool
    originals: Mapping[str, str]
    pictures: list[ImageReference] = field(default_factory=list)
    objects: list[ImportedObject] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    unnamed: bool = False
    beside: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)

    def read(self, file: Path) -> None:
        """The picture and the objects of a text file; what cannot be used is in `failed`."""
        place = str(file.relative_to(self.root))
        try:
            content = read_bounded(file, limit=_LARGEST_LABELS)
            picture = self._picture(file)
        except (OSError, ValueError, ImageError) as error:
            reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            self.failed.append(Failure(place, reason))
            return
        self.pictures.append(picture)
        lines = content.decode(encoding_of(content), "replace").splitlines()
        for number, line in enumerate(lines, 1):
            if line.strip():
                self._object(picture, f"{place}, line {number}", line)

    def _picture(self, file: Path) -> ImageReference:
        """The picture in ``images/`` or beside the text file, or of its name among those there are."""
        *folders, _ = file.relative_to(self.root).parts
        original = self.originals.get(file.stem, "")
        for found in (
            self._in(_images_of(self.root, file.parent), file.stem),
            self._in(file.parent, file.stem),
            self.available.agreeing(file.stem, [part for part in folders if part != "labels"]),
        ):
            if len(found) > 1:
                places = ", ".join(str(path) for path in found[:3])
                raise ImageError(f"could belong to several pictures: {places}. Rename one.")
            if found:
                inside = self.root in found[0].parents
                name = os.path.relpath(found[0], self.root) if inside else str(found[0])
                return ImageReference(name, self.root, original=original)
        return ImageReference(file.stem, file.parent, original=original)

    def _in(self, folder: Path, stem: str) -> Sequence[Path]:
        """The pictures of a folder with that name."""
        if folder not in self.beside:
            stems: dict[str, list[Path]] = {}
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if is_picture_name(path.name):
                    stems.setdefault(path.stem, []).append(path)
            self.beside[folder] = stems
        return self.beside[folder].get(stem, ())

    def _object(self, picture: ImageReference, place: str, line: str) -> None:
        try:
            number, values, score = _numbers(line, keypoints=self.keypoints)
        except ImageError as error:
            self.failed.append(Failure(place, str(error)))
            return
        self.unnamed |= number not in self.names
        category = self.names.get(number, f"class {number}")
        if len(values) == 4:
            more: Any = {"read_box": partial(_box, values)}
            self.objects.append(ImportedObject(picture, place, category, box_alone, score, **more))
        else:
            self.objects.append(ImportedObject(picture, place, category, partial(_outline, values), score))


def _images_of(root: Path, folder: Path) -> Path:
    """The folder of pictures for one of labels: the last "labels" in its path, or the root's name, is "images"."""
    parts = folder.relative_to(root).parts
    places = [place for place, part in enumerate(parts) if part == "labels"]
    if places:
        return root.joinpath(*parts[: places[-1]], "images", *parts[places[-1] + 1 :])
    return root.parent.joinpath("images", *parts) if root.name == "labels" else folder


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
