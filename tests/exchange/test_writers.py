"""Exports read back: by pycocotools and supervision, and by readers of our own that follow the formats' texts."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import supervision
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps
from pycocotools.coco import COCO

import samnb.atomic_files
from samnb.errors import PackageMissing, PromptError, StoreError, UnknownName
from samnb.exchange.export import EXPORTERS, export
from samnb.exchange.writers import yolo
from samnb.exchange.writers.layout import MANIFEST, FolderWriter
from samnb.exchange.writers.single_ring import bridged
from samnb.exchange.writers.voc import voc_color
from samnb.images import encode_png, pixel_hashes, read_picture
from samnb.masks import encode_rle, mask_iou, mask_polygons
from samnb.masks.polygons import fill_polygon
from samnb.records import ImageDetails, ImageRecord
from tests.support.export_work import SIZE, annotation, dot, image, ring, square

CATEGORIES = ["coin", "größe b"]
FOLDERS = ("labelme", "voc", "yolo")


def picture(number: int, path: Path, *, dataset: str = "monday") -> ImageRecord:
    """The record of a picture file."""
    read = read_picture(path)
    about = {"content_hash": read.content_hash, "pixel_hash": read.pixel_hash, "path": str(path)}
    size = {"height": read.size_hw[0], "width": read.size_hw[1]}
    return replace(image(number, path.name, dataset=dataset), **about, **size)


def drawn(path: Path, *, orientation: int = 1, seed: int = 0) -> Path:
    """A picture of `SIZE` when upright; its file lies as the orientation says."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), np.uint8)
    lying = Image.fromarray(pixels)
    if orientation == 6:
        lying = lying.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    lying.save(path, exif=exif, quality=95)
    return path


@pytest.fixture
def work(tmp_path: Path) -> dict[str, Any]:
    """Names with spaces and umlauts, a name twice, a turned picture, an image without annotations; masks with holes."""
    source = tmp_path / "source"
    files = [source / "münze 1.jpg", source / "left" / "a.jpg", source / "right" / "a.jpg", source / "turned.jpg"]
    images = [picture(n, drawn(f, seed=n, orientation=6 if n == 3 else 1)) for n, f in enumerate(files)]
    masks = [ring(), dot(), np.ones(SIZE, bool), square(2, 2, 5) | square(30, 20, 9)]
    annotations = [
        annotation(11, images[0], "größe b", masks[0]),
        annotation(12, images[0], "coin", masks[1]),
        annotation(13, images[1], "coin", masks[2]),
        annotation(14, images[3], "größe b", masks[3]),
    ]
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}


STEMS = ("münze-1", "monday-left-a", "monday-right-a", "turned")
TRUTH = {"münze-1": [(1, ring()), (0, dot())], "monday-left-a": [(0, np.ones(SIZE, bool))], "monday-right-a": [],
         "turned": [(1, square(2, 2, 5) | square(30, 20, 9))]}  # fmt: skip


# ---------------------------------------------------------------- YOLO


