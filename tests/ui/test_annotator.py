"""What the hand can do, as plain methods and without a browser: prompts, history, editing, two annotators."""

from __future__ import annotations

import gc
import sqlite3
import threading
import weakref
from contextlib import closing
from dataclasses import replace

import ipycanvas.canvas
import numpy as np
import pytest
from PIL import Image

import samnb.session
from samnb.errors import ModelError, StoreError, UnknownName
from samnb.prompts import Prompt
from samnb.session import Session
from samnb.ui.annotator.gestures import BoxDrag, Click, DoubleClick, Hover, HoverEnd, PointDrag, PointRemove, Stroke
from samnb.ui.annotator.key_bindings import KEYS
from samnb.ui.annotator.rendering import Renderer
from samnb.widgets import Annotator, Upload
from tests.support.concurrency import in_threads
from tests.support.fake_session import FakeSession
from tests.support.numpy_model import NumpyModel
from tests.support.own_loop import in_own_loop
from tests.support.waiting import wait_until


@pytest.fixture
def session():
    return FakeSession()


@pytest.fixture
def annotator(session):
    return Annotator(session)


def accepted(annotator, x=60, y=40, category=None):
    """A disc of radius 20 that is kept."""
    if category:
        annotator.category = category
    annotator.click(x, y)
    annotator.wait()
    annotator.accept()
    return annotator.session.kept[-1]


def state(annotator):
    """All that undo must bring back."""
    kept = [a.values for a in annotator.session.kept]
    return kept, annotator._editor.draft, [a.id for a in annotator.annotations]


def disc(x, y, radius, size_hw=(80, 120)):
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    return np.hypot(columns - x, rows - y) < radius


# -- prompts ----------------------------------------------------------------------------------------------------------


def test_refining_hands_the_logits_of_the_chosen_mask_back(annotator, session):
    annotator.click(60, 40)
    annotator.wait()
    annotator.choose(2)
    annotator.click(70, 40)
    annotator.wait()
    assert session.hints[0] is None
    assert (session.hints[1] == 2).all()
    annotator.move_point(0, 61, 40)
    annotator.wait()
    assert session.hints[2] is None


def test_the_automatic_choice_satisfies_the_points_first(annotator):
    annotator.click(60, 40)
    annotator.wait()
    assert annotator._editor.chosen == 1
    annotator.click(60, 55, background=True)
    annotator.wait()
    assert annotator._editor.chosen == 0
    annotator.click(5, 5)
    annotator.click(60, 55)
    annotator.wait()
    assert annotator.mask.all()


def test_points_are_moved_and_removed_each_in_one_step(annotator):
    annotator.click(60, 40)
    annotator.click(70, 40, background=True)
    for x in range(60, 40, -1):
        annotator.gesture(PointDrag(0, x, 40, done=False))
    annotator.gesture(PointDrag(0, 40, 41, done=True))
    assert annotator.prompt == Prompt(((40.0, 41.0), (70.0, 40.0)), (1, 0))
    annotator.gesture(PointRemove(0))
    assert annotator.prompt == Prompt(((70.0, 40.0),), (0,))
    annotator.undo()
    annotator.undo()
    assert annotator.prompt.points == ((60.0, 40.0), (70.0, 40.0))
    annotator.remove_point(7)
    annotator.move_point(-1, 3, 3)
    assert annotator.prompt.points == ((60.0, 40.0), (70.0, 40.0))
    annotator.gesture(PointDrag(0, 500, 41, done=True))
    assert "outside" in annotator.error
    assert annotator.prompt.points == ((60.0, 40.0), (70.0, 40.0))


def test_specks_of_a_fresh_mask_are_dropped(annotator, session, monkeypatch):
    whole = session.predict

    def specked(image, **asked):
        prediction = whole(image, **asked)
        prediction.masks[1, 2, 2] = True
        prediction.masks[1, 40, 60] = False
        return prediction

    monkeypatch.setattr(session, "predict", specked)
    annotator.click(65, 40)
    annotator.wait()
    assert (annotator.mask == disc(65, 40, 20)).all()


def test_candidates_have_small_pictures(annotator):
    annotator.click(60, 40)
    annotator.wait()
    pictures = annotator._editor.decoded.thumbnails
    assert len(pictures) == 3
    assert all(picture.startswith(b"\x89PNG") and len(picture) < 20_000 for picture in pictures)


# -- detail ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def large():
    """A session with one image that is much larger than the screen, and its annotator, zoomed in round (1500, 900)."""
    session = FakeSession(sizes=[(2400, 1600)])
    annotator = Annotator(session)
    stage = annotator._layout.stage
    for _ in range(6):
        across, down = stage.view.stage_size
        stage.zoom(1.5, (across * 1500 / 2400, down * 900 / 1600))
    return session, annotator


def test_detail_shows_the_model_what_is_on_the_screen(large):
    session, annotator = large
    annotator.click(1500, 900)
    annotator.wait()
    annotator.clear()
    annotator.detail_on = True
    annotator.click(1500, 900)
    annotator.wait()
    annotator.click(1510, 905)
    annotator.wait()
    whole, part, again = session.regions
    assert whole is None
    assert part == again  # clicks on one object refine, the view may move
    x0, y0, x1, y1 = part
    assert x1 - x0 <= 600
    assert x0 < 1500 < x1
    assert y0 < 900 < y1
    assert session.hints[-1] is not None
    assert "detail of" in annotator.status


def test_a_click_beside_the_region_takes_another_or_the_whole(large):
    session, annotator = large
    annotator.detail_on = True
    annotator.click(1500, 900)
    annotator.wait()
    annotator.click(100, 100)  # off the screen
    annotator.wait()
    assert session.regions[0] is not None
    assert session.regions[-1] is None
    assert session.hints[-1] is None  # logits of a part say nothing of the whole


