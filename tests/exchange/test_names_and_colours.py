"""Names, numbers and colours of files: what contradicts is never taken for the same."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samnb.exchange.readers.mask_colours import number_of
from samnb.images.names import readings
from tests.support.export_work import SIZE, square
from tests.support.import_work import coco_file, drawn, labelme_file, polygon


def records(*names, **more):
    return [{"id": n, "file_name": name, "height": SIZE[0], "width": SIZE[1]} | more for n, name in enumerate(names, 1)]


def two(path, *names):
    """A COCO file of pictures with an object each, further right from one to the next."""
    objects = [{"segmentation": [polygon(10 * n, 5, 5)], "image_id": n} for n in range(1, len(names) + 1)]
    return coco_file(path, objects, images=records(*names))


def places(session):
    return {(Path(session.image(a.image_id).path).parent.name, int(a.bbox[0])) for a in session.annotations()}


def mask_file(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("names", [("p1/s1.png", "p2/s1.png"), ("p1/s1.png",)])
def test_a_name_in_another_folder_is_another_picture(opened, tmp_path, known, names):
    drawn(tmp_path / "pics" / "p2" / "s1.png")
    session = opened("s")
    if known:
        session.add(tmp_path / "pics", show=False)
    report = session.import_("coco", two(tmp_path / "a.json", *names), images=None if known else tmp_path / "pics")
    assert places(session) == ({("p2", 20)} if len(names) == 2 else set())
    [failure] = report.failed
    assert failure.path == "p1/s1.png (1 object)"
    assert "p2" in failure.reason


def test_of_two_names_for_one_picture_the_one_that_agrees_better_wins(opened, tmp_path):
    drawn(tmp_path / "pics" / "p2" / "s1.png")
    session = opened("s")
    report = session.import_(
        "coco", two(tmp_path / "a.json", "p1/s1.png", "p2/s1.png"), images=tmp_path / "pics" / "p2"
    )
    assert places(session) == {("p2", 20)}
    assert "this one is not" in report.failed[0].reason


def test_masks_of_another_folder_are_masks_of_another_picture(opened, tmp_path):
    drawn(tmp_path / "pics" / "p2" / "s1.png")
    for folder in ("p1", "p2"):
        mask_file(tmp_path / "masks" / folder / "s1.png", square(5 if folder == "p1" else 20, 5, 5))
    session = opened("s")
    report = session.import_("masks", tmp_path / "masks", images=tmp_path / "pics")
    assert places(session) == {("p2", 20)}
    assert "lies in another one" in report.failed[0].reason


def test_two_records_of_one_name_are_told(opened, tmp_path):
    drawn(tmp_path / "pics" / "f.png")
    report = opened("s").import_("coco", two(tmp_path / "a.json", "f.png", "f.png"), images=tmp_path / "pics")
    assert "2 records of one picture" in report.notes[0]


def test_the_neighbour_wins_before_any_search(opened, tmp_path):
    for number, folder in enumerate(("p1", "p2")):
        drawn(tmp_path / "all" / folder / "s.png", seed=number)
        corners = [[1, 1], [9, 1], [9, 9]]
        labelme_file(tmp_path / "all" / folder / "s.json", [{"label": folder, "points": corners}], imagePath="s.png")
    session = opened("s")
    report = session.import_("labelme", tmp_path / "all", images=tmp_path / "all")
    assert (report.added, report.failed) == (2, ())
    assert {(Path(session.image(a.image_id).path).parent.name, a.category) for a in session.annotations()} == {
        ("p1", "p1"),
        ("p2", "p2"),
    }


@pytest.mark.parametrize(
    "said",
    [
        unicodedata.normalize("NFD", "münze 1.png"), "MÜNZE 1.PNG", "m%C3%BCnze%201.png", r"C:\other\left\münze 1.png",
        "https://host/left/m%C3%BCnze%201.png?size=2#x", "/data/local-files/?d=left/m%C3%BCnze%201.png",
        "./münze 1.png",
    ],
)  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_one_name_in_many_spellings(opened, tmp_path, said, known):
    drawn(tmp_path / "left" / "münze 1.png")
    session = opened("s")
    if known:
        session.add(tmp_path / "left", show=False)
    report = session.import_("coco", two(tmp_path / "a.json", said), images=None if known else tmp_path / "left")
    assert (report.added, report.failed) == (1, ())


def test_a_name_with_a_backslash_comes_back(opened, tmp_path):
    drawn(tmp_path / "pics" / "a\\b.png")
    first, second = opened("a"), opened("b")
    first.add(tmp_path / "pics", show=False)
    first.accept_mask(first.images()[0], square(2, 2, 5), category="x")
    first.export("coco", tmp_path / "f.json")
    assert second.import_("coco", tmp_path / "f.json", images=tmp_path / "pics").added == 1
    assert readings("a\\b.png") == ["a\\b.png", "a/b.png"]


def test_a_name_cannot_lead_out_of_the_folder(opened, tmp_path):
    drawn(tmp_path / "secret.png")
    drawn(tmp_path / "pics" / "a.png")
    (tmp_path / "x" / "y").mkdir(parents=True)
    report = opened("s").import_(
        "coco", two(tmp_path / "x" / "y" / "a.json", "../secret.png"), images=tmp_path / "pics"
    )
    assert (report.added, report.pictures_added) == (0, 0)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("datasets", [("d", "d"), ("d", "e")])
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("coco", {}), ("coco", {"polygons": True, "tolerance": 0}), ("coco", {"pictures": True}),
        ("masks", {}), ("labelme", {}), ("labelme", {"pictures": False}),
    ],
)  # fmt: skip
def test_names_that_differ_only_in_case_keep_their_objects(opened, tmp_path, format, options, datasets, known):
    names = ("A.PNG", "a.png")
    for number, name in enumerate(names):
        drawn(tmp_path / "pics" / name, seed=number)
    if len(list((tmp_path / "pics").iterdir())) == 1:
        pytest.skip("the file system does not tell upper from lower case")
    first, second = opened("first"), opened("second")
    for number, (name, dataset) in enumerate(zip(names, datasets, strict=True), 1):
        first.add(tmp_path / "pics" / name, dataset=dataset, show=False)
        first.accept_mask(name, square(10 * number, 5, 5), category="x")
    place = tmp_path / ("out.json" if format == "coco" else "out")
    first.export(format, place, **options)
    if known:
        second.add(tmp_path / "pics", show=False)
    copies = tmp_path / "images"  # of coco, whose names are those of the copies
    report = second.import_(format, place, images=None if known else copies if copies.is_dir() else tmp_path / "pics")
    assert (report.added, report.failed) == (2, ())
    shown = {tuple(second.pixels(a.image_id)[0, 0]): int(a.bbox[0]) for a in second.annotations()}
    assert shown == {tuple(first.pixels(name)[0, 0]): 10 * number for number, name in enumerate(names, 1)}
    assert first.import_(format, place).already == 2


RED, GREEN, ORANGE = (128, 0, 0), (0, 128, 0), (250, 120, 10)


def colour_masks(folder, files):
    for number, (name, squares) in enumerate(files.items()):
        drawn(folder / "pics" / f"{name}.png", seed=number)
        colours = np.zeros((*SIZE, 3), np.uint8)
        for colour, left in squares.items():
            colours[square(left, 5, 8)] = colour
        mask_file(folder / "masks" / f"{name}.png", colours)
    return {"path": folder / "masks", "images": folder / "pics"}


def categories_at(session):
    return {(int(a.bbox[0]), a.category) for a in session.annotations()}


def test_one_colour_is_one_category_in_all_files(opened, tmp_path):
    files = colour_masks(tmp_path, {"a": {RED: 5}, "b": {RED: 5, GREEN: 30}, "c": {GREEN: 30}})
    for name, options, expected in (
        ("none", {}, {(5, "label 1"), (30, "label 2")}),
        ("list", {"categories": ["r", "g"]}, {(5, "r"), (30, "g")}),
        ("mapping", {"categories": {"g": "#008000", "r": RED}}, {(5, "r"), (30, "g")}),
    ):
        session = opened(name)
        assert session.import_("masks", **files, **options).failed == ()
        assert categories_at(session) == expected, name


def test_other_colours_need_a_name(opened, tmp_path):
    files = colour_masks(tmp_path, {"a": {ORANGE: 5}, "b": {ORANGE: 5, GREEN: 30}})
    report = opened("without").import_("masks", **files)
    assert (report.added, len(report.failed)) == (1, 2)
    assert "categories={'coin': '#fa780a'" in report.failed[0].reason
    named = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nleaf:250,120,10::\nstone:0,128,0::\n"
    (tmp_path / "masks" / "labelmap.txt").write_text(named, encoding="utf-8-sig")
    session = opened("s")
    assert session.import_("masks", **files).failed == ()
    assert categories_at(session) == {(5, "leaf"), (30, "stone")}


def test_palettes_that_contradict_are_refused(opened, tmp_path):
    for number, (name, colour) in enumerate((("a", [255, 0, 0]), ("b", [0, 255, 0]))):
        drawn(tmp_path / "pics" / f"{name}.png", seed=number)
        image = Image.fromarray(square(5, 5, 8).astype(np.uint8))
        image.putpalette([0, 0, 0, *colour])
        (tmp_path / "masks").mkdir(exist_ok=True)
        image.save(tmp_path / "masks" / f"{name}.png")
    report = opened("s").import_("masks", tmp_path / "masks", images=tmp_path / "pics")
    assert report.added == 1
    assert "a palette of its own" in report.failed[0].reason


def test_a_label_map_with_one_number_means_what_it_means_in_the_others(opened, tmp_path):
    for number, name in enumerate("ab"):
        drawn(tmp_path / "pics" / f"{name}.png", seed=number)
        labels = square(5, 5, 8).astype(np.uint8)
        labels[square(30, 5, 8)] = 2 if name == "b" else 0
        mask_file(tmp_path / "masks" / f"{name}.png", labels)
    session = opened("s")
    session.import_("masks", tmp_path / "masks", images=tmp_path / "pics")
    assert categories_at(session) == {(5, "label 1"), (30, "label 2")}


def test_vocs_colours_are_numbers():
    assert [number_of(colour) for colour in (0x800000, 0x008000, 0x808000, 0x000080, 0xE0E0C0)] == [1, 2, 3, 4, 0]


def test_a_mask_file_starts_no_program(opened, tmp_path):
    drawn(tmp_path / "pics" / "a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n%%EndComments\n")
    report = opened("s").import_("masks", tmp_path / "masks", images=tmp_path / "pics")
    assert "not a picture that can be decoded" in report.failed[0].reason


def test_ids_that_are_equal_numbers_are_equal(opened, tmp_path):
    drawn(tmp_path / "pics" / "a.png")
    document = json.loads(two(tmp_path / "a.json", "a.png").read_text())
    document["annotations"][0] |= {"image_id": 1.0, "category_id": 7.0}
    document["images"][0] |= {"height": float(SIZE[0]), "width": float(SIZE[1])}
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert opened("s").import_("coco", tmp_path / "a.json", images=tmp_path / "pics").added == 1