def read_yolo(folder: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    """Each picture's objects by the format's text: a line is a class and x y x y … as shares of width and height."""
    found = {}
    for file in sorted((folder / "images").iterdir()):
        with Image.open(file) as opened:
            size = np.array(opened.size)
        lines = (folder / "labels" / f"{file.stem}.txt").read_text(encoding="ascii").splitlines()
        values = [(int(line.split()[0]), np.array(line.split()[1:], float).reshape(-1, 2) * size) for line in lines]
        found[file.stem] = [(number, fill_polygon(corners, tuple(size[::-1]))) for number, corners in values]
    return found


def test_yolo_holds_holes_and_parts_exactly_when_told(work, tmp_path):
    report = export("yolo", tmp_path / "yolo", **work, tolerance=0)
    found = read_yolo(report.path)
    assert found.keys() == TRUTH.keys()
    for stem, objects in TRUTH.items():
        assert [number for number, _ in found[stem]] == [number for number, _ in objects]
        for (_, mask), (_, truth) in zip(found[stem], objects, strict=True):
            np.testing.assert_array_equal(mask, truth)
    assert report.annotations == 4
    holes = sum(len(polygon.holes) for polygon in mask_polygons(ring()))
    assert f"{holes} holes joined" in repr(report)
    assert "in parts" in report.notes[1]


def test_yolo_divides_the_pictures(work, tmp_path):
    whole = export("yolo", tmp_path / "yolo", **work).path
    lines = {file.name: file.read_bytes() for file in (whole / "labels").iterdir()}
    report = export("yolo", whole, **work, val=0.25)
    parts = {part: sorted(file.stem for file in (whole / "images" / part).iterdir()) for part in ("train", "val")}
    assert (len(parts["train"]), len(parts["val"])) == (3, 1)
    assert sorted(parts["train"] + parts["val"]) == sorted(TRUTH)
    for part, stems in parts.items():
        assert sorted(file.stem for file in (whole / "labels" / part).iterdir()) == stems
        assert all((whole / "labels" / part / f"{stem}.txt").read_bytes() == lines[f"{stem}.txt"] for stem in stems)
    assert "3 images in train, 1 in val" in report.notes
    assert report.notes[-1] == "1 image without an object, as background"
    data = yaml.safe_load((whole / "data.yaml").read_text())
    assert (data["train"], data["val"]) == ("images/train", "images/val")
    again = export("yolo", tmp_path / "again", **{**work, "images": work["images"][::-1]}, val=0.25).path
    assert sorted(file.stem for file in (again / "images" / "val").iterdir()) == parts["val"]


def test_yolo_leaves_no_part_empty(work, tmp_path):
    most = export("yolo", tmp_path / "most", **work, val=0.99)
    assert "1 image in train, 3 in val" in most.notes
    image = work["images"][0]
    alone = {"images": [image], "annotations": [a for a in work["annotations"] if a.image_id == image.id]}
    one = export("yolo", tmp_path / "one", **{**work, **alone}, val=0.5)
    assert "not divided: that takes two different pictures, or stacks" in one.notes
    assert yaml.safe_load((one.path / "data.yaml").read_text())["val"] == "images"
    assert len([*(one.path / "labels").glob("*.txt")]) == 1


def test_yolo_does_not_divide_a_stack(work, tmp_path):
    images = work["images"]
    slices = {image.id: ImageDetails(stack="/lab/z.tif", place={"z": n}) for n, image in enumerate(images[1:])}
    report = export("yolo", tmp_path / "yolo", **work, details=slices, val=0.5)
    sides = {part: {file.stem for file in (report.path / "labels" / part).iterdir()} for part in ("train", "val")}
    assert sorted(map(len, sides.values())) == [1, 3]
    assert "3 images in train, 1 in val" in export("yolo", tmp_path / "few", **work, details=slices, val=0.2).notes
    whole = export("yolo", tmp_path / "whole", **work, details=slices | {images[0].id: slices[images[1].id]}, val=0.5)
    assert "not divided: that takes two different pictures, or stacks" in whole.notes


def test_yolo_keeps_equal_pictures_of_several_stacks_together():
    def item(number, pixels, stack=""):
        image = SimpleNamespace(id=str(number), pixel_hash=pixels)
        return SimpleNamespace(image=image, details=ImageDetails(stack=stack))

    stacks = [item(n, "black" if n % 10 == 0 else f"{n:03}", f"{n // 10}.tif") for n in range(30)]
    single = [item(100 + n, f"9{n:02}") for n in range(10)]
    for share, expected in ((0.2, 8), (0.1, 4), (0.75, 30)):
        chosen = yolo._chosen([*stacks, *single, item(200, "black")], share)
        assert abs(len(chosen) - expected) <= 1
        assert len(chosen & {one.image.id for one in stacks}) in (0, 30)
        assert ("200" in chosen) == ("0" in chosen)


@pytest.mark.parametrize("val", [-0.1, 1, 20, "a fifth", True, float("nan")])
def test_yolo_refuses_a_share_that_is_none(work, tmp_path, val):
    with pytest.raises(PromptError, match="val: expected the share"):
        export("yolo", tmp_path / "yolo", **work, val=val)
    assert not (tmp_path / "yolo").exists()


def test_supervision_reads_yolo(work, tmp_path):
    folder = export("yolo", tmp_path / "yolo", **work).path
    dataset = supervision.DetectionDataset.from_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"), force_masks=True
    )
    assert dataset.classes == CATEGORIES
    seen = {Path(path).stem: found for path, _, found in dataset}
    assert seen.keys() == TRUTH.keys()
    for stem, objects in TRUTH.items():
        assert seen[stem].class_id.tolist() == [number for number, _ in objects]
        assert len(seen[stem]) == len(objects)
        for mask, (_, truth) in zip(seen[stem].mask if objects else [], objects, strict=True):
            # Its filling paints the outline, half a pixel on every side of a mask that is small here.
            assert truth.sum() < 5 or mask_iou(np.asarray(mask, bool), truth) > 0.6


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_any_mask_is_one_ring(mask):
    polygons = mask_polygons(mask, tolerance=0)
    if polygons:
        np.testing.assert_array_equal(fill_polygon(bridged(polygons), mask.shape), mask)


