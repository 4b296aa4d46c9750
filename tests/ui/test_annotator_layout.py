"""The annotator's parts without a session: what they show, and what they call back."""

import asyncio
import io
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samnb.errors import ImageError, PromptError, UnknownName
from samnb.masks import Polygon
from samnb.prompts import Prompt
from samnb.ui.annotator import key_bindings as keys
from samnb.ui.annotator.annotation_list import AnnotationList, AnnotationRow
from samnb.ui.annotator.annotator import Annotator
from samnb.ui.annotator.category_chips import CategoryChips
from samnb.ui.annotator.category_palette import Chip, Palette
from samnb.ui.annotator.filmstrip import Filmstrip
from samnb.ui.annotator.image_list import ImageList
from samnb.ui.annotator.layout import AnnotatorActions, AnnotatorLayout
from samnb.ui.annotator.page import Page
from samnb.ui.annotator.shapes import Shape
from samnb.ui.annotator.side_panel import Candidates
from samnb.ui.annotator.snapshot import Snapshot, draw_snapshot, show_with_snapshot
from samnb.ui.common import style
from samnb.ui.common.stylesheet import CSS
from samnb.ui.common.thumbnails import BLANK, Thumbnails, mask_thumbnail, read_thumbnail
from tests.support.waiting import Stopwatch


class Recorder:
    """A hand that notes what it is asked for."""

    def __init__(self):
        self.__dict__["calls"] = []
        self.__dict__.update(tool="prompt", hover_on=False, detail_on=False, brush_radius=8, opacity=0.4, contour=False)

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))

    def __setattr__(self, name, value):
        self.calls.append((name, value))
        self.__dict__[name] = value


@dataclass(frozen=True)
class FakeImage:
    id: str
    filename: str
    width: int = 40
    height: int = 30
    path: str = "nowhere"


@dataclass(frozen=True)
class FakeDataset:
    name: str
    images: int
    cached: int


@dataclass
class FakeSession:
    count: int = 30
    annotated: dict = field(default_factory=dict)
    states: dict = field(default_factory=dict)
    fetched: int = 0

    def images(self, dataset=None):
        self.fetched += 1
        return [FakeImage(str(n), f"img-{n:05}.png") for n in range(self.count)]

    def datasets(self):
        return [FakeDataset("monday", self.count, 3)]

    def annotation_counts(self, dataset=None, *, review=None):
        return {} if review else self.annotated

    def image_states(self, dataset=None):
        return {}

    def encoding_state(self, image):
        return self.states.get(image.id, "unknown")


@pytest.fixture
def hand():
    return Recorder()


# -- categories ---------------------------------------------------------------------------------------------


def test_chips_show_number_name_count_and_say_so(hand):
    categories = CategoryChips(hand)
    categories.show([Chip("coin", "#112233"), Chip("rim", "#e69f00")], "rim", {"coin": 7})
    first, second = categories._chips
    assert (first.description, second.description) == ("1 coin · 7", "2 rim")
    assert first.tooltip == "Accept as coin (key 1); 7 on this image"
    assert "samnb-color-112233" in first._dom_classes
    assert "#112233" in categories._rules.value
    assert "samnb-chosen" in second._dom_classes
    assert "samnb-chosen" not in first._dom_classes
    first.click()
    assert hand.calls == [("choose_category", "coin")]
    assert (categories.name_at(2), categories.name_at(3), categories.name_at(0)) == ("rim", None, None)


def test_fewer_categories_than_before_leave_no_chip_behind(hand):
    categories = CategoryChips(hand)
    categories.show(["a", "b", "c"], "a")
    categories.show(["c"], "c")
    assert [chip.description for chip in categories._chips if chip in categories.children] == ["1 c"]


def test_the_editor_renames_and_recolours_the_chosen_category(hand):
    categories = CategoryChips(hand)
    categories.show([Chip("coin", "#112233"), Chip("rim", "#e69f00")], "coin")
    categories.toggle_editor()
    assert hand.calls == []
    categories.editor.color.value = "#0072b2"
    categories.editor.text.value = "  token "
    assert hand.calls == [("recolor_category", "coin", "#0072b2"), ("rename_category", "coin", "token")]
    categories.show([Chip("token", "#0072b2"), Chip("rim", "#e69f00")], "rim")
    assert (categories.editor.name, categories.editor.text.value) == ("rim", "rim")
    categories.editor.text.value = " "
    categories.toggle_editor()
    assert not categories.editor.is_open
    assert len(hand.calls) == 2


