"""Evaluation cases from a COCO file and the pictures it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AnyPath, ImageError, ImageNotFound, ImageUnreadable
from ..images.folder import PictureFolder
from ..masks import decode_rle
from ..masks.polygons import fill_polygon
from ..masks.rle import decompress_counts
from ..records import Failure
from .cases import CaseList, CaseSource

__all__ = ["read_coco"]

Mask = NDArray[np.bool_]


def read_coco(file: AnyPath, images: AnyPath) -> CaseList:
    """The objects of a COCO file: polygons, and run lengths plain or compressed. Crowds are left out.

    Parameters
    ----------
    file : path
        JSON in COCO's format for instances, such as `Session.export("coco", …)` writes.
    images : path
        The folder ``file_name`` is relative to; a file of that name in a subfolder is found too.

    Raises
    ------
    ImageNotFound
        No such file or folder.
    ImageUnreadable
        Not a COCO file.
    """
    path, folder = Path(file).expanduser(), PictureFolder(images)
    document = _json(path)
    failed: list[Failure] = []
    names: dict[Any, str] = {}
    for category in document.get("categories", []):
        name = category.get("name")
        named = isinstance(name, str | int) and not isinstance(name, bool)
        names[category["id"]] = str(name) if named else ""
        if not named:
            reason = f"expected a name, a text; got {name!r}. Its objects count as of no category."
            failed.append(Failure(f"{path.name}, category {category['id']}", reason))
    pictures = {image["id"]: image for image in document["images"]}
    of_image: dict[Any, list[CaseSource]] = {number: [] for number in pictures}
    for annotation in document["annotations"]:
        if annotation.get("iscrowd"):
            continue
        place = f"{path.name}, annotation {annotation.get('id', '?')}"
        picture = pictures.get(annotation.get("image_id"))
        if picture is None or "segmentation" not in annotation:
            what = "no segmentation" if picture else f"its image {annotation.get('image_id')!r} is not in the file"
            failed.append(Failure(place, what))
            continue
        category = names.get(annotation.get("category_id"), "")
        source = CaseSource(
            image=picture["file_name"],
            place=place,
            read_pixels=partial(folder.pixels, picture["file_name"]),
            read_mask=partial(_coco_mask, annotation["segmentation"], (picture["height"], picture["width"])),
            category=category,
            group=category,
        )
        of_image[picture["id"]].append(source)
    return CaseList([source for sources in of_image.values() for source in sources], tuple(failed))


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ImageNotFound(path, expected="a COCO file")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        pictures, annotations = document["images"], document["annotations"]
        whole = all({"id", "file_name", "height", "width"} <= image.keys() for image in pictures)
        if not whole or not isinstance(annotations, list):
            raise ValueError("an image lacks id, file_name, height or width")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageUnreadable(path, f"is not a COCO file of instances ({type(error).__name__}: {error})") from error
    return document  # type: ignore[no-any-return]


def _coco_mask(segmentation: Any, size_hw: tuple[int, int]) -> Mask:
    try:
        if isinstance(segmentation, Mapping):
            counts = segmentation["counts"]
            plain = decompress_counts(counts) if isinstance(counts, str | bytes) else counts
            return decode_rle({"size": segmentation["size"], "counts": plain})
        rings = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in segmentation]
        return np.any([fill_polygon(ring, size_hw) for ring in rings] or np.zeros((1, *size_hw)), axis=0)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"its segmentation is neither polygons nor run lengths ({error}).") from error
