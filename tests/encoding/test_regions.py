import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

import samnb.session
from samnb.encoding.regions import LEAST_SIDE, check_region, in_region, region_around, region_hash
from samnb.errors import PromptError
from samnb.masks import mask_iou
from samnb.prompts import Prompt
from samnb.session import Session
from tests.support.numpy_model import NumpyModel

SIDES = st.integers(1, 20_000)
SHARES = st.floats(0, 1)


@given(SIDES, SIDES, SHARES, SHARES, SHARES, SHARES)
def test_a_region_holds_its_box_and_lies_in_the_image(height, width, x0, y0, x1, y1):
    (x0, x1), (y0, y1) = sorted((x0 * width, x1 * width)), sorted((y0 * height, y1 * height))
    region = region_around((x0, y0, x1, y1), (height, width))
    if region is None:
        return
    assert check_region(region, (height, width)) == region
    assert region[0] <= x0 <= x1 <= region[2]
    assert region[1] <= y0 <= y1 <= region[3]
    assert max(region[2] - region[0], region[3] - region[1]) >= min(LEAST_SIDE, max(height, width))


@given(st.integers(600, 20_000), st.integers(600, 20_000), SHARES, SHARES, st.floats(0.01, 0.37))
def test_what_fills_three_quarters_of_a_side_gets_that_side(height, width, x, y, share):
    longest = max(height, width)
    side = share * longest
    x0, y0 = x * max(0, width - side), y * max(0, height - side)
    region = region_around((x0, y0, min(x0 + side, width), min(y0 + side, height)), (height, width))
    assert region is not None
    got = max(region[2] - region[0], region[3] - region[1])
    assert got <= max(2 * side / 0.75 + 8, 2 * LEAST_SIDE)


def test_neighbouring_objects_share_a_region():
    around = {region_around((x, 1000, x + 60, 1060), (6000, 8000)) for x in range(1000, 1400, 10)}
    assert len(around) <= 8


@pytest.mark.parametrize(
    "region", [(0, 0, 10), (0, 0, 10.5, 10), (5, 5, 5, 9), (-1, 0, 5, 5), (0, 0, 101, 5), (0, 0, float("nan"), 5)]
)
def test_a_region_that_is_none_is_refused(region):
    with pytest.raises(PromptError, match="region: expected"):
        check_region(region, (80, 100))


def test_a_prompt_outside_the_region_is_refused():
    with pytest.raises(PromptError, match=r"\(9, 50\) lies outside the region"):
        in_region(Prompt.of(points=[(20, 30), (9, 50)]), (10, 10, 60, 60))
    inside = in_region(Prompt.of(points=[(20, 30)], box=(15, 15, 40, 45)), (10, 10, 60, 60))
    assert inside == Prompt.of(points=[(10, 20)], box=(5, 5, 30, 35))


def test_a_region_is_encoded_once_and_its_masks_are_the_images(tmp_path, monkeypatch):
    model = NumpyModel()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    pixels = np.zeros((400, 600, 3), np.uint8)
    pixels[100:120, 300:330] = 255
    with Session(tmp_path / "session") as session:
        [image] = session.add(pixels).images
        first = session.predict(image, points=[(315, 110)], region=(290, 90, 490, 290))
        again = session.predict(image, points=[(310, 105)], region=(290, 90, 490, 290))
        assert (first.cache_hit, again.cache_hit, model.encodes) == (False, True, 1)
        assert first.region == (290, 90, 490, 290)
        assert first.masks.shape == (3, 400, 600)
        assert first.prompt.points == ((315.0, 110.0),)
        on = np.argwhere(first.mask)
        assert on.min(0).tolist() >= [90, 290]
        assert first.mask[110, 315]
        assert not session.is_cached(image)  # the whole image is another embedding
        assert session.accept(first, category="dot").area == first.mask.sum()
    with Session(tmp_path / "session") as session:
        later = session.predict(image.filename, points=[(315, 110)], region=(290, 90, 490, 290))
        assert later.cache_hit
        assert session.cache.check(fix=True).damaged == ()
        assert region_hash(image.pixel_hash, (290, 90, 490, 290)) != image.pixel_hash


def test_small_objects_of_a_large_picture_keep_their_detail(tmp_path):
    """The trained embedded model: coins of 40 pixels in a picture eight times as wide as its frame."""
    coins = np.repeat(data.coins()[..., None], 3, axis=2)
    tiles = np.tile(coins[::-1], (10, 8, 1))
    top, left, coin = 4 * coins.shape[0], 3 * coins.shape[1], (54, 263)
    tiles[top : top + coins.shape[0], left : left + coins.shape[1]] = coins
    x, y = left + coin[0], top + coin[1]
    with Session(tmp_path / "session") as session:
        small, large = session.add([coins, tiles]).images
        right = session.predict(small, points=[coin]).mask
        region = region_around((x - 60, y - 60, x + 60, y + 60), large.size_hw)
        near, far = (session.predict(large, points=[(x, y)], region=r).mask for r in (region, None))
    window = (slice(top, top + coins.shape[0]), slice(left, left + coins.shape[1]))
    assert mask_iou(near[window], right) > 0.8
    assert mask_iou(near[window], right) > mask_iou(far[window], right) + 0.05
