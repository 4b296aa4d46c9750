from __future__ import annotations

import contextlib
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from samnb.errors import PromptError, StoreError, UnknownName, UnknownOption
from samnb.exchange.export import EXPORTERS, ExportReport, export
from samnb.exchange.writers.layout import MANIFEST
from samnb.masks import category_color, mask_area, mask_bbox, mask_iou
from samnb.records import Failure
from tests.support.export_work import SIZE, annotation, dot, image, ring, square

CATEGORIES = ["coin", "a/b c"]


@pytest.fixture
def work() -> dict[str, Any]:
    """A ring with holes, one pixel, the whole picture, two parts; an image without any; a file name twice."""
    images = [image(3, "b.jpg"), image(1, "a.jpg"), image(2, "a.jpg", dataset="tuesday"), image(4, "bare.png")]
    masks = [ring(), dot(), np.ones(SIZE, bool), square(2, 2, 5) | square(30, 20, 9)]
    annotations = [
        annotation(12, images[0], "coin", masks[1], score=0.5),
        annotation(11, images[0], "a/b c", masks[0]),
        annotation(13, images[1], "coin", masks[2]),
        annotation(14, images[2], "a/b c", masks[3]),
    ]
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}


def masks_by_id(work: dict[str, Any]) -> list[np.ndarray]:
    """In the order of export: images as given, annotations by their id."""
    return [ring(), dot(), np.ones(SIZE, bool), square(2, 2, 5) | square(30, 20, 9)]


def load(path: Path) -> COCO:
    with contextlib.redirect_stdout(None):
        return COCO(str(path))


# ---------------------------------------------------------------- COCO


def test_coco_reads_back_exactly(work, tmp_path):
    report = export("coco", tmp_path / "new" / "coins.json", **work)
    coco = load(report.path)
    assert [coco.imgs[i]["file_name"] for i in (1, 2, 3, 4)] == ["b.jpg", "monday/a.jpg", "tuesday/a.jpg", "bare.png"]
    assert {(i["height"], i["width"]) for i in coco.imgs.values()} == {SIZE}
    assert [c["name"] for c in coco.loadCats([1, 2])] == CATEGORIES
    assert sorted(coco.anns) == [1, 2, 3, 4]
    for number, mask in enumerate(masks_by_id(work), 1):
        found = coco.anns[number]
        np.testing.assert_array_equal(coco.annToMask(found).astype(bool), mask)
        assert tuple(found["bbox"]) == mask_bbox(mask)
        assert found["area"] == mask_area(mask)
        assert found["iscrowd"] == 0
    assert [coco.anns[n]["category_id"] for n in (1, 2, 3, 4)] == [2, 1, 1, 2]
    assert [coco.anns[n]["score"] for n in (1, 2)] == [0.9, 0.5]
    assert coco.getAnnIds(imgIds=[4]) == []


