"""A ``Sam`` of ViT-B's classes with random weights, and what ``SamPredictor`` answers with it.

Random weights do the same work as trained ones. The official code works 15 s on a picture with a ViT-B, 1 s with one
that is as deep but narrow: the same classes, windows and global attention. Most tests need no more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samnb.models.registry import REGISTRY, _sam_entry
from samnb.models.sam.model import SamConfig
from samnb.models.sam.reference import import_segment_anything
from samnb.models.sam.variants import build_image_encoder, sam_config
from samnb.prompts import Prompt


@dataclass(frozen=True, eq=False)
class ReferenceAnswer:
    """What ``SamPredictor.predict`` gives for one prompt."""

    prompt: Prompt
    multimask: bool
    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    logits: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reference:
    """One picture through the official code."""

    pixels: NDArray[np.uint8]
    embedding: NDArray[np.float32]
    answers: tuple[ReferenceAnswer, ...]


@dataclass(frozen=True, eq=False)
class RandomVitB:
    """A ``Sam`` of ViT-B's classes, its ``.pth`` file, and what it answers about each picture."""

    sam: Any
    config: SamConfig
    checkpoint: Path
    references: dict[str, Reference]

    @contextmanager
    def registered(self) -> Iterator[RandomVitB]:
        """Until the end ``load_model("vit_b", checkpoint=…)`` builds nets of this size."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(REGISTRY, "vit_b", _sam_entry(REGISTRY["vit_b"].info, self.config))
            yield self


def make_vit_b(path: Path, pictures: Iterable[str], *, seed: int = 0, **sizes: Any) -> RandomVitB:
    """Random numbers everywhere, the position tables, zero at birth, included; `sizes` where they are not ViT-B's."""
    import torch

    config = sam_config("vit_b")
    if sizes:
        config = replace(config, image_encoder=partial(build_image_encoder, **sizes))
    reference = import_segment_anything()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        sam = reference.modeling.Sam(config.image_encoder(), config.prompt_encoder(), config.mask_decoder()).eval()
        for name, parameter in sam.named_parameters():
            if "rel_pos" in name:
                parameter.normal_(std=0.1)
            elif "pos_embed" in name:
                parameter.normal_(std=0.02)
    torch.save(sam.state_dict(), path)
    predictor = reference.SamPredictor(sam)
    answers = {name: _reference(predictor, _picture(name)) for name in pictures}
    return RandomVitB(sam, config, path, answers)


def _picture(name: str) -> NDArray[np.uint8]:
    from skimage import data
    from sklearn.datasets import load_sample_image

    if name == "china, tall":
        return np.ascontiguousarray(load_sample_image("china.jpg")[:, 200:460])
    pixels: NDArray[np.uint8] = getattr(data, name)()
    return pixels


def _prompts(height: int, width: int) -> list[Prompt]:
    return [
        Prompt.of(points=[(0.4 * width, 0.5 * height)]),
        Prompt.of(points=[(0.2 * width, 0.3 * height), (0.7 * width, 0.8 * height)], point_labels=[1, 0]),
        Prompt.of(box=(0.2 * width, 0.2 * height, 0.8 * width, 0.9 * height)),
        Prompt.of(points=[(0.5 * width, 0.5 * height)], box=(0.3 * width, 0.1 * height, 0.8 * width, 0.6 * height)),
    ]


def _reference(predictor: Any, pixels: NDArray[np.uint8]) -> Reference:
    predictor.set_image(pixels)
    answers = [_answer(predictor, prompt, True) for prompt in _prompts(*pixels.shape[:2])]
    answers.append(_answer(predictor, answers[0].prompt, False))
    return Reference(pixels, predictor.get_image_embedding()[0].numpy(), tuple(answers))


def _answer(predictor: Any, prompt: Prompt, multimask: bool) -> ReferenceAnswer:
    masks, scores, logits = predictor.predict(
        point_coords=np.array(prompt.points) if prompt.points else None,
        point_labels=np.array(prompt.point_labels) if prompt.points else None,
        box=None if prompt.box is None else np.array(prompt.box),
        multimask_output=multimask,
    )
    return ReferenceAnswer(prompt, multimask, masks, scores, logits)
