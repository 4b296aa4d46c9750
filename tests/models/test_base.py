"""`LazyTorchModel` by the embedded model's small net."""

from __future__ import annotations

import dataclasses
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samnb.errors import CheckpointDamaged, CheckpointMissing, ModelError, PointOutsideImage, PromptError
from samnb.models import Model, load_model
from samnb.models.sam.reference import import_segment_anything
from samnb.prompts import Embedding, Prompt

pytestmark = pytest.mark.slow

CLICK = Prompt.of(points=[(120, 80)])


@pytest.fixture(scope="module")
def coffee() -> NDArray[np.uint8]:
    from skimage import data

    pixels: NDArray[np.uint8] = data.coffee()
    return pixels


@pytest.fixture
def model(random_tiny_checkpoint: Path) -> Model:
    return load_model("tiny", checkpoint=random_tiny_checkpoint)


@pytest.fixture(scope="module")
def embedding(random_tiny_checkpoint: Path, coffee: NDArray[np.uint8]) -> Embedding:
    return load_model("tiny", checkpoint=random_tiny_checkpoint).encode(coffee)


def test_a_model_says_who_it_is(model: Model) -> None:
    assert isinstance(model, Model)
    assert model.name == "tiny"
    family, _, sha256 = model.fingerprint.partition("-")
    assert family == "tiny"
    assert len(sha256) == 64
    assert model.embedding_spec == "tiny/1:longest=384:compute=float32"
    assert model.device in {"cpu", "cuda", "mps"}
    assert "tiny" in repr(model)


def test_the_answers_are_the_predictors(model: Model, coffee: NDArray[np.uint8], random_tiny_checkpoint: Path) -> None:
    from samnb.models import tiny_sam

    predictor = import_segment_anything().SamPredictor(tiny_sam.build_sam(random_tiny_checkpoint))
    predictor.set_image(coffee)
    embedding = model.encode(coffee)
    np.testing.assert_allclose(embedding.tensors["image_embedding"], predictor.features[0].numpy(), atol=1e-6)
    prompt = Prompt.of(points=[(100, 100), (300, 40)], point_labels=[1, 0], box=(50, 60, 300, 301))
    masks, scores, logits = predictor.predict(
        np.array(prompt.points), np.array(prompt.point_labels), np.array(prompt.box)
    )
    prediction = model.decode(embedding, prompt)
    # The predictor keeps another memory layout, which rounds convolutions otherwise.
    assert (prediction.masks != masks).mean() < 1e-4
    np.testing.assert_allclose(prediction.scores, scores, atol=1e-5)
    np.testing.assert_allclose(prediction.low_res_logits, logits, atol=1e-5)


def test_encoding_counts_and_decoding_builds_no_encoder(
    model: Model, embedding: Embedding, coffee: NDArray[np.uint8]
) -> None:
    prediction = model.decode(embedding, CLICK)
    assert not model.encoder_built
    assert model.encodes == 0
    assert prediction.masks.shape == (3, 400, 600)
    assert prediction.masks.dtype == bool
    assert prediction.scores.dtype == np.float32
    assert prediction.prompt == CLICK
    assert prediction.model == model.fingerprint
    assert prediction.ms > 0
    assert model.decode(embedding, CLICK, multimask=False).masks.shape == (1, 400, 600)
    again = model.encode(coffee)
    assert model.encoder_built
    assert model.encodes == 1
    assert np.array_equal(again.tensors["image_embedding"], embedding.tensors["image_embedding"])


def test_embeddings_from_a_store_may_be_read_only_and_half(model: Model, embedding: Embedding) -> None:
    half = embedding.tensors["image_embedding"].astype(np.float16)
    half.setflags(write=False)
    stored = Embedding({"image_embedding": half}, embedding.original_size, embedding.input_size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masks = model.decode(stored, CLICK).masks
    assert (masks != model.decode(embedding, CLICK).masks).mean() < 0.01


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 3000), (900, 2), (384, 384)])
def test_odd_sizes(size_hw: tuple[int, int], model: Model) -> None:
    pixels = np.full((*size_hw, 3), 90, np.uint8)
    embedding = model.encode(pixels)
    assert embedding.original_size == size_hw
    assert max(embedding.input_size) == 384
    assert min(embedding.input_size) >= 1
    assert model.decode(embedding, Prompt.of(points=[(0, 0)])).masks.shape == (3, *size_hw)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        "picture.jpg",
    ],
)
def test_pixels_of_another_kind(pixels: Any, model: Model) -> None:
    with pytest.raises(ModelError, match="uint8"):
        model.encode(pixels)
    assert not model.encoder_built


def test_prompts_that_cannot_be_decoded(model: Model, embedding: Embedding) -> None:
    with pytest.raises(PointOutsideImage, match="601"):
        model.decode(embedding, Prompt.of(points=[(601, 80)]))
    with pytest.raises(PromptError, match="empty prompt"):
        model.decode(embedding, Prompt())
    with pytest.raises(PromptError, match=r"mask_input.*\(192, 192\)"):
        model.decode(embedding, CLICK, mask_input=np.zeros((7, 7)))
    with pytest.raises(PromptError, match="mask_input: expected numbers"):
        model.decode(embedding, CLICK, mask_input="the last one")  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="mask_input: expected finite numbers"):
        model.decode(embedding, CLICK, mask_input=np.full((192, 192), np.nan))