def test_a_palette_gives_free_colours_to_those_without():
    palette = Palette([Chip("a", "#56B4E9"), "b", Chip("c", "not a colour; }"), "d"])
    assert palette.color("a") == "#56b4e9"
    colors = [chip.color for chip in palette.chips]
    assert len(set(colors)) == 4
    assert all(len(color) == 7 for color in colors)
    palette.renew([Chip("b", "#000001"), "e"])
    assert (palette.names, palette.chosen) == (("b", "e"), "b")  # "a" was chosen, and was removed
    assert (palette.step(+1), palette.step(-1)) == ("e", "e")
    with pytest.raises(PromptError, match="expected one such as"):
        palette.recolor("b", "red")
    with pytest.raises(PromptError, match="empty"):
        palette.rename("b", " ")


def test_a_renamed_category_stays_chosen_and_one_not_saved_yet_stays():
    palette = Palette([Chip("a", "#111111"), Chip("b", "#222222")])
    palette.choose("b")
    assert palette.renew([Chip("a", "#111111"), Chip("c", "#222222"), Chip("d", "#333333")]) == {"b": "c"}
    assert (palette.names, palette.chosen) == (("a", "c", "d"), "c")
    palette.choose("new")
    assert palette.renew([Chip("a", "#111111")]) == {}
    assert (palette.names, palette.chosen) == (("a", "new"), "new")
    assert palette.is_saved("a")
    assert not palette.is_saved("new")


def test_forty_categories_have_colours():
    palette = Palette([f"c{n}" for n in range(40)])
    assert len({chip.color for chip in palette.chips[:12]}) == 12
    assert all(chip.color for chip in palette.chips)


# -- candidates ---------------------------------------------------------------------------------------------


def test_candidates_show_scores_and_pictures(hand):
    candidates = Candidates(hand.choose)
    assert [button.description for button in candidates._buttons] == ["① –", "② –", "③ –"]
    assert all(button.disabled for button in candidates._buttons)
    candidates.show([0.94, 0.81], 1, [b"one", b"two"])
    assert [cell.children[1].description for cell in candidates.children] == ["① 0.94", "② 0.81"]
    assert [cell.children[0].value for cell in candidates.children] == [b"one", b"two"]
    assert candidates._buttons[1].tooltip == "Mask 2 (Alt 2), chosen"
    candidates._buttons[0].click()
    assert hand.calls == [("choose", 0)]
    candidates.show((), 0)
    assert candidates._images[0].value == BLANK


def test_a_thumbnail_of_a_mask_is_cut_out_round_it():
    mask = np.zeros((3000, 4000), bool)
    mask[2000:2200, 3000:3300] = True
    with_mask = Image.open(io.BytesIO(mask_thumbnail(np.full((3000, 4000, 3), 200, np.uint8), mask, "#1e88e5")))
    assert with_mask.size == (176, 120)
    assert with_mask.getpixel((88, 60))[2] > with_mask.getpixel((88, 60))[0]
    assert mask_thumbnail(np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), bool), "#1e88e5") == BLANK


# -- annotations --------------------------------------------------------------------------------------------


def entries(count):
    return [AnnotationRow(n, "coin", 0.5, 0) for n in range(count)]


def test_the_latest_annotations_come_first_in_windows(hand):
    panel = AnnotationList(hand)
    panel.show(entries(100))
    assert len(panel._list.children) == 40
    assert "annotations · 100, 61–100 shown" in panel._title.value
    assert panel._rows[0].id == 99
    panel.turn(+1)
    panel.turn(+1)
    panel.turn(+1)
    assert [row.id for row in panel._rows[:20]] == list(range(19, -1, -1))
    assert len(panel._list.children) == 20
    assert "1–20 shown" in panel._title.value
    assert panel._older.disabled
    assert not panel._newer.disabled
    panel.show(entries(3))
    assert len(panel._list.children) == 3
    assert panel._newer.layout.display == "none"


