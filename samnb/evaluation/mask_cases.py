"""Cases from a folder of mask pictures and a folder of the pictures they belong to.

Three layouts are accepted:

- a folder with the ``index.csv`` that ``samnb export masks`` writes: its masks, categories and pictures;
- one object each, anything above 0: ``photo.png``, ``photo_3.png``, ``photo__2_coin.png`` for ``photo.jpg``, or any
  name in a folder ``photo/``. After two underscores and a number comes the category;
- label maps, 8 or 16 bits or a palette: 0 is nothing, every other value one object. 255 beside other values is void,
  as in Pascal VOC. A picture of few plain colours is read as one, too.

Unusable files are reported, with the reason, and the rest continues.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..errors import AnyPath, ImageError, ImageNotFound, ImageUnreadable
from ..images import read_pixels
from ..images.discovery import find_images
from ..images.folder import PictureFolder
from ..records import Failure
from .cases import CaseList, CaseSource, failure_of

__all__ = ["mask_number", "mask_of", "read_masks"]

Mask = NDArray[np.bool_]

_LOSSY = {".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".jp2", ".j2k"}
_MOST_LABELS = 4096


def read_masks(masks: AnyPath, images: AnyPath | PictureFolder) -> CaseList:
    """The objects of a folder of mask pictures; the top of this file lists the layouts.

    Parameters
    ----------
    masks, images : path
        Two folders, one of which may be inside the other; or the same folder twice if masks lie beside their pictures:
        there a mask's name is its picture's name with an addition, or the same with a lossless suffix. Instead of the
        second folder, a list of known pictures.

    Raises
    ------
    ImageNotFound
        No such folder, or no picture in it.
    """
    root = Path(masks).expanduser().absolute()
    if not root.is_dir():
        raise ImageNotFound(root, expected="a folder of mask pictures")
    if isinstance(images, PictureFolder):
        folder = images
    else:
        place = Path(images).expanduser().absolute()
        folder = PictureFolder(place, without=root if place in root.parents else None)
    beside, around = root.resolve() == folder.root.resolve(), root in folder.root.parents
    if (root / "index.csv").is_file():
        return _listed(root, folder)
    sources: list[CaseSource] = []
    failed: list[Failure] = []
    for path in find_images(root):
        if (beside and path.suffix.lower() in _LOSSY) or (around and folder.root in path.parents):
            continue
        try:
            picture = _picture_of(path, root, folder)
            # In one folder, a file that belongs to no picture is a picture.
            if picture is None and not beside:
                failed.append(
                    Failure(str(path), "no picture of that name; see samnb.evaluation.mask_cases for names understood")
                )
            if picture is not None:
                sources += _mask_sources(path, picture, folder)
        except ImageError as error:
            failed.append(failure_of(str(path), error))
    order = {str(path): number for number, path in enumerate(folder.paths)}
    return CaseList(sorted(sources, key=lambda source: order[source.id]), tuple(failed))


def _picture_of(mask: Path, root: Path, folder: PictureFolder) -> Path | None:
    """The picture that a mask's name, or its folder's name, refers to; of several the one in the matching folder."""
    inside = mask.relative_to(root).parent
    for stem in (*_stems(mask.stem), inside.name):
        found = [path for path in folder.of_stem(stem) if path != mask]
        near = [path for path in found if path.parent.relative_to(folder.root) in (inside, inside.parent)]
        if len(near or found) > 1:
            raise ImageError(f"could belong to several pictures: {', '.join(map(str, found[:3]))}. Rename one.")
        if found:
            return (near or found)[0]
    return None


def _listed(root: Path, folder: PictureFolder) -> CaseList:
    """The masks that an exported index.csv names."""
    with open(root / "index.csv", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        rows = list(csv.DictReader(stream))
    failed, sources = [], []
    for number, row in enumerate(rows, 2):
        if not row.get("mask") or not row.get("image"):
            failed.append(Failure(f"index.csv, line {number}", "expected a mask and an image"))
            continue
        category, place = row.get("category") or "", root / row["mask"]
        read_mask = partial(mask_of, place, None)
        pixels = partial(folder.pixels, row["image"])
        sources.append(CaseSource(row["image"], str(place), pixels, read_mask, category, category, row["image"]))
    order = {name: number for number, name in enumerate(dict.fromkeys(source.image for source in sources))}
    return CaseList(sorted(sources, key=lambda source: order[source.image]), tuple(failed))


def _mask_sources(path: Path, picture: Path, folder: PictureFolder) -> Iterator[CaseSource]:
    """One source for each object of a mask file."""
    named = re.search(r"__\d+_(.+)$", path.stem)
    name = picture.relative_to(folder.root).as_posix()
    for label in _labels(path):
        category = named[1] if named else "" if label is None else f"label {label}"
        yield CaseSource(
            image=name,
            place=str(path) if label is None else f"{path}, label {label}",
            read_pixels=partial(read_pixels, picture),
            read_mask=partial(mask_of, path, label),
            category=category,
            group=named[1] if named else "",
            id=str(picture),
        )


def _labels(path: Path) -> list[int | None]:
    """The labels of a mask file; [None] when it shows a single object."""
    values, counts = np.unique(_values(path), return_counts=True)
    sizes = {int(v): int(c) for v, c in zip(values, counts, strict=True) if v}
    # White mostly, with bright greys that no label map with a void of 255 has: one mask with a soft edge.
    bright = sum(size for value, size in sizes.items() if 127 < value < 255)
    white = sizes.get(255, 0)
    soft = bright and white == max(sizes.values()) and 2 * (bright + white) >= sum(sizes.values())
    if len(sizes) <= 1 or soft:
        return [None]
    return [value for value in sizes if value != 255 or values.max() > 255]


def mask_of(path: Path, label: int | None) -> Mask:
    """(H, W) bool: the pixels with that label; None: the bright pixels. Raises `ImageError`."""
    values = _values(path)
    if label is not None:
        return np.asarray(values == label)
    return np.asarray(values > (127 if values.max() == 255 else 0))


def mask_number(path: Path) -> int:
    """The highest number a mask file holds. Raises `ImageError`."""
    return int(_values(path).max(initial=0))


def _values(path: Path) -> NDArray[Any]:
    """(H, W) integers of a mask file, as they are stored: a palette's numbers, not its colours."""
    try:
        status = path.stat()
    except OSError as error:
        raise ImageNotFound(path, expected="a mask picture") from error
    return _read_values(str(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _read_values(path: str, mtime_ns: int, size_bytes: int) -> NDArray[Any]:
    if Path(path).suffix.lower() in _LOSSY:
        raise ImageUnreadable(path, "is stored in a lossy format, which no mask survives; save masks as PNG")
    try:
        with Image.open(path) as opened:
            values = np.asarray(opened)
    except UnidentifiedImageError as error:
        raise ImageUnreadable(path, "is no picture, or a damaged one") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageUnreadable(path, f"cannot be read to its end ({error})") from error
    if values.dtype == bool:  # black and white, not the numbers 0 and 1
        values = values.astype(np.uint8) * np.uint8(255)
    if values.ndim == 3:
        values = _of_colours(values, path)
    if values.dtype.kind == "f" or len(np.unique(values)) > _MOST_LABELS:
        raise ImageUnreadable(path, f"has more than {_MOST_LABELS:,} values: that is a photograph, not a mask")
    return values.astype(np.int32)


def _of_colours(values: NDArray[Any], path: str) -> NDArray[Any]:
    """Grey values of a grey picture stored in colour; a number for each colour of a plain one; what is clear is 0."""
    channels = values.astype(np.int32)
    if channels.shape[2] in (2, 4):
        channels, clear = channels[..., :-1], channels[..., -1] == 0
        channels = np.where(clear[..., None], 0, channels)
    if (channels == channels[..., :1]).all():
        return channels[..., 0]
    packed = (channels * [65536, 256, 1]).sum(axis=2)
    colours, numbers = np.unique(packed, return_inverse=True)
    if len(colours) > 256:
        raise ImageUnreadable(path, f"has {len(colours):,} colours: that is a photograph, not a mask")
    return numbers.reshape(packed.shape) + (colours[0] != 0)


def _stems(stem: str) -> Iterator[str]:
    """The stem, then what is left when pieces after "_", "-" or "." are taken off its end, the longest first."""
    yield stem
    for cut in sorted((m.start() for m in re.finditer(r"[_.-]+", stem) if m.start()), reverse=True):
        yield stem[:cut]