# ---------------------------------------------------------------- VOC


def test_voc_reads_back(work, tmp_path):
    folder = export("voc", tmp_path / "voc", **work).path
    assert (folder / "ImageSets/Segmentation/trainval.txt").read_text(encoding="utf-8").split() == list(STEMS)
    assert (folder / "labels.txt").read_text(encoding="utf-8").splitlines() == CATEGORIES
    for stem, objects in TRUTH.items():
        root = ElementTree.parse(folder / "Annotations" / f"{stem}.xml").getroot()
        assert (folder / "JPEGImages" / root.findtext("filename")).is_file()
        assert [int(root.findtext(f"size/{side}")) for side in ("height", "width")] == list(SIZE)
        names = [element.findtext("name") for element in root.iter("object")]
        assert names == [CATEGORIES[number] for number, _ in objects]
        with Image.open(folder / "SegmentationObject" / f"{stem}.png") as opened:
            numbers = np.array(opened)
        with Image.open(folder / "SegmentationClass" / f"{stem}.png") as opened:
            assert opened.mode == "P"
            assert opened.getpalette()[3:6] == [0x80, 0, 0]
            classes = np.array(opened)
        above = np.zeros(SIZE, bool)
        for number, (category, truth) in reversed(list(enumerate(objects, 1))):
            np.testing.assert_array_equal(numbers == number, truth & ~above)
            assert set(classes[truth & ~above]) == {category + 1}
            above |= truth
        for element, (_, truth) in zip(root.iter("object"), objects, strict=True):
            box = [int(element.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
            ys, xs = np.nonzero(truth)
            assert box == [xs.min() + 1, ys.min() + 1, xs.max() + 1, ys.max() + 1]


def test_supervision_reads_voc(work, tmp_path):
    folder = export("voc", tmp_path / "voc", **work).path
    dataset = supervision.DetectionDataset.from_pascal_voc(str(folder / "JPEGImages"), str(folder / "Annotations"))
    assert len(dataset) == 4
    for path, pixels, found in dataset:
        objects = TRUTH[Path(path).stem]
        assert pixels.shape == (*SIZE, 3)
        assert [dataset.classes[n] for n in found.class_id] == [CATEGORIES[number] for number, _ in objects]
        for box, (_, truth) in zip(found.xyxy, objects, strict=True):
            ys, xs = np.nonzero(truth)
            # One pixel wide, a box from corner to corner has no area: it counts from the first to the last pixel.
            np.testing.assert_allclose(box, [xs.min(), ys.min(), xs.max(), ys.max()], atol=1)


@pytest.mark.parametrize(
    ("name", "held"),
    [("a\u200cb", "a\u200cb"), ("a\u200db", "a\u200db"), ("a\xa0b", "a\xa0b"), ("a\x01b", "a\ufffdb"), ("🐎", "🐎")],
)
def test_voc_replaces_only_what_xml_cannot_hold(tmp_path, name, held):
    only, mask = image(1, "a.jpg"), np.ones(SIZE, bool)
    path = export(
        "voc", tmp_path, images=[only], annotations=[annotation(1, only, name, mask)], categories=[name], pictures=False
    ).path
    [found] = ElementTree.parse(next(path.glob("Annotations/*.xml"))).findall("object/name")
    assert found.text == held


def test_voc_colors_are_those_of_the_challenge():
    published = {0: "#000000", 1: "#800000", 2: "#008000", 7: "#808080", 12: "#400080", 20: "#004080"}
    assert {number: voc_color(number) for number in published} == published


def test_voc_keeps_255_for_void(tmp_path):
    only = picture(1, drawn(tmp_path / "a.jpg"))
    categories = [f"c{n}" for n in range(255)]
    found = [annotation(1, only, "c254", square(0, 0, 9))]
    folder = export("voc", tmp_path / "v", images=[only], annotations=found, categories=categories).path
    with Image.open(folder / "SegmentationClass/a.png") as opened:
        assert opened.mode.startswith("I")
        assert np.array(opened).max() == 255
    with Image.open(folder / "SegmentationObject/a.png") as opened:
        assert opened.mode == "P"


# ---------------------------------------------------------------- labelme


def labelme_mask(shape: dict[str, Any]) -> np.ndarray:
    """One shape as labelme fills it, but polygons by the even-odd rule of pixel centres."""
    if shape["shape_type"] == "polygon":
        return fill_polygon(np.array(shape["points"]), SIZE)
    assert shape["shape_type"] == "mask"
    (x1, y1), (x2, y2) = np.array(shape["points"]).astype(int)
    mask = np.zeros(SIZE, bool)
    mask[y1 : y2 + 1, x1 : x2 + 1] = np.array(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))).astype(bool)
    return mask


