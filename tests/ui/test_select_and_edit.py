"""Selecting annotations and editing them: selection, menu, merge, split; polygon, lasso and the handles of a box."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samnb.errors import ModelError
from samnb.masks import mask_iou
from samnb.masks.editing import lasso_mask
from samnb.masks.part import MaskPart
from samnb.prompts import Prompt
from samnb.ui.annotator.annotation_set import AnnotationSet
from samnb.ui.annotator.gestures import BrushScroll, Click, DoubleClick, Hover, HoverEnd, Stroke, Trace
from samnb.ui.annotator.object_actions import without_neighbours
from samnb.widgets import Annotator
from tests.support.fake_session import FakeAnnotation, FakeSession

SIZE = (80, 120)


@pytest.fixture
def session():
    return FakeSession()


@pytest.fixture
def annotator(session):
    annotator = Annotator(session)
    yield annotator
    assert annotator.error == ""


def block(x, y, width=20, height=20):
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def saved(annotator, *masks, category="coin"):
    """Annotations of these masks, as if somebody had drawn them."""
    session = annotator.session
    made = [session.accept_mask(annotator.image, mask, category=category) for mask in masks]
    annotator.wait()
    assert len(annotator.annotations) >= len(masks)
    return [each.id for each in made]


def masks(annotator):
    return {a.id: a.mask for a in annotator.annotations}


def drag(annotator, *way, **more):
    """A drag of the tool that is taken."""
    annotator.gesture(Trace(tuple(way[:1]), False, **more))
    annotator.gesture(Trace(tuple(way), True, **more))


def on_stage(annotator, kind, x, y, **more):
    """An event of the page at an image pixel."""
    view = annotator._layout.stage.view
    left, top = view.to_stage(x, y)
    event = {"event": kind, "x": left / view.stage_size[0], "y": top / view.stage_size[1], "button": 0, **more}
    annotator._layout.stage._on_events([event])


def undone(annotator):
    """Undo everything, redo everything; the masks before and after are the same."""
    end = masks(annotator)
    history = annotator._edit_state.history(annotator.image.id)
    while history.can_undo:
        annotator.undo()
    start = masks(annotator)
    while history.can_redo:
        annotator.redo()
    again = masks(annotator)
    assert again.keys() == end.keys()
    assert all((again[each] == end[each]).all() for each in end)
    while history.can_undo:
        annotator.undo()
    return start


# -- selection ------------------------------------------------------------


def test_a_click_selects_shift_adds_and_alt_goes_below(annotator):
    lower, upper, other = saved(annotator, block(10, 10), block(15, 15), block(60, 10))
    annotator.key("v")
    on_stage(annotator, "down", 20, 20)
    on_stage(annotator, "up", 20, 20)
    assert annotator.selection == (upper,)
    assert "selected" in annotator.status
    on_stage(annotator, "down", 20, 20, alt=True)
    on_stage(annotator, "up", 20, 20)
    assert annotator.selection == (lower,)
    on_stage(annotator, "down", 65, 15, shift=True)
    on_stage(annotator, "up", 65, 15)
    assert annotator.selection == (lower, other)
    on_stage(annotator, "down", 65, 15, shift=True)
    on_stage(annotator, "up", 65, 15)
    assert annotator.selection == (lower,)
    annotator.gesture(Click(100, 70))
    assert annotator.selection == ()


def test_alt_click_selects_while_prompting_and_makes_no_point(annotator):
    [one] = saved(annotator, block(10, 10))
    annotator.gesture(Click(20, 20, alt=True))
    assert annotator.selected == one
    assert not annotator.prompt
    annotator.gesture(Click(20, 20))
    assert annotator.prompt.points == ((20.0, 20.0),)


def test_what_is_hidden_is_not_selected_by_a_click(annotator):
    [one] = saved(annotator, block(10, 10))
    annotator.toggle_category("coin")
    annotator.gesture(Click(20, 20, alt=True))
    assert annotator.selected is None
    annotator.toggle_category("coin")
    annotator.gesture(Click(20, 20, alt=True))
    assert annotator.selected == one


def test_the_row_and_the_object_under_the_pointer_are_lifted_out(annotator):
    first, second = saved(annotator, block(10, 10), block(60, 10))
    rows = annotator._layout._list
    annotator.take_tool("select")
    annotator.gesture(Hover(65, 15))
    assert [row.id for row in rows._shown_rows if "samnb-lit" in row.widget._dom_classes] == [second]
    assert annotator._layout.stage._highlight is not None
    annotator.gesture(HoverEnd())
    assert annotator._layout.stage._highlight is None
    rows._listener._on_message(rows, {"over": 1}, [])
    assert annotator._renderer._highlighted == first
    annotator.remove(first)
    assert annotator._layout.stage._highlight is None
    rows._listener._on_message(rows, {"over": -1}, [])
    assert not any("samnb-lit" in row.widget._dom_classes for row in rows._shown_rows)


def test_rows_have_small_pictures_of_their_objects(annotator):
    first, second = saved(annotator, block(10, 10), block(60, 10, 40, 5))
    annotator.wait()
    crops = {row.id: bytes(row._crop.value) for row in annotator._layout._list._shown_rows}
    assert crops.keys() == {first, second}
    assert crops[first] != crops[second]
    assert all(crop.startswith(b"\x89PNG") and len(crop) < 12_000 for crop in crops.values())
    before = crops[first]
    annotator.select(first)
    annotator.stroke([(50, 50), (70, 60)])
    annotator.wait()
    assert {row.id: bytes(row._crop.value) for row in annotator._layout._list._shown_rows}[first] != before


def test_a_list_reports_its_menu_shift_and_double_click(annotator):
    first, second = saved(annotator, block(10, 10), block(60, 10))
    rows = annotator._layout._list
    rows._listener._on_message(rows, {"more": 0}, [])
    rows._listener._on_message(rows, {"more": 1}, [])
    assert annotator.selection == (second, first)
    rows._listener._on_message(rows, {"menu": 1}, [])
    assert annotator.selection == (second, first)
    assert "Merge the selected" in annotator._layout.menu.texts
    rows._listener._on_message(rows, {"edit": 0}, [])
    assert annotator._editor.draft.replaces == second
    rows._listener._on_message(rows, {"edit": 17}, [])


def test_digits_relabel_all_that_is_selected_as_one_step(annotator):
    annotator.category = "coin"
    annotator.category = "rim"
    both = saved(annotator, block(10, 10), block(60, 10))
    for each in both:
        annotator.select_more(each)
    annotator.key(str(annotator._palette.names.index("rim") + 1))
    assert [a.category for a in annotator.annotations] == ["rim", "rim"]
    annotator.undo()
    assert [a.category for a in annotator.annotations] == ["coin", "coin"]
    annotator.remove_selected()
    assert annotator.annotations == []
    assert "2 annotations deleted" in annotator.status
    annotator.undo()
    assert len(annotator.annotations) == 2


# -- the menu ------------------------------------------------------------


def test_a_right_click_opens_the_menu_and_makes_no_prompt(annotator):
    [one] = saved(annotator, block(10, 10))
    for tool in ("prompt", "select", "lasso", "polygon"):
        annotator.take_tool(tool)
        annotator.select(None)
        opened = annotator._layout.menu.version
        on_stage(annotator, "down", 20, 20, button=2)
        on_stage(annotator, "up", 20, 20, button=2)
        assert (annotator._layout.menu.version, annotator.selected) == (opened + 1, one)
        on_stage(annotator, "down", 100, 70, button=2)
        on_stage(annotator, "up", 100, 70, button=2)
        assert annotator._layout.menu.version == opened + 1
        assert "no annotation here" in annotator.status
        assert not annotator._editor.draft


def test_a_right_click_on_an_object_begun_is_a_background_point(annotator):
    saved(annotator, block(10, 10))
    annotator.click(60, 40)
    on_stage(annotator, "down", 20, 20, button=2)
    on_stage(annotator, "up", 20, 20, button=2)
    assert annotator.prompt.point_labels == (1, 0)
    assert annotator._layout.menu.version == 0


def test_the_menu_does_what_its_lines_say(annotator):
    [one] = saved(annotator, block(10, 10))
    annotator.open_menu(one)
    menu = annotator._layout.menu
    menu._on_message(menu, {"chosen": "Duplicate"}, [])
    assert len(annotator.annotations) == 2
    annotator.open_menu()
    enabled = {item["text"]: item["enabled"] for item in menu.items}
    assert not enabled["Merge the selected"]
    assert enabled["Split into its parts"]
    menu.choose("Merge the selected")  # disabled
    menu.choose("Delete")
    assert [a.id for a in annotator.annotations] == [one]
    menu.choose("no such line")
    undone(annotator)


def test_categories_are_searched_by_name_beyond_nine(annotator):
    for name in ("coin", *(f"kind {number}" for number in range(12))):
        annotator.category = name
    [one] = saved(annotator, block(10, 10))
    annotator.select(one)
    annotator.key("i")
    menu = annotator._layout.menu
    assert menu.searches
    assert "kind 11" in menu.texts
    menu.choose("kind 11")
    assert annotator.annotations[0].category == "kind 11"
    annotator.key("i")
    menu.choose(" brand new ")
    assert annotator.annotations[0].category == "brand new"
    annotator.select(None)
    annotator.open_category_search()
    menu.choose("kind 3")
    assert (annotator.category, annotator.annotations[0].category) == ("kind 3", "brand new")


# -- whole annotations ------------------------------------------------------------


def test_selected_annotations_are_merged_and_come_back(annotator):
    first, second, third = saved(annotator, block(10, 10), block(40, 10), block(70, 10))
    annotator.key("j")
    assert "merge what?" in annotator.status
    annotator.select(second)
    annotator.key("j")
    assert "Shift-click" in annotator.status
    annotator.select_more(first)
    annotator.key("j")
    assert masks(annotator).keys() == {second, third}
    assert (masks(annotator)[second] == (block(10, 10) | block(40, 10))).all()
    assert annotator.selection == (second,)
    assert undone(annotator).keys() == {first, second, third}


def test_parts_are_split_and_joined_again_by_undo(annotator):
    [one] = saved(annotator, block(10, 10) | block(60, 10, 5, 5) | block(60, 40, 9, 9))
    annotator.select(one)
    annotator.key("j", shift=True)
    parts = masks(annotator)
    assert len(parts) == 3
    assert (parts[one] == block(10, 10)).all()
    assert len(annotator.selection) == 3
    assert "split into 3" in annotator.status
    start = undone(annotator)
    assert start.keys() == {one}
    assert (start[one] == (block(10, 10) | block(60, 10, 5, 5) | block(60, 40, 9, 9))).all()


def test_what_is_one_piece_is_not_split(session):
    annotator = Annotator(session)
    [one] = saved(annotator, block(10, 10))
    annotator.select(one)
    annotator.split_selected()
    assert "one piece" in annotator.error
    assert masks(annotator).keys() == {one}


def test_neighbours_are_cut_out(annotator, session):
    one, neighbour = saved(annotator, block(10, 10), block(20, 10))
    annotator.select(one)
    annotator.key("y")
    assert (masks(annotator)[one] == block(10, 10, 10)).all()
    assert "200 px" in annotator.status
    annotator.key("y")
    assert "no other annotation overlaps" in annotator.status
    annotator.undo()
    assert (masks(annotator)[one] == block(10, 10)).all()
    assert (masks(annotator)[neighbour] == block(20, 10)).all()


def test_a_covered_annotation_is_not_cut_to_nothing(session):
    annotator = Annotator(session)
    small, _ = saved(annotator, block(12, 12, 5, 5), block(10, 10))
    annotator.select(small)
    annotator.subtract_neighbours()
    assert "nothing would be left" in annotator.error
    assert (masks(annotator)[small] == block(12, 12, 5, 5)).all()


def test_neighbours_are_decoded_only_where_their_boxes_meet():
    part = MaskPart.of(block(10, 10))
    near = SimpleNamespace(bbox=(20, 10, 20, 20), part=MaskPart.of(block(20, 10)))
    far = SimpleNamespace(bbox=(60, 10, 20, 20))  # to ask it for its mask would fail
    found = without_neighbours(SimpleNamespace(part=part), [far, near])
    assert found.size_hw == part.size_hw
    assert (found.whole == block(10, 10, 10)).all()


def test_copies_are_selected_and_undone(annotator):
    [one] = saved(annotator, block(10, 10))
    annotator.select(one)
    annotator.key("d", ctrl=True)
    [_, copy] = annotator.annotations
    assert annotator.selection == (copy.id,)
    assert (copy.mask == block(10, 10)).all()
    assert undone(annotator).keys() == {one}


def test_copies_have_the_attributes(annotator, session):
    [one] = saved(annotator, block(10, 10))
    session.update(session.kept[0], attributes={"occluded": True})
    annotator.wait()
    annotator.select(one)
    annotator.duplicate_selected()
    assert [annotation.attributes for annotation in annotator.annotations] == [{"occluded": True}] * 2


def test_nothing_is_done_with_annotations_while_a_mask_is_edited(annotator):
    first, second = saved(annotator, block(10, 10), block(40, 10))
    annotator.select(first)
    annotator.select_more(second)
    annotator.click(60, 60)
    for name in ("duplicate_selected", "merge_selected", "split_selected", "subtract_neighbours", "open_menu"):
        getattr(annotator, name)()
        assert "accept (Enter) or clear (Esc)" in annotator.status
    assert masks(annotator).keys() == {first, second}


@pytest.mark.parametrize("tool", ["prompt", "brush"])
def test_a_drag_that_a_second_finger_ends_is_no_step(annotator, tool):
    annotator.take_tool(tool)
    for kind, x in (("down", 20), ("move", 60), ("cancel", 60)):
        on_stage(annotator, kind, x, x)
    assert not annotator._editor.draft
    assert not annotator._edit_state.history(annotator.image.id).can_undo
    assert annotator._layout.stage._mask is None
    assert annotator._layout.stage._band is None


@pytest.mark.parametrize("tool", ["brush", "erase"])
def test_a_stroke_that_changes_nothing_leaves_no_preview(session, tool):
    annotator = Annotator(session)
    [one] = saved(annotator, block(10, 10))
    annotator.select(one)
    annotator.take_tool(tool)
    annotator.brush_radius = 2 if tool == "brush" else 60
    for done in (False, True):
        annotator.gesture(Stroke(((20, 20),), done))
    assert bool(annotator.error) == (tool == "erase")
    assert annotator._layout.stage._mask is None
    assert (masks(annotator)[one] == block(10, 10)).all()


# -- the polygon tool ------------------------------------------------------------


def test_looking_at_vertices_changes_nothing(annotator):
    ragged = (np.random.default_rng(0).random(SIZE) < 0.5) & block(10, 10, 60, 50) | block(30, 30)
    [one] = saved(annotator, ragged)
    annotator.select(one)
    annotator.take_tool("polygon")
    assert sum(map(len, annotator.vertices)) > 4
    annotator.take_tool("prompt")
    assert annotator.vertices == []
    assert (masks(annotator)[one] == ragged).all()
    assert not annotator._edit_state.history(annotator.image.id).can_undo


def test_a_vertex_of_the_selected_annotation_is_dragged(annotator):
    [one] = saved(annotator, block(30, 30))
    annotator.select(one)
    annotator.key("u")
    corner = annotator.vertices[0][np.hypot(*(annotator.vertices[0] - (50, 50)).T).argmin()]
    on_stage(annotator, "down", *corner)
    on_stage(annotator, "move", 60, 60)
    on_stage(annotator, "up", 70, 70)
    mask = masks(annotator)[one]
    assert mask[60, 60]
    assert mask.sum() > 500
    assert any(np.allclose(vertex, (70, 70), atol=0.1) for vertex in annotator.vertices[0])
    annotator.undo()
    assert (masks(annotator)[one] == block(30, 30)).all()
    assert not any(np.allclose(vertex, (70, 70), atol=1) for vertex in annotator.vertices[0])
    annotator.redo()
    assert any(np.allclose(vertex, (70, 70), atol=0.1) for vertex in annotator.vertices[0])


def test_an_edge_gets_a_vertex_where_it_is_dragged(annotator):
    [one] = saved(annotator, block(30, 30))
    annotator.select(one)
    annotator.take_tool("polygon")
    drag(annotator, (40, 30), (40, 10))
    assert len(annotator.vertices[0]) == 5
    assert masks(annotator)[one][15, 40]
    annotator.gesture(Click(40, 10, alt=True))
    assert len(annotator.vertices[0]) == 4
    assert np.count_nonzero(masks(annotator)[one] != block(30, 30)) <= 20
    drag(annotator, (40, 40), (5, 5))
    assert "drag a vertex" in annotator.status
    drag(annotator, (30, 30), (5, 5), away=True)
    drag(annotator, (30, 30), (5, 5), lost=True)
    assert len(undone(annotator)) == 1


def test_a_vertex_dragged_out_of_the_picture_stays_at_its_edge(annotator):
    [one] = saved(annotator, block(30, 30))
    annotator.select(one)
    annotator.take_tool("polygon")
    annotator.drag_vertex((50, 50), (500, -40))
    assert any((vertex == (120, 0)).all() for vertex in annotator.vertices[0])


def test_the_page_drops_a_drag_that_failed(session):
    annotator = Annotator(session)
    [one] = saved(annotator, block(30, 30))
    annotator.select(one)
    annotator.take_tool("polygon")
    before = annotator._layout.stage.vertex_overlay.version
    annotator.drag_vertex((50, 50), (np.nan, 40))
    assert "vertex was not moved" in annotator.error
    assert annotator._layout.stage.vertex_overlay.version > before


def test_the_vertices_of_a_mask_that_is_not_accepted_are_paint(annotator, session):
    annotator.take_tool("polygon")
    annotator.click(60, 40)
    annotator.wait()
    top = annotator.vertices[0][annotator.vertices[0][:, 1].argmin()]
    annotator.drag_vertex(tuple(top), (60, 2))
    assert annotator.mask[8, 60]
    assert annotator._editor.draft.is_painted
    annotator.accept()
    assert session.kept[0].mask[8, 60]
    assert session.kept[0].prompt == Prompt.of(points=[(60, 40)])


def test_a_polygon_is_drawn_from_nothing_and_accepted(annotator, session):
    annotator.key("u")
    for x, y in ((10, 10), (50, 10), (50, 60)):
        on_stage(annotator, "down", x, y)
        on_stage(annotator, "up", x, y)
    assert len(annotator.vertices[0]) == 3
    assert "Enter accepts" in annotator.status
    annotator.key("Enter")
    [kept] = session.kept
    assert kept.mask.sum() == pytest.approx(40 * 50 / 2, rel=0.03)
    assert session.asked == []
    annotator.undo()
    assert len(annotator.vertices[0]) == 3
    annotator.undo()
    assert len(annotator.vertices[0]) == 2
    annotator.accept()
    assert "three vertices" in annotator.status
    annotator.clear()
    assert annotator.vertices == []


def test_a_polygon_is_closed_by_its_first_vertex_or_a_double_click(annotator):
    annotator.take_tool("polygon")
    for close in (Click(10.5, 10.5), DoubleClick(30, 60)):
        for x, y in ((10, 10), (50, 10), (30, 60)):
            annotator.gesture(Click(x, y))
        if isinstance(close, DoubleClick):  # its first half is a click
            annotator.gesture(Click(30, 60))
        annotator.gesture(close)
        assert annotator._editor.draft.ring == ()
        assert [len(ring) for ring in annotator.vertices] == [3]
        assert annotator.mask.sum() == pytest.approx(1000, rel=0.05)
        annotator.gesture(Click(100, 70))
        assert "Enter accepts" in annotator.status
        annotator.clear()


def test_vertices_of_a_polygon_being_drawn_are_moved_and_removed(annotator):
    annotator.take_tool("polygon")
    for x, y in ((10, 10), (50, 10), (30, 60)):
        annotator.gesture(Click(x, y))
    drag(annotator, (50, 10), (90, 20))
    assert (annotator.vertices[0][1] == (90, 20)).all()
    drag(annotator, (100, 60), (110, 70))
    assert len(annotator.vertices[0]) == 4
    annotator.gesture(Click(10, 10, right=True, background=True))
    assert len(annotator.vertices[0]) == 3
    for _ in range(6):
        annotator.undo()
    assert not annotator._editor.draft


def test_a_polygon_being_drawn_is_erased_like_any_mask(annotator):
    annotator.take_tool("polygon")
    for x, y in ((10, 10), (50, 10), (50, 60)):
        annotator.gesture(Click(x, y))
    annotator.lasso([(30, 0), (60, 0), (60, 70), (30, 70)], away=True)
    assert not annotator.mask[:, 30:].any()
    assert annotator.mask[:, :30].any()
    annotator.undo()
    assert len(annotator.vertices[0]) == 3


def test_an_outline_is_simplified_step_by_step(annotator):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    [one] = saved(annotator, np.hypot(columns - 60, rows - 40) < 30)
    annotator.select(one)
    annotator.take_tool("polygon")
    before = len(annotator.vertices[0])
    annotator.key("s")
    fewer = len(annotator.vertices[0])
    assert fewer < before
    assert "vertices became" in annotator.status
    annotator.key("s")
    assert len(annotator.vertices[0]) < fewer
    start = undone(annotator)
    assert start[one].sum() == (np.hypot(columns - 60, rows - 40) < 30).sum()


def test_in_the_polygon_tool_a_click_goes_to_the_next_annotation(annotator):
    first, second = saved(annotator, block(10, 10), block(60, 10))
    annotator.select(first)
    annotator.take_tool("polygon")
    annotator.gesture(Click(70, 20))
    assert annotator.selected == second
    annotator.gesture(Click(100, 70))
    assert "Esc lets go" in annotator.status
    annotator.clear()
    annotator.gesture(Click(70, 20))
    assert annotator._editor.draft.ring == ((70.0, 20.0),)


# -- the lasso ------------------------------------------------------------

LOOP = ((20, 20), (60, 20), (60, 50), (20, 50))


def test_a_lasso_begins_an_object_adds_to_it_and_takes_away(annotator, session):
    annotator.key("q")
    drag(annotator, *LOOP)
    assert annotator.mask.sum() == 1200
    drag(annotator, (40, 20), (80, 20), (80, 30), (40, 30))
    assert annotator.mask.sum() == 1400
    drag(annotator, (0, 0), (40, 0), (40, 79), (0, 79), away=True)
    assert annotator.mask.sum() == 800
    annotator.accept()
    annotator.select(session.kept[0].id)
    drag(annotator, (0, 0), (10, 0), (10, 10), (0, 10))
    assert session.kept[0].mask.sum() == 900
    for _ in range(5):
        annotator.undo()
    assert not annotator._editor.draft
    assert session.kept == []


def test_a_lasso_that_goes_past_its_start_has_no_hole(annotator):
    assert lasso_mask((60, 80), (*LOOP, (20, 19), (40, 22), (40, 28))).sum() >= 1200
    annotator.take_tool("lasso")
    annotator.gesture(Click(5, 5))
    assert "draw a line" in annotator.status
    drag(annotator, (5, 5), (5.1, 5))
    assert "surrounds nothing" in annotator.status
    drag(annotator, *LOOP, away=True)
    assert "nothing to take away from" in annotator.status


def test_the_right_button_takes_away(annotator):
    annotator.take_tool("lasso")
    drag(annotator, *LOOP)
    for kind, x, y in (("down", 30, 10), ("move", 30, 60), ("move", 100, 60), ("up", 100, 10)):
        on_stage(annotator, kind, x, y, button=2)
    assert annotator.mask.sum() == pytest.approx(300, abs=40)


# -- box handles and the size of the brush ------------------------------------------------------------


def test_a_corner_and_a_side_of_the_box_are_dragged(annotator):
    annotator.drag_box(20, 20, 80, 60)
    on_stage(annotator, "down", 80, 60)
    on_stage(annotator, "move", 90, 65)
    assert annotator.prompt.box == (20, 20, 80, 60)
    on_stage(annotator, "up", 100, 70)
    assert annotator.prompt.box == pytest.approx((20, 20, 100, 70), abs=0.01)
    on_stage(annotator, "down", 20, 45)
    on_stage(annotator, "move", 15, 40)
    on_stage(annotator, "up", 10, 10)
    assert annotator.prompt.box == pytest.approx((10, 20, 100, 70), abs=0.01)
    on_stage(annotator, "down", 10, 20)
    on_stage(annotator, "up", 110, 75)
    assert annotator.prompt.box == pytest.approx((100, 70, 110, 75), abs=0.01)
    for _ in range(3):
        annotator.undo()
    assert annotator.prompt.box == (20, 20, 80, 60)


def test_a_dragged_corner_stays_the_same_object_with_accept_on_next(annotator, session):
    annotator.accept_on_next = True
    annotator.drag_box(20, 20, 80, 60)
    annotator.wait()
    on_stage(annotator, "down", 80, 60)
    on_stage(annotator, "up", 100, 70)
    annotator.wait()
    assert session.kept == []
    assert annotator.prompt.box == pytest.approx((20, 20, 100, 70), abs=0.01)


def test_a_box_dragged_flat_stays(annotator):
    annotator.drag_box(20, 20, 80, 60)
    annotator.wait()
    on_stage(annotator, "down", 80, 40)
    on_stage(annotator, "up", 20, 40)
    assert annotator.prompt.box == (20, 20, 80, 60)
    assert "width and height" in annotator.status


def test_a_click_in_a_box_or_on_its_corner_is_a_point(annotator):
    annotator.drag_box(20, 20, 80, 60)
    for x, y in ((50, 40), (20, 20)):
        on_stage(annotator, "down", x, y)
        on_stage(annotator, "up", x, y)
    assert len(annotator.prompt.points) == 2


def test_the_wheel_with_ctrl_changes_the_brush_and_not_the_view(annotator):
    annotator.take_tool("brush")
    radius, ring = annotator.brush_radius, annotator._layout.stage.listener.ring
    on_stage(annotator, "wheel", 60, 40, delta=-400, ctrl=True)
    assert annotator.brush_radius == pytest.approx(1.2 * radius, rel=0.02)
    assert annotator._layout.stage.listener.ring > ring
    assert annotator._layout.stage.view.is_fit
    for _ in range(40):
        annotator.gesture(BrushScroll(1e9))
    assert annotator.brush_radius == 1
    on_stage(annotator, "wheel", 60, 40, delta=-400)
    assert not annotator._layout.stage.view.is_fit


# -- any sequence ------------------------------------------------------------

places = st.tuples(st.floats(-30, 150), st.floats(-30, 110)) | st.sampled_from(
    [(float("nan"), 3.0), (1e300, -1e300), (0.0, 80.0), (120.0, 0.0)]
)
flags = st.booleans()
moves = st.one_of(
    st.builds(
        lambda way, done, away: Trace(tuple(way), done, away), st.lists(places, min_size=1, max_size=5), flags, flags
    ),
    st.builds(lambda at, right, alt: Click(*at, right, right, alt), places, flags, flags),
    st.builds(lambda at: DoubleClick(*at), places),
    st.sampled_from(
        ["undo", "redo", "accept", "clear", "close_polygon", "simplify_outline", "split_selected", "zoom_in"]
    ),
    st.sampled_from(
        ["merge_selected", "subtract_neighbours", "duplicate_selected", "remove_selected", "polygon", "lasso"]
    ),
    st.tuples(st.sampled_from(["select", "select_more"]), st.integers(1, 4)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(moves, max_size=14))
def test_no_sequence_of_polygon_and_lasso_raises_or_leaves_the_image(sequence):
    session = FakeSession(sizes=[(120, 80)])
    annotator = Annotator(session)
    saved(annotator, block(10, 10), block(40, 30) | block(80, 50, 9, 9))
    annotator.take_tool("polygon")
    for step in sequence:
        if isinstance(step, tuple):
            getattr(annotator, step[0])(step[1])
        elif step in ("polygon", "lasso"):
            annotator.take_tool(step)
        elif isinstance(step, str):
            getattr(annotator, step)()
        else:
            annotator.gesture(step)
        assert all(a.mask.shape == SIZE and a.mask.any() for a in annotator.annotations)
        for ring in annotator.vertices:
            assert np.isfinite(ring).all()
            assert (ring >= 0).all()
            assert (ring <= (120, 80)).all()
    annotator.wait()
    mended = masks(annotator)
    history = annotator._edit_state.history(annotator.image.id)
    while history.can_undo:
        annotator.undo()
    assert (masks(annotator)[1] == block(10, 10)).all()
    while history.can_redo:
        annotator.redo()
    again = masks(annotator)
    assert again.keys() == mended.keys()
    assert all((again[each] == mended[each]).all() for each in again)
    annotator.close()


def test_a_failing_session_is_said_and_changes_nothing(session, monkeypatch):
    annotator = Annotator(session)
    [one] = saved(annotator, block(30, 30))
    annotator.select(one)
    annotator.take_tool("polygon")

    def update(*_, **__):
        raise ModelError("the disk is full. Delete something.")

    monkeypatch.setattr(session, "update", update)
    annotator.drag_vertex((50, 50), (70, 70))
    assert "the disk is full" in annotator.error
    assert (masks(annotator)[one] == block(30, 30)).all()


# -- the same object twice ------------------------------------------------------------------------------------------


def test_an_object_that_is_there_already_is_said_to_be(annotator, session):
    def accepted(x, y, category):
        annotator.category = category
        annotator.click(x, y)
        annotator.wait()
        annotator.accept()
        return session.kept[-1]

    first = accepted(60, 40, "coin")
    assert "nearly" not in annotator.status
    accepted(70, 40, "coin")
    assert "nearly" not in annotator.status
    again = accepted(60, 40, "rim")
    assert f"kept as rim, score 0.94 · nearly the same as coin {first.id} (IoU 1.00): Ctrl Z takes" in annotator.status
    assert again in session.kept
    annotator.undo()
    annotator.clear()
    annotator.edit(first.id)
    annotator.accept()
    assert "nearly" not in annotator.status  # it is itself


def test_masks_of_one_object_agree_from_an_iou_of_95_per_cent_on():
    def saved(id, mask):
        return FakeAnnotation(id, "0", "coin", mask, 1.0, Prompt())

    rows, columns = np.mgrid[:200, :300]
    disc = np.hypot(columns - 100, rows - 100) < 60
    shifted = [np.roll(disc, by, axis=1) for by in (1, 2, 3, 8)]
    for mask in [*shifted, disc | (np.hypot(columns - 100, rows - 100) < 62), np.roll(disc, 90, axis=1)]:
        annotations = AnnotationSet()
        annotations.replace([saved(1, disc), saved(2, mask)])
        found, iou = annotations.nearly_same(2), mask_iou(disc, mask)
        assert (found is not None) == (iou >= 0.95)
        if found is not None:
            assert (found[0].id, round(found[1], 6)) == (1, round(iou, 6))
