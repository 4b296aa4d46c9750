"""Folders and files as labelme, X-AnyLabeling and CVAT write them, made by hand: no object is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from pycocotools import mask as coco_mask

from samnb.annotations.category_file import read_labels
from samnb.errors import ImageError
from samnb.exchange.image_matching import ImageMatcher
from samnb.exchange.readers.objects import ImageReference
from samnb.exchange.writers.layout import Names
from samnb.images import path_ends
from tests.support.export_work import SIZE, square
from tests.support.import_work import coco_file, drawn, labelme_file, polygon
from tests.support.waiting import Stopwatch

CORNERS = [[10, 5], [20, 5], [20, 15], [10, 15]]
BOX = square(10, 5, 10)


def shape(label="cat", kind="polygon", points=CORNERS, **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def embedded(path):
    return base64.b64encode(path.read_bytes()).decode()


def test_a_tree_of_labelme(opened, tmp_path):
    """As its examples: a tutorial whose file names itself, pictures beside, in folders, and inside the JSON files."""
    tree = tmp_path / "examples"
    one = drawn(tree / "tutorial" / "apc.png", seed=1)
    labelme_file(
        tree / "tutorial" / "apc.json", [shape(group_id=None), shape("dog", "rectangle", [[1, 1], [5, 9]])],
        imagePath="apc.json", imageData=embedded(one), version="4.0.0",
    )  # fmt: skip
    for number, folder in enumerate(("semantic", "instance"), 2):
        picture = drawn(tree / folder / "data" / "2011_000003.png", seed=number)
        labelme_file(
            tree / folder / "data" / "2011_000003.json",
            [
                shape("person", group_id=3), shape("person", points=[[30, 5], [40, 5], [40, 9]], group_id=3),
                shape("__ignore__", points=[[50, 5], [55, 5], [55, 9]]),
            ],
            imagePath="2011_000003.png", imageData=embedded(picture) if number == 2 else None,
        )  # fmt: skip
        (tree / folder / "labels.txt").write_text("\ufeff__ignore__\n_background_\nperson\n", encoding="utf-8")
    lone = drawn(tmp_path / "lone.png", seed=9)
    labelme_file(tree / "video" / "00000100.json", [shape()], imagePath="00000100.png", imageData=embedded(lone))
    session = opened("s")
    report = session.import_("labelme", tree, images=tree)
    assert (report.failed, report.added, report.pictures_added) == ((), 5, 4)
    assert "2 shapes marked as no object, left out" in report.notes[0]
    assert {image.filename for image in session.images()} == {"apc.png", "2011_000003.png", "00000100.png"}
    assert session.import_("labelme", tree, images=tree).added == 0


def test_a_picture_inside_the_file_is_known_by_its_pixels(opened, tmp_path):
    picture = drawn(tmp_path / "a.png")
    session = opened("s")
    session.add(picture, show=False)
    other = drawn(tmp_path / "b.png", seed=5)
    labelme_file(tmp_path / "j" / "x.json", [shape()], imagePath="gone.png", imageData=embedded(picture))
    labelme_file(tmp_path / "j" / "y.json", [shape()], imagePath="a.png", imageData=embedded(other))
    report = session.import_("labelme", tmp_path / "j")
    assert report.added == 1
    [failure] = report.failed
    assert "imageData" in failure.reason


def test_a_file_of_labelme_that_names_no_picture_has_its_own_name(opened, tmp_path):
    drawn(tmp_path / "a.png")
    labelme_file(tmp_path / "a.json", [shape("cat")], imagePath="", imageData=None)
    session = opened("s")
    report = session.import_("labelme", tmp_path, images=tmp_path)
    assert (report.failed, report.added) == ((), 1)
    labelme_file(tmp_path / "b.json", [shape("cat")], imagePath=" ", imageData=None)
    [failure] = session.import_("labelme", tmp_path / "b.json").failed
    assert "b.json" in failure.path


@pytest.mark.parametrize("kind", ["rectangle", "rotation", "quadrilateral", "polygon", "oriented_rectangle"])
def test_a_folder_of_x_anylabeling(opened, tmp_path, kind):
    drawn(tmp_path / "a.png")
    more = {"score": 0.5, "difficult": False, "description": "", "attributes": {}, "kie_linking": []}
    labelme_file(
        tmp_path / "a.json", [shape("cat", kind, direction=0, **more), shape(1, kind, score=None)],
        imagePath="a.png", imageData=None, version="2.5.4",
    )  # fmt: skip
    session = opened("s")
    report = session.import_("labelme", tmp_path, images=tmp_path)
    assert (report.failed, report.added) == ((), 2)
    for one in session.annotations():
        np.testing.assert_array_equal(one.mask, BOX)
    assert [(one.category, one.score) for one in session.annotations()] == [("cat", 0.5), ("1", 1.0)]


def test_a_coco_export_of_cvat(opened, tmp_path):
    """Licences, attributes, `iscrowd` run lengths, pictures of several subsets with their folder before the name."""
    for number, name in enumerate(("train/a.png", "val/a.png")):
        drawn(tmp_path / "pics" / name, seed=number)
    code = coco_mask.encode(np.asfortranarray(BOX.astype(np.uint8)))
    size = {"height": SIZE[0], "width": SIZE[1], "license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
    images = [{"id": 1, "file_name": "train/a.png", **size}, {"id": 2, "file_name": "val\\a.png", **size}]
    attributes = {"attributes": {"occluded": False, "rotation": 0.0}, "area": 100.0, "bbox": [10.0, 5.0, 10.0, 10.0]}
    some = [
        {"segmentation": [[float(v) for v in polygon(10, 5, 10)]], "iscrowd": 0, **attributes},
        {"segmentation": {"size": [*SIZE], "counts": code["counts"].decode()}, "iscrowd": 1, "image_id": 2},
        {"segmentation": {"size": [*SIZE], "counts": [0, *[1] * 0, 2400]}, "iscrowd": "0", "image_id": 2},
    ]
    categories = [{"id": 7, "name": "cat", "supercategory": ""}, {"id": 8, "name": "dog", "supercategory": ""}]
    more = {"licenses": [{"name": "", "id": 0, "url": ""}], "info": {"contributor": "", "description": ""}}
    file = coco_file(tmp_path / "instances.json", some, images=images, categories=categories, **more)
    session = opened("s")
    report = session.import_("coco", file, images=tmp_path / "pics")
    assert (report.failed, report.added, report.pictures_added) == ((), 3, 2)
    crowds = "1 object marked as crowds: taken for objects of their category"
    assert report.notes == (crowds, "2 attributes declared: occluded, rotation")


@pytest.mark.parametrize(
    ("bad", "told"),
    [([26, 31, 50, 31], "got 2"), ([], "got 0"), ({}, "broken polygon"), ({"size": [1, 1], "counts": [1]}, "of size")],
)
def test_a_bad_part_does_not_lose_the_others(opened, tmp_path, bad, told):
    drawn(tmp_path / "pics" / "left" / "a.png")
    file = coco_file(tmp_path / "a.json", [{"segmentation": [polygon(10, 5, 10), bad]}])
    session = opened("s")
    report = session.import_("coco", file, images=tmp_path / "pics")
    assert report.added == 1
    np.testing.assert_array_equal(session.annotations()[0].mask, BOX)
    assert report.failed[0].path == "a.json, annotation 1"
    assert "a part of it is left out" in report.failed[0].reason
    assert told in report.failed[0].reason


def test_segmentations_in_other_wrappings(opened, tmp_path):
    drawn(tmp_path / "pics" / "left" / "a.png")
    code = coco_mask.encode(np.asfortranarray(BOX.astype(np.uint8)))
    plain = {"size": [*SIZE], "counts": code["counts"].decode()}
    for number, value in enumerate(
        (json.dumps([polygon(10, 5, 10)]), [plain], plain | {"counts": str(code["counts"])})
    ):
        file = coco_file(tmp_path / f"{number}.json", [{"segmentation": value}])
        session = opened(str(number))
        assert session.import_("coco", file, images=tmp_path / "pics").failed == ()
        np.testing.assert_array_equal(session.annotations()[0].mask, BOX)


def test_run_lengths_without_end_take_no_time(opened, tmp_path):
    drawn(tmp_path / "pics" / "left" / "a.png")
    file = coco_file(tmp_path / "a.json", [{"segmentation": {"size": [*SIZE], "counts": "o" * 3_000_000}}])
    report = opened("s").import_("coco", file, images=tmp_path / "pics")
    assert "more than 60 bits" in report.failed[0].reason or "over 60 bits" in report.failed[0].reason


@pytest.mark.parametrize(("orientation", "size"), [(3, SIZE), (6, (40, 40))])
def test_a_turn_that_sizes_do_not_show_is_said(opened, tmp_path, orientation, size):
    drawn(tmp_path / "pics" / "a.png", orientation=orientation, size_hw=size)
    images = [{"id": 1, "file_name": "a.png", "height": size[0], "width": size[1]}]
    file = coco_file(tmp_path / "a.json", [{"segmentation": [polygon(10, 5, 10)]}], images=images)
    first, second = opened("a"), opened("b")
    assert "turned by EXIF" in first.import_("coco", file, images=tmp_path / "pics").notes[0]
    first.export("coco", tmp_path / "own.json")
    assert second.import_("coco", tmp_path / "own.json", images=tmp_path / "pics").notes == ()


def test_an_index_that_a_spreadsheet_saved(first, opened, photos, tmp_path):
    first.export("masks", tmp_path / "m")
    index = tmp_path / "m" / "index.csv"
    lines = index.read_text(encoding="utf-8").replace(",", ";").replace("0.25", "0,25")
    index.write_text(lines, encoding="utf-8-sig")
    second = opened("second")
    report = second.import_("masks", tmp_path / "m", images=photos)
    assert (report.failed, report.added) == ((), 5)
    assert {one.score for one in second.annotations()} >= {0.25, 0.5}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_as_shells_and_spreadsheets_save_it(first, opened, photos, tmp_path, encoding):
    drawn(tmp_path / "pics" / "left" / "a.png")
    file = coco_file(tmp_path / "a.json", [{"segmentation": [polygon(10, 5, 10)]}])
    file.write_text(file.read_text(), encoding=encoding)
    session = opened("s")
    assert session.import_("coco", file, images=tmp_path / "pics").failed == ()
    first.export("masks", tmp_path / "m")
    index = tmp_path / "m" / "index.csv"
    index.write_text(index.read_text(encoding="utf-8-sig"), encoding=encoding)
    report = opened("second").import_("masks", tmp_path / "m", images=photos)
    assert (report.failed, report.added) == ((), 5)
    names = tmp_path / "names.txt"
    names.write_text("münze\nrand\n", encoding=encoding)
    assert [name for name, _ in read_labels(names).categories] == ["münze", "rand"]


@pytest.mark.parametrize(
    ("listed", "asked"), [(1, 1.0), (1.0, 1), ("1", 1), (1, "1"), ("a1", "a1"), (10**17, "1" + "0" * 17)]
)
def test_an_id_is_one_however_a_tool_writes_it(opened, tmp_path, listed, asked):
    drawn(tmp_path / "pics" / "a.png")
    images = [{"id": listed, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}]
    some = [{"segmentation": [polygon(10, 5, 10)], "image_id": asked, "category_id": "7"}]
    report = opened("s").import_("coco", coco_file(tmp_path / "a.json", some, images=images), images=tmp_path / "pics")
    assert (report.failed, report.added) == ((), 1)


@pytest.mark.parametrize(("listed", "asked"), [("01", 1), ("1.0", 1), (2, "²"), (True, "true")])
def test_other_ids_are_not_taken_for_one_another(opened, tmp_path, listed, asked):
    drawn(tmp_path / "pics" / "a.png")
    images = [{"id": listed, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}]
    some = [{"segmentation": [polygon(10, 5, 10)], "image_id": asked}]
    report = opened("s").import_("coco", coco_file(tmp_path / "a.json", some, images=images), images=tmp_path / "pics")
    assert [failure.reason for failure in report.failed] == [f"its image {asked!r} is not in the file"]


def test_categories_in_yaml_are_read_back(first, tmp_path):
    names = ["\U0001f408 cat", "\U00020bb7", "yes", "1", "a: b", "'", "~"]
    for name in names:
        first.add_category(name)
    first.export("yolo", tmp_path / "y", pictures=False)
    document = yaml.safe_load((tmp_path / "y" / "data.yaml").read_text(encoding="ascii"))
    assert list(document["names"].values()) == first.categories()
    assert document["nc"] == len(first.categories())


@pytest.mark.parametrize("name", ["..", "/", ".", "./", "../..", "\\", "\\..\\", "%2e%2e", "a/.."])
def test_a_name_that_names_no_file_does_not_end_the_import(opened, tmp_path, name):
    first, second = drawn(tmp_path / "p" / "image.png", seed=1), drawn(tmp_path / "q" / "b.png", seed=2)
    labelme_file(tmp_path / "j" / "1.json", [shape()], imagePath=name, imageData=embedded(second))
    labelme_file(tmp_path / "j" / "2.json", [shape()], imagePath=name, imageData=None)
    labelme_file(tmp_path / "j" / "3.json", [shape()], imagePath="image.png", imageData=None)
    session = opened("s")
    report = session.import_("labelme", tmp_path / "j", images=first.parent)
    assert (report.added, report.pictures_added) == (2, 2)
    assert ["no image of that name" in failure.reason for failure in report.failed] == [True]
    assert "image.png" in {image.filename for image in session.images()}
    coco = coco_file(tmp_path / "c.json", [], images=[{"id": 1, "file_name": name, "width": 9, "height": 9}])
    assert len(session.import_("coco", coco).failed) == (name != "a/..")


def test_many_images_of_one_name_cost_each_reference_the_same(opened, monkeypatch):
    """Of 400 patients' `session/scan.png`, 400 references are found, and as many wrong ones refused."""
    record = opened("s").add(np.zeros((4, 4, 3), np.uint8), show=False).images[0]
    places = [f"/data/p{number}/session/scan.png" for number in range(400)]
    records = [replace(record, id=place, path=place, filename="scan.png", content_hash="") for place in places]
    count, plain = 0, path_ends.name_key

    def counting(name):
        nonlocal count
        count += 1
        return plain(name)

    monkeypatch.setattr(path_ends, "name_key", counting)
    matcher = ImageMatcher(records)
    for place in places:
        assert matcher.match(ImageReference(f"/home/other{place}", Path("/none"))).path == place
        with pytest.raises(ImageError, match="could be several"):
            matcher.match(ImageReference(f"/home{place}".replace("/p", "/q"), Path("/none")))
    assert count < 50 * len(places)
    assert matcher.match(ImageReference("p7/session/scan.png", Path("/none"))).path == places[7]
    with pytest.raises(ImageError, match="lies in another one"):
        matcher.match(ImageReference("p7/last/scan.png", Path("/none")))


def test_many_files_of_one_name_get_names_of_their_own_at_once():
    names = Names()
    watch = Stopwatch()
    assert len({names.free("session/scan.png") for _ in range(20_000)}) == 20_000
    assert watch.seconds < 60  # trying all numbers for each took minutes


def test_attributes_that_differ_from_those_there_are_told(opened, tmp_path):
    drawn(tmp_path / "pics" / "left" / "a.png")
    box, other = {"segmentation": [polygon(10, 5, 10)]}, {"segmentation": [polygon(25, 5, 6)]}
    file = coco_file(tmp_path / "a.json", [{**box, "attributes": {"wet": True, "note": ""}}, other])
    session = opened("s")
    assert session.import_("coco", file, images=tmp_path / "pics").added == 2
    again = session.import_("coco", file)
    assert (again.already, again.notes) == (2, ())
    coco_file(file, [{**box, "attributes": {"wet": False, "note": "torn"}}, other])
    [note] = session.import_("coco", file).notes
    assert "1 object there with other attributes: left as they are" in note
    assert [one.attributes for one in session.annotations()] == [{"wet": True}, {}]
