"""Draw training batches from a cache of backbone maps: a few pictures, a few objects of each, a prompt for each.

Pictures are drawn by source, so that a source of many objects does not outweigh the others. Everything of a batch
follows from (seed, step) and from the shards that are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from samnb.models.tiny.config import SHADES
from samnb.models.tiny.layers import Prompts
from training.crops import draw_box, draw_click
from training.feature_cache import STRIDES

SOURCE_WEIGHTS = {
    "scenes": 7.0,
    "coco_open_licences": 1.6,
    "coco_open_licences_2": 2.4,
    "taco_litter_ccby": 1.2,
    "roads_potholes_br": 0.6,
    "nuclei_dsb2018": 0.9,
    "typewritten_pages": 0.5,
    "pebbles_grains": 0.4,
    "nuts_dates_figs": 0.4,
    "cookies": 0.3,
    "alien_toys": 0.3,
}
"""How often a picture is drawn from each source; others count `OTHER_WEIGHT`."""

OTHER_WEIGHT = 0.5

WHOLE_SHARE = 0.7
"""How often a click on a part asks for the whole object. With 0.8, and nothing but wholes on real pictures, 4,000 steps
made the net forget parts: for an eye, all three candidates were the cat. With 0.5 the scores no longer knew that wholes
are wanted more often."""

MIDDLE_SHARE = 0.45
"""How often a click goes to the deepest point: people click in the middle, so the middle of what is wanted is told."""

PATCH_SHARE = 0.2
"""How often a patch of one colour inside an object of a photograph is wanted: real masks have no parts."""

PATCH_SOURCES = ("coco_open_licences", "coco_open_licences_2", "taco_litter_ccby")
PATCH_TOLERANCES, PATCH_AREAS = (0.2, 0.6), (0.02, 0.5)
"""Difference of colour within a patch, in units of normalised colour; its area as a share of the object's."""

SMALLEST, LARGEST = 40, 0.8
"""Area of a wanted object: pixels, and share of the picture."""

BOX_SHARE, BOTH_SHARE = 0.15, 0.05
"""How often the first prompt is a box, and how often a box and a click."""


@dataclass(frozen=True, eq=False)
class Batch:
    """I pictures, and B prompts on them.

    Parameters
    ----------
    maps
        (I, C, S, S) at strides 4, 8, 16, 32.
    colours
        (I, 3, 192, 192), normalised.
    owners
        (B,) the picture of each prompt.
    targets
        (B, 384, 384) 0 or 1.
    prompts
        B prompts of one click, a box, or both.
    sources
        I names.
    """

    maps: list[Tensor]
    colours: Tensor
    owners: Tensor
    targets: Tensor
    prompts: Prompts
    sources: list[str]

    def to(self, device: str) -> Batch:
        """The same on another device."""
        maps = [values.to(device) for values in self.maps]
        rest = self.colours.to(device), self.owners.to(device), self.targets.to(device)
        return Batch(maps, *rest, self.prompts.to(device), self.sources)


class Shard:
    """One folder of arrays, mapped into memory when it is first read."""

    def __init__(self, folder: Path) -> None:
        self.source = folder.parent.name
        self._folder, self._arrays = folder, dict[str, np.ndarray]()
        self.count = len(np.load(folder / "sizes.npy"))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            self._arrays[name] = np.load(self._folder / f"{name}.npy", mmap_mode="r")
        return self._arrays[name]


