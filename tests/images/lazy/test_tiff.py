"""TIFF files of any layout are read as tifffile reads them, in parts and upright."""

from __future__ import annotations

import itertools
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from samnb import images
from samnb.errors import ImageError, ImageUnreadable, UnknownName
from samnb.images import read_pixels
from samnb.images.lazy import PixelSize, Region, StackAxis, open_source, tiff

TYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")
H, W = 37, 53


def values_of(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(shape) > 0.5
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)


# shape, how tifffile writes it, then the shape (stack, H, W, C) in which samnb gives it
LAYOUTS = {
    "grey": ((H, W), {"photometric": "minisblack"}, (1, H, W, 1)),
    "white is zero": ((H, W), {"photometric": "miniswhite"}, (1, H, W, 1)),
    "rgb": ((H, W, 3), {"photometric": "rgb"}, (1, H, W, 3)),
    "rgb in planes": ((3, H, W), {"photometric": "rgb", "planarconfig": "separate"}, (3, H, W)),
    "five channels in planes": ((5, H, W), {"photometric": "minisblack", "planarconfig": "separate"}, (5, H, W)),
    "pages": ((4, H, W), {"photometric": "minisblack", "metadata": None}, (4, H, W, 1)),
    "pages of rgb": ((2, H, W, 3), {"photometric": "rgb"}, (2, H, W, 3)),
    "t and z": ((2, 3, H, W), {"photometric": "minisblack", "metadata": {"axes": "TZYX"}}, (6, H, W, 1)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_layout_is_read_as_tifffile_reads_it(
    tmp_path_factory: pytest.TempPathFactory, layout: str, data: st.DataObject
) -> None:
    shape, options, given_as = LAYOUTS[layout]
    dtype = data.draw(st.sampled_from(TYPES if layout not in ("rgb", "rgb in planes", "pages of rgb") else TYPES[1:]))
    compression = data.draw(st.sampled_from([None, "zlib", *(["lzw", "zstd"] if dtype != "bool" else [])]))
    file = tmp_path_factory.mktemp("tiff") / "a.tif"
    written = values_of(shape, dtype)
    tifffile.imwrite(
        file,
        written,
        compression=compression,
        tile=data.draw(st.sampled_from([None, (16, 32)])),
        rowsperstrip=data.draw(st.sampled_from([None, 7])),
        byteorder=data.draw(st.sampled_from("<>")),
        bigtiff=data.draw(st.booleans()),
        predictor=compression is not None and dtype not in ("bool", "float16") and data.draw(st.booleans()),
        **options,
    )
    known = tifffile.imread(file)
    np.testing.assert_array_equal(known, written)
    expected = known.astype(np.uint8) if dtype == "bool" else known
    in_planes = len(given_as) == 3
    expected = np.moveaxis(expected, 0, -1)[None] if in_planes else expected.reshape(given_as)
    y0, x0 = data.draw(st.integers(0, H - 1)), data.draw(st.integers(0, W - 1))
    part = Region(y0, x0, data.draw(st.integers(1, H - y0)), data.draw(st.integers(1, W - x0)))
    with open_source(file) as source:
        about = source.description
        assert (about.dtype, about.size_hw) == ("uint8" if dtype == "bool" else dtype, (H, W))
        places = itertools.product(*(range(axis.size) for axis in about.stack))
        read = [source.read(at=dict(zip([a.name for a in about.stack], place, strict=True))) for place in places]
        np.testing.assert_array_equal(np.stack(read), expected)
        rows, columns = slice(y0, y0 + part.height), slice(x0, x0 + part.width)
        np.testing.assert_array_equal(source.read(region=part), expected[0][rows, columns])
    with open_source(file.read_bytes(), "from memory") as source:
        np.testing.assert_array_equal(source.read(region=part), expected[0][rows, columns])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_region_of_a_turned_picture_is_upright(tmp_path: Path, orientation: int) -> None:
    written = values_of((H, W), "uint8")
    file = tmp_path / "turned.tif"
    tifffile.imwrite(file, written, extratags=[(274, "H", 1, orientation)])
    upright = read_pixels(file)[..., 0]
    with open_source(file) as source:
        assert source.description.size_hw == upright.shape
        np.testing.assert_array_equal(source.read()[..., 0], upright)
        np.testing.assert_array_equal(source.read(region=Region(3, 5, 20, 11))[..., 0], upright[3:23, 5:16])


def test_only_the_tiles_of_the_region_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, ...]] = []
    bytes_at = tiff._bytes_at
    file = tmp_path / "large.tif"
    tifffile.imwrite(file, values_of((2048, 2048), "uint16"), tile=(256, 256), compression="zlib")
    known = tifffile.imread(file)
    with open_source(file) as source:
        monkeypatch.setattr(tiff, "_bytes_at", lambda handle, *place: read.append(place) or bytes_at(handle, *place))
        np.testing.assert_array_equal(source.read_region(0, 300, 700, 100, 50)[..., 0], known[300:400, 700:750])
    assert len(read) == 1