def test_detail_in_the_middle_of_an_object_asks_anew_and_is_a_step(large):
    session, annotator = large
    annotator.click(1500, 900)
    annotator.wait()
    annotator.toggle_detail()
    annotator.wait()
    assert session.regions[0] is None
    assert session.regions[1] is not None
    assert annotator.prompt.points == ((1500.0, 900.0),)
    annotator.undo()
    annotator.wait()
    assert annotator._editor.draft.region is None
    annotator.toggle_detail()
    assert session.regions[2:] == []  # the answer is known


def test_detail_without_zoom_is_the_whole_image_and_says_so(annotator, session):
    annotator.detail_on = True
    assert "zoom in" in annotator.status
    annotator.click(60, 40)
    annotator.wait()
    assert session.regions == [None]


# -- hover ------------------------------------------------------------------------------------------------------------


def test_hover_shows_the_latest_place_and_a_click_goes_before(annotator, session):
    shown = []
    annotator._hover._show = shown.append
    annotator.hover(60, 40)
    assert session.asked == []
    annotator.hover_on = True
    session.gate = threading.Event()
    for x in range(30, 90):
        annotator.gesture(Hover(x, 40))
    annotator.click(20, 20)
    annotator.gesture(Hover(100, 40))
    session.gate.set()
    annotator.wait()
    assert len(session.asked) <= 3
    assert session.asked[-2].points == ((20.0, 20.0),)
    assert session.asked[-1].points == ((20.0, 20.0), (100.0, 40.0))
    assert len(shown) == 1
    annotator.gesture(HoverEnd())
    assert shown[-1] is None


def test_hover_encodes_nothing_and_says_nothing_when_it_fails(annotator, session):
    annotator.hover_on = True
    session.cached = False
    annotator.hover(60, 40)
    annotator.wait()
    assert session.asked == []
    session.cached, session.error = True, ModelError("gone")
    annotator.hover(60, 40)
    annotator.hover(float("nan"), 900)
    annotator.wait()
    assert annotator.error == ""
    annotator.tool = "brush"
    asked = len(session.asked)
    annotator.hover(60, 40)
    annotator.wait()
    assert len(session.asked) == asked


# -- history ----------------------------------------------------------------------------------------------------------


def test_undo_and_redo_go_over_everything_and_return_exactly(annotator, session):
    first = accepted(annotator, 60, 40, "coin").id
    second = accepted(annotator, 70, 40, "rim").id
    acts = [
        lambda: annotator.set_category_of(first, "rim"),
        lambda: annotator.raise_(first),
        lambda: annotator.lower(first),
        lambda: annotator.select(second),
        lambda: annotator.stroke([(10, 10), (30, 10)]),
        lambda: annotator.smooth(),
        lambda: annotator.remove(second),
        lambda: annotator.click(30, 30),
        lambda: annotator.stroke([(10, 60), (60, 70)]),
        lambda: annotator.stroke([(15, 60)], erase=True),
        lambda: annotator.fill_holes(),
        lambda: annotator.drag_box(1, 1, 50, 50),
        lambda: annotator.accept(),
        lambda: annotator.edit(first),
        lambda: annotator.stroke([(60, 40)], erase=True),
        lambda: annotator.fill_holes(),
        lambda: annotator.accept(),
        lambda: annotator.clear(),
    ]
    annotator.brush_radius = 4
    states = [state(annotator)]
    for act in acts:
        act()
        annotator.wait()
        if state(annotator) != states[-1]:
            states.append(state(annotator))
    assert annotator.error == ""
    assert len(states) == 16
    for expected in reversed(states[:-1]):
        annotator.undo()
        annotator.wait()
        assert state(annotator) == expected
    for expected in states[1:]:
        annotator.redo()
        annotator.wait()
        assert state(annotator) == expected
    annotator.redo()
    assert "nothing" in annotator.status


def test_undo_brings_an_accepted_object_back_into_the_hand(annotator, session):
    kept = accepted(annotator)
    annotator.undo()
    annotator.wait()
    assert session.kept == []
    assert (annotator.mask == kept.mask).all()
    annotator.accept()
    assert session.kept[0].id != kept.id
    annotator.undo()
    annotator.redo()
    assert len(session.kept) == 1


def test_editing_what_is_edited_is_no_step(annotator, session):
    kept = accepted(annotator)
    annotator.edit(kept.id)
    annotator.edit(kept.id)
    annotator.undo()
    annotator.wait()
    assert annotator.mask is None
    annotator.redo()
    annotator.wait()
    assert (annotator.mask == kept.mask).all()


def test_history_is_kept_for_each_image(annotator, session):
    annotator.click(60, 40)
    annotator.next()
    annotator.undo()
    assert "nothing" in annotator.status
    annotator.click(30, 30)
    annotator.previous()
    annotator.undo()
    assert not annotator.prompt
    annotator.next()
    assert annotator.prompt.points == ((30.0, 30.0),)


def test_something_new_ends_what_can_be_done_again(annotator):
    annotator.click(60, 40)
    annotator.undo()
    annotator.click(10, 10)
    annotator.redo()
    assert annotator.prompt.points == ((10.0, 10.0),)


# -- editing ----------------------------------------------------------------------------------------------------------


def test_a_stroke_paints_on_the_mask_of_the_draft_and_stays_when_the_prompt_changes(annotator, session):
    annotator.click(60, 40)
    annotator.wait()
    annotator.brush_radius = 3
    annotator.gesture(Stroke(((5, 5), (10, 5)), done=False))
    annotator.tool = "brush"
    annotator.gesture(Stroke(((5, 5), (20, 5)), done=True))
    annotator.tool = "erase"
    annotator.gesture(Stroke(((60, 40),), done=True))
    assert annotator.mask[5, 12]
    assert not annotator.mask[40, 60]
    annotator.click(62, 45)
    annotator.wait()
    assert annotator.mask[5, 12]
    assert not annotator.mask[40, 60]
    annotator.accept()
    assert (session.kept[0].mask == annotator.session.kept[0].mask).all()
    assert session.kept[0].prompt.points == ((60.0, 40.0), (62.0, 45.0))
    assert session.kept[0].mask[5, 12]
    annotator.undo()
    annotator.undo()
    annotator.undo()
    annotator.wait()
    assert annotator.mask[40, 60]
    assert annotator.mask[5, 12]


