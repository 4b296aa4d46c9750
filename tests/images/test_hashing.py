from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from samnb.errors import ImageError
from samnb.images import content_hash, hash_of_upright, pixel_hash


def test_content_hash_of_nothing(tmp_path):
    (tmp_path / "empty").touch()
    assert content_hash(tmp_path / "empty") == hashlib.sha256(b"").hexdigest()


def test_pixel_hash_is_of_header_and_pixels(noise):
    written_out = b"px1|RGB|uint8|48|64|3" + noise.tobytes()
    assert pixel_hash(noise) == hashlib.sha256(written_out).hexdigest()
    assert pixel_hash(np.asfortranarray(noise)) == pixel_hash(noise)
    reshaped = noise.reshape(64, 48, 3)
    assert pixel_hash(reshaped) != pixel_hash(noise)


@pytest.mark.parametrize("picture", [Image.new("L", (3, 2)), Image.new("RGBA", (3, 2)), Image.new("RGB", (0, 2))])
def test_a_picture_of_another_mode_has_no_pixel_hash(picture):
    with pytest.raises(ImageError, match=r"Expected a PIL image of mode RGB, got . x 2 pixels of mode"):
        hash_of_upright(picture)
