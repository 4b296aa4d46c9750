"""Cases from COCO files and mask pictures: what other tools write, and what samnb's own exporters do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from samnb.errors import FormatError, ImageNotFound, PromptError
from samnb.evaluation.cases import Case
from samnb.evaluation.file_cases import read_coco, read_masks
from samnb.masks import encode_rle
from samnb.records import Failure
from samnb.session import Session

SIZE = (40, 60)


def blob(seed: int, size_hw=SIZE) -> np.ndarray:
    """A few overlapping boxes with a hole: no two seeds alike."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size_hw, bool)
    for _ in range(3):
        y, x = (int(rng.integers(2, side - 18)) for side in size_hw)
        mask[y : y + int(rng.integers(8, 16)), x : x + int(rng.integers(8, 16))] = True
        mask[y + 3 : y + 5, x + 3 : x + 6] = False
    return mask


def save_picture(path, seed=0, size_hw=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)).save(path)
    return path


def save_mask(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values.astype(np.uint8) * 255 if values.dtype == bool else values
    Image.fromarray(values).save(path)
    return path


def split(cases):
    """(cases, failures) of one pass."""
    found = list(cases)
    return [c for c in found if isinstance(c, Case)], [f for f in found if isinstance(f, Failure)]


# -- COCO -----------------------------------------------------------------------------------------


def coco_file(path, annotations, images=None):
    images = images or [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}]
    annotations = [{"id": n, "image_id": 1, "category_id": 7} | a for n, a in enumerate(annotations, 1)]
    categories = [{"id": 7, "name": "coin"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_every_kind_of_segmentation_is_read(tmp_path):
    save_picture(tmp_path / "pictures" / "a.png")
    mask = blob(1)
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    kinds = [
        {"segmentation": encode_rle(mask)},
        {"segmentation": {"size": list(SIZE), "counts": packed["counts"].decode()}},
        {"segmentation": [[10, 10, 30, 10, 30, 20, 10, 20], [40, 30, 50, 30, 50, 35]]},
        {"segmentation": encode_rle(mask), "iscrowd": 1},
    ]
    cases, failed = split(read_coco(coco_file(tmp_path / "c.json", kinds), tmp_path / "pictures"))
    assert failed == []
    assert len(cases) == 3  # the crowd is left out
    np.testing.assert_array_equal(cases[0].mask, mask)
    np.testing.assert_array_equal(cases[1].mask, mask)
    assert cases[2].mask[10:20, 10:30].all()
    assert cases[2].mask[31, 48]
    assert (cases[0].category, cases[0].group, cases[0].image) == ("coin", "coin", "a.png")
    assert cases[0].pixels is cases[1].pixels


def test_a_category_of_a_coco_file_without_a_name_is_named_and_has_no_name_made_up(tmp_path):
    save_mask(tmp_path / "pictures" / "a.png", np.zeros(SIZE, np.uint8))
    place = coco_file(tmp_path / "c.json", [{"segmentation": [[1, 1, 9, 1, 9, 9]]}])
    document = json.loads(place.read_text())
    place.write_text(json.dumps(document | {"categories": [{"id": 7, "name": None}]}))
    cases, failed = split(read_coco(place, tmp_path / "pictures"))
    assert cases == []  # an import has no name for it, either
    assert [failure.path for failure in failed] == ["c.json, category 7", "c.json, annotation 1"]
    assert "got None" in failed[0].reason


def test_what_is_wrong_in_a_coco_file_is_named_and_the_rest_is_read(tmp_path):
    save_picture(tmp_path / "pictures" / "deep" / "a.png")
    save_picture(tmp_path / "pictures" / "small.png", size_hw=(10, 10))
    (tmp_path / "pictures" / "torn.png").write_bytes(b"\x89PNG not")
    images = [
        {"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        for number, name in enumerate(("a.png", "small.png", "torn.png", "gone.png"), 1)
    ]
    rle = encode_rle(blob(1))
    annotations = [
        {"segmentation": rle},
        {"segmentation": rle, "image_id": 2},
        {"segmentation": rle, "image_id": 3},
        {"segmentation": rle, "image_id": 3},
        {"segmentation": rle, "image_id": 4},
        {"segmentation": rle, "image_id": 99},
        {"bbox": [1, 2, 3, 4]},
        {"segmentation": {"size": list(SIZE), "counts": [5, 5]}},
        {"segmentation": [["x", 1]]},
        {"segmentation": []},
    ]
    cases, failed = split(read_coco(coco_file(tmp_path / "c.json", annotations, images), tmp_path / "pictures"))
    assert [c.image for c in cases] == ["a.png"]  # found in a folder below
    told = {f.path: f.reason for f in failed}
    assert len(told) == len(failed) == 8  # the torn picture once, not once for each annotation
    assert "(40, 60)" in told["c.json, annotation 2"]
    assert "torn.png" in told["torn.png"]
    assert "there are 0 of that name" in told["gone.png"]
    assert "99" in told["c.json, annotation 6"]
    assert told["c.json, annotation 7"] == "it has no segmentation; a box alone is no mask"
    assert "do not fill" in told["c.json, annotation 8"]
    assert "a broken polygon" in told["c.json, annotation 9"]
    assert "no segmentation" in told["c.json, annotation 10"]


def test_an_image_without_a_name_is_reported_as_an_import_reports_it(tmp_path):
    save_picture(tmp_path / "pictures" / "a.png")
    place = coco_file(tmp_path / "c.json", [{"segmentation": encode_rle(blob(1))}], [{"id": 1}])
    cases, failed = split(read_coco(place, tmp_path / "pictures"))
    assert cases == []
    assert [failure.path for failure in failed] == ["c.json, image 1", "c.json, annotation 1"]


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"images": 3}'])
def test_a_file_that_is_no_coco_file_is_refused(tmp_path, text):
    save_picture(tmp_path / "pictures" / "a.png")
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(FormatError, match="expected a COCO file") as refused:
        read_coco(tmp_path / "c.json", tmp_path / "pictures")
    assert "picture file" not in str(refused.value)


SQUARE = [10, 10, 30, 10, 30, 20, 10, 20]
IMAGE = {"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}


@pytest.mark.parametrize(
    "changed",
    [
        {"annotations": [None, {"id": 2, "image_id": 1, "category_id": 7, "segmentation": [SQUARE]}]},
        {"annotations": [{"id": 1, "image_id": 1, "category_id": 7, "segmentation": SQUARE}]},  # no list around it
        {"annotations": [{"id": 1, "image_id": 1, "segmentation": [SQUARE]}], "categories": None},
        {"categories": [{"name": "x"}, {"id": 7, "name": "coin"}]},
        {"images": [IMAGE | {"file_name": "below\\a.png"}]},
        {"images": [{"id": 1, "file_name": "a.png"}]},  # no size
        {"images": [IMAGE | {"height": float(SIZE[0]), "width": float(SIZE[1])}]},
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_coco_file_is_evaluated_as_it_is_imported(tmp_path, changed, mark):
    save_picture(tmp_path / "pictures" / "below" / "a.png")
    whole = {
        "images": [IMAGE],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "segmentation": [SQUARE]}],
        "categories": [{"id": 7, "name": "coin"}],
    }
    place = tmp_path / "c.json"
    place.write_bytes(mark + json.dumps(whole | changed).encode())
    cases, failed = split(read_coco(place, tmp_path / "pictures"))
    with Session(tmp_path / "session") as session:
        report = session.import_("coco", place, images=tmp_path / "pictures", show=False)
        assert [int(case.mask.sum()) for case in cases] == [one.area for one in session.annotations()] == [200]
    assert failed == list(report.failed)


def test_a_missing_file_or_folder_is_refused(tmp_path):
    save_picture(tmp_path / "pictures" / "a.png")
    with pytest.raises(ImageNotFound, match="COCO file"):
        read_coco(tmp_path / "gone.json", tmp_path / "pictures")
    with pytest.raises(ImageNotFound, match="folder of pictures"):
        read_coco(tmp_path / "gone.json", tmp_path / "gone")
    with pytest.raises(ImageNotFound, match="folder of mask pictures"):
        read_masks(tmp_path / "gone", tmp_path / "pictures")


# -- mask pictures --------------------------------------------------------------------------------


def test_one_file_an_object_by_several_names(tmp_path):
    for name in ("a.jpg", "a_b.jpg", "c.jpg"):
        save_picture(tmp_path / "pictures" / name)
    masks = tmp_path / "masks"
    save_mask(masks / "a__1_coin.png", blob(1))
    save_mask(masks / "a_2.png", blob(2))
    save_mask(masks / "a_b.png", blob(3))  # the longest name that fits: not a's
    save_mask(masks / "c" / "whatever.png", blob(4))
    save_mask(masks / "z.png", blob(5))
    cases, failed = split(read_masks(masks, tmp_path / "pictures"))
    assert [(c.image, c.category) for c in cases] == [("a.jpg", ""), ("a.jpg", "coin"), ("a_b.jpg", ""), ("c.jpg", "")]
    for case, seed in zip(cases, (2, 1, 3, 4), strict=True):
        np.testing.assert_array_equal(case.mask, blob(seed))
    assert cases[0].pixels is cases[1].pixels
    [failure] = failed
    assert failure.path.endswith("z.png")
    assert "no picture of that name" in failure.reason


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_label_map_is_one_object_a_value(tmp_path, dtype):
    save_picture(tmp_path / "pictures" / "a.png")
    labels = np.zeros(SIZE, dtype)
    labels[5:15, 5:15], labels[20:30, 20:50], labels[32:38, 2:8] = 1, 2, 7
    top = 255 if dtype == np.uint8 else 900  # 255 is void in Pascal VOC; beyond 8 bits it is a number like others
    labels[0, :] = top
    save_mask(tmp_path / "masks" / "a.png", labels)
    cases, failed = split(read_masks(tmp_path / "masks", tmp_path / "pictures"))
    assert failed == []
    wanted = [1, 2, 7] + ([900] if dtype == np.uint16 else [])
    assert [c.category for c in cases] == [f"label {value}" for value in wanted]
    for case, value in zip(cases, wanted, strict=True):
        np.testing.assert_array_equal(case.mask, labels == value)


def test_masks_are_read_by_value_and_not_by_colour(tmp_path):
    save_picture(tmp_path / "pictures" / "a.png")
    labels = np.zeros(SIZE, np.uint8)
    labels[5:15, 5:15], labels[20:30, 20:50] = 1, 2
    palette = Image.fromarray(labels)
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    coloured, grey_in_colour = np.zeros((2, *SIZE, 3), np.uint8)
    coloured[labels == 1], coloured[labels == 2] = (200, 10, 10), (10, 10, 200)
    grey_in_colour[labels == 1] = 255
    folder = tmp_path / "masks"
    folder.mkdir()
    palette.save(folder / "a_palette.png")
    Image.fromarray(coloured).save(folder / "a_colour.png")
    Image.fromarray(grey_in_colour).save(folder / "a_grey.png")
    Image.fromarray(labels == 2).save(folder / "a_bits.png")
    cases, failed = split(read_masks(folder, tmp_path / "pictures"))
    assert failed == []
    areas = sorted(int(c.mask.sum()) for c in cases)
    assert areas == [100, 100, 100, 300, 300, 300]  # palette 2, colour 2, grey 1, bits 1


def test_a_soft_edge_is_cut_at_the_middle(tmp_path):
    import cv2

    save_picture(tmp_path / "pictures" / "a.png")
    mask = np.zeros(SIZE, np.uint8)
    mask[8:32, 10:50] = 255
    save_mask(tmp_path / "masks" / "a.png", np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.0)))
    [case], failed = split(read_masks(tmp_path / "masks", tmp_path / "pictures"))
    assert failed == []
    assert case.mask[20, 10]
    assert not case.mask[20, 8]


def test_masks_beside_their_pictures(tmp_path):
    save_picture(tmp_path / "a.jpg")
    save_picture(tmp_path / "b.png", 1)
    save_mask(tmp_path / "a.png", blob(1))
    save_mask(tmp_path / "b_mask.png", blob(2))
    cases, failed = split(read_masks(tmp_path, tmp_path))
    assert failed == []
    assert [c.image for c in cases] == ["a.jpg", "b.png"]
    np.testing.assert_array_equal(cases[1].mask, blob(2))


def test_one_folder_may_lie_in_the_other(tmp_path):
    save_picture(tmp_path / "a.jpg")
    save_mask(tmp_path / "masks" / "a.png", blob(1))
    cases, failed = split(read_masks(tmp_path / "masks", tmp_path))
    assert ([c.image for c in cases], failed) == (["a.jpg"], [])
    other = tmp_path / "other"
    save_picture(other / "pictures" / "a.jpg")
    save_mask(other / "a.png", blob(1))
    cases, failed = split(read_masks(other, other / "pictures"))
    assert ([c.image for c in cases], failed) == (["a.jpg"], [])


def test_equal_names_in_several_folders_go_by_the_folder(tmp_path):
    for number, folder in enumerate(("x", "y")):
        save_picture(tmp_path / "pictures" / folder / "1.jpg", number)
        save_mask(tmp_path / "masks" / folder / "1.png", blob(number))
    save_mask(tmp_path / "masks" / "1_lost.png", blob(5))
    cases, failed = split(read_masks(tmp_path / "masks", tmp_path / "pictures"))
    assert [c.image for c in cases] == ["x/1.jpg", "y/1.jpg"]
    np.testing.assert_array_equal(cases[1].mask, blob(1))
    [failure] = failed
    assert "several pictures" in failure.reason


def test_what_is_no_mask_is_named_and_the_rest_is_read(tmp_path):
    for name in "abcde":
        save_picture(tmp_path / "pictures" / f"{name}.png")
    masks = tmp_path / "masks"
    save_mask(masks / "a.png", blob(1))
    save_picture(masks / "b.png", 5)  # a photograph
    save_picture(masks / "c.jpg", 5)
    save_mask(masks / "d.png", np.zeros(SIZE, np.uint8))
    save_mask(masks / "e.png", blob(1, (50, 60)))
    (masks / "a_torn.png").write_bytes((masks / "a.png").read_bytes()[:60])
    cases, failed = split(read_masks(masks, tmp_path / "pictures"))
    assert [c.image for c in cases] == ["a.png"]
    told = {f.path.rpartition("/")[2]: f.reason for f in failed}
    assert set(told) == {"b.png", "c.jpg", "d.png", "e.png", "a_torn.png"}
    assert "photograph" in told["b.png"]
    assert "lossy" in told["c.jpg"]
    assert "empty mask" in told["d.png"]
    assert "(50, 60)" in told["e.png"]
    assert "(40, 60)" in told["e.png"]


# -- what samnb itself wrote ----------------------------------------------------------------------


@pytest.fixture
def annotated(tmp_path):
    """A session with three masks on two pictures of one name in two datasets, and one without any."""
    from samnb.prompts import Prediction, Prompt

    with Session(tmp_path / "session") as session:
        for dataset in ("monday", "tuesday"):
            save_picture(tmp_path / "pictures" / dataset / "a.png", seed=len(dataset))
            session.add(tmp_path / "pictures" / dataset, dataset=dataset)
        save_picture(tmp_path / "pictures" / "monday" / "b.png", 9)
        session.add(tmp_path / "pictures" / "monday", dataset="monday")
        for image, category, seed in (
            ("monday/a.png", "coin", 1),
            ("monday/a.png", "rim", 2),
            ("tuesday/a.png", "coin", 3),
        ):
            masks, logits = blob(seed)[None], np.zeros((1, 8, 8), np.float32)
            prompt = Prompt.of(points=[(5, 5)])
            record = session.image(image)
            made = Prediction(masks, np.ones(1, np.float32), logits, prompt, image_id=record.id, model="another")
            session.accept(made, category=category)
        yield session, tmp_path


@pytest.mark.parametrize("format", ["coco", "masks"])
def test_its_own_exports_come_back_pixel_for_pixel(annotated, format):
    session, folder = annotated
    place = folder / ("out.json" if format == "coco" else "out")
    session.export(format, place)
    read = read_coco if format == "coco" else read_masks
    cases, failed = split(read(place, folder / "pictures"))
    assert failed == []
    assert [(c.image, c.category) for c in cases] == [
        ("monday/a.png", "coin"),
        ("monday/a.png", "rim"),
        ("tuesday/a.png", "coin"),
    ]
    for case, seed in zip(cases, (1, 2, 3), strict=True):
        np.testing.assert_array_equal(case.mask, blob(seed))
    np.testing.assert_array_equal(cases[2].pixels, session.pixels("tuesday/a.png"))


def test_polygons_come_back_within_a_pixel_of_the_edge(annotated):
    session, folder = annotated
    images, annotations = session.images(), session.catalog.annotations()
    from samnb.exchange import export as exports

    options = {"images": images, "annotations": annotations, "categories": session.categories(), "polygons": True}
    exports.export("coco", folder / "polygons.json", **options)
    cases, _ = split(read_coco(folder / "polygons.json", folder / "pictures"))
    assert len(cases) == 3
    for case, seed in zip(cases, (1, 2, 3), strict=True):
        wrong = np.count_nonzero(case.mask ^ blob(seed))
        assert wrong <= 0.03 * blob(seed).sum()


def test_a_session_measures_its_model_on_what_was_accepted_by_hand(annotated):
    session, _ = annotated
    session.prewarm(show=False).wait(300)
    seen = []
    report = session.evaluate_model(max_clicks=2, baselines=["flood_fill"], on_case=seen.append)
    assert report.overall.cases == 3
    assert set(report.groups) == {"coin", "rim"}
    assert report.encode_ms is None  # all from the cache
    assert session.model.encodes == 2 + 1
    assert report.baselines[0].overall.cases == 3
    assert [case.image for case in seen] == ["a.png", "a.png", "a.png"]
    assert report.notes == ()
    assert session.evaluate_model(category="coin", dataset="monday", max_clicks=1).overall.cases == 1
    assert session.evaluate_model(limit=2, max_clicks=1).overall.cases == 2
    for on in (None, "tcp://nowhere:1"):
        with pytest.raises(PromptError, match="max_clicks: expected at least 1; got 0"):
            session.evaluate_model(max_clicks=0, on=on)


def test_a_model_measured_on_its_own_answers_is_told_so(annotated):
    session, _ = annotated
    session.accept(session.predict("b.png", points=[(30, 20)]), category="coin")
    report = session.evaluate_model(max_clicks=1)
    assert report.overall.cases == 4
    assert report.notes[0].startswith("1 of 4 masks began as answers of this very model")
    assert "1 of 4" in str(report)