def test_an_object_can_be_drawn_without_a_model(annotator, session):
    annotator.stroke([(10, 10), (40, 10)])
    annotator.accept()
    [kept] = session.kept
    assert session.asked == []
    assert (kept.score, kept.prompt) == (1.0, Prompt())
    annotator.stroke([(1, 1)], erase=True)
    assert "nothing to take away from" in annotator.status
    annotator.stroke([(10, 10)])
    annotator.stroke([(10, 10)], erase=True)
    annotator.accept()
    assert len(session.kept) == 1


def test_a_stroke_before_the_mask_is_there_is_not_lost(annotator, session):
    session.gate = threading.Event()
    annotator.click(60, 40)
    annotator.stroke([(60, 40)], erase=True)
    annotator.smooth()
    assert "one moment" in annotator.status
    session.gate.set()
    annotator.wait()
    assert not annotator.mask[40, 60]
    assert annotator.mask[40, 45]


def test_a_mask_chosen_before_the_masks_are_there_is_not_lost(annotator, session):
    session.gate = threading.Event()
    annotator.click(60, 40)
    annotator.key("2", alt=True)
    annotator.key(",")
    session.gate.set()
    annotator.wait()
    assert annotator._editor.chosen == 0
    session.gate = threading.Event()
    annotator.click(70, 40)
    annotator.key("3", alt=True)
    annotator.key("Enter")
    annotator.key("1", alt=True)
    assert "one moment" in annotator.status
    session.gate.set()
    annotator.wait()
    [kept] = session.kept
    assert kept.score == pytest.approx(float(session.predict(annotator.image, prompt=kept.prompt).scores[2]))


def test_a_mask_that_is_not_there_is_not_accepted_as_another(annotator, session):
    session.gate = threading.Event()
    annotator.click(60, 40)
    annotator.choose_number(9)
    annotator.accept()
    session.gate.set()
    annotator.wait()
    assert "Unknown mask 9. Known: '1', '2', '3'" in annotator.status
    assert session.kept == []
    annotator.accept()
    assert len(session.kept) == 1


def test_tools_work_on_the_selected_annotation_at_once(annotator, session):
    kept = accepted(annotator)
    annotator.fill_holes()
    assert "no mask to change" in annotator.status
    annotator.select(kept.id)
    annotator.fill_holes()
    assert "nothing to change" in annotator.status
    annotator.stroke([(60, 40)], erase=True)
    assert not session.kept[0].mask[40, 60]
    annotator.fill_holes()
    assert session.kept[0].mask[40, 60]
    annotator.brush_radius = 60
    annotator.stroke([(60, 40)], erase=True)
    assert "Delete it instead" in annotator.error
    assert session.kept[0].mask.any()
    annotator.key("Delete")
    assert session.kept == []
    annotator.key("Delete")
    annotator.undo()
    assert session.kept[0].id == kept.id


def test_editing_brings_the_prompt_back_and_accepting_replaces(annotator, session):
    kept = accepted(annotator, 60, 40, "coin")
    annotator.category = "rim"
    annotator.edit(kept.id)
    assert annotator.prompt == kept.prompt
    assert (annotator.mask == kept.mask).all()
    assert annotator.category == "coin"
    assert annotator._layout.stage._saved == ()
    annotator.clear()
    assert session.kept == [kept]
    annotator.edit(kept.id)
    annotator.click(70, 40)
    annotator.wait()
    annotator.choose(0)
    annotator.accept()
    [edited] = session.kept
    assert edited.id == kept.id
    assert edited.mask.sum() < kept.mask.sum()
    assert len(edited.prompt.points) == 2


def test_an_edited_annotation_that_somebody_deleted_is_kept_as_a_new_one(annotator, session):
    kept = accepted(annotator)
    annotator.edit(kept.id)
    session.remove(kept)
    annotator.accept()
    [again] = session.kept
    assert (again.mask == kept.mask).all()


def test_a_double_click_edits_what_lies_there_and_leaves_no_points(annotator, session):
    kept = accepted(annotator)
    annotator.gesture(Click(62, 42))
    annotator.gesture(Click(62, 42))
    annotator.gesture(DoubleClick(62, 42))
    assert annotator._editor.draft.replaces == kept.id
    assert annotator.prompt == kept.prompt
    annotator.clear()
    annotator.gesture(Click(5, 70))
    annotator.gesture(DoubleClick(5, 70))
    assert annotator.prompt.points == ((5.0, 70.0),)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (lambda annotator, id: annotator.raise_(id), "coin lies over the others already"),
        (lambda annotator, id: annotator.lower(id), "coin lies under the others already"),
        (lambda annotator, id: annotator.set_category_of(id, "coin"), ""),
        (lambda annotator, id: annotator.redo(), "nothing to do again"),
    ],
    ids=["raise", "lower", "category", "redo"],
)
def test_an_action_that_has_nothing_to_do_does_not_leave_an_earlier_error(annotator, action, said):
    made = accepted(annotator, 50, 40, "coin")
    annotator.show_error("An earlier action", ValueError("no"))
    assert annotator.error
    action(annotator, made.id)
    assert annotator.error == ""
    assert said in annotator.status


