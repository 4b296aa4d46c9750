"""What storing in fewer bytes does to masks: a model that does not mind, one that does, and the embedded one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy_model import NumpyModel

from samnb import storage_check
from samnb.errors import ModelError
from samnb.models import load_model
from samnb.prompts import Embedding, Prediction
from samnb.storage_check import compare_storage, random_prompts, require_storage


class Robust(NumpyModel):
    """Its masks hang on large differences."""

    fingerprint = "robust-0"

    def decode(self, embedding, prompt, **options):
        grid = next(iter(embedding.tensors.values()))
        mask = np.kron(grid[0] > 0, np.ones((4, 4), bool))
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
    monkeypatch.setattr(storage_check, "_passed", set())


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


def test_int8_is_refused_for_a_model_it_changes() -> None:
    with pytest.raises(ModelError, match=r"stored as int8.*float16"):
        require_storage(Fragile(), embedding_of(), "int8")
    require_storage(Fragile(), embedding_of(), "float16")


def test_a_model_that_passed_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    require_storage(Robust(), embedding_of(), "int8")
    monkeypatch.setattr(storage_check, "compare_storage", None)
    require_storage(Robust(), embedding_of(), "int8")
    with pytest.raises(TypeError):  # another model is
        require_storage(Fragile(), embedding_of(), "int8")


def test_the_embedded_model_does_not_mind() -> None:
    from skimage import data

    coins = np.repeat(data.coins()[..., None], 3, -1)
    model = load_model("tiny")
    report = compare_storage(model, [model.encode(coins)], prompts=24)
    assert report["float16"].mean_iou > 0.999
    assert report["int8"].mean_iou > 0.995
    assert report["int8"].low_iou > 0.98
