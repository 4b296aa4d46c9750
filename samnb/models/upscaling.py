"""From the logits of a mask to the mask at the size of its image, as ``Sam.postprocess_masks``, but in one step.

``segment_anything`` scales the logits to the model's square input, cuts the padding off, scales the rest to the image
and compares with zero. Both scalings are bilinear, so a row of the image is a mixture of two or three rows of the
logits, and the same holds for columns: two narrow-banded matrices for each size of image, computed once. A mixture of
values that are not above zero is not above zero, so only the rows and columns around an object are computed.

The weights are torch's own, to the last bit; sums are rounded in another order, which changes a pixel whose logit is
about 1e-7 of its neighbours'. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .devices import on_threads

AT_ONCE = 64
"""Rows or columns of the image at a time: they depend on few cells, and stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class _Axis:
    """The weights that mix one axis of the image from one of the logits.

    Parameters
    ----------
    first, last : (length,)
        The first cell each pixel depends on, and one after its last; neither ever falls.
    blocks : sequence of (AT_ONCE, k) float32
        The weights of `AT_ONCE` pixels each, fewer in the last block, for the cells they depend on.
    """

    first: NDArray[np.intp]
    last: NDArray[np.intp]
    blocks: Sequence[NDArray[np.float32]]

    def touched(self, cells: NDArray[np.intp]) -> slice:
        """The range of pixels that depend on any of these cells, which are in ascending order."""
        if not len(cells):
            return slice(0, 0)
        return slice(
            int(np.searchsorted(self.last, cells[0], "right")), int(np.searchsorted(self.first, cells[-1], "right"))
        )

    def pieces(self, pixels: slice) -> Iterator[tuple[slice, Any, slice]]:
        """Split a range of pixels: each piece, its weights, and the cells of these weights."""
        import torch

        for number in range(pixels.start // AT_ONCE, -(-pixels.stop // AT_ONCE)):
            block, begin = self.blocks[number], number * AT_ONCE
            start, stop = max(begin, pixels.start), min(begin + len(block), pixels.stop)
            left = int(self.first[begin])
            near = slice(left, left + block.shape[1])
            yield slice(start, stop), torch.from_numpy(block[start - begin : stop - begin]), near


def upscale_mask(
    logits: NDArray[np.float32],
    *,
    frame: int,
    input_size: tuple[int, int],
    original_size: tuple[int, int],
    out: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Scale logits up to the image and compare them with zero.

    Parameters
    ----------
    logits : (h, w) float32
        Of the whole square, padding included.
    frame : int
        Side of the model's square input, in pixels.
    input_size, original_size : (H, W)
        Of the image within that square, and of the image.
    out : (H, W) bool, optional
        All False: where to write the mask.

    Examples
    --------
    >>> logits = np.array([[-1, -1], [-1, 1]], "f")
    >>> upscale_mask(logits, frame=4, input_size=(4, 4), original_size=(4, 4)).astype(int)
    array([[0, 0, 0, 0],
           [0, 0, 0, 0],
           [0, 0, 1, 1],
           [0, 0, 1, 1]])
    """
    mask = np.zeros(original_size, bool) if out is None else out
    for place, blended in _blended(logits, frame, input_size, original_size, level=0.0):
        np.greater(blended, 0, out=mask[place])
    return mask


def upscale_with_stability(
    logits: NDArray[np.float32],
    offset: float,
    *,
    frame: int,
    input_size: tuple[int, int],
    original_size: tuple[int, int],
) -> tuple[NDArray[np.bool_], float]:
    """Scale logits up to the image: the mask, and how stable it is.

    Stability is the IoU of the masks above `offset` and above its negative, as segment-anything's
    ``calculate_stability_score`` has it, on the image's pixels.

    Parameters
    ----------
    logits : (h, w) float32
        Of the whole square, padding included.
    offset : float
        At least 0, in units of the logits.
    frame, input_size, original_size
        As for `upscale_mask`.

    Returns
    -------
    mask : (H, W) bool
    stability : float
        0 to 1; 0 where nothing is above the negative offset.

    Examples
    --------
    >>> logits = np.full((4, 4), -4, "f")
    >>> logits[1:, 1:] = 4
    >>> mask, stability = upscale_with_stability(logits, 3.0, frame=8, input_size=(8, 8), original_size=(8, 8))
    >>> int(mask.sum()), round(stability, 2)
    (36, 0.52)
    """
    mask = np.zeros(original_size, bool)
    high = low = 0
    for place, blended in _blended(logits, frame, input_size, original_size, level=-offset):
        np.greater(blended, 0, out=mask[place])
        high += int(np.count_nonzero(blended > offset))
        low += int(np.count_nonzero(blended > -offset))
    return mask, high / low if low else 0.0


def _blended(
    logits: NDArray[np.float32],
    frame: int,
    input_size: tuple[int, int],
    original_size: tuple[int, int],
    *,
    level: float,
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.float32]]]:
    """Strips of the scaled logits wherever one may be above `level`: (rows, columns) and their values.

    The next strip overwrites the values.
    """
    import torch

    logits = np.ascontiguousarray(logits, np.float32)
    down, across = (
        _axis(side, frame, part, length)
        for side, part, length in zip(logits.shape, input_size, original_size, strict=True)
    )
    above = np.asarray(logits > level)
    rows, columns = down.touched(np.flatnonzero(above.any(1))), across.touched(np.flatnonzero(above.any(0)))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    with on_threads(1):  # sharing pieces so small among threads takes longer than computing them
        cell_logits, wide = torch.from_numpy(logits), torch.empty((len(logits), columns.stop - columns.start))
        downwards = list(down.pieces(rows))
        cells = slice(downwards[0][2].start, downwards[-1][2].stop)
        for part, weights, near in across.pieces(columns):
            torch.mm(
                cell_logits[cells, near],
                weights.t(),
                out=wide[cells, part.start - columns.start : part.stop - columns.start],
            )
        room = torch.empty((AT_ONCE, wide.shape[1]))
        for part, weights, near in downwards:
            blended = torch.mm(weights, wide[near], out=room[: part.stop - part.start])
            yield (part, columns), blended.numpy()


def official_mask(
    logits: NDArray[np.float32],
    *,
    frame: int,
    input_size: tuple[int, int],
    original_size: tuple[int, int],
    out: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Do the same by torch, in the two steps of ``Sam.postprocess_masks``; for the parameters see `upscale_mask`."""
    import torch

    tensor, (height, width) = torch.tensor(logits, dtype=torch.float32)[None, None], input_size
    scale = partial(torch.nn.functional.interpolate, mode="bilinear", align_corners=False)
    image = scale(scale(tensor, (frame, frame))[..., :height, :width], original_size)
    return np.greater(image[0, 0].numpy(), 0, out=out)


def small_mask(logits: NDArray[np.float32], *, frame: int, input_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks (..., h, w) of the image at the size of its logits, without the padding."""
    rows, columns = (
        max(1, round(side * length / frame)) for side, length in zip(logits.shape[-2:], input_size, strict=True)
    )
    return logits[..., :rows, :columns] > 0


@lru_cache(maxsize=32)
def _axis(side: int, frame: int, part: int, length: int) -> _Axis:
    """`side` cells to `frame` pixels, of which the first `part` go to `length` pixels."""
    weights = np.zeros((length, side), np.float32)
    pixels = np.arange(length)
    for upper, share in _mix(part, length):
        for lower, own in _mix(side, frame):
            np.add.at(weights, (pixels, lower[upper]), share * own[upper])
    used = weights > 0
    first, last = used.argmax(1), side - used[:, ::-1].argmax(1)
    # A cell whose weight is zero is left out; the next pixels need no cell before those of this one.
    first, last = np.minimum.accumulate(first[::-1])[::-1], np.maximum.accumulate(last)
    blocks = []
    for start in range(0, length, AT_ONCE):
        stop = min(start + AT_ONCE, length)
        blocks.append(weights[start:stop, first[start] : last[stop - 1]].copy())
    return _Axis(first, last, blocks)


def _mix(size: int, length: int) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """The two neighbours of each of `length` pixels among `size`, and their weights, in the arithmetic of torch."""
    scale = np.float32(size) / np.float32(length)
    # One rounding and not two: torch's processor code multiplies and subtracts in one instruction.
    place = (np.float64(scale) * (np.arange(length) + 0.5) - 0.5).astype(np.float32).clip(0)
    lower = np.minimum(place.astype(np.intp), size - 1)
    share = (place - lower.astype(np.float32)).clip(0, 1)
    return [(lower, 1 - share), (np.minimum(lower + 1, size - 1), share)]