def test_the_selected_annotation_is_marked_brought_into_sight_and_worked_on(hand):
    panel = AnnotationList(hand)
    panel.show_names(["coin", "rim"])
    panel.show(entries(100), [10])
    [row] = [row for row in panel._rows if row.id == 10]
    assert row.widget in panel._list.children
    assert "samnb-chosen" in row._name._dom_classes
    category, *buttons = panel._tools.children
    assert category.value == "coin"
    hand.calls.clear()
    row._name.click()
    for button in buttons:
        button.click()
    category.value = "rim"
    assert hand.calls == [
        *(("select", None), ("edit", 10), ("remove_selected",), ("open_menu", 10)),
        ("set_category_of_selected", "rim"),
    ]
    panel.show(entries(5), [10])
    assert panel._tools.layout.display == "none"


# -- images -------------------------------------------------------------------------------------------------


def test_steps_and_jumps_heed_filter_and_names():
    session = FakeSession(annotated={"2": 1, "5": 2})
    image_list = ImageList(session, None)
    image_list.go_to(image_list.images[0])
    image_list.filter("annotated")
    assert [image.id for image in image_list.shown] == ["0", "2", "5"]  # the one in hand stays in sight
    assert image_list.step(+1).id == "2"
    assert [image.id for image in image_list.shown] == ["2", "5"]
    assert image_list.step(+1).id == "5"
    assert image_list.step(+1) is None
    assert image_list.step(-1).id == "2"
    image_list.filter("open")
    assert image_list.step(+1).id == "3"
    image_list.filter("failed")
    assert image_list.step(+1) is None
    image_list.mark_failed(image_list.images[7])
    assert image_list.step(+1).id == "7"
    assert image_list.find("img-00004.png").id == "4"
    assert image_list.find("IMG-0001").id == "10"
    assert image_list.find("029").id == "29"
    assert image_list.find("nothing") is None
    assert image_list.find(" ") is None
    with pytest.raises(UnknownName, match="Did you mean 'open'"):
        image_list.filter("opne")


def test_the_next_open_image_goes_round_and_there_may_be_none():
    session = FakeSession(count=4, annotated={"2": 1, "3": 1})
    image_list = ImageList(session, None)
    image_list.go_to(image_list.images[1])
    assert image_list.next_open().id == "0"
    for image in image_list.images:
        image_list.mark_annotated(image, True)
    assert image_list.next_open() is None
    assert ImageList(FakeSession(count=0), None).next_open() is None


def test_images_that_were_added_meanwhile_are_seen_and_the_place_stays():
    session = FakeSession(count=3)
    image_list = ImageList(session, None)
    image_list.go_to(image_list.images[2])
    session.count = 5
    assert image_list.step(+1).id == "3"
    assert image_list.counts().images == 5
    assert session.fetched == 2


def test_badges_say_what_is_known():
    session = FakeSession(annotated={"0": 1}, states={"0": "cached", "1": "encoding", "2": "failed"})
    image_list = ImageList(session, None)
    image_list.mark_failed(image_list.images[3])
    shown = [image_list.badges(image) for image in image_list.images[:5]]
    assert shown == [("⚡✓", "cached, annotated"), ("⏳", "encoding"), ("⚠", "failed"), ("⚠", "failed"), ("", "")]
    assert [image.id for image in image_list.around()] == ["0", "1"]
    image_list.go_to(image_list.images[5])
    assert [image.id for image in image_list.around()] == ["6", "7", "4"]


# -- the filmstrip ------------------------------------------------------------------------------------------


def film(hand, count, read=lambda image: b"picture", **session):
    strip = Filmstrip(hand)
    strip.thumbnails.read = read
    image_list = ImageList(FakeSession(count=count, **session), None)
    if image_list.images:
        image_list.go_to(image_list.images[0])
    strip.show(image_list)
    strip.thumbnails.wait()
    return strip, image_list


def cells(strip):
    return [cell for cell in strip._cells if cell.image is not None]


def test_ten_thousand_images_have_as_many_cells_as_twenty(hand):
    read = []
    strip, image_list = film(hand, 10_000, read=lambda image: read.append(image.id) or b"picture")
    assert strip.window == (0, 18)
    assert [cell.image.id for cell in cells(strip)] == read == [str(n) for n in range(18)]
    assert all(cell._picture.value == b"picture" for cell in cells(strip))
    image_list.go_to(image_list.images[7000])
    strip.show(image_list)
    strip.thumbnails.wait()
    first, _last = strip.window
    assert first <= 7000 < first + strip._in_view
    assert len(read) == 36
    [chosen] = [cell for cell in cells(strip) if "samnb-chosen" in cell._button._dom_classes]
    assert chosen._button.description == "img-07000.png"
    assert chosen._button.tooltip == "img-07000.png · shown now"
    assert strip._slider.max == 10_000 - strip._in_view
    assert strip._count.value.count("10,000 images") == 1


