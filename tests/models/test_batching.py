import threading

import numpy as np
import pytest
import skimage.data
import torch

from samnb.errors import ModelError
from samnb.models import load_model
from samnb.models.batching import Batches, is_out_of_memory, on_host

OUT_OF_MEMORY = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)


class SmallDevice:
    """Has room for so many items at once."""

    def __init__(self, room, error=OUT_OF_MEMORY):
        self.room, self.error, self.runs = room, error, []

    def __call__(self, items):
        self.runs.append(len(items))
        if len(items) > self.room:
            raise self.error("CUDA out of memory. Tried to allocate 20.00 GiB")
        return [item * 10 for item in items]


@pytest.mark.parametrize("error", [OUT_OF_MEMORY, RuntimeError])
def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_that_is_remembered(error, caplog):
    device, batches = SmallDevice(3, error), Batches()
    assert batches.run(device, list(range(10))) == [i * 10 for i in range(10)]
    assert device.runs == [10, 5, 2, 2, 2, 2, 2]
    assert batches.largest == 2
    assert batches.run(device, [1, 2, 3]) == [10, 20, 30]
    assert device.runs[-2:] == [2, 1]
    assert "no room for 10 images at once" in caplog.text


def test_what_does_not_fit_alone_and_other_failures_are_raised():
    with pytest.raises(OUT_OF_MEMORY):
        Batches().run(SmallDevice(0), [1, 2])
    device = SmallDevice(1, ValueError)
    with pytest.raises(ValueError, match="out of memory"):
        Batches().run(device, [1, 2])
    assert device.runs == [2]
    assert not is_out_of_memory(ValueError("out of memory"))


def test_arrays_of_a_batch_do_not_keep_each_other_in_memory():
    first, second = on_host(torch.arange(6, dtype=torch.bfloat16).reshape(2, 3))
    assert first.dtype == np.float32
    assert first.base is None
    assert second.base is None
    np.testing.assert_array_equal(second, [3, 4, 5])


@pytest.fixture(scope="module")
def model():
    return load_model("tiny", device="cpu")


def picture(seed, height=90, width=120):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_a_batch_of_several_sizes_gives_what_they_give_alone(model):
    pictures = [picture(0), picture(1, 50, 120), picture(2, 120, 31)]
    before = model.encodes
    together = model.encode_prepared([model.prepare(pixels) for pixels in pictures])
    assert model.encodes == before + 3
    for pixels, embedding in zip(pictures, together, strict=True):
        alone = model.encode(pixels)
        assert (embedding.original_size, embedding.input_size) == (alone.original_size, alone.input_size)
        for name, values in embedding.tensors.items():
            np.testing.assert_allclose(values, alone.tensors[name], atol=1e-4)
    assert model.encode_prepared([]) == []


def test_side_by_side_each_image_has_a_thread_and_the_bits_it_has_alone(model, monkeypatch):
    monkeypatch.setattr("samnb.models.base.processors", lambda: 3)
    assert model.side_by_side() == 3
    batch = [model.prepare(picture(seed)) for seed in range(4)]
    alone = [model.encode_prepared([one])[0] for one in batch]
    encoder, met, threads = model._encoder, threading.Barrier(3), []

    def watched(frames):
        threads.append((threading.get_ident(), torch.get_num_threads(), torch.is_inference_mode_enabled()))
        if len(threads) <= 3:
            met.wait(300)  # three at the same time, or it fails
        return encoder(frames)

    monkeypatch.setattr(model, "_encoder", watched)
    together = model.encode_prepared(batch)
    assert len({ident for ident, *_ in threads[:3]}) == 3
    assert {about[1:] for about in threads} == {(1, True)}
    for one, other in zip(alone, together, strict=True):
        for name, values in one.tensors.items():
            np.testing.assert_array_equal(values, other.tensors[name])
    monkeypatch.setenv("SAMNB_THREADS", "1")
    assert model.side_by_side() == 1


def test_images_that_have_no_room_side_by_side_are_encoded_in_smaller_batches(model, monkeypatch):
    monkeypatch.setattr("samnb.models.base.processors", lambda: 2)
    encoder, caller, sizes = model._encoder, threading.get_ident(), []

    def small(frames):
        if threading.get_ident() != caller or len(frames) > 1:
            raise OUT_OF_MEMORY("out of memory.")
        sizes.append(len(frames))
        return encoder(frames)

    monkeypatch.setattr(model, "_encoder", small)
    monkeypatch.setattr(model, "_batches", Batches())
    assert len(model.encode_prepared([model.prepare(picture(seed)) for seed in range(3)])) == 3
    assert sizes == [1, 1, 1]


def test_a_net_without_room_for_two_encodes_one_by_one(model, monkeypatch):
    sizes = []
    encoder = model._encoder

    def small(frames):
        sizes.append(len(frames))
        if len(frames) > 1:
            raise OUT_OF_MEMORY("CUDA out of memory.")
        return encoder(frames)

    monkeypatch.setattr(model, "_encoder", small)
    monkeypatch.setattr(model, "_batches", Batches())
    monkeypatch.setattr(model, "side_by_side", lambda: 1)  # as on a GPU
    batch = [model.prepare(picture(seed)) for seed in range(3)]
    found = model.encode_prepared(batch)
    assert sizes == [3, 1, 1, 1]
    for name, values in found[1].tensors.items():
        np.testing.assert_array_equal(values, model.encode(picture(1)).tensors[name])
    monkeypatch.setattr(model, "_encoder", SmallDevice(0))
    with pytest.raises(ModelError, match="out of memory"):
        model.encode_prepared(batch)


def test_a_picture_in_pillows_hands_is_prepared_to_the_same_bits(model):
    from PIL import Image

    pixels = picture(3, 1000, 700)
    ours, theirs = model.prepare(Image.fromarray(pixels)), model.prepare(pixels)
    np.testing.assert_array_equal(ours.resized, theirs.resized)
    assert ours.original_size == theirs.original_size == (1000, 700)
    with pytest.raises(ModelError, match="expected an"):
        model.prepare(pixels.astype(float))


def test_half_precision_has_keys_of_its_own_and_nearly_the_same_embedding(model, monkeypatch):
    half = load_model("tiny", device="cpu", precision="bfloat16")
    assert model.embedding_spec.endswith("compute=float32")
    assert half.embedding_spec.endswith("compute=bfloat16")
    ours, exact = (m.encode(skimage.data.coffee()).tensors["middle"] for m in (half, model))
    assert ours.dtype == np.float32
    assert np.abs(ours - exact).max() > 0
    assert np.corrcoef(ours.ravel(), exact.ravel())[0, 1] > 0.995
    monkeypatch.setenv("SAMNB_PRECISION", "float16")
    assert load_model("tiny").embedding_spec.endswith("compute=float16")
    assert load_model("tiny", precision="float32").precision == "float32"
