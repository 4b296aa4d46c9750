"""The fast mask decoder against `SamPredictor`, without an image encoder: its features are set by hand.

Small nets of the official classes for the algebra, with weights drawn at random so that norms and biases matter; once
the decoder in its real size.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from samnb.errors import ModelError, PointOutsideImage, PromptError
from samnb.masks import mask_iou
from samnb.models import load_model
from samnb.models.decoding import MAX_WORKERS
from samnb.models.preprocessing import input_size_of
from samnb.models.sam import variants
from samnb.models.sam.decoder import CPU_BATCH, KEPT_IMAGES, Decoder
from samnb.models.sam.fast_decoder import FastMaskDecoder, can_be_fast, wants_fast_decoder
from samnb.models.sam.model import SamConfig, SamModel
from samnb.models.sam.reference import import_segment_anything
from samnb.models.weights.checkpoints import ModelInfo, open_checkpoint
from samnb.prompts import Embedding, Prediction, Prompt
from tests.support.earlier_tiny import EARLIER_TINY

pytestmark = pytest.mark.slow

DIM, GRID, FRAME = 32, 8, 128
SIZE = (90, 120)
PROMPTS = {
    "a click": Prompt.of(points=[(40, 30)]),
    "three clicks": Prompt.of(points=[(40, 30), (100, 80), (5, 5)], point_labels=[1, 0, 1]),
    "a box": Prompt.of(box=(20, 10, 90, 70)),
    "both": Prompt.of(points=[(40, 30)], box=(20, 10, 90, 70)),
}


def prompt_encoder() -> Any:
    return import_segment_anything().modeling.PromptEncoder(
        embed_dim=DIM, image_embedding_size=(GRID, GRID), input_image_size=(FRAME, FRAME), mask_in_chans=4
    )


def mask_decoder() -> Any:
    modeling = import_segment_anything().modeling
    return modeling.MaskDecoder(
        num_multimask_outputs=3,
        transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=DIM, mlp_dim=64, num_heads=4),
        transformer_dim=DIM,
        iou_head_depth=3,
        iou_head_hidden_dim=16,
    )


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    """Prompt encoder and mask decoder; no weight is one or nought."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = prompt_encoder().eval(), mask_decoder().eval()
        for module in made:
            module.requires_grad_(False)
            for parameter in module.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
    return made


@pytest.fixture
def model(parts: tuple[Any, Any], tmp_path: Any) -> Callable[..., SamModel]:
    """A `SamModel` of the small parts."""
    from safetensors.torch import save_file

    info = ModelInfo("small", "sam", "small.safetensors", None, None, False, "Small.")
    path = tmp_path / "small.safetensors"
    names = ("prompt_encoder", "mask_decoder")
    state = {
        f"{n}.{k}": v.contiguous() for n, part in zip(names, parts, strict=True) for k, v in part.state_dict().items()
    }
    save_file(state, path)
    plan = SamConfig(FRAME, (DIM, GRID, GRID), lambda: None, prompt_encoder, mask_decoder)
    weights = open_checkpoint(info, path)

    def make(**options: Any) -> SamModel:
        return SamModel(info, weights, plan, device="cpu", **options)

    return make


def embedding(seed: int = 0, size: tuple[int, int] = SIZE) -> Embedding:
    values = np.random.default_rng(seed).normal(size=(DIM, GRID, GRID)).astype(np.float32)
    return Embedding({"image_embedding": values}, size, input_size_of(size, FRAME))


def predictor_of(parts: tuple[Any, Any], frame: int, image: Embedding) -> Any:
    """The official predictor with its features set by hand."""
    package = import_segment_anything()
    net = package.modeling.Sam(NoEncoder(frame), *parts)
    predictor = package.SamPredictor(net)
    predictor.original_size, predictor.input_size, predictor.is_image_set = image.original_size, image.input_size, True
    predictor.features = torch.tensor(image.tensors["image_embedding"], dtype=torch.float32)[None]
    return predictor


class NoEncoder(torch.nn.Module):
    """In place of the image encoder: a predictor asks it only for its frame."""

    def __init__(self, img_size: int) -> None:
        super().__init__()
        self.img_size = img_size


