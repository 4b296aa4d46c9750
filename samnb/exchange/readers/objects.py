"""What readers give: pictures as a file names them, and objects whose masks are read when they are needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError, ImageError
from ...masks.polygons import fill_polygon
from ...records import Failure

__all__ = [
    "Contents",
    "ImageReference",
    "ImportedObject",
    "Mask",
    "Size",
    "plain",
    "read_json",
    "ring_mask",
    "value_of",
]

Mask = NDArray[np.bool_]
Size = tuple[int, int]

# Beyond it a corner is no corner of a picture, and sums of floats no longer find pixels.
_FARTHEST = 1e7


@dataclass(frozen=True)
class ImageReference:
    """A picture as a file names it.

    Parameters
    ----------
    name : str
        A file name, or a path with slashes.
    near : Path
        The folder of the file that says so; the name may be relative to it.
    size_hw : (H, W) or None
        Where the file tells.
    original : str
        What `name` was called where it was copied from; "" where the file does not tell.
    """

    name: str
    near: Path
    size_hw: Size | None = None
    original: str = ""


@dataclass(frozen=True, eq=False)
class ImportedObject:
    """One object that a file tells of.

    Parameters
    ----------
    picture : ImageReference
    place : str
        What a message about it names: the file, and what in it.
    category : str
        "" where the file tells none.
    read_mask : callable
        Given the (H, W) of the picture, its mask; raises an `ImageError` where there is none to be had.
    score : float
    may_be_empty : bool
        An empty mask says that there is nothing, and is no mistake.
    """

    picture: ImageReference
    place: str
    category: str
    read_mask: Callable[[Size], Mask]
    score: float = 1.0
    may_be_empty: bool = False


@dataclass(frozen=True)
class Contents:
    """All that a file, or a folder of files, says.

    Parameters
    ----------
    pictures : tuple of ImageReference
        In the file's order, those without objects too.
    objects : tuple of ImportedObject
        In the file's order; of one picture the topmost last.
    categories : tuple of str
        In the file's order, those without objects too.
    failed : tuple of Failure
        What was not understood.
    notes : tuple of str
        What was understood in another way than it may be meant.
    """

    pictures: tuple[ImageReference, ...]
    objects: tuple[ImportedObject, ...]
    categories: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()


def plain(text: str) -> str:
    """The text without what no database or terminal takes: null characters and halves of UTF-16 pairs.

    >>> plain("a\\0b") == "ab"
    True
    """
    return text.replace("\0", "").encode(errors="replace").decode()


def read_json(path: Path, format: str) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises
    ------
    FormatError
        It holds something else, or cannot be read.
    """
    try:
        # Some editors put a mark before UTF-8.
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise FormatError(path, format, f"it cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(path, format, f"it is no JSON ({error})") from error
    if not isinstance(document, dict):
        raise FormatError(path, format, f"it holds a {type(document).__name__}, expected an object {{…}}")
    return document


def value_of(record: Any, name: str, default: Any = None) -> Any:
    """A value of a record that may be anything."""
    return record.get(name, default) if isinstance(record, Mapping) else default


def ring_mask(corners: Any, size_hw: Size) -> Mask:
    """The (H, W) mask of one polygon, by the even-odd rule.

    Parameters
    ----------
    corners : x, y, x, y, … or (x, y), (x, y), …
        On pixel edges; what is outside the picture is cut off.

    Raises
    ------
    ImageError
        Fewer than three corners, or something that is no finite number.
    """
    try:
        ring = np.asarray(corners, np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError("a broken polygon: expected x and y for each corner, all of them numbers.") from error
    if len(ring) < 3 or not np.isfinite(ring).all() or np.abs(ring).max() > _FARTHEST:
        raise ImageError(f"a broken polygon: expected three finite corners or more, near the picture; got {len(ring)}.")
    return fill_polygon(ring, size_hw)
