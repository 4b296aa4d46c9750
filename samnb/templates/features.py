"""Features of objects: mean embeddings inside masks, and the similarity of cells to them.

The idea is PerSAM's (Zhang et al. 2023, arXiv:2305.03048, section 3.1): the mean embedding inside an example's mask,
compared by cosine with every cell of another image. Here the mean of each image's embedding is subtracted first, since
what all cells share does not describe the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from ..masks import encode_rle
from ..prompts import Embedding, Point, Prompt
from .template import CategoryExamples, Example, Place


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """An embedding prepared for comparisons: computed once, used for every mask.

    Parameters
    ----------
    embedding : Embedding
    """

    embedding: Embedding

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """(C, h, w): the first tensor without its padding, minus its mean over the image."""
        embedding = self.embedding
        tensor = next(iter(embedding.tensors.values())).astype(np.float32)
        # The frame is a square with the image in its top left corner; cells entirely in the padding are removed.
        frame = max(embedding.input_size)
        rows, columns = (max(1, round(tensor.shape[1] * side / frame)) for side in embedding.input_size)
        features = tensor[:, :rows, :columns]
        return features - features.mean(axis=(1, 2), keepdims=True)

    @cached_property
    def unit(self) -> NDArray[np.float32]:
        """(C, h, w): the features, each cell of length 1."""
        return _unit(self.features)

    @property
    def cells(self) -> tuple[int, int]:
        """(h, w) of the image in cells."""
        return (self.features.shape[1], self.features.shape[2])

    def mean_inside(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(C,) of length 1: the mean inside an (H, W) mask.

        A cell counts if at least half of it is inside. An object smaller than a cell has none; then the cell with
        the largest part of it is used.
        """
        share = cells_of(mask, self.cells)
        inside = share >= min(0.5, float(share.max()))
        return _unit(self.features[:, inside].mean(axis=1)).astype(np.float32)

    def diameter_in_cells(self, examples: CategoryExamples) -> float:
        """The diameter, in cells, of an object of the examples' median size."""
        wanted = float(np.median([example.diameter for example in examples.examples]))
        return wanted * max(self.cells) / max(self.embedding.input_size)


def make_example(
    pixel_hash: str,
    prompt: Prompt,
    mask: NDArray[np.bool_],
    embedding: Embedding,
    *,
    place: bool = False,
) -> Example:
    """An example from an annotated object.

    Parameters
    ----------
    pixel_hash : str
        Of its image.
    prompt : Prompt
        In image pixels.
    mask : (H, W) bool
    embedding : Embedding
        Of its image.
    place : bool
        Also store the features of the object and its surroundings, cell by cell, to find out how far it has moved.
    """
    features, (height, width) = ImageFeatures(embedding), mask.shape
    return Example(
        pixel_hash,
        prompt.scaled(1 / width, 1 / height),
        features.mean_inside(mask),
        area=float(mask.mean()),
        diameter=float(np.sqrt(mask.sum()) * embedding.input_size[0] / height),
        rle=encode_rle(mask),
        place=place_of(features, mask) if place else None,
        parts=parts_of(features, mask),
    )


def parts_of(features: ImageFeatures, mask: NDArray[np.bool_], count: int = 5) -> tuple[NDArray[np.float32], ...]:
    """Mean features of groups of cells inside an (H, W) mask: at most `count` (C,) of length 1, largest group first.

    P²SAM's part prompts (Zhao and Shen 2024, arXiv:2403.05433) are k-means clusters like these. Here the first centre
    is the cell nearest the mean, the others are farthest from the ones before, so that a mask always has the same
    parts.
    """
    share = cells_of(mask, features.cells)
    cells = features.unit[:, share >= min(0.5, float(share.max()))].T
    centres = [cells[int(np.argmax(cells @ cells.mean(axis=0)))]]
    while len(centres) < min(count, len(cells)):
        nearest = (cells @ np.stack(centres).T).max(axis=1)
        if nearest.min() > 0.999:
            break
        centres.append(cells[int(np.argmin(nearest))])
    found = np.stack(centres)
    for _ in range(20):
        groups = np.argmax(cells @ found.T, axis=1)
        sums = np.stack([cells[groups == number].sum(axis=0) for number in range(len(found))])
        moved = np.where(np.linalg.norm(sums, axis=1, keepdims=True) > 1e-6, _unit(sums.T).T, found)
        if np.allclose(moved, found, atol=1e-5):
            break
        found = moved
    sizes = np.bincount(np.argmax(cells @ found.T, axis=1), minlength=len(found))
    return tuple(found[number].astype(np.float32) for number in np.argsort(-sizes, kind="stable"))


