"""labelme's JSON files, one for each picture, and those of X-AnyLabeling, which are nearly the same."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cards import count_text
from ...errors import FormatError, ImageError, ImageNotFound
from ...images import open_picture
from ...images.discovery import is_picture_name
from ...records import Failure
from ..attributes import values_in
from ..writers.layout import MANIFEST
from .objects import (
    Contents,
    ImageReference,
    ImportedObject,
    Mask,
    Size,
    files_below,
    joined,
    lines_of,
    read_json,
    ring_mask,
    score_of,
    size_of,
    value_of,
)

_KIND = "a file of labelme"
# X-AnyLabeling's names for polygons of four corners are among them.
_POLYGONS = ("polygon", "oriented_rectangle", "rotation", "quadrilateral")
_AREAS = (*_POLYGONS, "rectangle", "circle", "mask")
_NO_OBJECTS = ("__ignore__", "_background_")


def read_labelme(path: Path) -> Contents:
    """The contents of a JSON file of labelme, or of all in a folder; shapes of one label and group are one object.

    Raises
    ------
    ImageNotFound
        A folder without any.
    FormatError
        A file that is none; one of a folder's is reported.
    """
    if not path.is_dir():
        return _contents([path], strict=True)
    files = [file for file in files_below(path, ".json") if file.name != MANIFEST]
    if not files:
        raise ImageNotFound(path, expected="a JSON file of labelme, or a folder of them")
    said = _contents(files, strict=False)
    return replace(said, categories=tuple(dict.fromkeys([*_labels(path / "labels.txt"), *said.categories])))


def _labels(file: Path) -> list[str]:
    """The labels of a ``labels.txt`` for labelme; those with underscores are not objects."""
    return [
        name for line in lines_of(file) if (name := line.strip()) and not (name.startswith("_") and name.endswith("_"))
    ]


def _contents(files: list[Path], *, strict: bool) -> Contents:
    pictures: list[ImageReference] = []
    objects: list[ImportedObject] = []
    failed: list[Failure] = []
    ignored: list[str] = []
    for file in files:
        try:
            picture, shapes = _opened(file)
        except FormatError as error:
            if strict:
                raise
            failed.append(Failure(str(file), error.reason))
            continue
        pictures.append(picture)
        objects += _objects(file, picture, shapes, failed, ignored)
    categories = tuple(dict.fromkeys(found.category for found in objects))
    notes = (f"{count_text(len(ignored), 'shape')} marked as no object, left out: {ignored[0]} …",) if ignored else ()
    return Contents(
        tuple(pictures), tuple(objects), categories, tuple(failed), notes, all(picture.original for picture in pictures)
    )


def _opened(file: Path) -> tuple[ImageReference, list[Any]]:
    document = read_json(file, _KIND)
    name, shapes = document.get("imagePath"), document.get("shapes")
    if not isinstance(name, str) or not isinstance(shapes, list):
        raise FormatError(file, _KIND, "it lacks an imagePath, or a list of shapes")
    name = name if name.strip() else file.name  # of a picture that had no file when it was annotated
    original = document.get("samnb_image")
    named = ImageReference(
        _beside(file, name),
        file.parent,
        size_of(document, "imageHeight", "imageWidth"),
        original if isinstance(original, str) else "",
        embedded=file if isinstance(document.get("imageData"), str) and document["imageData"] else None,
    )
    return named, shapes


def _beside(file: Path, name: str) -> str:
    """The picture beside a file that names itself, as labelme 4 wrote, or nothing; else the name."""
    if not name.lower().endswith(".json"):
        return name
    stem = name.replace("\\", "/").rpartition("/")[2][: -len(".json")]
    found = [path.name for path in file.parent.glob(f"{escape(stem)}.*") if is_picture_name(path.name)]
    return found[0] if len(found) == 1 else name


def embedded_picture(file: Path) -> bytes:
    """The bytes of the picture inside a JSON file of labelme. Raises `ImageError`."""
    try:
        return base64.b64decode(str(read_json(file, _KIND).get("imageData")), validate=True)
    except (FormatError, ValueError) as error:
        raise ImageError(f"{file}: its imageData is no picture in base64 ({error}).") from error


def _objects(
    file: Path, picture: ImageReference, shapes: list[Any], failed: list[Failure], ignored: list[str]
) -> list[ImportedObject]:
    together: dict[Any, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, shape in enumerate(shapes, 1):
        label, group = value_of(shape, "label"), value_of(shape, "group_id")
        # Some tools number their classes, and write the number as the label.
        label = str(label) if isinstance(label, int) and not isinstance(label, bool) else label
        if not isinstance(label, str) or not label.strip():
            failed.append(Failure(f"{file.name}, shape {number}", "it has no label"))
            continue
        if label.strip() in _NO_OBJECTS:
            ignored.append(f"{label.strip()} in {file.name}")
            continue
        key = (label, "alone", number) if group is None else (label, "group", str(group))
        together.setdefault(key, []).append((number, shape))
    objects = []
    for (label, *_), members in together.items():
        place = f"{file.name}, shape {', '.join(str(number) for number, _ in members)}"
        lost: list[str] = []
        read = partial(_of_shapes, members, lost)
        score = min(score_of(shape) for _, shape in members)
        about: Any = {"lost": lost, "attributes": _attributes(shape for _, shape in members)}
        if len(members) == 1 and members[0][1].get("shape_type") == "rectangle":
            about["read_box"] = read
        objects.append(ImportedObject(picture, place, label.strip(), read, score, **about))
    return objects


def _attributes(shapes: Iterable[Mapping[str, Any]]) -> dict[str, bool | str]:
    """labelme's flags and description, and the attributes of X-AnyLabeling, of the parts of one object."""
    values: dict[str, bool | str] = {}
    for shape in shapes:
        flags = {name: value for name, value in values_in(shape.get("flags")).items() if isinstance(value, bool)}
        more = {"description": shape.get("description"), "difficult": shape.get("difficult") or None}
        values |= {name: values.get(name) is True or flag for name, flag in flags.items()}
        values |= values_in(shape.get("attributes")) | {n: v for n, v in values_in(more).items() if v}
    return values


