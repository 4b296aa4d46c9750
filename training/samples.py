"""Cut training samples out of rendered scenes: a crop, a few objects in it, a click and a box for each.

Everything of a sample follows from (seed, stage, step, rank), so a run that is taken up again sees what it would have
seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from samnb.models import tiny
from training.render import load_shards

WHOLE_SHARE = 0.8
"""How often a click on a part asks for the whole object."""

SMALLEST, LARGEST = 40, 0.75
"""Area of a wanted object: pixels, and share of the crop."""

STRIP_SHARE, STRIP_RATIO = 0.2, 5.5
"""How many of the whole scenes are strips, as lines of text and panoramas are, and how long the longest are."""


@dataclass(frozen=True)
class Size:
    """A crop size in pixels, how many crops make a batch, and how many objects are wanted of each."""

    pixels: int
    images: int
    objects: int


STAGES: dict[str, tuple[Size, ...]] = {
    "crops": (Size(128, 6, 4),),
    "mixed": (Size(128, 6, 4), Size(192, 3, 4), Size(256, 2, 4)),
    "scenes": (Size(384, 1, 6), Size(384, 1, 6), Size(384, 1, 6), Size(256, 2, 5)),
}
"""Cheap crops teach most of it; whole scenes of the shipped size come last and set the scores right."""


@dataclass(frozen=True, eq=False)
class Batch:
    """B images with P objects each, prompts flattened to B * P.

    Attributes
    ----------
    images
        (B, 3, S, S) float32, normalised; padding is zero.
    targets
        (B * P, S / 2, S / 2) float32, covered share of each mask pixel.
    clicks
        (B * P, 2) x, y of a pixel inside the object.
    boxes
        (B * P, 4) x0, y0, x1, y1, jittered.
    origin
        (x, y) where the crop lies in the frame of the shipped size.
    """

    images: Tensor
    targets: Tensor
    clicks: Tensor
    boxes: Tensor
    origin: tuple[float, float]


def draw_crop(
    rng: np.random.Generator, pixels: np.ndarray, labels: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a crop and scale it so that its longest side is `size`; only full-size crops may be less than square."""
    side = pixels.shape[0]
    if size >= tiny.IMAGE_SIZE:
        width = height = side * rng.uniform(0.58, 1)
        chance = rng.random()
        if chance < STRIP_SHARE:
            width = side * rng.uniform(0.8, 1)
            height = width / np.exp(rng.uniform(np.log(2), np.log(STRIP_RATIO)))
        elif chance < 0.65:
            width *= rng.uniform(0.5, 1)
    else:
        width = height = min(size * np.exp(rng.uniform(np.log(0.55), np.log(1.9))), side)
    if rng.random() < 0.5:
        width, height = height, width
    w, h = int(width), int(height)
    x, y = int(rng.integers(0, side - w + 1)), int(rng.integers(0, side - h + 1))
    scale = size / max(w, h)
    shape = (max(round(w * scale), 1), max(round(h * scale), 1))
    crop = cv2.resize(
        np.ascontiguousarray(pixels[y : y + h, x : x + w]),
        shape,
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    marks = cv2.resize(np.ascontiguousarray(labels[y : y + h, x : x + w]), shape, interpolation=cv2.INTER_NEAREST)
    turns = int(rng.integers(4))
    crop, marks = np.rot90(crop, turns), np.rot90(marks, turns)
    if rng.random() < 0.5:
        crop, marks = crop[:, ::-1], marks[:, ::-1]
    return np.ascontiguousarray(crop), np.ascontiguousarray(marks)


def augment(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Change colours and quality of (H, W, 3) uint8 pixels as cameras, scanners and files do."""
    image: np.ndarray = pixels[..., rng.permutation(3)].astype(np.float32)
    if rng.random() < 0.2:
        image = 255 - image
    if rng.random() < 0.4:
        image = np.repeat((image @ rng.dirichlet([2, 2, 2]).astype(np.float32))[..., None], 3, -1)
    image = (image - 128) * rng.uniform(0.4, 1.4) + 128 + rng.uniform(-45, 45)
    if rng.random() < 0.3:
        image = 255 * (np.clip(image, 0, 255) / 255) ** np.exp(rng.uniform(-0.7, 0.7))
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.4:
        image = image + rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(1, 14)
    done = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        coded = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])[1]
        done = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return done


def draw_click(rng: np.random.Generator, mask: np.ndarray, middles: float = 0.25) -> tuple[int, int]:
    """Draw x, y inside a mask: its deepest point (a share `middles` of the clicks), somewhere deep, or anywhere."""
    depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    kind = rng.random()
    lowest = depth.max() * (0.999 if kind < middles else 0.4 if kind < 0.85 else 0.0)
    y, x = np.nonzero((depth >= lowest) & (depth > 0))
    pick = int(rng.integers(len(x)))
    return int(x[pick]), int(y[pick])


def draw_box(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Give the mask's box as x0, y0, x1, y1 with each side moved a little, as hands do."""
    x, y, w, h = cv2.boundingRect(mask)
    jitter = rng.standard_normal(4) * rng.uniform(0, 0.08) * np.array([w, h, w, h])
    box = np.array([x, y, x + w, y + h]) + np.clip(jitter, -12, 12)
    limit = np.array([mask.shape[1], mask.shape[0]] * 2)
    return np.clip(box, 0, limit)


def draw_objects(rng: np.random.Generator, labels: np.ndarray, count: int) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Draw `count` wanted masks (H, W) uint8 with a click each; fewer, or none, where the crop holds too few."""
    whole, part = labels[..., 0], labels[..., 1]
    sizes = np.bincount(whole.ravel())
    sizes[0] = 0
    fit = np.nonzero((sizes >= SMALLEST) & (sizes <= LARGEST * whole.size))[0]
    chosen: list[tuple[np.ndarray, tuple[int, int]]] = []
    for _ in range(2 * count if len(fit) else 0):
        # Large objects are few in a crop of many small ones: draw by the root of the area.
        weight = np.sqrt(sizes[fit])
        number = int(fit[rng.choice(len(fit), p=weight / weight.sum())])
        mask = (whole == number).astype(np.uint8)
        parts = np.unique(part[mask > 0])
        parts = parts[parts > 0]
        if len(parts) and rng.random() > WHOLE_SHARE:
            mask = (part == rng.choice(parts)).astype(np.uint8)
        pieces, pieced = cv2.connectedComponents(mask, connectivity=4)
        if pieces > 2:  # cut apart by what lies over it: the piece under the click is wanted
            mask = (pieced == 1 + int(np.argmax(np.bincount(pieced.ravel())[1:]))).astype(np.uint8)
        if mask.sum() < SMALLEST // 4:
            continue
        chosen.append((mask, draw_click(rng, mask)))
        if len(chosen) == count:
            break
    return chosen


def _halve(mask: np.ndarray, size: int) -> np.ndarray:
    """Pad to size×size and halve, keeping the covered share."""
    full = np.zeros((size, size), np.float32)
    full[: mask.shape[0], : mask.shape[1]] = mask
    return cv2.resize(full, (size // 2, size // 2), interpolation=cv2.INTER_AREA)


def normalise(pixels: np.ndarray, size: int) -> np.ndarray:
    """Turn (H, W, 3) uint8 into (3, size, size) float32, normalised, padded with zeros below and on the right."""
    out = np.zeros((size, size, 3), np.float32)
    values = (pixels - np.asarray(tiny.PIXEL_MEAN, np.float32)) / np.asarray(tiny.PIXEL_STD, np.float32)
    out[: pixels.shape[0], : pixels.shape[1]] = values
    return out.transpose(2, 0, 1)


class Samples:
    """All batches of a stage.

    Parameters
    ----------
    folder
        Rendered shards.
    stage
        Key of `STAGES`.
    seed
        The run's seed.
    """

    def __init__(self, folder: Path, stage: str, seed: int) -> None:
        self._shards = load_shards(folder)
        if not self._shards:
            advice = f"run `python -m training.render --out {folder}` first"
            raise FileNotFoundError(f"no rendered scenes in {folder}: {advice}")
        self._stage, self._seed = stage, seed

    def batch(self, step: int, rank: int = 0) -> Batch:
        """Draw the batch of a step; ranks get different samples of the same size."""
        key = [2, self._seed, list(STAGES).index(self._stage), step]
        sizes = STAGES[self._stage]
        size = sizes[int(np.random.default_rng(key).integers(len(sizes)))]
        rng = np.random.default_rng([*key, 1 + rank])
        images: list[np.ndarray] = []
        targets: list[np.ndarray] = []
        clicks: list[np.ndarray] = []
        boxes: list[np.ndarray] = []
        while len(images) < size.images:
            pixels, labels = self._scene(rng)
            crop, marks = draw_crop(rng, pixels, labels, size.pixels)
            objects = draw_objects(rng, marks, size.objects)
            if not objects:
                continue
            objects = [objects[i % len(objects)] for i in range(size.objects)]
            images.append(normalise(augment(rng, crop), size.pixels))
            targets += [_halve(mask, size.pixels) for mask, _ in objects]
            clicks += [np.array(click) for _, click in objects]
            boxes += [draw_box(rng, mask) for mask, _ in objects]
        room = max(tiny.IMAGE_SIZE - size.pixels, 0)
        origin = (float(rng.uniform(0, room)), float(rng.uniform(0, room)))
        columns = (images, targets, clicks, boxes)
        tensors = [torch.from_numpy(np.stack(values).astype(np.float32)) for values in columns]
        return Batch(tensors[0], tensors[1], tensors[2], tensors[3], origin)

    def _scene(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        pixels, labels = self._shards[int(rng.integers(len(self._shards)))]
        pick = int(rng.integers(len(pixels)))
        return pixels[pick], labels[pick]
