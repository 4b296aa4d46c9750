"""`ImageFeatures`: what an image looks like, cell by cell, prepared for comparisons with the examples of a template.

Cells are searched on one map, and whole masks are compared on all maps that describe a place. Two maps together tell
objects from what only resembles them; the coarse one alone, which says what things are, is the better one to search.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..masks import mask_bbox
from ..prompts import Embedding

if TYPE_CHECKING:
    from .template import CategoryExamples

MAPS = ("semantic", "middle")
"""Tensors of an embedding that are compared, if it has the first of them; without it, its first tensor is."""


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """An embedding prepared for comparisons: computed once, used for every mask.

    Parameters
    ----------
    embedding : Embedding
        Of the model that draws the masks.
    compared : Embedding, optional
        Of the model whose features are compared. None: the same.

    Examples
    --------
    >>> colours = Embedding({"image_embedding": np.eye(4, dtype="float32").reshape(4, 2, 2)}, (20, 20), (64, 64))
    >>> ImageFeatures(colours).cells
    (2, 2)
    """

    embedding: Embedding
    compared: Embedding | None = None

    @cached_property
    def maps(self) -> tuple[NDArray[np.float32], ...]:
        """(C, h, w) each: maps without their padding, minus their mean over the image; the first one is searched."""
        source = self.compared or self.embedding
        names = [name for name in MAPS if name in source.tensors and MAPS[0] in source.tensors]
        return tuple(_centred(source, name) for name in names or [next(iter(source.tensors))])

    @property
    def features(self) -> NDArray[np.float32]:
        """(C, h, w): the map that is searched, minus its mean over the image."""
        return self.maps[0]

    @cached_property
    def unit(self) -> NDArray[np.float32]:
        """(C, h, w): the features, each cell of length 1."""
        return unit(self.features)

    @property
    def cells(self) -> tuple[int, int]:
        """(h, w) of the image in cells."""
        return (self.features.shape[1], self.features.shape[2])

    @property
    def length(self) -> int:
        """The number of values in a mean feature: the channels of all maps."""
        return sum(len(one) for one in self.maps)

    def mean_inside(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(length,) of length 1: the mean inside an (H, W) mask on every map, each map with the same weight.

        A cell counts if at least half of it is inside. An object smaller than a cell has none; then the cell with
        the largest part of it is used.
        """
        return _joined([one[:, inside(mask, one.shape[1:])].mean(axis=1) for one in self.maps])

    def at(self, x: float, y: float) -> NDArray[np.float32]:
        """(length,) of length 1: the cells under a point in image pixels."""
        height, width = self.embedding.original_size
        found = []
        for one in self.maps:
            rows, columns = one.shape[1:]
            found.append(one[:, min(int(y * rows / height), rows - 1), min(int(x * columns / width), columns - 1)])
        return _joined(found)

    def searched(self, mean: NDArray[np.float32]) -> NDArray[np.float32]:
        """(C,) of length 1: the part of a mean feature that is on the searched map."""
        return mean if len(self.maps) == 1 else unit(mean[: len(self.features)])

    def on_own_cells(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values of cells, (h, w), on the cells of the model that draws the masks."""
        if self.compared is None:
            return values
        rows, columns = ImageFeatures(self.embedding).cells
        return np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)

    def diameter_in_cells(self, examples: CategoryExamples) -> float:
        """The diameter, in cells, of an object of the examples' median size."""
        wanted = float(np.median([example.diameter for example in examples.examples]))
        return wanted * max(self.cells) / max(self.embedding.input_size)


def as_features(embedding: Embedding | ImageFeatures) -> ImageFeatures:
    """The same, or an embedding's own features."""
    return embedding if isinstance(embedding, ImageFeatures) else ImageFeatures(embedding)


def cells_of(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The share of each cell that a mask covers, 0 to 1; never all zero unless the mask is empty.

    >>> cells_of(np.eye(4, dtype=bool), (2, 2)).round(1).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    (height, width), (rows, columns) = mask.shape, shape
    if height < rows or width < columns:
        share: NDArray[Any] = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(share + 1e-9, np.float32)
    # Of the box around it alone: most objects are small, and a picture may have hundreds.
    x, y, across, down = mask_bbox(mask)
    share = np.zeros(shape)
    down_weights, across_weights = _overlaps(y, down, height, rows), _overlaps(x, across, width, columns)
    for row, weights in enumerate(down_weights):
        some = np.flatnonzero(weights)
        if len(some):
            lines = slice(some[0], some[-1] + 1)
            share[row] = across_weights @ (weights[lines] @ mask[y : y + down, x : x + across][lines])
    return np.asarray(share + 1e-9, np.float32)


def _overlaps(start: int, length: int, side: int, cells: int) -> NDArray[np.float64]:
    """(cells, length): the share of each of `cells` equal parts of a side that each pixel from `start` on covers."""
    borders = np.arange(cells + 1) * side / cells - start
    pixels = np.arange(length)
    common = np.minimum(borders[1:, None], pixels + 1) - np.maximum(borders[:-1, None], pixels)
    return np.asarray(common.clip(min=0) * cells / side, np.float64)


def inside(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The cells that a mask covers by half, or the one with the largest part of it.

    >>> inside(np.eye(4, dtype=bool), (2, 2)).tolist()
    [[True, False], [False, True]]
    """
    share = cells_of(mask, shape)
    return np.asarray(share >= min(0.5, float(share.max())))


def unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise to length 1 along the first axis."""
    return values / np.maximum(np.linalg.norm(values, axis=0, keepdims=True), 1e-6)


def _centred(embedding: Embedding, name: str) -> NDArray[np.float32]:
    tensor = embedding.tensors[name].astype(np.float32)
    # The frame is a square with the image in its top left corner; cells entirely in the padding are removed.
    frame = max(embedding.input_size)
    rows, columns = (max(1, round(tensor.shape[1] * side / frame)) for side in embedding.input_size)
    features = tensor[:, :rows, :columns]
    return features - features.mean(axis=(1, 2), keepdims=True)


def _joined(means: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    units = [unit(mean) for mean in means]
    return (units[0] if len(units) == 1 else np.concatenate(units) / np.sqrt(len(units))).astype(np.float32)
