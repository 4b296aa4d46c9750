"""The stage without a browser: the view, gestures, what is sent to the page."""

import json
import threading

import ipycanvas.canvas
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samnb.masks import Polygon, mask_polygons
from samnb.prompts import Prompt
from samnb.ui.annotator.gestures import (
    BoxDrag,
    Click,
    DoubleClick,
    Gestures,
    Hover,
    HoverEnd,
    Pan,
    PointDrag,
    PointRemove,
    Stroke,
)
from samnb.ui.annotator.image_pyramid import ImagePyramid, render
from samnb.ui.annotator.pointer_listener import PointerListener
from samnb.ui.annotator.shapes import Shape, drawing
from samnb.ui.annotator.stage import Stage
from samnb.ui.annotator.viewport import Viewport, stage_size
from tests.support.waiting import Stopwatch

NUMBERS = ipycanvas.canvas.COMMANDS
# One image pixel is four CSS pixels, with 50 of them above and below.
VIEW = Viewport((100, 50), (400, 300))


def event(kind, x, y, **more):
    """At a place in CSS pixels of VIEW's stage."""
    return {"event": kind, "x": x / 400, "y": y / 300, "button": 0, **more}


def read(*events, tool="prompt", points=(), box=None, view=VIEW):
    gestures = Gestures()
    gestures.tool = tool
    return [gestures.read(each, view, points, box) for each in events]


@pytest.fixture
def heard():
    return []


@pytest.fixture
def stage(heard):
    keys = []
    stage = Stage((400, 300), on_gesture=heard.append, on_key=lambda *key: keys.append(key))
    stage.keys = keys
    yield stage
    stage.wait()


@pytest.fixture
def sent(monkeypatch):
    """The messages with their commands, from here on; the names are those of ipycanvas."""
    messages = []
    names = {number: name for name, number in NUMBERS.items()}

    def keep(commands, buffers=()):
        commands = commands if isinstance(commands[0], list) else [commands]
        messages.append([(names[c[0]], c[1]) for c in commands])
        json.dumps(commands)

    monkeypatch.setattr(ipycanvas.canvas._CANVAS_MANAGER, "_send_custom", keep)
    return messages


# -- the view -------------------------------------------------------------------------------------------------

sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
moves = st.lists(
    st.one_of(
        st.tuples(st.just("zoomed"), st.floats(0.1, 10), st.tuples(st.floats(0, 720), st.floats(0, 540))),
        st.tuples(st.just("panned"), st.floats(-900, 900), st.floats(-900, 900)),
        st.tuples(st.sampled_from(["fitted", "at_actual_size"])),
        st.tuples(st.just("resized"), st.tuples(st.floats(100, 2000), st.floats(100, 2000)), st.floats(0.5, 4)),
    ),
    max_size=8,
)


@given(
    image=sizes,
    backing=st.sampled_from([1.0, 1.25, 2.0]),
    moves=moves,
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_in_any_view_canvas_and_image_coordinates_are_each_others_inverse(image, backing, moves, place):
    view = Viewport(image, stage_size([image], (720, 540)), backing)
    for name, *arguments in moves:
        view = getattr(view, name)(*arguments)
    point = (place[0] * image[0], place[1] * image[1])
    [[x, y]] = view.to_canvas([point]).tolist()
    width, height = (side * view.backing for side in view.stage_size)
    if 0 <= x <= width and 0 <= y <= height:
        assert view.to_image(x / width, y / height) == pytest.approx(point, abs=1e-6 * max(image))
    x0, y0, x1, y1 = view.visible
    assert 0 <= x0 < x1 <= image[0]
    assert 0 <= y0 < y1 <= image[1]


@given(image=sizes, factor=st.floats(1, 8), at=st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)))
def test_zooming_keeps_the_pixel_under_the_pointer(image, factor, at):
    view = Viewport(image, stage_size([image], (720, 540))).zoomed(2.0)
    place = (at[0] * view.stage_size[0], at[1] * view.stage_size[1])
    before, closer = view.to_image(*at), view.zoomed(factor, place)
    moved = [abs(a - b) * closer.scale for a, b in zip(closer.to_image(*at), before, strict=True)]
    whole = [i * closer.scale <= s + 1 or i * view.scale <= s + 1 for i, s in zip(image, view.stage_size, strict=True)]
    assert all(m <= 1 or w for m, w in zip(moved, whole, strict=True)), "a pixel of the screen at most"


