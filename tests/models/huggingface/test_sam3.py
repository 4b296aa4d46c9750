"""SAM 3: small nets of the real classes, through one cached entry, against the classes without a cache."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samnb import Session
from samnb.cache import EmbeddingCache
from samnb.errors import CheckpointDamaged, CheckpointMismatch, CheckpointMissing, ModelError, PromptError
from samnb.masks import mask_iou
from samnb.models import Exemplar, ExemplarTokens, FoundObjects, SupportsPhrases, check_phrases, load_model
from samnb.models.huggingface.sam3 import Sam3
from samnb.models.huggingface.sam3_decoder import RECENT, Recent, _as_output
from samnb.models.sam.reference import import_segment_anything
from samnb.prompts import Embedding, Prompt
from samnb.store.entry import make_key, serialize
from samnb.widgets import Annotator
from tests.support import small_families as small

from .test_roi_align import slow_roi_align

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("transformers") is None, reason="needs samnb[huggingface]"),
]

BOX, WRONG = (60.0, 40.0, 420.0, 330.0), (10.0, 10.0, 50.0, 90.0)
CLICKS = (
    Prompt.of(points=[(150.5, 100)]),
    Prompt.of(points=[(150, 100), (420, 300)], point_labels=[1, 0]),
    Prompt.of(box=BOX),
    Prompt.of(points=[(150, 100)], box=BOX),
)
EXEMPLARS = (Exemplar(BOX), Exemplar(WRONG, positive=False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import_segment_anything()  # so that torchvision imports beside any torch
    return small.save_sam3(tmp_path_factory.mktemp("sam3") / "folder", seed=7)


@pytest.fixture(scope="module")
def pictures() -> dict[str, NDArray[np.uint8]]:
    from skimage import data

    return {"coffee": data.coffee(), "rocket": data.rocket()}


@pytest.fixture(scope="module")
def embeddings(folder: Path, pictures: dict[str, NDArray[np.uint8]]) -> dict[str, Embedding]:
    model = load_model("sam3", checkpoint=folder)
    return {name: model.encode(pixels) for name, pixels in pictures.items()}


@pytest.fixture(scope="module")
def model(folder: Path) -> Sam3:
    model = load_model("sam3", checkpoint=folder)
    assert isinstance(model, Sam3)
    return model


class Official:
    """The classes of transformers, as their documentation uses them: the image goes in with every prompt."""

    def __init__(self, folder: Path):
        from transformers import (
            CLIPTokenizer,
            Sam3ImageProcessor,
            Sam3Model,
            Sam3Processor,
            Sam3TrackerModel,
            Sam3TrackerVideoModel,
        )

        self.detector = Sam3Model.from_pretrained(folder).eval()
        self.head = Sam3TrackerModel.from_pretrained(folder).eval()
        self.video = Sam3TrackerVideoModel.from_pretrained(folder).eval()
        images = Sam3ImageProcessor.from_pretrained(folder)
        self.processor = Sam3Processor(images, CLIPTokenizer.from_pretrained(folder))

    def find(self, pixels: NDArray[np.uint8], phrase: str | None, exemplars: tuple[Exemplar, ...] = ()) -> Any:
        import torch

        given: dict[str, Any] = {}
        if exemplars:
            given["input_boxes"] = [[list(one.box) for one in exemplars]]
            given["input_boxes_labels"] = [[int(one.positive) for one in exemplars]]
        inputs = self.processor(images=pixels, text=phrase, return_tensors="pt", **given)
        sizes = inputs.pop("original_sizes").tolist()
        with torch.inference_mode():
            answer = self.detector(**inputs)
        return self.processor.post_process_instance_segmentation(answer, threshold=0, target_sizes=sizes)[0]

    def with_tokens_of(
        self, pixels: NDArray[np.uint8], phrase: str | None, other: NDArray[np.uint8], exemplars: tuple[Exemplar, ...]
    ) -> Any:
        """As `find`; the class gets the geometry tokens of the other picture, in place of those of this one."""
        encoder = self.detector.geometry_encoder
        seen: list[Any] = []
        hook = encoder.register_forward_hook(lambda module, args, output: seen.append(output))
        try:
            self.find(other, phrase, exemplars)
        finally:
            hook.remove()
        hook = encoder.register_forward_hook(lambda module, args, output: seen[0])
        try:
            return self.find(pixels, phrase, exemplars)
        finally:
            hook.remove()

    def click(self, pixels: NDArray[np.uint8], prompt: Prompt, *, multimask: bool, mask_input: Any = None) -> Any:
        import torch
        from transformers import Sam3TrackerProcessor

        processor = Sam3TrackerProcessor(self.processor.image_processor)
        given: dict[str, Any] = {}
        if prompt.points:
            given["input_points"] = [[[list(point) for point in prompt.points]]]
            given["input_labels"] = [[list(prompt.point_labels)]]
        if prompt.box is not None:
            given["input_boxes"] = [[list(prompt.box)]]
        inputs = processor(images=pixels, return_tensors="pt", **given)
        sizes = inputs.pop("original_sizes")
        masks = None if mask_input is None else torch.tensor(mask_input)[None, None]
        with torch.inference_mode():
            # The image class leaves `no_memory_embedding` out of its maps, see below; the video class does not.
            maps = self.video.get_image_embeddings(inputs.pop("pixel_values"))
            answer = self.head(**inputs, image_embeddings=maps, input_masks=masks, multimask_output=multimask)
        full = processor.post_process_masks(answer.pred_masks, sizes)[0][0]
        return full.numpy(), answer.iou_scores[0, 0].numpy(), answer.pred_masks[0, 0].numpy()


@pytest.fixture(scope="module")
def official(folder: Path) -> Any:
    from transformers.models.sam3 import modeling_sam3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modeling_sam3.torchvision.ops, "roi_align", slow_roi_align, raising=False)
        yield Official(folder)


def _same(found: FoundObjects, theirs: Any, *, exact: bool = True) -> None:
    order = np.argsort(-theirs["scores"].numpy(), kind="stable")
    scores, boxes, masks = (theirs[name].numpy()[order] for name in ("scores", "boxes", "masks"))
    assert len(found) == len(scores) == 20  # of all queries
    assert 0.02 < masks.mean() < 0.98
    if exact:
        np.testing.assert_allclose(found.scores, scores, atol=1e-4)
        np.testing.assert_allclose(found.boxes, boxes, rtol=1e-4, atol=1e-2)  # pixels
        assert (found.masks.all() != masks.astype(bool)).mean() < 1e-4
    else:
        # Scores nearly alike may change places: each of theirs has one of ours.
        pairs = np.abs(found.boxes[:, None] - boxes[None]).sum(-1).argmin(0)
        assert sorted(pairs) == list(range(len(scores)))
        mine, other = found.masks.all()[pairs], masks.astype(bool)
        overlap = (mine & other).sum((1, 2)) / np.maximum(1, (mine | other).sum((1, 2)))
        assert overlap.min() >= 0.99
        np.testing.assert_allclose(found.scores[pairs], scores, atol=2e-3)


@pytest.fixture(scope="module", params=["float32", "float16"])
def cached(
    request: pytest.FixtureRequest,
    model: Sam3,
    embeddings: dict[str, Embedding],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[bool, dict[str, Embedding]]:
    """Whether they are exact; and the embeddings as a cache on disk returns them."""
    place = tmp_path_factory.mktemp(request.param)
    kept = {}
    for name, embedding in embeddings.items():
        key = make_key(name, model.fingerprint, model.embedding_spec)
        EmbeddingCache(place, dtype=request.param).put(key, embedding, about={})
        kept[name] = EmbeddingCache(place, dtype=request.param).get(key)  # another object: nothing in its memory
        assert kept[name] is not None
    return request.param == "float32", kept


@pytest.mark.parametrize("phrase", ["yellow taxi", "dog"])
def test_a_phrase_through_the_cache_is_the_classes_answer(
    phrase: str, model: Sam3, cached: Any, official: Official, pictures: Any
) -> None:
    exact, kept = cached
    for name, pixels in pictures.items():
        _same(model.find(kept[name], phrase=phrase, min_score=0), official.find(pixels, phrase), exact=exact)
    assert model.encodes == 0
    assert not model.encoder_built


@pytest.mark.parametrize("phrase", ["yellow taxi", None])
@pytest.mark.parametrize("exemplars", [EXEMPLARS[:1], EXEMPLARS])
def test_examples_on_the_image_are_the_classes(
    phrase: str | None, exemplars: Any, model: Sam3, cached: Any, official: Official, pictures: Any
) -> None:
    exact, kept = cached
    found = model.find(kept["coffee"], phrase=phrase, exemplars=exemplars, min_score=0)
    _same(found, official.find(pictures["coffee"], phrase, exemplars), exact=exact)
    assert found.phrase == (phrase or "visual")
    assert model.encodes == 0


@pytest.mark.parametrize("phrase", ["yellow taxi", None])
def test_examples_of_another_image_are_the_classes_tokens_there(
    phrase: str | None, model: Sam3, cached: Any, official: Official, pictures: Any
) -> None:
    exact, kept = cached
    tokens = model.exemplar_tokens(kept["coffee"], EXEMPLARS)
    assert tokens.values.shape == (len(EXEMPLARS) + 1, 32)
    found = model.find(kept["rocket"], phrase=phrase, exemplars=[tokens], min_score=0)
    theirs = official.with_tokens_of(pictures["rocket"], phrase, pictures["coffee"], EXEMPLARS)
    _same(found, theirs, exact=exact)
    assert model.encodes == 0


def test_the_best_are_first_and_low_scores_are_left_out(model: Sam3, embeddings: dict[str, Embedding]) -> None:
    every = model.find(embeddings["coffee"], phrase="dog", min_score=0)
    assert list(every.scores) == sorted(every.scores, reverse=True)
    least = float(every.scores[4])
    some = model.find(embeddings["coffee"], phrase="dog", min_score=least)
    assert len(some) == 4
    assert np.array_equal(some.masks.all(), every.above(least).masks.all())


def test_examples_as_tokens_on_their_own_image_change_nothing(model: Sam3, embeddings: dict[str, Embedding]) -> None:
    embedding = embeddings["coffee"]
    tokens = model.exemplar_tokens(embedding, EXEMPLARS)
    as_boxes, as_tokens = (
        model.find(embedding, phrase="dog", exemplars=given, min_score=0) for given in (EXEMPLARS, [tokens])
    )
    np.testing.assert_allclose(as_boxes.scores, as_tokens.scores, atol=1e-6)
    np.testing.assert_allclose(as_boxes.boxes, as_tokens.boxes, atol=1e-3)


def test_phrases_and_examples_matter(model: Sam3, embeddings: dict[str, Embedding]) -> None:
    embedding = embeddings["coffee"]
    tokens = model.exemplar_tokens(embeddings["rocket"], EXEMPLARS)
    asked: list[dict[str, Any]] = [
        *({"phrase": "dog"}, {"phrase": "yellow taxi"}, {"exemplars": EXEMPLARS}, {"exemplars": EXEMPLARS[:1]}),
        *({"exemplars": [tokens]}, {"phrase": "dog", "exemplars": [tokens]}),
        {"phrase": "dog", "exemplars": [tokens, *EXEMPLARS]},
    ]
    scores = [model.find(embedding, **given, min_score=0).scores for given in asked]
    for number, one in enumerate(scores):
        assert all(np.abs(one - other).max() > 1e-4 for other in scores[:number])


@pytest.mark.parametrize("prompt", CLICKS)
@pytest.mark.parametrize("multimask", [True, False])
def test_clicks_through_the_cache_are_the_classes(
    prompt: Prompt, multimask: bool, model: Sam3, cached: Any, official: Official, pictures: Any
) -> None:
    exact, kept = cached
    masks, scores, logits = official.click(pictures["coffee"], prompt, multimask=multimask)
    found = model.decode(kept["coffee"], prompt, multimask=multimask)
    assert 0.005 < masks.mean() < 0.995
    if exact:
        assert (found.masks != masks).mean() < 1e-4
        np.testing.assert_allclose(found.scores, scores, atol=1e-4)
        assert np.abs(found.low_res_logits - logits).max() < 1e-4 * np.abs(logits).max()
    else:
        overlap = (found.masks & masks).sum((1, 2)) / np.maximum(1, (found.masks | masks).sum((1, 2)))
        assert overlap.min() >= 0.99
    assert model.encodes == 0


def test_a_click_after_a_click_is_the_classes(model: Sam3, embeddings: Any, official: Official, pictures: Any) -> None:
    first = model.decode(embeddings["coffee"], CLICKS[0])
    drawn = first.low_res_logits[first.best]
    found = model.decode(embeddings["coffee"], CLICKS[1], mask_input=drawn)
    masks, scores, _ = official.click(pictures["coffee"], CLICKS[1], multimask=True, mask_input=drawn)
    assert (found.masks != masks).mean() < 1e-4
    np.testing.assert_allclose(found.scores, scores, atol=1e-4)


def test_without_the_embedding_that_it_leaves_out_the_image_class_gives_the_same_clicks(
    folder: Path, pictures: Any, tmp_path: Path
) -> None:
    """`Sam3TrackerModel` adds `no_memory_embedding` to a map that it does not use; zeros make no difference."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import Sam3TrackerModel

    other = Path(shutil.copytree(folder, tmp_path / "zeros"))
    tensors = load_file(other / "model.safetensors")
    tensors["tracker_model.no_memory_embedding"].zero_()
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    model = load_model("sam3", checkpoint=other)
    net = Sam3TrackerModel.from_pretrained(other).eval()
    assert isinstance(model, Sam3)
    found = model.decode(model.encode(pictures["coffee"]), CLICKS[0])
    side = small.SAM3_SIDE
    height, width = pictures["coffee"].shape[:2]
    points = torch.tensor([[[[150.5 * side / width, 100 * side / height]]]])
    with torch.inference_mode():
        frames = model._frames([model.prepare(pictures["coffee"]).resized])
        theirs = net(pixel_values=frames, input_points=points, input_labels=torch.ones(1, 1, 1, dtype=torch.long))
    np.testing.assert_allclose(found.low_res_logits, theirs.pred_masks[0, 0].numpy(), rtol=1e-4, atol=1e-4)


