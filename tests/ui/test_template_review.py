"""The review of what templates left, without a browser: what its methods and keys do, what the catalog knows then."""

from __future__ import annotations

import numpy as np
import pytest

import samnb.session
from samnb.errors import UnknownName
from samnb.records import ACCEPTED, REJECTED, UNSURE
from samnb.session import Session
from samnb.ui.annotator.annotator import Annotator
from samnb.ui.common.closeup import SIDE, closeup, whereabouts, window_round
from samnb.ui.review.template_review import Review
from tests.support.concurrency import in_threads
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import RED, scene, truth


@pytest.fixture
def session(tmp_path, monkeypatch):
    """One example, and three images on which its template found something and is not sure of it."""
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as session:
        pictures = [scene([(20 + 20 * n, 30, 40, RED)]) for n in range(4)]
        images = session.add(pictures, dataset="reds").images
        session.accept_mask(images[0], truth(pictures[0], RED), category="red")
        session.template("red", review_score=1.0)
        list(session.apply_stream("red"))
        yield session


def reviews(session):
    records = session.catalog.annotations() + session.catalog.annotations(review=REJECTED)
    return {a.image: a.review for a in records if a.source != "hand"}


def test_each_key_answers_and_goes_on(session):
    review = Review(session, template="red")
    assert len(review.objects) == 3
    first, second, third = (each.image for each in review.objects)
    review.key("a")
    review.key("R")
    assert reviews(session) == {first: ACCEPTED, second: REJECTED, third: UNSURE}
    assert review.shown.image == third
    assert "3 of 3 · 1 accepted · 1 rejected" in review._header.value
    review.key("arrowleft")
    assert review.shown.image == second
    assert "rejected</span>" in review._header.value
    review.key("u")
    assert reviews(session)[second] == UNSURE
    assert review.left == 2
    review.accept()
    review.accept()
    assert review.shown is None
    assert "Nothing is left. 3 accepted, 0 rejected." in review._view.value
    review.accept()
    assert review.status == "nothing is left to answer"
    assert review.error == ""
    review.close()


def test_what_was_answered_is_not_asked_again(session):
    review = Review(session)
    answered = review.shown.id
    review.accept()
    review.close()
    again = session.review("reds")
    assert answered not in [each.id for each in again.objects]
    assert len(again.objects) == 2
    assert repr(again).endswith("· reds: 2 unsure, 0 accepted, 0 rejected>")
    again.close()


def test_what_the_annotator_changes_is_accepted_and_undo_brings_it_back(session):
    review = Review(session)
    shown = review.shown
    review.key("f")
    assert review.error == ""
    assert review.annotator.image.id == shown.image_id
    assert (review._workplace.layout.display, review._view.layout.display) == (None, "none")
    review.key("f")
    assert (review._workplace.layout.display, review._view.layout.display) == ("none", None)
    review.key("f")
    review.annotator.fill_holes()
    review.annotator.stroke([(5, 5), (9, 5)])
    review.annotator.accept()
    review.annotator.wait()
    assert review.annotator.error == ""
    assert reviews(session)[shown.image] == ACCEPTED
    assert review.status == "fixed, and accepted: → goes on"
    assert (review._workplace.layout.display, review._view.layout.display) == ("none", None)
    assert review.shown.id == shown.id
    assert review.shown.mask[5, 5]
    assert not shown.mask[5, 5]
    review.undo()
    assert reviews(session)[shown.image] == UNSURE
    (now,) = [a for a in session.annotations(image=shown.image_id) if a.id == shown.id]
    assert not now.mask[5, 5]
    review.close()


def test_keys_mean_what_the_hint_says_while_an_object_is_open(session):
    """The focus is on the picture: its keys reach the annotator first."""
    review = Review(session)
    shown = review.shown
    assert "F fix" in review._status.value
    review.fix()
    assert "F back" in review._status.value
    annotator = review.annotator
    assert "fit the picture" not in annotator._layout._help._table.value
    assert "7 keys are not listed" in annotator._layout._help._hint.value
    annotator.key("A")
    assert (annotator.tool, reviews(session)[shown.image]) == ("prompt", ACCEPTED)
    assert review.shown.id != shown.id
    assert "F fix" in review._status.value
    second = review.shown
    review.fix()
    annotator.key("f")
    assert review._workplace.layout.display == "none"
    review.fix()
    annotator.key("m")
    assert (annotator._layout.stage._hidden, session.image_states()) == (True, {})
    annotator.key("r")
    assert reviews(session)[second.image] == REJECTED
    review.key("u")
    assert reviews(session)[second.image] == UNSURE
    review.fix()  # it was open still
    review.fix()
    assert not annotator._layout.stage._hidden
    annotator.key("b")
    annotator.key("q", shift=True)
    assert annotator.tool == "lasso"
    annotator.key("r", shift=True)
    assert reviews(session)[second.image] == UNSURE
    review.close()


