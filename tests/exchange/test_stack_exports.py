"""A stack is annotated, copied through and exported; other libraries find the same pixels in the files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

from samnb import Session
from samnb import images as picture_files
from samnb.errors import PackageMissing, UnknownName
from samnb.exchange.writers import label_tiffs
from samnb.images.lazy import View
from samnb.masks import encode_rle, rle
from tests.support import qupath

SLICES, H, W = 30, 48, 64


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:H, :W]
    return np.hypot(columns - x, rows - y) < radius


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Thirty slices: one annotated, copied through, two corrected; a ring in the last one; pixels of 0.5 x 0.25 µm."""
    folder = tmp_path_factory.mktemp("stack")
    values = np.random.default_rng(0).integers(0, 4096, (SLICES, H, W), dtype=np.uint16)
    about = {"axes": "ZYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(folder / "plate.tif", values, imagej=True, resolution=(2, 4), metadata=about)
    with Session(folder / "session") as opened:
        opened.add(folder / "plate.tif", stack="z", show=False)
        opened.accept_mask("plate.tif[z=0]", disc(20, 20, 9), category="nucleus")
        opened.accept_mask("plate.tif[z=0]", disc(45, 30, 6), category="nucleus")
        assert len(opened.copy_through("plate.tif[z=0]")) == 2 * (SLICES - 1)
        for z, radius in ((7, 11), (12, 5)):
            first = opened.annotations(image=f"plate.tif[z={z}]")[0]
            opened.update(first, mask=disc(21, 20, radius))
        opened.accept_mask("plate.tif[z=29]", disc(20, 20, 15) & ~disc(20, 20, 11), category="membrane")
        yield opened


def expected(session: Session, z: int) -> list[np.ndarray]:
    return [annotation.mask for annotation in session.annotations(image=f"plate.tif[z={z}]")]


def test_label_tiffs_hold_the_stack(session: Session, tmp_path: Path) -> None:
    report = session.export("tiff", tmp_path / "labels")
    assert report.annotations == 2 * SLICES + 1
    assert sorted(file.name for file in (tmp_path / "labels").glob("*.tif")) == ["plate.tif"]
    with tifffile.TiffFile(tmp_path / "labels" / "plate.tif") as file:
        assert (file.series[0].axes, file.series[0].shape) == ("ZYX", (SLICES, H, W))
        resolution = [file.pages[0].tags[name].value for name in ("XResolution", "YResolution")]
        assert [round(a / b) for a, b in resolution] == [20_000, 40_000]
        labels = file.asarray()
    index = list(csv.DictReader((tmp_path / "labels" / "index.csv").open(encoding="utf-8")))
    assert [int(row["label"]) for row in index] == list(range(1, 2 * SLICES + 2))
    assert (index[2]["image"], json.loads(index[2]["place"])) == ("plate.tif[z=1]", {"z": 1})
    for z in range(SLICES):
        rows = [int(row["label"]) for row in index if json.loads(row["place"])["z"] == z]
        above = np.zeros((H, W), int)
        for number, mask in zip(rows, expected(session, z), strict=True):
            above[mask] = number
        np.testing.assert_array_equal(labels[z], above)


def test_objects_that_overlap_from_slice_to_slice_get_one_number(session: Session, tmp_path: Path) -> None:
    session.export("tiff", tmp_path / "linked", labels="linked")
    labels = tifffile.imread(tmp_path / "linked" / "plate.tif")
    # The first disc is found again in slice 7, grown; in slice 12 it is less than half, and so another object.
    assert set(np.unique(labels[:12])) == {0, 1, 2}
    assert len({int(labels[z, 30, 45]) for z in range(SLICES)}) == 1
    assert labels[29, 20, 20] != labels[11, 20, 20] != 0
    session.export("tiff", tmp_path / "kinds", labels="category")
    assert set(np.unique(tifffile.imread(tmp_path / "kinds" / "plate.tif"))) == {0, 1, 2}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_labels_are_read_by_ome_zarr(session: Session, tmp_path: Path, version: str) -> None:
    session.export("zarr", tmp_path / "out", version=version, pictures=True, labels="linked")
    session.export("tiff", tmp_path / "linked", labels="linked")
    labels = tifffile.imread(tmp_path / "linked" / "plate.tif")
    root = tmp_path / "out" / "plate.zarr"
    np.testing.assert_array_equal(zarr.open_array(root / "labels" / "objects" / "0", mode="r")[...], labels)
    location = parse_url(root, mode="r")
    assert location is not None
    nodes = {Path(str(node.zarr)).name: node for node in Reader(location)()}
    shown = next(node for node in nodes.values() if node.data and node.data[0].ndim == 4)
    assert shown.data[0].shape == (3, SLICES, H, W)
    found = next(node for node in nodes.values() if node.data and node.data[0].ndim == 3)
    np.testing.assert_array_equal(np.asarray(found.data[0]), labels)
    picture = np.moveaxis(np.asarray(shown.data[0])[:, 3], 0, -1)
    np.testing.assert_array_equal(picture, session.pixels("plate.tif[z=3]"))
    scale = found.metadata["coordinateTransformations"][0][0]["scale"]
    assert scale == [2.0, 0.25, 0.5]


def test_an_exported_picture_can_be_added_again_with_its_scale(session: Session, tmp_path: Path) -> None:
    session.export("zarr", tmp_path / "out", pictures=True)
    with Session(tmp_path / "again") as again:
        again.add(tmp_path / "out" / "plate.zarr", stack="z", show=False)
        assert len(again.images()) == SLICES
        size = again.pixel_size("plate.zarr[z=4]")
        assert size is not None
        assert (size.x_um, size.y_um, size.z_um) == (0.5, 0.25, 2.0)
        np.testing.assert_array_equal(again.pixels("plate.zarr[z=4]"), session.pixels("plate.tif[z=4]"))


def test_geojson_by_the_rules_of_qupath_fills_to_the_masks_in_its_planes(session: Session, tmp_path: Path) -> None:
    session.export("geojson", tmp_path / "qupath")
    objects = list(qupath.read(tmp_path / "qupath" / "plate.geojson"))
    assert len({one.id for one in objects}) == 2 * SLICES + 1
    for z in (0, 7, 12, 29):
        here = [one for one in objects if one.plane == (z, 0)]
        for one, mask in zip(here, expected(session, z), strict=True):
            np.testing.assert_array_equal(one.mask((H, W)), mask)
            assert one.kind == "annotation"
            assert one.measurements["area px"] == mask.sum()
            assert one.measurements["area µm²"] == pytest.approx(mask.sum() * 0.125)
    assert objects[-1].category == "membrane"


def test_coco_and_the_table_know_the_slice_and_the_units(session: Session, tmp_path: Path) -> None:
    session.export("coco", tmp_path / "plate.json", pictures=True)
    images = json.loads((tmp_path / "plate.json").read_text())["images"]
    assert images[3]["file_name"] == "images/plate.tif-z-3.png"
    assert (images[3]["stack"], images[3]["place"]) == ("plate.tif", {"z": 3})
    assert images[3]["pixel_size_um"] == [0.5, 0.25, 2.0]
    session.export("table", tmp_path / "plate.csv")
    rows = list(csv.DictReader((tmp_path / "plate.csv").open(encoding="utf-8")))
    row, mask = rows[0], expected(session, 0)[0]
    assert float(row["area_um2"]) == pytest.approx(mask.sum() * 0.125)
    assert (float(row["w_um"]), float(row["h_um"])) == (float(row["w"]) * 0.5, float(row["h"]) * 0.25)
    assert encode_rle(mask) == json.loads(row["rle"])


def test_wrong_words_and_missing_packages_are_named(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownName, match="linked"):
        session.export("tiff", tmp_path / "a", labels="objects")
    with pytest.raises(UnknownName, match=r"0\.5"):
        session.export("zarr", tmp_path / "a", version="1")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(PackageMissing, match=r"samnb\[scientific\]"):
        label_tiffs.export_label_tiffs(tmp_path / "b", [], [])


def test_attributes_are_in_the_index_and_in_geojson(session: Session, tmp_path: Path) -> None:
    session.add_attribute("occluded")
    session.add_attribute("note", kind="text")
    first = session.annotations()[0]
    session.update(first, attributes={"occluded": True, "note": "wet"})
    try:
        for name in ("tiff", "zarr"):
            session.export(name, tmp_path / name)
            rows = list(csv.DictReader((tmp_path / name / "index.csv").open(encoding="utf-8")))
            assert [json.loads(row["attributes"]) for row in rows if row["attributes"]] == [
                {"occluded": True, "note": "wet"}
            ]
        session.export("geojson", tmp_path / "qupath")
    finally:
        session.update(first, attributes={})
    features = json.loads((tmp_path / "qupath" / "plate.geojson").read_text())["features"]
    found = [each["properties"]["metadata"] for each in features if "metadata" in each["properties"]]
    assert found == [{"occluded": "true", "note": "wet"}]


def test_a_stack_that_was_added_by_two_views_loses_no_object(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (3, 2, H, W), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "two.tif", values, imagej=True, metadata={"axes": "ZCYX"})
    with Session(tmp_path / "session") as opened:
        for channel in (0, 1):
            opened.add(tmp_path / "two.tif", stack="z", view=View(channels=(channel,)), show=False)
        for image in opened.images():
            opened.accept_mask(image, disc(20, 20, 9), category="nucleus")
        for name in ("tiff", "geojson"):
            assert opened.export(name, tmp_path / name).annotations == 6
        assert [tifffile.imread(file).max(axis=(1, 2)).tolist() for file in (tmp_path / "tiff").glob("*.tif")] == [
            [1, 2, 3]
        ] * 2


@pytest.mark.parametrize("format", ["masks", "tiff", "zarr"])
def test_a_picture_too_large_for_whole_masks_stops_no_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    with Session(tmp_path / "session") as opened:
        for height in (40, 90):
            [image] = opened.add(np.full((height, 50, 3), height, np.uint8), show=False).images
            opened.accept_mask(image, np.ones((height, 50), bool), category="cell")
        monkeypatch.setattr(rle, "_MOST_WHOLE", 3000)
        monkeypatch.setattr(picture_files, "MAX_PIXELS", 3000)
        report = opened.export(format, tmp_path / "out")
        assert (report.images, report.annotations) == (1, 1)
        [failure] = report.failed
        assert (failure.path, "4,500" in failure.reason or "50 x 90" in failure.reason) == (image.filename, True)


def test_colours_are_those_of_the_session(session: Session, tmp_path: Path) -> None:
    session.recolor_category("nucleus", "#123456")
    session.export("geojson", tmp_path / "qupath")
    [file] = (tmp_path / "qupath").glob("*.geojson")
    classes = [one["properties"]["classification"] for one in json.loads(file.read_text())["features"]]
    assert {"name": "nucleus", "color": [0x12, 0x34, 0x56]} in classes
    session.export("zarr", tmp_path / "zarr", labels="category")
    [stack] = (tmp_path / "zarr").glob("*.zarr")
    group = zarr.open_group(stack / "labels" / "objects", mode="r")
    rgba = {one["label-value"]: one["rgba"] for one in group.attrs["ome"]["image-label"]["colors"]}
    assert [0x12, 0x34, 0x56, 255] in rgba.values()


def test_two_views_of_a_stack_are_two_stacks(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "two.tif", np.zeros((3, 2, H, W), np.uint8), imagej=True, metadata={"axes": "ZCYX"})
    with Session(tmp_path / "session") as session:
        for channel in (0, 1):
            session.add(tmp_path / "two.tif", stack="z", view=View(channels=(channel,)), show=False)
        images = session.images()
        assert len(images) == 6
        for some in (images[:3], images[3:]):
            for image in some:
                assert [one.id for one in session.stack_of(image)] == [one.id for one in some]