@pytest.mark.parametrize("shapes", ["auto", "mask"])
def test_labelme_reads_back_exactly(work, tmp_path, shapes):
    folder = export("labelme", tmp_path / "lm", **work, tolerance=0, shapes=shapes).path
    for stem, objects in TRUTH.items():
        document = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
        own = {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
        assert own == {*document} - {"samnb_image"}
        with Image.open(folder / document["imagePath"]) as opened:
            assert opened.size == (document["imageWidth"], document["imageHeight"]) == SIZE[::-1]
        # An object is what has one label and one group.
        together: dict[Any, np.ndarray] = {}
        for number, shape in enumerate(document["shapes"]):
            group = (shape["label"], f"alone {number}" if shape["group_id"] is None else shape["group_id"])
            together[group] = together.get(group, np.zeros(SIZE, bool)) | labelme_mask(shape)
        assert [label for label, _ in together] == [CATEGORIES[number] for number, _ in objects]
        for mask, (_, truth) in zip(together.values(), objects, strict=True):
            np.testing.assert_array_equal(mask, truth)


def test_labelme_polygons_fill_holes_and_say_so(work, tmp_path):
    report = export("labelme", tmp_path / "lm", **work, shapes="polygon")
    assert "holes filled" in report.notes[0]
    document = json.loads((report.path / "münze-1.json").read_text())
    assert {shape["shape_type"] for shape in document["shapes"]} == {"polygon"}
    with pytest.raises(UnknownName, match="'polygon'"):
        export("labelme", tmp_path / "x", **work, shapes="polygons")


# ---------------------------------------------------------------- COCO, masks


def test_supervision_reads_coco(work, tmp_path):
    report = export("coco", tmp_path / "out" / "all.json", **work, pictures=True)
    folder = report.path.parent
    dataset = supervision.DetectionDataset.from_coco(str(folder), str(report.path), force_masks=True)
    seen = {Path(path).stem: (pixels, found) for path, pixels, found in dataset}
    assert seen.keys() == TRUTH.keys()
    for stem, objects in TRUTH.items():
        pixels, found = seen[stem]
        assert pixels.shape == (*SIZE, 3)
        assert [dataset.classes[n] for n in found.class_id] == [CATEGORIES[number] for number, _ in objects]
        for mask, (_, truth) in zip(found.mask if objects else [], objects, strict=True):
            np.testing.assert_array_equal(np.asarray(mask, bool), truth)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_any_mask_through_coco(tmp_path, mask):
    only = replace(image(1, "a.jpg"), height=mask.shape[0], width=mask.shape[1])
    found = [annotation(1, only, "coin", mask)]
    options = {"images": [only], "annotations": found, "categories": ["coin"]}
    with contextlib.redirect_stdout(None):
        exact = COCO(str(export("coco", tmp_path / "a.json", **options).path))
    np.testing.assert_array_equal(exact.annToMask(exact.anns[1]).astype(bool), mask)
    lines = export("coco", tmp_path / "p.json", **options, polygons=True, tolerance=0).path.read_text()
    rings = json.loads(lines)["annotations"][0]["segmentation"]
    if mask.any():
        parts = [fill_polygon(np.array(corners).reshape(-1, 2), mask.shape) for corners in rings]
        np.testing.assert_array_equal(np.any(parts, axis=0), mask)


def test_labels_can_be_numbers_of_objects(work, tmp_path):
    report = export("masks", tmp_path / "m", **work, labels="object", objects=False)
    assert {file.parent.name for file in report.files} == {"m", "labels"}
    assert not list((tmp_path / "m").glob("*.png"))
    with Image.open(tmp_path / "m" / "labels" / "münze-1.png") as opened:
        numbers = np.array(opened)
    np.testing.assert_array_equal(numbers == 2, dot())
    np.testing.assert_array_equal(numbers == 1, ring() & ~dot())
    bare = export("masks", tmp_path / "m", **work, labels="none")
    assert not list((tmp_path / "m" / "labels").iterdir())
    assert len(bare.files) == 6
    with pytest.raises(UnknownName, match="'object'"):
        export("masks", tmp_path / "m", **work, labels="objects")


# ---------------------------------------------------------------- the table


def test_tables_read_back(work, tmp_path):
    import pandas

    from samnb.masks import decode_rle

    comma = pandas.read_csv(export("table", tmp_path / "a.csv", **work).path)
    columns = pandas.read_parquet(export("table", tmp_path / "a.parquet", **work).path)
    for table in (comma, columns):
        assert table["image"].tolist() == ["münze 1.jpg", "münze 1.jpg", "a.jpg", "a.jpg", "turned.jpg"]
        assert table["annotation_id"].isna().tolist() == [False, False, False, True, False]
        objects = table.dropna(subset=["annotation_id"])
        for rle, truth in zip(objects["rle"], [mask for found in TRUTH.values() for _, mask in found], strict=True):
            np.testing.assert_array_equal(decode_rle(json.loads(rle)), truth)
        assert objects["category_id"].astype(int).tolist() == [2, 1, 1, 2]
    assert columns["area"].dtype.kind in "if"


def test_a_table_is_known_by_its_suffix(work, tmp_path, monkeypatch):
    with pytest.raises(UnknownName, match=r"'\.csv'"):
        export("table", tmp_path / "a.cvs", **work)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PackageMissing, match=r"samnb\[parquet\]"):
        export("table", tmp_path / "a.parquet", **work)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


