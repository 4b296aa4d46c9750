"""Templates that compare the features of one model and draw with another."""

import json
from dataclasses import replace

import numpy as np
import pytest

import samnb.encoding.other_models
import samnb.session
import samnb.templates.other_features
from samnb.errors import CheckpointMissing, ModelError, TemplateError, TemplateMismatch, UnknownName
from samnb.masks import mask_iou
from samnb.session import Session
from samnb.templates import Template
from tests.support.features_model import FeaturesModel
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import GREEN, RED, scene, truth

PICTURES = [
    scene([(20, 20, 40, RED), (100, 100, 40, GREEN)]),
    scene([(100, 20, 40, RED), (20, 100, 40, GREEN)]),
    scene([(60, 60, 40, RED)]),
]


class Opened:
    """What `load_model` gives for other models, by name; notes how it was called."""

    def __init__(self, **models):
        self.models, self.asked = models, []

    def __call__(self, name, *, checkpoint=None, device="auto"):
        self.asked.append((name, checkpoint))
        if name not in self.models:
            raise UnknownName("model", name, self.models)
        if isinstance(self.models[name], Exception):
            raise self.models[name]
        return self.models[name]


@pytest.fixture
def opened(monkeypatch):
    opened = Opened(meaning=FeaturesModel())
    monkeypatch.setattr(samnb.encoding.other_models, "load_model", opened)
    return opened


@pytest.fixture
def open_session(tmp_path, monkeypatch, opened):
    sessions = []

    def open_with(model=None):
        monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model or NumpyModel())
        sessions.append(Session(tmp_path / "session"))
        return sessions[-1]

    yield open_with
    for session in sessions:
        session.close()


@pytest.fixture
def session(open_session):
    return open_session()


def annotated(session):
    images = session.add(PICTURES).images
    session.accept_mask(images[0], truth(PICTURES[0], RED), category="red")
    return images


def test_the_other_model_is_compared_and_the_sessions_model_draws(session, opened):
    images = annotated(session)
    template = session.template("red", features="meaning", max_area_ratio=10)
    assert (template.features, template.features_model) == ("meaning", "meaning-1")
    (example,) = template.categories[0].examples
    assert example.prototype.shape == (3,)
    features = session.template_features(images[1], template)
    assert features.cells == (8, 8)
    assert features.embedding.tensors.keys() == {"image_embedding"}
    events = list(session.apply_stream(template))
    assert [event.status for event in events] == ["computed"] * 3 + ["done"]
    found = session.annotations(image=images[1])
    assert [mask_iou(one.mask, truth(PICTURES[1], RED)) > 0.9 for one in found] == [True]


def test_each_picture_is_encoded_once_by_each_model(session, opened):
    annotated(session)
    template = session.template("red", features="meaning")
    events = list(session.prewarm_stream())  # the template's other model too, without being told
    assert [event.get("features") for event in events[:-1]] == [None] * 3 + ["meaning"] * 3
    assert [event.index for event in events[:-1]] == list(range(1, 7))
    assert {event.total for event in events} == {6}
    last = events[-1].as_dict()
    assert (last["computed"], last["skipped"], last["failed"], last["cache_size"]) == (4, 2, 0, 6)
    assert last["features"] == {"meaning": {"computed": 2, "skipped": 1, "failed": 0}}
    applied = list(session.apply_stream(template))
    assert applied[-1]["encoded"] == 0
    assert all(event["cache_hit"] for event in applied[:-1])
    session.sweep(template, {"min_score": [0.2, 0.3]}, on_examples=True)
    session.evaluate(template, on_examples=True)
    assert session.model.encodes == opened.models["meaning"].encodes == 3
    assert session.cache.check().entries == 6


def test_an_apply_counts_the_encodes_of_both_models(session):
    annotated(session)
    *images, last = session.apply_stream(session.template("red", features="meaning"))
    assert [event["cache_hit"] for event in images] == [True, False, False]
    assert last["encoded"] == 4


def test_the_catalogs_flags_tell_of_the_sessions_own_model(session, opened):
    images = annotated(session)
    template = session.template("red", features="meaning")
    session._others.encoder("meaning").embedding(images[1])
    assert not session.is_cached(images[1])
    assert not session.image(images[1].id).embedding_cached
    list(session.prewarm_stream(images=[images[2]], features=["meaning"]))
    assert session.status().cached == 2
    assert session.cache.check().flags == 0
    assert template.features == "meaning"


def test_a_prewarm_can_be_told_which_features(session, opened):
    images = annotated(session)
    events = list(session.prewarm_stream(images=images[:1], features="meaning"))
    assert [event.get("features") for event in events[:-1]] == [None, "meaning"]
    session.template("red", features="meaning")
    assert list(session.prewarm_stream(features=()))[-1].total == 3
    with pytest.raises(UnknownName, match="nothing"):
        session.prewarm_stream(features=["nothing"])


