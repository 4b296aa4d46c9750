"""The results of readers: pictures as a file names them, and objects whose masks are read on demand."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FormatError, ImageError
from ...images.discovery import is_picture_name
from ...json_files import encoding_of, read_bounded
from ...json_files import read_json as read_json_file
from ...masks.geometry import Mask
from ...masks.polygons import fill_polygon
from ...records import AttributeRecord, Failure

Size = tuple[int, int]

# A corner beyond it is invalid, and sums of floats are no longer exact to a pixel.
_FARTHEST = 1e7
_LARGEST_TEXT = 1 << 24
_log = logging.getLogger("samnb.exchange")


@dataclass(frozen=True)
class ImageReference:
    """A picture as a file names it.

    Parameters
    ----------
    name : str
        As the file has it; `samnb.images.names.readings` tells what it may mean.
    near : Path
        The folder of the file; the name may be relative to it.
    size_hw : (H, W) or None
        None if the file does not contain it.
    original : str
        The name before it was copied; "" if the file does not contain it.
    number : object
        Tells apart two records of one name.
    embedded : Path or None
        The JSON file that contains the picture, too.
    """

    name: str
    near: Path
    size_hw: Size | None = None
    original: str = ""
    number: Any = None
    embedded: Path | None = None


@dataclass(frozen=True, eq=False)
class ImportedObject:
    """One object of a file.

    Parameters
    ----------
    picture : ImageReference
    place : str
        The name in messages: the file, and the record in it.
    category : str
        "" if the file has none.
    read_mask : callable
        Given the (H, W) of the picture, returns its mask; raises an `ImageError` if it cannot be read.
    score : float
    may_be_empty : bool
        An empty mask means that there is no object, and is not an error.
    is_number : bool
        The category is only the number of a label map.
    lost : list of str
        Filled by `read_mask`: why some parts of the object are not in its mask.
    attributes : mapping of str to bool or str
    read_box : callable or None
        As `read_mask`, the rectangle of an object of which the file knows no more than that.
    """

    picture: ImageReference
    place: str
    category: str
    read_mask: Callable[[Size], Mask]
    score: float = 1.0
    may_be_empty: bool = False
    is_number: bool = False
    lost: list[str] = field(default_factory=list)
    attributes: Mapping[str, bool | str] = field(default_factory=dict)
    read_box: Callable[[Size], Mask] | None = None


@dataclass(frozen=True)
class Contents:
    """The contents of a file, or of a folder of files.

    Parameters
    ----------
    pictures : tuple of ImageReference
        In the file's order, including those without objects.
    objects : tuple of ImportedObject
        In the file's order; of one picture the topmost last.
    categories : tuple of str
        In the file's order, including those without objects.
    failed : tuple of Failure
        Records that could not be read.
    notes : tuple of str
        Records that may have been meant in another way.
    upright : bool
        samnb wrote it: all masks are those of upright pictures.
    attributes : tuple of AttributeRecord
        That the file declares; others are inferred from the objects.
    """

    pictures: tuple[ImageReference, ...]
    objects: tuple[ImportedObject, ...]
    categories: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    upright: bool = False
    attributes: tuple[AttributeRecord, ...] = ()


def plain(text: str) -> str:
    """The text without characters that databases and terminals refuse: null characters, lone UTF-16 surrogates.

    >>> plain("a\\0b") == "ab"
    True
    """
    return text.replace("\0", "").encode(errors="replace").decode()


def read_json(path: Path, format: str) -> dict[str, Any]:
    """The object in a JSON file.

    Raises
    ------
    FormatError
        The file contains something else, or cannot be read.
    """
    try:
        document = read_json_file(path)
    except OSError as error:
        raise FormatError(path, format, f"it cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise FormatError(path, format, f"it is no JSON ({error})") from error
    if not isinstance(document, dict):
        raise FormatError(path, format, f"it holds a {type(document).__name__}, expected an object {{…}}")
    return document


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that a folder may have beside its annotations; [] if it has none, or one too large."""
    try:
        content = read_bounded(path, limit=_LARGEST_TEXT)
    except (OSError, ValueError) as error:  # most folders have none
        _log.debug("%s: not read: %s", path, error)
        return []
    encoding = encoding_of(content)  # UTF-16 has no escapes for bad bytes
    return content.decode(encoding, "replace" if encoding == "utf-16" else "surrogateescape").splitlines()