def test_threads_that_share_a_source_read_what_they_ask_for(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2048, 2048), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "tiles.tif", pixels, tile=(128, 128))
    with open_source(tmp_path / "tiles.tif") as source, ThreadPoolExecutor(8) as pool:

        def is_right(corner: tuple[int, int]) -> bool:
            y, x = corner
            read = source.read(region=Region(y, x, 128, 128))[..., 0]
            return np.array_equal(read, pixels[y : y + 128, x : x + 128])

        assert all(pool.map(is_right, [*itertools.product(range(0, 2048, 128), repeat=2)] * 8))


def test_a_pyramid_has_levels_and_its_scale(tmp_path: Path) -> None:
    file = tmp_path / "pyramid.ome.tif"
    whole = values_of((512, 640), "uint8")
    with tifffile.TiffWriter(file, bigtiff=True, ome=True) as writer:
        about = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5}
        writer.write(whole, subifds=2, tile=(64, 64), metadata=about)
        for step in (2, 4):
            writer.write(whole[::step, ::step], subfiletype=1, tile=(64, 64))
    with open_source(file) as source:
        assert [(level.size_hw, level.scale) for level in source.description.levels] == [
            ((512, 640), 1.0),
            ((256, 320), 2.0),
            ((128, 160), 4.0),
        ]
        assert source.description.pixel_size == PixelSize(0.25, 0.5)
        np.testing.assert_array_equal(source.read(level=2)[..., 0], whole[::4, ::4])


def test_the_metadata_of_imagej_are_read(tmp_path: Path) -> None:
    file = tmp_path / "stack.tif"
    tifffile.imwrite(
        file,
        values_of((3, 2, H, W), "uint16"),
        imagej=True,
        resolution=(4, 2),
        metadata={"axes": "ZCYX", "unit": "um", "spacing": 1.5, "Ranges": (10, 900, 0, 500)},
    )
    with open_source(file) as source:
        about = source.description
        assert about.stack == (StackAxis("z", 3),)
        assert about.pixel_size == PixelSize(0.25, 0.5, 1.5)
        assert [(one.low, one.high) for one in about.channels] == [(10, 900), (0, 500)]
        np.testing.assert_array_equal(source.read(at={"z": 2}, channels=[1])[..., 0], tifffile.imread(file)[2, 1])


@pytest.mark.parametrize(
    ("photometric", "dtype", "reason"),
    [
        ("minisblack", "complex64", "complex"),
        ("separated", "uint8", "CMYK"),
        ("cielab", "uint8", "CIELab"),
        ("cfa", "uint16", "mosaic"),
    ],
)
def test_what_no_channel_shows_is_refused_by_name(tmp_path: Path, photometric: str, dtype: str, reason: str) -> None:
    file = tmp_path / "odd.tif"
    channels = {"separated": 4, "cielab": 3}.get(photometric, 1)
    shape = (H, W, channels) if channels > 1 else (H, W)
    extra = [(33421, "H", 2, (2, 2)), (33422, "B", 4, (0, 1, 1, 2))] if photometric == "cfa" else []
    planar = {"planarconfig": "contig"} if channels > 1 else {}
    tifffile.imwrite(file, np.zeros(shape, dtype), photometric=photometric, extratags=extra, **planar)
    with pytest.raises(ImageUnreadable, match=reason):
        open_source(file)


