"""Families of ``transformers``: small nets of the real classes, against their own processors and forward."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import samnb.models.registry
from samnb import Session
from samnb.cache import EmbeddingCache
from samnb.errors import (
    CheckpointDamaged,
    CheckpointError,
    CheckpointMismatch,
    CheckpointMissing,
    DownloadFailed,
    ModelError,
    PackageMissing,
    PromptError,
)
from samnb.models import REGISTRY, Model, base, download, load_model, precision_check
from samnb.models.huggingface.decoder import CPU_BATCH, GPU_BATCH
from samnb.models.huggingface.model import HuggingFaceSam
from samnb.models.sam.reference import import_segment_anything
from samnb.models.weights.checkpoints import checkpoint_folders, open_checkpoint
from samnb.prompts import Embedding, Prompt
from samnb.store.entry import make_key
from tests.support import small_families as small

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(package) is None for package in ("transformers", "timm")), reason="needs samnb[huggingface]"
    ),
]

PROMPTS = (
    Prompt.of(points=[(150.5, 100)]),
    Prompt.of(points=[(150, 100), (500, 300)], point_labels=[1, 0]),
    Prompt.of(box=(60.25, 40, 420, 330)),
    Prompt.of(points=[(150, 100)], box=(60, 40, 420, 330)),
)
TENSORS = {
    "sam_vit_base": {"image_embedding": (32, 8, 8)},
    "sam_hq_vit_b": {"image_embedding": (32, 8, 8), "intermediate": (8, 8, 32)},
    "sam2.1_hiera_tiny": {"image_embedding": (32, 8, 8), "high_res_0": (4, 32, 32), "high_res_1": (8, 16, 16)},
    "edgetam": {"image_embedding": (32, 8, 8), "high_res_0": (4, 32, 32), "high_res_1": (8, 16, 16)},
}
by_family = pytest.mark.parametrize("name", list(small.SMALL))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import_segment_anything()  # so that torchvision imports beside any torch
    top = tmp_path_factory.mktemp("families")
    return {name: small.save(make, top / name) for name, make in small.SMALL.items()}


@pytest.fixture(scope="module")
def coffee() -> NDArray[np.uint8]:
    from skimage import data

    pixels: NDArray[np.uint8] = data.coffee()
    return pixels


@pytest.fixture(scope="module")
def embeddings(folders: dict[str, Path], coffee: NDArray[np.uint8]) -> dict[str, Embedding]:
    return {name: load_model(name, checkpoint=folder).encode(coffee) for name, folder in folders.items()}


class Official:
    """The family's own net and processor, as its documentation uses them."""

    def __init__(self, folder: Path):
        import transformers

        kind = json.loads((folder / "config.json").read_text())["model_type"]
        net = {"sam": "SamModel", "sam_hq": "SamHQModel", "sam2": "Sam2Model", "edgetam": "EdgeTamModel"}[kind]
        self.net = getattr(transformers, net).from_pretrained(folder).eval()
        self.padded = kind in ("sam", "sam_hq")
        square = {"height": small.SIDE, "width": small.SIDE}
        if self.padded:
            images = transformers.SamImageProcessor(size={"longest_edge": small.SIDE}, pad_size=square)
            self.processor = getattr(transformers, "SamProcessor" if kind == "sam" else "SamHQProcessor")(images)
        else:
            self.processor = transformers.Sam2Processor(transformers.Sam2ImageProcessor(size=square))

    def answer(
        self, pixels: NDArray[np.uint8], prompt: Prompt, *, multimask: bool = True, mask_input: Any = None
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
        import torch

        given: dict[str, Any] = {}
        if prompt.points:
            given["input_points"] = [[[list(point) for point in prompt.points]]]
            given["input_labels"] = [[list(prompt.point_labels)]]
        if prompt.box is not None:
            given["input_boxes"] = [[list(prompt.box)]]
        inputs = self.processor(images=pixels, return_tensors="pt", **given)
        sizes = [inputs.pop("original_sizes")]
        if self.padded:
            sizes.append(inputs.pop("reshaped_input_sizes"))
        masks = None if mask_input is None else torch.tensor(mask_input)[None, None]
        with torch.inference_mode():
            answer = self.net(**inputs, input_masks=masks, multimask_output=multimask)
        full = self.processor.post_process_masks(answer.pred_masks, *sizes)[0][0]
        return full.numpy(), answer.iou_scores[0, 0].numpy(), answer.pred_masks[0, 0].numpy()


@by_family
def test_through_the_cache_and_back_the_masks_are_the_familys_own(
    name: str, folders: dict[str, Path], embeddings: dict[str, Embedding], coffee: NDArray[np.uint8], tmp_path: Path
) -> None:
    official, model = Official(folders[name]), load_model(name, checkpoint=folders[name])
    key = make_key("pixels", model.fingerprint, model.embedding_spec)
    kept: dict[str, Embedding] = {}
    for dtype in ("float32", "float16"):
        EmbeddingCache(tmp_path / dtype, dtype=dtype).put(key, embeddings[name], about={})
        found = EmbeddingCache(tmp_path / dtype, dtype=dtype).get(key)  # another object: nothing is in its memory
        assert found is not None
        assert {tensor: values.shape for tensor, values in found.tensors.items()} == TENSORS[name]
        kept[dtype] = found
    for prompt in PROMPTS:
        for multimask in (True, False):
            masks, scores, logits = official.answer(coffee, prompt, multimask=multimask)
            assert 0.005 < masks.mean() < 0.995
            exact = model.decode(kept["float32"], prompt, multimask=multimask)
            # The same but for roundings: the family's net hands its maps on in another memory layout.
            assert (exact.masks != masks).mean() < 1e-5
            np.testing.assert_allclose(exact.scores, scores, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(exact.low_res_logits, logits, rtol=1e-4, atol=1e-4)
            half = model.decode(kept["float16"], prompt, multimask=multimask)
            overlap = (half.masks & masks).sum((1, 2)) / np.maximum(1, (half.masks | masks).sum((1, 2)))
            assert overlap.min() >= 0.99
    assert not model.encoder_built
    assert model.encodes == 0


@by_family
def test_a_mask_is_refined_as_the_family_does(
    name: str, folders: dict[str, Path], embeddings: dict[str, Embedding], coffee: NDArray[np.uint8]
) -> None:
    official, model = Official(folders[name]), load_model(name, checkpoint=folders[name])
    first = model.decode(embeddings[name], PROMPTS[0])
    masks, scores, _ = official.answer(coffee, PROMPTS[1], mask_input=first.low_res_logits[1])
    refined = model.decode(embeddings[name], PROMPTS[1], mask_input=first.low_res_logits[1])
    assert (refined.masks != masks).mean() < 1e-5
    np.testing.assert_allclose(refined.scores, scores, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(refined.low_res_logits, model.decode(embeddings[name], PROMPTS[1]).low_res_logits)


@by_family
def test_many_prompts_at_once_get_what_each_gets_alone(
    name: str, folders: dict[str, Path], embeddings: dict[str, Embedding]
) -> None:
    model = load_model(name, checkpoint=folders[name])
    prompts = [*PROMPTS, *(Prompt.of(points=[(40 * step + 5, 30 * step)]) for step in range(1, 11))]
    for prompt, proposal in zip(prompts, model.propose(embeddings[name], prompts), strict=True):
        alone = model.decode(embeddings[name], prompt)
        assert proposal.prompt == prompt
        np.testing.assert_allclose(proposal.scores, alone.scores, rtol=1e-4, atol=1e-5)
        assert (proposal.full(1) != alone.masks[1]).mean() < 1e-4
        rows = 32 if model.family.stretched else round(32 * 400 / 600)
        assert proposal.small.shape == (3, rows, 32)
        assert (proposal.small != (alone.low_res_logits[:, :rows] > 0)).mean() < 1e-3
    with pytest.raises(PromptError, match="empty prompt"):
        model.propose(embeddings[name], [Prompt()])
    assert not model.encoder_built


@by_family
def test_many_prompts_on_many_images_get_what_each_gets_alone(
    name: str, folders: dict[str, Path], embeddings: dict[str, Embedding], coffee: NDArray[np.uint8]
) -> None:
    model: Any = load_model(name, checkpoint=folders[name])
    images = [embeddings[name], model.encode(coffee[:, ::-1].copy()), model.encode(coffee[:370, 60:].copy())]
    pairs = [(images[number % 3], PROMPTS[number * 5 % 4]) for number in range(12)]
    pairs += [(images[0], Prompt.of(points=[(40 * step + 5, 30 * step)])) for step in range(1, 10)]
    alone = [model.decode(embedding, prompt) for embedding, prompt in pairs]
    decoder = model._built()
    for mixes in (False, True):  # as on a processor, and as on a GPU
        decoder.mixes_images, decoder.batch_size = mixes, GPU_BATCH if mixes else CPU_BATCH
        calls = [{id(pairs[number][0]) for number in numbers} for numbers in decoder.batches(pairs)]
        assert max(map(len, calls)) == (3 if mixes else 1)
        for (_, prompt), answer, single in zip(pairs, model.decode_many(pairs), alone, strict=True):
            assert answer.prompt == prompt
            np.testing.assert_allclose(answer.scores, single.scores, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(answer.low_res_logits, single.low_res_logits, rtol=1e-3, atol=1e-3)
            assert (answer.masks != single.masks).mean() < 1e-4
    [one] = model.decode_many(pairs[:1], multimask=False)
    np.testing.assert_allclose(one.scores, model.decode(*pairs[0], multimask=False).scores, rtol=1e-4, atol=1e-5)
    assert model.decode_many([]) == []
    with pytest.raises(PromptError, match="empty prompt"):
        model.decode_many([(images[0], Prompt())])


@by_family
def test_a_picture_is_prepared_bit_for_bit_as_the_familys_processor_does(
    name: str, folders: dict[str, Path], coffee: NDArray[np.uint8]
) -> None:
    model: Any = load_model(name, checkpoint=folders[name])
    processor = Official(folders[name]).processor
    for pixels in (coffee, coffee[::-1, :250], coffee[:90, :70]):
        wanted = processor(images=pixels.copy(), return_tensors="pt")["pixel_values"]
        for given in (pixels, Image.fromarray(pixels)):
            prepared = model.prepare(given)
            assert prepared.original_size == pixels.shape[:2]
            assert prepared.resized.dtype == np.uint8
            assert max(prepared.resized.shape[:2]) == small.SIDE
            np.testing.assert_array_equal(model._frames([prepared.resized]), wanted)


@by_family
def test_several_pictures_at_once_get_what_each_gets_alone(
    name: str, folders: dict[str, Path], embeddings: dict[str, Embedding], coffee: NDArray[np.uint8]
) -> None:
    model: Any = load_model(name, checkpoint=folders[name])
    pictures = [coffee, coffee[:, :200], coffee[::-1]]
    found = model.encode_prepared([model.prepare(pixels) for pixels in pictures])
    assert model.encodes == 3
    for pixels, together in zip(pictures, found, strict=True):
        alone = model.encode(pixels)
        assert together.original_size == alone.original_size
        assert together.input_size == alone.input_size
        assert set(together.tensors) == set(TENSORS[name])
        for tensor, values in alone.tensors.items():
            got = together.tensors[tensor]
            assert got.flags.c_contiguous
            assert got.base is None
            np.testing.assert_allclose(got, values, rtol=1e-4, atol=1e-5 * np.abs(values).max())
    assert model.encode_prepared([]) == []


def test_where_memory_is_short_a_batch_is_halved(
    folders: dict[str, Path], coffee: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = load_model("edgetam", checkpoint=folders["edgetam"])
    sizes: list[int] = []
    run = model._encode_batch

    def small_device(resized: Any) -> Any:
        sizes.append(len(resized))
        if len(resized) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return run(resized)

    monkeypatch.setattr(model, "_encode_batch", small_device)
    assert len(model.encode_prepared([model.prepare(coffee)] * 5)) == 5
    assert sizes == [5, 2, 2, 1]


def test_a_prewarm_reads_beside_the_net_and_hands_it_batches(
    folders: dict[str, Path], coffee: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMNB_BATCH", "3")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for step in range(7):
        Image.fromarray(np.roll(coffee, 30 * step, axis=1)).save(pictures / f"{step}.png")
    with Session(tmp_path / "session", model="edgetam", checkpoint=folders["edgetam"], device="cpu") as session:
        session.add(pictures)
        model: Any = session.model
        sizes: list[int] = []
        run = model.encode_prepared

        def encode_prepared(batch: Any) -> Any:
            sizes.append(len(batch))
            return run(batch)

        monkeypatch.setattr(model, "encode_prepared", encode_prepared)
        assert session.prewarm().wait()["computed"] == 7
        assert sum(sizes) == 7
        assert max(sizes) > 1
        first = session.embedding(session.images()[0])[0]
        exact = load_model("edgetam", checkpoint=folders["edgetam"]).encode(coffee)
        for tensor, values in exact.tensors.items():
            np.testing.assert_allclose(first.tensors[tensor], values, rtol=2e-3, atol=2e-3 * np.abs(values).max())


def test_sam_hq_answers_from_its_own_token_and_from_inside_the_encoder(
    folders: dict[str, Path], embeddings: dict[str, Embedding], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    embedding = embeddings["sam_hq_vit_b"]
    blank = {**embedding.tensors, "intermediate": np.zeros_like(embedding.tensors["intermediate"])}
    without = Embedding(blank, embedding.original_size, embedding.input_size)
    model = load_model("sam_hq_vit_b", checkpoint=folders["sam_hq_vit_b"])
    logits = model.decode(embedding, PROMPTS[1]).low_res_logits
    assert np.abs(model.decode(without, PROMPTS[1]).low_res_logits - logits).max() > 0.1
    folder = tmp_path / "other"
    shutil.copytree(folders["sam_hq_vit_b"], folder)
    state = load_file(folder / "model.safetensors")
    state["mask_decoder.hq_token.weight"] += 1
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    changed = load_model("sam_hq_vit_b", checkpoint=folder).decode(embedding, PROMPTS[1])
    assert np.abs(changed.low_res_logits - logits).max() > 0.1


@pytest.mark.parametrize("size_hw", [(1, 1), (300, 40), (128, 128)])
@by_family
def test_odd_sizes(size_hw: tuple[int, int], name: str, folders: dict[str, Path]) -> None:
    model = load_model(name, checkpoint=folders[name])
    embedding = model.encode(np.full((*size_hw, 3), 90, np.uint8))
    assert embedding.original_size == size_hw
    assert max(embedding.input_size) == small.SIDE
    assert model.decode(embedding, Prompt.of(points=[(0, 0)])).masks.shape == (3, *size_hw)


def test_keys_differ_between_families_weights_and_precisions(folders: dict[str, Path], tmp_path: Path) -> None:
    other = small.save(small.sam2, tmp_path / "other", seed=1)
    changed = tmp_path / "changed"
    shutil.copytree(folders["sam2.1_hiera_tiny"], changed)
    config = json.loads((changed / "config.json").read_text())
    config["mask_decoder_config"]["dynamic_multimask_stability_thresh"] = 0.5
    (changed / "config.json").write_text(json.dumps(config))
    wider = tmp_path / "wider"
    shutil.copytree(folders["sam2.1_hiera_tiny"], wider)
    (wider / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5, 0.5, 0.5]}))
    models = [load_model(name, checkpoint=folder) for name, folder in folders.items()]
    models += [load_model("sam2.1_hiera_tiny", checkpoint=folder) for folder in (other, changed, wider)]
    keys = {
        make_key("pixels", model.fingerprint, f"{model.embedding_spec}:store={dtype}")
        for model in models
        for dtype in ("float32", "float16", "int8")
    }
    assert len(keys) == 3 * len(models)
    for model in models:
        assert model.embedding_spec.endswith("compute=float32")
        assert len(bytes.fromhex(model.fingerprint.rpartition("-")[2])) == 32


def test_precision_is_decided_as_for_the_other_models(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAMNB_PRECISION", raising=False)
    monkeypatch.setattr(base, "has_bfloat16", lambda: False)
    options: dict[str, Any] = {"checkpoint": folders["edgetam"], "device": "cpu"}
    assert load_model("edgetam", **options).embedding_spec.endswith("compute=float32")
    assert load_model("edgetam", checkpoint=folders["edgetam"], device="cuda").embedding_spec.endswith(
        "compute=float16"
    )
    monkeypatch.setenv("SAMNB_PRECISION", "bfloat16")
    assert load_model("edgetam", **options).embedding_spec.endswith("compute=bfloat16")
    assert load_model("edgetam", **options, precision="float32").embedding_spec.endswith("compute=float32")


def test_auto_is_bfloat16_only_after_a_check(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAMNB_PRECISION", raising=False)
    monkeypatch.setattr(base, "has_bfloat16", lambda: True)
    monkeypatch.setattr(precision_check, "MIN_SPEED", 0.0)
    name = "sam2.1_hiera_tiny"
    model = load_model(name, checkpoint=folders[name], device="cpu")
    assert isinstance(model, HuggingFaceSam)
    assert model.may_choose
    assert "IoU" in precision_check.compare(model).reason
    monkeypatch.setattr(base, "checked", lambda _: precision_check.Verdict("bfloat16", "because"))
    assert (model.precision, model.precision_reason) == ("bfloat16", "because")


def test_in_bfloat16_the_key_is_another_and_the_masks_are_near(
    folders: dict[str, Path], embeddings: dict[str, Embedding], coffee: NDArray[np.uint8]
) -> None:
    info = REGISTRY["sam_hq_vit_b"].info
    weights = open_checkpoint(info, folders["sam_hq_vit_b"] / "model.safetensors")
    exact, near = (HuggingFaceSam(info, weights, device="cpu", precision=p) for p in ("auto", "bfloat16"))
    assert exact.fingerprint == near.fingerprint
    assert exact.embedding_spec.endswith("compute=float32")
    assert near.embedding_spec.endswith("compute=bfloat16")
    embedding = near.encode(coffee)
    assert {tensor.dtype for tensor in embedding.tensors.values()} == {np.dtype(np.float32)}
    ours, theirs = (exact.decode(e, PROMPTS[2]).masks for e in (embedding, embeddings["sam_hq_vit_b"]))
    assert 0.5 < (ours & theirs).sum() / (ours | theirs).sum() < 1


def test_a_saving_that_changes_nothing_keeps_the_key(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(folders["edgetam"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "transformers_version": "9.9"}, indent=7))
    assert load_model("edgetam", checkpoint=folder).fingerprint == (
        load_model("edgetam", checkpoint=folders["edgetam"]).fingerprint
    )


def test_a_video_models_folder_holds_the_image_model(coffee: NDArray[np.uint8], tmp_path: Path) -> None:
    import transformers

    folder = small.save(small.sam2_video, tmp_path / "video")
    model = load_model("sam2.1_hiera_tiny", checkpoint=folder)
    net = transformers.Sam2Model.from_pretrained(folder).eval()
    net.save_pretrained(tmp_path / "image")
    masks, scores, _ = Official(tmp_path / "image").answer(coffee, PROMPTS[3])
    found = model.decode(model.encode(coffee), PROMPTS[3])
    assert (found.masks != masks).mean() < 1e-5
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5, atol=1e-6)


def test_the_folders_own_image_processor_is_used(
    folders: dict[str, Path], embeddings: dict[str, Embedding], coffee: NDArray[np.uint8], tmp_path: Path
) -> None:
    import transformers

    folder = tmp_path / "own"
    shutil.copytree(folders["sam_vit_base"], folder)
    square = {"height": small.SIDE, "width": small.SIDE}
    images = transformers.SamImageProcessor(
        size={"longest_edge": small.SIDE}, pad_size=square, image_mean=[0.1, 0.2, 0.3]
    )
    transformers.SamProcessor(images).save_pretrained(folder)
    model = load_model("sam_vit_base", checkpoint=folder)
    assert "own=" in model.embedding_spec
    tensor = model.encode(coffee).tensors["image_embedding"]
    assert not np.allclose(tensor, embeddings["sam_vit_base"].tensors["image_embedding"])


def test_halves_are_stored_as_halves_and_run_in_full(
    folders: dict[str, Path], embeddings: dict[str, Embedding], coffee: NDArray[np.uint8], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "half"
    shutil.copytree(folders["edgetam"], folder)
    state = load_file(folder / "model.safetensors")
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    save_file(halved, folder / "model.safetensors", metadata={"format": "pt"})
    embedding = load_model("edgetam", checkpoint=folder).encode(coffee)
    assert {tensor.dtype for tensor in embedding.tensors.values()} == {np.dtype(np.float32)}
    near, exact = (e.tensors["image_embedding"] for e in (embedding, embeddings["edgetam"]))
    assert np.abs(near - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize("name", ["sam_hq_vit_b", "sam2.1_hiera_tiny"])
def test_a_session_from_adding_to_a_template(
    name: str, folders: dict[str, Path], coffee: NDArray[np.uint8], tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for step in range(2):
        Image.fromarray(np.roll(coffee, 90 * step, axis=1)).save(pictures / f"{step}.png")
    options: dict[str, Any] = {"model": name, "checkpoint": folders[name], "device": "cpu"}
    with Session(tmp_path / "session", **options) as session:
        session.add(pictures)
        assert session.prewarm().wait()["computed"] == 2
    with Session(tmp_path / "session", **options) as session:
        assert session.prewarm().wait()["skipped"] == 2
        prediction = session.predict("0.png", points=[(300, 200)])
        assert prediction.cache_hit
        assert prediction.masks.shape == (3, 400, 600)
        session.accept(prediction, category="cup")
        template = session.template("cups", min_score=0.0)
        assert session.apply(template).wait()["failed"] == 0
        assert not session.model.encoder_built


class TestFiles:
    def test_found_by_name(
        self, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coffee: NDArray[np.uint8]
    ) -> None:
        monkeypatch.setenv("SAMNB_CHECKPOINTS", str(tmp_path))
        shutil.copytree(folders["edgetam"], tmp_path / "edgetam")
        assert isinstance(load_model("edgetam"), Model)
        # A file of the folder names the folder.
        assert load_model("edgetam", checkpoint=folders["edgetam"] / "model.safetensors").fingerprint == (
            load_model("edgetam").fingerprint
        )

    def test_what_is_not_there_is_named_and_where_it_belongs(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointMissing) as caught:
            load_model("sam2.1_hiera_small")
        place = checkpoint_folders()[0] / "sam2.1_hiera_small"
        for part in (
            "config.json",
            "model.safetensors",
            str(place),
            "https://huggingface.co/facebook/sam2.1-hiera-small",
        ):
            assert part in str(caught.value)
        with pytest.raises(CheckpointMissing, match=r"has no model.safetensors and config.json"):
            load_model("sam2_hiera_tiny", checkpoint=tmp_path)
        with pytest.raises(DownloadFailed, match=r"hf download yonigozlan/EdgeTAM-hf"):
            download("edgetam")

    @by_family
    def test_another_familys_folder(self, name: str, folders: dict[str, Path]) -> None:
        for other in set(folders) - {name}:
            with pytest.raises(CheckpointMismatch, match=r"of the family .*; expected"):
                load_model(other, checkpoint=folders[name])

    def test_files_of_other_layouts(self, folders: dict[str, Path], tmp_path: Path) -> None:
        import torch

        path = tmp_path / "sam2.1_hiera_tiny.pt"
        torch.save({"model": {"image_encoder.trunk.pos_embed": torch.zeros(1)}}, path)
        with pytest.raises(CheckpointMismatch, match=r"is a file.*wants a folder"):
            load_model("sam_vit_base", checkpoint=path)
        with pytest.raises(CheckpointMismatch, match=r"looks like SAM 2 as Meta published it, expected mobile_sam"):
            load_model("mobile_sam", checkpoint=path)
        with pytest.raises(CheckpointMismatch, match="looks like a transformers model, expected vit_b"):
            load_model("vit_b", checkpoint=folders["sam_vit_base"] / "model.safetensors")

    def test_damage(self, folders: dict[str, Path], tmp_path: Path, coffee: NDArray[np.uint8]) -> None:
        folder = tmp_path / "damaged"
        shutil.copytree(folders["sam_vit_base"], folder)
        whole = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(whole[:-9])
        with pytest.raises(CheckpointDamaged, match="truncated"):
            load_model("sam_vit_base", checkpoint=folder)
        (folder / "model.safetensors").write_bytes(whole)
        model = load_model("sam_vit_base", checkpoint=folder)
        (folder / "model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(CheckpointError, match="changed after"):
            model.encode(coffee)
        (folder / "config.json").write_text("<html>")
        with pytest.raises(CheckpointDamaged, match="is not JSON"):
            load_model("sam_vit_base", checkpoint=folder)

    def test_weights_that_do_not_fit_their_config(
        self, folders: dict[str, Path], tmp_path: Path, embeddings: dict[str, Embedding]
    ) -> None:
        folder = tmp_path / "wrong"
        shutil.copytree(folders["sam_vit_base"], folder)
        config = json.loads((folder / "config.json").read_text())
        config["mask_decoder_config"]["mlp_dim"] = 128
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointMismatch, match="does not fit its config"):
            load_model("sam_vit_base", checkpoint=folder).decode(embeddings["sam_vit_base"], PROMPTS[0])

    def test_tensors_that_are_missing(
        self, folders: dict[str, Path], tmp_path: Path, embeddings: dict[str, Embedding]
    ) -> None:
        from safetensors.torch import load_file, save_file

        folder = tmp_path / "lacking"
        shutil.copytree(folders["sam_vit_base"], folder)
        state = load_file(folder / "model.safetensors")
        del state["mask_decoder.iou_token.weight"]
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(CheckpointMismatch, match=r"1 tensors .*missing \(mask_decoder.iou_token.weight\)"):
            load_model("sam_vit_base", checkpoint=folder).decode(embeddings["sam_vit_base"], PROMPTS[0])


def test_prompts_and_embeddings_that_do_not_fit(folders: dict[str, Path], embeddings: dict[str, Embedding]) -> None:
    model = load_model("sam2.1_hiera_tiny", checkpoint=folders["sam2.1_hiera_tiny"])
    with pytest.raises(PromptError, match="empty prompt"):
        model.decode(embeddings["sam2.1_hiera_tiny"], Prompt())
    with pytest.raises(PromptError, match=r"mask_input.*\(32, 32\)"):
        model.decode(embeddings["sam2.1_hiera_tiny"], PROMPTS[0], mask_input=np.zeros((7, 7)))
    with pytest.raises(ModelError, match="another model's: expected image_embedding, high_res_0"):
        model.decode(embeddings["sam_vit_base"], PROMPTS[0])
    with pytest.raises(ModelError, match="uint8"):
        model.encode(np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]


def test_without_the_package_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    there = samnb.models.registry.find_spec
    monkeypatch.setattr(samnb.models.registry, "find_spec", lambda name: None if name == "timm" else there(name))
    with pytest.raises(PackageMissing, match=r"edgetam.*timm.*pip install \"samnb\[huggingface\]\""):
        load_model("edgetam", checkpoint=folders["edgetam"])
    assert load_model("sam_vit_base", checkpoint=folders["sam_vit_base"])


def test_loading_imports_neither_torch_nor_transformers(folders: dict[str, Path]) -> None:
    code = (
        "import sys\n"
        "from samnb.models import load_model\n"
        f"model = load_model('edgetam', checkpoint={str(folders['edgetam'])!r}, device='cpu')\n"
        "print(model, model.fingerprint, model.embedding_spec)\n"
        "print('heavy:', sorted({'torch', 'transformers', 'timm', 'torchvision'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize("odd", [5, {"image_size": "abc"}, {"image_size": [-3]}, {"image_size": float("inf")}])
def test_a_config_without_a_size_is_damaged(odd: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sam", "vision_config": odd}))
    from safetensors.numpy import save_file

    save_file({"vision_encoder.a": np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointDamaged, match="do not tell the size of an image"):
        load_model("sam_vit_base", checkpoint=tmp_path)