def test_actual_size_is_one_image_pixel_on_one_of_the_screen():
    view = Viewport((4000, 3000), (800, 600), 2.0).at_actual_size()
    assert view.scale * view.backing == pytest.approx(1)
    assert all(float(side * view.backing).is_integer() for side in view.offset)
    assert Viewport((40, 30), (800, 600), 2.0).at_actual_size().scale == pytest.approx(0.5)


def test_a_fitted_picture_cannot_be_moved_and_a_large_one_not_out_of_sight():
    assert VIEW.panned(50, 50) == VIEW
    closer = VIEW.zoomed(4).panned(1e6, -1e6)
    assert closer.visible[0] == 0
    assert closer.visible[3] == 50


# -- gestures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "background"), [({}, False), ({"shift": True}, True), ({"button": 2}, True), ({"ctrl": True}, True)]
)
def test_which_clicks_are_background(more, background):
    right = background and not more.get("shift")
    click = Click(10, 10, background, right=right)
    assert read(event("down", 40, 90, **more), event("up", 42, 91, **more)) == [None, click]


def test_a_drag_is_a_band_and_then_a_box_from_any_corner():
    down, move = event("down", 200, 150), event("move", 40, 90)
    assert read(down, move, event("up", 40, 90), event("move", 50, 50))[1:] == [
        BoxDrag(10, 10, 50, 25, False),
        BoxDrag(10, 10, 50, 25, True),
        None,
    ]


def test_a_drag_over_the_edge_is_a_box_to_the_edge_and_goes_on_inside():
    outside = event("move", 900, 1000)
    assert read(event("down", 200, 150), outside, event("up", 300, 200))[1:] == [
        BoxDrag(50, 25, 100, 50, False),
        BoxDrag(50, 25, 75, 37.5, True),
    ]


def test_a_touch_taken_away_is_no_click():
    assert read(event("down", 40, 90), event("cancel", 40, 90)) == [None, None]


def test_a_drag_that_a_second_finger_ends_changes_nothing():
    """Of a box, a point, a side of a box, and a brush."""
    moved = event("down", 200, 150), event("move", 240, 170), event("cancel", 240, 170)
    nothing = BoxDrag(50, 25, 50, 25, False)
    assert read(*moved)[-1] == nothing
    assert read(*moved, points=((50.0, 25.0),))[-1] == nothing
    assert read(*moved, box=(50.0, 25.0, 90.0, 45.0))[-1] == nothing
    stroke = read(*moved, tool="brush")[-1]
    assert (stroke.done, stroke.lost) == (True, True)


def test_a_point_is_dragged_or_removed():
    points = ((10.0, 10.0), (50.0, 25.0))
    assert read(event("down", 203, 152), event("move", 240, 170), event("up", 244, 170), points=points)[1:] == [
        PointDrag(1, 60, 30, False),
        PointDrag(1, 61, 30, True),
    ]
    for more in ({"button": 2}, {"alt": True}):
        assert read(event("down", 41, 92, **more), event("up", 41, 92, **more), points=points)[1] == PointRemove(0)
    assert read(event("down", 41, 92), event("up", 41, 92), points=points)[1] == Click(10.25, 10.5)


@pytest.mark.parametrize("more", [{"button": 1}, {"space": True}])
def test_the_middle_button_and_space_move_the_picture(more):
    assert read(event("down", 100, 100, **more), event("move", 90, 120, **more))[1] == Pan(
        pytest.approx(-10), pytest.approx(20)
    )


