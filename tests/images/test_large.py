"""`LargePicture`: parts and levels equal those of the whole picture; adding it hashes the same pixels."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from samnb import images
from samnb.images import pixel_hash, read_pixels
from samnb.images.large import ArraySource, LargePicture, open_large
from samnb.images.large_reading import is_large_file, read_large
from samnb.images.lazy import PixelMapping, ShownChannel
from samnb.images.lazy.view_files import ViewFile

SIZE = (700, 900)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    grid = np.random.default_rng(3).integers(0, 256, (20, 30, 3), np.uint8)
    return cv2.resize(grid, SIZE[::-1], interpolation=cv2.INTER_LINEAR)


@pytest.fixture(scope="module")
def tiff(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("large") / "a.tif"
    tifffile.imwrite(file, pixels, tile=(128, 128), photometric="rgb", compression="zlib", bigtiff=True)
    return file


@pytest.mark.parametrize("level", [0, 1, 3])
@pytest.mark.parametrize("box", [(0, 0, 900, 700), (128, 64, 640, 512), (333, 100, 900, 700)])
def test_parts_are_those_of_the_whole(tiff: Path, pixels: np.ndarray, level: int, box) -> None:
    x0, y0, x1, y1 = box
    picture = open_large(tiff)
    part = picture.read(box, level)
    picture.close()
    step = 1 << level
    assert part.shape == (-(-(y1 - y0) // step), -(-(x1 - x0) // step), 3)
    down, across = (-(-side // step) * step - side for side in (y1 - y0, x1 - x0))
    padded = np.pad(pixels[y0:y1, x0:x1], ((0, down), (0, across), (0, 0)), mode="edge").astype(float)
    expected = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step, 3).mean(axis=(1, 3))
    assert np.abs(part - expected).max() <= 1


@pytest.mark.parametrize("level", [10, 11, 63])
def test_at_any_level_at_least_one_pixel_is_left(pixels: np.ndarray, level: int) -> None:
    picture = LargePicture(ArraySource(pixels))
    np.testing.assert_array_equal(picture.read((0, 0, 900, 700), level), picture.read((0, 0, 900, 700), 10))
    assert picture.read((899, 699, 900, 700), level).tolist() == [[pixels[-1, -1].tolist()]]


def test_bands_change_nothing(pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, box = LargePicture(ArraySource(pixels)), (0, 0, 900, 700)
    whole = picture.read(box, 2)
    monkeypatch.setattr("samnb.images.large._BAND_VALUES", 50_000)
    assert (picture.read(box, 2) == whole).all()


def test_levels_of_the_file_are_used(pixels: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "pyramid.tif"
    marked = np.full((175, 225, 3), 7, np.uint8)
    with tifffile.TiffWriter(file, bigtiff=True) as writer:
        writer.write(pixels, tile=(128, 128), photometric="rgb", subifds=1)
        writer.write(marked, tile=(128, 128), photometric="rgb", subfiletype=1)
    picture = open_large(file)
    assert (picture.read((0, 0, 900, 700), 2) == 7).all()
    assert picture.read((0, 0, 900, 700), 3).shape == (88, 113, 3)
    assert (picture.read((0, 0, 900, 700), 0) == pixels).all()
    picture.close()


def test_the_pixel_hash_is_that_of_any_other_picture(
    tiff: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_large_file(tiff)
    monkeypatch.setattr(images, "MAX_PIXELS", 500_000)
    monkeypatch.setattr("samnb.images.large_reading._BAND_BYTES", 100_000)  # several bands
    assert is_large_file(tiff)
    read = read_large(tiff)
    assert read.size_hw == SIZE
    assert read.pixel_hash == pixel_hash(pixels)
    monkeypatch.undo()
    assert read.pixel_hash == pixel_hash(read_pixels(tiff))
    assert (read.overview == pixels).all()


def test_values_of_more_than_8_bits_are_shown_by_their_range_and_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(1).integers(0, 4096, (300, 400), np.uint16)
    other = values.copy()
    other[7, 9] ^= 1  # no pixel of 8 bits shows it
    tifffile.imwrite(tmp_path / "a.tif", values, tile=(128, 128), compression="zlib")
    tifffile.imwrite(tmp_path / "b.tif", other, tile=(64, 64))
    expected = PixelMapping((ShownChannel(0, "#ffffff", 0, 4095),)).pixels(values[..., None])
    picture = open_large(tmp_path / "a.tif")
    assert (picture.read((10, 20, 310, 220)) == expected[20:220, 10:310]).all()
    picture.close()
    monkeypatch.setattr("samnb.images.large_reading._BAND_BYTES", 100_000)  # several bands
    first, second = read_large(tmp_path / "a.tif"), read_large(tmp_path / "b.tif")
    assert first.pixel_hash != second.pixel_hash
    mapping = PixelMapping((ShownChannel(0, "#ffffff", 0.0, 4095.0),))
    assert first.pixel_hash == mapping.hash_of(values[..., None])


def test_the_file_is_closed_when_nobody_uses_the_picture_any_more() -> None:
    class Source(ArraySource):
        closed = 0

        def close(self) -> None:
            type(self).closed += 1

    picture = LargePicture(Source(np.zeros((4, 4, 3), np.uint8)))
    picture.close()
    picture.close()
    assert Source.closed == 1
    picture = LargePicture(Source(np.zeros((4, 4, 3), np.uint8)))
    del picture
    assert Source.closed == 2


def test_a_view_of_a_stack_is_read_by_its_mapping(tmp_path: Path) -> None:
    values = np.arange(3 * 60 * 80, dtype=np.uint16).reshape(3, 60, 80)
    tifffile.imwrite(tmp_path / "stack.tif", values, tile=(32, 32), metadata={"axes": "ZYX"}, ome=True)
    mapping = PixelMapping((ShownChannel(0, "#ffffff", 0, 3 * 60 * 80),))
    view = ViewFile(str(tmp_path / "stack.tif"), (("z", 2),), mapping)
    file = tmp_path / view.name
    file.write_bytes(view.as_bytes())
    picture = open_large(file)
    expected = mapping.pixels(values[2][..., None])
    assert picture.size_hw == (60, 80)
    assert (picture.read((10, 20, 50, 60)) == expected[20:60, 10:50]).all()
    picture.close()


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_one_bit_is_black_and_white(tmp_path: Path, photometric: str) -> None:
    file = tmp_path / "bits.tif"
    tifffile.imwrite(file, np.eye(40, dtype=bool), photometric=photometric)
    picture = open_large(file)
    assert (picture.read((0, 0, 40, 40)) == read_pixels(file)).all()
    picture.close()


def test_a_fourth_channel_is_not_opacity_unless_the_file_says_so(tmp_path: Path) -> None:
    file, values = tmp_path / "near-infrared.tif", np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)
    tifffile.imwrite(file, values, photometric="rgb", extrasamples=["unspecified"])
    picture = open_large(file)
    assert (picture.read((0, 0, 40, 30)) == values[..., :3]).all()
    picture.close()
    assert (read_pixels(file) == values[..., :3]).all()


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_opacity_is_blended_as_in_pictures_that_are_read_whole(tmp_path: Path, kind: str) -> None:
    file, values = tmp_path / "alpha.tif", np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)
    tifffile.imwrite(file, values, photometric="rgb", extrasamples=[kind])
    picture = open_large(file)
    assert np.abs(picture.read((0, 0, 40, 30)).astype(int) - read_pixels(file)).max() <= 1
    picture.close()
