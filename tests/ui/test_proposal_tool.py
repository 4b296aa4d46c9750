"""Proposals in the annotator, without a browser: shown, lifted out, taken, swept, rejected, grouped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from samnb.errors import ModelError
from samnb.prompts import Prompt
from samnb.ui.annotator.gestures import Click, DoubleClick, Gestures, Hover, HoverEnd, Scroll, Sweep, Zoom
from samnb.ui.annotator.offers import Offer, Offers
from samnb.ui.annotator.tool_settings import TOOLS
from samnb.ui.annotator.viewport import Viewport
from samnb.widgets import Annotator
from tests.support.fake_session import FakeAnnotation, FakeProposal, FakeSession


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def annotator(session: FakeSession) -> Iterator[Annotator]:
    """Three discs in a row at y = 40 and one round the first are offered."""
    made = Annotator(session)
    made.category = "coin"
    made.key("a")
    made.wait()
    yield made
    made.close()


def lifted(annotator: Annotator) -> list[tuple[float, float, float, float]]:
    """The boxes of the outlines that are lifted out."""
    shape = annotator._layout.stage._hover
    if shape is None:
        return []
    edges = [(ring.min(0), ring.max(0)) for ring in shape.rings]
    return sorted((*low.round().tolist(), *high.round().tolist()) for low, high in edges)


FIRST, SECOND, THIRD = (12, 32, 29, 49), (42, 32, 59, 49), (72, 32, 89, 49)
ROUND_FIRST = (5, 25, 36, 56)


def test_a_key_offers_all_and_takes_the_offer_away_again(annotator: Annotator) -> None:
    assert [one.score for one in annotator.offered] == [0.9, 0.8, 0.7, 0.6]
    assert len(annotator._layout.stage._offered) == 4
    assert "4 objects offered" in annotator.status
    annotator.key("a")
    assert (annotator.tool, annotator.offered, annotator._layout.stage._offered) == ("prompt", [], ())


def test_the_status_line_says_what_holds_for_the_tool(annotator: Annotator) -> None:
    line = annotator._layout._status
    assert "click takes" in line.value
    assert "click adds" not in line.value
    assert "4 objects offered" in line.value
    annotator.key("a")
    assert "click adds · shift-click takes away" in line.value
    for tool in TOOLS:
        annotator.tool = tool
        assert ("click adds · shift-click takes away" in line.value) == (tool == "prompt")


def test_the_pointer_lifts_out_and_a_click_takes(annotator: Annotator, session: FakeSession) -> None:
    annotator.gesture(Hover(50, 40))
    assert lifted(annotator) == [SECOND]
    annotator.gesture(HoverEnd())
    assert lifted(annotator) == []
    annotator.gesture(Click(50, 40))
    annotator.wait()
    [kept] = session.kept
    assert (kept.category, kept.score) == ("coin", 0.8)
    assert [one.score for one in annotator.offered] == [0.9, 0.7, 0.6]
    assert "1 kept as coin" in annotator.status
    annotator.gesture(DoubleClick(50, 40))
    assert annotator._editor.draft.replaces is None


def test_a_double_click_takes_one(annotator: Annotator, session: FakeSession) -> None:
    for gesture in (Click(20, 40), Click(20, 40), DoubleClick(20, 40)):
        annotator.gesture(gesture)
    assert [kept.score for kept in session.kept] == [0.9]  # and not what lies round it
    annotator._proposals._taken = (-1e9, 20.0, 40.0)
    annotator.gesture(Click(20, 40))
    assert [kept.score for kept in session.kept] == [0.9, 0.6]


def test_digits_choose_the_category_while_objects_are_offered(annotator: Annotator, session: FakeSession) -> None:
    annotator.add_category("rim")
    annotator.gesture(Click(60, 60))
    annotator.key("1")
    first = annotator.category
    annotator.key("2")
    assert annotator.category != first
    annotator.gesture(Click(50, 40))
    assert session.kept[-1].category == annotator.category


def test_a_digit_after_a_search_leaves_the_example_as_it_is(annotator: Annotator, session: FakeSession) -> None:
    annotator.add_category("rim")
    annotator.category = "coin"
    annotator.gesture(Click(50, 40))
    annotator.wait()
    annotator.select(session.kept[0].id)
    annotator.key("l")
    annotator.wait()
    annotator.key(str(1 + annotator._palette.names.index("rim")))
    assert annotator.category == "rim"
    assert [kept.category for kept in session.kept] == ["coin"]


def test_a_drag_takes_all_it_touches_as_one_step(annotator: Annotator, session: FakeSession) -> None:
    annotator.gesture(Sweep(((3, 40), (60, 40)), done=False))
    assert lifted(annotator) == [FIRST, SECOND]  # of the two round the first place only the better one
    assert session.kept == []
    annotator.gesture(Sweep(((3, 40), (60, 40), (100, 40)), done=True))
    annotator.wait()
    assert [kept.score for kept in session.kept] == [0.9, 0.8, 0.7]
    annotator.undo()
    annotator.wait()
    assert session.kept == []
    assert len(annotator.offered) == 4
    annotator.redo()
    annotator.wait()
    assert len(session.kept) == 3


def test_undo_leaves_what_somebody_else_had_annotated(annotator: Annotator, session: FakeSession) -> None:
    second = annotator.offered[1]
    others = FakeAnnotation(999, second.image_id, "medal", second.mask, 0.8, Prompt())
    session.kept.append(others)  # by another process: nobody is told
    annotator.gesture(Sweep(((20, 40), (50, 40)), done=True))
    annotator.wait()
    assert len(session.kept) == 2
    assert "1 kept as coin · 1 annotated before" in annotator.status
    annotator.undo()
    assert session.kept == [others]
    annotator.undo()
    assert session.kept == [others]


def test_the_wheel_goes_from_part_to_whole(annotator: Annotator, session: FakeSession) -> None:
    annotator.gesture(Hover(20, 40))
    assert lifted(annotator) == [FIRST]
    annotator.gesture(Scroll(-30))
    assert lifted(annotator) == [FIRST]
    annotator.gesture(Scroll(-40))
    assert lifted(annotator) == [ROUND_FIRST]
    assert "2 of 2 here" in annotator.status
    annotator.gesture(Hover(21, 40))  # the same ones lie under it
    assert lifted(annotator) == [ROUND_FIRST]
    annotator.gesture(Click(21, 40))
    assert session.kept[-1].score == 0.6
    annotator.gesture(Hover(20, 40))
    annotator.gesture(Scroll(500))
    assert lifted(annotator) == [FIRST]


def test_a_shift_click_rejects(annotator: Annotator, session: FakeSession) -> None:
    annotator.gesture(Click(50, 40, background=True))
    assert [one.score for one in annotator.offered] == [0.9, 0.7, 0.6]
    assert len(session.rejected) == 1
    assert session.kept == []


def test_undo_offers_what_was_rejected_again(annotator: Annotator, session: FakeSession) -> None:
    annotator.gesture(Click(20, 40))
    annotator.gesture(Click(50, 40, background=True))
    annotator.wait()
    annotator.undo()
    annotator.wait()
    assert session.rejected == set()
    assert len(session.kept) == 1  # what was taken before stays
    assert [one.score for one in annotator.offered] == [0.8, 0.7, 0.6]
    annotator.redo()
    annotator.wait()
    assert [one.score for one in annotator.offered] == [0.7, 0.6]
    annotator.gesture(Click(50, 40, background=True))
    assert "no object" in annotator.status


def test_a_group_is_taken_at_one_stroke(annotator: Annotator, session: FakeSession) -> None:
    annotator.key("g")
    annotator.wait()
    annotator.gesture(Hover(50, 40))
    assert lifted(annotator) == [FIRST, SECOND, THIRD]
    annotator.gesture(Click(50, 40))
    assert len(session.kept) == 3
    annotator.key("g")
    annotator.gesture(Hover(20, 52))
    assert lifted(annotator) == [ROUND_FIRST]


def test_objects_like_the_selected_one_are_offered(annotator: Annotator, session: FakeSession) -> None:
    annotator.key("a")
    annotator.key("l")
    assert "like what?" in annotator.status
    annotator.click(20, 40)
    annotator.wait()
    annotator.key("l")
    annotator.wait()
    assert [one.search for one in annotator.offered] == ["like"] * 2
    assert "like this one" in annotator.status
    annotator.key("a")  # from these to everything
    annotator.wait()
    assert {one.search for one in annotator.offered} == {"everything"}


def test_any_query_can_be_offered(annotator: Annotator, session: FakeSession) -> None:
    annotator.offer(replace(session.like(None), kind="phrase"))
    annotator.wait()
    assert [one.search for one in annotator.offered] == ["phrase"] * 2
    assert "by phrase offered" in annotator.status
    annotator.toggle_proposals()
    annotator.wait()
    assert len(annotator.offered) > 2


def test_the_next_image_is_searched_and_escape_leaves(annotator: Annotator, session: FakeSession) -> None:
    annotator.next()
    annotator.wait()
    assert {one.image_id for one in annotator.offered} == {"1"}
    annotator.key("Escape")
    assert (annotator.tool, annotator.offered) == ("prompt", [])


def test_what_is_annotated_elsewhere_is_not_offered(annotator: Annotator, session: FakeSession) -> None:
    session.accept_mask(session.image("0"), annotator.offered[0].mask, category="coin")
    annotator.wait()
    annotator.wait()
    assert [one.score for one in annotator.offered] == [0.8, 0.7, 0.6]


def test_a_search_that_fails_is_shown(session: FakeSession) -> None:
    session.error = ModelError("no room. Close something.")
    made = Annotator(session)
    made.key("a")
    made.wait()
    assert "no room" in made.error
    assert made.offered == []


def test_a_click_beside_all_says_so(annotator: Annotator, session: FakeSession) -> None:
    annotator.gesture(Click(110, 5))
    assert "no object is offered here" in annotator.status
    annotator.gesture(Sweep(((110, 5), (118, 5)), done=True))
    assert "along this way" in annotator.status
    assert session.kept == []


def test_the_page_s_events_become_these_gestures() -> None:
    gestures, view = Gestures(), Viewport((100, 100), (400, 400))
    gestures.tool = "proposals"
    assert gestures.read({"event": "wheel", "delta": 100, "x": 0.5, "y": 0.5}, view) == Scroll(100.0)
    assert isinstance(gestures.read({"event": "wheel", "delta": 100, "ctrl": True, "x": 0, "y": 0}, view), Zoom)
    assert gestures.read({"event": "down", "button": 0, "x": 0.1, "y": 0.1}, view) is None
    sweep = gestures.read({"event": "move", "way": [[0.2, 0.1]], "x": 0.2, "y": 0.1}, view)
    assert sweep == Sweep(((10.0, 10.0), (20.0, 10.0)), done=False)
    sweep = gestures.read({"event": "up", "button": 0, "x": 0.3, "y": 0.1}, view)
    assert sweep == Sweep(((10.0, 10.0), (20.0, 10.0), (30.0, 10.0)), done=True)
    gestures.read({"event": "down", "button": 0, "x": 0.1, "y": 0.1, "shift": True}, view)
    assert gestures.read({"event": "up", "button": 0, "x": 0.1, "y": 0.1}, view) == Click(10.0, 10.0, background=True)
    gestures.read({"event": "down", "button": 0, "x": 0.1, "y": 0.1}, view)
    gestures.read({"event": "move", "way": [[0.3, 0.1]], "x": 0.3, "y": 0.1}, view)
    assert gestures.read({"event": "cancel", "x": 0.3, "y": 0.1}, view) is None


def test_offers_share_what_lies_in_both() -> None:
    rows, columns = np.mgrid[:60, :60]
    big = FakeProposal(1, "0", "k", (rows < 40) & (columns < 40), 0.9)
    small = FakeProposal(2, "0", "k", (rows >= 30) & (rows < 50) & (columns >= 30) & (columns < 50), 0.8)
    one, other = (Offer.of(each, lambda mask: ()) for each in (big, small))
    assert one.shares(other) == other.shares(one) == pytest.approx(100 / 400)
    far = Offer.of(FakeProposal(3, "0", "k", (rows > 55) & (columns > 55), 0.8), lambda mask: ())
    assert one.shares(far) == 0.0
    offers = Offers([other, one])
    assert [each.proposal.id for each in offers.at(35.5, 35.2)] == [2, 1]
    assert offers.touched([(59, 5)]) == offers.touched([(-3, 5), (-3, 9)]) == []
    assert [each.proposal.id for each in offers.touched([(5, 5), (49.9, 49.9)])] == [1, 2]


def test_a_way_touches_what_holds_its_places() -> None:
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:60, :80]
    some = [
        Offer.of(FakeProposal(n, "0", "k", np.hypot(columns - x, rows - y) < 9, score), lambda mask: ())
        for n, (x, y, score) in enumerate(random.random((12, 3)) * (80, 60, 1))
    ]
    places = random.random((200, 2)) * (90, 70) - 5
    for offer in some:
        assert offer.holds_each(places).tolist() == [offer.holds(x, y) for x, y in places]