def test_the_overlap_order_is_explicit_and_stable(annotator):
    ids = [accepted(annotator, x, 40).id for x in (50, 60, 70)]
    assert [a.id for a in annotator.annotations] == ids
    annotator.raise_(ids[0])
    assert [a.id for a in annotator.annotations] == [ids[1], ids[2], ids[0]]
    annotator.lower(ids[2])
    assert [a.id for a in annotator.annotations] == [ids[2], ids[1], ids[0]]
    annotator.tool = "select"
    annotator.gesture(Click(60, 40))
    assert annotator.selected == ids[0]
    annotator.gesture(Click(1, 1))
    assert annotator.selected is None
    annotator.undo()
    annotator.undo()
    assert [a.id for a in annotator.annotations] == ids


def test_a_box_without_width_says_so(annotator):
    annotator.gesture(BoxDrag(5, 5, 5, 9, done=True))
    assert "width and height" in annotator.status
    annotator.gesture(BoxDrag(5, 5, 15, 9, done=False))
    annotator.gesture(BoxDrag(5, 5, 15, 9, done=True))
    assert annotator.prompt.box == (5.0, 5.0, 15.0, 9.0)


# -- nothing is lost --------------------------------------------------------------------------------------------------


def test_a_second_annotator_finds_the_draft_and_follows(annotator, session):
    annotator.click(60, 40)
    annotator.stroke([(5, 5)])
    other = Annotator(session)
    other.wait()
    annotator.wait()
    assert other.prompt == annotator.prompt
    assert (other.mask == annotator.mask).all()
    other.click(62, 40)
    annotator.wait()
    assert len(annotator.prompt.points) == 2
    other.wait()
    other.accept()
    annotator.wait()
    assert not annotator.prompt
    assert [a.id for a in annotator.annotations] == [a.id for a in other.annotations] == [1]
    annotator.undo()
    other.wait()
    assert len(other.prompt.points) == 2
    assert other.annotations == []
    annotator.close()
    other.redo()
    assert len(other.annotations) == 1


def test_what_others_add_and_delete_appears(annotator, session):
    kept = accepted(annotator)
    mask = disc(20, 20, 5)
    thread = threading.Thread(target=lambda: session.accept_mask(session.image("0"), mask, category="found"))
    thread.start()
    thread.join()
    annotator.wait()
    assert [a.category for a in annotator.annotations] == ["object", "found"]
    assert "found" in annotator._palette.names
    session.remove(kept)
    annotator.wait()
    assert [a.category for a in annotator.annotations] == ["found"]
    annotator.undo()
    assert annotator.error == ""


def test_a_model_that_fails_later_takes_no_work_away(annotator, session):
    annotator.click(60, 40)
    annotator.wait()
    annotator.click(70, 40)
    annotator.wait()
    annotator._editor._kept.clear()
    session.error = ModelError("out of memory. Close something.")
    annotator.undo()
    annotator.wait()
    assert annotator.error == "No mask for this prompt: out of memory. Close something."
    assert annotator.prompt.points == ((60.0, 40.0),)
    annotator.next()
    annotator.previous()
    annotator.wait()
    assert annotator.prompt.points == ((60.0, 40.0),)
    session.error = None
    annotator.click(61, 40)
    annotator.wait()
    assert annotator.mask is not None
    assert annotator.error == ""


def test_a_mask_that_comes_late_does_not_hide_the_error_of_a_later_action(annotator, session, monkeypatch):
    gate, whole = threading.Event(), session.predict
    monkeypatch.setattr(session, "predict", lambda *args, **options: gate.wait(300) and whole(*args, **options))
    annotator.click(60, 40)
    annotator.show_error("The category was not removed", ModelError("The catalog is locked."))
    gate.set()
    annotator.wait()
    assert annotator.mask is not None
    annotator.zoom_in()  # draws the mask anew, with finer outlines
    annotator.zoom_in()
    assert "locked" in annotator.error
    annotator.click(61, 40)
    assert annotator.error == ""


def test_a_click_on_a_cached_image_does_not_wait_for_the_encoding_of_another(annotator, session, monkeypatch):
    gate, whole = threading.Event(), session.predict

    def slow_first(image, **asked):
        if image.id == "0":
            assert gate.wait(300)
        return whole(image, **asked)

    monkeypatch.setattr(session, "predict", slow_first)
    monkeypatch.setattr(session, "is_cached", lambda image, region=None: image.id != "0")
    annotator.click(60, 40)
    annotator.next()
    annotator.click(30, 30)
    wait_until("the click is answered", lambda: annotator._editor.worker.flush() or annotator.prediction)
    gate.set()
    annotator.wait()
    annotator.previous()
    assert annotator.prediction is not None


def test_a_click_is_answered_while_a_cell_holds_up_the_loop(session):
    async def kernel():
        annotator = Annotator(session)
        # On another thread, as some kernels do it.
        hand = threading.Thread(target=annotator.click, args=(60, 40))
        hand.start()
        wait_until("the click is answered", lambda: annotator.status.startswith("score"))
        hand.join()
        return annotator

    assert in_own_loop(kernel()).prediction is not None


# -- keys and categories ----------------------------------------------------------------------------------------------


def test_every_key_of_the_table_has_its_method(annotator):
    assert {key.method for key in KEYS if not callable(getattr(annotator, key.method, None))} == set()
    for key in KEYS:
        for name in key.names:
            if key.method not in ("ask_for_name", "zoom_in", "zoom_out", "fit", "actual_size"):
                annotator.key(name, ctrl=key.ctrl, shift=bool(key.shift), alt=key.alt)
    assert annotator.error == ""


def test_the_keyboard_places_points_with_a_cursor(annotator):
    for _ in range(3):
        annotator.key("ArrowRight", shift=True)
    annotator.key("ArrowDown", shift=True, ctrl=True)
    x, y = annotator._cursor.place
    assert x > annotator.image.width / 2
    assert y == pytest.approx(annotator.image.height / 2 + 1)
    annotator.key(" ", shift=True)
    annotator.key("ArrowLeft", shift=True)
    annotator.key(" ", shift=True, ctrl=True)
    annotator.wait()
    assert annotator.prompt.points[0] == (x, y)
    assert annotator.prompt.point_labels == (1, 0)
    annotator.gesture(Click(10, 10))
    assert annotator._cursor.place is None
    for _ in range(1000):
        annotator.key("ArrowUp", shift=True)
    assert annotator._cursor.place[1] == 0
    assert annotator.error == ""