def test_a_failure_of_the_other_model_is_of_that_picture_alone(session, opened):
    annotated(session)
    opened.models["meaning"] = FeaturesModel(fail_on_encode=2)
    events = list(session.prewarm_stream(features=["meaning"]))
    assert [event.status for event in events[3:-1]] == ["computed", "failed", "computed"]
    assert events[4]["error"] == "out of memory"
    assert events[-1]["features"]["meaning"]["failed"] == events[-1]["failed"] == 1


def test_a_prewarm_goes_on_without_features_that_are_not_there(open_session, opened):
    session = open_session()
    annotated(session)
    session.template("red", features="meaning")
    opened.models["meaning"] = CheckpointMissing("the weights of 'meaning' are not on this machine")
    session = open_session()
    last = list(session.prewarm_stream())[-1]
    assert (last.total, last["failed"]) == (3, 0)
    assert "not on this machine" in last["features_left_out"]["meaning"]
    with pytest.raises(CheckpointMissing):
        session.prewarm_stream(features=["meaning"])
    with pytest.raises(CheckpointMissing):
        session.apply("red")


def test_other_weights_under_the_name_are_an_error_that_says_so(open_session, opened):
    session = open_session()
    annotated(session)
    session.template("red", features="meaning")
    opened.models["meaning"] = FeaturesModel(fingerprint="meaning-2")
    session = open_session()
    with pytest.raises(TemplateMismatch, match=r"'meaning' as meaning-1, here that is meaning-2.*use_features"):
        session.apply("red")
    opened.models["meaning"] = FeaturesModel()
    assert session.use_features("meaning", checkpoint="mine.safetensors") == "meaning-1"
    assert opened.asked[-1] == ("meaning", "mine.safetensors")
    assert session.apply("red", show=False).wait().status == "done"


def test_a_file_holds_the_model_of_the_features_and_older_files_have_none(session, tmp_path):
    annotated(session)
    template = session.template("red", features="meaning")
    read = Template.load(template.save(tmp_path / "red.json"))
    assert read.as_dict() == template.as_dict()
    assert (read.features, read.features_model) == ("meaning", "meaning-1")
    own = session.template("own")
    assert "features" not in own.as_dict()
    assert Template.from_dict(own.as_dict()).features == ""
    document = json.loads((tmp_path / "red.json").read_bytes())
    for wrong in ({"name": "", "model": "m"}, {"name": 5, "model": "m"}, {"name": "meaning"}, [1]):
        (tmp_path / "red.json").write_text(json.dumps(document | {"features": wrong}))
        with pytest.raises(TemplateError, match=r"red\.json"):
            Template.load(tmp_path / "red.json")


def test_features_of_the_sessions_own_model_are_its_own(session, opened):
    annotated(session)
    assert session.template("red", features="numpy").features == ""
    assert session.template("red", features="").features == ""
    assert opened.asked == []


def test_the_default_is_in_one_place(session, monkeypatch):
    annotated(session)
    assert session.template("red").features == ""
    monkeypatch.setitem(samnb.templates.other_features.DEFAULT_FEATURES, "numpy", "meaning")
    assert session.template("red").features == "meaning"
    assert session.template("red", features="").features == ""


def test_features_of_another_length_are_an_error_before_anything_is_decoded(session):
    images = annotated(session)
    template = session.template("red", features="meaning")
    (category,) = template.categories
    (example,) = category.examples
    longer = replace(example, prototype=np.ones(5, np.float32) / np.sqrt(5))
    wrong = replace(template, categories=(replace(category, examples=(longer,)),))
    *_, event, done = session.apply_stream(wrong, images=images[1:2])
    assert done["failed"] == 1
    assert "session.template('red')" in event["error"]


def test_background_and_marks_of_the_tuner_are_features_of_the_other_model(session):
    images = annotated(session)
    template = session.template("red", features="meaning", background={images[0]: [(120, 120)]})
    assert template.categories[0].background[0].shape == (3,)
    tuner = session.tune(template)
    try:
        tuner.wait()
        assert tuner.error == ""
        number, preview = next((n, p) for n, p in enumerate(tuner.previews) if p.matches and not p.is_example)
        tuner.mark(number, 0, True)
        tuner.use_marks()
        added = tuner.template.categories[0].examples[-1]
        assert added.prototype.shape == (3,)
        assert added.pixel_hash == preview.image.pixel_hash
    finally:
        tuner.close()


def test_masks_of_such_a_template_are_in_recipes(open_session, opened, tmp_path):
    session = open_session()
    annotated(session)
    list(session.apply_stream(session.template("red", features="meaning")))
    recipe = session.recipe()
    assert recipe.count("template") >= 2
    opened.models["meaning"] = FeaturesModel(fingerprint="meaning-2")
    session = open_session()
    assert session.recipe().count("template") == 0  # they can still be copied
    assert session.recipe().count("kept") + session.recipe().count("prompt") == len(session.annotations())


def test_a_session_wants_a_model_that_draws(open_session):
    with pytest.raises(ModelError, match=r"gives features only and draws no masks.*features='meaning'"):
        open_session(FeaturesModel())