def test_a_stroke_keeps_every_place_it_went_over():
    way = [[0.25, 0.5], [0.5, 0.5]]
    painted = read(event("down", 40, 150), event("move", 200, 150, way=way), event("up", 240, 150), tool="brush")
    assert painted[0] == Stroke(((10, 25),), False)
    assert painted[1] == Stroke(((10, 25), (25, 25), (50, 25)), False)
    assert painted[2] == Stroke(((10, 25), (25, 25), (50, 25), (60, 25)), True)


def test_hover_ends_beside_the_picture():
    assert read(event("hover", 40, 90), event("hover", 40, 20), event("leave", 0, 0)) == [
        Hover(10, 10),
        HoverEnd(),
        HoverEnd(),
    ]


def test_a_double_click_and_a_drag_of_the_select_tool():
    assert read(event("double", 40, 90)) == [DoubleClick(10, 10)]
    assert read(event("down", 40, 90), event("move", 60, 90), tool="select")[1] == Pan(pytest.approx(20), 0)
    assert read(event("down", 40, 90), event("up", 40, 90), tool="select")[1] == Click(10, 10)


anything = st.fixed_dictionaries(
    {
        "event": st.sampled_from(
            ["down", "move", "up", "cancel", "hover", "leave", "double", "wheel", "size", "settled", "?"]
        )
    },
    optional={
        "x": st.floats(-3, 3) | st.sampled_from([float("nan"), float("inf"), None]),
        "y": st.floats(-3, 3),
        "button": st.integers(0, 4),
        "shift": st.booleans(),
        "space": st.booleans(),
        "alt": st.booleans(),
        "delta": st.floats(-1e4, 1e4),
        "width": st.floats(0, 3000),
        "ratio": st.floats(0, 5),
        "way": st.lists(st.lists(st.floats(-2, 2), min_size=2, max_size=2), max_size=3),
    },
)


@settings(deadline=None)
@given(st.lists(anything, max_size=15), st.sampled_from(["prompt", "brush", "erase", "select", "polygon", "lasso"]))
def test_whatever_the_page_tells_nothing_raises_or_lies_outside(events, tool):
    heard = []
    stage = Stage((400, 300), on_gesture=heard.append, on_key=lambda *_: None)
    stage.show_picture(np.zeros((50, 100, 3), np.uint8))
    stage.show_prompt(Prompt.of(points=[(10, 10)]))
    stage.tool = tool
    stage._on_events(events)
    for gesture in heard:
        for name in ("x", "x0", "x1"):
            assert 0 <= getattr(gesture, name, 0) <= 100
        for x, y in getattr(gesture, "points", ()):
            assert 0 <= x <= 100
            assert 0 <= y <= 50
    stage.wait()
    assert not ipycanvas.canvas._CANVAS_MANAGER._caching
    stage.close()


# -- the stage ------------------------------------------------------------------------------------------------


def test_a_click_lands_on_its_pixel_in_every_view_and_size(stage, heard):
    stage.show_picture(np.zeros((600, 800, 3), np.uint8))
    for width, ratio, zoom in [(400, 1, 1), (400, 2, 3), (613.5, 1.25, 7), (900, 2, 20)]:
        stage._on_events([{"event": "size", "width": width, "height": 0.75 * width, "ratio": ratio}])
        assert (stage.canvas.width, stage.canvas.height) == (round(width * ratio), round(width * 0.75 * ratio))
        stage.fit()
        stage.zoom(zoom, (width / 3, width / 3))
        x, y = (side + 0.5 for side in map(int, stage.view.to_image(0.4, 0.6)))
        left, top = stage.view.to_stage(x, y)
        place = {"x": left / width, "y": top / (width * 0.75), "button": 0}
        stage._on_events([{"event": "down", **place}, {"event": "up", **place}])
        assert (heard[-1].x, heard[-1].y) == pytest.approx((x, y), abs=1e-3)


