"""What a template may do beyond its defaults: parts, cascade, guidance; with a model whose embedding is colour."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.evaluation_set.pictures import read_picture
from samnb.errors import TemplateError
from samnb.masks import mask_bbox, mask_iou
from samnb.models import load_model
from samnb.models.candidates import as_candidates
from samnb.prompts import Prediction, Prompt
from samnb.templates import DEFAULT_PARAMETERS, CategoryExamples, Example, Template, make_template
from samnb.templates.features import (
    ImageFeatures,
    cells_at,
    make_example,
    parts_of,
    share_matched_back,
    similarity_map,
)
from samnb.templates.preview import DECODED_ROOM, Sample
from samnb.templates.strategies import find_objects
from tests.support.earlier_tiny import EARLIER_TINY
from tests.support.export_work import image
from tests.templates.test_strategies import GREEN, GREY, MODEL, RED, example_of, red_template, scene, truth

FLAG = [(20, 20, 40, RED), (60, 20, 30, GREEN)]


def flag_examples():
    pixels = scene(FLAG)
    embedding = MODEL.embed(pixels)
    prompt = Prompt.of(points=[(40, 40)])
    return CategoryExamples("flag", (make_example("0" * 64, prompt, ~truth(pixels, GREY), embedding),))


def test_an_object_of_two_colours_has_two_parts_the_larger_first():
    pixels = scene(FLAG)
    features = ImageFeatures(MODEL.embed(pixels))
    parts = parts_of(features, ~truth(pixels, GREY))
    assert len(parts) == 2
    for part, (x, y) in zip(parts, [(40, 40), (75, 35)], strict=True):
        assert part @ features.unit[:, y * 16 // 160, x * 16 // 160] == pytest.approx(1, abs=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_parts_are_as_many_as_asked_of_length_one_and_always_the_same(seed, count):
    rng = np.random.default_rng(seed)
    features = ImageFeatures(MODEL.embed(rng.integers(0, 256, (80, 80, 3), np.uint8)))
    mask = np.zeros((80, 80), bool)
    side = int(rng.integers(1, 60))
    mask[10 : 10 + side, 5 : 5 + side] = True
    parts = parts_of(features, mask, count)
    assert 1 <= len(parts) <= count
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1), 1, atol=1e-4)
    np.testing.assert_array_equal(parts, parts_of(features, mask, count))


def test_with_parts_both_colours_are_places_to_look_at():
    examples, embedding = flag_examples(), MODEL.embed(scene([(100, 100, 40, GREEN)]))
    alone, both = (similarity_map(embedding, examples, parts=parts) for parts in (0, 2))
    assert both[12, 12] > 0.99 > alone[12, 12]
    np.testing.assert_array_equal(alone, similarity_map(embedding, examples, parts=1))


def test_parts_go_into_a_templates_file_and_older_templates_have_none():
    example = flag_examples().examples[0]
    values = json.loads(json.dumps(example.as_dict()))
    np.testing.assert_allclose(Example.from_dict(values).parts, example.parts, atol=1e-4)
    del values["parts"]
    older = Example.from_dict(values)
    assert older.parts == ()
    assert older.as_dict() == values
    embedding = MODEL.embed(scene(FLAG))
    np.testing.assert_array_equal(
        similarity_map(embedding, CategoryExamples("flag", (older,)), parts=3),
        similarity_map(embedding, CategoryExamples("flag", (older,))),
    )


class Refining:
    """Answers roughly at first, and rightly when its answer is given back; notes what it was asked."""

    def __init__(self, pixels, *, worse=False):
        self.right, self.worse, self.asked = truth(pixels, RED), worse, []

    def decode(self, embedding, prompt, *, mask_input=None, guidance=None):
        self.asked.append((prompt, mask_input, guidance))
        rough = self.right.copy()
        rough[50:] = False
        mask, score = (rough, 0.5) if mask_input is None else (self.right & (not self.worse), 0.9)
        return Prediction(mask[None], np.array([score], np.float32), np.full((1, 4, 4), 7.0), prompt)


def find(parameters, pixels, model):
    template = red_template("match", refine=0, **parameters)
    return find_objects(template, MODEL.embed(pixels), model.decode)


def test_a_cascade_gives_the_mask_back_then_with_its_box():
    pixels = scene([(100, 20, 40, RED)])
    model = Refining(pixels)
    (match,) = find({"cascade": 2}, pixels, model)
    assert mask_iou(match.mask, truth(pixels, RED)) == 1
    given_back = [(prompt, hint) for prompt, hint, _ in model.asked if hint is not None]
    assert [prompt.box is not None for prompt, _ in given_back] == [False, True]
    assert given_back[1][0].box == (100, 20, 140, 60)
    assert mask_bbox(match.mask) == (100, 20, 40, 40)
    assert all((hint == 7).all() for _, hint in given_back)
    assert match.prompt.points == given_back[0][0].points

    once = Refining(pixels)
    assert find({"cascade": 1}, pixels, once)[0].mask.sum() == match.mask.sum()
    assert sum(hint is not None for _, hint, _ in once.asked) == 1
    (rough,) = find({}, pixels, Refining(pixels))
    assert rough.mask.sum() < match.mask.sum()


def test_a_cascade_that_makes_it_worse_is_not_taken():
    pixels = scene([(100, 20, 40, RED)])
    (before,), (after,) = find({}, pixels, Refining(pixels)), find({"cascade": 2}, pixels, Refining(pixels, worse=True))
    np.testing.assert_array_equal(after.mask, before.mask)
    assert (after.score, after.prompt) == (before.score, before.prompt)


def test_guidance_weighs_cells_by_their_likeness():
    pixels = scene([(100, 20, 40, RED), (20, 100, 40, GREEN)])
    model = Refining(pixels)
    find({"guidance": 0.5}, pixels, model)
    half = model.asked[0][2]
    assert half.shape == (16, 16)
    assert 0 < half.min() < half.max() < 1
    assert half[4, 12] == half.max()
    model = Refining(pixels)
    find({"guidance": 1}, pixels, model)
    np.testing.assert_allclose(model.asked[0][2], half**2, rtol=1e-4)
    model = Refining(pixels)
    find({}, pixels, model)
    assert model.asked[0][2] is None


def test_a_model_that_cannot_be_guided_says_so():
    with pytest.raises(TemplateError, match=r"guidance: this model.*guidance=0"):
        find({"guidance": 0.5}, scene(FLAG), MODEL)


def test_small_masks_of_a_prediction_are_those_scaled_down():
    mask = np.zeros((40, 40), bool)
    mask[:20, :30] = True
    logits = np.ones((1, 4, 4), np.float32)
    candidates = as_candidates(
        Prediction(mask[None], np.ones(1, np.float32), logits, Prompt.of(points=[(1, 1)])), (4, 8)
    )
    np.testing.assert_array_equal(candidates.small[0], mask[::10, ::5])
    np.testing.assert_array_equal(candidates.full(0), mask)
    np.testing.assert_array_equal(candidates.logits(0), logits[0])


@pytest.mark.parametrize("name", ["max_objects", "refine", "parts", "cascade"])
def test_what_is_counted_is_whole(name):
    with pytest.raises(TemplateError, match=f"{name}: expected a whole number.*1.5"):
        red_template("match", **{name: 1.5})
    assert red_template("match", **{name: 2}).parameters[name] == 2


def test_by_default_nothing_of_it_is_done():
    assert [DEFAULT_PARAMETERS[name] for name in ("parts", "cascade", "guidance")] == [0, 0, 0]


@pytest.mark.parametrize("parameters", [{"parts": 3}, {"cascade": 2}, {"guidance": 0.7}, {"cascade": 1, "guidance": 1}])
def test_a_preview_shows_what_a_search_finds(parameters, tiny_model, coins):
    embedding = tiny_model.encode(coins)
    prediction = tiny_model.decode(embedding, Prompt.of(points=[(50, 45)]))
    example = make_example("0" * 64, prediction.prompt, prediction.mask, embedding)
    examples = (CategoryExamples("coin", (example,)),)
    template = make_template("coins", "match_all", examples, model="m", parameters={"max_objects": 3, **parameters})
    found = find_objects(template, embedding, tiny_model.decode, propose=tiny_model.propose)
    sample = Sample(
        image(1, "coins.png"), embedding=lambda: embedding, pixels=lambda: coins, wanted={}, model=tiny_model
    )
    preview = sample.search(template)
    assert [match.score for match in preview.matches] == pytest.approx([match.score for match in found], abs=1e-3)
    for shown, match in zip(preview.matches, found, strict=True):
        assert mask_iou(shown.mask, match.mask) > 0.98
    assert len(found) == 3
    asked = sample._asked
    assert [m.score for m in sample.search(template).matches] == [m.score for m in preview.matches]
    assert sample.search_cached(template.with_parameters(min_score=0.99)) is not None
    assert sample._asked == asked


class LargeLogits:
    """One mask, or three where none was given back, with logits as large as segment-anything's; counts its answers."""

    def __init__(self):
        self.answers = 0

    def decode(self, embedding, prompt, *, mask_input=None):
        self.answers += 1
        masks = np.zeros((3 if mask_input is None else 1, *embedding.original_size), bool)
        scores = np.ones(len(masks), np.float32)
        return Prediction(masks, scores, np.full((len(masks), 256, 256), 0.1, np.float32), prompt)


