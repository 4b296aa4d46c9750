"""COCO's run lengths of a mask: encode, decode, decompress."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import images as picture_files
from ..errors import ImageError
from .geometry import Mask, as_mask

_MOST_BITS = 60
_MOST_WHOLE = 250_000_000  # pixels of a mask that is decoded as a whole
_LARGEST = 10**12  # pixels of any picture


def encode_rle(mask: NDArray[Any]) -> dict[str, Any]:
    """COCO's uncompressed run lengths: column by column, zeros first.

    Parameters
    ----------
    mask : (H, W) bool
        True on the object.

    Returns
    -------
    dict
        ``{"size": [H, W], "counts": [int, ...]}``, plain numbers, ready for JSON.

    Raises
    ------
    ImageError
        It is no mask: not two axes, probabilities or logits, or several objects in one array.

    Examples
    --------
    >>> encode_rle(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': [2, 2]}
    >>> encode_rle(np.array([[True]]))
    {'size': [1, 1], 'counts': [0, 1]}
    """
    on = as_mask(mask)
    flat = on.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    starts_on = bool(flat.size and flat[0])
    return {"size": list(on.shape), "counts": [0, *counts] if starts_on else counts}


def encode_part_rle(part: NDArray[Any], corner: tuple[int, int], size_hw: tuple[int, int]) -> dict[str, Any]:
    """`encode_rle` of a mask that is empty outside one rectangle, in time that depends on the rectangle alone.

    Parameters
    ----------
    part : (h, w) bool
        The mask inside the rectangle.
    corner : (x, y)
        Of the rectangle's first pixel.
    size_hw : (H, W)
        Of the whole mask.

    Examples
    --------
    >>> encode_part_rle(np.array([[True, True]]), (1, 0), (2, 3)) == encode_rle(np.array([[0, 1, 1], [0, 0, 0]], bool))
    True
    """
    on, (x, y), (height, width) = as_mask(part), corner, size_hw
    rows = on.shape[0]
    # A row of zeros below separates the columns, so that no run goes on into the next one.
    columns = np.zeros((on.shape[1], rows + 2), np.int8)
    columns[:, 1:-1] = on.T
    changes = np.flatnonzero(np.diff(columns.ravel()))
    places = (x + changes // (rows + 2)) * height + y + changes % (rows + 2)
    starts, ends = places[::2], places[1::2]
    # Where the rectangle is as high as the mask, a run may end where the next column's begins.
    apart = starts[1:] != ends[:-1]
    some = [np.ones(min(len(starts), 1), bool)]
    runs = np.stack([starts[np.concatenate([*some, apart])], ends[np.concatenate([apart, *some])]], 1)
    borders = np.concatenate(([0], runs.ravel(), [height * width]))
    counts = np.diff(borders).tolist()
    return {"size": [height, width], "counts": counts[:-1] if counts[-1] == 0 else counts}


def decode_rle(rle: Mapping[str, Any]) -> Mask:
    """The mask of COCO's uncompressed run lengths.

    Parameters
    ----------
    rle : mapping
        ``{"size": [H, W], "counts": [int, ...]}``, as `encode_rle` and ``Annotation.rle`` have it.

    Returns
    -------
    (H, W) bool
        A new array.

    Raises
    ------
    ImageError
        No size of two whole numbers from 0; compressed counts, counts that are not whole numbers, or that do not fill
        the size; a mask of more than 250 million pixels, and more than the largest picture that is read.

    Examples
    --------
    >>> decode_rle({"size": [2, 2], "counts": [2, 2]}).astype(int).tolist()
    [[0, 1], [0, 1]]
    """
    height, width = _size_of(rle)
    check_whole((height, width))
    given = rle.get("counts")
    if isinstance(given, str | bytes):
        raise ImageError(
            "Expected uncompressed run lengths, a list of numbers, got compressed ones. "
            "pycocotools.mask.decode(rle) reads them; encode_rle of that mask gives the list."
        )
    try:
        counts = np.asarray(given)
    except ValueError:  # lists of different lengths
        counts = np.asarray(None)
    if counts.dtype.kind not in "biuf" or counts.ndim != 1:
        raise ImageError(
            f"Expected run lengths as a list of numbers up to {height * width:,}, got "
            f"{reprlib.repr(given)}. The record is damaged: write it anew with the tool that made it."
        )
    # Cut to whole numbers, fractions could still fill the size, with another mask.
    if counts.dtype.kind == "f" and not (whole := np.isfinite(counts) & (counts == counts.round())).all():
        where = int(np.argmin(whole))
        raise ImageError(
            f"Expected run lengths that are whole numbers, got {counts.flat[where]} as number {where + 1} of "
            f"{counts.size:,}. The record is damaged: write it anew with the tool that made it."
        )
    # Each count is checked too, and before it is made an int64: what does not fit there could still fill the size.
    fits = all(0 <= count <= height * width for count in (counts.min(initial=0), counts.max(initial=0)))
    if not fits or counts.sum() != height * width:
        filled = f"of {int(counts.sum()):,} pixels" if fits else f"from {counts.min()} to {counts.max()} pixels"
        raise ImageError(
            f"Run lengths {filled} do not fill a mask of {height} x {width} = "
            f"{height * width:,}. The record is damaged, or its size is written as [width, height]."
        )
    counts = counts.astype(np.int64)
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((height, width), order="F")


def _size_of(rle: Mapping[str, Any]) -> tuple[int, int]:
    try:
        height, width = (int(v) for v in rle["size"])
    except (KeyError, TypeError, ValueError, OverflowError):
        height = width = -1
    if height < 0 or width < 0:
        raise ImageError(
            f"Expected the size of run lengths as [height, width], got {reprlib.repr(rle.get('size'))}. "
            "The record is damaged: write it anew with the tool that made it."
        )
    return height, width


def common_area(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    """Pixels that two masks of one size have in common, from their run lengths: no mask is decoded.

    Examples
    --------
    >>> common_area({"size": [2, 3], "counts": [1, 4, 1]}, {"size": [2, 3], "counts": [2, 1, 1, 2]})
    2
    """
    borders, ends = (np.cumsum([0, *rle["counts"]]) for rle in (one, other))
    # The pixels of the first mask before each border; between two of them they grow with the place, or not at all.
    before = np.cumsum([0, *(count * (number % 2) for number, count in enumerate(one["counts"]))])
    at_ends = np.interp(ends, borders, before)
    return int(np.diff(at_ends)[1::2].sum())


def overlap_rle(rles: Sequence[Mapping[str, Any]], size_hw: tuple[int, int]) -> dict[str, Any]:
    """Run lengths of the pixels that two or more masks of one size have in common; no mask is decoded.

    Examples
    --------
    >>> one, other = {"size": [2, 3], "counts": [1, 4, 1]}, {"size": [2, 3], "counts": [2, 1, 1, 2]}
    >>> overlap_rle([one, other, one], (2, 3))["counts"], overlap_rle([one], (2, 3))["counts"]
    ([1, 4, 1], [6])
    """
    height, width = size_hw
    places, steps = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for rle in rles:
        borders = np.cumsum(rle["counts"], dtype=np.int64)
        places.append(borders)
        steps.append(np.where(np.arange(len(borders)) % 2 == 0, 1, -1))
    borders, changes = np.concatenate(places), np.concatenate(steps)
    order = np.argsort(borders, kind="stable")
    ends, last = np.unique(borders[order], return_index=True)
    # Masks that lie on a place, after all that changes there.
    depth = np.add.reduceat(changes[order], last).cumsum() if len(ends) else changes
    common = np.concatenate(([False], depth >= 2))
    turns = np.flatnonzero(common[1:] != common[:-1])
    counts = np.diff(np.concatenate(([0], ends[turns], [height * width]))).tolist()
    return {"size": [height, width], "counts": counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts}


def check_whole(size_hw: tuple[int, int]) -> None:
    """Raise `ImageError` for a picture so large that a whole mask of it would take gigabytes."""
    height, width = size_hw
    if height * width > max(picture_files.MAX_PIXELS, _MOST_WHOLE):
        raise ImageError(
            f"A whole mask of {width} x {height} pixels takes {height * width / 2**30:.1f} GiB. "
            "annotation.part, or samnb.masks.part.MaskPart.of_rle(rle), has what is inside the box."
        )


def check_rle(rle: Mapping[str, Any]) -> None:
    """Raise `ValueError` if run lengths do not fill their size, or it is no picture's; the mask is not decoded."""
    (height, width), counts = rle["size"], rle["counts"]
    if not isinstance(counts, list) or not all(type(one) is int and one >= 0 for one in [*counts, height, width]):
        raise ValueError("run lengths that are no list of whole numbers")
    if sum(counts) != height * width or height * width > _LARGEST:
        raise ValueError(f"run lengths of {sum(counts):,} pixels for a mask of {height} x {width}")


def decompress_counts(counts: str | bytes) -> list[int]:
    """The plain run lengths of COCO's compressed ones.

    A character has five bits of a number, the lowest first, and one that says whether more follow. From the fourth
    number on, each is the difference to the number two places before (cocoapi, ``rleFrString``).

    Raises
    ------
    ImageError
        A number that is longer than any mask.

    Examples
    --------
    >>> decompress_counts("2452")
    [2, 4, 5, 6]
    """
    codes = [ord(c) - 48 for c in counts] if isinstance(counts, str) else [c - 48 for c in counts]
    numbers: list[int] = []
    value = bits = 0
    for code in codes:
        value |= (code & 31) << bits
        bits += 5
        if code & 32:
            # A number without end would take time by the square of its length.
            if bits > _MOST_BITS:
                raise ImageError("Expected compressed run lengths, got a number of over 60 bits: damaged.")
            continue
        if code & 16:
            value -= 1 << bits
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
        value = bits = 0
    return numbers
