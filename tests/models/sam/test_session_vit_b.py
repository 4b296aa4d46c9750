"""`Session.predict` with ViT-B (random weights: plumbing, not quality) against `SamPredictor`, from file to mask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.everything import official_masks, paired, thresholds
from samnb.prompts import Prediction
from samnb.session import Session

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def session(
    random_vit_b_checkpoint: Path, references: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("vit_b") / "session"
    options = {"model": "vit_b", "checkpoint": random_vit_b_checkpoint, "cache": {"dtype": "float32"}}
    with Session(folder, **options) as session:
        session.add([reference.pixels for reference in references.values()])
        yield session


def predicted(session: Session, references: dict[str, Any]) -> Iterator[tuple[Prediction, Any]]:
    for image, reference in zip(session.images(), references.values(), strict=True):
        for answer in reference.answers:
            multimask = len(answer.masks) > 1
            yield session.predict(image, prompt=answer.prompt, multimask=multimask), answer


def test_with_float32_storage_masks_are_identical(session: Session, references: dict[str, Any]) -> None:
    prompts = []
    for ours, official in predicted(session, references):
        assert (ours.masks != official.masks).mean() <= 1e-5  # but for roundings
        np.testing.assert_allclose(ours.scores, official.scores, atol=1e-5)
        prompts.append(official.prompt)
    assert any(prompt.box for prompt in prompts)
    assert any(prompt.points for prompt in prompts)
    assert session.model.encodes == 3


def test_everything_is_what_the_mask_generator_finds(
    session: Session, random_vit_b: Any, references: dict[str, Any]
) -> None:
    image, pixels = session.images()[0], next(iter(references.values())).pixels
    embedding, _ = session.embedding(image)
    chosen = thresholds(session, image, 4)  # where no score lies near them
    before = session.model.encodes
    ours = [one.mask for one in session.segment_everything(image, points_per_side=4, **chosen)]
    theirs = official_masks(random_vit_b, embedding, pixels, {"points_per_side": 4, **chosen})
    assert session.model.encodes == before
    pairs = paired(theirs, ours)
    assert len(ours) >= 8
    assert pairs["pairs"] == len(theirs) == len(ours)
    assert pairs["lowest IoU"] >= 0.99


def test_with_the_default_storage_masks_agree_to_0995(
    session: Session, references: dict[str, Any], random_vit_b_checkpoint: Path
) -> None:
    with Session(session.folder, model="vit_b", checkpoint=random_vit_b_checkpoint) as default:
        assert default.cache.dtype == "float16"
        for image in session.images():
            # The same encode, stored in half precision: what the default would have kept.
            key = default._encoder.key(image.pixel_hash)
            default.cache.put(key, session.embedding(image)[0], about={"filename": image.filename})
        worst = min(
            (ours.masks[i] & official.masks[i]).sum() / (ours.masks[i] | official.masks[i]).sum()
            for ours, official in predicted(default, references)
            for i in range(len(official.masks))
        )
        assert default.model.encoder_built is False
    print(f"smallest mask IoU through float16 storage: {worst:.5f}")
    assert worst >= 0.995