def draw_object(
    rng: np.random.Generator, labels: np.ndarray, pieces: bool, colours: np.ndarray | None = None
) -> np.ndarray | None:
    """Draw a wanted mask (H, W) uint8 from (2, H, W) labels; None where there is none of a fitting size.

    Parameters
    ----------
    pieces
        Of an object in several pieces only the largest is wanted.
    colours
        (3, H / 2, W / 2) in `SHADES`, where a patch of one colour inside the object may be wanted, see `PATCH_SHARE`.
    """
    whole, part = labels
    sizes = np.bincount(whole.ravel(), minlength=2)
    sizes[0] = 0
    fit = np.nonzero((sizes >= SMALLEST) & (sizes <= LARGEST * whole.size))[0]
    if not len(fit):
        return None
    weight = sizes[fit] ** 0.25  # a picture has many small objects
    number = int(fit[rng.choice(len(fit), p=weight / weight.sum())])
    mask = (whole == number).astype(np.uint8)
    if rng.random() > WHOLE_SHARE:
        parts = np.unique(part[mask > 0])
        parts = parts[parts > 0]
        if len(parts):
            mask = (part == rng.choice(parts)).astype(np.uint8)
    elif colours is not None and rng.random() < PATCH_SHARE:
        mask = draw_patch(rng, mask, colours)
    if pieces:
        count, pieced, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        if count > 2:
            mask = (pieced == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    return mask if mask.sum() >= SMALLEST // 2 else None


def draw_patch(rng: np.random.Generator, mask: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """A connected patch of one colour inside a mask (H, W) uint8; the mask itself where none has a fitting size."""
    small = cv2.resize(mask, colours.shape[:0:-1], interpolation=cv2.INTER_NEAREST)
    rows, columns = np.nonzero(small)
    if not len(rows):
        return mask
    picture = colours.astype(np.float32)
    for _ in range(4):
        at = int(rng.integers(len(rows)))
        distance = np.sqrt(((picture - picture[:, rows[at], columns[at], None, None]) ** 2).sum(0)) / SHADES
        near = ((distance < rng.uniform(*PATCH_TOLERANCES)) & (small > 0)).astype(np.uint8)
        near = cv2.morphologyEx(near, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) & small
        _, pieced = cv2.connectedComponents(near, connectivity=4)
        patch = (pieced == pieced[rows[at], columns[at]]).astype(np.uint8)
        if PATCH_AREAS[0] <= patch.sum() / len(rows) <= PATCH_AREAS[1] and 4 * patch.sum() >= 2 * SMALLEST:
            return np.asarray(cv2.resize(patch, mask.shape[::-1], interpolation=cv2.INTER_NEAREST) & mask)
    return mask


class LiteSamples:
    """All batches of a run.

    Parameters
    ----------
    folder
        Written by `training.feature_cache`; new shards are found by `look`.
    seed
        The run's seed.
    images, objects
        Pictures of a batch, and prompts on each.
    real
        Whether real pictures are drawn, too.
    """

    def __init__(self, folder: Path, seed: int, images: int = 3, objects: int = 4, real: bool = True) -> None:
        self._folder, self._seed, self._real = folder, seed, real
        self._images, self._objects = images, objects
        self._shards: dict[str, dict[str, Shard]] = {}
        self.look()

    def look(self) -> dict[str, int]:
        """Find new shards; returns how many pictures there are of each source."""
        for path in sorted(self._folder.glob("*/[0-9]*/sizes.npy")):
            source = path.parents[1].name
            if path.parent.suffix or source == "validation" or (source != "scenes" and not self._real):
                continue
            known = self._shards.setdefault(source, {})
            if path.parent.name not in known:
                known[path.parent.name] = Shard(path.parent)
        if not self._shards:
            raise FileNotFoundError(f"{self._folder}: no shards; run `python -m training.feature_cache` first")
        return {source: sum(s.count for s in shards.values()) for source, shards in self._shards.items()}

    def batch(self, step: int) -> Batch:
        """Draw the batch of a step."""
        rng = np.random.default_rng([8, self._seed, step])
        sources = sorted(self._shards)
        weights = np.array([SOURCE_WEIGHTS.get(source, OTHER_WEIGHT) for source in sources])
        chosen: list[tuple[Shard, int]] = []
        masks: list[np.ndarray] = []
        while len(chosen) < self._images:
            source = sources[int(rng.choice(len(sources), p=weights / weights.sum()))]
            shards = list(self._shards[source].values())
            shard = shards[int(rng.integers(len(shards)))]
            pick = int(rng.integers(shard.count))
            labels = np.asarray(shard["labels"][pick])
            colours = np.asarray(shard["colours"][pick]) if source in PATCH_SOURCES else None
            found = [draw_object(rng, labels, source == "scenes", colours) for _ in range(self._objects)]
            masks_here = [mask for mask in found if mask is not None]
            if not masks_here:
                continue
            masks += [masks_here[i % len(masks_here)] for i in range(self._objects)]
            chosen.append((shard, pick))
        return self._gathered(rng, chosen, masks)

    def _gathered(self, rng: np.random.Generator, chosen: list[tuple[Shard, int]], masks: list[np.ndarray]) -> Batch:
        maps = [
            torch.from_numpy(np.stack([shard[f"map{stride}"][pick] for shard, pick in chosen])).float()
            for stride in STRIDES
        ]
        colours = np.stack([shard["colours"][pick] for shard, pick in chosen]).astype(np.float32) / SHADES
        points, labels, boxes = [], [], []
        for mask in masks:
            kind = rng.random()
            boxed, both = kind < BOX_SHARE + BOTH_SHARE, kind < BOTH_SHARE
            points.append(np.array(draw_click(rng, mask, MIDDLE_SHARE)) + 0.5)
            labels.append(1.0 if both or not boxed else -1.0)
            boxes.append(draw_box(rng, mask) if boxed else np.full(4, -1.0))
        return Batch(
            maps,
            torch.from_numpy(colours),
            torch.arange(len(chosen)).repeat_interleave(self._objects),
            torch.from_numpy(np.stack(masks)).float(),
            Prompts(
                torch.tensor(np.stack(points), dtype=torch.float32)[:, None],
                torch.tensor(labels)[:, None],
                torch.tensor(np.stack(boxes), dtype=torch.float32),
            ),
            [shard.source for shard, _ in chosen],
        )
