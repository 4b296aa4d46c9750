"""`read_one`: how often a file is opened, and in which order."""

import numpy as np
import pytest
from PIL import Image

import samnb.images
from samnb.encoding.large_images import LargeImages
from samnb.images import pixel_hash
from samnb.ingest import reading

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.fixture
def asked(monkeypatch):
    """The paths of which the header was asked first."""
    paths, original = [], reading.is_large_file
    monkeypatch.setattr(reading, "is_large_file", lambda path: paths.append(path) or original(path))
    return paths


@pytest.fixture
def tiff(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS).save(path)
    return str(path)


def test_a_picture_is_not_opened_twice(tiff, asked, monkeypatch):
    assert reading.new_image(tiff).pixel_hash == pixel_hash(PIXELS)
    assert not asked
    monkeypatch.setattr(reading, "_LONG_BYTES", 100)  # all bytes of a long file are not read to see its size
    assert reading.new_image(tiff).pixel_hash == pixel_hash(PIXELS)
    assert asked == [tiff]


@pytest.mark.parametrize("long_bytes", [100, 1 << 20])
def test_a_large_picture_is_read_in_parts_however_short_its_file(tiff, asked, long_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_LONG_BYTES", long_bytes)
    monkeypatch.setattr(samnb.images, "MAX_PIXELS", 1_000)
    overviews = LargeImages(tmp_path / "overviews")
    read = reading.read_one(tiff, overviews)
    assert read.new is not None, read.reason
    assert read.new.pixel_hash == pixel_hash(PIXELS)
    assert any((tmp_path / "overviews").rglob("*.*"))


def test_a_file_that_is_gone_is_named(tmp_path):
    read = reading.read_one(str(tmp_path / "gone.png"), LargeImages(tmp_path / "overviews"))
    assert read.new is None
    assert read.reason.startswith("nothing found. Expected a picture file.")