def test_many_prompts_in_one_call_are_the_same(model: Sam3, embeddings: dict[str, Embedding]) -> None:
    pairs = [(embedding, prompt) for embedding in embeddings.values() for prompt in CLICKS]
    for (embedding, prompt), many in zip(pairs, model.decode_many(pairs), strict=True):
        one = model.decode(embedding, prompt)
        np.testing.assert_allclose(many.scores, one.scores, atol=1e-5)
        assert (many.masks != one.masks).mean() < 1e-4
    [proposal] = model.propose(embeddings["coffee"], CLICKS[:1])
    assert (proposal.full(0) != model.decode(embeddings["coffee"], CLICKS[0]).masks[0]).mean() < 1e-4


def test_an_entry_is_one_tensor_of_10_6_megabytes_in_the_published_net(folder: Path, embeddings: Any) -> None:
    from transformers import Sam3VideoConfig

    vision = Sam3VideoConfig().detector_config.vision_config.backbone_config
    side = vision.image_size // vision.patch_size
    shape = (vision.hidden_size, side, side)
    assert shape == (1024, 72, 72)
    full = Embedding({"image_embedding": np.zeros(shape, np.float32)}, (1200, 1800), (1008, 1008))
    assert round(len(serialize("0" * 64, full, dtype="float16", metadata={})) / 1e6, 1) == 10.6
    own = json.loads((folder / "config.json").read_text())["detector_config"]["vision_config"]["backbone_config"]
    small_shape = (own["hidden_size"], small.SAM3_GRID, small.SAM3_GRID)
    assert {name: tensor.shape for name, tensor in embeddings["coffee"].tensors.items()} == {
        "image_embedding": small_shape
    }