def files_below(root: Path, *suffixes: str) -> list[Path]:
    """The files of a folder and those below it with one of these suffixes, sorted; none that is hidden.

    Notebooks and macOS keep copies in hidden places: ``.ipynb_checkpoints``, ``__MACOSX``.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        # A link may lead back to a folder above it.
        folders[:] = [] if real in seen else [name for name in folders if not _is_hidden(name)]
        if real not in seen:
            found += [Path(place, n) for n in names if n.lower().endswith(suffixes) and not _is_hidden(n)]
        seen.add(real)
    return sorted(found)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


class PicturesBeside:
    """The pictures of folders by the stems of their names; each folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, list[Path]]] = {}

    def of_stem(self, folder: Path, stem: str) -> list[Path]:
        """Those of a folder, which may not be there."""
        if folder not in self._listed:
            stems: dict[str, list[Path]] = {}
            # Not os.listdir: a folder that may not be listed has none, and its picture is reported by name.
            for name in sorted(next(os.walk(folder), ("", [], []))[2]):
                if is_picture_name(name):
                    stems.setdefault(os.path.splitext(name)[0], []).append(folder / name)
            self._listed[folder] = stems
        return self._listed[folder].get(stem, [])


def value_of(record: Any, name: str, default: Any = None) -> Any:
    """A value of a record of unknown type."""
    return record.get(name, default) if isinstance(record, Mapping) else default


def size_of(record: Any, height: str = "height", width: str = "width") -> Size | None:
    """The (H, W) that a record has under these names; None if they are no whole numbers."""
    sides = [value_of(record, name) for name in (height, width)]
    if any(isinstance(side, bool) or not isinstance(side, int | float) or side % 1 for side in sides):
        return None
    return int(sides[0]), int(sides[1])


def score_of(record: Any) -> float:
    """The score of a record; 1.0 if it has none, or one that is no finite number."""
    value = value_of(record, "score")
    try:
        score = float(value) if isinstance(value, int | float) else 1.0
    except OverflowError:  # JSON's whole numbers have no end
        return 1.0
    return score if math.isfinite(score) else 1.0


def joined(parts: Iterable[Callable[[], Mask]], size_hw: Size, lost: list[str]) -> Mask:
    """The (H, W) mask of all parts that can be read; why others cannot goes to `lost`.

    Raises
    ------
    ImageError
        None can be read.
    """
    mask, good = np.zeros(size_hw, bool), 0
    lost.clear()
    for read in parts:
        try:
            mask |= read()
            good += 1
        except ImageError as error:
            lost.append(str(error))
    if lost and not good:
        reason = lost.pop(0)
        lost.clear()
        raise ImageError(reason)
    return mask


def ring_mask(corners: Any, size_hw: Size) -> Mask:
    """The (H, W) mask of one polygon, by the even-odd rule.

    Parameters
    ----------
    corners : x, y, x, y, … or (x, y), (x, y), …
        On pixel edges; parts outside the picture are cut off.

    Raises
    ------
    ImageError
        Fewer than three corners, or a value that is not a finite number.
    """
    try:
        ring = np.asarray(corners, np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError("a broken polygon: expected x and y for each corner, all of them numbers.") from error
    if len(ring) < 3 or not np.isfinite(ring).all() or np.abs(ring).max() > _FARTHEST:
        raise ImageError(f"a broken polygon: expected three finite corners or more, near the picture; got {len(ring)}.")
    return fill_polygon(ring, size_hw)


def box_mask(box: Sequence[float], size_hw: Size) -> Mask:
    """The (H, W) mask of a rectangle (x0, y0, x1, y1); parts outside the picture are cut off.

    Raises
    ------
    ImageError
        A corner that is not a finite number.
    """
    x0, y0, x1, y1 = box
    return ring_mask([x0, y0, x1, y0, x1, y1, x0, y1], size_hw)


def box_iou(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two rectangles (x0, y0, x1, y1) share, over the area that they cover.

    >>> box_iou((0, 0, 4, 2), (2, 0, 6, 2))
    0.3333333333333333
    """
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if not (wide > 0 and high > 0):
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / (sum(areas) - wide * high)


def box_alone(size_hw: Size) -> Mask:
    """In place of `ImportedObject.read_mask` for an object that is only a box. Raises `ImageError`."""
    raise ImageError("it has no segmentation; a box alone is no mask")
