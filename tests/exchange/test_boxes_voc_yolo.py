"""Objects that are only boxes, and the readers of Pascal VOC and YOLO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samnb import Session
from samnb.cli import main
from samnb.errors import FormatError, ImageNotFound, PromptError, UnknownOption
from samnb.exchange.readers.voc import read_voc
from tests.support.export_work import SIZE, square
from tests.support.import_work import coco_file, contents, drawn, labelme_file

HEIGHT, WIDTH = SIZE
BOX = (10, 5, 30, 25)


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def yolo_box(x0: int, y0: int, x1: int, y1: int) -> str:
    return f"{(x0 + x1) / 2 / WIDTH} {(y0 + y1) / 2 / HEIGHT} {(x1 - x0) / WIDTH} {(y1 - y0) / HEIGHT}"


def yolo_outline(x0: int, y0: int, x1: int, y1: int) -> str:
    return " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def voc_xml(*objects: str, filename: str = "left/a.png", size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    sides = f"<width>{size[0]}</width><height>{size[1]}</height><depth>3</depth>"
    return f"<annotation><filename>{filename}</filename><size>{sides}</size>{''.join(objects)}</annotation>"


def voc_object(name: str, x0: int, y0: int, x1: int, y1: int, more: str = "") -> str:
    box = f"<bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
    return f"<object><name>{name}</name>{more}{box}</object>"


@pytest.fixture
def session(opened: Any, photos: Path) -> Session:
    found: Session = opened("s")
    found.add(photos, show=False)
    return found


# -- boxes ---------------------------------------------------------------------------------------------


def _coco(tmp_path: Path) -> tuple[str, Path]:
    x0, y0, x1, y1 = BOX
    return "coco", coco_file(tmp_path / "a.json", [{"bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": []}])


def _labelme(tmp_path: Path) -> tuple[str, Path]:
    shape = {"label": "coin", "shape_type": "rectangle", "points": [BOX[:2], BOX[2:]]}
    return "labelme", labelme_file(tmp_path / "a.json", [shape], imagePath="left/a.png")


def _voc(tmp_path: Path) -> tuple[str, Path]:
    return "voc", text(tmp_path / "a.xml", voc_xml(voc_object("coin", *BOX)))


def _yolo(tmp_path: Path) -> tuple[str, Path]:
    text(tmp_path / "data" / "classes.txt", "coin\n")
    text(tmp_path / "data" / "labels" / "left" / "a.txt", f"0 {yolo_box(*BOX)}\n")
    return "yolo", tmp_path / "data"


MAKERS = [_coco, _labelme, _voc, _yolo]


@pytest.mark.parametrize("make", MAKERS)
def test_the_model_draws_the_masks_of_boxes(make: Callable[[Path], tuple[str, Path]], session, photos, tmp_path):
    format, place = make(tmp_path)
    expected = session.predict(photos / "left" / "a.png", box=BOX)

    report = session.import_(format, place, from_boxes=True, show=False)

    assert (report.added, report.failed) == (1, ())
    assert "1 mask drawn by the model from boxes" in str(report)
    (made,) = session.annotations()
    np.testing.assert_array_equal(made.mask, expected.mask)
    assert (made.category, made.source, made.score) == ("coin", f"import:{format}", pytest.approx(expected.score))
    assert made.prompt["box"] == list(BOX)
    assert made.record.model == expected.model


@pytest.mark.parametrize(("score", "waits"), [(0.9, 0), (0.87, 1)])
def test_masks_that_the_model_doubts_wait_for_a_review(score: float, waits: int, session, tmp_path, monkeypatch):
    real = session._predictor.predict
    monkeypatch.setattr(
        session._predictor, "predict", lambda *given: real(*given).but(scores=np.full(3, score, np.float32))
    )
    report = session.import_(*_coco(tmp_path), from_boxes=True)
    assert len(session.to_review()) == waits
    assert ("1 of them to review" in str(report)) == bool(waits)


@pytest.mark.parametrize("make", MAKERS)
def test_a_second_import_draws_nothing(make: Callable[[Path], tuple[str, Path]], session, tmp_path, monkeypatch):
    format, place = make(tmp_path)
    session.import_(format, place, from_boxes=True, show=False)
    before = contents(session)
    monkeypatch.setattr(session._predictor, "predict", lambda *_, **__: pytest.fail("drawn again"))

    again = session.import_(format, place, from_boxes=True, show=False)

    assert (again.added, again.already) == (0, 1)
    assert contents(session) == before


def test_a_box_that_is_twice_in_a_file_comes_twice_and_once_more_not(session, tmp_path):
    x0, y0, x1, y1 = BOX
    box = {"bbox": [x0, y0, x1 - x0, y1 - y0]}
    place = coco_file(tmp_path / "a.json", [box, box])
    assert session.import_("coco", place, from_boxes=True).added == 2
    assert session.import_("coco", place, from_boxes=True).already == 2


def test_a_mask_from_a_box_that_was_changed_by_hand_is_left(session, tmp_path):
    _, place = _coco(tmp_path)
    session.import_("coco", place, from_boxes=True)
    (made,) = session.annotations()
    changed = session.update(made, mask=square(*BOX[:2], 19))
    assert session.import_("coco", place, from_boxes=True).added == 0
    (left,) = session.annotations()
    np.testing.assert_array_equal(left.mask, changed.mask)


@pytest.mark.parametrize("make", [_coco, _voc, _yolo])
def test_boxes_alone_are_reported_with_the_way_out(make: Callable[[Path], tuple[str, Path]], session, tmp_path):
    format, place = make(tmp_path)
    report = session.import_(format, place, show=False)
    assert report.added == 0
    assert [failure.reason for failure in report.failed] == ["it has no segmentation; a box alone is no mask"]
    assert report.notes == ("1 object only a box: from_boxes=True lets the model draw the mask",)


def test_rectangles_of_labelme_are_masks_unless_they_are_to_be_drawn(session, tmp_path):
    format, place = _labelme(tmp_path)
    assert session.import_(format, place, show=False).added == 1
    assert session.annotations()[0].area == 20 * 20


def test_masks_in_the_file_are_not_drawn(session, tmp_path):
    polygon = [10, 5, 30, 5, 30, 25, 10, 25]
    place = coco_file(tmp_path / "a.json", [{"segmentation": [polygon], "bbox": [10, 5, 20, 20]}])
    report = session.import_("coco", place, from_boxes=True)
    assert (report.added, report.notes) == (1, ())
    assert session.annotations()[0].area == 20 * 20


def test_masks_of_a_model_are_not_made_by_hand(session, tmp_path):
    format, place = _coco(tmp_path)
    with pytest.raises(PromptError, match="by_hand"):
        session.import_(format, place, by_hand=True, from_boxes=True)
    assert not session.annotations()


def test_a_box_on_a_picture_as_stored_is_turned_with_it(session, tmp_path):
    # turned.png lies on its side in the file: its height and width there are those of SIZE exchanged.
    lying = {"id": 1, "file_name": "turned.png", "height": WIDTH, "width": HEIGHT}
    place = coco_file(tmp_path / "a.json", [{"bbox": [5, 10, 20, 8]}], images=[lying])
    report = session.import_("coco", place, from_boxes=True)
    assert report.added == 1
    assert session.annotations()[0].prompt["box"] == [WIDTH - 18, 5, WIDTH - 10, 25]


def test_what_cannot_be_drawn_is_reported_and_the_rest_goes_on(session, photos, tmp_path):
    bad = [[1, 2, 3], ["a", 1, 2, 3], [1, 1, float("nan"), 2], [500, 500, 9, 9], [1, 1, 0, 5], 7, [1, 1, 10**400, 2]]
    (photos / "right" / "a.png").unlink()
    images = [
        {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
        for number, name in ((1, "left/a.png"), (2, "right/a.png"))
    ]
    good = [{"bbox": [10, 5, 20, 20]}, {"bbox": [10, 5, 20, 20], "image_id": 2}]
    place = coco_file(tmp_path / "a.json", [{"bbox": box} for box in bad] + good, images=images)

    report = session.import_("coco", place, from_boxes=True)

    assert report.added == 1
    assert len(report.failed) == len(bad) + 1
    reasons = [failure.reason for failure in report.failed]
    assert sum("broken bbox" in reason for reason in reasons) == 4
    assert any("right" in reason for reason in reasons)


def test_the_command_draws_from_boxes(session, tmp_path, capsys):
    format, place = _coco(tmp_path)
    folder = session.folder
    session.close()
    assert main(["import", str(folder), format, str(place), "--from-boxes"]) == 0
    assert "1 mask drawn by the model" in capsys.readouterr().out


# -- Pascal VOC ----------------------------------------------------------------------------------------


def test_an_export_of_voc_comes_back(first, opened, photos, tmp_path):
    for one in first.annotations(image="turned.png"):  # one of them lies below another
        first.remove(one)
    small = first.annotations(category="coin")[0]
    first.add_attribute("side", kind="choice", choices=["left", "right"])
    first.update(small, attributes={"side": "left"})
    first.export("voc", tmp_path / "voc")
    other = opened("other")
    other.add(photos, dataset="monday", show=False)

    report = other.import_("voc", tmp_path / "voc")

    assert report.failed == ()
    assert contents(other) == contents(first)
    assert other.categories() == first.categories()
    assert [one.attributes.get("side") for one in other.annotations(image="münze 1.png", category="coin")] == ["left"]
    assert other.import_("voc", tmp_path / "voc").added == 0


def test_files_of_labelimg_are_read(session, tmp_path):
    # LabelImg names no folder that is here, writes 0 for a size that it does not know, and flags as 0 or 1.
    more = "<pose>Unspecified</pose><truncated>1</truncated><difficult>0</difficult>"
    head = "<folder>elsewhere</folder><path>C:\\photos\\left\\a.png</path>"
    xml = voc_xml(voc_object("coin", *BOX, more=more), size=(0, 0)).replace("<filename>", head + "<filename>")
    text(tmp_path / "xml" / "a.xml", xml)
    text(tmp_path / "xml" / "empty.xml", voc_xml(filename="turned.png"))

    report = session.import_("voc", tmp_path / "xml", from_boxes=True)

    assert (report.added, report.images, report.failed) == (1, 2, ())
    assert session.annotations()[0].attributes == {"truncated": True}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation>&b;</annotation>', "document type"),
        ("<annotation><object>", "no XML"),
        ("", "no XML"),
        ("<html/>", "expected <annotation>"),
        ("<?xml version='1.0' encoding='no such'?><annotation/>", "no XML"),
    ],
)
def test_a_file_that_is_no_voc_is_refused(content: str, reason: str, session, tmp_path):
    place = text(tmp_path / "xml" / "a.xml", content)
    with pytest.raises(FormatError, match=reason):
        session.import_("voc", place)
    text(place.with_name("b.xml"), voc_xml())
    report = session.import_("voc", place.parent)
    assert [reason in failure.reason for failure in report.failed] == [True]
    assert report.images == 1


def test_a_folder_without_xml_is_refused(session, tmp_path):
    with pytest.raises(ImageNotFound, match="Pascal VOC"):
        session.import_("voc", tmp_path)


def test_bad_objects_of_voc_are_reported(session, tmp_path):
    broken = "<object><name>coin</name><bndbox><xmin>a</xmin></bndbox></object>"
    xml = voc_xml("<object/>", broken, voc_object("coin", *BOX))
    report = session.import_("voc", text(tmp_path / "a.xml", xml), from_boxes=True)
    assert report.added == 1
    assert [(failure.path, failure.reason.split(":")[0]) for failure in report.failed] == [
        ("a.xml, object 1", "it has no name"),
        ("a.xml, object 2", "a broken bndbox"),
    ]


def test_names_that_cannot_be_printed_come_back(tmp_path):
    text(tmp_path / "Annotations" / "a.xml", voc_xml())
    text(tmp_path / "labels.txt", 'coin\n"a\\u200bb"\n"quoted\n\n')
    assert read_voc(tmp_path).categories == ("coin", "a\u200bb", '"quoted')


# -- YOLO ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"val": 0.4}, {"pictures": False}])
def test_an_export_of_yolo_comes_back(options: dict[str, Any], first, opened, photos, tmp_path):
    first.export("yolo", tmp_path / "yolo", tolerance=0, **options)
    other = opened("other")
    other.add(photos, dataset="monday", show=False)

    report = other.import_("yolo", tmp_path / "yolo")

    assert report.failed == ()
    assert contents(other) == contents(first)
    assert other.categories() == first.categories()
    assert other.import_("yolo", tmp_path / "yolo" / "data.yaml").added == 0


def test_pictures_that_are_only_in_the_folder_are_added(opened, tmp_path):
    drawn(tmp_path / "data" / "images" / "train" / "a.png")
    text(tmp_path / "data" / "labels" / "train" / "a.txt", f"0 {yolo_outline(*BOX)}")
    session = opened("new")
    refused = session.import_("yolo", tmp_path / "data")
    assert "images=" in refused.failed[0].reason
    report = session.import_("yolo", tmp_path / "data", images=tmp_path / "data")
    assert (report.pictures_added, report.added, report.failed) == (1, 1, ())


@pytest.mark.parametrize(
    ("pictures", "labels", "root"),
    [
        ("images/train", "labels/train", "."),  # Ultralytics
        ("train/images", "train/labels", "."),  # Roboflow
        ("obj_train_data", "obj_train_data", "."),  # Darknet
        ("images", "labels", "labels"),  # the folder of the labels itself
        ("one/images/two", "one/labels/two", "."),
        (".", ".", "."),
    ],
)
def test_the_picture_is_found_in_every_usual_layout(pictures: str, labels: str, root: str, opened, tmp_path):
    data = tmp_path / "data"
    drawn(data / pictures / "a.png", seed=1)
    drawn(data / "elsewhere" / "a.png", seed=2)
    text(data / labels / "a.txt", f"0 {yolo_outline(*BOX)}")
    text(data / labels / "classes.txt", "coin")
    session = opened("s")
    session.add([data / "elsewhere", data / pictures / "a.png"], show=False)

    report = session.import_("yolo", data / root)

    assert (report.added, report.failed) == (1, ())
    (made,) = session.annotations()
    assert Path(session.image(made.record.image_id).path) == data / pictures / "a.png"
    assert (made.category, made.area) == ("coin", 400)


NAMED = [
    ("data.yaml", "names: [coin, no]\n", ["coin", "no"]),
    ("data.yaml", "names:\n  0: coin\n  1: 12\n", ["coin", "12"]),
    ("dataset.yml", 'path: .\nnames: {0: " coin ", x: y}\n', ["coin"]),
    ("obj.names", "coin\n\nleaf\n", ["coin", "class 1", "leaf"]),
]


@pytest.mark.parametrize(("file", "content", "expected"), NAMED)
def test_names_are_read_where_tools_write_them(file: str, content: str, expected: list[str], session, tmp_path):
    text(tmp_path / "data" / file, content)
    text(tmp_path / "data" / "labels" / "left" / "a.txt", f"0 {yolo_outline(*BOX)}")
    session.import_("yolo", tmp_path / "data")
    assert session.categories() == expected
    assert session.annotations()[0].category == "coin"


def test_numbers_without_names_are_told(session, tmp_path):
    text(tmp_path / "data" / "labels" / "left" / "a.txt", f"1 {yolo_outline(*BOX)}")
    report = session.import_("yolo", tmp_path / "data")
    assert 'categories=["cat", …] names 0, 1' in str(report)
    assert session.annotations()[0].category == "class 1"
    named = session.import_("yolo", tmp_path / "data", categories=["coin", "leaf"])
    assert (named.notes, session.annotations()[-1].category) == ((), "leaf")


LINES = [
    ("0", "0 numbers"),
    ("0 0.1 0.2", "2 numbers"),
    ("coin 0.1 0.1 0.1 0.1", "expected numbers"),
    ("-1 0.1 0.1 0.1 0.1", "number of a category"),
    ("0.5 0.1 0.1 0.1 0.1", "number of a category"),
    ("nan 0.1 0.1 0.1 0.1", "number of a category"),
    ("0 40 30 10 10", "from 0 to 1"),
    ("0 nan 0.1 0.1 0.1", "from 0 to 1"),
    ("0 0.1 0.1 0.2 0.2 0.3 0.3 7", "from 0 to 1"),
    ("0 0.5 0.5 0.0001 0.0001", "a box alone"),
    ("0 0.1 0.1 0.1 0.1 0.1 0.1", "empty mask"),
]


def test_bad_lines_of_yolo_are_reported_and_the_rest_goes_on(session, tmp_path):
    lines = [line for line, _ in LINES] + ["", f"0 {yolo_outline(*BOX)} 0.25"]
    text(tmp_path / "data" / "labels" / "left" / "a.txt", "\n".join(lines))
    report = session.import_("yolo", tmp_path / "data", categories=["coin"])
    assert report.added == 1
    assert session.annotations()[0].score == 0.25
    reasons = {failure.path: failure.reason for failure in report.failed}
    for number, (_, reason) in enumerate(LINES, 1):
        assert reason in reasons[str(Path("labels", "left", f"a.txt, line {number}"))], number
    assert len(reasons) == len(LINES)


def test_of_keypoints_only_the_box_is_read(session, tmp_path):
    text(tmp_path / "data" / "data.yaml", "names: [coin]\nkpt_shape: [2, 3]\n")
    text(tmp_path / "data" / "labels" / "left" / "a.txt", f"0 {yolo_box(*BOX)} 0.3 0.3 2 0.4 0.4 1")
    assert session.import_("yolo", tmp_path / "data", from_boxes=True).added == 1
    assert session.annotations()[0].prompt["box"] == list(BOX)


def test_two_pictures_of_one_name_are_reported(session, tmp_path):
    for suffix in (".png", ".bmp"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(text(tmp_path / "data" / "images" / f"b{suffix}", ""))
    text(tmp_path / "data" / "labels" / "b.txt", "")
    (failure,) = session.import_("yolo", tmp_path / "data").failed
    assert "several pictures" in failure.reason


@pytest.mark.parametrize("content", ["names: [", "- a\n- b\n", "\x00", "a: &a [*a, *a]\n" * 2 + "b: *c"])
def test_a_broken_data_yaml_is_refused(content: str, session, tmp_path):
    place = text(tmp_path / "data" / "data.yaml", content)
    text(tmp_path / "data" / "labels" / "left" / "a.txt", "")
    with pytest.raises(FormatError, match=r"data\.yaml"):
        session.import_("yolo", place)


def test_what_is_no_folder_of_yolo_is_refused(session, tmp_path):
    with pytest.raises(ImageNotFound, match="YOLO"):
        session.import_("yolo", tmp_path)
    with pytest.raises(FormatError, match="yaml"):
        session.import_("yolo", text(tmp_path / "a.txt", ""))
    text(tmp_path / "labels" / "a.txt", "")
    with pytest.raises(PromptError, match="categories"):
        session.import_("yolo", tmp_path, categories="coin")
    with pytest.raises(UnknownOption, match="from_boxes"):
        session.import_("yolo", tmp_path, crowds=True)


def test_the_folder_that_data_yaml_names_is_read(session, tmp_path):
    place = text(tmp_path / "yaml" / "data.yaml", "path: ../data\nnames: [coin]\n")
    text(tmp_path / "data" / "labels" / "left" / "a.txt", f"0 {yolo_outline(*BOX)}")
    assert session.import_("yolo", place).added == 1