# ---------------------------------------------------------------- all folders


def pictures_of(folder: Path) -> dict[str, Path]:
    return {p.stem: p for p in folder.rglob("*") if p.suffix in (".jpg", ".png") and "Segmentation" not in str(p)}


@pytest.mark.parametrize("format", FOLDERS)
def test_pictures_lie_upright_in_their_files(work, tmp_path, format):
    folder = export(format, tmp_path / "out", **work).path
    found = pictures_of(folder)
    assert found["turned"].suffix == ".png"
    assert found["münze-1"].read_bytes() == Path(work["images"][0].path).read_bytes()
    for stem, record in zip(STEMS, work["images"], strict=True):
        with Image.open(found[stem]) as opened, Image.open(record.path) as original:
            assert opened.getexif().get(0x0112, 1) == 1
            np.testing.assert_array_equal(np.array(opened), np.array(ImageOps.exif_transpose(original)))


@pytest.mark.parametrize("format", FOLDERS)
def test_without_pictures(work, tmp_path, format):
    with_them = export(format, tmp_path / "with", **work)
    without = export(format, tmp_path / "without", **work, pictures=False)
    assert not pictures_of(without.path)
    names = {file.relative_to(with_them.path) for file in with_them.files}
    assert {file.relative_to(without.path) for file in without.files} < names


@pytest.mark.parametrize("format", [*FOLDERS, "coco"])
def test_a_picture_that_is_gone_or_changed_is_reported_and_the_rest_goes_on(work, tmp_path, format):
    os.unlink(work["images"][0].path)
    drawn(Path(work["images"][1].path), seed=99)
    report = export(format, tmp_path / "out" / "all.json", **work, pictures=True)
    assert (report.images, report.annotations) == (2, 1)
    assert [failure.path for failure in report.failed] == ["münze 1.jpg", "monday/left/a.jpg"]
    assert "nothing found" in report.failed[0].reason
    assert "changed" in report.failed[1].reason


@pytest.mark.parametrize("format", FOLDERS)
def test_again_into_the_same_folder(work, tmp_path, format):
    folder = tmp_path / "out"
    first = export(format, folder, **work)
    own = folder / "mine.txt"
    own.write_text("mine")
    work["images"], work["annotations"] = work["images"][:1], work["annotations"][:1]
    second = export(format, folder, **work)
    assert len(second.files) < len(first.files)
    assert {p for p in folder.rglob("*") if p.is_file()} == {*second.files, own}
    (folder / MANIFEST).write_text(json.dumps({"format": format, "files": ["../victim", "/etc/passwd", "mine.txt"]}))
    (tmp_path / "victim").write_text("there")
    export(format, folder, **work)
    assert (tmp_path / "victim").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs links")
@pytest.mark.parametrize("format", FOLDERS)
def test_no_file_behind_a_link_is_replaced_or_deleted(work, tmp_path, format):
    folder, outside = tmp_path / "out", tmp_path / "outside"
    report = export(format, folder, **work)
    shutil.copytree(folder, outside)
    for path in outside.rglob("*"):
        if path.is_file():
            path.write_text("theirs")
    for inside in [path for path in folder.iterdir() if path.is_dir()]:
        shutil.rmtree(inside)
        inside.symlink_to(outside / inside.name, target_is_directory=True)
    work["images"], work["annotations"] = work["images"][:1], work["annotations"][:1]
    with contextlib.suppress(StoreError):  # that such a file is there already
        export(format, folder, **work)
    assert report.files
    assert {path.read_text() for path in outside.rglob("*") if path.is_file()} == {"theirs"}


