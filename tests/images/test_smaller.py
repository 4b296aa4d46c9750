"""`read_smaller`: at most the limit, upright, checked, and hardly different from the whole picture scaled down."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samnb.errors import ImageChanged
from samnb.images import content_hash, pixel_hashes
from samnb.images.smaller import read_smaller


def smooth(size: tuple[int, int]) -> Image.Image:
    grid = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def saved(path: Path, picture: Image.Image, form: str, **options: object) -> Path:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    path.write_bytes(buffer.getvalue())
    return path


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(640, 480), (300, 617), (256, 100)])
def test_the_longer_side_is_limited_and_the_picture_is_the_same(tmp_path: Path, form: str, size) -> None:
    file = saved(tmp_path / "a", smooth(size), form)
    [known, *_] = pixel_hashes(file)
    small = read_smaller(file, known, "d", 256, content_hash=content_hash(file))
    assert 0.75 * 256 <= max(small.size) <= 256
    assert small.width / small.height == pytest.approx(size[0] / size[1], rel=0.02)
    expected = np.asarray(Image.open(file).resize(small.size, Image.Resampling.BOX)).astype(int)
    assert np.abs(np.asarray(small) - expected).mean() < 4


def test_a_jpeg_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = saved(tmp_path / "a", smooth((640, 480)), "JPEG", exif=exif)
    small = read_smaller(file, pixel_hashes(file)[0], "d", 256, content_hash=content_hash(file))
    assert small.height > small.width
    whole = Image.open(file).transpose(Image.Transpose.ROTATE_270).resize(small.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(small).astype(int) - np.asarray(whole)).mean() < 4


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_other_pixels_are_refused_and_other_bytes_with_the_same_pixels_are_not(tmp_path: Path, form: str) -> None:
    file = saved(tmp_path / "a", smooth((640, 480)), form)
    known, bytes_then = pixel_hashes(file)[0], content_hash(file)
    file.write_bytes(file.read_bytes() + b"\0")
    assert max(read_smaller(file, known, "d", 256, content_hash=bytes_then).size) <= 256
    saved(file, smooth((640, 480)).rotate(180), form)
    with pytest.raises(ImageChanged):
        read_smaller(file, known, "d", 256, content_hash=bytes_then)
