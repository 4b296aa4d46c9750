"""Templates measured on what was annotated by hand, with a model whose embedding is colour: what is right is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

import samnb.session
from samnb.errors import (
    NothingToMeasure,
    PromptError,
    TemplateError,
    TemplateMismatch,
    UnknownName,
    UnknownOption,
    WorkWouldBeLost,
)
from samnb.masks import mask_iou
from samnb.session import Session
from samnb.templates import Template
from samnb.templates.evaluation import PackedMasks
from samnb.templates.report import DetectionCounts
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import GREEN, RED, scene, truth


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as session:
        yield session


@pytest.fixture
def pictures():
    """One with the example, one where it is found, one with a second red square that nobody annotated."""
    return [
        scene([(20, 20, 40, RED), (100, 100, 40, GREEN)]),
        scene([(100, 20, 40, RED), (20, 100, 40, GREEN)]),
        scene([(60, 60, 50, RED)]),
    ]


def annotate(session, pictures):
    images = session.add(pictures).images
    for image, pixels in zip(images, pictures, strict=True):
        session.accept_mask(image, truth(pixels, RED), category="red")
    return images


def template_of(session, **parameters):
    by_hand = session.catalog.annotations()[:1]
    return session._templates.make(
        "red", by_hand, categories=["red"], strategy="match_all", parameters=parameters, background=()
    )


def test_what_is_found_and_made_up_is_counted(session, pictures):
    images = annotate(session, pictures)
    report = session.evaluate(template_of(session))
    assert (len(report.images), report.left_out) == (2, 1)
    assert report.overall == DetectionCounts(2, 2, 2, report.overall.iou_sum)
    assert report.overall.mean_iou > 0.9
    assert report.pictures == {}
    assert "1 image left out" in str(report)
    assert json.loads(json.dumps(report.as_dict()))["overall"]["f1"] == 1
    assert set(report.to_dataframe()["image"]) == {image.filename for image in images[1:]}
    assert len(session.annotations()) == 3  # nothing was written


def test_its_own_examples_only_when_told(session, pictures):
    annotate(session, pictures[:1])
    with pytest.raises(NothingToMeasure, match="on_examples=True"):
        session.evaluate(template_of(session))
    report = session.evaluate(template_of(session), on_examples=True)
    assert (len(report.images), report.left_out) == (1, 0)


def test_missed_and_made_up_objects_are_shown(session, pictures):
    images = annotate(session, pictures)
    [wrong] = session.annotations(image=images[1])
    session.remove(wrong)
    session.accept_mask(images[1], truth(pictures[1], GREEN), category="red")  # a hand that erred
    report = session.evaluate(template_of(session))
    worst = report.images[0]
    assert worst.image_id == images[1].id
    assert (len(worst.missed), len(worst.false)) == (1, 1)
    assert worst.scores[0][1] is False
    assert report.overall.precision == report.overall.recall == 0.5
    assert list(report.pictures) == [images[1].id]
    shown = report._repr_html_()
    assert "1 missed, 1 false" in shown
    assert "data:image/jpeg;base64," in shown


def test_an_image_that_cannot_be_read_is_told_and_the_rest_measured(session, pictures):
    images = annotate(session, pictures)
    (session.folder / "images" / images[2].filename).unlink()
    report = session.evaluate(template_of(session))
    assert len(report.images) == 1
    assert images[2].filename in report.failed[0].path
    assert "⚠" in str(report)


def test_a_sweep_orders_what_it_tried_and_asks_the_model_once(session, pictures):
    annotate(session, pictures)
    template = template_of(session)
    asked = []
    decode = session.model.decode
    session.model.decode = lambda embedding, prompt, **options: (
        asked.append(prompt) or decode(embedding, prompt, **options)
    )
    once = session.sweep(template, {"min_score": [0.3]})
    single = len(asked)
    sweep = session.sweep(template, {"min_score": [0.3, 0.99, 0.4], "max_overlap": [0.5, 0.2]})
    assert len(asked) == 2 * single
    assert once.rows[0].tally == sweep.rows[0].tally
    assert len(sweep.rows) == 6
    assert [row.tally.f1 for row in sweep.rows] == sorted((row.tally.f1 for row in sweep.rows), reverse=True)
    assert sweep.rows[-1].parameters["min_score"] == 0.99
    assert sweep.rows[-1].tally.found == 0
    assert template.with_parameters(**sweep.best).parameters["min_score"] in (0.3, 0.4)
    assert len(sweep.to_dataframe()) == 6
    assert sweep._repr_html_().count("<tr>") == 7
    assert "min_score" in str(sweep)


def test_a_sweep_that_makes_no_sense_is_refused(session, pictures):
    annotate(session, pictures)
    template = template_of(session)
    with pytest.raises(TemplateError, match="values to try"):
        session.sweep(template, {"min_score": []})
    with pytest.raises(UnknownOption):
        session.sweep(template, {"min_scores": [0.3]})
    with pytest.raises(TemplateError, match="min_score"):
        session.sweep(template, {"min_score": [3]})
    for values in (0.3, "many", ["many"], [None], [10**400]):
        with pytest.raises(TemplateError, match="min_score: expected numbers in a list"):
            session.sweep(template, {"min_score": values})


@pytest.mark.parametrize("min_iou", [50, 0, -1, float("nan")])
def test_an_iou_that_none_can_be_is_refused(session, pictures, min_iou):
    annotate(session, pictures)
    template = template_of(session)
    with pytest.raises(TemplateError, match=r"min_iou: expected a number above 0 and up to 1; got"):
        session.evaluate(template, min_iou=min_iou)
    with pytest.raises(TemplateError, match=r"min_iou: expected a number above 0 and up to 1; got"):
        session.sweep(template, {"min_score": [0.3]}, min_iou=min_iou)


def test_a_picture_that_cannot_be_shown_loses_no_figures(session, pictures):
    images = annotate(session, pictures)
    session.accept_mask(images[1], truth(pictures[1], GREEN), category="red")  # which is not found
    template = template_of(session)
    for image in images:
        session.embedding(image)
    (session.folder / "images" / images[1].filename).unlink()
    report = session.evaluate(template)
    assert [one.image_id for one in report.images] == [images[1].id, images[2].id]
    assert report.pictures == {}
    assert "measured, and not shown" in report.failed[0].reason


def test_nothing_wanted_and_nothing_kept_is_right():
    assert DetectionCounts().f1 == DetectionCounts().precision == DetectionCounts().recall == 1
    assert DetectionCounts(kept=2).precision == 0
    assert DetectionCounts(wanted=2).recall == 0


def test_each_object_is_paired_once(session, pictures):
    images = annotate(session, pictures)
    session.accept_mask(images[1], truth(pictures[1], RED), category="red")  # twice by hand
    assert session.evaluate(template_of(session), images=[images[1]]).overall.found == 1
    assert np.isclose(session.evaluate(template_of(session), images=[images[1]]).overall.recall, 0.5)


# -- applying, taking back, reviewing ------------------------------------------------------------------


def applied(session, pictures, **parameters):
    annotate(session, pictures[:1])
    images = session.add(pictures).images
    template = template_of(session, **parameters)
    session.apply(template, show=False).wait()
    return template, images


def left(session):
    return [a for a in session.annotations() if a.source.startswith("template:")]


def test_what_was_left_says_by_which_version_and_is_taken_back_whole(session, pictures):
    template, images = applied(session, pictures)
    assert {a.source for a in left(session)} == {"template:red@1"}
    assert len(left(session)) == 2
    seen = []
    session.changes.subscribe(seen.append)
    assert session.undo_apply("red", images=[images[1]]) == 1
    assert session.undo_apply(template) == 1
    assert seen == ["", ""]
    assert [a.source for a in session.annotations()] == ["hand"]
    last = session.apply(template, show=False).wait()
    assert (last["computed"], last["skipped"], last["masks"]) == (3, 0, 2)
    with pytest.raises(UnknownName, match="template"):
        session.undo_apply("read")


def test_the_unsure_ones_come_first_and_what_was_said_of_them_stays(session, pictures):
    template, _ = applied(session, pictures, review_score=1.0)
    first, second = session.to_review()
    assert first.score <= second.score
    assert len(session.to_review(template="red")) == 2
    assert len(session.to_review(template="blue")) == 0
    session.approve(first)
    session.reject(second)
    assert session.to_review() == []
    assert [a.id for a in left(session)] == [first.id]
    assert session.status().images == 3
    again = session.apply(template.with_parameters(min_score=0.31, review_score=1.0), show=False).wait()
    assert again["computed"] == 3
    assert [a.id for a in left(session)] == [first.id]  # neither found again, nor doubled
    assert session.undo_apply("red") == 0
    assert [a.id for a in left(session)] == [first.id]
    session.approve(second.id)
    assert len(left(session)) == 2


def test_an_apply_says_how_many_are_unsure(session, pictures):
    annotate(session, pictures[:1])
    session.add(pictures)
    events = list(session.apply_stream(template_of(session, review_score=1.0)))
    assert events[-1]["unsure"] == 2
    assert events[-1]["masks"] == 2


def test_what_a_hand_mended_is_not_found_anew_nor_taken_back(session, pictures):
    template, _ = applied(session, pictures)
    mine, other = left(session)
    mended = mine.mask.copy()
    mended[:30] = False
    session.update(mine, mask=mended)
    session.update(other, score=0.5)  # the model's word, no work on the object
    session.apply(template.with_parameters(min_score=0.31), show=False).wait()
    kept = {a.id: a for a in left(session)}
    assert (kept[mine.id].mask == mended).all()
    assert len(kept) == 2
    session.undo_apply("red")
    assert [a.id for a in left(session)] == [mine.id]


@pytest.mark.parametrize("given", [{"attributes": {"occluded": True}}, {"layer": 3}])
def test_attributes_and_order_that_a_hand_gave_stay(session, pictures, given):
    template, _ = applied(session, pictures, review_score=1.0)
    session.add_attribute("occluded")
    before = left(session)[0]
    after = session.update(before, **given)
    session.apply(template.with_parameters(min_score=0.31), show=False).wait()
    session.undo_apply("red")
    [kept] = left(session)
    assert (kept.id, kept.review) == (before.id, "accepted")
    assert (kept.attributes, kept.layer) == (after.attributes, after.layer)
    session.restore([before], changed_from=[after])
    assert [a.id for a in session.to_review()] == [before.id]


def test_going_back_writes_only_what_was_changed(session, pictures):
    applied(session, pictures, review_score=1.0)
    before = left(session)[0]
    after = session.update(before, score=0.25)
    session.approve(before.id)  # elsewhere, meanwhile
    session.restore([before], changed_from=[after])
    [now] = [a for a in left(session) if a.id == before.id]
    assert (now.score, now.review) == (before.score, "accepted")


def test_evaluating_and_sweeping_save_nothing(session, pictures):
    annotate(session, pictures)
    template = template_of(session).with_parameters(min_score=0.32)
    session.evaluate(template)
    session.sweep(template, {"min_score": [0.2, 0.3]})
    assert session.catalog.templates() == [("red", 1)]


def test_a_mask_of_another_size_is_not_kept(session, pictures):
    [image] = session.add(pictures[0]).images
    prediction = session.predict(image, points=[(40, 40)])
    wrong = replace(prediction, masks=prediction.masks[:, :-1])
    with pytest.raises(PromptError, match="another picture came under that"):
        session.accept(wrong, category="red")


def test_what_was_reviewed_is_not_deleted_unasked(session, pictures):
    applied(session, pictures, review_score=1.0)
    for annotation in session.annotations():
        if annotation.source == "hand":
            session.remove(annotation)
    session.approve(left(session)[0])
    with pytest.raises(WorkWouldBeLost):
        session.delete_dataset("default")
    assert session.delete_dataset("default", discard_annotations=True).images == 3


def test_masks_by_hand_are_decoded_an_image_at_a_time(session, pictures):
    annotate(session, pictures)
    first, *others = session.annotated_by_hand(template_of(session))
    assert isinstance(first.wanted, PackedMasks)
    assert first.wanted["red"][0] is not first.wanted["red"][0]  # nothing is kept
    assert (first.wanted["red"][0] == truth(pictures[0], RED)).all()
    assert len(others) == 2


def test_a_template_as_a_file_works_in_a_session_with_other_pictures(session, pictures, tmp_path):
    annotate(session, pictures[:1])
    template = template_of(session, min_score=0.35)
    file = tmp_path / "red.json"
    file.write_text(json.dumps(template.as_dict()))
    with Session(tmp_path / "elsewhere") as other:
        other.add(pictures[1:])
        came = other.save_template(Template.from_dict(json.loads(file.read_text())))
        again = other.save_template(Template.load(template.save(tmp_path / "saved.json")))
        assert (came.version, again.version) == (1, 1)
        assert came.as_dict() == template.as_dict()
        assert other.apply(came, show=False).wait()["masks"] == 2
        found = {a.image: a.mask for a in other.annotations()}
        for image, pixels in zip(other.images(), pictures[1:], strict=True):
            assert mask_iou(found[image.filename], truth(pixels, RED)) > 0.9
        other.model.fingerprint = "numpy-1"
        with pytest.raises(TemplateMismatch):
            other.apply("red", show=False)