def test_the_work_that_an_image_has_in_common_is_done_once(folder: Path, embeddings: Any) -> None:
    model = load_model("sam3", checkpoint=folder)
    assert isinstance(model, Sam3)
    embedding, prompt = embeddings["coffee"], CLICKS[0]
    model.find(embedding, phrase="dog"), model.decode(embedding, prompt)
    finder, clicks = model._finder, model._decoder
    assert finder is not None
    calls = {"maps": 0, "words": 0, "click maps": 0}
    finder.net.vision_encoder.neck.register_forward_hook(lambda *given: calls.update(maps=calls["maps"] + 1))
    finder.net.text_encoder.register_forward_hook(lambda *given: calls.update(words=calls["words"] + 1))
    clicks._neck.register_forward_hook(lambda *given: calls.update({"click maps": calls["click maps"] + 1}))
    model.find(embedding, phrase="dog")
    model.exemplar_tokens(embedding, EXEMPLARS)
    model.decode(embedding, CLICKS[1])
    assert calls == {"maps": 0, "words": 0, "click maps": 0}
    model.find(embedding, phrase="cat")
    model.find(embeddings["rocket"], phrase="cat")
    model.decode(embeddings["rocket"], prompt)
    assert calls == {"maps": 1, "words": 1, "click maps": 1}


