"""Imports: what an export wrote comes back whole, hand work stays, and images are found."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from samnb.cli import main
from samnb.errors import ImageNotFound, PromptError, SamnbError
from samnb.exchange.export import EXPORTERS
from samnb.exchange.importing import READERS
from samnb.exchange.readers.objects import ring_mask
from samnb.masks import decode_rle, mask_polygons
from samnb.records import Failure
from tests.support.export_work import SIZE, dot, ring, square
from tests.support.import_work import coco_file, contents, drawn, labelme_file, polygon

EXACT: dict[str, dict[str, Any]] = {"coco": {}, "labelme": {"tolerance": 0}, "masks": {}, "yolo": {"tolerance": 0}}
"""The options with which an export loses nothing; in VOC objects hide what lies below."""

# -- there and back --------------------------------------------------------------------------------


@pytest.mark.parametrize("format", sorted(EXACT))
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
    if format not in ("labelme", "yolo"):
        assert [one.score for one in fresh.annotations(image="münze 1.png")] == [0.25, 0.5]
    fresh.export(format, tmp_path / "again.json", **EXACT[format])
    if format == "coco":
        written = [json.loads((tmp_path / name).read_text())["annotations"] for name in ("out.json", "again.json")]
        assert sorted(str(one["segmentation"]) for one in written[0]) == sorted(
            str(one["segmentation"]) for one in written[1]
        )


@pytest.mark.parametrize("format", sorted(EXACT))
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
    for categories in (3, [3], [None]):
        with pytest.raises(PromptError, match="categories: expected names in a list"):
            fresh.import_("masks", tmp_path / "labels", images=photos, categories=categories)
    # One name is the name of number 1, not of its letters.
    named = opened("named").import_("masks", tmp_path / "labels", images=photos, categories="größe b")
    assert named.categories_added[0] == "größe b"
    assert len(named.categories_added) == 2


def test_pictures_are_not_added_to_a_dataset_without_a_name(first, opened, photos, tmp_path):
    first.export("coco", tmp_path / "out.json")
    fresh = opened("fresh")
    with pytest.raises(PromptError, match="dataset"):
        fresh.import_("coco", tmp_path / "out.json", dataset="", images=photos)
    assert fresh.datasets() == []


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
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
    if format in ("labelme", "voc"):
        with pytest.raises(ImageNotFound, match=r"a JSON file of labelme|an XML file of Pascal VOC"):
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


@pytest.mark.parametrize("format", ["labelme", "yolo"])
def test_names_that_an_export_makes_alike_lead_to_their_own_pictures(format, opened, tmp_path):
    """ "img 1.png" is exported as "img-1.png", which another picture is called."""
    session = opened("alike")
    for seed, name in enumerate(("img 1.png", "img-1.png", "deep/b 1.png", "deep/b-1.png")):
        session.add(drawn(tmp_path / "pics" / name, seed=seed), show=False)
        session.accept_mask(session.images()[-1], square(3 * seed, 3, 5), category="coin")
    session.export(format, tmp_path / "out", tolerance=0)
    for images in ("pics", "out"):
        again = opened(f"again-{images}")
        report = again.import_(format, tmp_path / "out", images=tmp_path / images)
        assert (report.added, report.failed) == (4, ())
        by_pixels = {image.pixel_hash: contents(again)[n][1] for n, image in enumerate(again.images())}
        assert by_pixels == {image.pixel_hash: contents(session)[n][1] for n, image in enumerate(session.images())}


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
    monkeypatch.setattr("samnb.exchange.same_object.decode_rle", lambda rle: decoded.append(rle) or decode_rle(rle))
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
    assert report.failed[0] == Failure(
        "a.json, annotation 2", "its segmentation is a str, expected polygons or run lengths"
    )
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