@pytest.mark.parametrize("format", [*FOLDERS, "masks"])
def test_files_that_no_export_wrote_are_not_replaced(work, tmp_path, format):
    reference = export(format, tmp_path / "new", **work)
    own = tmp_path / "out" / reference.files[0].relative_to(reference.path)
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    there = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match="no earlier export of samnb wrote it") as raised:
        export(format, tmp_path / "out", **work)
    assert str(raised.value).startswith(f"{own}: is there already")
    assert own.read_text() == "mine"
    assert sorted(tmp_path.rglob("*")) == there
    # With the very same content it is nobody's loss, and stays its owner's.
    own.write_bytes(reference.files[0].read_bytes())
    export(format, tmp_path / "out", **work)
    export(format, tmp_path / "out", images=[], annotations=[], categories=[])
    assert own.exists()


def test_pictures_beside_a_coco_file_that_no_export_wrote_are_not_replaced(work, tmp_path):
    own = tmp_path / "out" / "images" / "bare.jpg"
    drawn(own, seed=99)
    before = own.read_bytes()
    place = tmp_path / "out" / "all.json"
    place.write_text("{}")
    copies = sorted(
        p.name
        for p in pictures_of(export("coco", tmp_path / "n" / "a.json", **work, pictures=True).path.parent).values()
    )
    own = own.rename(own.with_name(copies[0]))
    with pytest.raises(StoreError, match="no earlier export of samnb wrote it"):
        export("coco", place, **work, pictures=True)
    assert own.read_bytes() == before
    assert place.read_text() == "{}"
    own.unlink()
    first = export("coco", place, **work, pictures=True)
    # Its own are replaced, and those of another file beside it stay.
    os.utime(own, (0, 0))
    export(
        "coco", tmp_path / "out" / "other.json", images=work["images"][1:], annotations=[], categories=[], pictures=True
    )
    assert all(file.exists() for file in first.files)
    export("coco", place, **work, pictures=True)
    assert own.stat().st_mtime > 0


def test_formats_in_one_folder_know_each_others_files(work, tmp_path):
    for format in ("labelme", "masks", "voc", "labelme", "masks"):
        export(format, tmp_path / "out", **work)
    less = {"images": work["images"][:1], "annotations": [], "categories": CATEGORIES}
    kept = {p for p in (tmp_path / "out").rglob("*.xml")}
    for format in ("masks", "labelme"):
        report = export(format, tmp_path / "out", **less)
        assert all(file.exists() for file in report.files)
    assert not list((tmp_path / "out").glob("*__*.png"))
    assert kept == {p for p in (tmp_path / "out").rglob("*.xml")} != set()


EDITED = {"labelme": "turned.json", "voc": "Annotations/turned.xml", "yolo": "labels/turned.txt",
          "masks": "turned__1_größe-b.png", "geojson": "turned.geojson", "tiff": "turned.tif",
          "zarr": "turned.zarr/zarr.json"}  # fmt: skip


@pytest.mark.parametrize("format", sorted(EDITED))
def test_a_file_that_was_changed_since_the_earlier_export_is_neither_replaced_nor_deleted(work, tmp_path, format):
    folder = tmp_path / "out"
    export(format, folder, **work)
    files = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    export(format, folder, **work)
    assert files == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    edited = folder / EDITED[format]
    content = edited.read_bytes()
    files[edited] = b"corrected by hand"
    edited.write_bytes(files[edited])
    with pytest.raises(StoreError, match=r"was changed since .*session\.import_") as raised:
        export(format, folder, **work)
    assert str(raised.value).startswith(f"{edited}: ")
    assert files == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    less = {"images": work["images"][:1], "annotations": work["annotations"][:1], "categories": CATEGORIES}
    for _ in range(2):
        report = export(format, folder, **less)
        assert {p for p in folder.rglob("*") if p.is_file()} == {*report.files, edited}
        assert edited.read_bytes() == b"corrected by hand"
        assert "1 file of the earlier export kept: changed since" in repr(report)
    with pytest.raises(StoreError, match="was changed since"):
        export(format, folder, **work)
    edited.write_bytes(content)  # as it was: samnb's own again
    assert EDITED[format] in json.loads((folder / MANIFEST).read_text())["files"]
    report = export(format, folder, **less)
    assert {p for p in folder.rglob("*") if p.is_file()} == {*report.files}