def test_wheel_and_middle_drag_change_the_view_and_are_not_told(stage, heard):
    seen = []
    stage._on_view = lambda: seen.append(stage.view)
    stage.show_picture(np.zeros((300, 400, 3), np.uint8))
    assert not stage.listener.zoomed
    stage._on_events([{"event": "wheel", "x": 0.5, "y": 0.5, "delta": -300}])
    assert stage.view.scale > 1.5
    assert stage.listener.zoomed
    drag = [{"event": "down", "button": 1, "x": 0.5, "y": 0.5}, {"event": "move", "x": 0.6, "y": 0.5}]
    stage._on_events(drag)
    assert seen[-1].visible[0] < seen[-2].visible[0]
    assert heard == []


def test_keys_come_with_their_modifiers_and_those_of_the_page_are_not_kept(stage):
    stage._on_events([{"event": "key", "key": "z", "ctrl": True, "shift": True}])
    stage._on_events([{"event": "key", "key": "2", "alt": True}])
    assert stage.keys == [("z", True, True, False), ("2", False, False, True)]
    kept = {tuple(key) for key in stage.listener.keys_kept}
    assert {("enter", False, False, False), ("2", False, None, True)} <= kept
    assert not {
        key
        for key in kept
        if key[:2] == ("s", True) or key[0] == "tab" or (key[0] == "enter" and (key[1] or key[2] is not False))
    }


def test_hover_is_told_only_when_wanted(stage):
    assert stage.listener.hover is False
    stage.wants_hover = True
    assert stage.listener.hover is True


def test_the_ring_of_the_brush_has_the_size_of_the_stroke(stage):
    stage.show_picture(np.zeros((300, 400, 3), np.uint8))
    stage.brush_radius = 20
    assert stage.listener.ring == 0
    stage.tool = "brush"
    assert stage.listener.ring == pytest.approx(20 / 400)
    stage.zoom(2)
    assert stage.listener.ring == pytest.approx(40 / 400)
    stage.brush_radius = 0
    assert stage.listener.ring == 0


def test_a_message_is_acknowledged_even_when_it_was_not_understood(caplog):
    def fails(events):
        raise ZeroDivisionError("oops")

    answers = []
    listener = PointerListener(fails)
    listener.send = lambda content, buffers=None: answers.append(content)
    listener._on_message(listener, {"view": "a", "seq": 7, "events": [{"event": "up"}]}, [])
    assert answers == [{"view": "a", "ack": 7}]
    assert "oops" in caplog.text


# -- what goes over the wire ------------------------------------------------------------------------------------


def ring_shape(**more):
    rows, columns = np.mgrid[:200, :200]
    distance = np.hypot(rows - 100, columns - 100)
    return Shape(tuple(mask_polygons((distance < 80) & (distance > 40))), "#1e88e5", **more)


def test_a_mask_with_a_hole_is_one_filled_and_two_stroked_outlines(stage, sent):
    stage.show_picture(np.zeros((200, 200, 3), np.uint8))
    stage.wait()
    sent.clear()
    stage.show_mask(ring_shape())
    [commands] = sent
    names = [name for name, _ in commands]
    assert names.count("fillStyledPolygons") == 1
    [fill] = [arguments for name, arguments in commands if name == "fillStyledPolygons"]
    strokes = [arguments for name, arguments in commands if name == "strokeStyledPolygons"]
    assert fill[0] == 1
    assert [arguments[0] for arguments in strokes] == [2, 2]


def test_a_keyhole_covers_what_the_polygon_covers():
    import cv2

    square = np.array([(0, 0), (40, 0), (40, 40), (0, 40)], float)
    hole = np.array([(10, 10), (10, 30), (30, 30), (30, 10)], float)
    [outline] = Shape((Polygon(square, (hole,)),), "#000000").keyholes
    drawn = cv2.fillPoly(np.zeros((41, 41), np.uint8), [outline.astype(np.int32)], 1)
    assert drawn[5, 5] == drawn[35, 35] == 1
    assert drawn[20, 20] == drawn[15, 25] == 0


