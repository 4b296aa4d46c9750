"""A template over a dataset, with a model without a network: what is kept, skipped, left alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import samnb.encoding.on_workers
import samnb.session
import samnb.templates.apply
from samnb.errors import NothingToMeasure
from samnb.jobs import summary_text
from samnb.masks import mask_iou
from samnb.records import BY_HAND
from samnb.session import Session
from samnb.templates import Template
from tests.support.numpy_model import NumpyModel

RED = (220, 30, 30)


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Three pictures, each with one red square somewhere else; the first one annotated by hand."""
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as session:
        for i, (x, y) in enumerate([(20, 20), (80, 30), (50, 90)]):
            pixels = np.full((160, 160, 3), 120, np.uint8)
            pixels[y : y + 50, x : x + 50] = RED
            Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        session.add([tmp_path / f"{i}.png" for i in range(3)])
        session.accept(session.predict("0.png", points=[(45, 45)]), category="red")
        yield session


def truth(session, image):
    return (session.pixels(image) == np.array(RED, np.uint8)).all(axis=2)


def test_every_image_gets_its_object_and_the_example_no_double(session):
    events = [e.as_dict() for e in session.apply_stream(session.template("red"))]
    assert [e.get("masks") for e in events] == [0, 1, 1, 2]
    for name in ("1.png", "2.png"):
        (found,) = session.annotations(image=name)
        assert found.source == "template:red@1"
        assert mask_iou(found.mask, truth(session, name)) > 0.75
    (by_hand,) = session.annotations(image="0.png")
    assert by_hand.source == BY_HAND


def test_an_image_whose_annotations_cannot_be_read_fails_alone(session, monkeypatch):
    template = session.template("red")
    bad, real = session.image("1.png").id, session.catalog.annotations_on

    def annotations_on(image_ids):
        if bad in image_ids:
            raise ValueError("a damaged row")
        return real(image_ids)

    monkeypatch.setattr(session.catalog, "annotations_on", annotations_on)
    monkeypatch.setattr(samnb.templates.apply, "all_annotations_of", lambda catalog, one: annotations_on([one])[one])
    with ThreadPoolExecutor(1) as workers:
        monkeypatch.setattr(samnb.encoding.on_workers, "load_model", lambda *args, **options: session.model)
        *events, last = session.apply_stream(template, on=workers)
    assert (last["computed"], last["failed"]) == (2, 1)
    assert [event["error"] for event in events if event.status == "failed"] == ["a damaged row"]


def test_a_run_that_was_cut_off_is_resumed(session):
    template = session.template("red")
    for event in session.apply_stream(template):
        if event.index == 2:
            break
    # The event goes out once the image is in the catalog, so two images are done and one is left.
    last = list(session.apply_stream(template))[-1]
    assert (last["skipped"], last["computed"]) == (2, 1)
    assert len(session.annotations()) == 3


def test_what_was_removed_by_hand_stays_removed(session):
    template = session.template("red")
    list(session.apply_stream(template))
    session.remove(session.annotations(image="1.png")[0])
    assert list(session.apply_stream(template))[-1]["skipped"] == 3
    assert len(session.annotations(image="1.png")) == 0


@pytest.mark.parametrize("workers", [False, True])
def test_images_that_a_person_finished_are_left_out_and_counted(session, workers, monkeypatch):
    monkeypatch.setattr(samnb.encoding.on_workers, "load_model", lambda *args, **options: session.model)
    template = session.template("red")
    session.mark_image("0.png", "done")
    session.mark_image("1.png", "skip")
    with ThreadPoolExecutor(1) as pool:
        last = session.apply(template, on=pool if workers else None, show=False).wait()
        assert (last["total"], last["computed"], last["left_out"]) == (1, 1, 2)
        assert "left out as done, empty or skip: 2" in summary_text(last)
        assert len(session.annotations(image="1.png")) == 0
        assert list(session.apply_stream(template, images=["1.png"]))[-1]["left_out"] == 1
        [*_, last] = session.apply_stream(template, on=pool if workers else None, only_open=False)
    assert (last["total"], last["computed"], last["skipped"]) == (3, 2, 1)
    assert "left_out" not in last.as_dict()
    [found] = session.annotations(image="1.png")
    session.mark_image("1.png", "done")
    session.apply(template.with_parameters(min_score=0.31), show=False).wait()
    assert [a.id for a in session.annotations(image="1.png")] == [found.id]


def test_what_is_missing_is_encoded_on_the_way_and_counted(session):
    last = list(session.apply_stream(session.template("red")))[-1]
    assert last["encoded"] == 2  # the first image was encoded for the click
    assert session.status().cached == 3


def test_a_cancelled_apply_keeps_what_it_finished(session):
    job = session.apply(session.template("red"), show=False)
    job.cancel()
    done = job.wait(300)
    assert done["computed"] == len([e for e in job.events if e.status == "computed"])
    last = session.apply("red", show=False).wait(300)
    assert last["computed"] + done["computed"] == 3


def test_a_category_renamed_since_doubles_nothing(session):
    template = session.template("red")
    list(session.apply_stream(template))
    for found in session.annotations(image="1.png") + session.annotations(image="2.png"):
        session.approve(found)
    session.rename_category("red", "brick")
    list(session.apply_stream(template.with_parameters(min_score=0.31)))
    assert [(a.image, a.category) for a in session.annotations()] == [(f"{n}.png", "brick") for n in range(3)]


