"""Pascal VOC: an XML file of boxes for each picture, and a PNG of its objects where there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ...cards import count_text
from ...errors import FormatError, ImageError, ImageNotFound
from ...json_files import parse_json, read_bounded
from ...records import Failure
from .mask_values import label_boxes, mask_of
from .objects import (
    Contents,
    ImageReference,
    ImportedObject,
    Mask,
    PicturesBeside,
    Size,
    box_alone,
    box_iou,
    box_mask,
    files_below,
    lines_of,
)

_KIND = "an XML file of Pascal VOC"
_FLAGS = ("truncated", "difficult", "occluded")
_LARGEST = 1 << 24
_AGREES = 0.5
_BOX = ("xmin", "ymin", "xmax", "ymax")

Box = tuple[float, float, float, float]


def read_voc(path: Path) -> Contents:
    """The contents of an XML file of Pascal VOC, or of all in a folder, as samnb's export or LabelImg writes them.

    The mask of an object is what ``SegmentationObject/<name>.png`` has in its box: the pixels of the object's own
    number, from 1, or else of one whose box agrees. An object without such pixels is only a box. Boxes count from 1,
    and both corners are inside.

    Raises
    ------
    ImageNotFound
        A folder without any.
    FormatError
        A file that is none; one of a folder's is reported.
    """
    if not path.is_dir():
        return _contents([path], strict=True)
    inside = path / "Annotations"
    files = files_below(inside if inside.is_dir() else path, ".xml")
    if not files:
        raise ImageNotFound(path, expected="an XML file of Pascal VOC, or a folder of them")
    found = _contents(files, strict=False)
    return replace(found, categories=tuple(dict.fromkeys([*_labels(path / "labels.txt"), *found.categories])))


def _labels(file: Path) -> Iterator[str]:
    """The categories that an export lists; one that cannot be printed is there as JSON."""
    for line in lines_of(file):
        text = line
        if line.startswith('"'):
            try:
                text = str(parse_json(line.encode()))
            except ValueError:  # a name with a quotation mark
                text = line
        if text.strip():
            yield text.strip()


def _contents(files: list[Path], *, strict: bool) -> Contents:
    pictures: list[ImageReference] = []
    objects: list[ImportedObject] = []
    failed: list[Failure] = []
    ours, beside = [], PicturesBeside()
    for file in files:
        try:
            document = _parsed(file)
        except FormatError as error:
            if strict:
                raise
            failed.append(Failure(str(file), error.reason))
            continue
        exported = _text(document, "source/database") == "samnb"
        picture = _picture(file, document, beside, exported=exported)
        pictures.append(picture)
        ours.append(exported)
        objects += _objects(file, picture, document, failed, exported=exported)
    categories = tuple(dict.fromkeys(found.category for found in objects))
    return Contents(tuple(pictures), tuple(objects), categories, tuple(failed), upright=all(ours))


def _parsed(file: Path) -> Element:
    """The tree of a file. One that declares a type is refused: a small one can mean gigabytes of text."""
    tree, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise FormatError(file, _KIND, "it declares a document type, which no such file does")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = tree.start, tree.end
    parser.CharacterDataHandler = tree.data
    try:
        parser.Parse(read_bounded(file, limit=_LARGEST), True)
        root = tree.close()
    except OSError as error:
        raise FormatError(file, _KIND, f"it cannot be read ({error.strerror or error})") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise FormatError(file, _KIND, f"it is no XML ({error})") from error
    if root.tag != "annotation":
        raise FormatError(file, _KIND, f"it holds <{root.tag}>, expected <annotation>")
    return root


def _beside(file: Path, folder: str) -> Path:
    """The folder of that name beside ``Annotations``, with the folders that an XML file has below it."""
    above = next((place for place in file.parents if place.name == "Annotations"), file.parent)
    return above.parent / folder / file.parent.relative_to(above)


def _picture(file: Path, document: Element, beside: PicturesBeside, *, exported: bool) -> ImageReference:
    name = _text(document, "filename") or file.stem
    folders = [folder for folder in (_beside(file, "JPEGImages"), file.parent) if folder.is_dir()]
    if not any(os.path.isfile(os.path.join(folder, name)) for folder in folders):
        # Some tools write the name without its suffix, or that of another copy.
        near = [path for folder in folders for path in beside.of_stem(folder, file.stem)]
        name = near[0].name if len(near) == 1 else name
    size: Any = tuple(_number(_text(document, f"size/{side}")) for side in ("height", "width"))
    known = all(side and 1 <= side < 1e9 and side % 1 == 0 for side in size)  # LabelImg writes 0 if it does not know
    # LabelImg's path is of the computer where it ran: it tells apart pictures of one name.
    hint = _text(document, "source/image") if exported else _text(document, "path").replace("\\", "/")
    return ImageReference(name, folders[0], (int(size[0]), int(size[1])) if known else None, hint)


def _objects(
    file: Path, picture: ImageReference, document: Element, failed: list[Failure], *, exported: bool
) -> Iterator[ImportedObject]:
    png = _beside(file, "SegmentationObject") / f"{file.stem}.png"
    left: dict[int, tuple[int, int, int, int]] = {}
    if png.is_file():
        try:
            left = label_boxes(png)
        except ImageError as error:
            failed.append(Failure.of(str(png), error))
    for number, element in enumerate(document.findall("object"), 1):
        place, name = f"{file.name}, object {number}", _text(element, "name")
        if not name:
            failed.append(Failure(place, "it has no name"))
            continue
        corners = {corner: _text(element, f"bndbox/{corner}") for corner in _BOX}
        about: Any = {"attributes": _attributes(element)}
        if exported and _at_the_edge(corners, picture.size_hw):
            about["attributes"].pop("truncated", None)  # the export says so of every such object
        read: Callable[[Size], Mask] = box_alone
        if (label := _label_of(number, corners, left, exported=exported)) is not None:
            read = partial(_numbered, png, label)
            del left[label]
        else:
            about["read_box"] = partial(_box, corners)
        yield ImportedObject(picture, place, name, read, **about)
    if left:
        which = ", ".join(str(label) for label in list(left)[:3])
        reason = (
            f"no object of {file.name} has the pixels of {count_text(len(left), 'number')} in it ({which}); "
            'import_("masks", "…/SegmentationClass") reads masks alone'
        )
        failed.append(Failure(str(png), reason))


def _label_of(number: int, corners: dict[str, str], left: Mapping[int, Box], *, exported: bool) -> int | None:
    """The label in ``SegmentationObject`` of an object: its number, or that whose box agrees; None if there is none."""
    if exported:
        return number if number in left else None  # all of it may lie below others
    try:
        box = _corners(corners)
    except ImageError:
        return None
    agreed = {label: box_iou(box, of) for label, of in left.items()}
    best = number if agreed.get(number, 0) >= _AGREES else max(agreed, key=agreed.__getitem__, default=None)
    return best if best is not None and agreed[best] >= _AGREES else None


def _at_the_edge(corners: dict[str, str], size_hw: Size | None) -> bool:
    x0, y0, x1, y1 = (_number(corners[name]) for name in _BOX)
    return x0 == 1 or y0 == 1 or (size_hw is not None and (y1 == size_hw[0] or x1 == size_hw[1]))


def _attributes(element: Element) -> dict[str, bool | str]:
    """The flags of VOC that are set, and the attributes as CVAT writes them."""
    values: dict[str, bool | str] = {flag: True for flag in _FLAGS if _number(_text(element, flag)) == 1}
    for each in element.findall("attributes/attribute"):
        name, value = _text(each, "name"), _text(each, "value")
        if name:
            values[name] = value.lower() == "true" if value.lower() in ("true", "false") else value
    return values


def _numbered(file: Path, number: int, size_hw: Size) -> Mask:
    return mask_of(file, number)


def _box(corners: dict[str, str], size_hw: Size) -> Mask:
    return box_mask(_corners(corners), size_hw)


def _corners(texts: dict[str, str]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (_number(texts[name]) for name in _BOX)
    if x0 is None or y0 is None or x1 is None or y1 is None:
        raise ImageError(f"a broken bndbox: expected {', '.join(_BOX)}, all of them numbers.")
    return x0 - 1, y0 - 1, x1, y1


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
