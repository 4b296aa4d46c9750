"""The evaluation set: pictures with known masks, none of them used in training.

``python -m benchmarks.evaluation_set.draw`` draws every mask on its picture; README.md says how each was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from benchmarks.evaluation_set import labelled, made
from benchmarks.evaluation_set.everyday import CREDITS
from benchmarks.evaluation_set.pictures import HERE, read_picture
from benchmarks.evaluation_set.polygons import masks_of, read_outlines

__all__ = ["SETS", "Case", "load_cases"]

Found = Iterator[tuple[str, str, npt.NDArray[np.uint8], npt.NDArray[np.bool_]]]

# Traced like the photographs, but a cell.
TRACED_CELLS = ("cell",)


@dataclass(frozen=True, eq=False)
class Case:
    """One object to be found.

    Parameters
    ----------
    set_name
        One of `SETS`.
    image
        The picture's name; cases of the same image share their pixels.
    label
        What the object is, unique within its image.
    pixels
        (H, W, 3) uint8 RGB, read-only.
    mask
        (H, W) bool.
    """

    set_name: str
    image: str
    label: str
    pixels: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]


def traced(names: Sequence[str]) -> Found:
    """Yield picture, label, pixels and mask of every hand-drawn object in the named files of outlines."""
    for name in names:
        image, objects = read_outlines(HERE / "outlines" / f"{name}.json")
        pixels = read_picture(image)
        size_hw = (pixels.shape[0], pixels.shape[1])
        for label, mask in masks_of(objects, size_hw).items():
            yield image, label, pixels, mask


def _photographs() -> Found:
    names = sorted(path.stem for path in (HERE / "outlines").glob("*.json"))
    return traced([name for name in names if name not in TRACED_CELLS])


_LOADERS: dict[str, Callable[[], Found]] = {
    "coins": labelled.coins,
    "cells": lambda: chain(labelled.nuclei(), traced(TRACED_CELLS)),
    "glyphs": labelled.glyphs,
    "phantom": made.phantom,
    "silhouettes": made.silhouettes,
    "photographs": _photographs,
    "everyday": lambda: traced([f"everyday/{name}" for name in CREDITS]),
}

SETS = tuple(_LOADERS)


def load_cases(sets: Sequence[str] | None = None) -> list[Case]:
    """Return the cases of the named sets, of all when none is named, always in the same order.

    Raises
    ------
    ValueError
        A name that is not in `SETS`.

    Examples
    --------
    >>> len(load_cases(["coins"]))
    24
    """
    wanted = SETS if sets is None else sets
    unknown = [name for name in wanted if name not in SETS]
    if unknown:
        raise ValueError(f"no set is called {', '.join(unknown)}; there are {', '.join(SETS)}")
    return [Case(name, *found) for name in SETS if name in wanted for found in _LOADERS[name]()]