def test_lists_of_older_exports_have_no_hashes(work, tmp_path):
    folder = export("labelme", tmp_path / "out", **work).path
    listed = json.loads((folder / MANIFEST).read_text())
    assert listed.pop("sha256").keys() == {*listed["files"]}
    (folder / MANIFEST).write_text(json.dumps(listed))
    (folder / "turned.json").write_text("{}")
    export("labelme", folder, **work)
    assert (folder / "turned.json").read_text() != "{}"


@pytest.mark.parametrize("format", [*FOLDERS, "zarr"])
def test_files_of_images_that_fail_stay_until_they_are_back(work, tmp_path, format):
    folder, options = tmp_path / "out", {"pictures": True}
    first = export(format, folder, **work, **options)
    gone = Path(work["images"][3].path)
    content = {p: p.read_bytes() for p in first.files if "turned" in str(p.relative_to(folder))}
    away = gone.rename(tmp_path / "away.jpg")
    for _ in range(2):
        report = export(format, folder, **work, **options)
        assert [failure.path for failure in report.failed] == ["turned.jpg"]
        assert content.items() <= {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}.items()
        assert "of the earlier export kept: some images are not written" in repr(report)
        assert report.images == 3
    away.rename(gone)
    assert not export(format, folder, **work, **options).failed
    less = {"images": work["images"][:3], "annotations": work["annotations"][:3], "categories": CATEGORIES}
    report = export(format, folder, **less, **options)
    assert {p for p in folder.rglob("*") if p.is_file()} == {*report.files}


def test_a_rewritten_ome_zarr_has_no_parts_of_the_earlier_one_while_an_image_fails(work, tmp_path):
    first = export("zarr", tmp_path / "out", **work, pictures=True)
    Path(work["images"][3].path).unlink()
    less = {**work, "annotations": work["annotations"][2:]}
    report = export("zarr", tmp_path / "out", **less, pictures=True)
    kept = {p for p in (tmp_path / "out").rglob("*") if p.is_file()} - {*report.files}
    assert kept == {p for p in first.files if "turned.zarr" in p.parts}
    assert {p for p in first.files if "münze-1.zarr" in p.parts} - {*report.files}


