"""What storing in fewer bytes does to masks: a model that does not mind, one that does, and the embedded one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import samnb.session
from samnb.encoding import storage_check
from samnb.encoding.storage_check import compare_storage, encode_to_store, random_prompts
from samnb.errors import ModelError
from samnb.models import load_model
from samnb.prompts import Embedding, Prediction
from tests.support.numpy_model import NumpyModel


class Robust(NumpyModel):
    """Its masks hang on large differences only."""

    fingerprint = "robust-0"

    def decode(self, embedding, prompt, **options):
        grid = next(iter(embedding.tensors.values()))
        mask = np.kron(grid[0] > grid.mean(), np.ones((4, 4), bool))
        masks, scores = np.stack([mask, ~mask, mask]), np.float32([0.9, 0.5, 0.1])
        return Prediction(masks, scores, masks.astype(np.float32), prompt)


class Fragile(Robust):
    """Its masks hang on the last digits, and so does which of them it likes best."""

    fingerprint = "fragile-0"

    def decode(self, embedding, prompt, **options):
        grid = next(iter(embedding.tensors.values()))
        mask = np.kron((grid[0] * 1e4).astype(int) % 2 == 0, np.ones((4, 4), bool))
        score = float(grid.sum() * 1e4 % 1)
        masks, scores = np.stack([mask, ~mask, mask]), np.float32([score, 1 - score, 0])
        return Prediction(masks, scores, masks.astype(np.float32), prompt)


def embedding_of(seed: int = 0) -> Embedding:
    values = np.random.default_rng(seed).normal(size=(3, 16, 16))
    values += np.sign(values) / 4
    return Embedding({"image_embedding": values.astype(np.float32)}, (64, 64), (64, 64))


@pytest.fixture(autouse=True)
def nothing_tried_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_check, "_refusals", {})


def test_masks_that_stay_the_same_pass() -> None:
    report = compare_storage(Robust(), [embedding_of(0), embedding_of(1)], prompts=8)
    assert (report.images, report.prompts, report.model) == (2, 16, "numpy")
    assert [figures.dtype for figures in report.figures] == ["float16", "int8"]
    assert report["int8"].mean_iou > 0.995
    assert report["int8"].ok
    assert report["float16"].others_chosen == 0
    assert report["int8"].bytes < report["float16"].bytes
    text = str(report)
    assert "int8" in text
    assert "fine" in text
    assert json.loads(json.dumps(report.as_dict()))["figures"][1]["dtype"] == "int8"
    assert "<table>" in report._repr_html_()


def test_masks_that_change_are_told() -> None:
    report = compare_storage(Fragile(), [embedding_of()], prompts=20)
    figures = report["int8"]
    assert not figures.ok
    assert figures.mean_iou < 0.9
    assert figures.worst_iou <= figures.low_iou <= figures.mean_iou + 1e-9
    assert "changes masks" in str(report)
    assert "⚠" in report._repr_html_()


def test_the_same_seed_asks_the_same_and_everything_lies_inside() -> None:
    one, two, three = (random_prompts((48, 96), 40, seed=seed) for seed in (1, 1, 2))
    assert one == two != three
    for prompt in one:
        prompt.check_inside((48, 96))
    assert {len(prompt.points) for prompt in one} == {0, 1, 2}
    assert sum(prompt.box is not None for prompt in one) == 10


def test_nothing_to_compare_is_an_error() -> None:
    for embeddings, prompts in (([], 8), ([embedding_of()], 0)):
        with pytest.raises(ModelError, match="at least one embedding"):
            compare_storage(Robust(), embeddings, prompts=prompts)


PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def test_int8_is_refused_for_a_model_it_changes_and_nothing_more_is_encoded() -> None:
    model = Fragile()
    for _ in range(3):
        with pytest.raises(ModelError, match=r"stored as int8.*float16"):
            encode_to_store(model, PIXELS, "int8")
    assert model.encodes == 1
    assert encode_to_store(model, PIXELS, "float16").tensors
    assert model.encodes == 2


def test_a_model_that_passed_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Robust()
    assert encode_to_store(model, PIXELS, "int8").tensors
    monkeypatch.setattr(storage_check, "compare_storage", None)
    assert encode_to_store(model, PIXELS, "int8").tensors
    with pytest.raises(TypeError):  # another model is
        encode_to_store(Fragile(), PIXELS, "int8")


def test_the_embedded_model_does_not_mind() -> None:
    from skimage import data

    coins = np.repeat(data.coins()[..., None], 3, -1)
    model = load_model("tiny")
    report = compare_storage(model, [model.encode(coins)], prompts=24)
    assert report["float16"].mean_iou > 0.999
    assert report["int8"].mean_iou > 0.99
    assert report["int8"].low_iou > 0.97


def test_a_session_checks_its_own_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: Robust())
    with samnb.session.Session(tmp_path) as session:
        with pytest.raises(ModelError, match="Add a picture"):
            session.check_storage()
        for seed in range(4):
            session.add(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8))
        report = session.check_storage(prompts=4)
        assert (report.images, report.prompts) == (3, 12)
        assert session.check_storage(session.images()[3:], dtypes=["float16"], prompts=2).images == 1


def test_a_session_with_int8_refuses_a_model_that_cannot_bear_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model, failed in ((Robust(), 0), (Fragile(), 2)):
        monkeypatch.setattr(samnb.session, "load_model", lambda *args, model=model, **options: model)
        with samnb.session.Session(tmp_path / model.fingerprint, cache={"dtype": "int8"}) as session:
            for seed in range(2):
                session.add(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8))
            last = list(session.prewarm_stream())[-1].as_dict()
            assert (last["failed"], last["computed"]) == (failed, 2 - failed)
            assert len(session.cache) == 2 - failed
