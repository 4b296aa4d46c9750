"""Annotations from other tools: what an export wrote comes back whole, what others wrote is understood or reported."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from samnb import Session
from samnb.cli import main
from samnb.errors import FormatError, ImageNotFound, SamnbError, UnknownName, UnknownOption
from samnb.exchange.export import EXPORTERS
from samnb.exchange.importing import READERS
from samnb.exchange.readers.objects import ring_mask
from samnb.masks import decode_rle, mask_iou, mask_polygons
from samnb.records import Failure
from tests.support.export_work import SIZE, dot, ring, square

EXACT: dict[str, dict[str, Any]] = {"coco": {}, "labelme": {"tolerance": 0}, "masks": {}}


def drawn(path: Path, *, seed: int = 0, orientation: int = 1, size_hw: tuple[int, int] = SIZE) -> Path:
    """A picture of that size when upright; its file lies as the orientation says."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size_hw, 3), np.uint8)
    lying = Image.fromarray(pixels)
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}
    if orientation in back:
        lying = lying.transpose(back[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    lying.save(path, exif=exif)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Names with spaces and umlauts, a name twice, a turned picture."""
    folder = tmp_path / "photos"
    for number, name in enumerate(("münze 1.png", "left/a.png", "right/a.png", "turned.png")):
        drawn(folder / name, seed=number, orientation=6 if name == "turned.png" else 1)
    return folder


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """Opens sessions, and closes them in the end."""
    sessions: list[Session] = []

    def open_session(name: str) -> Session:
        sessions.append(Session(tmp_path / name))
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()


@pytest.fixture
def first(opened: Any, photos: Path) -> Session:
    """Masks with holes, in parts, of one pixel, of the whole picture; an image without; a category without."""
    session = opened("first")
    session.add(photos, dataset="monday", show=False)
    for name in ("größe b", "unused", "coin"):
        session.add_category(name)
    session.accept_mask("münze 1.png", ring(), category="größe b", score=0.25)
    session.accept_mask("münze 1.png", dot(), category="coin", score=0.5)
    session.accept_mask(photos / "left" / "a.png", np.ones(SIZE, bool), category="coin")
    session.accept_mask("turned.png", square(2, 2, 5) | square(30, 20, 9), category="größe b")
    session.accept_mask("turned.png", square(25, 15, 9), category="coin")
    return session


def contents(session: Session) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each image's name, and its objects from the lowest to the topmost."""
    found = []
    for image in session.images():
        objects = sorted(session.annotations(image=image), key=lambda one: (one.layer, one.id))
        found.append((image.filename, [(one.category, str(one.record.rle)) for one in objects]))
    return found


def coco_file(path: Path, annotations: list[Any], **more: Any) -> Path:
    images = [{"id": 1, "file_name": "left/a.png", "height": SIZE[0], "width": SIZE[1]}]
    records = [
        {"id": n, "image_id": 1, "category_id": 7} | one if isinstance(one, dict) else one
        for n, one in enumerate(annotations, 1)
    ]
    document = {"images": images, "annotations": records, "categories": [{"id": 7, "name": "coin"}]}
    path.write_text(json.dumps(document | more))
    return path


def labelme_file(path: Path, shapes: list[Any], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"imagePath": "münze 1.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    path.write_text(json.dumps(about | {"shapes": shapes} | more), encoding="utf-8")
    return path


def polygon(x: int, y: int, side: int) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


# -- there and back --------------------------------------------------------------------------------


@pytest.mark.parametrize("format", sorted(READERS))
def test_a_round_trip_into_a_fresh_session_loses_nothing(format, first, opened, photos, tmp_path):
    place = tmp_path / "out.json"
    first.export(format, place, **EXACT[format])
    fresh = opened("fresh")
    report = fresh.import_(format, place, dataset="back", images=photos)
    assert report.failed == ()
    assert (report.added, report.already, report.images, report.pictures_added) == (5, 0, 4, 4)
    assert sorted(contents(fresh)) == sorted(contents(first))
    # index.csv has a row for each annotation, and so none of the category without.
    assert fresh.categories() == (["größe b", "coin"] if format == "masks" else ["größe b", "unused", "coin"])
    assert {one.source for one in fresh.annotations()} == {f"import:{format}"}
    if format != "labelme":
        assert [one.score for one in fresh.annotations(image="münze 1.png")] == [0.25, 0.5]
    fresh.export(format, tmp_path / "again.json", **EXACT[format])
    if format == "coco":
        written = [json.loads((tmp_path / name).read_text())["annotations"] for name in ("out.json", "again.json")]
        assert sorted(str(one["segmentation"]) for one in written[0]) == sorted(
            str(one["segmentation"]) for one in written[1]
        )


@pytest.mark.parametrize("format", sorted(READERS))
@pytest.mark.parametrize("images", [False, True])
def test_importing_what_is_there_adds_nothing(format, images, first, photos, tmp_path):
    before = contents(first)
    place = tmp_path / "out.json"
    first.export(format, place, **EXACT[format])
    for _ in range(2):
        report = first.import_(format, place, dataset="monday", images=photos if images else None)
        assert (report.added, report.already, report.images, report.pictures_added) == (0, 5, 4, 0)
        assert report.failed == ()
    assert contents(first) == before
    assert len(first.images()) == 4


@pytest.mark.parametrize("format", ["coco", "labelme"])
def test_pictures_that_were_exported_bring_everything_along(format, first, opened, tmp_path):
    place = tmp_path / "out" / "all.json" if format == "coco" else tmp_path / "out"
    first.export(format, place, **EXACT[format], pictures=True)
    fresh = opened("fresh")
    report = fresh.import_(format, place, images=tmp_path / "out")
    assert (report.added, report.pictures_added, report.failed) == (5, 4, ())
    assert sorted(objects for _, objects in contents(fresh)) == sorted(objects for _, objects in contents(first))
    # The copy of the turned picture has other bytes and the same pixels: it is known again.
    again = first.import_(format, place, images=tmp_path / "out")
    assert (again.added, again.already, again.pictures_added) == (0, 5, 0)


def test_polygons_with_holes_and_parts_come_back_exactly(first, opened, photos, tmp_path):
    first.export("coco", tmp_path / "p.json", polygons=True, tolerance=0)
    fresh = opened("fresh")
    fresh.add(photos, show=False)
    assert fresh.import_("coco", tmp_path / "p.json", images=photos).added == 5
    assert sorted(contents(fresh)) == sorted(contents(first))


def test_simplified_outlines_of_what_is_there_are_not_doubled(first, tmp_path):
    # Of a mask a few pixels wide, half a pixel off is another mask: those are told apart.
    first.remove(first.annotations(image="münze 1.png")[0])
    first.export("labelme", tmp_path / "lm", shapes="polygon", tolerance=0.5)
    first.accept_mask("münze 1.png", square(3, 3, 12), category="coin")
    report = first.import_("labelme", tmp_path / "lm")
    assert (report.added, report.already) == (0, 4)
    first.import_("labelme", tmp_path / "lm")
    assert len(first.annotations()) == 5


@pytest.mark.parametrize("labels", ["category", "object"])
def test_label_maps_alone_come_back(labels, first, opened, photos, tmp_path):
    first.export("masks", tmp_path / "m", objects=False, labels=labels)
    fresh = opened("fresh")
    report = fresh.import_("masks", tmp_path / "m", images=photos)
    assert (report.added, report.images, report.failed) == (5, 4, ())
    found = {(a.image, a.category): a.mask for a in fresh.annotations()}
    np.testing.assert_array_equal(found["turned.png", "coin"], square(25, 15, 9))
    # What lay below it is hidden there.
    expected = (square(2, 2, 5) | square(30, 20, 9)) & ~square(25, 15, 9)
    np.testing.assert_array_equal(found["turned.png", "größe b"], expected)


def test_label_maps_of_voc_come_back(first, opened, tmp_path):
    folder = first.export("voc", tmp_path / "voc").path
    names = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    fresh = opened("fresh")
    report = fresh.import_("masks", folder / "SegmentationClass", images=folder / "JPEGImages", categories=names)
    assert (report.added, report.failed) == (5, ())
    found = {(a.image, a.category): a.mask for a in fresh.annotations()}
    np.testing.assert_array_equal(found["turned.png", "coin"], square(25, 15, 9))
    np.testing.assert_array_equal(found["münze-1.png", "größe b"], ring() & ~dot())
    assert fresh.categories() == first.categories()
    assert len(fresh.images()) == 4


def test_bare_label_maps_are_named_by_categories(first, opened, photos, tmp_path):
    first.export("masks", tmp_path / "m", objects=False)
    shutil.move(tmp_path / "m" / "labels", tmp_path / "labels")
    # Their names are those of the exports; of the pictures that have such names.
    for stem in ("monday-left-a", "monday-right-a", "münze-1"):
        (tmp_path / "labels" / f"{stem}.png").unlink()
    fresh = opened("fresh")
    report = fresh.import_("masks", tmp_path / "labels", images=photos, categories=["größe b", "unused", "coin"])
    assert (report.added, report.failed) == (2, ())
    assert {a.category for a in fresh.annotations()} == {"größe b", "coin"}
    assert fresh.categories() == ["größe b", "unused", "coin"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_any_mask_comes_out_of_its_polygons(seed):
    mask = np.random.default_rng(seed).random((9, 12)) < 0.5
    for outline in mask_polygons(mask, tolerance=0):
        parts = [ring_mask(hole.ravel().tolist(), mask.shape) for hole in outline.holes]
        whole = ring_mask(outline.exterior.ravel().tolist(), mask.shape)
        assert (mask[whole & ~np.any([*parts, np.zeros(mask.shape, bool)], axis=0)]).all()


@pytest.mark.parametrize("format", sorted(READERS))
def test_an_empty_session_comes_back_empty(format, opened, tmp_path):
    empty = opened("empty")
    empty.export(format, tmp_path / "none.json")
    if format == "labelme":
        with pytest.raises(ImageNotFound, match="a JSON file of labelme"):
            empty.import_(format, tmp_path / "none.json")
        return
    report = empty.import_(format, tmp_path / "none.json")
    assert (report.added, report.images, report.failed) == (0, 0, ())
    assert str(report) == "0 annotations from none.json on 0 images"


@pytest.mark.parametrize("format", sorted(EXPORTERS))
def test_an_empty_dataset_beside_a_full_one_is_exported_empty(format, first, tmp_path):
    first.catalog.add_dataset("empty")
    report = first.export(format, tmp_path / "out.csv", dataset="empty")
    assert (report.images, report.annotations, report.failed) == (0, 0, ())
    assert all(file.is_file() for file in report.files)


@pytest.mark.parametrize("format", sorted(READERS))
def test_images_without_annotations_come_back(format, opened, photos, tmp_path):
    bare = opened("bare")
    bare.add([photos / "turned.png", photos / "münze 1.png"], show=False)
    bare.export(format, tmp_path / "bare.json")
    report = opened("fresh").import_(format, tmp_path / "bare.json", images=photos)
    assert (report.added, report.images, report.pictures_added, report.failed) == (0, 2, 2, ())


# -- hand work stays -------------------------------------------------------------------------------


def test_what_a_hand_changed_deleted_or_made_stays(first, tmp_path):
    left = first.annotations(image="turned.png")
    place = first.export("coco", tmp_path / "a.json").path
    for one in first.annotations():
        first.remove(one)
    assert first.import_("coco", place).added == 5
    imported = first.annotations(image="turned.png")
    moved = first.update(imported[0], mask=left[0].mask | square(40, 20, 6))
    renamed = first.update(imported[1], category="medal")
    first.catalog.update_annotation(first.annotations(category="größe b")[0].id, review="rejected")
    before = contents(first)
    report = first.import_("coco", place)
    assert (report.added, report.already) == (0, 5)
    assert "2 objects there with another outline or category: left as they are" in str(report)
    assert contents(first) == before
    now = {one.id: one for one in first.annotations()}
    np.testing.assert_array_equal(now[moved.id].mask, moved.mask)
    assert now[renamed.id].category == "medal"
    first.remove(now[moved.id])
    assert first.import_("coco", place).added == 1


def test_objects_that_lie_apart_are_told_apart_without_their_masks(opened, photos, tmp_path, monkeypatch):
    def boxes(shift: int) -> Path:
        shapes = [{"segmentation": [polygon(x + shift, 4, 8)]} for x in (4, 34)]
        return coco_file(tmp_path / f"{shift}.json", shapes)

    session = opened("s")
    session.add(photos, show=False)
    session.import_("coco", boxes(0))
    decoded: list[Any] = []
    monkeypatch.setattr("samnb.exchange.importing.decode_rle", lambda rle: decoded.append(rle) or decode_rle(rle))
    assert session.import_("coco", boxes(10)).added == 2
    assert decoded == []


def test_objects_that_are_twice_in_a_file_come_twice(opened, photos, tmp_path):
    session = opened("s")
    session.add(photos, show=False)
    place = coco_file(tmp_path / "a.json", [{"segmentation": [polygon(2, 2, 9)]}] * 2)
    assert session.import_("coco", place).added == 2
    assert session.import_("coco", place).added == 0
    assert len(session.annotations()) == 2


def test_an_annotator_that_is_open_is_told(first, photos, tmp_path):
    seen: list[str] = []
    first.changes.subscribe(seen.append)
    first.import_("coco", coco_file(tmp_path / "a.json", [{"segmentation": [polygon(2, 2, 9)]}]))
    assert seen == [first.image(photos / "left" / "a.png").id]


def test_an_import_that_was_interrupted_goes_on(first, opened, photos, tmp_path, monkeypatch):
    place = first.export("coco", tmp_path / "a.json").path
    fresh = opened("fresh")
    fresh.add(photos, dataset="monday", show=False)
    save = fresh.catalog.add_annotations

    def once(rows: Any) -> Any:
        monkeypatch.setattr(fresh.catalog, "add_annotations", _killed)
        return save(rows)

    def _killed(rows: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(fresh.catalog, "add_annotations", once)
    with pytest.raises(KeyboardInterrupt):
        fresh.import_("coco", place)
    some = len(fresh.annotations())
    assert 0 < some < 5
    monkeypatch.setattr(fresh.catalog, "add_annotations", save)
    report = fresh.import_("coco", place)
    assert (report.added, report.already) == (5 - some, some)
    assert sorted(contents(fresh)) == sorted(contents(first))


# -- which image -----------------------------------------------------------------------------------


def test_unknown_images_are_reported_by_name_and_the_rest_goes_on(opened, photos, tmp_path):
    session = opened("s")
    session.add(photos / "left", show=False)
    images = [
        {"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]},
        {"id": 2, "file_name": "gone.png", "height": SIZE[0], "width": SIZE[1]},
    ]
    some = [{"segmentation": [polygon(2, 2, 9)], "image_id": n} for n in (2, 1, 2)]
    report = session.import_("coco", coco_file(tmp_path / "a.json", some, images=images))
    assert (report.added, report.images) == (1, 1)
    [failure] = report.failed
    assert failure.path == "gone.png (2 objects)"
    assert "images=" in failure.reason
    again = session.import_("coco", tmp_path / "a.json", images=photos / "left")
    assert (again.added, again.already, again.pictures_added, len(again.failed)) == (0, 1, 0, 1)
    # Two pictures there are called so.
    assert "could be several pictures" in session.import_("coco", tmp_path / "a.json", images=photos).failed[0].reason


def test_a_name_that_several_images_have_needs_a_dataset_or_more_of_its_path(opened, photos, tmp_path):
    session = opened("s")
    session.add(photos / "left", dataset="monday", show=False)
    session.add(photos / "right", dataset="tuesday", show=False)
    some = [{"segmentation": [polygon(2, 2, 9)]}]
    plain = [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}]
    place = coco_file(tmp_path / "a.json", some, images=plain)
    [failure] = session.import_("coco", place).failed
    assert "monday/a.png, tuesday/a.png" in failure.reason
    assert session.import_("coco", place, dataset="tuesday").added == 1
    assert [a.dataset for a in session.annotations()] == ["tuesday"]
    assert session.import_("coco", coco_file(tmp_path / "b.json", some)).added == 1
    assert [a.dataset for a in session.annotations()] == ["tuesday", "monday"]


def test_pictures_are_known_by_their_bytes_under_any_name(first, photos, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(photos / "right" / "a.png", elsewhere / "renamed.png")
    shutil.copy(photos / "right" / "a.png", elsewhere / "turned.png")
    shape = {"label": "coin", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
    for name in ("renamed", "turned"):
        labelme_file(elsewhere / f"{name}.json", [shape | {"label": name}], imagePath=f"{name}.png")
    report = first.import_("labelme", elsewhere)
    assert (report.added, report.images, report.failed) == (2, 1, ())
    here = first.image(photos / "right" / "a.png")
    assert [a.category for a in first.annotations(image=here)] == ["renamed", "turned"]


def test_a_picture_beside_the_file_that_is_another_one_is_not_taken_for_it(first, tmp_path):
    shape = {"label": "coin", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
    drawn(tmp_path / "lm" / "turned.png", seed=99)
    place = labelme_file(tmp_path / "lm" / "turned.json", [shape], imagePath="turned.png")
    [failure] = first.import_("labelme", place).failed
    assert "no image of the session has its pixels" in failure.reason
    report = first.import_("labelme", place, dataset="monday", images=tmp_path / "lm")
    assert (report.added, report.pictures_added) == (1, 1)
    assert len(first.images()) == 5


def test_nothing_outside_the_folder_is_added(opened, photos, tmp_path):
    session = opened("s")
    drawn(tmp_path / "secret.png", seed=50)
    names = ["../secret.png", str(tmp_path / "secret.png"), "/dev/zero", "\0", "x" * 5000 + ".png"]
    images = [{"id": n, "file_name": name, "height": 40, "width": 60} for n, name in enumerate(names)]
    report = session.import_("coco", coco_file(tmp_path / "a.json", [], images=images), images=photos)
    assert (report.images, report.pictures_added, len(report.failed)) == (0, 0, 5)
    (tmp_path / "m").mkdir()
    rows = "mask,image,category\n../secret.png,turned.png,coin\na\0b,turned.png,coin\n"
    (tmp_path / "m" / "index.csv").write_text(rows)
    session.add(photos, show=False)
    outside, unnameable = session.import_("masks", tmp_path / "m").failed
    assert "expected a file in" in outside.reason
    assert "null characters" in unnameable.reason


@pytest.mark.parametrize("orientation", [6, 8])
def test_masks_drawn_on_the_picture_as_it_lies_are_turned_with_it(orientation, opened, tmp_path):
    path = drawn(tmp_path / "photos" / "t.png", orientation=orientation)
    session = opened("s")
    session.add(path, show=False)
    upright = square(2, 20, 15) | square(40, 3, 4)
    turn = Image.Transpose.ROTATE_90 if orientation == 6 else Image.Transpose.ROTATE_270
    lying = np.array(Image.fromarray(upright).transpose(turn))
    rle = coco_mask.encode(np.asfortranarray(lying.astype(np.uint8)))
    images = [{"id": 1, "file_name": "t.png", "height": lying.shape[0], "width": lying.shape[1]}]
    some = [{"segmentation": {"size": rle["size"], "counts": rle["counts"].decode()}}]
    report = session.import_("coco", coco_file(tmp_path / "a.json", some, images=images))
    assert "1 mask drawn on pictures as they lie" in str(report)
    np.testing.assert_array_equal(session.annotations()[0].mask, upright)
    assert session.import_("coco", tmp_path / "a.json").already == 1
    (tmp_path / "masks").mkdir()
    Image.fromarray(lying).save(tmp_path / "masks" / "t.png")
    assert session.import_("masks", tmp_path / "masks").added == 1
    np.testing.assert_array_equal(session.annotations(category="object")[0].mask, upright)


# -- what others write -----------------------------------------------------------------------------


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
    ({"segmentation": "x"}, "no segmentation"),
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
        ({"label": "a", "points": corners, "shape_type": "rectangle"}, "two points"),
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


# -- as hand work ---


def test_imported_as_hand_work_they_are_examples_and_the_truth(opened, photos, tmp_path):
    session = opened("second")
    session.add(photos, show=False)
    file = coco_file(
        tmp_path / "a.json", [{"segmentation": [polygon(2, 2, 9)]}, {"segmentation": [polygon(20, 12, 9)]}]
    )
    plain = opened("third")
    plain.add(photos, show=False)
    plain.import_("coco", file, show=False)
    with pytest.raises(SamnbError):
        plain.template("coins")
    report = session.import_("coco", file, by_hand=True, show=False)
    assert (report.added, report.by_hand) == (2, True)
    assert "as made by hand" in str(report)
    assert "as made by hand" in report._repr_html_()
    assert {one.source for one in session.annotations()} == {"hand"}
    template = session.template("coins")
    assert session.evaluate(template, on_examples=True).images
    again = session.import_("coco", file, by_hand=True, show=False)
    assert (again.added, again.already) == (0, 2)
    first = session.annotations()[0]
    mended = first.mask.copy()
    mended[: mended.shape[0] // 2, 2:5] = False
    session.update(first, mask=mended)
    assert session.import_("coco", file, by_hand=True, show=False).added == 0
    assert session.remove(first)
    assert session.import_("coco", file, by_hand=True, show=False).added == 1


def test_the_terminal_imports_as_hand_work(opened, photos, tmp_path, capsys):
    file = coco_file(tmp_path / "a.json", [{"segmentation": [polygon(2, 2, 9)]}])
    opened("s")
    assert main(["import", str(tmp_path / "s"), "coco", str(file), "--images", str(photos), "--by-hand"]) == 0
    assert "as made by hand" in capsys.readouterr().out
    assert [one.source for one in opened("s").annotations()] == ["hand"]


# -- the report ------------------------------------------------------------------------------------


def test_the_report_is_frozen_and_shows_itself(first, tmp_path):
    some = [{"segmentation": [polygon(2, 2, 9)]}, *({"segmentation": "<b>"} for _ in range(30))]
    report = first.import_("coco", coco_file(tmp_path / "a.json", some), show=False)
    with pytest.raises(FrozenInstanceError):
        report.added = 5  # type: ignore[misc]
    assert str(report).splitlines()[0] == "1 annotation from a.json on 1 image · 30 not used"
    assert str(report).splitlines()[-1].endswith("… and 10 more in .failed")
    assert report.failed[0] == Failure("a.json, annotation 2", "it has no segmentation; a box alone is no mask")
    page = report._repr_html_()
    assert "coco · a.json" in page
    assert "a.json, annotation 2" in page
    assert json.loads(json.dumps(report.as_dict()))["added"] == 1


def test_a_category_is_escaped_in_the_card(first, tmp_path):
    some = [{"segmentation": [polygon(2, 2, 9)]}]
    place = coco_file(tmp_path / "a.json", some, categories=[{"id": 7, "name": "<script>"}])
    page = first.import_("coco", place)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_file_that_may_not_be_read(first, tmp_path):
    place = coco_file(tmp_path / "a.json", [])
    os.chmod(place, 0)
    if os.access(place, os.R_OK):
        place.unlink()
        place.symlink_to(place)
    with pytest.raises(SamnbError, match=r"a\.json"):
        first.import_("coco", place)