def official(
    parts: tuple[Any, Any], image: Embedding, prompt: Prompt, *, frame: int = FRAME, **options: Any
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
    multimask = options.pop("multimask", True)
    answer: tuple[Any, Any, Any] = predictor_of(parts, frame, image).predict(
        np.array(prompt.points) if prompt.points else None,
        np.array(prompt.point_labels) if prompt.points else None,
        None if prompt.box is None else np.array(prompt.box),
        multimask_output=multimask,
        **options,
    )
    return answer


def check(prediction: Prediction, answer: tuple[Any, Any, Any]) -> None:
    masks, scores, logits = answer
    limit = 2e-6 * np.abs(logits).max()
    np.testing.assert_allclose(prediction.low_res_logits, logits, rtol=0, atol=limit)
    np.testing.assert_allclose(prediction.scores, scores, rtol=1e-5, atol=1e-5)
    assert prediction.masks.shape == masks.shape
    assert (prediction.masks != masks).sum() <= 2
    assert 0 < masks.mean() < 1


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_the_answers_are_the_predictors(model: Any, parts: tuple[Any, Any], prompt: Prompt, multimask: bool) -> None:
    fast, image = model(), embedding()
    expected = official(parts, image, prompt, multimask=multimask)
    for _ in range(3):  # the third finds the projections of the first layer
        check(fast.decode(image, prompt, multimask=multimask), expected)
    assert fast._decoder._image_sides[0].side.first is not None


def test_the_switch_gives_the_official_bits(
    model: Any, parts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, prompt = embedding(), PROMPTS["both"]
    masks, scores, logits = official(parts, image, prompt)
    monkeypatch.setenv("SAMNB_FAST_DECODER", "0")
    plain = model()
    prediction = plain.decode(image, prompt)
    assert plain._decoder._layers is None
    assert np.array_equal(prediction.low_res_logits, logits)
    assert np.array_equal(prediction.masks, masks)
    assert np.array_equal(prediction.scores, scores)
    assert not wants_fast_decoder()
    assert wants_fast_decoder(True)
    monkeypatch.setenv("SAMNB_FAST_DECODER", "1")
    assert wants_fast_decoder()


def test_an_earlier_answer_as_a_prompt(model: Any, parts: tuple[Any, Any]) -> None:
    fast, image, prompt = model(), embedding(), PROMPTS["a click"]
    first = official(parts, image, prompt)[2]
    for _ in range(2):
        refined = fast.decode(image, prompt, mask_input=first[1])
        check(refined, official(parts, image, prompt, mask_input=first[1][None]))
        check(fast.decode(image, prompt), official(parts, image, prompt))
    assert not np.array_equal(refined.low_res_logits, first)
    check(
        fast.decode(image, Prompt(), mask_input=first[0]), official(parts, image, Prompt(), mask_input=first[0][None])
    )


def test_only_the_mask_that_is_looked_at_is_made(model: Any) -> None:
    prediction = model().decode(embedding(), PROMPTS["a click"])
    lazy = prediction.but()._lazy
    assert lazy.made == {prediction.best}
    assert prediction.mask.shape == SIZE
    assert lazy.made == {prediction.best}
    assert prediction.masks.shape == (3, *SIZE)
    assert lazy.made == {0, 1, 2}


# -- never stale ------------------------------------------------------------------------------------------


def test_numbers_that_changed_in_place_are_noticed(model: Any, parts: tuple[Any, Any]) -> None:
    fast, image, prompt = model(), embedding(), PROMPTS["a click"]
    for _ in range(3):
        fast.decode(image, prompt)
    image.tensors["image_embedding"][3] *= -1  # type: ignore[index]
    check(fast.decode(image, prompt), official(parts, image, prompt))
    image.tensors["image_embedding"] = embedding(9).tensors["image_embedding"]  # type: ignore[index]
    check(fast.decode(image, prompt), official(parts, embedding(9), prompt))
    image.tensors["image_embedding"] = embedding(9).tensors["image_embedding"].astype(np.float16)  # type: ignore[index]
    check(fast.decode(image, prompt), official(parts, image, prompt))


def test_images_in_turn_and_one_in_anothers_place(model: Any, parts: tuple[Any, Any]) -> None:
    fast, prompt = model(), PROMPTS["a click"]
    expected = [official(parts, embedding(seed), prompt) for seed in range(KEPT_IMAGES + 2)]
    images = [embedding(seed) for seed in range(KEPT_IMAGES + 2)]
    for _ in range(3):
        for image, answer in zip(images, expected, strict=True):
            check(fast.decode(image, prompt), answer)
            # The same memory may soon be another embedding's.
            check(fast.decode(embedding(2), prompt), expected[2])
    assert len(fast._decoder._image_sides) <= KEPT_IMAGES


def test_what_is_kept_goes_with_its_embedding(model: Any) -> None:
    fast, image = model(), embedding()
    fast.decode(image, PROMPTS["a click"])
    fast.decode(image, PROMPTS["a box"])
    side = fast._decoder._image_sides[0].side
    assert side.nbytes > 0
    owner = fast._decoder._image_sides[0].owner
    other = embedding(1)
    del image, side
    gc.collect()
    fast.decode(other, PROMPTS["a click"])
    assert owner() is None
    assert [cached.owner() for cached in fast._decoder._image_sides] == [other]


# -- many at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_many_prompts_on_many_images_in_any_order(
    model: Any, parts: tuple[Any, Any], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "workers", workers)
    images = [embedding(0), embedding(1, (120, 90)), embedding(2, (64, 64))]
    pairs = [(images[number % 3], prompt) for number, prompt in enumerate([*PROMPTS.values()] * 6)]
    pairs = [(image, prompt.scaled(0.5, 0.7)) for image, prompt in pairs]
    predictions = model().decode_many(pairs)
    assert [prediction.prompt for prediction in predictions] == [prompt for _, prompt in pairs]
    for prediction, (image, prompt) in zip(predictions, pairs, strict=True):
        assert prediction.but()._lazy.made == frozenset()
        check(prediction, official(parts, image, prompt))
        assert prediction.ms > 0
    assert model().decode_many([]) == []
    single = model().decode_many(pairs[:5], multimask=False)
    for prediction, (image, prompt) in zip(single, pairs, strict=False):
        check(prediction, official(parts, image, prompt, multimask=False))


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("workers", [1, 3])
def test_many_prompts_give_the_threads_back(model: Any, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decoder, "workers", workers)
    images = [embedding(0), embedding(1)]
    assert len(model().decode_many([(image, PROMPTS["a click"]) for image in images])) == 2
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("same", [True, False])
def test_one_call_for_other_images_as_on_other_devices(parts: tuple[Any, Any], same: bool) -> None:
    decoder = Decoder(*parts, image_size=FRAME, embedding_shape=(DIM, GRID, GRID), device="cpu")
    images = [embedding(0 if same else seed) for seed in range(3)]
    pairs = [(image, PROMPTS["both"]) for image in ([images[0]] * 3 if same else images)]
    with torch.inference_mode():
        answers = decoder.run(pairs, True)
    for (logits, scores), (image, prompt) in zip(answers, pairs, strict=True):
        _, expected_scores, expected = official(parts, image, prompt)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
        np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-5)


