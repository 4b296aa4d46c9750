"""A picture shown by one mapping after another, without reading it whole."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from samnb.images.large import LargePicture
from samnb.images.lazy import PixelMapping, ShownChannel, open_source
from samnb.images.value_preview import ValuePreview

H, W = 600, 5000  # its overview has every fourth value


@pytest.fixture
def values() -> np.ndarray:
    rows, columns = np.mgrid[:H, :W]
    return np.stack([rows * 4 + columns // 4, 3000 - columns // 2], axis=-1).astype(np.uint16)


def file_of(folder: Path, values: np.ndarray, *, pyramid: bool) -> Path:
    options = {"tile": (128, 128), "photometric": "minisblack", "planarconfig": "contig"}
    with tifffile.TiffWriter(folder / "a.tif", ome=True) as file:
        file.write(values, subifds=int(pyramid), metadata={"axes": "YXC"}, **options)
        if pyramid:
            file.write(values[::2, ::2], subfiletype=1, **options)
    return folder / "a.tif"


@pytest.mark.parametrize("pyramid", [False, True])
def test_a_large_picture_by_two_mappings(tmp_path: Path, values: np.ndarray, pyramid: bool) -> None:
    source = open_source(file_of(tmp_path, values, pyramid=pyramid))
    assert len(source.description.levels) == 1 + pyramid
    preview = ValuePreview(source, {}, whole=False)
    assert len(preview.channels) == 2
    few = values[::4, ::4]
    assert preview.ranges == [(float(few[..., at].min()), float(few[..., at].max())) for at in (0, 1)]
    for channel, low, high in ((0, 0, 4000), (1, 500, 3000)):
        mapping = PixelMapping((ShownChannel(channel, "#00ff00", low, high),))
        shown = preview.shown(mapping)
        assert isinstance(shown, LargePicture)
        whole = mapping.pixels(values[..., [channel]])
        np.testing.assert_array_equal(shown.read((1000, 100, 1200, 300)), whole[100:300, 1000:1200])
        small = shown.read((0, 0, W, H), level=2)
        np.testing.assert_allclose(small.astype(int), whole[::4, ::4].astype(int), atol=1)
    del preview
    gc.collect()
    assert shown.read((0, 0, 5, 5)).shape == (5, 5, 3)  # its file is open as long as it is


@pytest.mark.parametrize("level_hw", [(300, 2500), (301, 2501)], ids=["rounded down", "rounded up"])
def test_the_overview_of_odd_sides_has_the_last_row_and_column(tmp_path: Path, level_hw: tuple[int, int]) -> None:
    values = (np.add.outer(np.arange(601), np.arange(5001)) % 4096).astype(np.uint16)
    options = {"tile": (128, 128), "photometric": "minisblack"}
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=True) as file:
        file.write(values, subifds=1, metadata={"axes": "YX"}, **options)
        file.write(values[::2, ::2][: level_hw[0], : level_hw[1]], subfiletype=1, **options)
    source = open_source(tmp_path / "a.tif")
    assert len(source.description.levels) == 2
    mapping = PixelMapping((ShownChannel(0, "#ffffff", 0, 4095),))
    picture = ValuePreview(source, {}, whole=False).shown(mapping)
    assert picture.overview.shape == (151, 1251, 3)
    assert picture.read((4996, 596, 5001, 601), level=2).shape == (2, 2, 3)
    np.testing.assert_array_equal(picture.overview[:150, :1250], mapping.pixels(values[:600:4, :5000:4, None]))


def test_a_small_picture_is_kept_whole_and_its_file_closed_with_the_preview(tmp_path: Path) -> None:
    values = np.array([[[0.5], [np.nan]], [[2.0], [np.inf]]], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values[..., 0])
    source = open_source(tmp_path / "a.tif")
    preview = ValuePreview(source, {}, whole=True)
    assert preview.ranges == [(0.5, 2.0)]
    shown = preview.shown(PixelMapping((ShownChannel(0, "#ffffff", 0, 2),)))
    assert isinstance(shown, np.ndarray)
    assert shown[..., 0].tolist() == [[64, 0], [255, 0]]
    del preview
    gc.collect()
    assert source._file.filehandle.closed
