"""Pictures scaled as ``segment_anything`` scales them."""

from __future__ import annotations

import numpy as np
import pytest

from samnb.models.preprocessing import input_size_of, resize_longest_side
from samnb.models.sam.reference import import_segment_anything


@pytest.mark.parametrize("size_hw", [(427, 640), (600, 400), (1024, 1024), (333, 1000), (999, 1000)])
def test_the_resized_picture_is_segment_anythings(size_hw: tuple[int, int]) -> None:
    import_segment_anything()
    from segment_anything.utils.transforms import ResizeLongestSide

    pixels = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    official = ResizeLongestSide(1024).apply_image(pixels)
    assert input_size_of(size_hw, 1024) == official.shape[:2]
    assert np.array_equal(resize_longest_side(pixels, 1024), official)
