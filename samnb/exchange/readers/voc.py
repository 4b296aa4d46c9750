"""Pascal VOC: an XML file of boxes for each picture, and a PNG of its objects where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ...errors import FormatError, ImageError, ImageNotFound
from ...json_files import parse_json, read_bounded
from ...records import Failure
from .mask_values import mask_of
from .objects import Contents, ImageReference, ImportedObject, Mask, Size, box_alone, box_mask, lines_of

_KIND = "an XML file of Pascal VOC"
_FLAGS = ("truncated", "difficult", "occluded")
_LARGEST = 1 << 24
_BOX = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: Path) -> Contents:
    """The contents of an XML file of Pascal VOC, or of all in a folder, as samnb's export or LabelImg writes them.

    The mask of an object is what has its number, from 1, in ``SegmentationObject/<name>.png``. Without that file an
    object is only a box. Boxes count from 1, and both corners are inside.

    Raises
    ------
    ImageNotFound
        A folder without any.
    FormatError
        A file that is none; one of a folder's is reported.
    """
    if not path.is_dir():
        return _contents([path], path.parent, strict=True)
    inside = path / "Annotations"
    files = sorted((inside if inside.is_dir() else path).rglob("*.xml"))
    if not files:
        raise ImageNotFound(path, expected="an XML file of Pascal VOC, or a folder of them")
    found = _contents(files, path, strict=False)
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


def _contents(files: list[Path], root: Path, *, strict: bool) -> Contents:
    pictures: list[ImageReference] = []
    objects: list[ImportedObject] = []
    failed: list[Failure] = []
    ours = []
    for file in files:
        try:
            document = _parsed(file)
        except FormatError as error:
            if strict:
                raise
            failed.append(Failure(str(file), error.reason))
            continue
        picture = _picture(file, root, document)
        pictures.append(picture)
        ours.append(bool(picture.original))
        objects += _objects(file, picture, document, failed)
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


def _picture(file: Path, root: Path, document: Element) -> ImageReference:
    name = _text(document, "filename") or file.stem
    folders = (root / "JPEGImages", file.parent.parent / "JPEGImages", file.parent)
    near = next((folder for folder in folders if folder.is_dir()), file.parent)
    ours = _text(document, "source/database") == "samnb"
    size: Any = tuple(_number(_text(document, f"size/{side}")) for side in ("height", "width"))
    known = all(side and side >= 1 and side % 1 == 0 for side in size)  # LabelImg writes 0 where it does not know
    return ImageReference(
        name,
        near,
        (int(size[0]), int(size[1])) if known else None,
        _text(document, "source/image") if ours else "",
    )


def _objects(file: Path, picture: ImageReference, document: Element, failed: list[Failure]) -> Iterator[ImportedObject]:
    masks = file.parent.parent / "SegmentationObject" / f"{file.stem}.png"
    drawn = masks.is_file()
    for number, element in enumerate(document.findall("object"), 1):
        place, name = f"{file.name}, object {number}", _text(element, "name")
        if not name:
            failed.append(Failure(place, "it has no name"))
            continue
        about: Any = {"attributes": _attributes(element)}
        read: Callable[[Size], Mask] = box_alone
        if drawn:
            read = partial(_numbered, masks, number)
        else:
            about["read_box"] = partial(_box, {corner: _text(element, f"bndbox/{corner}") for corner in _BOX})
        yield ImportedObject(picture, place, name, read, **about)


def _attributes(element: Element) -> dict[str, bool | str]:
    """The flags of VOC that are set, and the attributes as CVAT writes them."""
    values: dict[str, bool | str] = {flag: True for flag in _FLAGS if _number(_text(element, flag)) == 1}
    for each in element.findall("attributes/attribute"):
        name, value = _text(each, "name"), _text(each, "value")
        if name:
            values[name] = value == "true" if value in ("true", "false") else value
    return values


def _numbered(file: Path, number: int, size_hw: Size) -> Mask:
    return mask_of(file, number)


def _box(corners: dict[str, str], size_hw: Size) -> Mask:
    x0, y0, x1, y1 = (_number(corners[name]) for name in _BOX)
    if x0 is None or y0 is None or x1 is None or y1 is None:
        raise ImageError(f"a broken bndbox: expected {', '.join(_BOX)}, all of them numbers.")
    return box_mask((x0 - 1, y0 - 1, x1, y1), size_hw)


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