def sample_of(model, pixels):
    embedding = MODEL.embed(pixels)
    return Sample(
        image(1, "a.png"), embedding=lambda: embedding, pixels=lambda: pixels, wanted={}, model=model
    ), embedding


def test_three_answers_for_each_of_fifty_objects_are_remembered():
    model = LargeLogits()
    sample, embedding = sample_of(model, np.zeros((320, 320, 3), np.uint8))
    for _ in range(2):
        for number in range(150):
            sample._decode(embedding, Prompt.of(points=[(number, 0)]))
    assert model.answers == 150


def test_room_for_answers_is_kept_to_whatever_their_sizes():
    model = LargeLogits()
    sample, embedding = sample_of(model, np.zeros((320, 320, 3), np.uint8))
    for number in range(400):
        given_back = {} if number % 3 else {"mask_input": np.zeros((256, 256), np.float32)}
        sample._decode(embedding, Prompt.of(points=[(number % 300, number // 300)]), **given_back)
        held = sum(answer.nbytes for answer in sample._decoded.values())
        assert held == DECODED_ROOM - sample._decoded_room <= DECODED_ROOM


@pytest.fixture(scope="module")
def tiny_model():
    """The earlier net: it has an attention that guidance can draw to the object."""
    return load_model("tiny", checkpoint=EARLIER_TINY)


@pytest.fixture(scope="module")
def coins():
    return np.ascontiguousarray(read_picture("coins")[:150, :200])


# -- as a file ---------------------------------------------------------------------------------------------------------


def test_a_template_in_a_file_is_the_same_elsewhere(tmp_path):
    template = red_template("match_all", min_score=0.2, parts=2)
    there = template.save(tmp_path / "new" / "red.json")
    back = Template.load(there)
    assert back.as_dict() == template.as_dict()
    assert back.version == template.version
    assert [path.name for path in there.parent.iterdir()] == ["red.json"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: "", "damaged, or no JSON"),
        (lambda text: text[:-40], "damaged, or no JSON"),
        (lambda text: "[1, 2]", "no template"),
        (lambda text: '{"images": []}', "no template"),
        (lambda text: text.replace('"template": 1', '"template": 2'), "format 2; this samnb reads 1"),
        (lambda text: text.replace('"categories"', '"kategories"'), "'categories' is missing"),
        (lambda text: text.replace('"prompt"', '"promt"'), "'prompt' is missing"),
        (lambda text: text.replace('"min_score": 0.3', '"min_score": 7'), "min_score: expected a number from 0 to 1"),
        (lambda text: text.replace('"version": 1', '"version": null'), "not whole"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, damage, says):
    path = red_template("match").save(tmp_path / "red.json")
    path.write_text(damage(path.read_text()))
    with pytest.raises(TemplateError) as caught:
        Template.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_files_that_cannot_be_read_or_written_are_named(tmp_path):
    with pytest.raises(TemplateError, match=r"absent\.json: cannot be read \(No such file"):
        Template.load(tmp_path / "absent.json")
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "red.json", "null\0red.json"):
        with pytest.raises(TemplateError, match=r"red\.json: cannot be written"):
            red_template("match").save(path)


def test_examples_are_made_with_their_parts():
    assert len(example_of(scene(FLAG), 40, 40).parts) == 1
    assert len(flag_examples().examples[0].parts) == 2


def share_back(example, pixels, color):
    features = ImageFeatures(MODEL.embed(pixels))
    return share_matched_back(features, truth(pixels, color), CategoryExamples("red", (example,)))


def test_what_matches_the_surroundings_better_than_the_example_does_not_match_back():
    example = example_of(scene([(40, 40, 40, RED), (100, 100, 40, GREEN)]), 60, 60)
    pixels = scene([(20, 20, 40, RED), (100, 20, 40, GREEN)])
    assert share_back(example, pixels, RED) == 1
    assert share_back(example, pixels, GREEN) == 0
    values = json.loads(json.dumps(example.as_dict()))
    np.testing.assert_allclose(Example.from_dict(values).around, example.around, atol=1e-4)
    del values["around"]
    assert share_back(Example.from_dict(values), pixels, GREEN) == 1  # of an older version: it knows no surroundings


def test_other_objects_of_the_kind_beside_an_example_are_no_surroundings():
    example = example_of(scene([(40, 40, 40, RED), (100, 100, 40, RED)]), 60, 60)
    alone = example_of(scene([(40, 40, 40, RED)]), 60, 60)
    features = ImageFeatures(MODEL.embed(scene([(40, 40, 40, RED)])))
    (red,) = cells_at(features.embedding, [(60, 60)])
    assert max(red @ cell for cell in alone.around) < 0.5
    pixels = scene([(40, 40, 40, RED), (100, 100, 40, RED)])
    assert share_back(example, pixels, RED) == 1


def test_a_mask_that_does_not_match_back_is_dropped():
    template = red_template("match_all", min_score=0.05, min_similarity=-1, max_area_ratio=4)
    checked = template.with_parameters(reverse_check=0.5)
    more_like_green = MODEL.embed(scene([(100, 20, 40, (110, 150, 60))]))
    found = [find_objects(one, more_like_green, MODEL.decode) for one in (template, checked)]
    assert [len(matches) for matches in found] == [1, 0]
    red = scene([(100, 20, 40, RED)])
    (match,) = find_objects(checked.with_parameters(reverse_check=1), MODEL.embed(red), MODEL.decode)
    assert mask_iou(match.mask, truth(red, RED)) > 0.9
