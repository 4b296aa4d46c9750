"""The earlier embedded model: its parts and its prompts, with the weights that shipped."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from samnb.models import tiny_sam
from samnb.models.sam.reference import import_segment_anything, is_missing_nms
from tests.support.earlier_tiny import EARLIER_TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sam() -> Any:
    return tiny_sam.build_sam(EARLIER_TINY)


@pytest.fixture(scope="module")
def embedding(sam: Any) -> torch.Tensor:
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.normal(size=(1, 3, tiny_sam.IMAGE_SIZE, tiny_sam.IMAGE_SIZE)).astype(np.float32))
    with torch.inference_mode():
        return sam.image_encoder(pixels)


def decode(sam: Any, embedding: torch.Tensor, points: Any = None, boxes: Any = None, masks: Any = None) -> Any:
    with torch.inference_mode():
        sparse, dense = sam.prompt_encoder(points, boxes, masks)
        return sam.mask_decoder.predict_masks(embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense)


def click(x: float, y: float, label: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([[[x, y]]]), torch.tensor([[label]])


def test_import_is_cheap() -> None:
    code = "import sys, samnb.models.tiny_sam; sys.exit('torch' in sys.modules or 'segment_anything' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_missing_operator_is_forgiven() -> None:
    assert is_missing_nms(RuntimeError("operator torchvision::nms does not exist"))
    assert not is_missing_nms(RuntimeError("CUDA driver version is insufficient"))


def test_predictor_drives_it() -> None:
    predictor = import_segment_anything().SamPredictor(tiny_sam.build_sam(EARLIER_TINY))
    predictor.set_image(np.full((50, 90, 3), 128, np.uint8))
    masks, scores, low = predictor.predict(np.array([[40, 20]]), np.array([1]))
    assert masks.shape == (3, 50, 90)
    assert low.shape == (3, tiny_sam.LOW_RES_SIZE, tiny_sam.LOW_RES_SIZE)
    assert np.all((scores >= 0) & (scores <= 1))
    again, _, _ = predictor.predict(box=np.array([10, 10, 60, 40]), mask_input=low[:1], multimask_output=False)
    assert again.shape == (1, 50, 90)


def test_embedding_has_the_promised_shape(embedding: torch.Tensor) -> None:
    assert embedding.shape == (1, tiny_sam.EMBED_DIM, tiny_sam.GRID_SIZE, tiny_sam.GRID_SIZE)
    assert embedding.dtype == torch.float32


def test_parts_built_alone_answer_like_the_whole(sam: Any, embedding: torch.Tensor) -> None:
    decoder, prompts = tiny_sam.build_mask_decoder(EARLIER_TINY), tiny_sam.build_prompt_encoder(EARLIER_TINY)
    with torch.inference_mode():
        sparse, dense = prompts(click(100, 80), None, None)
        logits, scores = decoder.predict_masks(embedding, prompts.get_dense_pe(), sparse, dense)
    expected = decode(sam, embedding, click(100, 80))
    torch.testing.assert_close(logits, expected[0])
    torch.testing.assert_close(scores, expected[1])


@pytest.mark.parametrize("where", [(0, 0), (383, 383), (-20, 500), (191.5, 0.25)])
@pytest.mark.parametrize("label", [1, 0])
def test_no_click_breaks_it(sam: Any, embedding: torch.Tensor, where: tuple[float, float], label: int) -> None:
    logits, scores = decode(sam, embedding, click(*where, label))
    assert torch.isfinite(logits).all()
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize("level", [-1000.0, 0.0, 1000.0])
def test_no_mask_prompt_breaks_it(sam: Any, embedding: torch.Tensor, level: float) -> None:
    masks = torch.full((1, 1, tiny_sam.LOW_RES_SIZE, tiny_sam.LOW_RES_SIZE), level)
    logits, scores = decode(sam, embedding, click(50, 50), None, masks)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(scores).all()


def test_a_box_of_no_size_is_no_error(sam: Any, embedding: torch.Tensor) -> None:
    logits, _ = decode(sam, embedding, None, torch.tensor([[30.0, 30.0, 30.0, 30.0]]))
    assert torch.isfinite(logits).all()


def test_a_box_may_be_given_as_two_labelled_points(sam: Any, embedding: torch.Tensor) -> None:
    corners = torch.tensor([[[20.0, 30.0], [120.0, 90.0], [0.0, 0.0]]])
    as_points = decode(sam, embedding, (corners, torch.tensor([[2, 3, -1]])))
    as_box = decode(sam, embedding, None, torch.tensor([[20.0, 30.0, 120.0, 90.0]]))
    # A padding token more in the attention moves the answer a little, no further.
    alike = ((as_points[0] > 0) == (as_box[0] > 0)).float().mean()
    assert alike > 0.95


def test_prompts_in_one_call_answer_as_one_by_one(sam: Any, embedding: torch.Tensor) -> None:
    places = [(30.0, 40.0), (200.0, 220.0), (350.0, 10.0)]
    together, _ = decode(sam, embedding, (torch.tensor(places)[:, None], torch.ones(3, 1)))
    for i, place in enumerate(places):
        torch.testing.assert_close(together[i : i + 1], decode(sam, embedding, click(*place))[0], rtol=1e-3, atol=1e-3)


def test_one_embedding_per_prompt(sam: Any, embedding: torch.Tensor) -> None:
    both = torch.cat([embedding, embedding.flip(-1)])
    logits, _ = decode(sam, both, (torch.tensor([[[30.0, 40.0]], [[30.0, 40.0]]]), torch.ones(2, 1)))
    torch.testing.assert_close(logits[1:], decode(sam, both[1:], click(30, 40))[0], rtol=1e-3, atol=1e-3)


def test_a_fresh_deep_block_changes_nothing() -> None:
    encoder, x = tiny_sam.build_image_encoder(weights=None).eval(), torch.rand(1, 112, 6, 6)
    with torch.inference_mode():
        assert torch.equal(encoder.deep16(x), x)
        wide = torch.rand(1, 128, 3, 3)
        assert torch.equal(encoder.deep32(wide), wide)
