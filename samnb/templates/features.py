"""Features of objects: mean embeddings inside masks, and the similarity of cells to them.

The idea is PerSAM's (Zhang et al. 2023, arXiv:2305.03048, section 3.1): the mean embedding inside an example's mask,
compared by cosine with every cell of another image. Here the mean of each image's embedding is subtracted first, since
what all cells share does not describe the object.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..masks import encode_rle
from ..prompts import Embedding, Point, Prompt
from .examples import CategoryExamples, Example, Place
from .image_features import ImageFeatures, as_features, cells_of, inside, unit

SMALL = 3.0
"""Objects of a smaller diameter, in cells of the first map, are searched on the finer one, too."""


def make_example(
    pixel_hash: str,
    prompt: Prompt,
    mask: NDArray[np.bool_],
    embedding: Embedding | ImageFeatures,
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
    embedding : Embedding or ImageFeatures
        Of its image; with features of another model, those are compared.
    place : bool
        Also store the features of the object and its surroundings, cell by cell, to find out how far it has moved.
    """
    features, (height, width) = as_features(embedding), mask.shape
    return Example(
        pixel_hash,
        prompt.scaled(1 / width, 1 / height),
        features.mean_inside(mask),
        area=float(mask.mean()),
        diameter=float(np.sqrt(mask.sum()) * features.embedding.input_size[0] / height),
        rle=encode_rle(mask),
        place=place_of(features, mask) if place else None,
        parts=parts_of(features, mask),
        around=around_of(features, mask),
    )


def parts_of(features: ImageFeatures, mask: NDArray[np.bool_], count: int = 5) -> tuple[NDArray[np.float32], ...]:
    """Mean features of groups of cells inside an (H, W) mask: at most `count` (C,) of length 1, largest group first.

    P²SAM's part prompts (Zhao and Shen 2024, arXiv:2403.05433) are k-means clusters like these.
    """
    return _grouped(features.unit[:, inside(mask, features.cells)].T, count)


def around_of(features: ImageFeatures, mask: NDArray[np.bool_], count: int = 16) -> tuple[NDArray[np.float32], ...]:
    """Mean features of groups of cells outside an (H, W) mask, as `parts_of`.

    Cells as similar to the object as nine tenths of its own are left out: they may be of other objects of its kind.
    """
    own = inside(mask, features.cells)
    mean = unit(features.features[:, own].mean(axis=1))
    least = float(np.quantile(mean @ features.unit[:, own], 0.1))
    outside = features.unit[:, cells_of(mask, features.cells) < 0.05].T
    return _grouped(outside[outside @ mean < least], count)


def _grouped(cells: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], ...]:
    """Centres of k-means on cells (N, C), the largest group first.

    The first centre is the cell nearest the mean, the others are farthest from the ones before, so that the same cells
    always have the same centres.
    """
    if not len(cells):
        return ()
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
        moved = np.where(np.linalg.norm(sums, axis=1, keepdims=True) > 1e-6, unit(sums.T).T, found)
        if np.allclose(moved, found, atol=1e-5):
            break
        found = moved
    sizes = np.bincount(np.argmax(cells @ found.T, axis=1), minlength=len(found))
    return tuple(found[number].astype(np.float32) for number in np.argsort(-sizes, kind="stable"))


def cells_at(embedding: Embedding | ImageFeatures, points: Sequence[Point]) -> tuple[NDArray[np.float32], ...]:
    """The features under each (x, y) in image pixels: of length 1, as those of an example's mean."""
    features = as_features(embedding)
    return tuple(features.at(x, y) for x, y in points)


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


def prototype(embedding: Embedding | ImageFeatures, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean centred embedding inside a mask, of length 1; see `ImageFeatures.mean_inside`."""
    return as_features(embedding).mean_inside(mask)


def similarity_map(
    embedding: Embedding | ImageFeatures, examples: CategoryExamples, *, background_weight: float = 1.0, parts: int = 0
) -> NDArray[np.float32]:
    """Cosine of every cell with its nearest example: (h, w), -1 to 1, without the padding.

    Parameters
    ----------
    embedding : Embedding or ImageFeatures
    examples : CategoryExamples
    background_weight : float
        The share of the similarity with the nearest background example that is subtracted, if that is above 0.
    parts : int
        The number of parts of each example that count as examples too; 0 or 1: none.

    Returns
    -------
    numpy.ndarray
        On the cells of the first map; for objects of less than `SMALL` such cells, and if there is a finer map, on the
        cells of that one: the mean of both similarities.
    """
    features = as_features(embedding)
    coarse = _similarity(0, features, examples, background_weight, parts)
    if len(features.maps) == 1 or features.diameter_in_cells(examples) >= SMALL:
        return coarse
    fine = _similarity(1, features, examples, background_weight, 0)
    enlarged = cv2.resize(coarse, (fine.shape[1], fine.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray((fine + enlarged) / 2, np.float32)


def _similarity(
    number: int, features: ImageFeatures, examples: CategoryExamples, background_weight: float, parts: int
) -> NDArray[np.float32]:
    """The cosine of every cell of one map with its nearest example."""
    cells = unit(features.maps[number])
    wanted = [features.part(example.prototype, number) for example in examples.examples]
    if parts > 1:
        wanted += [part for example in examples.examples for part in example.parts[:parts]]
    similarity = _nearest(wanted, cells)
    if examples.background and background_weight:
        alike = np.maximum(_nearest([features.part(cell, number) for cell in examples.background], cells), 0)
        similarity = np.asarray(similarity - background_weight * alike, np.float32)
    return similarity


def share_matched_back(features: ImageFeatures, mask: NDArray[np.bool_], examples: CategoryExamples) -> float:
    """The share of a mask's cells that are more similar to an example than to what surrounds the examples.

    Matcher (Liu et al. 2023, arXiv:2305.13310) matches cells forward and back, and keeps those whose partner lies in
    the example's mask. Here the partners are groups of cells, which a template can hold: no picture is needed.

    Parameters
    ----------
    features : ImageFeatures
    mask : (H, W) bool
    examples : CategoryExamples
        Without surroundings, as in templates of older versions, all cells match back.
    """
    around = [cell for example in examples.examples for cell in example.around]
    if not around:
        return 1.0
    own = [vector for one in examples.examples for vector in (features.part(one.prototype), *one.parts)]
    cells = features.unit[:, inside(mask, features.cells)]
    return float(((np.stack(own) @ cells).max(axis=0) > (np.stack(around) @ cells).max(axis=0)).mean())


def _nearest(prototypes: list[NDArray[np.float32]], cells: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.einsum("nc,chw->nhw", np.stack(prototypes), cells).max(axis=0)