def test_scrolling_moves_the_window_and_nothing_else(hand):
    strip, image_list = film(hand, 100)
    strip._listener._on_message(None, {"width": 1100.0}, [])
    assert strip._in_view == 12
    strip._listener._on_message(None, {"turned": 120}, [])
    assert strip.window[0] == 2
    strip.page(+1)
    assert strip.window[0] == 13
    strip._slider.value = 88
    assert strip.window == (88, 100)
    assert strip._right.disabled
    strip.scroll(-1000)
    assert strip.window[0] == 0
    strip.scroll(50)
    strip.show(image_list)  # the image in hand has not changed: the eyes stay where they are
    assert strip.window[0] == 50
    assert hand.calls == []


def test_cells_field_and_filter_call_back(hand):
    strip, image_list = film(hand, 5)
    cells(strip)[2]._button.click()
    strip.name.value = " 004 "
    assert strip.name.value == ""
    strip._kind.value = "open"
    assert hand.calls == [("show", image_list.images[2]), ("jump", "004"), ("filter", "open")]
    image_list.filter("open")
    strip.show(image_list)
    assert len(hand.calls) == 3


def test_an_image_that_cannot_be_read_gets_a_mark(hand):
    def read(image):
        if image.id == "1":
            raise ImageError("gone")
        return b"picture"

    strip, _ = film(hand, 3, read=read, annotated={"1": 1})
    strip.refresh()
    assert [cell._button.description for cell in cells(strip)] == ["img-00000.png", "✓⚠ img-00001.png", "img-00002.png"]
    assert "cannot be read" in cells(strip)[1]._button.tooltip


def test_no_images_no_cells(hand):
    strip, _ = film(hand, 0)
    assert cells(strip) == []
    assert strip._slider.disabled
    strip.page(+1)
    strip.close()


def test_what_is_wanted_no_longer_is_not_read():
    read = []
    images = [FakeImage(str(n), f"{n}.png") for n in range(100)]
    thumbnails = Thumbnails(lambda: None, lambda image: read.append(image.id) or b"x")
    for start in range(0, 90):
        thumbnails.want(images[start : start + 10])
    thumbnails.wait()
    assert set(read) >= {str(n) for n in range(89, 99)}
    assert len(read) < 100
    assert thumbnails.of(images[95]) == b"x"


def test_a_thumbnail_is_small_upright_and_read_from_any_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (3000, 1000), "red").save(tmp_path / "turned.jpg", exif=exif)
    Image.new("L", (3000, 1000), 80).save(tmp_path / "grey.png")
    for name, size in (("turned.jpg", (40, 120)), ("grey.png", (176, 59))):
        data = read_thumbnail(str(tmp_path / name))
        assert len(data) < 10_000
        assert Image.open(io.BytesIO(data)).size == size
    with pytest.raises(ImageError):
        read_thumbnail(str(tmp_path / "missing.png"))


# -- tools, help, keys --------------------------------------------------------------------------------------


@pytest.fixture
def layout(hand):
    hand.__dict__["gesture"] = lambda *_: None
    return AnnotatorLayout(hand, (720, 540))


def test_tools_set_and_call_and_show(layout, hand):
    layout._toolbar._tools["brush"].click()
    layout._toolbar._hover.click()
    layout._toolbar._detail.click()
    layout._toolbar._size.value = 20
    layout._toolbar.view._controls["opacity"].value = 60
    layout._toolbar.view._controls["contour"].value = True
    expected = [("tool", "brush"), ("hover_on", True), ("detail_on", True), ("brush_radius", 20)]
    expected += [("opacity", 0.6), ("contour", True)]
    assert hand.calls == expected
    layout.show_tool("brush", hover=True, detail=True)
    assert layout._toolbar._detail.tooltip.endswith(": on")
    layout.show_brush_size(1000)
    layout.show_look(0.25, False)
    layout.allow(accept=True, undo=True, redo=False)
    assert hand.calls == expected
    assert layout._toolbar._size.value == 100
    assert layout._toolbar._brush_extra.layout.display is None
    assert (layout._toolbar.undo.disabled, layout._toolbar.redo.disabled) == (False, True)
    layout.allow(accept=False, undo=False, redo=False)
    assert all(button.disabled for button in layout._mask_tools.children)