def test_the_view_follows_the_cursor(annotator):
    stage = annotator._layout.stage
    stage.zoom(8)
    for _ in range(60):
        annotator.key("ArrowRight", shift=True)
    x0, _, x1, _ = stage.view.visible
    assert x0 <= annotator._cursor.place[0] <= x1


def test_without_pictures_the_upload_stands_in_their_place_and_shows_the_first_one_added():
    annotator = Annotator(FakeSession(sizes=[]))
    [empty] = annotator._layout._empty.children
    [upload] = [child for child in empty.children if isinstance(child, Upload)]
    assert annotator._layout._empty.layout.display is None
    upload.add([(60, 40)])
    upload.job.wait(300)
    wait_until("the new picture is shown", lambda: annotator.image is not None)
    assert annotator._layout._empty.layout.display == "none"
    assert annotator.error == ""
    annotator.close()


def test_a_small_model_that_is_unsure_twice_says_once_what_helps(annotator):
    scores = {"now": 0.4}
    predict = annotator.session.predict

    def unsure(image, **asked):
        prediction = predict(image, **asked)
        return replace(prediction, scores=np.full_like(prediction.scores, scores["now"]))

    annotator.session.predict = unsure
    for x in (20, 60, 90):
        annotator.click(x, 40)
        annotator.wait()
        assert bool(annotator._layout.advice.text) == (x == 60)
        annotator.clear()
        annotator._layout.advice.dismiss()


def test_the_first_mask_waits_for_the_model(annotator):
    annotator.session.gate = threading.Event()
    annotator.click(20, 40)
    assert annotator.status == "loading the model tiny, first time only …"
    annotator.session.gate.set()
    annotator.wait()
    annotator.clear()
    annotator.click(60, 40)
    assert "loading" not in annotator.status


def test_an_object_that_comes_back_has_its_old_place_in_the_list(annotator):
    for x in (20, 60):
        annotator.click(x, 40)
        annotator.wait()
        annotator.accept()
    first, second = annotator.annotations
    annotator.remove(first.id)
    annotator.undo()
    assert [row.id for row in reversed(annotator._layout._list._entries)] == [first.id, second.id]


def test_digits_are_always_categories_and_alt_with_digits_masks(annotator):
    for name in ("coin", "rim", "coin"):
        annotator.category = name
    annotator.key("2")
    assert annotator.category == "rim"
    annotator.click(60, 40)
    annotator.wait()
    annotator.key("1")
    assert annotator.category == "coin"
    annotator.key("2")
    annotator.key("3", alt=True)
    assert annotator.category == "rim"
    assert annotator.mask.all()
    annotator.key(".")
    assert annotator._editor.chosen == 0
    annotator.key("c")
    assert annotator.category == "coin"


def test_a_failing_drawing_is_shown_and_the_canvas_is_not_held(annotator, monkeypatch):
    monkeypatch.setattr(annotator._renderer, "outlines", lambda mask: 1 / 0)
    annotator.click(60, 40)
    annotator.wait()
    assert "ZeroDivisionError" in annotator.error
    manager = ipycanvas.canvas._CANVAS_MANAGER
    assert not manager._caching
    monkeypatch.undo()
    annotator.click(61, 40)
    annotator.wait()
    assert annotator.error == ""


def test_outlines_get_finer_when_one_looks_closer(annotator):
    annotator.session.sizes[0] = (2400, 1600)
    annotator.show("0.png")
    kept = accepted(annotator, 300, 300)
    annotator.click(350, 300)
    annotator.wait()
    stage = annotator._layout.stage

    def corners(shape):
        return len(shape.polygons[0].exterior)

    far = corners(stage._saved[0]), corners(stage._mask)
    stage.zoom(12.0, stage.view.to_stage(305, 300))
    annotator.wait()
    assert stage.view.scale > 2
    near = corners(stage._saved[0]), corners(stage._mask)
    assert min(near) > 1.5 * max(far)
    annotator.remove(kept.id)
    stage.pan(5, 5)
    annotator.wait()
    assert annotator.error == ""


# -- very many annotations --------------------------------------------------------------------------------------------


def test_very_many_annotations_are_outlined_beside_the_kernel(session, monkeypatch):
    image = session.images()[0]
    for number in range(200):
        session.accept_mask(image, disc(10 + number % 100, 10 + number % 60, 4), category="dot")
    threads = set()
    outlines = Renderer.outlines

    def noted(self, mask):
        threads.add(threading.current_thread())
        return outlines(self, mask)

    monkeypatch.setattr(Renderer, "outlines", noted)
    annotator = Annotator(session)
    assert 0 < len(annotator._layout.shapes) <= 200
    annotator._worker.wait()
    assert len(annotator._layout.shapes) == 200
    assert len(threads) == 2
    annotator.remove(annotator.annotations[0].id)
    assert len(annotator._layout.shapes) == 199
    annotator.next()
    annotator.previous()
    annotator._worker.wait()
    assert len(annotator._layout.shapes) == 199


def test_what_happens_on_other_images_is_counted(session, annotator):
    drawn = []
    annotator._layout.show_header = lambda *arguments: drawn.append(arguments)
    for _ in range(20):
        session.changes.emit(session.images()[1].id)
    annotator._worker.wait()
    assert len(drawn) in (1, 2)


def test_without_its_last_point_an_edited_annotation_is_let_go(annotator, session):
    first = accepted(annotator)
    annotator.edit(first.id)
    annotator.wait()
    annotator.remove_point(0)
    annotator.wait()
    assert not annotator._editor.draft
    assert annotator._editor.draft.replaces is None
    second = accepted(annotator, 20, 20)
    assert second.id != first.id
    assert session.kept[0].values == first.values