@pytest.mark.skipif(os.name != "posix", reason="without locks nobody can tell who is alive")
@pytest.mark.parametrize("there", [False, True])
def test_what_a_killed_export_left_is_taken_away_by_the_next(there, work, tmp_path):
    folder = tmp_path / "out"
    if there:
        folder.mkdir()
    code = (
        "import os, pathlib, signal, sys\n"
        "from samnb.atomic_files import staging_path\n"
        "from samnb.exchange.writers.layout import FolderWriter\n"
        "with FolderWriter(pathlib.Path(sys.argv[1])) as writer, staging_path(pathlib.Path(sys.argv[2])) as file:\n"
        "    writer.write('deep/a.png', b'half')\n"
        "    file.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder), str(tmp_path)]).returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob(".samnb-*.part"))) == 2
    mine = [tmp_path / ".samnb-mine.part", tmp_path / f".{'0' * 32}.part", tmp_path / f"samnb-{'0' * 32}.part"]
    for path in mine:
        path.write_text("mine")
    with FolderWriter(tmp_path / "other") as alive:
        alive.write("a.txt", b"alive")
        export("voc", folder, **work)
        assert len(list(tmp_path.rglob(".samnb-????????*.part"))) == 1
    assert (tmp_path / "other" / "a.txt").read_bytes() == b"alive"
    assert sorted(tmp_path.rglob("*.part")) == sorted(mine)


def test_an_export_that_broke_off_while_moving_knows_its_files(work, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    replace_, moves = os.replace, [4]

    def broken(old, new):
        moves[0] -= 1
        if moves[0] < 0:
            raise OSError(5, "Input/output error")
        replace_(old, new)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", broken)
        with pytest.raises(StoreError, match="Input/output"):
            export("masks", folder, **work)
    assert len(list(folder.rglob("*.png"))) == 3
    # Some files are the earlier export's, some the new one's, and the next one has others again.
    export("masks", folder, **work)
    other = {"annotations": [replace(one, rle=encode_rle(square(9, 9, 9))) for one in work["annotations"]]}
    moves[0] = 4
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", broken)
        with pytest.raises(StoreError, match="Input/output"):
            export("masks", folder, **{**work, **other})
    inverse = {"annotations": [replace(one, rle=encode_rle(~square(9, 9, 9))) for one in work["annotations"]]}
    export("masks", folder, **{**work, **inverse})
    reference = export("masks", tmp_path / "new", **{**work, **inverse})
    for file in reference.files:
        assert (folder / file.relative_to(reference.path)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("format", sorted(EXPORTERS))
def test_a_full_disk_leaves_everything_as_it_was(work, tmp_path, format, monkeypatch):
    place = tmp_path / "out" / "a.csv"
    export(format, place, **work)
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    left, write = [3], Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        left[0] -= 1
        if left[0] < 0 or len(before) == 1:
            raise OSError(28, "No space left on device")
        return write(self, content)

    class FullFile(io.BytesIO):
        def writelines(self, pieces: Iterable[bytes]) -> None:
            raise OSError(28, f"No space left on device after {len(next(iter(pieces)))} bytes")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(samnb.atomic_files, "open", lambda *_: FullFile(), raising=False)
    with pytest.raises(StoreError, match="No space left"):
        export(format, place, **work)
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("format", sorted(EXPORTERS))
def test_a_relative_place(work, tmp_path, format, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = export(format, "here.csv", **work)
    assert report.path == Path("here.csv")
    assert all(file.is_file() for file in report.files)
    assert not [p for p in tmp_path.rglob("*.part")]


def test_an_image_of_another_mode_becomes_a_png(tmp_path):
    grey = tmp_path / "grey16.png"
    Image.fromarray(np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(SIZE)).save(grey)
    clear = tmp_path / "clear.png"
    clear.write_bytes(encode_png(np.full((*SIZE, 4), 128, np.uint8)))
    images = [picture(1, grey), picture(2, clear)]
    folder = export("yolo", tmp_path / "y", images=images, annotations=[], categories=[]).path
    for record in images:
        copy = folder / "images" / record.filename
        assert read_picture(copy).pixel_hash in pixel_hashes(record.path)
        with Image.open(copy) as opened:
            assert opened.mode == "RGB"


def test_csv_is_utf8_with_names_that_need_quotes(tmp_path):
    only = replace(picture(1, drawn(tmp_path / 'a, "b".jpg')), dataset="mon\nday")
    path = export("table", tmp_path / "t.csv", images=[only], annotations=[], categories=[]).path
    with open(path, encoding="utf-8", newline="") as stream:
        [row] = list(csv.DictReader(stream))
    assert (row["image"], row["dataset"]) == ('a, "b".jpg', "mon\nday")


@pytest.mark.parametrize("format", ["labelme", "coco"])
def test_originals_in_the_folder_are_neither_replaced_nor_taken_away(format, tmp_path):
    """`labelme` is often started on the folder of the pictures themselves."""
    folder = tmp_path / ("images" if format == "coco" else "all")
    place = folder if format == "labelme" else tmp_path / "coco.json"
    plain = picture(1, drawn(folder / "plain.png"))
    before = Path(plain.path).read_bytes()
    work: dict[str, Any] = {"images": [plain], "annotations": [], "categories": []}
    export(format, place, **work, pictures=True)
    assert Path(plain.path).read_bytes() == before
    export(format, place, **work, pictures=False)
    export(format, place, images=[], annotations=[], categories=[])
    assert Path(plain.path).read_bytes() == before
    deep = folder / "deep.png"
    Image.fromarray((np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) * 9).astype(np.uint16)).save(deep)
    before, there = deep.read_bytes(), sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=r"deep\.png: is a picture of the session"):
        export(format, place, images=[plain, picture(2, deep)], annotations=[], categories=[], pictures=True)
    assert deep.read_bytes() == before
    assert sorted(tmp_path.rglob("*")) == there


def test_a_table_tells_no_folders_unless_asked_and_holds_no_formulas(work, tmp_path):
    import pandas

    formula = "=HYPERLINK(1)"
    renamed = {**work, "categories": [formula, *work["categories"][1:]]}
    first = work["categories"][0]
    renamed["annotations"] = [replace(a, category=formula) if a.category == first else a for a in work["annotations"]]
    plain = pandas.read_csv(export("table", tmp_path / "a.csv", **renamed).path)
    told = pandas.read_csv(export("table", tmp_path / "b.csv", **renamed, paths=True).path)
    assert plain["path"].isna().all()
    assert told["path"].notna().all()
    assert f"'{formula}" in set(plain["category"])
    assert not [text for text in plain["category"].dropna() if text[0] in "=+-@"]
    parquet = pandas.read_parquet(export("table", tmp_path / "a.parquet", **renamed).path)
    assert formula in set(parquet["category"].dropna())
