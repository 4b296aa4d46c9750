"""A large image from file to annotations: all work goes tile by tile, and objects stay whole."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import zarr

import samnb
from samnb import Session, images
from samnb.errors import ImageChanged, ImageError
from samnb.masks.part import MaskPart

SIDE, RADIUS = 1900, 36
# On the seam of two tiles, on the corner of four, inside of one, near the border of the picture.
DISCS = [(768, 300), (768, 768), (1536, 1200), (1100, 1150), (60, 1700), (1750, 1800)]


def picture() -> np.ndarray:
    random = np.random.default_rng(0)
    pixels = (random.integers(0, 24, (SIDE, SIDE, 3)) + np.array([40, 60, 90])).astype(np.uint8)
    for middle in DISCS:
        cv2.circle(pixels, middle, RADIUS, (230, 200, 70), -1)
    return pixels


@pytest.fixture(scope="module")
def tiff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("slides") / "slide.tif"
    tifffile.imwrite(file, picture(), tile=(256, 256), photometric="rgb", compression="zlib", bigtiff=True)
    return file


@pytest.fixture(scope="module")
def session(tiff: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMNB_TILED_ABOVE", "1000000")
        patch.setattr(images, "MAX_PIXELS", 2_000_000)  # so that nothing can be read whole
        with Session(tmp_path_factory.mktemp("session")) as opened:
            report = opened.add(tiff, show=False)
            assert report.added == 1, report
            yield opened


def truth(middle: tuple[int, int]) -> MaskPart:
    rows, columns = np.ogrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    disc = rows**2 + columns**2 <= RADIUS**2
    return MaskPart.of(disc, (middle[0] - RADIUS, middle[1] - RADIUS), (SIDE, SIDE))


@pytest.mark.parametrize("middle", DISCS)
def test_a_click_gives_the_whole_object_and_the_next_one_needs_no_encoder(session: Session, middle) -> None:
    prediction = session.predict("slide.tif", points=[middle])
    corner, mask = prediction.part_of(prediction.best_for(prediction.prompt))
    assert MaskPart.of(mask, corner, prediction.size_hw).iou(truth(middle)) > 0.9
    encodes = session.model.encodes
    assert session.predict("slide.tif", points=[middle]).cache_hit
    assert session.model.encodes == encodes
    assert session.is_cached("slide.tif", region=prediction.region)


def test_an_object_larger_than_its_tile_gets_a_larger_one(session: Session) -> None:
    box = (100, 200, 1300, 1500)
    prediction = session.predict("slide.tif", box=box)
    assert prediction.region is not None
    assert prediction.region[2] - prediction.region[0] > 1024
    assert prediction.size_hw == (SIDE, SIDE)


def test_whole_masks_and_pixels_are_refused_with_what_to_do_instead(session: Session) -> None:
    prediction = session.predict("slide.tif", points=[DISCS[0]])
    with pytest.raises(ImageError, match="part_of"):
        _ = prediction.mask
    with pytest.raises(ImageError, match="region_pixels"):
        session.pixels("slide.tif")
    assert session.region_pixels("slide.tif", (700, 200, 900, 400)).shape == (200, 200, 3)
    assert session.region_pixels("slide.tif", (0, 0, SIDE, SIDE), level=2).shape == (475, 475, 3)
    assert session.thumbnail("slide.tif", 96).shape == (96, 96, 3)


def test_what_is_like_an_example_is_found_once_across_seams_then_by_a_template(session: Session) -> None:
    example = session.accept(session.predict("slide.tif", points=[DISCS[3]]), category="disc")
    assert example.part.iou(truth(DISCS[3])) > 0.9
    region = (0, 0, 1500, 1500)
    found = session.find_like(example, images=["slide.tif"], region=region, show=False, max_objects=5)
    wanted = DISCS[:3]
    for middle in wanted:
        [part] = [p for p in (MaskPart.of_rle(one.record.rle) for one in found) if p.holds(*middle)]
        assert part.iou(truth(middle)) > 0.85
    session.accept_proposals(found, category="disc")

    template = session.template("discs", max_objects=5)
    [_, last] = list(session.apply_stream(template))
    assert last["failed"] == 0
    annotations = session.annotations(image="slide.tif")
    for middle in DISCS:
        assert len([one for one in annotations if one.part.holds(*middle)]) == 1, middle


def test_a_prewarm_does_the_tiles_nearest_to_the_eye_first(session: Session) -> None:
    job = session.prewarm(images=["slide.tif"], tiles="all", near=DISCS[4], show=False)
    last = job.wait()
    grid = session._encoder.large.grid(session.image("slide.tif"))
    first = job.events[0]
    assert str(grid.at(*DISCS[4])) in first.filename
    assert last["computed"] + last["skipped"] == len(grid.tiles())
    again = list(session.prewarm_stream())[-1]
    assert (again["computed"], again["failed"]) == (0, 0)


def test_tiles_are_known_by_their_own_pixels(tiff: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMNB_TILED_ABOVE", "1000000")
    changed = picture()
    changed[:50, :50] = 0  # in the first tile alone
    copy, other = tmp_path / "copy.tif", tmp_path / "other.tif"
    tifffile.imwrite(copy, picture(), tile=(512, 512), photometric="rgb", compression="lzw")
    tifffile.imwrite(other, changed, tile=(256, 256), photometric="rgb", compression="zlib")
    with Session(tmp_path / "session") as session:
        first, second, third = session.add([tiff, copy, other], show=False).images
        assert first.pixel_hash == second.pixel_hash
        assert first.pixel_hash != third.pixel_hash
        session.predict(first, points=[(100, 100)])
        session.predict(first, points=[(1750, 1800)])
        assert session.predict(second, points=[(100, 100)]).cache_hit
        assert session.predict(third, points=[(1750, 1800)]).cache_hit
        assert not session.predict(third, points=[(100, 100)]).cache_hit


def test_a_file_that_changed_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMNB_TILED_ABOVE", "1000000")
    monkeypatch.setattr(images, "MAX_PIXELS", 2_000_000)
    file = tmp_path / "slide.tif"
    tifffile.imwrite(file, picture(), tile=(256, 256), photometric="rgb", compression="zlib")
    with Session(tmp_path / "session") as session:
        [image] = session.add(file, show=False).images
        session.predict(image, points=[DISCS[0]])
        tifffile.imwrite(file, picture()[::-1], tile=(256, 256), photometric="rgb", compression="zlib")
        with pytest.raises(ImageChanged):
            session.predict(image, points=[DISCS[0]])


def test_objects_of_a_large_image_are_exported_by_their_outlines(session: Session, tmp_path: Path) -> None:
    if not session.annotations():
        session.accept(session.predict("slide.tif", points=[DISCS[3]]), category="disc")
    annotation = session.annotations()[0]
    for form in ("coco", "geojson"):
        report = session.export(form, tmp_path / form)
        assert (report.annotations, report.failed) == (len(session.annotations()), ()), form
    [file] = (tmp_path / "geojson").rglob("*.geojson")
    ring = np.array(json.loads(file.read_text())["features"][0]["geometry"]["coordinates"][0])
    x, y, width, height = annotation.bbox
    assert (ring.min(axis=0) == (x, y)).all()
    assert (ring.max(axis=0) == (x + width, y + height)).all()


@pytest.mark.parametrize("kind", ["tiff", "zarr", "view"])
def test_pictures_of_16_bits_that_are_never_read_whole_are_tiles_too(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = (picture()[..., 0].astype(np.uint16) * 16)[:, :1500]
    folder = tmp_path / "slide.zarr"
    if kind == "zarr":
        group = zarr.open_group(folder, mode="w", zarr_format=2)
        group.create_array("0", data=values, chunks=(256, 256))
        axes = [{"name": name, "type": "space"} for name in "yx"]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    else:
        folder = tmp_path / "slide.tif"
        tifffile.imwrite(folder, values, tile=(256, 256), compression="zlib")
    monkeypatch.setenv("SAMNB_TILED_ABOVE", "1000000")
    monkeypatch.setattr(images, "MAX_PIXELS", 2_000_000)
    view = samnb.View(limits=(0, 4095)) if kind == "view" else None
    with Session(tmp_path / "session") as session:
        report = session.add(folder, view=view, show=False)
        assert report.added == 1, report
        [image] = report.images
        middle = DISCS[1]
        prediction = session.predict(image, points=[middle])
        corner, mask = prediction.part_of(prediction.best_for(prediction.prompt))
        assert MaskPart.of(mask, corner, prediction.size_hw).iou(truth(middle)) > 0.9
        region = (700, 700, 900, 900)
        expected = (values[700:900, 700:900] / 4095 * 255).round()
        assert np.abs(session.region_pixels(image, region)[..., 0] - expected).max() <= 1
        assert session.add(folder, view=view, show=False).added == 0
        assert session.is_scientific(image)  # its channels can be chosen
        [darker] = session.use_view(image, samnb.View(limits=(0, 8190)))
        assert darker.pixel_hash != image.pixel_hash
        assert np.abs(session.region_pixels(darker, region)[..., 0] - expected / 2).max() <= 1