def test_what_is_accepted_while_it_is_computed_has_the_category_of_that_moment(annotator, session):
    session.gate = threading.Event()
    annotator.category = "red"
    annotator.click(60, 40)
    annotator.accept()
    annotator.category = "blue"
    annotator.show(session.images()[1])  # waits for what was accepted
    assert annotator.image.id == "0"
    session.gate.set()
    annotator.wait()
    assert [a.category for a in session.kept] == ["red"]


def _hints_kept(hands):
    steps = [step for history in hands._histories.values() for step in (*history._done, *history._undone)]
    return len({id(draft.hint) for step in steps for draft in (step.before, step.after) if draft.hint is not None})


def test_the_hints_of_many_clicks_are_let_go(session):
    annotator = Annotator(session)
    for number in range(120):
        annotator.click(number % 100, number % 60)
        annotator.wait()
    assert _hints_kept(annotator._edit_state) <= 41
    for _ in range(120):
        annotator.undo()
    annotator.wait()
    assert not annotator.prompt
    for _ in range(120):
        annotator.redo()
    assert len(annotator.prompt.points) == 120
    assert _hints_kept(annotator._edit_state) <= 41
    assert annotator.error == ""
    annotator.close()


def test_the_hints_of_many_images_are_let_go():
    session = FakeSession(sizes=[(40, 30)] * 30)
    annotator = Annotator(session)
    for _ in range(30):
        for number in range(3):
            annotator.click(5 + number, 5)
            annotator.wait()
        annotator.next()
    assert _hints_kept(annotator._edit_state) <= 21 * 2
    annotator.show("0.png")
    annotator.wait()
    assert len(annotator.prompt.points) == 3
    annotator.undo()
    assert len(annotator.prompt.points) == 2
    annotator.close()


def test_another_picture_under_the_same_name_begins_without_steps():
    pixels = {"is": "a"}

    class Changing(FakeSession):
        def image(self, image, *, dataset=None):
            record = super().image(getattr(image, "id", image))
            object.__setattr__(record, "pixel_hash", pixels["is"])
            return record

    annotator = Annotator(Changing(), image="0.png")
    annotator.click(20, 20)
    annotator.wait()
    annotator.accept()
    annotator.click(30, 30)
    pixels["is"] = "b"
    annotator.show("0.png")
    annotator.wait()
    assert not annotator.prompt
    annotator.undo()
    assert annotator.status == "nothing to undo on this image"
    assert len(annotator.annotations) == 1
    annotator.close()


def test_news_of_other_images_do_not_displace_outlines_still_to_be_made(session):
    for number in range(60):
        mask = np.zeros((80, 120), bool)
        mask[number : number + 5, number : number + 5] = True
        session.accept_mask(session.image("0.png"), mask, category="thing")
    annotator = Annotator(session, image="1.png")
    free = threading.Event()
    annotator._worker.submit(free.wait, lambda value, error: None)
    annotator.show("0.png")
    annotator._follower.encoding_changed(session.image("2.png"), "cached")
    free.set()
    annotator.wait()
    assert len(annotator._renderer.annotation_outlines) == 60
    annotator.close()


def test_what_is_done_here_counts_without_asking_for_all_annotations(annotator, session, monkeypatch):
    asked, counts = [], session.annotation_counts
    monkeypatch.setattr(session, "annotation_counts", lambda *args, **kw: asked.append(kw) or counts(*args, **kw))

    def annotated():
        annotator.wait()
        return annotator._image_list.counts(read=False).annotated

    accepted(annotator)
    assert annotated() == 1
    annotator.set_category_of(session.kept[0].id, "rim")
    annotator.remove(session.kept[0].id)
    assert annotated() == 0
    annotator.undo()
    assert annotated() == 1
    assert asked == []
    in_threads(lambda _: session.accept_mask(session.images()[1], disc(9, 9, 5, (120, 80)), category="coin"), 1)
    assert annotated() == 2
    assert asked


def test_what_another_thread_changes_while_this_one_saves_is_shown(annotator, session, monkeypatch):
    accept_mask, image = session.accept_mask, session.images()[0]

    def accept_meanwhile(*args, **kw):
        monkeypatch.setattr(session, "accept_mask", accept_mask)
        in_threads(lambda _: accept_mask(image, disc(20, 20, 9), category="other"), 1)
        return accept_mask(*args, **kw)

    monkeypatch.setattr(session, "accept_mask", accept_meanwhile)
    accepted(annotator)
    annotator.wait()
    assert {a.category for a in annotator.annotations} == {"other", "object"}


# -- categories that others change ----------------------------------------------------------------------------------


def without_notice(session, change):
    """A change of which the annotators hear nothing, such as another program's."""
    told, session.changes = session.changes, type(session.changes)()
    change()
    session.changes = told


def test_a_category_renamed_elsewhere_is_accepted_under_its_new_name(annotator, session):
    session.add_category("coin", color="#111111")
    annotator.category = "coin"
    annotator.click(30, 30)
    annotator.wait()
    without_notice(session, lambda: session.rename_category("coin", "euro"))
    annotator.accept()
    assert [a.category for a in session.kept] == ["euro"]
    assert session.categories() == ["euro"]


def test_a_category_removed_elsewhere_does_not_come_back_with_an_accept(annotator, session):
    session.add_category("coin", color="#111111")
    session.add_category("key", color="#222222")
    annotator.category = "coin"
    annotator.click(30, 30)
    annotator.wait()
    without_notice(session, lambda: session.named.pop("coin"))
    annotator.accept()
    assert (session.kept, annotator.category) == ([], "key")
    assert "coin" in annotator.error
    annotator.accept()
    assert [a.category for a in session.kept] == ["key"]


