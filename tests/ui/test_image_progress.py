"""States of images in the annotator: done, empty, skip, drafts; where the work was left; copies to the next image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from samnb.records import UNSURE
from samnb.session import Session
from samnb.ui.annotator.annotator import Annotator
from samnb.ui.annotator.drop_listener import DropListener
from tests.support.fake_session import FakeSession
from tests.support.waiting import wait_until


@pytest.fixture
def session():
    return FakeSession(sizes=[(120, 80), (120, 80), (60, 60), (60, 60)])


@pytest.fixture
def annotator(session):
    widget = Annotator(session)
    yield widget
    widget.close()


def accepted(annotator, x=40.0, y=40.0):
    annotator.click(x, y)
    annotator.wait()
    annotator.accept()
    annotator.wait()


def shown(annotator):
    return [image.filename for image in annotator._image_list.shown]


def badge(annotator, place):
    return annotator._image_list.badges(annotator._image_list.images[place])


def test_an_image_is_done_and_the_next_unfinished_one_comes(annotator, session):
    accepted(annotator)
    annotator.key("m")
    assert (session.states, annotator.image.filename) == ({"0": "done"}, "1.png")
    assert annotator.status == "0.png is done · 3 unfinished"
    annotator.key("m", shift=True)
    annotator.key("k")
    assert session.states == {"0": "done", "1": "empty", "2": "skip"}
    assert annotator.image.filename == "3.png"
    annotator.mark_image("done")
    assert annotator.image.filename == "3.png"
    assert annotator.status == "3.png is done · 0 unfinished"
    assert [badge(annotator, place) for place in (0, 1, 2)] == [
        ("⚡✔", "cached, done"),
        ("⚡∅", "cached, empty"),
        ("⚡↷", "cached, skip"),
    ]
    assert "1 annotated · 2 done · 1 empty · 1 skip" in annotator._layout._header.value


def test_the_same_state_again_opens_it(annotator, session):
    annotator.mark_image("skip")
    annotator.show("0.png")
    annotator.mark_image("skip")
    assert session.image_states() == {}
    assert (annotator.image.filename, annotator.status) == ("0.png", "0.png is open again · 4 unfinished")


def test_what_is_not_empty_is_not_called_so(annotator, session):
    accepted(annotator)
    annotator.mark_image("empty")
    assert "has 1 annotation, so it is not empty" in annotator.error
    assert session.states == {}


def test_an_image_called_empty_is_open_again_with_an_object(annotator, session):
    annotator.mark_image("empty")
    annotator.show("0.png")
    accepted(annotator)
    assert annotator._image_list.state(annotator.image) == ""


def test_a_draft_is_not_left_behind_by_done(annotator, session):
    annotator.click(40, 40)
    annotator.wait()
    annotator.key("m")
    assert (session.states, annotator.image.filename) == ({}, "0.png")
    assert "not accepted yet" in annotator.status


def test_the_filmstrip_filters_by_state_and_shows_drafts(annotator, session):
    accepted(annotator)
    annotator.mark_image("done")
    annotator.click(40, 40)
    annotator.wait()
    assert "✎" in badge(annotator, 1)[0]
    annotator.show("3.png")
    annotator.filter("done")
    assert shown(annotator) == ["0.png", "3.png"]  # and the one that is shown
    annotator.filter("draft")
    assert shown(annotator) == ["1.png", "3.png"]
    annotator.filter("open")
    assert shown(annotator) == ["1.png", "2.png", "3.png"]
    annotator.show("1.png")
    annotator.clear()
    annotator.wait()
    assert "✎" not in badge(annotator, 1)[0]
    annotator.filter("empty")
    assert shown(annotator) == ["1.png"]


def test_it_opens_where_it_was_left(session):
    first = Annotator(session)
    first.show("2.png")
    first.wait()
    first.close()
    assert session.opened[-1] == "2"
    again = Annotator(session)
    assert (again.image.filename, again.status) == ("2.png", "2.png: here you left off")
    again.close()
    elsewhere = Annotator(session, image="1.png")
    assert elsewhere.image.filename == "1.png"
    elsewhere.close()


def test_objects_are_copied_to_the_next_image(annotator, session):
    accepted(annotator, 30)
    accepted(annotator, 90)
    annotator.key("r", shift=True)
    assert annotator.image.filename == "1.png"
    assert len(annotator.annotations) == 2
    np.testing.assert_array_equal(annotator.annotations[0].mask, session.kept[0].mask)
    annotator.undo()
    assert annotator.annotations == []
    annotator.show("0.png")
    annotator.select(annotator.annotations[0].id)
    annotator.copy_to_next()
    assert len(annotator.annotations) == 1
    annotator.show("3.png")
    annotator.copy_to_next()
    assert annotator.status == "nothing to copy"


def test_new_pictures_appear(annotator, session):
    assert len(annotator._image_list.images) == 4
    session.add_job(["a", "b"])
    annotator.wait()
    assert [image.filename for image in annotator._image_list.images] == [f"{n}.png" for n in range(6)]
    assert "/ 6 ·" in annotator._layout._header.value


def test_dropped_files_are_put_together_and_added(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(buffer, "PNG")
    content = buffer.getvalue()
    with Session(tmp_path / "session") as session:
        session.add(np.zeros((60, 80, 3), np.uint8), dataset="monday", show=False)
        annotator = Annotator(session)
        drop = next(child for child in annotator.children if isinstance(child, DropListener))
        half = len(content) // 2
        drop._on_message(None, {"name": "a.png", "begins": True, "first": True}, [memoryview(content[:half])])
        drop._on_message(None, {"name": "a.png"}, [memoryview(content[half:])])
        drop._on_message(None, {"name": "b.txt", "begins": True, "last": True}, [b"no picture"])
        assert "adding 2 files to 'monday'" in annotator.status
        wait_until("it is there", lambda: len(session.images("monday")) == 2)
        wait_until("it is shown", lambda: annotator.wait() or "/ 2 ·" in annotator._layout._header.value)
        assert [image.filename for image in annotator._image_list.images][1] == "a.png"
        annotator.add_files([])
        assert annotator.status == "no files were dropped"
        annotator.close()


def test_the_first_picture_of_an_empty_session_appears():
    session = FakeSession(sizes=[])
    annotator = Annotator(session)
    assert annotator.image is None
    session.add_job(["a"])
    annotator.wait()
    assert annotator.image.filename == "0.png"
    annotator.close()


def unsure_finds(session):
    for x in (20, 50, 80):
        rows, columns = np.mgrid[:80, :120]
        found = session.accept_mask(session.image("1.png"), np.hypot(columns - x, rows - 40) < 9, category="coin")
        session.update(found, review=UNSURE)


def test_unsure_finds_are_decided_where_they_are(session):
    unsure_finds(session)
    annotator = Annotator(session)
    ids = [annotation.id for annotation in session.kept]
    annotator.key("n")
    assert (annotator.image.filename, annotator.selected) == ("1.png", ids[0])
    assert annotator.status.startswith("unsure: coin, score 1.00, hand")
    annotator.key("Enter")
    assert annotator.selected == ids[1]
    annotator.key("Delete")
    assert [annotation.id for annotation in annotator.annotations] == [ids[0], ids[2]]
    assert [annotation.review for annotation in session.kept] == ["accepted", "rejected", "unsure"]
    assert annotator.selected == ids[2]
    assert "?" in badge(annotator, 1)[0]
    annotator.key("Enter")
    assert annotator.selected is None
    assert "?" not in badge(annotator, 1)[0]
    for _ in range(3):
        annotator.undo()
    assert [annotation.review for annotation in session.kept] == ["unsure"] * 3
    for _ in range(3):
        annotator.redo()
    assert [annotation.review for annotation in session.kept] == ["accepted", "rejected", "accepted"]
    assert [annotation.id for annotation in annotator.annotations] == [ids[0], ids[2]]
    annotator.close()


def test_n_goes_through_the_unsure_ones_and_on(session):
    unsure_finds(session)
    annotator = Annotator(session, image="1.png")
    seen = []
    for _ in range(4):
        annotator.key("n")
        seen.append((annotator.image.filename, annotator.selected))
    ids = [annotation.id for annotation in session.kept]
    assert seen == [*(("1.png", each) for each in ids), ("2.png", None)]
    annotator.approve()
    assert "no unsure find is selected" in annotator.status
    annotator.close()


def test_showing_it_decodes_no_mask(tmp_path):
    with Session(tmp_path / "session") as session:
        session.add(np.zeros((60, 80, 3), np.uint8), dataset="monday", show=False)
        mask = np.zeros((60, 80), bool)
        mask[10:20, 10:20] = True
        for _ in range(3):
            session.accept_mask(session.images()[0], mask, category="coin")
        annotator = Annotator(session)
        annotator.wait()
        assert annotator._repr_mimebundle_()["image/png"]
        assert all("mask" not in vars(annotation) for annotation in annotator.annotations)
        annotator.close()
