from __future__ import annotations

import numpy as np
import pytest

from samnb.errors import ImageError
from samnb.masks import CATEGORY_COLORS, category_color, contact_sheet, drawing, overlay
from samnb.masks.drawing import OutlineCache, draw_masks


def test_overlay_tints_inside_and_leaves_the_rest():
    pixels = np.full((20, 30, 3), 100, np.uint8)
    mask = np.zeros((20, 30), bool)
    mask[5:15, 5:15] = True
    shown = overlay(pixels, mask[None], colors=["#ff0000"], alpha=0.5)
    assert (pixels == 100).all()
    np.testing.assert_array_equal(shown[~mask], pixels[~mask])
    assert shown[10, 10].tolist() == [178, 50, 50]
    assert shown[5, 5].tolist() == shown[14, 9].tolist() == [255, 0, 0]
    np.testing.assert_array_equal(overlay(pixels, []), pixels)
    np.testing.assert_array_equal(overlay(pixels, [np.zeros((20, 30), bool)]), pixels)


def test_overlay_says_what_is_wrong():
    pixels = np.zeros((4, 4, 3), np.uint8)
    mask = np.ones((4, 4), bool)
    with pytest.raises(ImageError, match="size"):
        overlay(pixels, [np.ones((4, 5), bool)])
    with pytest.raises(ImageError, match="one for each mask"):
        overlay(pixels, [mask], colors=[])
    for color in ("red", "#ff00", ""):
        with pytest.raises(ImageError, match="color"):
            overlay(pixels, [mask], colors=[color])
    for other in (pixels[..., 0], pixels.astype(float), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ImageError, match="dtype uint8, got"):
            overlay(other, [mask])
    for alpha in (-0.1, 1.1, np.nan):
        with pytest.raises(ImageError, match="alpha"):
            overlay(pixels, [mask], alpha=alpha)


def test_category_colors_are_distinct_and_repeat():
    assert len(set(CATEGORY_COLORS)) == len(CATEGORY_COLORS)
    assert [category_color(i) for i in range(len(CATEGORY_COLORS))] == list(CATEGORY_COLORS)
    assert category_color(len(CATEGORY_COLORS) + 2) == CATEGORY_COLORS[2]


def test_contact_sheet_lays_tiles_row_by_row():
    tiles = [np.full((40, 40, 3), grey, np.uint8) for grey in (10, 60, 110)]
    sheet = contact_sheet(tiles, columns=2, tile=40)
    assert sheet.shape == (80, 80, 3)
    assert [int(sheet[y, x, 0]) for y, x in ((20, 20), (20, 60), (60, 20))] == [10, 60, 110]
    assert (sheet[41:, 41:] == sheet[60, 60]).all()


def test_a_contact_sheet_larger_than_any_picture_is_refused():
    with pytest.raises(ImageError, match=r"tile=20000: a sheet of 800,000,000 pixels.*200,000,000.*smaller tile"):
        contact_sheet([np.zeros((8, 8, 3), np.uint8)] * 2, tile=20_000)


def test_contact_sheet_writes_captions():
    tiles = [np.zeros((30, 90, 3), np.uint8)] * 2
    plain = contact_sheet(tiles, tile=100)
    named = contact_sheet(tiles, tile=100, captions=["", "a very long name that has no room in here.jpg"])
    assert named.shape[0] > plain.shape[0]
    strip = named[100:]
    assert (strip[:, :100] == strip[0, 0]).all()
    assert (strip[:, 100:] != strip[0, 0]).any()
    assert contact_sheet(tiles, tile=100, captions=["münze", "硬币 0.94 ②"]).shape == named.shape


def test_contact_sheet_says_what_is_wrong():
    tiles = [np.zeros((3, 3, 3), np.uint8)]
    floats = {"tiles": [np.zeros((3, 3, 3))]}
    for options in ({"tiles": []}, {"tiles": tiles, "columns": 0}, {"tiles": tiles, "captions": []}, floats):
        with pytest.raises(ImageError, match="Expected"):
            contact_sheet(**options)


@pytest.fixture
def two_masks():
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 4:14, 4:14] = masks[1, 8:18, 8:24] = True
    return list(masks)


def test_masks_that_overlap_are_tinted_once_or_one_over_the_other(two_masks):
    for layered, grey in ((False, 150), (True, 175)):
        picture = np.full((20, 30, 3), 100, np.uint8)
        shown = draw_masks(picture, two_masks, "#c8c8c8", alpha=0.5, width=1, layered=layered)
        assert shown is picture
        assert shown[6, 7].tolist() == [150] * 3
        assert shown[11, 11].tolist() == [grey] * 3
        assert shown[0, 0].tolist() == [100] * 3
    assert (draw_masks(picture.copy(), [], "#c8c8c8") == picture).all()


def test_masks_are_scaled_to_the_picture():
    small, picture = np.zeros((10, 10), bool), np.zeros((40, 60, 3), np.uint8)
    small[5:, 5:] = True
    draw_masks(picture, [small], "#ffffff", alpha=1.0, width=1)
    assert picture[25:, 35:].min() == 255
    assert picture[:17, :27].max() == 0


def test_outlines_that_are_kept_draw_the_same_and_are_found_once(two_masks, monkeypatch):
    plain = draw_masks(np.zeros((20, 30, 3), np.uint8), two_masks, "#e69f00")
    found = []
    real = drawing.mask_polygons
    monkeypatch.setattr(drawing, "mask_polygons", lambda mask, **options: found.append(1) or real(mask, **options))
    outlines = OutlineCache(size=2)
    for _ in range(3):
        kept = draw_masks(np.zeros((20, 30, 3), np.uint8), two_masks, "#e69f00", outlines=outlines)
        np.testing.assert_array_equal(kept, plain)
    assert len(found) == 2
    draw_masks(np.zeros((40, 60, 3), np.uint8), two_masks, "#e69f00", outlines=outlines)
    assert len(found) == 4