@pytest.mark.parametrize("polygons", [False, True])
def test_coco_evaluates_as_a_perfect_match_of_itself(work, tmp_path, polygons):
    truth = load(export("coco", tmp_path / "a.json", **work, polygons=polygons).path)
    with contextlib.redirect_stdout(None):
        found = truth.loadRes([{k: v for k, v in a.items() if k != "id"} for a in truth.dataset["annotations"]])
        evaluation = COCOeval(truth, found, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_coco_polygons_stay_near_and_keep_holes_open(work, tmp_path):
    coco = load(export("coco", tmp_path / "a.json", **work, polygons=True).path)
    for number, mask in enumerate(masks_by_id(work), 1):
        assert isinstance(coco.anns[number]["segmentation"], list)
        assert mask_iou(coco.annToMask(coco.anns[number]), mask) >= 0.9
    filled = coco.annToMask(coco.anns[1])
    assert filled[20, 23] == 0
    np.testing.assert_array_equal(coco.annToMask(coco.anns[2]).astype(bool), dot())
    np.testing.assert_array_equal(coco.annToMask(coco.anns[3]).astype(bool), np.ones(SIZE, bool))


def test_an_empty_mask_survives_both_ways(tmp_path):
    only = image(1, "a.jpg")
    empty = annotation(1, only, "coin", np.zeros(SIZE, bool))
    for polygons in (False, True):
        options = {"images": [only], "annotations": [empty], "categories": ["coin"], "polygons": polygons}
        coco = load(export("coco", tmp_path / "a.json", **options).path)
        assert coco.annToMask(coco.anns[1]).sum() == 0


def test_exports_are_the_same_each_time(work, tmp_path):
    one = export("coco", tmp_path / "one.json", **work).path.read_bytes()
    work["annotations"].reverse()
    assert export("coco", tmp_path / "two.json", **work).path.read_bytes() == one


def test_coco_is_ascii_whatever_the_names(tmp_path):
    names = ["münze.jpg", "硬币.png", "broken\udcff.jpg"]
    images = [image(n, name) for n, name in enumerate(names)]
    report = export("coco", tmp_path / "a.json", images=images, annotations=[], categories=["größe"])
    document = json.loads(report.path.read_bytes().decode("ascii"))
    assert [i["file_name"] for i in document["images"]] == names
    assert export("masks", tmp_path / "m", images=images, annotations=[], categories=["größe"]).images == 3


def test_names_that_collide_inside_one_dataset(tmp_path):
    images = [
        image(1, "a.jpg", folder="left"),
        image(2, "a.jpg", folder="right"),
        image(3, "a.jpg", folder="right"),
        image(4, "b.jpg"),
    ]
    report = export("coco", tmp_path / "a.json", images=images, annotations=[], categories=[])
    names = [i["file_name"] for i in json.loads(report.path.read_text())["images"]]
    assert names == ["monday/left/a.jpg", "monday/right/a.jpg", "monday/right/a~2.jpg", "b.jpg"]


# ---------------------------------------------------------------- masks


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "index.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_masks_read_back_exactly(work, tmp_path):
    folder = tmp_path / "masks"
    report = export("masks", folder, **work)
    assert sorted(p.name for p in folder.glob("*.png")) == [
        "b__1_a-b-c.png",
        "b__2_coin.png",
        "monday-a__1_coin.png",
        "tuesday-a__1_a-b-c.png",
    ]
    table = rows(folder)
    for row, mask in zip(table, masks_by_id(work), strict=True):
        with Image.open(folder / row["mask"]) as stored:
            assert stored.mode == "L"
            assert set(np.unique(stored)) <= {0, 255}
            np.testing.assert_array_equal(np.array(stored) == 255, mask)
        assert tuple(int(row[k]) for k in "xywh") == mask_bbox(mask)
        assert int(row["area"]) == mask_area(mask)
    assert [row["category"] for row in table] == ["a/b c", "coin", "coin", "a/b c"]
    assert [row["annotation_id"] for row in table] == ["11", "12", "13", "14"]
    assert [row["image"] for row in table] == ["b.jpg", "b.jpg", "monday/a.jpg", "tuesday/a.jpg"]
    on_disk = {p for p in folder.rglob("*") if p.is_file()}
    assert set(report.files) == on_disk
    assert len(on_disk) == 4 + 4 + 2


def test_labels_hold_category_numbers_and_colors(work, tmp_path):
    export("masks", tmp_path, **work)
    with Image.open(tmp_path / "labels" / "b.png") as labels:
        assert labels.mode == "P"
        expected = np.where(ring(), 2, 0) + dot()
        np.testing.assert_array_equal(np.array(labels), expected)
        colors = np.array(labels.convert("RGB"))
    assert tuple(colors[39, 59]) == tuple(bytes.fromhex(category_color(0)[1:]))
    assert tuple(colors[0, 0]) == (0, 0, 0)
    with Image.open(tmp_path / "labels" / "bare.png") as labels:
        assert labels.size == (60, 40)
        assert np.array(labels).max() == 0


@pytest.mark.parametrize(("layers", "top"), [((0, 0), 2), ((1, 0), 1), ((0, 1), 2), ((-1, -2), 1)])
def test_the_higher_layer_lies_on_top_and_then_the_later_one(tmp_path, layers, top):
    only = image(1, "a.jpg")
    one = annotation(1, only, "one", square(0, 0, 20), layer=layers[0])
    two = annotation(2, only, "two", square(5, 5, 20), layer=layers[1])
    options = {"images": [only], "annotations": [two, one], "categories": ["one", "two"]}
    export("masks", tmp_path, **options)
    labels = np.array(Image.open(tmp_path / "labels" / "a.png"))
    assert set(labels[square(0, 0, 20) & square(5, 5, 20)]) == {top}
    assert set(labels[square(0, 0, 20) ^ square(5, 5, 20)]) == {1, 2}
    export("coco", tmp_path / "all.json", **options)
    drawn = json.loads((tmp_path / "all.json").read_text())["annotations"]
    assert [row["category_id"] for row in drawn] == [3 - top, top]


def test_more_categories_than_a_palette_holds(tmp_path):
    only, categories = image(1, "a.jpg"), [f"c{i}" for i in range(300)]
    found = annotation(1, only, "c299", dot())
    export("masks", tmp_path, images=[only], annotations=[found], categories=categories)
    assert np.array(Image.open(tmp_path / "labels" / "a.png")).max() == 300


def test_unsafe_and_colliding_names(tmp_path):
    names = ["a b.jpg", "a-b.jpg", "A?B.png", "../../etc.png", ".hidden.png", "..", "x" * 300 + ".png", "é" * 200]
    images = [image(n, name) for n, name in enumerate(names)]
    categories = ["/", "\\", "..", "a\nb"]
    found = [annotation(n, i, categories[n % 4], dot()) for n, i in enumerate(images)]
    folder = tmp_path / "deep" / "masks"
    report = export("masks", folder, images=images, annotations=found, categories=categories)
    assert len({str(file).casefold() for file in report.files}) == len(report.files) == 18
    assert {file.parent for file in report.files} == {folder, folder / "labels"}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["masks"]
    assert not [file for file in report.files if file.name.startswith(".")]
    assert (folder / "a-b__1_category.png").is_file()
    assert (folder / "a-b~2__1_category.png").is_file()


def test_exporting_again_removes_what_is_gone_and_nothing_else(work, tmp_path):
    export("masks", tmp_path, **work)
    own = tmp_path / "mine.png"
    own.write_bytes(b"mine")
    work["annotations"] = work["annotations"][:1]
    report = export("masks", tmp_path, **work)
    assert [row["mask"] for row in rows(tmp_path)] == ["b__1_coin.png"]
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == {*report.files, own}


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "yolo", "files": ["mine.png"]}', '{"format": "masks"}'])
def test_somebody_elses_list_removes_nothing(work, tmp_path, content):
    (tmp_path / MANIFEST).write_text(content)
    (tmp_path / "mine.png").write_bytes(b"mine")
    export("masks", tmp_path, **work)
    assert (tmp_path / "mine.png").read_bytes() == b"mine"


