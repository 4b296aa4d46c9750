"""No sequence of clicks, drags, strokes, keys, zooms and undos raises, leaves the canvas held, or loses anything."""

from __future__ import annotations

import os

import ipycanvas.canvas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samnb.errors import ModelError
from samnb.ui.annotator.gestures import BoxDrag, Click, DoubleClick, Hover, HoverEnd, PointDrag, PointRemove, Stroke
from samnb.ui.annotator.key_bindings import KEYS
from samnb.widgets import Annotator
from tests.support.fake_session import FakeSession

pytestmark = pytest.mark.slow

anywhere = st.floats(-50, 200) | st.sampled_from([float("nan"), float("inf"), -0.0, 0.0, 80.0, 120.0, 1e300])
inside = st.floats(0, 60)
places = st.tuples(inside, inside) | st.tuples(anywhere, anywhere)
paths = st.lists(places, max_size=4).map(tuple)

gestures = st.one_of(
    st.builds(lambda at, background: Click(*at, background), places, st.booleans()),
    st.builds(lambda at: DoubleClick(*at), places),
    st.builds(lambda a, b, done: BoxDrag(*a, *b, done), places, places, st.booleans()),
    st.builds(lambda i, at, done: PointDrag(i, *at, done), st.integers(-1, 4), places, st.booleans()),
    st.builds(PointRemove, st.integers(-1, 4)),
    st.builds(lambda at: Hover(*at), places),
    st.just(HoverEnd()),
    st.builds(Stroke, paths, st.booleans()),
    st.just("no gesture"),
)
steps = st.one_of(
    st.tuples(st.just("gesture"), gestures),
    st.tuples(st.just("click"), inside, inside, st.booleans()),
    st.tuples(st.just("stroke"), paths, st.booleans()),
    st.tuples(st.sampled_from(["undo", "redo", "undo", "accept", "accept", "wait", "clear", "next", "previous"])),
    st.tuples(
        st.sampled_from(
            ["fill_holes", "drop_specks", "smooth", "next_open", "remove_selected", "toggle_hover", "toggle_detail"]
        )
    ),
    st.tuples(st.sampled_from(["remove", "select", "edit", "raise_", "lower"]), st.integers(0, 3)),
    st.tuples(st.just("set_category_of"), st.integers(0, 3), st.sampled_from(["coin", "rim"])),
    st.tuples(st.just("choose"), st.integers(-2, 5)),
    st.tuples(st.just("take_tool"), st.sampled_from(["prompt", "brush", "erase", "select", "saw"])),
    st.tuples(st.just("resize_brush"), st.sampled_from([-1, 1])),
    st.tuples(st.sampled_from(["zoom_in", "zoom_out", "fit", "actual_size", "toggle_help"])),
    st.tuples(st.just("choose_category"), st.sampled_from(["coin", "rim", " "])),
    st.tuples(st.just("filter"), st.sampled_from(["all", "open", "annotated", "failed", "some"])),
    st.tuples(st.just("jump"), st.sampled_from(["1", "png", "nothing", ""])),
    st.tuples(
        st.just("key"),
        st.sampled_from([*sorted({name for key in KEYS for name in key.names}), "F5", ""]),
        st.booleans(),
        st.booleans(),
    ),
    st.tuples(st.just("fail")),
    st.tuples(st.just("keep"), inside, inside),
    st.tuples(st.just("keep"), inside, inside),
)
often = settings(
    max_examples=int(os.environ.get("SAMNB_EXAMPLES", "20")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def perform(annotator, sequence):
    for name, *arguments in sequence:
        if name == "keep":
            annotator.click(*arguments)
            annotator.wait()
            annotator.accept()
        elif name == "fail":
            session = annotator.session
            session.error = None if session.error else ModelError("out of memory")
        else:
            getattr(annotator, name)(*arguments)
    annotator.session.error = None
    annotator.wait()


def held():
    manager = ipycanvas.canvas._CANVAS_MANAGER
    return manager._caching or bool(manager._commands_cache)


def check(annotator):
    session = annotator.session
    assert not held()
    assert len({a.id for a in session.kept}) == len(session.kept)
    for kept in session.kept:
        size_hw = session.image(kept.image_id).size_hw
        assert kept.mask.shape == size_hw
        assert kept.mask.any()
        kept.prompt.check_inside(size_hw)
    here = {a.id: a.values for a in session.annotations(image=annotator.image)}
    assert {a.id: a.values for a in annotator.annotations} == here
    annotator.prompt.check_inside(annotator.image.size_hw)
    if annotator.mask is not None:
        assert annotator.mask.shape == annotator.image.size_hw


def everything(annotator):
    drafts = {image.id: annotator._edit_state.history(image.id).draft for image in annotator.session.images()}
    return sorted(a.values for a in annotator.session.kept), drafts


@often
@given(st.lists(steps, max_size=30))
def test_no_sequence_raises_holds_the_canvas_or_keeps_what_lies_outside(sequence):
    annotator = Annotator(FakeSession())
    perform(annotator, sequence)
    check(annotator)
    annotator.close()


def walk(annotator, way):
    """Undo or redo all there is, on every image."""
    for image in annotator.session.images():
        annotator.show(image)
        history = annotator._edit_state.history(image.id)
        while history.can_undo if way == "undo" else history.can_redo:
            before = len(history._done)
            getattr(annotator, way)()
            assert len(history._done) != before
        annotator.wait()


@often
@given(st.lists(steps, max_size=30))
def test_undo_to_the_start_and_redo_to_the_end_return_exactly(sequence):
    session = FakeSession()
    annotator = Annotator(session)
    perform(annotator, sequence)
    walk(annotator, "redo")
    end = everything(annotator)
    walk(annotator, "undo")
    assert session.kept == []
    assert not any(everything(annotator)[1].values())
    walk(annotator, "redo")
    after, drafts = everything(annotator)
    assert after == end[0]
    # An automatic choice that was overruled last is amended, not a step: undoing may not bring it back.
    assert [d.request for d in drafts.values()] == [d.request for d in end[1].values()]
    check(annotator)
    annotator.close()


@often
@given(st.lists(st.tuples(st.booleans(), steps), max_size=20))
def test_two_annotators_of_a_session_agree(sequence):
    session = FakeSession()
    both = Annotator(session), Annotator(session)
    for second, (name, *arguments) in sequence:
        perform(both[second], [(name, *arguments)])
        both[not second].wait()
    for annotator in both:
        annotator.wait()
        check(annotator)
    both[1].show(both[0].image)
    both[1].wait()
    assert both[0]._editor.draft == both[1]._editor.draft
    assert [a.values for a in both[0].annotations] == [a.values for a in both[1].annotations]
    for annotator in both:
        annotator.close()