def test_a_key_that_was_pressed_before_the_page_had_followed_is_the_reviews(session):
    """The page shows the picture, and sends its keys to the annotator, until it hears that it was closed."""
    review = Review(session)
    first = review.shown
    review.fix()
    annotator = review.annotator
    where = annotator.image
    for name in ("f", "ArrowRight"):
        annotator.key(name)
    assert review.shown.id != first.id
    assert annotator.image == where
    second = review.shown
    annotator.key("r")
    assert reviews(session)[second.image] == REJECTED
    review.close()


def test_what_is_undone_in_the_annotator_is_open_again_and_redone_is_accepted_again(session):
    review = Review(session)
    shown = review.shown
    review.fix()
    review.annotator.stroke([(5, 5), (9, 5)])
    review.annotator.accept()
    assert review.answers == {shown.id: ACCEPTED}
    review.annotator.undo()
    assert reviews(session)[shown.image] == UNSURE
    assert review.answers == {}
    assert review.left == 3
    assert not review.shown.mask[5, 5]
    review.undo()
    assert review.status == "nothing to undo"
    review.annotator.redo()
    assert reviews(session)[shown.image] == ACCEPTED
    assert review.answers == {shown.id: ACCEPTED}
    assert review.error == review.annotator.error == ""
    review.close()


def test_a_fix_that_changed_nothing_counts_too(session):
    review = Review(session)
    shown = review.shown
    review.fix()
    review.annotator.accept()
    assert review.answers == {shown.id: ACCEPTED}
    assert reviews(session)[shown.image] == ACCEPTED
    review.undo()
    assert reviews(session)[shown.image] == UNSURE
    review.close()


def test_accept_while_a_fix_is_open_takes_what_the_annotator_has(session):
    review = Review(session)
    first, second, third = review.objects
    review.fix()
    review.annotator.stroke([(5, 5), (9, 5)])
    review.key("a")
    assert review.answers == {first.id: ACCEPTED}
    (now,) = [a for a in session.annotations(image=first.image_id) if a.id == first.id]
    assert now.mask[5, 5]
    assert review.shown.id == second.id
    assert review._workplace.layout.display == "none"
    review.fix()  # and nothing is changed
    review.accept()
    assert review.answers == {first.id: ACCEPTED, second.id: ACCEPTED}
    assert review.shown.id == third.id
    review.close()


def test_a_fix_that_was_left_open_counts_when_it_is_kept_later(session):
    review = Review(session)
    first, second, _ = review.objects
    review.fix()
    review.annotator.stroke([(5, 5), (9, 5)])
    review.next()
    review.accept()
    review.annotator.accept()
    assert review.answers == {first.id: ACCEPTED, second.id: ACCEPTED}
    assert review.shown.id == first.id
    assert review.shown.mask[5, 5]
    review.close()


def test_an_object_deleted_while_it_is_fixed_is_rejected_until_it_is_back(session):
    review = Review(session)
    shown = review.shown
    review.fix()
    review.annotator.clear()
    review.annotator.remove(shown.id)
    assert review.answers == {shown.id: REJECTED}
    assert review.error == ""
    review.annotator.undo()
    assert review.answers == {}
    assert review.left == 3
    review.close()


def test_an_object_deleted_meanwhile_is_said_in_place(session):
    review = Review(session)
    session.remove(review.shown)
    review.accept()
    assert "This answer was not kept" in review.error
    assert review.answers == {}
    review.next()
    review.accept()
    assert review.error == ""
    review.close()


