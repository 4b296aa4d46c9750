"""ViT-B against ``segment_anything.SamPredictor``, on real pictures: the same embedding, masks and scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samnb.errors import PromptError
from samnb.models import Model, load_model
from samnb.models.preprocessing import input_size_of
from samnb.prompts import Embedding, Prediction

pytestmark = pytest.mark.slow
PICTURES = ["astronaut", "coffee", "china, tall"]


@pytest.fixture(scope="module")
def model(random_vit_b_checkpoint: Path) -> Model:
    return load_model("vit_b", checkpoint=random_vit_b_checkpoint)


@pytest.fixture(scope="module")
def embeddings(model: Model, references: dict[str, Any]) -> dict[str, Embedding]:
    return {name: model.encode(reference.pixels) for name, reference in references.items()}


def official(reference: Any) -> Embedding:
    size = (reference.pixels.shape[0], reference.pixels.shape[1])
    return Embedding({"image_embedding": reference.embedding}, size, input_size_of(size, 1024))


def answers(references: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, reference in references.items():
        for answer in reference.answers:
            yield name, answer


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def same(masks: NDArray[np.bool_], official: NDArray[np.bool_]) -> bool:
    """But for roundings: a pixel in a hundred thousand, where the logit is nothing beside its neighbours'."""
    return bool((masks != official).mean() <= 1e-5)


def test_the_reference_masks_are_neither_empty_nor_full(references: dict[str, Any]) -> None:
    for _, answer in answers(references):
        covered = answer.masks.mean(axis=(1, 2))
        assert (covered > 0.1).all()
        assert (covered < 0.95).all()


def test_decoding_alone_builds_no_encoder(random_vit_b_checkpoint: Path, references: dict[str, Any]) -> None:
    model = load_model("vit_b", checkpoint=random_vit_b_checkpoint)
    reference = references["coffee"]
    prediction = model.decode(official(reference), reference.answers[0].prompt)
    assert same(prediction.masks, reference.answers[0].masks)
    assert not model.encoder_built
    assert model.encodes == 0


@pytest.mark.parametrize("picture", PICTURES)
def test_embedding_is_the_predictors(
    picture: str, references: dict[str, Any], embeddings: dict[str, Embedding]
) -> None:
    reference, embedding = references[picture], embeddings[picture]
    tensor = embedding.tensors["image_embedding"]
    assert tensor.shape == (256, 64, 64)
    assert tensor.dtype == np.float32
    assert embedding.original_size == reference.pixels.shape[:2]
    assert max(embedding.input_size) == 1024
    # Equal to the last bit where the matrix library splits its work as it does here; never further off than rounding.
    assert np.abs(tensor - reference.embedding).max() <= 1e-5


@pytest.mark.parametrize("picture", PICTURES)
def test_masks_and_scores_on_the_official_embedding_are_the_predictors(
    picture: str, model: Model, references: dict[str, Any]
) -> None:
    reference = references[picture]
    for answer in reference.answers:
        prediction = model.decode(official(reference), answer.prompt, multimask=answer.multimask)
        assert same(prediction.masks, answer.masks)
        np.testing.assert_allclose(prediction.scores, answer.scores, atol=1e-5)
        np.testing.assert_allclose(prediction.low_res_logits, answer.logits, atol=1e-5)


@pytest.mark.parametrize("picture", PICTURES)
def test_masks_and_scores_from_pixels_are_the_predictors(
    picture: str, model: Model, references: dict[str, Any], embeddings: dict[str, Embedding]
) -> None:
    same_bits = np.array_equal(embeddings[picture].tensors["image_embedding"], references[picture].embedding)
    for answer in references[picture].answers:
        prediction = model.decode(embeddings[picture], answer.prompt, multimask=answer.multimask)
        assert (prediction.masks != answer.masks).mean() <= (1e-5 if same_bits else 1e-4)
        np.testing.assert_allclose(prediction.scores, answer.scores, atol=1e-5)


def test_masks_through_a_float16_embedding(
    model: Model, references: dict[str, Any], embeddings: dict[str, Embedding]
) -> None:
    worst = 1.0
    for name, answer in answers(references):
        embedding = embeddings[name]
        half = {key: tensor.astype(np.float16) for key, tensor in embedding.tensors.items()}
        stored = Embedding(half, embedding.original_size, embedding.input_size)
        prediction = model.decode(stored, answer.prompt, multimask=answer.multimask)
        worst = min(worst, *(iou(*pair) for pair in zip(prediction.masks, answer.masks, strict=True)))
    print(f"lowest mask IoU through float16: {worst:.5f}")
    assert worst >= 0.995


def test_the_picture_decides_and_not_the_prompt_alone(model: Model, references: dict[str, Any]) -> None:
    coffee, astronaut = references["coffee"], references["astronaut"]
    answer = astronaut.answers[0]
    swapped = Embedding({"image_embedding": coffee.embedding}, (512, 512), (1024, 1024))
    other = model.decode(swapped, answer.prompt)
    assert min(iou(*pair) for pair in zip(other.masks, answer.masks, strict=True)) < 0.9


def test_an_earlier_mask_is_refined(model: Model, references: dict[str, Any], random_vit_b: object) -> None:
    from samnb.models.sam.reference import import_segment_anything

    reference = references["coffee"]
    first = reference.answers[0]
    refined: Prediction = model.decode(official(reference), first.prompt, mask_input=first.logits[1])
    predictor = import_segment_anything().SamPredictor(random_vit_b)
    predictor.is_image_set, predictor.original_size = True, reference.pixels.shape[:2]
    predictor.input_size = official(reference).input_size
    predictor.features = _batch(reference.embedding)
    masks, scores, _ = predictor.predict(
        np.array(first.prompt.points), np.array(first.prompt.point_labels), mask_input=first.logits[1][None]
    )
    assert same(refined.masks, masks)
    np.testing.assert_allclose(refined.scores, scores, atol=1e-5)
    assert not same(refined.masks, first.masks)
    with pytest.raises(PromptError, match=r"\(256, 256\)"):
        model.decode(official(reference), first.prompt, mask_input=np.zeros((64, 64)))


def _batch(tensor: NDArray[np.float32]) -> object:
    import torch

    return torch.tensor(tensor)[None]
