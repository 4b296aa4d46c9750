"""Objects that are only boxes, and the readers of Pascal VOC and YOLO."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samnb import Session
from samnb.cli import main
from samnb.errors import FormatError, ImageNotFound, PromptError, UnknownOption
from samnb.exchange.importing import import_job
from samnb.exchange.readers.voc import read_voc
from samnb.prompts import Prompt
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
    assert sum("broken bbox" in reason for reason in reasons) == 3
    assert any("right" in reason for reason in reasons)


def test_the_command_draws_from_boxes(session, tmp_path, capsys):
    format, place = _coco(tmp_path)
    folder = session.folder
    session.close()
    assert main(["import", str(folder), format, str(place), "--from-boxes"]) == 0
    assert "1 mask drawn by the model" in capsys.readouterr().out


def test_a_picture_that_is_gone_is_told_once(session, photos, tmp_path):
    (photos / "left" / "a.png").unlink()
    place = coco_file(tmp_path / "a.json", [{"bbox": [10, 5, 20, 20 - number]} for number in range(4)])
    report = session.import_("coco", place, from_boxes=True)
    assert [failure.path for failure in report.failed] == ["a.json, annotation 1", "a.png"]
    assert "3 more boxes not tried" in report.failed[1].reason


def test_a_refined_mask_is_not_drawn_once_more(session, tmp_path):
    _, place = _coco(tmp_path)
    session.import_("coco", place, from_boxes=True)
    (made,) = session.annotations()
    refined = Prompt.of(box=BOX, points=[(15, 10)])
    session.update(made, mask=square(*BOX[:2], 4), prompt=refined, category="medal")
    report = session.import_("coco", place, from_boxes=True)
    assert (report.added, report.already) == (0, 1)


@pytest.mark.parametrize("drawn_first", [False, True])
def test_a_rectangle_is_one_object_drawn_or_not(drawn_first: bool, session, tmp_path):
    format, place = _labelme(tmp_path)
    session.import_(format, place, from_boxes=drawn_first)
    report = session.import_(format, place, from_boxes=not drawn_first)
    assert (report.added, report.already) == (0, 1)


def test_the_same_boxes_rounded_otherwise_are_there_already(session, tmp_path):
    session.import_("coco", coco_file(tmp_path / "a.json", [{"bbox": [10.5, 5.5, 20, 20]}]), from_boxes=True)
    assert session.import_(*_yolo(tmp_path), from_boxes=True).already == 1


def test_a_cancelled_import_keeps_what_was_drawn(session, tmp_path):
    place = coco_file(tmp_path / "a.json", [{"bbox": [2 + number, 5, 20, 20]} for number in (0, 9, 18, 27)])
    job = import_job(
        "coco",
        place,
        session._library,
        add=session.add,
        on_changed=session.changes.emit,
        draw=lambda image, prompt: job.cancel() or session._predictor.predict(image, prompt),
        options={},
    )
    last = job.run()
    assert last.details["report"].added == 1
    assert len(session.annotations()) == 1


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


# Where the masks of VOC lie.


def voc_folder(folder: Path, xml: str, values: np.ndarray, name: str = "a") -> Path:
    text(folder / "Annotations" / f"{name}.xml", xml)
    place = folder / "SegmentationObject" / f"{name}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(place)
    return folder


def labelled(*boxes: tuple[int, int, int, int], colours: Sequence[Any] = (1, 2, 3)) -> np.ndarray:
    values = np.zeros((*SIZE, *np.shape(colours[0])), np.uint8)
    for (x0, y0, x1, y1), colour in zip(boxes, colours, strict=False):
        values[y0:y1, x0:x1] = colour
    return values


OTHER = (35, 10, 50, 30)


@pytest.mark.parametrize("colours", [(1, 2), [(128, 0, 0), (0, 128, 0)]])
def test_an_object_gets_the_pixels_in_its_box_whatever_their_number(colours: Any, session, tmp_path):
    # As CVAT writes masks: boxes are other objects, and come first.
    folder = voc_folder(tmp_path / "voc", voc_xml(voc_object("coin", *BOX)), labelled(OTHER, BOX, colours=colours))
    report = session.import_("voc", folder)
    assert report.added == 1
    np.testing.assert_array_equal(session.annotations()[0].mask, square(*BOX[:2], 20))
    (failure,) = report.failed
    assert "1 number in it" in failure.reason
    assert 'import_("masks"' in failure.reason


def test_an_object_without_pixels_is_a_box(session, tmp_path):
    xml = voc_xml(voc_object("coin", *BOX), voc_object("void", *OTHER))
    folder = voc_folder(tmp_path / "voc", xml, labelled(BOX))
    assert session.import_("voc", folder).notes == (
        "1 object only a box: from_boxes=True lets the model draw the mask",
    )
    assert session.import_("voc", folder, from_boxes=True).added == 1
    assert session.annotations(category="void")[0].prompt["box"] == list(OTHER)


def test_masks_in_folders_below_are_found(session, tmp_path):
    folder = voc_folder(tmp_path / "voc", voc_xml(voc_object("coin", *BOX)), labelled(BOX), name="sub/a")
    assert session.import_("voc", folder).added == 1


def test_a_damaged_png_leaves_the_boxes(session, tmp_path):
    folder = voc_folder(tmp_path / "voc", voc_xml(voc_object("coin", *BOX)), labelled(BOX))
    (folder / "SegmentationObject" / "a.png").write_bytes(b"no png")
    report = session.import_("voc", folder, from_boxes=True)
    assert (report.added, len(report.failed)) == (1, 1)


def test_an_own_export_says_nothing_of_objects_at_the_edge(first, photos, tmp_path):
    for one in first.annotations(image="turned.png"):  # one lies below another
        first.remove(one)
    first.accept_mask(photos / "right" / "a.png", square(0, 0, 5), category="coin")
    first.export("voc", tmp_path / "voc")
    report = first.import_("voc", tmp_path / "voc")
    assert report.added == 0
    assert not first.attributes()
    assert not any("attributes" in note for note in report.notes)


def test_the_path_of_labelimg_tells_pictures_of_one_name_apart(session, photos, tmp_path):
    for side in ("left", "right"):
        xml = voc_xml(voc_object(side, *BOX), filename="a.png")
        hint = f"<filename>a.png</filename><path>/home/other/photos/{side}/a.png</path>"
        text(tmp_path / "xml" / side / "a.xml", xml.replace("<filename>a.png</filename>", hint))
    assert session.import_("voc", tmp_path / "xml", from_boxes=True).added == 2
    for side in ("left", "right"):
        assert session.annotations(image=photos / side / "a.png")[0].category == side


@pytest.mark.parametrize("filename", ["a", "a.jpg", ""])
def test_the_picture_beside_an_xml_file_is_found_by_its_stem(filename: str, opened, tmp_path):
    drawn(tmp_path / "xml" / "a.png")
    text(tmp_path / "xml" / "a.xml", voc_xml(voc_object("coin", *BOX), filename=filename))
    report = opened("new").import_("voc", tmp_path / "xml", images=tmp_path / "xml", from_boxes=True)
    assert (report.pictures_added, report.added) == (1, 1)


def test_hidden_copies_are_not_read(session, tmp_path):
    _, place = _voc(tmp_path / "xml")
    for hidden in (".ipynb_checkpoints/a-checkpoint.xml", "__MACOSX/._a.xml", "._b.xml"):
        text(tmp_path / "xml" / hidden, place.read_text())
    report = session.import_("voc", tmp_path / "xml", from_boxes=True)
    assert (report.added, report.failed) == (1, ())
    _, file = _labelme(tmp_path / "lm")
    text(tmp_path / "lm" / ".ipynb_checkpoints" / "a-checkpoint.json", file.read_text())
    assert session.import_("labelme", tmp_path / "lm").already == 1


@pytest.mark.parametrize("value", ["True", "true"])
def test_flags_of_cvat_are_flags(value: str, session, tmp_path):
    more = f"<attributes><attribute><name>wet</name><value>{value}</value></attribute></attributes>"
    text(tmp_path / "a.xml", voc_xml(voc_object("coin", *BOX, more=more)))
    session.import_("voc", tmp_path / "a.xml", from_boxes=True)
    assert session.annotations()[0].attributes == {"wet": True}


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
    ("obj.names", "coin\n\nleaf\n\n\n", ["coin", "leaf"]),
    ("_darknet.labels", "coin\r\n", ["coin"]),
    ("labels/classes.txt", "coin\n", ["coin"]),
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
    ("0 0.5 0.5 0.2 0.2", "a box alone"),
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


def outline_file(path: Path, number: int = 0) -> Path:
    return text(path, f"{number} {yolo_outline(*BOX)}")


@pytest.mark.parametrize("stem", ["test", "train", "val", "classes"])
def test_a_picture_may_be_called_as_a_list(stem: str, opened, tmp_path):
    data = tmp_path / "data"
    drawn(data / "images" / f"{stem}.png")
    outline_file(data / "labels" / f"{stem}.txt")
    assert opened("s").import_("yolo", data, images=data, categories=["coin"]).added == 1


def test_lists_and_texts_are_no_labels(session, tmp_path):
    data = tmp_path / "data"
    for name in (
        "train.txt",
        "Validation.txt",
        "requirements.txt",
        "LICENSE.txt",
        "README.txt",
        "obj.names",
        "empty.txt",
    ):
        text(data / name, "" if name == "empty.txt" else "left/a.png\ncoin==2\n")
    outline_file(data / "left" / "a.txt")
    report = session.import_("yolo", data, categories=["coin"])
    assert (report.added, report.failed) == (1, ())


@pytest.mark.parametrize("file", ["classes.txt", "data.yaml"])
def test_each_folder_has_its_own_names(file: str, session, tmp_path):
    for side, names in (("left", "coin leaf"), ("right", "leaf coin")):
        one, other = names.split()
        text(tmp_path / side / file, f"{one}\n{other}\n" if file == "classes.txt" else f"names: [{one}, {other}]")
        outline_file(tmp_path / side / "labels" / "a.txt")
    assert session.import_("yolo", tmp_path).added == 2
    assert [one.category for one in session.annotations()] == ["coin", "leaf"]


def test_a_label_is_not_of_another_split(opened, tmp_path):
    drawn(tmp_path / "photos" / "val" / "a.png")
    outline_file(tmp_path / "data" / "labels" / "train" / "a.txt")
    session = opened("s")
    session.add(tmp_path / "photos", show=False)
    report = session.import_("yolo", tmp_path / "data", categories=["coin"])
    assert (report.added, report.failed[0].path) == (0, "train/a (1 object)")


def test_an_export_that_lost_an_image_comes_back_right(opened, tmp_path):
    session = opened("s")
    for seed, name in enumerate(("a.bmp", "a.png", "a.tif")):
        session.add(drawn(tmp_path / "photos" / name, seed=seed), show=False)
        session.accept_mask(name, square(3 * seed, 3, 5), category="coin")
    (tmp_path / "photos" / "a.bmp").unlink()
    session.export("yolo", tmp_path / "yolo", tolerance=0)
    fresh = opened("fresh")
    fresh.import_("yolo", tmp_path / "yolo", images=tmp_path / "photos")
    assert contents(fresh) == contents(session)[1:]


def test_a_folder_is_read_and_not_the_one_that_its_data_yaml_names(session, tmp_path):
    text(tmp_path / "copy" / "data.yaml", f"path: {tmp_path / 'original'}\nnames: [coin]")
    outline_file(tmp_path / "original" / "labels" / "left" / "a.txt")
    outline_file(tmp_path / "copy" / "labels" / "right" / "a.txt")
    session.import_("yolo", tmp_path / "copy")
    assert Path(session.image(session.annotations()[0].record.image_id).path).parent.name == "right"
    assert session.import_("yolo", tmp_path / "copy" / "data.yaml").added == 1
    assert len({one.record.image_id for one in session.annotations()}) == 2


def test_pictures_and_labels_elsewhere_are_found(session, tmp_path):
    place = text(
        tmp_path / "code" / "data.yaml", "train: ../coins/images/left\nval: [../coins/images/left]\nnames: [coin]"
    )
    drawn(tmp_path / "coins" / "images" / "left" / "a.png", seed=1)
    outline_file(tmp_path / "coins" / "labels" / "left" / "a.txt")
    assert session.import_("yolo", place).added == 1
    place.write_text("path: gone\nnames: [coin]")
    with pytest.raises(ImageNotFound, match="YOLO"):
        session.import_("yolo", place)


def test_numbers_of_tracks_are_no_corners(session, tmp_path):
    text(tmp_path / "labels" / "left" / "a.txt", f"0 {yolo_box(*BOX)} 0.75 12")
    assert session.import_("yolo", tmp_path, categories=["coin"], from_boxes=True).added == 1


def test_the_data_yaml_above_counts(session, tmp_path):
    text(tmp_path / "data.yaml", "names: [coin]\nkpt_shape: [2, 3]\n")
    text(tmp_path / "train" / "labels" / "left" / "a.txt", f"0 {yolo_box(*BOX)} 0.3 0.3 2 0.4 0.4 1")
    assert session.import_("yolo", tmp_path / "train", from_boxes=True).added == 1
    assert session.annotations()[0].category == "coin"
    assert session.import_("yolo", tmp_path / "train" / "labels", from_boxes=True).already == 1


def test_categories_that_are_given_count(session, tmp_path):
    text(tmp_path / "data.yaml", "names: [other]")
    outline_file(tmp_path / "labels" / "left" / "a.txt")
    session.import_("yolo", tmp_path, categories=["coin"])
    assert session.categories() == ["coin"]


def test_the_labels_of_one_split_find_their_pictures(opened, tmp_path):
    for seed, split in enumerate(("train", "val")):
        drawn(tmp_path / "images" / split / "a.png", seed=seed)
    outline_file(tmp_path / "labels" / "train" / "a.txt")
    session = opened("s")
    session.add(tmp_path / "images", show=False)
    report = session.import_("yolo", tmp_path / "labels" / "train", categories=["coin"])
    assert (report.added, report.failed) == (1, ())
    assert Path(session.image(session.annotations()[0].record.image_id).path).parent.name == "train"


def test_pictures_that_exif_turns_are_told(session, tmp_path):
    outline_file(tmp_path / "labels" / "turned.txt")
    report = session.import_("yolo", tmp_path, categories=["coin"])
    assert any("turned by EXIF" in note for note in report.notes)


def test_linked_folders_and_capital_suffixes_are_read(session, tmp_path):
    outline_file(tmp_path / "real" / "left" / "a.TXT")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "data")
    assert session.import_("yolo", tmp_path / "data", categories=["coin"]).added == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_the_place_of_a_text_is_not_waited_for(session, tmp_path):
    outline_file(tmp_path / "left" / "a.txt")
    os.mkfifo(tmp_path / "notes.txt")
    assert session.import_("yolo", tmp_path, categories=["coin"]).added == 1