def test_a_renamed_category_is_found_under_its_new_name(session):
    template = session.template("red")
    list(session.apply_stream(template))
    session.rename_category("red", "brick")
    for same in ("red", template):
        assert list(session.apply_stream(same))[-1]["skipped"] == 3
    assert session.undo_apply(template) == 2
    assert list(session.apply_stream(template))[-1]["masks"] == 2
    session.save_template(session.find_template("red").with_parameters(min_score=0.31))
    assert list(session.apply_stream("red"))[-1]["computed"] == 3
    assert session.categories() == ["brick"]
    assert [(a.image, a.category) for a in session.annotations()] == [(f"{n}.png", "brick") for n in range(3)]
    assert session.evaluate("red", on_examples=True).overall.recall == 1
    session.remove(session.annotations(image="0.png")[0])
    with pytest.raises(NothingToMeasure, match="images with 'brick' annotated by hand"):
        session.evaluate("red", on_examples=True)


def test_another_review_score_searches_nothing_again(session, monkeypatch):
    template = session.template("red")
    list(session.apply_stream(template))
    assert len(session.to_review()) == 0
    first, second = session.annotations(image="1.png") + session.annotations(image="2.png")
    session.approve(second)

    def no_search(*args, **options):
        raise AssertionError("searched again")

    with monkeypatch.context() as patched:
        patched.setattr(samnb.templates.apply, "find_objects", no_search)
        last = list(session.apply_stream(template.with_parameters(review_score=1.0)))[-1]
        assert (last["computed"], last["failed"], last["unsure"]) == (3, 0, 1)
        assert list(session.apply_stream(template.with_parameters(review_score=1.0)))[-1]["skipped"] == 3
    (unsure,) = session.to_review()
    assert (unsure.image, unsure.source) == ("1.png", "template:red@2")
    assert (unsure.mask == first.mask).all()
    assert [a.id for a in session.annotations(image="2.png")] == [second.id]
    assert len(session.annotations()) == 3


def test_what_was_removed_by_hand_comes_back_with_another_search_only(session):
    template = session.template("red")
    list(session.apply_stream(template))
    session.remove(session.annotations(image="1.png")[0])
    list(session.apply_stream(template.with_parameters(review_score=0.9)))
    assert len(session.annotations(image="1.png")) == 0


def test_a_picture_replaced_while_it_is_searched_is_not_noted_as_done(session, tmp_path, monkeypatch):
    template, search = session.template("red"), samnb.templates.apply.find_objects

    def another_picture_comes(*args, **options):
        Image.fromarray(np.full((160, 160, 3), 90, np.uint8)).save(tmp_path / "1.png")
        session.add(tmp_path / "1.png")
        return search(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(samnb.templates.apply, "find_objects", another_picture_comes)
        events = list(session.apply_stream(template, images=["1.png"]))
    assert [e.status for e in events] == ["failed", "done"]
    assert "another picture came" in events[0]["error"]
    assert len(session.annotations(image="1.png")) == 0
    assert list(session.apply_stream(template, images=["1.png"]))[-1]["computed"] == 1


def test_finding_a_template_by_name_writes_nothing(session, monkeypatch):
    session.template("red")
    newer = session.save_template(session.find_template("red").with_parameters(min_score=0.4))
    monkeypatch.setattr(session.catalog, "save_template", lambda *args, **options: pytest.fail("saved"))
    assert session.find_template("red").version == newer.version == 2


def test_an_older_version_is_applied_as_itself(session):
    older = session.template("red")
    session.save_template(older.with_parameters(min_score=0.4))
    assert session.find_template(older).version == 1
    list(session.apply_stream(older))
    assert {a.source for a in session.annotations() if a.source != BY_HAND} == {"template:red@1"}
    assert session.catalog.templates() == [("red", 1), ("red", 2)]  # nothing was saved
    assert session.find_template(older.with_parameters(min_score=0.5)).version == 3


def test_a_file_or_a_variable_of_before_a_rename_brings_no_category_back(session, tmp_path):
    template = session.template("red")
    file = template.save(tmp_path / "red.json")
    session.rename_category("red", "brick")
    session.rename_category("brick", "tile")
    for old in (Template.load(file), template.with_parameters(min_score=0.31)):
        list(session.apply_stream(old))
        assert session.categories() == ["tile"]
        assert [c.category for c in session.save_template(old).categories] == ["tile"]
    session.rename_category("tile", "red")
    assert [c.category for c in session.save_template(template).categories] == ["red"]
    session.rename_category("red", "brick")
    session.add_category("red")  # again, on purpose
    assert [c.category for c in session.save_template(Template.load(file)).categories] == ["red"]


def test_a_file_of_before_a_merge_is_applied_under_the_name_that_is_left(session, tmp_path):
    file = session.template("red").save(tmp_path / "red.json")
    session.add_category("blue")
    session.merge_category("red", "blue")
    list(session.apply_stream(Template.load(file)))
    assert session.categories() == ["blue"]
    assert session.find_template("red").version == 1
