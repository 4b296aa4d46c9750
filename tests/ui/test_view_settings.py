"""How picture and annotations are shown: colours, what is hidden, overlaps, dashes, the map, brightness."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from samnb.masks import decode_rle, encode_rle
from samnb.masks.rle import overlap_rle
from samnb.records import UNSURE
from samnb.ui.annotator.annotator import Annotator
from samnb.ui.annotator.picture_look import PictureLook
from tests.support.fake_session import FakeSession


@pytest.fixture
def session():
    return FakeSession(sizes=[(120, 80), (120, 80)])


@pytest.fixture
def annotator(session):
    widget = Annotator(session)
    yield widget
    widget.close()


def accepted(annotator, x, category):
    annotator.category = category
    annotator.click(x, 40.0)
    annotator.wait()
    annotator.accept()
    annotator.wait()
    return annotator.annotations[-1]


def shapes(annotator):
    return annotator._layout.stage._saved


def test_the_draft_has_the_colour_of_its_category(annotator):
    annotator.add_category("coin")
    annotator.add_category("hole")
    annotator.click(40, 40)
    annotator.wait()
    stage, palette = annotator._layout.stage, annotator._palette
    assert stage._mask.color == palette.color("hole")
    annotator.category = "coin"
    assert stage._mask.color == palette.color("coin") != palette.color("hole")
    assert stage.overlay.dashes.startswith("M")
    annotator.clear()
    assert stage.overlay.dashes == ""


def test_colours_tell_the_category_or_the_object(annotator):
    for x in (20, 60, 100):
        accepted(annotator, x, "coin")
    assert len({shape.color for shape in shapes(annotator)}) == 1
    annotator.key("t")
    assert annotator.color_by == "object"
    assert len({shape.color for shape in shapes(annotator)}) == 3
    annotator._layout._toolbar.view._controls["color_by"].value = "category"
    assert len({shape.color for shape in shapes(annotator)}) == 1
    with pytest.raises(Exception, match="way to colour"):
        annotator.color_by = "size"


def test_a_category_is_hidden_and_all_masks_while_a_key_is_held(annotator):
    accepted(annotator, 20, "coin")
    accepted(annotator, 60, "hole")
    annotator._layout._chips._eyes[0].click()
    assert [shape.label for shape in shapes(annotator)] == ["hole"]
    assert annotator._layout._chips._eyes[0].icon == "eye-slash"
    assert len(annotator._layout._list._entries) == 2  # the list still has both
    annotator._layout._chips._eyes[0].click()
    assert len(shapes(annotator)) == 2
    stage = annotator._layout.stage
    stage._on_events([{"event": "key", "key": "x"}])
    assert stage._hidden
    stage._on_events([{"event": "key_up", "key": "x"}])
    assert not stage._hidden
    assert stage.listener.keys_held == ["x"]


def test_overlapping_pixels_are_marked_on_request(annotator):
    accepted(annotator, 40, "coin")
    accepted(annotator, 50, "hole")
    stage = annotator._layout.stage
    assert stage._overlap is None
    annotator.overlap = True
    annotator.wait()
    x0, _, x1, _ = stage._overlap.box
    assert 30 <= x0 < x1 <= 60
    annotator.remove(annotator.annotations[-1].id)
    annotator.wait()
    assert stage._overlap is None
    annotator.undo()
    annotator.wait()
    assert stage._overlap is not None
    annotator.show("1.png")
    annotator.wait()
    assert stage._overlap is None


def test_unsure_finds_look_unsure(annotator, session):
    found = accepted(annotator, 40, "coin")
    session.update(found, review=UNSURE, source="template:coins@1")
    annotator.wait()
    [shape] = shapes(annotator)
    assert shape.unsure
    assert "template:coins@1" in shape.label
    row = annotator._layout._list._rows[0]
    assert row._name.description.startswith("? coin")
    assert "unsure, from template:coins@1" in row._name.tooltip
    row._accept.click()
    assert session.kept[0].review == "accepted"
    assert not shapes(annotator)[0].unsure


def test_the_map_and_the_zoom_are_shown_while_a_part_is_in_view(annotator):
    overlay = annotator._layout.stage.overlay
    assert (overlay.visible, overlay.zoom, overlay.picture) == ([], "", b"")
    annotator.zoom_in()
    annotator.zoom_in()
    x0, y0, x1, y1 = overlay.visible
    assert 0 < x0 < x1 < 1
    assert 0 < y0 < y1 < 1
    assert overlay.zoom.endswith(" %")
    assert Image.open(io.BytesIO(overlay.picture)).size == (120, 80)
    overlay._on_message(None, {"center": [0.0, 1.0]}, None)
    assert (overlay.visible[0], overlay.visible[3]) == (0, 1)
    overlay._on_message(None, {"center": "nowhere"}, None)  # is logged, and nothing else
    annotator.fit()
    assert overlay.visible == []


def test_the_crosshair_and_the_opacity_have_keys(annotator):
    annotator.key("w")
    assert annotator.crosshair
    assert annotator._layout._toolbar.view._controls["crosshair"].value
    annotator.key("}", shift=True)
    assert annotator.opacity == pytest.approx(0.5)
    assert annotator.status == "opacity 50 %"


def test_the_picture_is_shown_otherwise_and_the_model_gets_it_as_it_is(annotator, session):
    stage = annotator._layout.stage
    stage.wait()
    before = stage._background._whole.raster
    annotator.brightness = 0.5
    annotator.channel = "red"
    annotator.contrast = 9
    stage.wait()
    assert annotator.contrast == 5
    data = np.asarray(Image.open(io.BytesIO(stage._background._whole.raster.data)))
    assert data[0, 0].tolist() == [68, 68, 68]  # ((90 / 255 - 0.5) * 5 + 0.5 + 0.5) * 255
    annotator.reset_picture()
    stage.wait()
    assert stage._background._whole.raster.data == before.data
    assert annotator._layout._toolbar.view._controls["channel"].value == "colour"
    assert session.pixels(annotator.image)[0, 0, 0] == 90


def test_looks_of_a_picture():
    pixels = np.array([[[200, 100, 0], [0, 0, 255]]], np.uint8)
    assert PictureLook().of(pixels) is pixels
    assert PictureLook(channel="blue").of(pixels)[0].tolist() == [[0, 0, 0], [255, 255, 255]]
    assert PictureLook(channel="grey").of(pixels)[0, 0].tolist() == [118, 118, 118]
    assert PictureLook(contrast=2).of(pixels)[0, 0].tolist() == [255, 72, 0]
    assert PictureLook(brightness=-1).of(pixels).max() == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), max_size=4))
def test_common_pixels_are_those_of_the_decoded_masks(masks):
    stack = np.array(masks, bool).reshape(-1, 3, 4)
    common = overlap_rle([encode_rle(mask) for mask in stack], (3, 4))
    np.testing.assert_array_equal(decode_rle(common), stack.sum(axis=0) >= 2)
