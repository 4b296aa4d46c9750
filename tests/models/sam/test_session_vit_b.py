"""`Session.predict` with a narrow ViT-B against `SamPredictor`, from file to mask: plumbing, not quality."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.everything import official_masks, paired, thresholds
from samnb.prompts import Prediction
from samnb.session import Session
from tests.support.random_vit_b import RandomVitB, ReferenceAnswer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vit_b(narrow_vit_b: RandomVitB) -> Iterator[RandomVitB]:
    with narrow_vit_b.registered():
        yield narrow_vit_b


@pytest.fixture(scope="module")
def session(vit_b: RandomVitB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("vit_b") / "session"
    with Session(folder, model="vit_b", checkpoint=vit_b.checkpoint, cache={"dtype": "float32"}) as session:
        session.add([reference.pixels for reference in vit_b.references.values()])
        yield session


def predicted(session: Session, vit_b: RandomVitB) -> Iterator[tuple[Prediction, ReferenceAnswer]]:
    for image, reference in zip(session.images(), vit_b.references.values(), strict=True):
        for answer in reference.answers:
            multimask = len(answer.masks) > 1
            yield session.predict(image, prompt=answer.prompt, multimask=multimask), answer


def test_with_float32_storage_masks_are_identical(session: Session, vit_b: RandomVitB) -> None:
    prompts = []
    for ours, official in predicted(session, vit_b):
        assert (ours.masks != official.masks).mean() <= 1e-5  # but for roundings
        np.testing.assert_allclose(ours.scores, official.scores, atol=1e-5)
        prompts.append(official.prompt)
    assert any(prompt.box for prompt in prompts)
    assert any(prompt.points for prompt in prompts)
    assert session.model.encodes == 3


def test_everything_is_what_the_mask_generator_finds(session: Session, vit_b: RandomVitB) -> None:
    image, pixels = session.images()[0], vit_b.references["astronaut"].pixels
    embedding, _ = session.embedding(image)
    chosen = thresholds(session, image, 4)  # where no score lies near them
    before = session.model.encodes
    ours = [one.mask for one in session.segment_everything(image, points_per_side=4, **chosen)]
    theirs = official_masks(vit_b.sam, embedding, pixels, {"points_per_side": 4, **chosen})
    assert session.model.encodes == before
    pairs = paired(theirs, ours)
    assert len(ours) >= 8
    assert pairs["pairs"] == len(theirs) == len(ours)
    assert pairs["lowest IoU"] >= 0.99


def test_with_the_default_storage_masks_agree_to_0995(session: Session, vit_b: RandomVitB) -> None:
    with Session(session.folder, model="vit_b", checkpoint=vit_b.checkpoint) as default:
        assert default.cache.dtype == "float16"
        for image in session.images():
            # The same encode, stored in half precision: what the default would have kept.
            key = default._encoder.key(image.pixel_hash)
            default.cache.put(key, session.embedding(image)[0], about={"filename": image.filename})
        worst = min(
            (ours.masks[i] & official.masks[i]).sum() / (ours.masks[i] | official.masks[i]).sum()
            for ours, official in predicted(default, vit_b)
            for i in range(len(official.masks))
        )
        assert default.model.encoder_built is False
    print(f"smallest mask IoU through float16 storage: {worst:.5f}")
    assert worst >= 0.995
