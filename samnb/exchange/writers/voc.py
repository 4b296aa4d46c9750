"""Pascal VOC: XML files with boxes, and segmentation PNGs."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from ...records import AnnotationRecord, Failure
from ..report import ExportReport
from .layout import ExportItem, FolderWriter, Names, each
from .mask_pngs import indexed_png
from .pictures import upright_copy

_VOID = 255
_FLAGS = ("truncated", "difficult", "occluded")

_NOT_IN_XML = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 forbids, or advises against."""


def export_voc(
    path: Path, items: Sequence[ExportItem], categories: Sequence[str], *, pictures: bool = True
) -> ExportReport:
    """A folder laid out as in the Pascal VOC challenges.

    - ``Annotations/<image>.xml``: a box for each object, corners counted from 1 and both inside it; its flags
      ``truncated`` (also where it touches the picture's edge), ``difficult`` and ``occluded``; other attributes;
    - ``JPEGImages/<image>``: the pictures, upright;
    - ``SegmentationClass/<image>.png``: each pixel the number of its category from 1, in VOC's colours;
    - ``SegmentationObject/<image>.png``: each pixel the number of its object from 1, in the order of the XML file;
    - ``ImageSets/Main/trainval.txt``, ``ImageSets/Segmentation/trainval.txt``: the names;
    - ``labels.txt``: the categories, one a line; the first is number 1.

    Where objects overlap, the topmost is in the PNGs. VOC keeps 255 for "void": with more than 254 categories, or
    objects on an image, that PNG is 16-bit grey.

    Parameters
    ----------
    pictures : bool
        Upright copies of the pictures. False: none.
    """
    failed: list[Failure] = []
    names: list[str] = []
    stems = Names()

    def write(item: ExportItem) -> None:
        stem = stems.stem(item.name)
        file = f"{stem}.png"
        if pictures:
            suffix, content = upright_copy(item.image)
            file = f"{stem}{suffix}"
            folder.write(f"JPEGImages/{file}", content)
        folder.write(f"Annotations/{stem}.xml", _xml(item, path.name, file))
        of_category = [categories.index(annotation.category) + 1 for annotation in item.annotations]
        of_object = list(range(1, len(item.annotations) + 1))
        for kind, numbers, most in (("Class", of_category, len(categories)), ("Object", of_object, len(of_object))):
            colors = [voc_color(number) for number in range(1, min(most, _VOID - 1) + 1)]
            # 16 bits from 255 numbers on, because 255 means void.
            highest = most + 1
            folder.write(f"Segmentation{kind}/{stem}.png", indexed_png(item, numbers, colors, highest=highest))
        names.append(stem)

    with FolderWriter(path, items) as folder:
        items = list(each(items, write, failed))
        text = "".join(f"{name}\n" for name in names).encode()
        for kind in ("Main", "Segmentation"):
            folder.write(f"ImageSets/{kind}/trainval.txt", text)
        lines = "".join(f"{category if category.isprintable() else json.dumps(category)}\n" for category in categories)
        folder.write("labels.txt", lines.encode(errors="surrogateescape"))
        folder.write_manifest("voc", failed=failed)
    written = sum(len(item.annotations) for item in items)
    return ExportReport("voc", path, len(items), written, tuple(folder.files), tuple(failed), folder.notes)


def voc_color(number: int) -> str:
    """The "#rrggbb" of a number in VOC's own tools: its bits, three by three, from the top of the channels down.

    >>> voc_color(1), voc_color(15), voc_color(255)
    ('#800000', '#c08080', '#e0e0c0')
    """
    channels = [0, 0, 0]
    for place in range(7, -1, -1):
        for channel in range(3):
            channels[channel] |= (number >> channel & 1) << place
        number >>= 3
    return "#" + bytes(channels).hex()


def _xml(item: ExportItem, folder: str, file: str) -> bytes:
    root = ElementTree.Element("annotation")
    _add(root, folder=folder, filename=file)
    _add(ElementTree.SubElement(root, "source"), database="samnb", image=item.name)
    _add(ElementTree.SubElement(root, "size"), width=item.image.width, height=item.image.height, depth=3)
    _add(root, segmented=1)
    for annotation in item.annotations:
        _add_object(root, annotation, item)
    ElementTree.indent(root)
    stream = io.BytesIO()
    ElementTree.ElementTree(root).write(stream, encoding="utf-8", xml_declaration=True)
    return stream.getvalue()


def _add_object(root: ElementTree.Element, annotation: AnnotationRecord, item: ExportItem) -> None:
    x, y, width, height = (int(value) for value in annotation.bbox)
    cut_off = x == 0 or y == 0 or x + width == item.image.width or y + height == item.image.height
    element = ElementTree.SubElement(root, "object")
    values = annotation.attributes
    truncated = cut_off or values.get("truncated") is True
    _add(element, name=annotation.category, pose="Unspecified", truncated=int(truncated))
    _add(element, **{name: int(values.get(name) is True) for name in ("difficult", "occluded")})
    _add(ElementTree.SubElement(element, "bndbox"), xmin=x + 1, ymin=y + 1, xmax=x + width, ymax=y + height)
    others = {name: value for name, value in values.items() if value is not True or name not in _FLAGS}
    for name, value in others.items():
        # As CVAT writes those that VOC does not know.
        more = element.find("attributes")
        more = ElementTree.SubElement(element, "attributes") if more is None else more
        text = str(value).lower() if isinstance(value, bool) else value
        _add(ElementTree.SubElement(more, "attribute"), name=name, value=text)


def _add(parent: ElementTree.Element, **values: object) -> None:
    for name, value in values.items():
        ElementTree.SubElement(parent, name).text = _printable(str(value))


def _printable(text: str) -> str:
    """Without characters that XML forbids: control characters, and bytes of file names that are not UTF-8."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
