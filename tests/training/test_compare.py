"""Every variant trains, on the same batches, at its own stride."""

from __future__ import annotations

import pytest
import torch

from samnb.models import tiny
from training import render
from training.compare import train_variant
from training.samples import STAGES, Samples, Size
from training.variants import VARIANTS, at_stride

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("scenes")
    render.render_shard(folder, 0, count=3, size=192)
    return Samples(folder, "crops", 0)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_variant_learns_and_is_timed(name: str, samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STAGES, "crops", (Size(64, 2, 1),))
    row = train_variant(name, samples, 4)
    assert 0 <= row["scored"] <= row["best"] <= 1
    assert 1 < row["parameters"] < 6
    assert min(row["encode_ms"], row["decode_ms"], row["step_ms"]) > 0


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_variant_answers_at_the_size_of_the_training_masks(name: str) -> None:
    make, stride = VARIANTS[name]
    with at_stride(stride), torch.inference_mode():
        sam = make().eval()
        sam.prompt_encoder.image_embedding_size = (128 // stride,) * 2
        embedding = sam.image_encoder(torch.zeros(1, 3, 128, 128))
        sparse, dense = sam.prompt_encoder((torch.tensor([[[64.0, 64.0]]]), torch.ones(1, 1)), None, None)
        logits, scores = sam.mask_decoder.predict_masks(embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense)
    assert logits.shape == (1, 4, 64, 64)
    assert scores.shape == (1, 4)
    assert tiny.STRIDE == 8
