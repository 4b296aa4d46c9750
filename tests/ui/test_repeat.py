"""Accept on the next object, and the same again here."""

from __future__ import annotations

import threading

import pytest

from samnb.ui.annotator.annotator import Annotator
from tests.support.fake_session import FakeSession


@pytest.fixture
def session():
    return FakeSession(sizes=[(300, 200)])


@pytest.fixture
def annotator(session):
    widget = Annotator(session)
    yield widget
    widget.close()


def test_a_new_box_accepts_the_mask_before_it(annotator, session):
    annotator.key("o")
    annotator.drag_box(20, 20, 40, 40)
    annotator.wait()
    annotator.drag_box(100, 20, 120, 40)
    annotator.wait()
    assert [a.category for a in session.kept] == ["object"]
    assert annotator.prompt.box == (100, 20, 120, 40)
    annotator.drag_box(200, 20, 220, 40)
    annotator.accept()
    annotator.wait()
    assert len(session.kept) == 3
    annotator.undo()
    assert len(session.kept) == 2
    assert annotator.prompt.box == (200, 20, 220, 40)


def test_without_the_option_a_box_replaces_the_one_before(annotator, session):
    annotator.drag_box(20, 20, 40, 40)
    annotator.wait()
    annotator.drag_box(100, 20, 120, 40)
    annotator.wait()
    assert session.kept == []


def test_a_click_nearby_refines_and_one_elsewhere_begins_the_next(annotator, session):
    annotator.accept_on_next = True
    annotator.click(100, 100)  # a disc of radius 20
    annotator.wait()
    annotator.click(115, 100)
    annotator.wait()
    assert session.kept == []
    assert len(annotator.prompt.points) == 2
    annotator.click(200, 100)
    annotator.wait()
    assert len(session.kept) == 1
    assert annotator.prompt.points == ((200, 100),)
    annotator.click(20, 20, background=True)
    annotator.wait()
    assert len(session.kept) == 1


def test_a_hand_faster_than_the_model_loses_nothing(annotator, session):
    annotator.accept_on_next = True
    session.gate = threading.Event()
    for x in (20, 100, 180):
        annotator.drag_box(x, 20, x + 20, 40)
    assert session.kept == []
    session.gate.set()
    for _ in range(4):
        annotator.wait()
    assert [a.prompt.box[0] for a in session.kept] == [20, 100]
    assert annotator.prompt.box == (180, 20, 200, 40)


def fast_clicks(annotator, session, *xs):
    """Clicks on discs of radius 20 while the model computes the first mask."""
    annotator.accept_on_next = True
    session.gate = threading.Event()
    for x in xs:
        annotator.click(x, 100)


def catch_up(annotator, session):
    session.gate.set()
    for _ in range(4):
        annotator.wait()


def test_clicks_faster_than_the_first_mask_are_objects_or_corrections_once_it_is_there(annotator, session):
    fast_clicks(annotator, session, 40, 52, 140)
    annotator.click(165, 100, background=True)
    annotator.click(240, 100)
    assert (session.kept, annotator.prompt.points) == ([], ((40, 100),))
    catch_up(annotator, session)
    assert [a.prompt.points for a in session.kept] == [((40, 100), (52, 100)), ((140, 100), (165, 100))]
    assert annotator.prompt.points == ((240, 100),)
    assert annotator.error == ""


def test_clicks_wait_for_a_mask_that_was_accepted_before_it_was_there(annotator, session):
    fast_clicks(annotator, session, 40)
    annotator.accept()
    annotator.click(140, 100)
    catch_up(annotator, session)
    assert [a.prompt.points for a in session.kept] == [((40, 100),)]
    assert annotator.prompt.points == ((140, 100),)


@pytest.mark.parametrize("let_go", ["undo", "clear"])
def test_clicks_that_wait_go_with_the_object_they_waited_for(annotator, session, let_go):
    fast_clicks(annotator, session, 40, 140)
    getattr(annotator, let_go)()
    annotator.stroke([(200, 100), (220, 100)])
    catch_up(annotator, session)
    assert session.kept == []
    assert annotator.prompt.points == ()


def test_clicks_that_wait_on_an_image_that_is_left_are_let_go_and_that_is_said(annotator, session):
    session.sizes.append((300, 200))
    fast_clicks(annotator, session, 40, 140)
    annotator.next()
    assert annotator.status == "what waited for the mask was let go"
    annotator.click(200, 100)
    catch_up(annotator, session)
    assert (session.kept, annotator.prompt.points) == ([], ((200, 100),))
    annotator.previous()
    assert annotator.prompt.points == ((40, 100),)