def test_text_features_are_a_tensor_and_an_output_with_one() -> None:
    """`Sam3Model.forward` took a tensor in transformers 5.0, and takes an object with `pooler_output` since."""
    import torch

    features = torch.randn(1, 3, 4)
    given = _as_output(features)
    assert torch.equal(given, features)
    assert given.pooler_output is features
    assert not hasattr(features, "pooler_output")


def test_only_the_last_values_are_kept() -> None:
    kept, made = Recent(RECENT), []
    for key in ("a", "b", "a", "c", "a", "b"):
        kept.get(key, lambda key=key: made.append(key))
    assert made == ["a", "b", "c", "b"]


def test_each_part_is_built_by_the_first_call_that_needs_it(folder: Path, embeddings: Any) -> None:
    model = load_model("sam3", checkpoint=folder)
    assert isinstance(model, Sam3)
    model.decode(embeddings["coffee"], CLICKS[0])
    assert model._finder is None
    assert not model.encoder_built
    assert isinstance(model, SupportsPhrases)
    assert check_phrases(model) is model


def test_building_leaves_the_random_numbers_alone(folder: Path, embeddings: Any) -> None:
    import torch

    torch.manual_seed(3)
    state = torch.get_rng_state()
    model = load_model("sam3", checkpoint=folder)
    assert isinstance(model, Sam3)
    model.find(embeddings["coffee"], phrase="dog")
    model.decode(embeddings["coffee"], CLICKS[0])
    model.encode(np.zeros((60, 80, 3), np.uint8))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.nn.Linear(2, 2).weight.abs().max() > 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Nothing to search for"),
        ({"exemplars": [Exemplar(WRONG, positive=False)]}, "positive=True"),
        ({"phrase": " "}, "expected some text"),
        ({"phrase": 7}, "expected some text"),
        ({"phrase": "long " * 20}, "at most 32 tokens"),
        ({"exemplars": [Exemplar((0, 0, 601, 20))]}, "outside"),
        ({"exemplars": [Exemplar((20, 0, 10, 20))]}, "x0 < x1"),
        ({"phrase": "dog", "exemplars": [(0, 0, 9, 9)]}, "expected Exemplar"),
    ],
)
def test_bad_searches_say_what_is_wrong(given: Any, says: str, model: Sam3, embeddings: Any) -> None:
    with pytest.raises(PromptError, match=says):
        model.find(embeddings["coffee"], **given)


