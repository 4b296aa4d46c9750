from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from samnb.errors import ImageError
from samnb.images import encode_png, thumbnail
from samnb.images.thumbnails import jpeg_url


def test_thumbnails_keep_the_shape_and_never_enlarge(scene):
    assert thumbnail(scene).shape == (72, 96, 3)
    assert thumbnail(scene, 32).shape == (24, 32, 3)
    assert thumbnail(np.zeros((2, 4000, 3), np.uint8)).shape == (1, 96, 3)
    small = thumbnail(scene, 1000)
    np.testing.assert_array_equal(small, scene)
    assert not np.shares_memory(small, scene)
    assert np.abs(thumbnail(scene).mean((0, 1)) - scene.mean((0, 1))).max() < 2


@pytest.mark.parametrize("side", [0, -3, float("nan")])
def test_a_side_without_a_pixel_is_refused(scene, side):
    with pytest.raises(ImageError, match="longest_side of 1 pixel or more, got"):
        thumbnail(scene, side)


def test_encode_png_is_lossless(noise):
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encode_png(noise)))), noise)
    see_through = np.dstack([noise, noise[..., 0]])
    assert Image.open(io.BytesIO(encode_png(see_through))).mode == "RGBA"


def test_a_jpeg_for_a_page_is_a_picture(scene):
    kind, _, data = jpeg_url(scene).partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (320, 240))
    assert len(jpeg_url(scene, quality=30)) < len(jpeg_url(scene))


def test_a_mask_is_drawn_black_and_white() -> None:
    mask = np.zeros((40, 60), bool)
    mask[:, 30:] = True
    with Image.open(io.BytesIO(encode_png(mask))) as opened:
        np.testing.assert_array_equal(np.asarray(opened) > 0, mask)
    small = thumbnail(mask, 20)
    assert small.shape == (13, 20)
    assert (small[:, 0].max(), small[:, -1].min()) == (0, 255)


def test_grey_of_16_bits_stays_so_in_a_png() -> None:
    values = np.arange(6, dtype=np.uint16).reshape(2, 3) * 10_000
    with Image.open(io.BytesIO(encode_png(values))) as opened:
        np.testing.assert_array_equal(np.asarray(opened), values)
