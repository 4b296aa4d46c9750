"""A template over a dataset, with a model without a network: what is kept, skipped, left alone."""

import numpy as np
import pytest
from numpy_model import NumpyModel
from PIL import Image

import samnb.session
from samnb.masks import mask_iou
from samnb.session import BY_HAND, Session

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


def test_what_is_missing_is_encoded_on_the_way_and_counted(session):
    last = list(session.apply_stream(session.template("red")))[-1]
    assert last["encoded"] == 2  # the first image was encoded for the click
    assert session.status().cached == 3


def test_a_cancelled_apply_keeps_what_it_finished(session):
    job = session.apply(session.template("red"), show=False)
    job.cancel()
    done = job.wait(30)
    assert done["computed"] == len([e for e in job.events if e.status == "computed"])
    last = session.apply("red", show=False).wait(30)
    assert last["computed"] + done["computed"] == 3