def test_another_models_embedding(model: Model) -> None:
    foreign = Embedding({"image_embedding": np.zeros((256, 64, 64), np.float32)}, (400, 600), (683, 1024))
    with pytest.raises(ModelError, match="another model"):
        model.decode(foreign, CLICK)


def test_a_failure_in_torch_is_told_and_leaves_the_model_usable(
    model: Any, coffee: NDArray[np.uint8], embedding: Embedding
) -> None:
    def fail() -> Any:
        raise MemoryError("no more memory")

    whole = model.config
    model.config = dataclasses.replace(whole, image_encoder=fail)
    with pytest.raises(ModelError, match=r"tiny.*encode.*400 x 600.*no more memory") as caught:
        model.encode(coffee)
    assert isinstance(caught.value.__cause__, MemoryError)
    assert not model.encoder_built
    assert model.encodes == 0
    model.config = whole
    assert np.array_equal(model.encode(coffee).tensors["image_embedding"], embedding.tensors["image_embedding"])


def test_a_library_that_does_not_fit_into_memory_is_a_failure_of_the_model(
    monkeypatch: pytest.MonkeyPatch, random_tiny_checkpoint: Path, coffee: NDArray[np.uint8]
) -> None:
    model = load_model("tiny", checkpoint=random_tiny_checkpoint)

    def no_memory(*_: Any) -> Any:
        raise ImportError("libtorch_cpu.so: failed to map segment from shared object")

    with monkeypatch.context() as patched:
        patched.setattr(type(model), "_build_encoder", no_memory)
        with pytest.raises(ModelError, match="failed to map segment"):
            model.encode(coffee)
    assert model.encode(coffee).original_size == coffee.shape[:2]


def test_many_threads_get_what_one_gets(model: Model, coffee: NDArray[np.uint8]) -> None:
    pictures = [np.roll(coffee, 40 * step, axis=1) for step in range(4)]
    prompts = [Prompt.of(points=[(60.0 * step + 20, 90)]) for step in range(4)]
    with ThreadPoolExecutor(8) as pool:
        embeddings = list(pool.map(model.encode, pictures * 2))
        masks = list(pool.map(lambda pair: model.decode(*pair).masks, zip(embeddings[:4], prompts, strict=True)))
    assert model.encodes == 8
    for step, picture in enumerate(pictures):
        alone = model.encode(picture)
        for embedding in embeddings[step::4]:
            assert np.array_equal(alone.tensors["image_embedding"], embedding.tensors["image_embedding"])
        assert np.array_equal(model.decode(alone, prompts[step]).masks, masks[step])


def test_a_click_does_not_wait_for_another_pictures_encoding(
    model: Any, coffee: NDArray[np.uint8], embedding: Embedding
) -> None:
    encoding, release = threading.Event(), threading.Event()
    model.encode(coffee)
    encoder = model._encoder

    def slow(pixels: Any) -> Any:
        encoding.set()
        assert release.wait(300)
        return encoder(pixels)

    model._encoder = slow
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(model.encode, coffee)
        assert encoding.wait(300)
        try:
            assert pool.submit(model.decode, embedding, CLICK).result(300).masks.any()
            assert not running.done()
        finally:
            release.set()
        running.result(300)


def test_building_a_net_leaves_the_users_random_numbers_alone(model: Model, embedding: Embedding) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model.decode(embedding, CLICK)
    assert torch.equal(torch.rand(3), expected)


def test_weights_that_change_after_opening_are_noticed(
    random_tiny_checkpoint: Path, tmp_path: Path, embedding: Embedding
) -> None:
    copy = tmp_path / "tiny.safetensors"
    copy.write_bytes(random_tiny_checkpoint.read_bytes())
    same, changed, removed = (load_model("tiny", checkpoint=copy) for _ in range(3))
    copy.chmod(0o600)
    same.decode(embedding, CLICK)
    was = copy.stat()
    copy.write_bytes(copy.read_bytes()[:-4] + b"\0\0\1\0")
    os.utime(copy, ns=(was.st_atime_ns, was.st_mtime_ns))  # as `cp -p` and `rsync -t` leave it
    with pytest.raises(CheckpointDamaged, match="changed after"):
        changed.decode(embedding, CLICK)
    assert load_model("tiny", checkpoint=copy).fingerprint != changed.fingerprint
    copy.unlink()
    with pytest.raises(CheckpointMissing, match="gone"):
        removed.decode(embedding, CLICK)


@pytest.mark.usefixtures("two_threads")
def test_the_embedded_model_runs_on_one_thread_and_gives_the_others_back(random_tiny_checkpoint: Path) -> None:
    import threading

    import torch

    from samnb.models.devices import on_threads

    usual = torch.get_num_threads()
    seen: list[int] = []
    with on_threads(1):
        assert torch.get_num_threads() == 1
        # Born while another thread is limited, and still outliving it.
        born = threading.Thread(target=lambda: [seen.append(torch.get_num_threads()) for _ in [0] if _enter_leave()])
        born.start()
        born.join()
    assert torch.get_num_threads() == usual
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen[-1] == usual
    with on_threads(None):
        assert torch.get_num_threads() == usual


def _enter_leave() -> bool:
    from samnb.models.devices import on_threads

    with on_threads(1):
        pass
    return True
