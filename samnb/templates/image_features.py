"""`ImageFeatures`: what an image looks like, cell by cell, prepared for comparisons with the examples of a template.

Cells are searched on one map, and whole masks are compared on all maps that describe a place: of the embedded net, on
two maps of its pretrained backbone, and on the map that its decoder draws from. The backbone learned what things are
from a million photographs, and the decoder's map what belongs together; where both agree, false finds are rare: of ten
things on photographs (``benchmarks/template_transfer.py``) 155 masks were false by the decoder's maps alone, about 40
by the backbone's alone, and 14 by both.
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
    from .examples import CategoryExamples

MAPS = {"backbone16": 1.0, "backbone8": 5.0}
"""Tensors of an embedding that are compared, and the weight of each; without them `MEANING` is, or its first tensor."""

MEANING = "semantic"
"""The tensor that must agree with `MAPS`: the cosine on it is a factor of the similarity. Alone, it is compared."""


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
    >>> from samnb.prompts import Embedding
    >>> from samnb.templates.image_features import ImageFeatures
    >>> colours = Embedding({"image_embedding": np.eye(4, dtype="float32").reshape(4, 2, 2)}, (20, 20), (64, 64))
    >>> ImageFeatures(colours).cells
    (2, 2)
    """

    embedding: Embedding
    compared: Embedding | None = None

    @cached_property
    def maps(self) -> tuple[NDArray[np.float32], ...]:
        """(C, h, w) each: maps without their padding, minus their mean over the image; the first one is searched."""
        tensors = self._source.tensors
        if MAPS.keys() <= tensors.keys():
            names = list(MAPS)
        else:
            names = [MEANING if MEANING in tensors else next(iter(tensors))]
        return tuple(_centred(self._source, name) for name in names)

    @cached_property
    def agreeing(self) -> NDArray[np.float32] | None:
        """(C, h, w): the map `MEANING` as it is, without its padding; None without such a map."""
        known = len(self.maps) > 1 and MEANING in self._source.tensors
        return _without_padding(self._source, MEANING) if known else None

    @property
    def _source(self) -> Embedding:
        return self.compared or self.embedding

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
        return sum(len(one) for one in self._all)

    @property
    def _all(self) -> tuple[NDArray[np.float32], ...]:
        return self.maps if self.agreeing is None else (*self.maps, self.agreeing)

    def mean_inside(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(length,) of length 1: the mean inside an (H, W) mask on every map; see `alike`.

        A cell counts if at least half of it is inside. An object smaller than a cell has none; then the cell with
        the largest part of it is used.
        """
        return _joined([one[:, inside(mask, one.shape[1:])].mean(axis=1) for one in self._all], len(self.maps))

    def at(self, x: float, y: float) -> NDArray[np.float32]:
        """(length,) of length 1: the cells under a point in image pixels."""
        height, width = self.embedding.original_size
        found = []
        for one in self._all:
            rows, columns = one.shape[1:]
            found.append(one[:, min(int(y * rows / height), rows - 1), min(int(x * columns / width), columns - 1)])
        return _joined(found, len(self.maps))

    def alike(self, means: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
        """How alike mean features are, -1 to 1: (N, length) and (length,) to (N,).

        The weighted mean of the cosines on all maps, times the cosine on the map `MEANING`, if that is above 0.
        """
        if self.agreeing is None:
            return np.asarray(means @ mean, np.float32)
        start = self.length - len(self.agreeing)
        agree = np.clip(2 * means[:, start:] @ mean[start:], 0, 1)
        return np.asarray(2 * means[:, :start] @ mean[:start] * agree, np.float32)

    def part(self, mean: NDArray[np.float32], number: int = 0) -> NDArray[np.float32]:
        """(C,) of length 1: the part of a mean feature that is on one of the maps."""
        start = sum(len(one) for one in self.maps[:number])
        return mean if len(self.maps) == 1 else unit(mean[start : start + len(self.maps[number])])

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


def _without_padding(embedding: Embedding, name: str) -> NDArray[np.float32]:
    tensor = embedding.tensors[name].astype(np.float32)
    # The frame is a square with the image in its top left corner; cells entirely in the padding are removed.
    frame = max(embedding.input_size)
    rows, columns = (max(1, round(tensor.shape[1] * side / frame)) for side in embedding.input_size)
    return tensor[:, :rows, :columns]


def _centred(embedding: Embedding, name: str) -> NDArray[np.float32]:
    features = _without_padding(embedding, name)
    return features - features.mean(axis=(1, 2), keepdims=True)


def _joined(means: list[NDArray[np.float32]], maps: int) -> NDArray[np.float32]:
    """One vector of length 1; the means on `maps` maps have their weights, together as much as the one that agrees."""
    if len(means) == 1:
        return unit(means[0]).astype(np.float32)
    weights = np.array(list(MAPS.values()))
    weights = weights / weights.sum()
    if len(means) > maps:
        weights = np.append(weights, 1.0) / 2
    return np.concatenate([unit(mean) * np.sqrt(w) for mean, w in zip(means, weights, strict=True)]).astype(np.float32)