# ---------------------------------------------------------------- every format


@pytest.mark.parametrize("format", sorted(EXPORTERS))
def test_an_empty_session(format, tmp_path):
    place = tmp_path / "out.csv"
    report = export(format, place, images=[], annotations=[], categories=[])
    assert repr(report) == f"0 annotations on 0 images → {place}"
    assert report.files
    assert all(file.is_file() for file in report.files)
    if format == "coco":
        assert load(report.path).getImgIds() == []
    elif format == "masks":
        assert rows(report.path) == []


def test_the_report_is_short():
    assert repr(ExportReport("coco", Path("coins.json"), 6, 24)) == "24 annotations on 6 images → coins.json"
    assert repr(ExportReport("coco", Path("x"), 1, 1)) == "1 annotation on 1 image → x"


@pytest.mark.parametrize("tolerance", [float("nan"), -1, "much"])
def test_a_tolerance_that_is_none_is_refused(work, tmp_path, tolerance):
    with pytest.raises(PromptError, match="tolerance: expected a number of pixels, from 0; got"):
        export("coco", tmp_path / "a", **work, polygons=True, tolerance=tolerance)
    assert list(tmp_path.iterdir()) == []


def test_unknown_format_and_option(work, tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'coco'"):
        export("cocoo", tmp_path / "a", **work)
    with pytest.raises(UnknownOption, match="'polygon'"):
        export("coco", tmp_path / "a", **work, polygon=True)
    with pytest.raises(UnknownOption, match="labels, objects"):
        export("masks", tmp_path / "a", **work, polygons=True)
    with pytest.raises(UnknownOption, match="paths"):
        export("table", tmp_path / "a.csv", **work, polygons=True)
    assert list(tmp_path.iterdir()) == []


def test_records_that_do_not_fit_together(work, tmp_path):
    with pytest.raises(UnknownName, match="category 'coin'"):
        export("coco", tmp_path / "a.json", **{**work, "categories": ["a/b c"]})
    with pytest.raises(UnknownName, match=r"image 'a\.jpg'"):
        export("coco", tmp_path / "a.json", **{**work, "images": work["images"][:1]})
    assert list(tmp_path.iterdir()) == []


def test_an_annotation_that_does_not_fit_is_reported_and_the_rest_goes_on(work, tmp_path):
    work["annotations"][2] = replace(work["annotations"][2], rle={"size": list(SIZE), "counts": [7]})
    work["images"][0] = replace(work["images"][0], width=61)
    report = export("coco", tmp_path / "a.json", **work)
    assert (report.images, report.annotations) == (4, 1)
    assert [failure.path for failure in report.failed] == [
        *("b.jpg, annotation 11", "b.jpg, annotation 12", "a.jpg, annotation 13")
    ]
    assert "another size" in report.failed[0].reason
    assert "damaged" in report.failed[2].reason
    assert "annotation 13" in repr(report)
    assert sorted(load(report.path).anns) == [1]


def test_a_place_that_cannot_be_written(work, tmp_path):
    (tmp_path / "file").write_text("keep")
    (tmp_path / "folder").mkdir()
    for format, place in (("coco", "folder"), ("coco", "file/a.json"), ("masks", "file")):
        with pytest.raises(StoreError, match="cannot be written"):
            export(format, tmp_path / place, **work)
    assert (tmp_path / "file").read_text() == "keep"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_failing_export_leaves_the_earlier_file(work, tmp_path):
    place = export("coco", tmp_path / "a.json", **work).path
    before = place.read_bytes()
    work["annotations"][0] = replace(work["annotations"][0], score=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        export("coco", place, **work)
    assert place.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_home_folder(work, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert export("coco", "~/a.json", **work).path == tmp_path / "a.json"


def test_the_report_shows_itself_as_a_card() -> None:
    failed = tuple(Failure(f"<{n}>.png", "gone") for n in range(23))
    report = ExportReport("coco", Path("out") / "<a>.json", 6, 24, (Path("a"),), failed, ("holes filled",))
    page = report._repr_html_()
    assert "24 annotations on 6 images" in page
    assert "var(--jp-layout-color1" in page
    assert "coco · &lt;a&gt;.json" in page
    assert "&lt;0&gt;.png: gone" in page
    assert "… and 3 more in .failed" in page
    assert "holes filled" in page
    assert "<ul>" not in ExportReport("coco", Path("a.json"), 0, 0)._repr_html_()