def test_a_picture_that_is_gone_is_said_in_place(session, tmp_path, monkeypatch):
    from samnb.errors import ImageError

    def gone(image):
        raise ImageError("cannot be read <here>")

    monkeypatch.setattr(session, "pixels", gone)
    review = Review(session)
    assert "cannot be read &lt;here&gt;" in review._view.value
    review.reject()
    assert len(review.answers) == 1
    review.close()


@pytest.mark.parametrize("answer", ["accept", "reject"])
def test_an_answer_while_the_annotator_shows_something_else_first_shows_the_object(session, answer):
    review = Review(session)
    shown = review.shown
    review.fix()
    other = session.images()[0]
    assert other.id != shown.image_id
    review.annotator.clear()
    review.annotator.show(other)
    review.annotator.stroke([(50, 50), (60, 50)])
    before = len(session.annotations(image=other))
    getattr(review, answer)()
    assert len(session.annotations(image=other)) == before
    assert (review.shown.id, review.answers, reviews(session)[shown.image]) == (shown.id, {}, UNSURE)
    assert (review._workplace.layout.display, review._view.layout.display) == ("none", None)
    assert review.annotator.editing
    getattr(review, answer)()
    assert review.answers.keys() == {shown.id}
    review.close()


def test_what_others_change_while_an_answer_is_saved_is_followed(session, monkeypatch):
    review = Review(session)
    first, second, _ = review.objects
    review.fix()
    review.next()
    approve = session.approve

    def approve_meanwhile(annotation_id):
        in_threads(lambda _: session.remove(first), 1)
        return approve(annotation_id)

    monkeypatch.setattr(session, "approve", approve_meanwhile)
    review.accept()
    assert review.error == ""
    assert review.answers == {first.id: REJECTED, second.id: ACCEPTED}
    review.close()


def decoded(annotations):
    """What of these annotations is kept decoded: masks are as large as their pictures."""
    return {name for each in annotations if each is not None for name in vars(each)} - {"record"}


def test_objects_that_were_answered_keep_no_masks(session):
    review = Review(session)
    review.accept()
    review.reject()
    review.snapshot()
    assert decoded([*review.objects, *(before for _, before, _ in review._undo)]) == set()
    review.close()


def test_steps_of_undo_keep_no_masks_and_annotations_shown_no_whole_ones(session):
    annotator = Annotator(session, image=session.to_review()[0].image_id)
    [shown] = annotator.annotations
    annotator.select(shown.id)
    for x in (5, 25):
        annotator.tool = "brush"
        annotator._brush.preview_stroke([(x, 5), (x + 4, 5)], erase=False)
        annotator.stroke([(x, 5), (x + 4, 5)])
    annotator.undo()
    annotator.redo()
    annotator.undo()
    annotator.snapshot()
    annotator.select_at(*shown.bbox[:2])
    annotator.wait()
    assert annotator.error == ""
    assert annotator.annotations[0].mask[5, 5]
    assert not annotator.annotations[0].mask[5, 25]
    history = annotator._editor.history
    changes = [change for step in (*history._done, *history._undone) for change in step.changes]
    assert len(changes) == 2
    assert decoded([each for change in changes for each in (change.before, change.after)]) == set()
    assert "mask" not in decoded([shown])
    annotator.close()


def test_nothing_to_review_and_an_unknown_dataset(session):
    review = Review(session, template="other")
    assert "Nothing to review" in review._view.value
    assert review.snapshot().shape[2] == 3
    review.close()
    with pytest.raises(UnknownName, match="reds"):
        Review(session, dataset="blues")


def test_a_closeup_shows_the_object_with_what_is_round_it():
    pixels = np.full((100, 200, 3), 90, np.uint8)
    mask = np.zeros((100, 200), bool)
    mask[40:60, 150:190] = True
    window = window_round((150, 40, 40, 20), (100, 200))
    assert window == (120, 10, 200, 90)
    large = closeup(pixels, mask, window, "#ff0000")
    assert large.shape == (SIDE, SIDE, 3)
    assert large[SIDE // 2, SIDE * 5 // 8, 0] > 110
    assert (large[20, 20] == 90).all()
    assert (closeup(pixels, mask, window, "#ff0000", with_mask=False) == 90).all()
    small = whereabouts(pixels, window, "#00ff00")
    assert small.shape == (100, 200, 3)
    assert (small != pixels).any()