def test_two_thousand_annotations_are_one_short_message(stage, sent):
    stage.show_picture(np.zeros((3000, 4000, 3), np.uint8))
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    circle = 25 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    shapes = [
        Shape((Polygon(circle + np.array([30 + 66 * (i % 60), 30 + 80 * (i // 60)])),), "#e69f00", id=i)
        for i in range(2000)
    ]
    stage.wait()
    sent.clear()
    watch = Stopwatch()
    stage.show_saved(shapes, selected=[5])
    assert watch.seconds < 30
    [commands] = sent
    assert len(commands) < 30
    stage.zoom(10)
    drawn = [arguments for message in list(sent) for name, arguments in message if name == "fillStyledPolygons"]
    assert drawn[-1][0] < 60, "what is out of sight is not sent"


def test_drawing_that_fails_does_not_leave_the_canvas_held(stage):
    manager, layer = ipycanvas.canvas._CANVAS_MANAGER, stage.canvas[0]
    with pytest.raises(ZeroDivisionError), drawing(), drawing():
        layer.fill_rect(0, 0, 5, 5 / 0)
    assert not manager._caching
    with pytest.raises(TypeError), drawing():
        layer.fill_rect(0, 0, np.int64(5), 5)
    assert not manager._caching
    assert manager._commands_cache == []


def test_opacity_contour_and_hidden_annotations(stage, sent):
    stage.show_picture(np.zeros((200, 200, 3), np.uint8))
    stage.show_saved([ring_shape(id=1)])
    names = lambda: [name for message in sent for name, _ in message]  # noqa: E731
    sent.clear()
    stage.set_look(contour=True)
    assert "fillStyledPolygons" not in names()
    assert "strokeStyledPolygons" in names()
    sent.clear()
    stage.set_look(saved=False)
    assert "strokeStyledPolygons" not in names()


def test_the_picture_alone_has_no_mask_prompt_or_proposal_on_it(stage, sent):
    stage.show_picture(np.zeros((200, 200, 3), np.uint8))
    stage.show_saved([ring_shape(id=1)])
    stage.show_mask(ring_shape())
    stage.show_proposals([ring_shape()])
    stage.show_prompt(Prompt.of(points=[(5, 5)], box=(10, 10, 50, 50)))
    stage.show_vertices([np.array([(5.0, 5.0), (50.0, 5.0), (50.0, 50.0)])])
    drawn = {"fillStyledPolygons", "strokeStyledPolygons", "fillCircle", "strokeRect", "fillRect"}
    names = lambda: {name for message in sent for name, _ in message}  # noqa: E731
    sent.clear()
    stage.hide_masks(True)
    stage.show_prompt(Prompt.of(points=[(6, 6)], box=(10, 10, 50, 50)))
    assert not names() & drawn
    assert stage.vertex_overlay.lengths == []
    sent.clear()
    stage.hide_masks(False)
    assert {"fillStyledPolygons", "strokeStyledPolygons", "fillCircle", "strokeRect"} <= names()
    assert stage.vertex_overlay.lengths == [3]


def test_the_same_prompt_is_not_drawn_twice(stage, sent):
    stage.show_picture(np.zeros((200, 200, 3), np.uint8))
    stage.show_prompt(Prompt.of(points=[(5, 5)]))
    stage.wait()
    sent.clear()
    stage.show_prompt(Prompt.of(points=[(5, 5)]))
    assert sent == []


def test_a_new_page_gets_files_and_outlines_again(stage, sent):
    stage.show_picture(np.zeros((200, 200, 3), np.uint8))
    stage.show_mask(ring_shape())
    stage.show_prompt(Prompt.of(points=[(5, 5)]))
    stage.wait()
    sent.clear()
    stage._on_client_ready()
    [commands] = sent
    assert {"putImageData", "drawImage", "fillStyledPolygons", "fillCircle"} <= {name for name, _ in commands}


def test_two_threads_never_draw_into_each_others_message(stage):
    other = Stage((400, 300), on_gesture=print, on_key=print)
    for each in (stage, other):
        each.show_picture(np.zeros((200, 200, 3), np.uint8))

    def draw(each):
        for number in range(30):
            each.show_prompt(Prompt.of(points=[(number, number)]))
            each.zoom(1.01)

    threads = [threading.Thread(target=draw, args=(each,)) for each in (stage, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not ipycanvas.canvas._CANVAS_MANAGER._caching


# -- large pictures ---------------------------------------------------------------------------------------------


def marked(width, height):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width).astype(np.uint8)
    pixels[:, :, 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    return pixels


def test_only_what_is_seen_is_sent_at_the_resolution_of_the_screen():
    view = Viewport((6000, 4500), (400, 300), 2.0)
    pyramid = ImagePyramid(marked(6000, 4500))
    whole = render(pyramid, view)
    assert whole.size == (800, 600)
    near = view.zoomed(12, (100, 100))
    part = render(pyramid, near)
    assert part.size[0] <= 802
    assert part.box[0] <= near.visible[0] + 1e-6
    assert part.box[2] >= near.visible[2] - 1


@pytest.mark.parametrize("zoom", [1, 1.7, 3.1, 9, 40])
def test_a_part_lies_where_it_is_drawn(zoom):
    import io

    from PIL import Image

    pixels = marked(3000, 2000)
    view = Viewport((3000, 2000), (300, 200), 2.0).zoomed(zoom, (200, 60))
    raster = render(ImagePyramid(pixels), view)
    seen = np.asarray(Image.open(io.BytesIO(raster.data))).astype(float)
    x, y = view.to_image(0.37, 0.61)
    fx = (x - raster.box[0]) / (raster.box[2] - raster.box[0]) * raster.size[0]
    fy = (y - raster.box[1]) / (raster.box[3] - raster.box[1]) * raster.size[1]
    shown = seen[min(int(fy), seen.shape[0] - 1), min(int(fx), seen.shape[1] - 1)]
    assert shown[:2] == pytest.approx([x / 3000 * 255, y / 2000 * 255], abs=3)


def test_a_large_picture_is_there_at_once_coarse_and_then_sharp(stage):
    stage.show_picture(marked(4000, 3000))
    assert stage._background._whole.raster is not None
    stage.wait()
    assert stage._background._whole.raster.size == (800, 600)
    stage.zoom(8)
    stage.wait()
    assert stage._background._part.raster.view == stage.view


def test_two_fingers_zoom_around_their_middle_and_move_the_picture(stage):
    stage.show_picture(np.zeros((600, 800, 3), np.uint8))
    stage._on_events([{"event": "size", "width": 800, "height": 600, "ratio": 1}])
    held = stage.view.to_image(0.25, 0.5)
    stage._on_events([{"event": "pinch", "factor": 3, "x": 0.25, "y": 0.5, "dx": 0, "dy": 0}])
    assert stage.view.zoom == pytest.approx(3)
    assert stage.view.to_image(0.25, 0.5) == pytest.approx(held, abs=1)
    stage._on_events([{"event": "pinch", "factor": 1, "x": 0.5, "y": 0.5, "dx": 0.1, "dy": 0}])
    assert stage.view.to_image(0.35, 0.5) == pytest.approx(held, abs=1)


def test_a_stage_of_any_shape_shows_the_whole_picture_in_its_middle(stage):
    stage.show_picture(np.zeros((600, 800, 3), np.uint8))
    stage._on_events([{"event": "size", "width": 1600, "height": 300, "ratio": 2}])
    assert (stage.canvas.width, stage.canvas.height) == (3200, 600)
    assert stage.view.to_stage(400, 300) == pytest.approx((800, 150))
    assert stage.view.scale == pytest.approx(0.5)
