"""What other tools write is understood, or reported by file and record."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision
from PIL import Image
from pycocotools import mask as coco_mask

from samnb.errors import FormatError, ImageNotFound, ImageUnreadable, UnknownName, UnknownOption
from samnb.exchange.importing import READERS
from samnb.exchange.readers.mask_values import has_void, labels_of, mask_of
from samnb.exchange.readers.objects import lines_of, ring_mask
from samnb.masks import mask_iou
from tests.support.export_work import SIZE, dot, ring, square
from tests.support.import_work import coco_file, labelme_file, polygon


def test_coco_of_other_tools(first, photos, tmp_path):
    mask = ring()
    counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    some = [
        {"segmentation": {"size": list(SIZE), "counts": counts["counts"].decode()}, "score": 0.7},
        {"segmentation": [polygon(1, 1, 4), polygon(20, 20, 6)]},
        {"segmentation": polygon(30, 2, 5)},
        {"segmentation": [polygon(50, 30, 100)], "iscrowd": 1},
        {"segmentation": [polygon(8, 30, 3)], "category_id": None},
    ]
    report = first.import_("coco", coco_file(tmp_path / "a.json", some))
    assert report.failed == ()
    found = first.annotations(image=photos / "left" / "a.png")[1:]
    expected = [mask, square(1, 1, 4) | square(20, 20, 6), square(30, 2, 5), square(50, 30, 10), square(8, 30, 3)]
    for one, truth in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.mask, truth)
    assert [one.category for one in found] == ["coin", "coin", "coin", "coin", "object"]
    assert report.notes == ("1 object marked as crowds: taken for objects of their category",)
    assert found[0].score == 0.7
    for one in found:
        first.remove(one)
    report = first.import_("coco", tmp_path / "a.json", crowds=False)
    assert (report.added, report.notes) == (4, ("1 object marked as crowds: left out",))


def test_coco_that_supervision_writes(opened, photos, tmp_path):
    masks = np.stack([ring(), square(2, 2, 5) | square(30, 20, 9), square(44, 4, 12)])
    boxes = np.array([[xs.min(), ys.min(), xs.max(), ys.max()] for ys, xs in map(np.nonzero, masks)], float)
    found = supervision.Detections(xyxy=boxes, mask=masks, class_id=np.array([1, 0, 1]))
    names = [str(photos / "turned.png"), str(photos / "left" / "a.png")]
    none = supervision.Detections.empty()
    dataset = supervision.DetectionDataset(["leaf", "coin"], names, {names[0]: found, names[1]: none})
    dataset.as_coco(annotations_path=str(tmp_path / "sv.json"))
    session = opened("s")
    report = session.import_("coco", tmp_path / "sv.json", images=photos / "left", dataset="all")
    assert (report.images, report.added, len(report.failed)) == (1, 0, 1)
    session.add(photos / "turned.png", dataset="all", show=False)
    report = session.import_("coco", tmp_path / "sv.json", dataset="all")
    assert (report.images, report.added, report.failed) == (2, 3, ())
    assert session.categories() == ["leaf", "coin"]
    assert [one.category for one in session.annotations()] == ["coin", "leaf", "coin"]
    for one, mask in zip(session.annotations(), masks, strict=True):
        # Its polygons go through the middles of the pixels at the edge.
        assert mask_iou(one.mask, mask) > (0.99 if mask is masks[0] else 0.6)


def test_pycocotools_agrees_about_polygons():
    rng = np.random.default_rng(3)
    for _ in range(20):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        corners = np.stack([30 + 20 * np.cos(angles), 20 + 15 * np.sin(angles)], 1).ravel().tolist()
        [code] = coco_mask.frPyObjects([corners], *SIZE)
        assert mask_iou(ring_mask(corners, SIZE), coco_mask.decode(code).astype(bool)) > 0.93


BAD_COCO: list[tuple[Any, str]] = [
    ({"segmentation": [[1, 1, 2, 2]]}, "broken polygon"),
    ({"segmentation": [[1, 1, 5, 1, 5, 5, 9]]}, "broken polygon"),
    ({"segmentation": [["a", 1, 5, 1, 5, 5]]}, "broken polygon"),
    ({"segmentation": [[1, 1, 1e300, 1, 5, 5]]}, "broken polygon"),
    ({"segmentation": [[1, 1, 10**400, 1, 5, 5]]}, "broken polygon"),
    ({"segmentation": [[1, 1, float("nan"), 1, 5, 5]]}, "broken polygon"),
    ({"segmentation": [{}]}, "broken polygon"),
    ({"segmentation": [5]}, "broken polygon"),
    ({"segmentation": [polygon(500, 500, 3)]}, "empty mask"),
    ({"segmentation": {"size": [40, 60], "counts": [2400]}}, "empty mask"),
    ({"segmentation": {"size": [60, 40], "counts": [2400]}}, "size"),
    ({"segmentation": {"size": [40, 60], "counts": [7]}}, "do not fill"),
    ({"segmentation": {"size": [40, 60], "counts": "zzzzz~~~"}}, "run lengths|Run lengths"),
    ({"segmentation": {"size": [40, 60], "counts": [10**30]}}, "run lengths"),
    ({"segmentation": {"size": [40, 60], "counts": None}}, "run lengths"),
    ({"segmentation": {"size": [40, 60], "counts": [1000.7, 400.6, 1000.2]}}, "whole numbers"),
    ({"segmentation": {"size": [40, 60]}}, "run lengths"),
    ({"segmentation": {}}, "no segmentation"),
    ({"segmentation": "x"}, "is a str, expected"),
    ({"bbox": [1, 1, 5, 5]}, "a box alone"),
    ({"segmentation": [polygon(1, 1, 5)], "image_id": 99}, "its image 99"),
    ({"segmentation": [polygon(1, 1, 5)], "image_id": [1]}, "its image"),
    ({"segmentation": [polygon(1, 1, 5)], "category_id": 99}, "its category 99"),
    ({"segmentation": [polygon(1, 1, 5)], "category_id": {}}, "its category"),
    ("text", "its image None"),
    (None, "its image None"),
]


def test_bad_records_of_coco_are_reported_with_file_and_record(first, tmp_path):
    good = {"segmentation": [polygon(3, 3, 5)], "score": 10**400}
    place = coco_file(tmp_path / "bad.json", [one for one, _ in BAD_COCO] + [good])
    before = len(first.annotations())
    report = first.import_("coco", place)
    assert (report.added, len(report.failed)) == (1, len(BAD_COCO))
    assert len(first.annotations()) == before + 1
    reasons = {failure.path: failure.reason for failure in report.failed}
    for number, (record, reason) in enumerate(BAD_COCO, 1):
        place_named = f"bad.json, annotation {number if isinstance(record, dict) else f'no. {number}'}"
        assert any(part in reasons[place_named] for part in reason.split("|")), (place_named, reasons[place_named])


def test_bad_images_and_categories_of_coco_are_reported(first, tmp_path):
    size = {"height": SIZE[0], "width": SIZE[1]}
    images = [
        {"id": 1, "file_name": "left/a.png", **size},
        *({"id": 1, "file_name": "b.png"}, {"id": 2}, {"id": []}, "text", {"id": 3, "file_name": "turned.png"}),
        {"id": 4, "file_name": "münze 1.png", "height": 10**9, "width": 10**9},
    ]
    some = [{"segmentation": [polygon(2, 2, 9)], "image_id": n} for n in (1, 3, 4)]
    report = first.import_("coco", coco_file(tmp_path / "a.json", some, images=images, categories=None))
    assert report.added == 0
    assert sum("its category 7" in failure.reason for failure in report.failed) == 3
    categories = [{"id": 7, "name": "coin"}, {"name": "x"}, 5]
    report = first.import_("coco", coco_file(tmp_path / "a.json", some, images=images, categories=categories))
    assert report.added == 2
    assert [failure.path for failure in report.failed] == [
        *("a.json, category no. 2", "a.json, category no. 3"),
        *("a.json, image no. 2", "a.json, image no. 4", "a.json, image no. 5", "a.json, image 2"),
        "a.json, annotation 3",
    ]
    assert "has (40, 60)" in report.failed[-1].reason


@pytest.mark.parametrize("name", [None, True, ["coin"], {}, " "])
def test_a_category_of_coco_without_a_name_is_reported_and_the_rest_goes_on(name, first, tmp_path):
    some = [{"segmentation": [polygon(2, 2, 9)], "category_id": kind} for kind in (7, 8)]
    categories = [{"id": 7, "name": name}, {"id": 8, "name": 5}]
    report = first.import_("coco", coco_file(tmp_path / "a.json", some, categories=categories))
    assert report.added == 1
    assert [(failure.path, "name" in failure.reason) for failure in report.failed] == [
        ("a.json, category 7", True),
        ("a.json, annotation 1", True),
    ]
    assert repr(name) in report.failed[0].reason
    assert "5" in first.categories()
    assert str(name) not in first.categories()


def test_names_that_no_database_takes(first, tmp_path):
    some = [{"segmentation": [polygon(2, 2, 9)]}, {"segmentation": [polygon(2, 2, 9)], "image_id": 2}]
    images = [{"id": 1, "file_name": "left/a.png"}, {"id": 2, "file_name": "\udc80\0.png"}]
    categories = [{"id": 7, "name": "a\0b\ud800"}, {"id": 8, "name": "\0"}]
    report = first.import_("coco", coco_file(tmp_path / "a.json", some, images=images, categories=categories))
    assert report.added == 1
    assert report.categories_added == ("ab?",)
    assert first.annotations(category="ab?")[0].mask.sum() == 81
    str(report).encode()
    assert [failure.path for failure in report.failed] == ["?.png (1 object)"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"images": 5, "annotations": []}', b"{}"],
)
def test_files_of_another_kind_are_said_to_be(content, opened, tmp_path):
    session, place = opened("s"), tmp_path / "a.json"
    place.write_bytes(content)
    for format in ("coco", "labelme"):
        with pytest.raises(FormatError, match=r"a\.json: expected a"):
            session.import_(format, place)


def test_places_formats_and_options_that_are_none(first, tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'coco'"):
        first.import_("cocoo", tmp_path)
    with pytest.raises(UnknownOption, match="'polygons'"):
        first.import_("coco", tmp_path, polygons=True)
    for format in READERS:
        with pytest.raises(ImageNotFound):
            first.import_(format, tmp_path / "nowhere")
    with pytest.raises(FormatError, match="cannot be read"):
        first.import_("coco", tmp_path)
    with pytest.raises(ImageNotFound, match="a folder of mask pictures"):
        first.import_("masks", coco_file(tmp_path / "a.json", []))
    with pytest.raises(UnknownName, match="dataset"):
        first.import_("coco", tmp_path / "a.json", dataset="nobody's")
    with pytest.raises(ImageNotFound, match="a folder of pictures"):
        first.import_("coco", tmp_path / "a.json", images=tmp_path / "nowhere")


def png(mask: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def test_labelme_of_other_tools(first, tmp_path):
    part = np.eye(4, 6, dtype=bool)
    shapes = [
        {"label": "a", "points": [[1, 1], [9, 1], [9, 9], [1, 9]], "shape_type": "polygon", "group_id": None},
        {"label": "b", "points": [[20, 9], [12, 1]], "shape_type": "rectangle"},
        {"label": "c", "points": [[30, 20], [30, 25]], "shape_type": "circle"},
        {"label": "d", "points": [[10.0, 30.0], [15.0, 33.0]], "shape_type": "mask", "mask": png(part)},
        {"label": "e", "points": [[40, 1], [45, 1], [45, 6], [40, 6]], "group_id": 3},
        {"label": "e", "points": [[50, 1], [55, 1], [55, 6], [50, 6]], "group_id": 3},
        {"label": "f", "points": [[50, 20], [55, 20], [55, 25], [50, 25]], "group_id": 3},
    ]
    place = labelme_file(tmp_path / "lm" / "m.json", shapes, imagePath="..\\photos\\münze 1.png", imageData=None)
    place.write_bytes(b"\xef\xbb\xbf" + place.read_bytes())
    report = first.import_("labelme", place)
    assert (report.added, report.failed) == (6, ())
    found = {one.category: one.mask for one in first.annotations(image="münze 1.png")}
    pasted = np.zeros(SIZE, bool)
    pasted[30:34, 10:16] = part
    rectangle = np.zeros(SIZE, bool)
    rectangle[1:9, 12:20] = True
    expected = {"a": square(1, 1, 8), "b": rectangle, "d": pasted, "f": square(50, 20, 5)}
    expected["e"] = square(40, 1, 5) | square(50, 1, 5)
    for category, truth in expected.items():
        np.testing.assert_array_equal(found[category], truth, category)
    assert abs(found["c"].sum() - np.pi * 25) < 5


def test_bad_shapes_of_labelme_are_reported_and_the_rest_goes_on(first, tmp_path):
    corners = [[1, 1], [9, 1], [9, 9], [1, 9]]
    bad = [
        ({"label": "", "points": corners}, "no label"),
        ("text", "no label"),
        ({"label": "a", "points": corners[:2]}, "broken polygon"),
        ({"label": "a"}, "broken polygon"),
        ({"label": "a", "points": [[10**400, 1], *corners]}, "broken polygon"),
        ({"label": "a", "points": [[10**400, 1], [2, 2]], "shape_type": "circle"}, "broken circle"),
        ({"label": "a", "points": corners[:3], "shape_type": "rectangle"}, "two points"),
        ({"label": "a", "points": corners[:2], "shape_type": "linestrip"}, "covers no area"),
        ({"label": "a", "points": corners[::2], "shape_type": "mask"}, "no PNG"),
        ({"label": "a", "points": corners[::2], "shape_type": "mask", "mask": "####"}, "no PNG"),
        ({"label": "a", "points": corners[::2], "shape_type": "mask", "mask": png(dot())}, "its corners say (9, 9)"),
        ({"label": "a", "points": [[1, 1], [99, 99]], "shape_type": "mask", "mask": png(dot())}, "not inside"),
        ({"label": "a", "points": [[1, 1], [float("inf"), 2]], "shape_type": "circle"}, "finite"),
    ]
    labelme_file(tmp_path / "lm" / "a.json", [shape for shape, _ in bad] + [{"label": "good", "points": corners}])
    (tmp_path / "lm" / "b.json").write_text("{}")
    report = first.import_("labelme", tmp_path / "lm")
    assert report.added == 1
    told = [f"{failure.path}: {failure.reason}" for failure in report.failed]
    for number, (_, reason) in enumerate(bad, 1):
        assert any(line.startswith(f"a.json, shape {number}:") and reason in line for line in told), (number, told)
    assert any("b.json" in line and "it lacks an imagePath" in line for line in told)
    assert len(told) == len(bad) + 1


@pytest.mark.parametrize("grey", [True, False])
def test_a_mask_of_transparency_alone_is_not_taken_for_an_empty_one(tmp_path, grey):
    opaque = square(10, 5, 10).astype(np.uint8) * np.uint8(255)
    black = [np.zeros_like(opaque)] * (1 if grey else 3)
    Image.fromarray(np.dstack([*black, opaque])).save(tmp_path / "a.png")
    with pytest.raises(ImageUnreadable, match="black where it is not clear"):
        labels_of(tmp_path / "a.png")
    Image.fromarray(np.dstack([*black, np.full_like(opaque, 255)])).save(tmp_path / "empty.png")
    assert not mask_of(tmp_path / "empty.png", None).any()


@pytest.mark.parametrize(
    ("blocks", "labels"),
    [
        ([(255, 0, 25), (100, 25, 26), (60, 26, 27)], [None]),  # a thin soft edge
        ([(255, 0, 25), (200, 25, 28)], [None]),
        ([(128, 0, 20), (255, 20, 30)], [128, 255]),  # spread to be seen
        ([(85, 0, 9), (170, 9, 20), (255, 20, 30)], [85, 170, 255]),
        ([(1, 0, 9), (2, 9, 20), (255, 20, 22)], [1, 2]),  # with void
        ([(1, 0, 2), (255, 2, 30)], [1]),
        ([(100, 0, 20), (255, 20, 22)], [100]),
        ([(3, 0, 20), (300, 20, 22)], [3, 300]),
    ],
)
def test_what_white_is_beside_other_values(tmp_path, blocks, labels):
    values = np.zeros((40, 40), np.uint16)
    for value, start, end in blocks:
        values[start:end, :20] = value
    stored = values if values.max() > 255 else values.astype(np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png")
    assert labels_of(tmp_path / "a.png") == labels
    void = values.max() == 255 and labels != [None] and 255 not in labels
    assert has_void(tmp_path / "a.png", labels) == void


def test_void_is_told(first, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    Image.fromarray((square(1, 1, 5) + 255 * square(9, 9, 5)).astype(np.uint8)).save(folder / "münze 1.png")
    report = first.import_("masks", folder)
    assert report.added == 1
    assert "255 is void, and no object, in 1 label map: münze 1.png" in str(report.notes)


def test_how_numbers_are_named_is_told(first, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    Image.fromarray((square(1, 1, 5) + 2 * square(9, 9, 5)).astype(np.uint8)).save(folder / "münze 1.png")
    assert "names 1, 2, … in their order" in str(first.import_("masks", folder).notes)
    assert {"label 1", "label 2"} <= {one.category for one in first.annotations()}
    report = first.import_("masks", folder, categories=["cat", "dog"])
    assert report.notes == ()
    assert {"cat", "dog"} <= {one.category for one in first.annotations()}


def test_mask_pictures_of_other_tools(first, photos, tmp_path):
    folder = tmp_path / "masks"
    (folder / "turned").mkdir(parents=True)
    for name, mask in {"turned__1_leaf.png": square(1, 1, 5), "turned/any.png": square(9, 9, 5)}.items():
        Image.fromarray(mask).save(folder / name)
    Image.fromarray((square(1, 1, 5) + 2 * square(9, 9, 5)).astype(np.uint8)).save(folder / "münze 1.png")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / "left.png")
    Image.fromarray(np.ones((8, 8), bool)).save(folder / "turned_2.png")
    (folder / "turned_3.png").write_bytes(b"broken")
    Image.fromarray(np.ones(SIZE, bool)).save(folder / "nobody.png")
    report = first.import_("masks", folder, categories=["one"])
    assert report.added == 4
    found = {a.category for a in first.annotations() if a.source == "import:masks"}
    assert found == {"leaf", "object", "one", "label 2"}
    assert sorted(Path(failure.path).name for failure in report.failed) == [
        *("left.png", "nobody.png", "turned_2.png", "turned_3.png")
    ]
    assert first.import_("masks", folder, categories=["one"]).added == 0


def test_a_damaged_index_is_reported_line_by_line(first, tmp_path):
    place = first.export("masks", tmp_path / "m").path
    lines = (place / "index.csv").read_text(encoding="utf-8").splitlines()
    [place_of_gone] = [number for number, line in enumerate(lines) if "münze-1__1" in line]
    lines[place_of_gone] = lines[place_of_gone].replace("münze-1__1", "gone", 1)
    lines[-1] = "," * 16
    (place / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for one in first.annotations():
        first.remove(one)
    report = first.import_("masks", place)
    assert report.added == 3
    assert [failure.path for failure in report.failed] == [
        f"index.csv, line {number}" for number in (len(lines), place_of_gone + 1)
    ]


@pytest.mark.parametrize("name", ["labels.txt", "labelmap.txt"])
def test_lists_beside_annotations_are_read_within_bounds(tmp_path, name):
    assert lines_of(tmp_path / name) == []
    (tmp_path / name).write_bytes(b"\xef\xbb\xbfcat\nd\xff\n")
    assert lines_of(tmp_path / name) == ["cat", "d\udcff"]
    with open(tmp_path / name, "wb") as file:
        file.truncate(1 << 30)
    assert lines_of(tmp_path / name) == []
    (tmp_path / name).unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / name)
        assert lines_of(tmp_path / name) == []
