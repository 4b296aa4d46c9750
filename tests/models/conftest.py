"""Weights with random numbers, and what ``segment_anything`` itself answers with them.

Random weights do the same work as trained ones; masks of a random ViT-B cover 46 to 89 % of the pictures used here, so
that equal masks mean something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samnb.models.sam.reference import import_segment_anything
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


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache and data folders out of it."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable)))
        for variable in ("SAMNB_CHECKPOINTS", "SAMNB_FAST_ATTENTION", "SAMNB_FAST_DECODER"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session")
def random_tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's net with random weights."""
    import torch
    from safetensors.torch import save_file

    from samnb.models import tiny

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = tiny.build_sam(weights=None).state_dict()
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


@pytest.fixture(scope="session")
def random_vit_b() -> Any:
    """A whole ViT-B ``Sam`` with random weights; the position tables, zero at birth, filled too."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = import_segment_anything().sam_model_registry["vit_b"]()
        with torch.no_grad():
            for name, parameter in sam.named_parameters():
                if "rel_pos" in name:
                    parameter.normal_(std=0.1)
                elif "pos_embed" in name:
                    parameter.normal_(std=0.02)
    return sam


@pytest.fixture(scope="session")
def random_vit_b_checkpoint(random_vit_b: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, as the ``.pth`` file that ``load_model("vit_b", checkpoint=…)`` takes."""
    import torch

    path = tmp_path_factory.mktemp("vit_b") / "random_vit_b.pth"
    torch.save(random_vit_b.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def references(random_vit_b: Any) -> dict[str, Reference]:
    """Three pictures, square, wide and tall, through ``SamPredictor``, each encoded once."""
    predictor = import_segment_anything().SamPredictor(random_vit_b)
    return {name: _reference(predictor, pixels) for name, pixels in _pictures().items()}


def _pictures() -> dict[str, NDArray[np.uint8]]:
    from skimage import data
    from sklearn.datasets import load_sample_image

    tall = np.ascontiguousarray(load_sample_image("china.jpg")[:, 200:460])
    return {"astronaut": data.astronaut(), "coffee": data.coffee(), "china, tall": tall}


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