def test_a_category_that_takes_the_place_of_a_removed_one_is_not_taken_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as session:
        session.add([np.zeros((60, 80, 3), np.uint8)], dataset="monday")
        annotator = Annotator(session)
        annotator.category = "rim"
        session.catalog.rename_category("rim", "edge")
        annotator.stroke([(20, 20), (30, 20)])
        annotator.accept()
        assert [a.category for a in session.annotations()] == ["edge"]
        annotator.undo()
        session.catalog.remove_category("edge")
        session.catalog.save_category("scratch")
        annotator.accept()
        assert "edge" in annotator.error
        assert (session.annotations(), session.catalog.categories()) == ([], ["scratch"])
        annotator.close()


def test_a_new_category_is_in_the_session_before_its_first_annotation(annotator, session):
    annotator.choose_category("coin")
    assert session.categories() == ["coin"]


def test_closing_closes_every_widget(session):
    from ipywidgets.widgets import widget

    first = Annotator(session)
    first.close()
    before = set(widget._instances)
    for _ in range(3):
        Annotator(session).close()
    # Those of earlier tests may end meanwhile.
    assert set(widget._instances) <= before


def test_a_digit_relabels_the_selected_annotation(annotator, session):
    for name in ("rim", "coin"):
        annotator.category = name
    kept = accepted(annotator)
    annotator.select(kept.id)
    annotator.key("1")
    assert session.kept[-1].category == "rim"
    assert "coin is rim now" in annotator.status
    annotator.undo()
    assert session.kept[-1].category == "coin"
    annotator.edit(kept.id)
    annotator.key("1")
    assert session.kept[-1].category == "coin"  # until the edit is accepted


def test_a_background_point_alone_asks_for_the_object(annotator):
    annotator.click(60, 40, background=True)
    assert not annotator.prompt
    assert "first a point on the object" in annotator.status
    annotator.drag_box(40, 20, 80, 60)
    annotator.click(60, 40, background=True)
    assert annotator.prompt.point_labels == (0,)


def test_a_deletion_is_said(annotator):
    kept = accepted(annotator, category="coin")
    annotator.remove(kept.id)
    assert annotator.status == "coin deleted · Z brings it back"


# -- the category of an annotator that is opened again --------------------------------------------------------------


def test_an_annotator_opened_again_has_the_category_chosen_last(session):
    for name in ("coin", "rim", "key"):
        session.add_category(name)
    first = Annotator(session)
    assert first.category == "coin"
    first.choose_category_number(2)
    first.close()
    again = Annotator(session)
    assert again.category == "rim"
    again.rename_category("rim", "edge")
    again.close()
    assert Annotator(session).category == "edge"
    session.remove_category("edge")
    assert Annotator(session).category == "coin"


def test_an_annotator_in_a_new_kernel_has_the_category_of_the_last_object(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.session, "load_model", lambda *arguments, **options: NumpyModel())
    mask = disc(20, 20, 9, (60, 60))
    with Session(tmp_path) as before:
        [image] = before.add(np.zeros((60, 60, 3), np.uint8), show=False).images
        assert before.category_used_last() is None
        for name in ("coin", "rim", "key"):
            before.add_category(name)
        before.accept_mask(image, mask, category="key")
        before.accept_mask(image, mask, category="rim")
        before.remove(before.accept_mask(image, mask, category="coin"))
    with Session(tmp_path) as after:
        annotator = Annotator(after)
        assert annotator.category == "rim"
        annotator.close()


# -- two kernels on one session -------------------------------------------------------------------------------------


@pytest.fixture
def two_kernels(tmp_path, monkeypatch):
    """Two sessions of one folder, as two kernels have them, with three discs on an image, and an annotator of one."""
    monkeypatch.setattr(samnb.session, "load_model", lambda *arguments, **options: NumpyModel())
    with Session(tmp_path) as other, Session(tmp_path) as own:
        [image] = other.add(np.zeros((80, 120, 3), np.uint8), show=False).images
        made = [other.accept_mask(image, disc(x, 40, 9), category="coin") for x in (20, 60, 100)]
        annotator = Annotator(own)
        annotator.wait()
        yield other, annotator, made
        annotator.close()


def ids_of(annotator):
    return [annotation.id for annotation in annotator.annotations]


def test_what_another_kernel_deleted_goes_when_the_pointer_comes(two_kernels):
    other, annotator, made = two_kernels
    other.remove(made[0])
    annotator._layout.page._on_message(None, {"came": True}, [])
    annotator.wait()
    assert ids_of(annotator) == [made[1].id, made[2].id]
    drawn = annotator._layout.shapes
    annotator._layout.page._on_message(None, {"came": True}, [])
    annotator.wait()
    assert annotator._layout.shapes is drawn  # nothing was drawn again
    annotator.edit(made[0].id)
    assert (annotator.error, "deleted elsewhere" in annotator.status) == ("", True)


def test_a_category_that_another_kernel_renamed_is_renamed_when_the_pointer_comes(two_kernels):
    other, annotator, _ = two_kernels
    other.rename_category("coin", "euro")
    annotator._layout.page._on_message(None, {"came": True}, [])
    annotator.wait()
    assert {annotation.category for annotation in annotator.annotations} == {annotator.category} == {"euro"}


@pytest.mark.parametrize(
    "action",
    [
        lambda annotator, id: annotator.remove(id),
        lambda annotator, id: annotator.set_category_of(id, "rim"),
        lambda annotator, id: annotator.raise_(id),
        lambda annotator, id: (annotator.select(id), annotator.stroke([(20, 40)], erase=True)),
        lambda annotator, id: (annotator.select(id), annotator.select_more(id + 1), annotator.merge_selected()),
    ],
    ids=["delete", "category", "order", "brush", "merge"],
)
def test_an_action_on_what_another_kernel_deleted_says_so_and_draws_it_away(two_kernels, action):
    other, annotator, made = two_kernels
    annotator.add_category("rim")
    annotator.brush_radius = 3
    other.remove(made[0])
    action(annotator, made[0].id)
    assert (annotator.error, "deleted elsewhere" in annotator.status) == ("", True)
    annotator.wait()
    assert ids_of(annotator) == [made[1].id, made[2].id]
    annotator.undo()
    assert [one.id for one in other.annotations()] == [made[1].id, made[2].id]


