"""Templates by phrase and by example, with a model that knows two colours by their names."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import samnb.session
from samnb.errors import ModelError, PromptError, TemplateError, TemplateMismatch, UnknownName
from samnb.masks import mask_iou
from samnb.models import Exemplar, SupportsPhrases
from samnb.prompts import LazyMasks
from samnb.session import Session
from samnb.templates import CategoryExamples, ImageExemplars, Template, make_template
from samnb.templates.phrase_examples import boxes_by_image
from samnb.templates.phrase_strategy import KnownSearches
from samnb.templates.strategies import find_objects
from tests.support.numpy_model import NumpyModel
from tests.support.words_model import WordsModel
from tests.templates.test_strategies import GREEN, RED, scene, truth

PICTURES = [
    scene([(20, 20, 40, RED), (100, 100, 40, GREEN)]),
    scene([(100, 20, 40, RED), (20, 100, 30, RED), (100, 100, 40, GREEN)]),
    scene([(60, 60, 40, GREEN)]),
]
RED_BOX, GREEN_BOX = (22, 22, 58, 58), (102, 102, 138, 138)


@pytest.fixture
def open_session(tmp_path, monkeypatch):
    sessions = []

    def open_with(model=None, folder="session"):
        monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model or WordsModel())
        sessions.append(Session(tmp_path / folder))
        return sessions[-1]

    yield open_with
    for session in sessions:
        session.close()


@pytest.fixture
def session(open_session):
    session = open_session()
    session.add(PICTURES)
    return session


def test_the_model_of_these_tests_knows_words():
    assert isinstance(WordsModel(), SupportsPhrases)
    assert not isinstance(NumpyModel(), SupportsPhrases)


def test_a_phrase_finds_all_it_names_on_all_images(session):
    images = session.images()
    template = session.template("squares", phrase="red square")
    assert repr(template) == "<Template squares v1: phrase, examples: 0 red square>"
    session.prewarm(show=False).wait()
    before = session.model.encodes
    *events, done = session.apply_stream(template)
    assert [event.details["masks"] for event in events] == [1, 2, 0]
    assert done.details["encoded"] == 0
    assert session.model.encodes == before
    found = session.annotations(image=images[1])
    assert {one.category for one in found} == {"red square"}
    assert {one.source for one in found} == {"template:squares@1"}
    assert mask_iou(np.any([one.mask for one in found], axis=0), truth(PICTURES[1], RED)) > 0.9
    assert found[0].record.prompt["box"] == [100, 20, 140, 60]


def test_several_phrases_are_categories(session):
    phrases = {"stop": "red square", "go": "green square"}
    session.apply(session.template("lights", phrase=phrases), show=False).wait()
    assert sorted(one.category for one in session.annotations()) == ["go", "go", "go", "stop", "stop", "stop"]
    named = session.template("red", phrase="red square", categories="stop")
    assert [one.category for one in named.categories] == ["stop"]


def test_scores_decide_about_review_and_are_remembered(session):
    template = session.template("squares", phrase="red square", review_score=0.5)
    session.apply(template, show=False).wait()
    unsure = session.to_review()
    assert [round(one.score, 3) for one in unsure] == [0.425]  # 9 cells of the smaller square
    session.approve(unsure[0])
    assert not session.to_review()
    finds = session.model.finds
    session.apply(template.with_parameters(review_score=0.95), show=False).wait()
    assert session.model.finds == finds
    assert len(session.to_review()) == 2


def test_an_example_of_one_image_finds_the_others(session):
    first = session.images()[0]
    template = session.template("like this", examples={first: [RED_BOX]})
    [category] = template.categories
    assert (category.category, category.phrase) == ("like this", "")
    [one] = category.exemplars
    assert one.pixel_hash == first.pixel_hash
    assert one.boxes == (tuple(value / 160 for value in RED_BOX),)
    *events, _ = session.apply_stream(template)
    assert [event.details["masks"] for event in events] == [1, 2, 0]


def test_negative_examples_and_a_phrase_go_together(session):
    first = session.images()[0]
    examples = {first: [Exemplar(RED_BOX, positive=False)], session.images()[2]: [(62, 62, 98, 98)]}
    template = session.template("green", phrase="red square", examples=examples, categories=["green"])
    assert [one.positive for one in template.categories[0].exemplars] == [(False,), (True,)]
    *events, _ = session.apply_stream(template)
    assert [event.details["masks"] for event in events] == [1, 1, 1]
    assert all((one.mask & truth(PICTURES[0], GREEN)).any() for one in session.annotations(image=first))


def test_annotations_are_examples_by_their_boxes(session):
    first = session.images()[0]
    kept = session.accept_mask(first, truth(PICTURES[0], GREEN), category="go")
    for examples in (session.annotations(image=first), [kept], kept):
        template = session.template("go", examples=examples, categories=["go"])
        assert [one.boxes for one in template.categories[0].exemplars] == [((100 / 160,) * 2 + (140 / 160,) * 2,)]
    assert template.version == 1
    *events, _ = session.apply_stream(template)
    assert [event.details["masks"] for event in events] == [0, 1, 1]  # on the first it is annotated already


def test_a_file_needs_no_pictures_and_is_small(session, open_session, tmp_path):
    template = session.template("like this", phrase="red square", examples={session.images()[0]: [RED_BOX]})
    path = template.save(tmp_path / "like_this.json")
    other = open_session(folder="other")
    other.add(PICTURES[1:])
    read = other.save_template(Template.load(path))
    assert read.as_dict() == template.as_dict()
    *events, _ = other.apply_stream(read)
    assert [event.details["masks"] for event in events] == [2, 0]
    tokens = np.random.default_rng(0).normal(size=(2, 256)).astype(np.float32)
    full = replace(template.categories[0], exemplars=(replace(template.categories[0].exemplars[0], tokens=tokens),))
    published = replace(template, categories=(full,))
    assert len(json.dumps(published.as_dict())) < 8000
    again = Template.from_dict(published.as_dict()).categories[0].exemplars[0].tokens
    np.testing.assert_allclose(again, tokens, atol=1e-5)


def test_older_templates_keep_their_content(session):
    session.accept_mask(session.images()[0], truth(PICTURES[0], RED), category="red")
    values = session.template("red").as_dict()
    assert not {"phrase", "exemplars"} & values["categories"][0].keys()


def test_it_is_measured_on_other_images_than_its_examples(session):
    images = session.images()
    for image, pixels in zip(images, PICTURES, strict=True):
        if truth(pixels, RED).any():
            session.accept_mask(image, truth(pixels, RED), category="red")
    template = session.template("red", examples={images[0]: [RED_BOX]}, categories=["red"])
    report = session.evaluate(template)
    assert [one.image for one in report.images] == [images[1].filename]
    assert len(session.evaluate(template, on_examples=True).images) == 2


def test_a_sweep_searches_each_image_once(session):
    for image, pixels in zip(session.images()[:2], PICTURES, strict=False):
        session.accept_mask(image, truth(pixels, RED), category="red square")
    template = session.template("red", phrase="red square")
    before = session.model.finds
    swept = session.sweep(template, {"min_score": [0.3, 0.5, 0.9], "max_objects": [1, 5]})
    assert len(swept.rows) == 6
    assert session.model.finds == before + 2
    assert len({row.tally.kept for row in swept.rows}) > 1


def test_limits_are_those_of_all_templates(session):
    embedding, _ = session.embedding(session.images()[1])
    template = session.template("red", phrase="red square")

    def found(**parameters):
        return find_objects(
            template.with_parameters(**parameters), embedding, session.model.decode, find=session.model.find
        )

    assert len(found()) == 2
    assert len(found(max_objects=1)) == 1
    assert len(found(min_score=0.5)) == 1
    one = found()[0]
    assert one.prompt.box == (100, 20, 140, 60)
    assert one.score > found()[1].score


def test_overlapping_masks_of_a_category_are_one_object():
    model = WordsModel()
    embedding = model.encode(PICTURES[1])

    def twice(*given, **options):
        found = model.find(*given, **options)
        number = np.array([0, 0, 1])
        masks = LazyMasks(3, embedding.original_size, lambda index, out: np.copyto(out, found.masks.one(number[index])))
        some = {"scores": found.scores[number], "boxes": found.boxes[number], "small": found.small[number]}
        return replace(found, masks=masks, **some)

    template = make_template("red", "phrase", [CategoryExamples("red", (), (), "red square")], model="words-0")
    assert len(find_objects(template, embedding, model.decode, find=twice)) == 2


def test_a_recipe_makes_the_masks_again(session, open_session, tmp_path):
    template = session.template("red", phrase="red square", examples={session.images()[0]: [RED_BOX]})
    session.apply(template, show=False).wait()
    recipe = tmp_path / "recipe.json"
    session.export("recipe", recipe)
    values = json.loads(recipe.read_text())
    assert {mask["way"]["kind"] for mask in values["masks"]} == {"template"}
    other = open_session(folder="other")
    other.add(PICTURES)
    report = other.replay(recipe, Path(other.images()[0].path).parent)
    assert report.ok
    assert (report.same, report.kept) == (3, 0)
    assert len(other.annotations()) == 3


def test_a_model_without_words_says_which_have_them(open_session):
    session = open_session(NumpyModel(), folder="numpy")
    session.add(PICTURES)
    with pytest.raises(ModelError, match=r"numpy knows no words.*'sam3'"):
        session.template("red", phrase="red square")
    with pytest.raises(ModelError, match="knows no words"):
        session.template("red", examples={session.images()[0]: [RED_BOX]})
    template = make_template("red", "phrase", [CategoryExamples("red", (), (), "red square")], model="numpy-0")
    *events, _ = session.apply_stream(template)
    assert {event.status for event in events} == {"failed"}
    assert "knows no words" in events[0].details["error"]


def test_a_template_of_another_model_is_refused(session):
    template = session.template("red", phrase="red square")
    with pytest.raises(TemplateMismatch):
        session.apply_stream(replace(template, model="words-1"))


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"strategy": "phrase"}, TemplateError, "expected a phrase or examples"),
        ({"phrase": " "}, TemplateError, "expected some text"),
        ({"phrase": 3}, TemplateError, "expected some text"),
        ({"phrase": {}}, TemplateError, "got none"),
        ({"phrase": "red square", "strategy": "match"}, TemplateError, "searched by 'phrase'; got 'match'"),
        ({"phrase": "red square", "background": {"a": [(1, 1)]}}, TemplateError, "positive=False"),
        ({"phrase": "red square", "features": "tiny"}, TemplateError, "compares no features"),
        ({"phrase": "red square", "categories": ["a", "b"]}, TemplateError, "expected one for one phrase"),
        ({"phrase": {"a": "red square"}, "categories": ["a"]}, TemplateError, "name them already"),
        ({"phrase": "red square", "refine": 99}, TemplateError, "refine"),
        ({"examples": {}}, TemplateError, "at least one image"),
        ({"examples": ()}, TemplateError, "at least one image"),
        ({"examples": [(1, 2, 3, 4)]}, TemplateError, "or annotations; got"),
        ({"examples": {"gone.png": [RED_BOX]}}, UnknownName, "gone.png"),
    ],
)
def test_what_does_not_go_together_is_said(session, options, error, says):
    with pytest.raises(error, match=says):
        session.template("red", **options)
    assert not session.catalog.templates()


@pytest.mark.parametrize(
    ("boxes", "error", "says"),
    [
        ([], TemplateError, "expected boxes on"),
        (3, TemplateError, "expected boxes on"),
        ([(1, 2, 3)], PromptError, r"expected \(x0, y0, x1, y1\)"),
        ([(50, 2, 3, 9)], PromptError, "x0 < x1"),
        ([(0, 0, 161, 20)], PromptError, "outside"),
    ],
)
def test_boxes_are_checked(session, boxes, error, says):
    with pytest.raises(error, match=says):
        session.template("red", examples={session.images()[0]: boxes})


def test_examples_that_are_none_are_refused(session):
    for examples in (3, [3], "a.jpg"):
        with pytest.raises(TemplateError, match="examples: expected"):
            session.template("red", examples=examples)


def test_a_single_box_may_stand_alone(session):
    one = session.template("red", examples={session.images()[0]: RED_BOX})
    assert len(one.categories[0].exemplars[0].boxes) == 1


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_a_box_may_be_an_array(dtype):
    assert boxes_by_image({"a.jpg": np.array(RED_BOX, dtype)}) == boxes_by_image({"a.jpg": [RED_BOX]})


def test_with_several_phrases_examples_are_refused(session):
    with pytest.raises(TemplateError, match="expected one phrase with them; got 2"):
        session.template("a", phrase={"a": "red square", "b": "green square"}, examples={session.images()[0]: RED_BOX})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tokens": [[1.0, float("nan")]]}, "finite"),
        ({"tokens": []}, "expected tokens"),
        ({"tokens": [1.0]}, "expected tokens"),
        ({"tokens": [[1.0], [1.0, 2.0]]}, "not whole"),
        ({"boxes": [[0, 0, 2, 1]]}, "from 0 to 1"),
        ({"boxes": []}, "expected boxes"),
        ({"positive": []}, "as many values"),
        ({"pixel_hash": 3}, "pixel hash"),
    ],
)
def test_damaged_files_are_refused(session, tmp_path, change, says):
    template = session.template("red", examples={session.images()[0]: [RED_BOX]})
    path = template.save(tmp_path / "red.json")
    values = json.loads(path.read_text())
    values["categories"][0]["exemplars"][0] |= change
    path.write_text(json.dumps(values))
    with pytest.raises(TemplateError, match=says):
        Template.load(path)


def test_a_file_without_phrase_and_exemplars_is_refused(session, tmp_path):
    path = session.template("red", phrase="red square").save(tmp_path / "red.json")
    values = json.loads(path.read_text())
    del values["categories"][0]["phrase"]
    path.write_text(json.dumps(values))
    with pytest.raises(TemplateError, match="neither a phrase nor exemplars"):
        Template.load(path)
    values["categories"][0]["phrase"] = 3
    path.write_text(json.dumps(values))
    with pytest.raises(TemplateError, match="a phrase: expected a text"):
        Template.load(path)


def test_an_example_of_a_phrase_has_its_images():
    exemplars = ImageExemplars("a" * 64, ((0, 0, 1, 1),), (True,), np.ones((2, 3), np.float32))
    assert CategoryExamples("red", (), exemplars=(exemplars,)).pixel_hashes == {"a" * 64}


def test_a_search_is_repeated_only_for_lower_scores():
    model = WordsModel()
    embedding = model.encode(PICTURES[1])
    known = KnownSearches(model.find)
    ask = {"phrase": "red square", "exemplars": []}
    assert [len(known(embedding, **ask, min_score=score)) for score in (0.5, 0.9, 0.3, 0.5)] == [1, 0, 2, 1]
    assert model.finds == 2
    always = KnownSearches(model.find, least=0.1)
    assert [len(always(embedding, **ask, min_score=score)) for score in (0.5, 0.0, 0.3)] == [1, 2, 2]
    assert model.finds == 3
    tokens = model.exemplar_tokens(embedding, [Exemplar(GREEN_BOX)])
    assert len(always(embedding, phrase=None, exemplars=[tokens], min_score=0.3)) == 1
    assert model.finds == 4


def test_the_tuner_shows_what_a_phrase_finds_and_takes_marks_as_examples(session):
    template = session.template("red", phrase="red square")
    tuner = session.tune(template)
    tuner.wait(timeout=300)
    assert [len(preview.matches) for preview in tuner.previews] == [1, 2, 0]
    finds = session.model.finds
    tuner.set(min_score=0.5)
    tuner.wait(timeout=300)
    assert [len(preview.matches) for preview in tuner.previews] == [1, 1, 0]
    assert session.model.finds == finds
    tuner.mark(0, 0, True)
    tuner.mark(1, 0, False)
    tuner.use_marks(True)
    tuner.wait(timeout=300)
    exemplars = tuner.template.categories[0].exemplars
    assert [(one.pixel_hash, one.positive) for one in exemplars] == [
        (session.images()[0].pixel_hash, (True,)),
        (session.images()[1].pixel_hash, (False,)),
    ]
    np.testing.assert_allclose(exemplars[0].boxes[0], [20 / 160, 20 / 160, 60 / 160, 60 / 160], atol=0.01)
    assert tuner._choice.options == ("phrase",)
    tuner.close()