def test_escape_closes_the_help_before_it_clears(layout, hand):
    layout.toggle_help()
    assert layout.help_is_open
    layout._on_key("Escape", False)
    assert not layout.help_is_open
    assert hand.calls == []
    layout._on_key("Escape", False, False)
    assert hand.calls == [("key", "Escape", False, False)]


def test_every_control_has_a_name_and_a_tooltip(layout):
    layout.show_categories(["coin"], "coin")
    layout.show_annotations((), [AnnotationRow(1, "coin", 0.9, 0)], [1])
    seen = []

    def walk(widget):
        if not hasattr(widget, "children"):
            seen.append(widget)
        for child in getattr(widget, "children", ()):
            walk(child)

    for part in layout.parts:
        walk(part)
    controls = [
        w for w in seen if type(w).__name__ in ("Button", "Text", "Dropdown", "IntSlider", "Checkbox", "ColorPicker")
    ]
    assert len(controls) > 40
    hidden = {id(cell._button) for cell in layout.strip._cells}
    assert [w for w in controls if not w.tooltip and id(w) not in hidden] == []


def test_the_help_and_the_keys_are_one_table():
    text = keys.as_markdown()
    assert "| Ctrl Shift Z | redo (also Shift Z, Ctrl Y) |" in text
    assert all(key.shown or not key.does for key in keys.KEYS)
    names = {name for key in keys.KEYS for name in key.names}
    strokes = itertools.product(names, (False, True), (False, True), (False, True))
    found = [keys.command_for(name, ctrl=ctrl, shift=shift, alt=alt) for name, ctrl, shift, alt in strokes]
    meant = {(each.method, *each.arguments) for each in found if each}
    assert {key.method for key in keys.KEYS} == {method for method, *_ in meant}
    assert ("choose_number", 3) in meant
    assert ("choose_category_number", 9) in meant
    assert keys.command_for("5").method == "choose_category_number"
    assert keys.command_for("5", alt=True) is None
    assert keys.command_for("s", ctrl=True) is None
    assert keys.command_for("Enter", ctrl=True) is None  # runs the cell
    assert keys.command_for("Enter", shift=True) is None
    assert keys.command_for("Tab") is None
    assert keys.command_for("F5") is None
    assert keys.command_for("") is None


def test_the_help_leaves_out_keys_that_mean_something_else():
    usual, left = (dict(keys.shown_lines(without))["This object"] for without in ((), {"r"}))
    assert [line for line in usual if line not in left] == [line for line in usual if line[0] == "R"]
    assert dict(keys.shown_lines({"r"}))["Annotations"] == dict(keys.shown_lines())["Annotations"]  # Shift R


def test_the_annotator_has_what_the_parts_call():
    """All that is in the parts' protocols, and mypy compares the signatures."""
    protocols = [each for each in AnnotatorActions.__mro__ if each.__module__.startswith("samnb.ui.annotator")]
    wanted = {name for each in protocols for name in (*vars(each), *each.__annotations__) if not name.startswith("_")}
    assert len(wanted) > 30
    assert wanted <= set(dir(Annotator))


def test_colours_of_dots_are_in_the_sheet():
    assert f".samnb .{style.color_class(0)}::before" in style.sheet().value
    assert style.color_rules(["#ABCDEF", "#abcdef"]).count("background") == 1


# -- the still picture --------------------------------------------------------------------------------------


def square(x, y, side, color="#e69f00"):
    corners = np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], float)
    return Shape((Polygon(corners, ()),), color)


def test_a_still_picture_has_annotations_the_draft_title_and_legend():
    pixels = np.full((1000, 2000, 3), 90, np.uint8)
    mask = np.zeros((1000, 2000), bool)
    mask[100:300, 1500:1700] = True
    shapes = [square(100, 100, 200), square(-50, -50, 60), square(1990, 990, 500)]
    prompt = Prompt.of(points=[(1600, 800)], box=(1000, 500, 1900, 900))
    plain = draw_snapshot(pixels, shapes, mask=mask, prompt=prompt)
    assert plain.shape == (360, 720, 3)
    red, _, blue = plain[72, 72]
    assert red > blue + 30
    assert plain[72, 576, 2] > plain[72, 576, 0] + 30
    assert (pixels == 90).all()
    assert draw_snapshot(pixels, title="coins", legend=[("coin · 3", "#e69f00")]).shape == (404, 720, 3)