def test_deleting_several_of_which_another_kernel_deleted_one_is_undone_for_the_others(two_kernels):
    other, annotator, made = two_kernels
    other.remove(made[0])
    for each in made:
        annotator.select_more(each.id)
    annotator.remove_selected()
    annotator.wait()
    assert ids_of(annotator) == []
    annotator.undo()
    assert ids_of(annotator) == [one.id for one in other.annotations()] == [made[1].id, made[2].id]


@pytest.mark.parametrize("action", ["remove_selected", "relabel"])
def test_of_several_of_which_one_cannot_be_changed_those_before_are_undone(annotator, session, monkeypatch, action):
    made = [accepted(annotator, x, 40) for x in (20, 60)]
    annotator.add_category("rim")
    for each in made:
        annotator.select_more(each.id)
    name = "remove" if action == "remove_selected" else "update"
    usual = getattr(session, name)

    def once(annotation, **values):
        if annotation.id == made[1].id:
            raise StoreError("The disk is full.")
        return usual(annotation, **values)

    monkeypatch.setattr(session, name, once)
    before = [(one.id, one.category) for one in session.annotations()]
    annotator.remove_selected() if name == "remove" else annotator.set_category_of_selected("rim")
    assert "The disk is full" in annotator.error
    left = [(one.id, one.category) for one in session.annotations()]
    assert left == [(one.id, one.category) for one in annotator.annotations]
    assert left != before
    annotator.undo()
    assert [(one.id, one.category) for one in session.annotations()] == before


# -- categories that are nearly called the same ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda annotator: annotator.choose_category("duck"),
        lambda annotator: annotator.add_category("duck"),
        lambda annotator: annotator.rename_category("coin", " duck "),
    ],
    ids=["chosen", "added", "renamed"],
)
def test_a_category_that_differs_in_case_alone_is_told(annotator, make):
    annotator.add_category("Duck")
    annotator.add_category("coin")
    assert "also" not in annotator.status
    make(annotator)
    assert annotator.status == "'duck' is a category now; there is also 'Duck'"
    assert {"Duck", "duck"} <= set(annotator.session.categories())
    annotator._layout.say("")
    annotator.choose_category("Duck")
    annotator.choose_category("duck")
    assert annotator.status == ""


# -- the status line -------------------------------------------------------------------------------------------------


def test_an_annotator_keeps_what_its_action_said_while_another_one_works(session):
    first, second = Annotator(session), Annotator(session)
    first.add_category("Coin")
    first.add_category("coin")
    said = first.status
    assert "there is also 'Coin'" in said
    second.click(60, 40)
    first.wait()
    second.wait()
    second.clear()
    first.wait()
    assert first.status == said
    assert first.prompt.points == ()
    first.hover(60, 40)
    first.highlight(None)
    assert first.status == said
    first.click(60, 40)
    first.wait()
    assert first.status.startswith("score 0.94")


# -- memory ---------------------------------------------------------------------------------------------------------


def test_a_closed_annotator_is_given_back_while_its_session_lives(session):
    def opened():
        annotator = Annotator(session)
        accepted(annotator, 60, 40)
        annotator.close()
        return weakref.ref(annotator)

    closed = [opened() for _ in range(2)]

    def collected():
        gc.collect()  # a widget and its parts refer to each other
        return [reference() for reference in closed] == [None, None]

    wait_until("both are given back, after what their workers still did", collected)


def test_closed_annotators_do_not_wait_for_the_collector(session):
    gc.collect()
    gc.disable()
    try:
        closed = []
        for _ in range(12):
            annotator = Annotator(session)
            annotator.close()
            closed.append(weakref.ref(annotator))
            del annotator
        assert sum(reference() is not None for reference in closed) <= 6
    finally:
        gc.enable()


def test_an_imported_object_whose_score_no_model_gives_is_corrected(two_kernels, tmp_path):
    """Other tools write percents, and logits."""
    _, annotator, (first, *_) = two_kernels
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as database, database:
        database.execute("UPDATE annotations SET score = 87.5 WHERE id = ?", (first.id,))
    [image] = annotator.session.images()
    annotator.show(image)
    annotator.wait()
    annotator.edit(first.id)
    annotator.stroke([(20, 55), (24, 55)])
    annotator.accept()
    annotator.wait()
    assert not annotator.error
    changed = next(a for a in annotator.session.annotations() if a.id == first.id)
    assert changed.area > first.area
    assert changed.score == 87.5
    annotator.edit(first.id)
    annotator.stroke([(20, 25), (24, 25)])
    annotator.session.remove(changed)
    annotator.accept("coin")
    annotator.wait()
    assert not annotator.error
    assert annotator.session.annotations()[-1].score == 1.0


def test_a_name_of_two_pictures_is_that_of_the_dataset(tmp_path):
    random = np.random.default_rng(0)
    with Session(tmp_path / "session") as session:
        for name in ("monday", "tuesday"):
            (tmp_path / name).mkdir()
            for file in ("a.png", f"{name}.png"):
                Image.fromarray(random.integers(0, 256, (60, 80, 3), np.uint8)).save(tmp_path / name / file)
            session.add(tmp_path / name, dataset=name, show=False)
        annotator = Annotator(session, image="a.png", dataset="tuesday")
        assert annotator.image.dataset == "tuesday"
        annotator.close()
        with pytest.raises(UnknownName, match=r"image of dataset 'tuesday': 'monday.png'.*Known: 'a.png'"):
            Annotator(session, image="monday.png", dataset="tuesday")