def test_what_waits_is_forgotten_when_the_mask_fails(annotator, session):
    annotator.accept_on_next = True
    session.gate, session.error = threading.Event(), RuntimeError("out of memory")
    annotator.drag_box(20, 20, 40, 40)
    annotator.drag_box(100, 20, 120, 40)
    session.gate.set()
    annotator.wait()
    assert "out of memory" in annotator.error
    session.error = None
    annotator.drag_box(200, 20, 220, 40)
    annotator.wait()
    assert session.kept == []
    assert annotator.prompt.box == (200, 20, 220, 40)


def test_the_same_again_is_as_large_as_the_last_and_of_its_category(annotator, session):
    annotator.key("r")
    assert "accept an object first" in annotator.status
    annotator.category = "coin"
    annotator.drag_box(20, 30, 40, 60)
    annotator.wait()
    annotator.accept()
    _, _, width, height = session.kept[0].bbox
    annotator.category = "hole"
    annotator.same_again(150, 100)
    annotator.wait()
    assert annotator.prompt.box == (150 - width / 2, 100 - height / 2, 150 + width / 2, 100 + height / 2)
    assert annotator.category == "coin"
    annotator.accept_on_next = True
    annotator.same_again(299, 199)
    annotator.wait()
    assert len(session.kept) == 2
    assert annotator.prompt.box[2:] == (300, 200)


def test_its_key_takes_the_place_of_the_pointer(annotator, session):
    annotator.drag_box(20, 30, 40, 60)
    annotator.wait()
    annotator.accept()
    listen = annotator._layout.stage._on_events
    listen([{"event": "key", "key": "r"}])
    assert "put the pointer on the picture" in annotator.status
    listen([{"event": "key", "key": "r", "x": 0.5, "y": 0.5}])
    annotator.wait()
    x0, y0, x1, y1 = annotator.prompt.box
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((150, 100), abs=1)


def drag(annotator, x0, y0, x1, y1, **held):
    """A drag on the stage, as the page reports it, in image pixels."""
    stage = annotator._layout.stage
    width, height = stage.view.stage_size

    def at(x, y):
        left, top = stage.view.to_stage(x, y)
        return {"x": left / width, "y": top / height}

    stage._on_events([{"event": "down", "button": 0, **at(x0, y0), **held}])
    stage._on_events([{"event": "move", **at((x0 + x1) / 2, (y0 + y1) / 2)}, {"event": "up", **at(x1, y1)}])


def boxes(session):
    return [tuple(round(value) for value in a.prompt.box) for a in session.kept]


@pytest.mark.parametrize("accept_on_next", [False, True])
def test_a_box_at_the_corner_of_an_accepted_object_is_a_new_one(annotator, session, accept_on_next):
    annotator.accept_on_next = accept_on_next
    drag(annotator, 20, 20, 80, 80)
    annotator.wait()
    annotator.accept()
    drag(annotator, 80, 80, 140, 140)
    annotator.wait()
    annotator.accept()
    assert boxes(session) == [(20, 20, 80, 80), (80, 80, 140, 140)]


@pytest.mark.parametrize("accepts", ["next", "enter"])
def test_a_box_at_the_corner_of_an_object_whose_accepted_mask_is_still_computed_is_a_new_one(
    annotator, session, accepts
):
    annotator.accept_on_next = True
    session.gate = threading.Event()
    drag(annotator, 20, 20, 80, 80)
    if accepts == "next":
        drag(annotator, 180, 20, 240, 80)
    else:
        annotator.accept()
    drag(annotator, 80, 80, 140, 140)
    catch_up(annotator, session)
    annotator.accept()
    expected = [(20, 20, 80, 80), (180, 20, 240, 80), (80, 80, 140, 140)]
    assert boxes(session) == [box for box in expected if accepts == "next" or box[0] != 180]


def test_with_shift_a_box_begins_at_the_corner_of_the_one_before(annotator, session):
    annotator.accept_on_next = True
    drag(annotator, 20, 20, 80, 80)
    annotator.wait()
    drag(annotator, 80, 80, 140, 140, shift=True)
    annotator.wait()
    assert boxes(session) == [(20, 20, 80, 80)]
    assert tuple(round(value) for value in annotator.prompt.box) == (80, 80, 140, 140)
    drag(annotator, 140, 140, 150, 160)
    assert len(session.kept) == 1
    assert tuple(round(value) for value in annotator.prompt.box) == (80, 80, 150, 160)