def test_tokens_and_embeddings_of_other_models_are_refused(model: Sam3, embeddings: Any) -> None:
    tokens = model.exemplar_tokens(embeddings["coffee"], EXEMPLARS)
    for wrong in (replace(tokens, model="sam3-0"), ExemplarTokens(tokens.values[:, :7], model.fingerprint)):
        with pytest.raises(ModelError, match="of another model"):
            model.find(embeddings["coffee"], exemplars=[wrong])
    other = Embedding({"image_embedding": np.zeros((256, 64, 64), np.float32)}, (400, 600), (112, 112))
    with pytest.raises(ModelError, match="another model's: expected image_embedding"):
        model.find(other, phrase="dog")
    with pytest.raises(ModelError, match="another model's"):
        model.decode(other, CLICKS[0])
    with pytest.raises(PromptError, match="at least one"):
        model.exemplar_tokens(embeddings["coffee"], ())


def test_a_model_without_words_names_those_that_have_them() -> None:
    with pytest.raises(ModelError, match=r"tiny knows no words.*'sam3'"):
        check_phrases(load_model("tiny"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_missing_file_is_named(name: str, copy: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointMissing, match=f"has no {name} for 'sam3'.*facebook/sam3.*Ask for access"):
        load_model("sam3", checkpoint=copy)


def _renamed(folder: Path, change: Any) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def test_sam_3_1_is_refused_before_anything_is_built(copy: Path) -> None:
    _renamed(
        copy, lambda tensors: {name.replace("mask_decoder.conv", "interactive_convs"): t for name, t in tensors.items()}
    )
    with pytest.raises(CheckpointMismatch, match=r"SAM 3\.1.*interactive_convs"):
        load_model("sam3", checkpoint=copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tensors: {n: t for n, t in tensors.items() if n != "tracker_neck.fpn_layers.1.proj1.bias"}, "missing"),
        (
            lambda tensors: tensors | {"tracker_model.more": tensors["tracker_model.no_memory_embedding"].clone()},
            "none of its own",
        ),
        (
            lambda tensors: {
                n: t[..., :1].clone() if n.endswith("query_embed.weight") else t for n, t in tensors.items()
            },
            "does not fit",
        ),
    ],
)
def test_missing_unknown_and_wrong_tensors_are_refused_by_every_part(
    change: Any, says: str, copy: Path, embeddings: Any, pictures: Any
) -> None:
    _renamed(copy, change)
    model = load_model("sam3", checkpoint=copy)
    assert isinstance(model, Sam3)
    with pytest.raises(CheckpointMismatch, match=says):
        model.find(embeddings["coffee"], phrase="dog")
    if says != "does not fit":  # the shape of a tensor of one part
        with pytest.raises(CheckpointMismatch, match=says):
            model.decode(embeddings["coffee"], CLICKS[0])
        with pytest.raises(CheckpointMismatch, match=says):
            model.encode(pictures["coffee"])


