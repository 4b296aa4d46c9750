"""The results of readers: pictures as a file names them, and objects whose masks are read on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FormatError, ImageError
from ...masks.geometry import Mask
from ...masks.polygons import fill_polygon
from ...records import Failure

Size = tuple[int, int]

# A corner beyond it is invalid, and sums of floats are no longer exact to a pixel.
_FARTHEST = 1e7


@dataclass(frozen=True)
class ImageReference:
    """A picture as a file names it.

    Parameters
    ----------
    name : str
        A file name, or a path with slashes.
    near : Path
        The folder of the file; the name may be relative to it.
    size_hw : (H, W) or None
        None if the file does not contain it.
    original : str
        The name before it was copied; "" if the file does not contain it.
    """

    name: str
    near: Path
    size_hw: Size | None = None
    original: str = ""


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
    """

    picture: ImageReference
    place: str
    category: str
    read_mask: Callable[[Size], Mask]
    score: float = 1.0
    may_be_empty: bool = False
    is_number: bool = False


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
    """

    pictures: tuple[ImageReference, ...]
    objects: tuple[ImportedObject, ...]
    categories: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()


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
        # Some editors put a byte order mark before UTF-8.
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise FormatError(path, format, f"it cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(path, format, f"it is no JSON ({error})") from error
    if not isinstance(document, dict):
        raise FormatError(path, format, f"it holds a {type(document).__name__}, expected an object {{…}}")
    return document


def value_of(record: Any, name: str, default: Any = None) -> Any:
    """A value of a record of unknown type."""
    return record.get(name, default) if isinstance(record, Mapping) else default


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