def cells_at(embedding: Embedding, points: Sequence[Point]) -> tuple[NDArray[np.float32], ...]:
    """The embedding under each (x, y) in image pixels: (C,) of length 1."""
    features, (height, width) = ImageFeatures(embedding), embedding.original_size
    rows, columns = features.cells
    places = ((min(int(y * rows / height), rows - 1), min(int(x * columns / width), columns - 1)) for x, y in points)
    return tuple(features.unit[:, row, column].copy() for row, column in places)


def place_of(features: ImageFeatures, mask: NDArray[np.bool_]) -> Place:
    """The cells of a mask's bounding box and two around it, in the eight directions in which they vary most."""
    rows, columns = features.cells
    inside = cells_of(mask, (rows, columns)) >= 0.5
    ys, xs = (
        np.nonzero(inside)
        if inside.any()
        else np.unravel_index([np.argmax(cells_of(mask, (rows, columns)))], (rows, columns))
    )
    top, bottom = max(0, int(ys.min()) - 2), min(rows, int(ys.max()) + 3)
    left, right = max(0, int(xs.min()) - 2), min(columns, int(xs.max()) + 3)
    patch = features.unit[:, top:bottom, left:right]
    flat = patch.reshape(len(patch), -1)
    directions, _, _ = np.linalg.svd(flat - flat.mean(axis=1, keepdims=True), full_matrices=False)
    basis = directions[:, :8].T.astype(np.float32)
    return Place(top, left, basis, np.einsum("kc,chw->khw", basis, patch).astype(np.float32))


def shift_of(features: ImageFeatures, place: Place, reach: float) -> tuple[float, float]:
    """The shift in cells (dx, dy) of a stored place on another image of the same size.

    Parameters
    ----------
    features : ImageFeatures
        The other image.
    place : Place
    reach : float
        The maximum shift, as a share of the image's longest side.
    """
    finer = 4  # than a cell: objects do not move by whole cells
    here = np.einsum("kc,chw->hwk", place.basis, features.unit)
    patch = np.moveaxis(place.patch, 0, -1)
    far = max(1, round(reach * max(features.cells) * finer))
    here, patch = (_enlarged(values, finer) for values in (here, patch))
    padded = cv2.copyMakeBorder(here, far, far, far, far, cv2.BORDER_REPLICATE)
    top, left = place.top * finer, place.left * finer
    searched = padded[top : top + patch.shape[0] + 2 * far, left : left + patch.shape[1] + 2 * far]
    apart = sum(
        cv2.matchTemplate(np.ascontiguousarray(searched[..., k]), np.ascontiguousarray(patch[..., k]), cv2.TM_SQDIFF)
        for k in range(patch.shape[2])
    )
    row, column = divmod(int(np.argmin(apart)), np.shape(apart)[1])
    return (column - far) / finer, (row - far) / finer


def _enlarged(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    size = (values.shape[1] * factor, values.shape[0] * factor)
    return np.asarray(cv2.resize(np.ascontiguousarray(values), size, interpolation=cv2.INTER_CUBIC), np.float32)


def prototype(embedding: Embedding, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean centred embedding inside a mask, (C,) of length 1; see `ImageFeatures.mean_inside`."""
    return ImageFeatures(embedding).mean_inside(mask)


def similarity_map(
    embedding: Embedding | ImageFeatures, examples: CategoryExamples, *, background_weight: float = 1.0, parts: int = 0
) -> NDArray[np.float32]:
    """Cosine of every cell with its nearest example: (h, w), -1 to 1, without the padding.

    Parameters
    ----------
    embedding : Embedding
    examples : CategoryExamples
    background_weight : float
        The share of the similarity with the nearest background example that is subtracted, if that is above 0.
    parts : int
        The number of parts of each example that count as examples too; 0 or 1: none.
    """
    features = embedding if isinstance(embedding, ImageFeatures) else ImageFeatures(embedding)
    wanted = [example.prototype for example in examples.examples]
    if parts > 1:
        wanted += [part for example in examples.examples for part in example.parts[:parts]]
    similarity = _nearest(wanted, features)
    if examples.background and background_weight:
        alike = np.maximum(_nearest(list(examples.background), features), 0)
        similarity = np.asarray(similarity - background_weight * alike, np.float32)
    return similarity


def cells_of(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The share of each cell that a mask covers, 0 to 1; never all zero unless the mask is empty.

    >>> cells_of(np.eye(4, dtype=bool), (2, 2)).round(1).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    share = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(share + 1e-9, np.float32)


def _nearest(prototypes: list[NDArray[np.float32]], features: ImageFeatures) -> NDArray[np.float32]:
    return np.einsum("nc,chw->nhw", np.stack(prototypes), features.unit).max(axis=0)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise to length 1 along the first axis."""
    return values / np.maximum(np.linalg.norm(values, axis=0, keepdims=True), 1e-6)