def test_damaged_and_wrong_requests_say_what(tmp_path: Path) -> None:
    file = tmp_path / "cut.tif"
    tifffile.imwrite(file, values_of((H, W), "uint16"), compression="zlib")
    with open_source(file) as source:
        with pytest.raises(ImageError, match="inside 53 x 37"):
            source.read(region=Region(0, 0, 38, 10))
        with pytest.raises(UnknownName, match="channel"):
            source.read(channels=[1])
        with pytest.raises(UnknownName, match="axis"):
            source.read(at={"z": 0})
    content = file.read_bytes()
    with tifffile.TiffFile(file) as opened:
        offset = opened.pages[0].dataoffsets[0]
    file.write_bytes(content[: offset + 100])
    with pytest.raises(ImageUnreadable), open_source(file) as source:
        source.read()


@pytest.mark.parametrize("sizes", [(10**9, 1, 1), (1000, 1000, 1000), (2, 10**9, 1)])
def test_an_ome_tiff_that_states_a_billion_planes_is_refused_before_they_are_listed(
    tmp_path: Path, sizes: tuple[int, int, int]
) -> None:
    z, c, t = sizes
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0"><Pixels BigEndian="false" DimensionOrder="XYZCT" ID="Pixels:0" Type="uint8" '
        f'SizeX="40" SizeY="30" SizeZ="{z}" SizeC="{c}" SizeT="{t}"><TiffData/></Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((30, 40), np.uint8), description=xml, metadata=None)
    with pytest.raises(ImageUnreadable, match=rf"a.ome.tif.*{z * c * t:,} planes.*1,000,000"):
        open_source(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("after", [0, 2])
def test_pages_in_a_circle_are_refused_at_once(tmp_path: Path, big: bool, after: int) -> None:
    file = tmp_path / "a.tif"
    with tifffile.TiffWriter(file, bigtiff=big) as writer:
        for n in range(3):
            writer.write(np.full((8, 9), n, np.uint16))
    with tifffile.TiffFile(file) as written:
        first, last, form = written.pages[after].offset, written.pages[2].offset, written.tiff
    content = bytearray(file.read_bytes())
    (tags,) = struct.unpack_from(form.tagnoformat, content, last)
    struct.pack_into(form.offsetformat, content, last + form.tagnosize + tags * form.tagsize, first)
    file.write_bytes(content)
    with pytest.raises(ImageUnreadable, match=r"a\.tif.* in a circle"):
        open_source(file)


def test_a_file_that_is_cut_off_may_hide_a_circle(tmp_path: Path) -> None:
    """tifffile takes the last bytes that there are for the place of the next page."""
    tag = struct.pack("<HHII", 256, 4, 1, 8)
    one_page = struct.pack("<2sHIH", b"II", 42, 8, 2) + tag + tag  # 2 tags; the last four bytes say 8: this page
    (tmp_path / "a.tif").write_bytes(one_page)
    with pytest.raises(ImageUnreadable, match=r"a\.tif.* in a circle"):
        open_source(tmp_path / "a.tif")


def test_more_channels_than_any_camera_has_are_refused_and_hundreds_are_read(tmp_path: Path) -> None:
    layout = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "some.tif", np.zeros((4, 6, 400), np.uint8), **layout)
    with open_source(tmp_path / "some.tif") as source:
        assert source.read(channels=[399]).shape == (4, 6, 1)
    tifffile.imwrite(tmp_path / "many.tif", np.zeros((4, 6, 5000), np.uint8), **layout)
    with pytest.raises(ImageUnreadable, match="5,000 channels, more than the limit of 4,096"):
        open_source(tmp_path / "many.tif")


def test_the_limit_of_bytes_is_the_one_that_the_user_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 60), np.uint16))
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 4000)
    with open_source(tmp_path / "a.tif") as source:
        assert source.read(region=(0, 0, 20, 60)).shape == (20, 60, 1)
        with pytest.raises(ImageUnreadable, match="4,800 bytes, more than the limit of 4,000"):
            source.read()
    with pytest.raises(ImageUnreadable, match="more than the limit of 4,000"):
        images.read_picture(tmp_path / "a.tif")