def _of_shapes(members: list[tuple[int, Mapping[str, Any]]], lost: list[str], size_hw: Size) -> Mask:
    return joined((partial(_of_shape, shape, size_hw) for _, shape in members), size_hw, lost)


def _of_shape(shape: Mapping[str, Any], size_hw: Size) -> Mask:
    kind, points = shape.get("shape_type") or "polygon", shape.get("points")
    # X-AnyLabeling writes rectangles by all four corners.
    if kind in _POLYGONS or (kind == "rectangle" and isinstance(points, list) and len(points) == 4):
        return ring_mask(points, size_hw)
    if kind not in _AREAS:
        raise ImageError(f"a {kind!r} covers no area; understood are {', '.join(_AREAS)}.")
    try:
        (x0, y0), (x1, y1) = np.asarray(points, np.float64).tolist()
        numbers = math.isfinite(x0 + y0 + x1 + y1)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError(f"a broken {kind}: expected two points, each x and y.") from error
    if not numbers:
        raise ImageError(f"a broken {kind}: expected two points of finite numbers.")
    if kind == "rectangle":
        return ring_mask([x0, y0, x1, y0, x1, y1, x0, y1], size_hw)
    if kind == "circle":
        rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
        return np.asarray(np.hypot(columns - x0, rows - y0) <= math.hypot(x1 - x0, y1 - y0))
    return _pasted(shape.get("mask"), (round(x0), round(y0), round(x1), round(y1)), size_hw)


def _pasted(content: Any, corners: tuple[int, int, int, int], size_hw: Size) -> Mask:
    """labelme's mask shape: a PNG of the part from one corner pixel to the other, both inside."""
    x0, y0, x1, y1 = corners
    size = (y1 - y0 + 1, x1 - x0 + 1)
    if not (0 <= x0 <= x1 < size_hw[1] and 0 <= y0 <= y1 < size_hw[0]):
        raise ImageError(f"its mask reaches from ({x0}, {y0}) to ({x1}, {y1}): not inside the picture.")
    part = _png(content, size)
    mask = np.zeros(size_hw, bool)
    mask[y0 : y1 + 1, x0 : x1 + 1] = part
    return mask


def _png(content: Any, size_hw: Size) -> NDArray[Any]:
    try:
        with open_picture(base64.b64decode(content, validate=True), "its mask", only=("PNG",)) as opened:
            # Before it is decoded: a small file can be a huge picture.
            if opened.size != size_hw[::-1]:
                raise ImageError(f"its mask is of size (H, W) {opened.size[::-1]}, its corners say {size_hw}.")
            part = np.asarray(opened).astype(bool)
    except ImageError:
        raise
    except (TypeError, ValueError) as error:
        raise ImageError(f"its mask is no PNG in base64 ({error}).") from error
    return np.asarray(part.any(axis=2)) if part.ndim == 3 else part