def test_two_thousand_shapes_are_drawn_in_a_moment():
    shapes = [square(x, y, 8) for x in range(0, 1000, 20) for y in range(0, 800, 20)]
    assert len(shapes) == 2000
    watch = Stopwatch()
    draw_snapshot(np.full((800, 1000, 3), 90, np.uint8), shapes)
    assert watch.seconds < 30


def test_the_still_picture_is_renewed_once_after_many_changes(monkeypatch):
    published, drawn = [], []
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data, *a, **kw: published.append(kw["update"]))
    monkeypatch.setattr("samnb.ui.annotator.snapshot._QUIET", 0.02)

    def draw():
        drawn.append(1)
        return np.full((8, 8, 3), len(drawn), np.uint8)

    async def main():
        still = Snapshot(draw)
        still.changed()  # nothing is displayed yet
        still.display()
        for _ in range(50):
            still.changed()
        while len(published) < 2:
            await asyncio.sleep(0.01)
        still.close()
        still.changed()
        await asyncio.sleep(0.03)  # a timer of its own, had it set one, would be over before
        assert not still._worker.busy

    asyncio.run(asyncio.wait_for(main(), 300))
    assert published == [False, True]
    assert len(drawn) == 2
    Snapshot(draw).changed()  # without an event loop


@pytest.mark.parametrize("apart", [True, False])
def test_where_it_cannot_be_hidden_the_still_picture_is_part_of_the_widgets_output(monkeypatch, apart):
    published = []
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data, *a, **kw: published.append(data))
    monkeypatch.setattr(Snapshot, "is_hidden_here", staticmethod(lambda: apart))
    show_with_snapshot({"text/html": "the widget", "image/png": "y"}, Snapshot(lambda: np.zeros((8, 8, 3), np.uint8)))
    assert ["image/png" in data for data in published] == ([False, True] if apart else [True])
    assert published[0]["text/html"] == "the widget"


def test_the_documentation_has_the_table_of_keys():
    assert keys.as_markdown() in (Path(__file__).parents[2] / "docs" / "annotator.md").read_text(encoding="utf-8")


def test_what_the_page_cannot_do_is_said():
    said = []
    page = Page(said.append)
    page._on_message(page, {"say": "this front end opens no tabs"}, [])
    assert said == ["this front end opens no tabs"]


def test_buttons_are_large_enough_for_fingers():
    coarse = CSS[CSS.index("(pointer: coarse)") :]
    coarse = coarse[: coarse.index("\n}")]
    sizes = [int(size) for size in re.findall(r"(?:height|width): (\d+)px", coarse)]
    assert min(sizes) >= 32
    assert ".samnb-button.samnb-plain" in coarse


def test_the_brush_s_size_takes_the_place_of_what_is_about_prompts(layout):
    toolbar = layout._toolbar
    about_prompts = (toolbar._hover, toolbar._detail, toolbar._on_next)
    for tool, painting in (("brush", True), ("erase", True), ("prompt", False), ("polygon", False)):
        layout.show_tool(tool)
        assert (toolbar._brush_extra.layout.display == "none") is not painting
        assert all((each.layout.display == "none") is painting for each in about_prompts)


# -- the status line ------------------------------------------------------------------------------------------------


def test_what_an_action_said_stays_until_the_next_action(layout):
    layout.say("kept as coin")
    layout.note("score 0.94")
    layout.note("")
    layout.show_tool("brush")
    assert layout.status == "kept as coin"
    layout.tell("rim was renamed elsewhere")
    assert layout.status == "kept as coin · rim was renamed elsewhere"
    for _ in range(2):  # the last news alone: a line has an end
        layout.tell("dot was removed elsewhere")
    assert layout.status == "kept as coin · dot was removed elsewhere"
    layout.begin_action()
    layout.note("score 0.81")
    assert layout.status == "score 0.81"
    layout.say("searching a.png …")  # goes on: what comes along may replace it
    layout.note("score 0.9")
    assert layout.status == "score 0.9"
    layout.tell("2 objects offered")
    layout.tell("3 objects offered")
    layout.note("")
    assert layout.status == "3 objects offered"