def test_a_folder_of_another_family_or_size_is_refused(copy: Path) -> None:
    values = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(values | {"model_type": "sam3"}))
    with pytest.raises(CheckpointMismatch, match="expected sam3_video"):
        load_model("sam3", checkpoint=copy)
    values["detector_config"]["vision_config"]["backbone_config"]["image_size"] = 224
    (copy / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointMismatch, match="scales images to 112"):
        load_model("sam3", checkpoint=copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointDamaged, match="not JSON"):
        load_model("sam3", checkpoint=copy)


def test_a_folder_under_another_models_name_is_refused(copy: Path) -> None:
    with pytest.raises(CheckpointMismatch, match=r"looks like SAM 3 .*expected sam2\.1_hiera_tiny"):
        load_model("sam2.1_hiera_tiny", checkpoint=copy)


def test_files_saved_by_other_versions_of_transformers_are_the_same_weights(copy: Path, embeddings: Any) -> None:
    def answers() -> list[NDArray[np.float32]]:
        model = load_model("sam3", checkpoint=copy)
        assert isinstance(model, Sam3)
        found = model.find(embeddings["coffee"], phrase="dog", min_score=0)
        return [found.scores, model.decode(embeddings["coffee"], CLICKS[0]).low_res_logits]

    double, text = "tracker_model.", "text_encoder.text_model."
    before = answers()
    _renamed(
        copy,
        lambda tensors: {
            name.replace(double, 2 * double).replace(text, "text_encoder."): tensor for name, tensor in tensors.items()
        },
    )
    for one, other in zip(before, answers(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_session_encodes_once_for_words_examples_clicks_and_templates(
    folder: Path, pictures: Any, tmp_path: Path
) -> None:
    from PIL import Image

    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    with Session(tmp_path / "session", model="sam3", checkpoint=folder) as session:
        session.add(tmp_path)
        session.prewarm(show=False).wait()
        assert session.model.encodes == len(pictures)
    with Session(tmp_path / "session", model="sam3", checkpoint=folder) as session:
        session.predict("coffee.png", points=[(150, 100)])
        model = check_phrases(session.model)
        embedding, hit = session.embedding("rocket.png")
        assert hit
        template = session.template("dogs", phrase="dog", examples={"coffee.png": list(EXEMPLARS)}, max_overlap=1)
        *events, _ = session.apply_stream(template)
        assert [event.status for event in events] == ["computed"] * 2
        tokens = model.exemplar_tokens(session.embedding("coffee.png")[0], EXEMPLARS)
        found = model.find(embedding, phrase="dog", exemplars=[tokens])
        saved = session.annotations(image="rocket.png")
        np.testing.assert_allclose(sorted(one.score for one in saved), sorted(found.scores), atol=1e-4)
        assert mask_iou(max(saved, key=lambda one: one.score).mask, found.masks.one(0)) > 0.99
        session.accept_mask("rocket.png", found.masks.one(0), category="dog")
        assert session.evaluate(template).images
        session.undo_apply(template)  # what is annotated is not offered
        annotator = Annotator(session, image="coffee.png")
        annotator.category = "cup"
        annotator.click(150, 100)
        annotator.wait()
        annotator.accept()
        [clicked] = session.annotations(image="coffee.png", category="cup")
        scores = session.predict("coffee.png", points=[(150, 100)]).scores
        assert np.abs(scores - clicked.score).min() < 1e-4
        session.remove(clicked)
        annotator.offer(session.phrase("dog", min_score=0))
        annotator.wait()
        assert annotator.offered
        annotator.close()
        assert len(session.sweep(template, {"min_score": [0.3, 0.5]}).rows) == 2
        assert session.model.encodes == 0
