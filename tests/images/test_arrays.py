from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from samnb.errors import ImageError
from samnb.images import encode_png, perceptual_hash, pixel_hash, thumbnail

WRONG = {
    "no array": [[1, 2], [3, 4]],
    "floats": np.zeros((4, 6, 3)),
    "bool": np.zeros((4, 6, 3), bool),
    "channels first": np.zeros((3, 4, 6), np.uint8),
    "a batch": np.zeros((1, 4, 6, 3), np.uint8),
    "a row": np.zeros(6, np.uint8),
    "no pixels": np.zeros((0, 6, 3), np.uint8),
}


@pytest.mark.parametrize("use", [pixel_hash, perceptual_hash, thumbnail, encode_png])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_are_no_pixels_is_refused(use: Callable[[Any], Any], wrong: Any) -> None:
    with pytest.raises(ImageError, match=r"Expected pixels as an array of .*\(H, W, 3\).* uint8, got .*as_pixels"):
        use(wrong)


def test_small_copies_and_files_may_be_grey_or_transparent() -> None:
    for shape in ((40, 60), (40, 60, 4)):
        pixels = np.zeros(shape, np.uint8)
        assert thumbnail(pixels, 30).shape == (20, 30, *shape[2:])
        assert encode_png(pixels).startswith(b"\x89PNG")
        with pytest.raises(ImageError, match="Expected pixels"):
            pixel_hash(pixels)