def test_as_many_beside_each_other_as_torch_has_threads(
    parts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[str, Any] = {"image_size": FRAME, "embedding_shape": (DIM, GRID, GRID), "device": "cpu"}
    decoder, plain = Decoder(*parts, **sizes), Decoder(*parts, fast=False, **sizes)
    for threads, workers in ((1, 1), (2, 2), (64, MAX_WORKERS)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert (decoder.workers, plain.workers) == (workers, 1)
    assert Decoder(*parts, **{**sizes, "device": "cuda"}).workers == 1


@pytest.mark.parametrize(("fast", "expected"), [(True, 1), (False, 2)])
def test_a_click_on_a_processor_takes_one_thread_and_gives_the_others_back(
    model: Any, monkeypatch: pytest.MonkeyPatch, fast: bool, expected: int
) -> None:
    usual, seen = torch.get_num_threads(), []
    run = Decoder.run

    def watched(*given: Any) -> Any:
        seen.append(torch.get_num_threads())
        return run(*given)

    monkeypatch.setattr(Decoder, "run", watched)
    torch.set_num_threads(2)
    try:
        model(fast_decoder=fast).decode(embedding(), PROMPTS["a click"])
        assert seen == [expected]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(usual)


def test_portions_hold_prompts_of_one_shape(parts: tuple[Any, Any]) -> None:
    images = [embedding(seed) for seed in range(2)]
    pairs = [(images[number % 2], prompt) for number, prompt in enumerate([*PROMPTS.values()] * 7)]
    sizes = {"image_size": FRAME, "embedding_shape": (DIM, GRID, GRID)}
    here = list(Decoder(*parts, device="cpu", **sizes).batches(pairs))  # type: ignore[arg-type]
    elsewhere = list(Decoder(*parts, device="cuda", **sizes).batches(pairs))  # type: ignore[arg-type]
    for batches in (here, elsewhere):
        assert sorted(number for batch in batches for number in batch) == list(range(len(pairs)))
        for batch in batches:
            assert len({(len(pairs[n][1].points), pairs[n][1].box is None) for n in batch}) == 1
    assert all(len({id(pairs[n][0]) for n in batch}) == 1 for batch in here)
    assert max(map(len, here)) <= CPU_BATCH
    assert len(elsewhere) == len(PROMPTS)


def test_proposals_are_those_of_decoding(model: Any, parts: tuple[Any, Any]) -> None:
    fast, image = model(), embedding()
    prompts = [*PROMPTS.values()] * 2
    for proposal, prompt in zip(fast.propose(image, prompts), prompts, strict=True):
        masks, scores, logits = official(parts, image, prompt)
        assert proposal.prompt == prompt
        np.testing.assert_allclose(proposal.scores, scores, rtol=1e-5, atol=1e-5)
        assert mask_iou(proposal.full(2), masks[2]) >= 0.999
        assert proposal.small.shape == (3, 24, 32)
        assert (proposal.small != (logits[:, :24] > 0)).sum() <= 1


def test_many_refuses_what_one_refuses(model: Any) -> None:
    fast, image, good = model(), embedding(), PROMPTS["a click"]
    with pytest.raises(PointOutsideImage, match="500"):
        fast.decode_many([(image, good), (image, Prompt.of(points=[(500, 3)]))])
    with pytest.raises(PromptError, match="empty prompt"):
        fast.decode_many([(image, good), (image, Prompt())])
    foreign = Embedding({"image_embedding": np.zeros((1, 2, 3), np.float32)}, SIZE, input_size_of(SIZE, FRAME))
    with pytest.raises(ModelError, match="another model"):
        fast.decode_many([(image, good), (foreign, good)])
    assert fast.decode(image, good).masks.any()


def test_threads_get_what_one_gets(model: Any, parts: tuple[Any, Any]) -> None:
    fast, images = model(), [embedding(seed) for seed in range(6)]
    expected = [official(parts, image, PROMPTS["a click"]) for image in images]
    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(lambda n: fast.decode(images[n % 6], PROMPTS["a click"]), range(36))
        for number, prediction in enumerate(answers):
            check(prediction, expected[number % 6])


def test_tiny_answers_many_as_it_answers_one() -> None:
    tiny = load_model("tiny", checkpoint=EARLIER_TINY)
    assert isinstance(tiny, SamModel)
    pixels = np.zeros((2, *SIZE, 3), np.uint8)
    pixels[:, 20:60, 30:80] = [[[[200]]], [[[90]]]]
    images = [tiny.encode(picture) for picture in pixels]
    pairs = [(images[n % 2], prompt) for n, prompt in enumerate(PROMPTS.values())]
    for prediction, (image, prompt) in zip(tiny.decode_many(pairs), pairs, strict=True):
        one = tiny.decode(image, prompt)
        assert np.array_equal(prediction.low_res_logits, one.low_res_logits)
        assert np.array_equal(prediction.masks, one.masks)


# -- what it can and cannot replace -----------------------------------------------------------------------


def test_a_changed_decoder_keeps_its_own_forward(parts: tuple[Any, Any]) -> None:
    class Own(type(parts[1])):  # type: ignore[misc]
        pass

    assert can_be_fast(parts[1])
    assert not can_be_fast(SimpleNamespace())
    own = mask_decoder()
    own.__class__ = Own
    assert not can_be_fast(own)
    patched = mask_decoder()
    patched.transformer.layers[1].self_attn = torch.nn.Identity()
    assert not can_be_fast(patched)


def test_the_decoder_in_its_real_size() -> None:
    """ViT-B's, L's and H's, and MobileSAM's: all four are built alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        real = variants.build_prompt_encoder().eval(), variants.build_mask_decoder().eval()
    for module in real:
        module.requires_grad_(False)
    values = np.random.default_rng(0).normal(scale=0.3, size=(256, 64, 64)).astype(np.float32)
    image = Embedding({"image_embedding": values}, (600, 800), (768, 1024))
    decoder = Decoder(*real, image_size=1024, embedding_shape=(256, 64, 64), device="cpu")
    prompt = Prompt.of(points=[(300, 200)])
    masks, scores, logits = official(real, image, prompt, frame=1024)
    for _ in range(2):
        with torch.inference_mode():
            [(own, own_scores)] = decoder.run([(image, prompt)], True)
        np.testing.assert_allclose(own, logits, rtol=0, atol=3e-6 * np.abs(logits).max())
        np.testing.assert_allclose(own_scores, scores, rtol=0, atol=1e-5)
        made = decoder.masks_of(own, image).all()
        assert min(mask_iou(*pair) for pair in zip(made, masks, strict=True)) >= 0.9999
    assert isinstance(decoder._layers, FastMaskDecoder)
    assert decoder._image_sides[0].side.nbytes < 12e6
