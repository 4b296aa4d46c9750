"""The fused decoder answers as the plain one does; the kept room for scaling is nobody's mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.data
import torch

from samnb.masks import mask_iou
from samnb.models import load_model, tiny_sam
from samnb.models.sam.model import SamModel
from samnb.models.tiny_sam.fused_decoder import FusedMaskDecoder
from samnb.prompts import Embedding, Prompt
from tests.support.earlier_tiny import EARLIER_TINY

pytestmark = pytest.mark.slow

PROMPTS = {
    "a click": Prompt.of(points=[(215, 150)]),
    "a corner": Prompt.of(points=[(0, 0)]),
    "three clicks": Prompt.of(points=[(215, 150), (60, 400), (300, 220)], point_labels=[1, 0, 1]),
    "a box": Prompt.of(box=(120, 30, 330, 280)),
    "both": Prompt.of(points=[(215, 150)], box=(120, 30, 330, 280)),
}


@pytest.fixture(scope="module")
def fused() -> SamModel:
    model = load_model("tiny", checkpoint=EARLIER_TINY)
    assert isinstance(model, SamModel)
    return model


@pytest.fixture(scope="module")
def plain(fused: SamModel) -> SamModel:
    """The layers as they are written, masks scaled by torch."""
    return SamModel(fused.info, fused.weights, fused.config, fast_decoder=False)


@pytest.fixture(scope="module")
def embedding(fused: SamModel) -> Embedding:
    return fused.encode(skimage.data.astronaut())


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_it_answers_as_the_plain_decoder(
    fused: SamModel, plain: SamModel, embedding: Embedding, prompt: Prompt, multimask: bool
) -> None:
    fast, slow = (model.decode(embedding, prompt, multimask=multimask) for model in (fused, plain))
    np.testing.assert_allclose(fast.low_res_logits, slow.low_res_logits, atol=1e-3)
    np.testing.assert_allclose(fast.scores, slow.scores, atol=1e-4)
    for mask, expected in zip(fast.masks, slow.masks, strict=True):
        assert mask_iou(mask, expected) >= 0.999


def test_it_takes_an_earlier_answer(fused: SamModel, plain: SamModel, embedding: Embedding) -> None:
    first = plain.decode(embedding, PROMPTS["a click"]).low_res_logits[:1]
    fast, slow = (model.decode(embedding, PROMPTS["a click"], mask_input=first) for model in (fused, plain))
    np.testing.assert_allclose(fast.low_res_logits, slow.low_res_logits, atol=1e-3)


@pytest.mark.parametrize(("seed", "labels"), [(0, [1.0, 1.0]), (1, [1.0, 0.0])])
def test_it_is_the_algebra_not_the_weights(seed: int, labels: list[float]) -> None:
    """Weights drawn at random hide nothing: norms and biases too must be in their place."""
    torch.manual_seed(seed)
    sam: Any = tiny_sam.build_sam(None)
    with torch.inference_mode():
        for parameter in sam.mask_decoder.parameters():
            parameter += (
                0.3 * torch.randn_like(parameter) / max(parameter.shape[-1] if parameter.ndim > 1 else 1, 1) ** 0.5
            )
        embedding = torch.randn(1, tiny_sam.EMBED_DIM, tiny_sam.GRID_SIZE, tiny_sam.GRID_SIZE)
        sparse, dense = sam.prompt_encoder(
            (torch.tensor([[[90.0, 200.0], [250.0, 30.0]]]), torch.tensor([labels])), None, None
        )
        given = {
            "image_embeddings": embedding,
            "image_pe": sam.prompt_encoder.get_dense_pe(),
            "sparse_prompt_embeddings": sparse,
            "dense_prompt_embeddings": dense,
            "multimask_output": True,
        }
        logits, scores = sam.mask_decoder(**given)
        fast, fast_scores = FusedMaskDecoder(sam.mask_decoder)(**given)
    assert float(logits.std()) > 0.01
    torch.testing.assert_close(fast, logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max()))
    torch.testing.assert_close(fast_scores, scores, rtol=1e-3, atol=1e-3)


def test_what_it_keeps_of_an_image_is_not_taken_for_another(
    fused: SamModel, plain: SamModel, embedding: Embedding
) -> None:
    other = fused.encode(skimage.data.astronaut()[::-1])
    for image in (embedding, other, embedding):
        fast, slow = (model.decode(image, PROMPTS["a click"]) for model in (fused, plain))
        np.testing.assert_allclose(fast.low_res_logits, slow.low_res_logits, atol=1e-3)


def test_numbers_changed_in_place_are_seen(fused: SamModel) -> None:
    """Who a tensor is does not say what it holds."""
    torch.manual_seed(0)
    sam: Any = tiny_sam.build_sam(None)
    with torch.inference_mode():
        decoder, fresh = FusedMaskDecoder(sam.mask_decoder), FusedMaskDecoder(sam.mask_decoder)
        image = torch.randn(1, tiny_sam.EMBED_DIM, tiny_sam.GRID_SIZE, tiny_sam.GRID_SIZE)
        sparse, dense = sam.prompt_encoder((torch.tensor([[[90.0, 200.0]]]), torch.ones(1, 1)), None, None)
        given = {
            "image_pe": sam.prompt_encoder.get_dense_pe(),
            "sparse_prompt_embeddings": sparse,
            "dense_prompt_embeddings": dense,
            "multimask_output": True,
        }
        before, _ = decoder(image_embeddings=image, **given)
        image *= -1
        after, _ = decoder(image_embeddings=image, **given)
        torch.testing.assert_close(after, fresh(image_embeddings=image, **given)[0])
    assert not torch.allclose(before, after)


def test_a_mask_is_not_overwritten_by_the_next(fused: SamModel, embedding: Embedding) -> None:
    first = fused.decode(embedding, PROMPTS["a click"])
    kept = first.masks.copy()
    fused.decode(embedding, PROMPTS["a corner"])
    np.testing.assert_array_equal(first.masks, kept)


def test_large_pictures(fused: SamModel, plain: SamModel) -> None:
    pixels = np.zeros((2100, 2000, 3), np.uint8)
    pixels[500:1500, 400:1200] = 200
    large = fused.encode(pixels)
    fast, slow = (model.decode(large, Prompt.of(points=[(800, 1000)])) for model in (fused, plain))
    assert mask_iou(fast.mask, slow.mask) >= 0.999
