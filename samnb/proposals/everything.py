"""`Everything`: all that a grid of clicks finds on an image ("automatic mask generation" in segment-anything)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..encoding.regions import Region
from ..errors import PromptError, UnknownOption
from ..masks import decode_rle
from ..masks.suppression import suppress
from ..models import Model
from ..models.candidates import Candidates, proposer
from ..prompts import Embedding, Prompt
from ..records import NewProposal
from .crops import crops, grid, is_cut_off
from .query import Search, proposal_of

FAMILY_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    name: {"points_per_side": 16, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.7}
    for name in ("tiny", "tiny_lite0")
}
"""Defaults of families whose scores lie elsewhere than those of segment-anything's models.

On the evaluation set these find 24 of 24 coins (IoU 0.8, 73 masks), 22 of 28 nuclei (46 masks) and 20 of 23 everyday
objects (IoU 0.5, 28 masks a picture). With 0.4 and 0.6 it is 24, 23 and 21, of nearly twice as many masks.
"""


@dataclass(frozen=True)
class Everything:
    """Everything on an image, by a grid of clicks.

    Names and meanings are those of segment-anything's ``SamAutomaticMaskGenerator``, whose masks it finds with the
    same weights.

    Parameters
    ----------
    points_per_side : int
        Clicks along each side of the image, at least 1.
    points_per_batch : int
        Clicks that are decoded before their masks are looked at, at least 1: it bounds the memory.
    pred_iou_thresh : float
        A mask needs an IoU estimate above this; 0: not asked.
    stability_score_thresh : float
        A mask needs at least this IoU with itself under a moved threshold; 0: not asked.
    stability_score_offset : float
        How far the threshold is moved, in units of the model's logits.
    box_nms_thresh : float
        Of two masks of one crop whose boxes have an IoU above this, the one with the higher estimate stays.
    crop_n_layers : int
        0: only the whole image. Layer n has 4ⁿ crops, which are encoded once each, when they are first searched.
    crop_nms_thresh : float
        As `box_nms_thresh`, for masks of different crops: that of the smaller crop stays.
    crop_overlap_ratio : float
        Of the first layer, as a share of the image's shorter side.
    crop_n_points_downscale_factor : int
        A crop of layer n has ``points_per_side / factor**n`` clicks along a side.
    min_mask_region_area : int
        Parts and holes of fewer pixels are removed; 0: none.

    Raises
    ------
    PromptError
        A value out of its range.

    Examples
    --------
    >>> Everything(points_per_side=8).as_dict()["points_per_side"]
    8
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    min_mask_region_area: int = 0

    kind: ClassVar[str] = "everything"

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            whole = isinstance(getattr(type(self), name), int)
            kinds = (int, np.integer) if whole else (int, float, np.number)
            # Written so that NaN is refused too.
            if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
                what = "a whole number" if whole else "a number"
                raise PromptError(f"{name}: expected {what} from {least} to {most}; got {value!r}.")

    @classmethod
    def of(cls, model: Model, **parameters: Any) -> Everything:
        """With the defaults that suit a model's scores.

        Raises
        ------
        UnknownOption
            A keyword that is no parameter.
        PromptError
            A value out of its range.
        """
        names = [field.name for field in fields(cls)]
        if unknown := parameters.keys() - set(names):
            raise UnknownOption("segment_everything", unknown, names)
        family = model.fingerprint.partition("-")[0]
        return cls(**{**FAMILY_DEFAULTS.get(family, {}), **parameters})

    def as_dict(self) -> dict[str, Any]:
        """All parameters that change what is found."""
        # 1 and 1.0 are the same question.
        values = {name: type(getattr(type(self), name))(value) for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if name != "points_per_batch"}

    def find(self, search: Search) -> list[NewProposal]:
        """All masks of an image, the highest estimate first."""
        size_hw = search.image.size_hw
        cut = crops(size_hw, self.crop_n_layers, self.crop_overlap_ratio)
        kept: list[NewProposal] = []
        areas: list[int] = []
        for region, layer in cut:
            per_side = int(self.points_per_side / self.crop_n_points_downscale_factor**layer)
            if not per_side:
                continue
            embedding = search.region_embedding(region) if layer else search.embedding()
            here = self._in_crop(search, embedding, region, per_side)
            kept += here
            areas += [(region[2] - region[0]) * (region[3] - region[1])] * len(here)
        if len(cut) > 1:
            chosen = suppress(_boxes(kept), [1 / area for area in areas], self.crop_nms_thresh)
            kept = [kept[number] for number in chosen]
        if self.min_mask_region_area:
            kept = self._without_small_parts(kept)
        return sorted(kept, key=lambda one: -one.score)

    def _in_crop(self, search: Search, embedding: Embedding, region: Region, per_side: int) -> list[NewProposal]:
        size_hw, (x0, y0, x1, y1) = search.image.size_hw, region
        propose = proposer(search.model.decode, search.model)
        clicks = grid(per_side) * (x1 - x0, y1 - y0)
        kept = []
        for start in range(0, len(clicks), self.points_per_batch):
            search.check_stop()
            prompts = [Prompt.of(points=[click]) for click in clicks[start : start + self.points_per_batch]]
            for candidates in propose(embedding, prompts):
                [(x, y)] = candidates.prompt.points
                prompt = Prompt.of(points=[(x + x0, y + y0)])
                for mask, score, stability in self._good(candidates):
                    place: Any = {"corner": (x0, y0), "size_hw": size_hw}
                    one = proposal_of(mask, score, prompt=prompt, stability=stability, **place)
                    if one is not None and not is_cut_off(one.bbox, region, size_hw):
                        kept.append(one)
        return [kept[number] for number in suppress(_boxes(kept), [one.score for one in kept], self.box_nms_thresh)]

    def _good(self, candidates: Candidates) -> Iterator[tuple[NDArray[np.bool_], float, float]]:
        """The masks that both thresholds let through, with score and stability."""
        for index, score in enumerate(candidates.scores.tolist()):
            if self.pred_iou_thresh > 0 and not score > self.pred_iou_thresh:
                continue
            if candidates.stable is None or not self.stability_score_thresh:
                yield candidates.full(index), score, 1.0
                continue
            mask, stability = candidates.stable(index, self.stability_score_offset)
            if stability >= self.stability_score_thresh:
                yield mask, score, stability

    def _without_small_parts(self, found: Sequence[NewProposal]) -> list[NewProposal]:
        """Without parts and holes below the limit; of masks that became alike, one that was not changed stays."""
        cleaned, unchanged = [], []
        for one in found:
            mask, changed = _cleaned(decode_rle(one.rle), self.min_mask_region_area)
            prompt = Prompt.from_dict(one.prompt)
            again = proposal_of(mask, one.score, prompt=prompt, stability=one.stability) if changed else one
            if again is not None:
                cleaned.append(again)
                unchanged.append(float(not changed))
        max_iou = max(self.box_nms_thresh, self.crop_nms_thresh)
        return [cleaned[number] for number in suppress(_boxes(cleaned), unchanged, max_iou)]


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("points_per_side", 1, 1000),
    ("points_per_batch", 1, 1_000_000),
    ("pred_iou_thresh", 0, 1),
    ("stability_score_thresh", 0, 1),
    ("stability_score_offset", 0, 1e6),
    ("box_nms_thresh", 0, 1),
    ("crop_n_layers", 0, 5),
    ("crop_nms_thresh", 0, 1),
    ("crop_overlap_ratio", 0, 0.9),
    ("crop_n_points_downscale_factor", 1, 1000),
    ("min_mask_region_area", 0, 10**9),
)


def _boxes(found: Sequence[NewProposal]) -> NDArray[np.float64]:
    """(N, 4) XYXY from first to last pixel, as ``SamAutomaticMaskGenerator`` compares them."""
    boxes = np.array([one.bbox for one in found], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2] - 1
    return boxes


def _cleaned(mask: NDArray[np.bool_], least: int) -> tuple[NDArray[np.bool_], bool]:
    """Holes below `least` pixels filled, then parts below it removed, but the largest; and whether that changed it.

    Parts that touch at a corner are one part, and so are holes: as ``remove_small_regions`` counts them.
    """
    out, changed = mask, False
    for holes in (True, False):
        count, labels, stats, _ = cv2.connectedComponentsWithStats((out != holes).astype(np.uint8), connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        small = np.flatnonzero(areas < least) + 1
        if not len(small):
            continue
        changed = True
        if holes:
            out = out | np.isin(labels, small)
            continue
        keep = np.setdiff1d(np.arange(1, count), small)
        out = np.isin(labels, keep if len(keep) else [int(areas.argmax()) + 1])
    return out, changed
