"""From values to pixels: by the stated rules, recorded, and part of the hash."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

import samnb
from samnb.errors import ImageError, ImageUnreadable, UnknownName
from samnb.images import pixel_hash, read_picture, read_pixels
from samnb.images.lazy import PixelMapping, ShownChannel, View, open_source
from samnb.images.lazy.view_files import ViewFile, view_in

GREY = PixelMapping((ShownChannel(0, "#ffffff", 0, 255),))


def mapped(file: Path, view: View) -> tuple[PixelMapping, np.ndarray]:
    with open_source(file) as source:
        mapping = view.mapping(source)
        return mapping, mapping.read(source)


def test_coins_of_12_bits_look_like_those_of_8_and_are_clicked_alike(tmp_path: Path) -> None:
    coins = data.coins()
    tifffile.imwrite(tmp_path / "8.tif", coins)
    tifffile.imwrite(tmp_path / "12.tif", (coins.astype(np.float64) * 4095 / 255).round().astype(np.uint16))
    of_8, of_12 = read_pixels(tmp_path / "8.tif"), read_pixels(tmp_path / "12.tif")
    np.testing.assert_allclose(of_12.astype(int), of_8, atol=1)
    _, lazily = mapped(tmp_path / "12.tif", View())
    np.testing.assert_allclose(lazily.astype(int), of_8, atol=1)
    with samnb.Session(tmp_path / "session") as session:
        session.add([tmp_path / "8.tif", tmp_path / "12.tif"], show=False)
        first, second = (session.predict(name, points=[(110, 204)]).masks for name in ("8.tif", "12.tif"))
        for one, other in zip(first, second, strict=True):
            assert np.count_nonzero(one & other) > 0.98 * np.count_nonzero(one | other)


def test_dark_pictures_that_8_bits_do_not_tell_apart_stay_two(tmp_path: Path) -> None:
    dark = np.full((20, 30), 7, np.uint16)
    dark[0, 0] = 60_000
    other = dark.copy()
    other[5, 5] = 8
    hashes = set()
    for name, values in (("a", dark), ("b", other)):
        tifffile.imwrite(tmp_path / f"{name}.tif", values)
        mapping, pixels = mapped(tmp_path / f"{name}.tif", View(limits=(0, 65535)))
        hashes.add(mapping.hash_of(values[..., None]))
        assert pixel_hash(pixels) not in hashes
    assert len(hashes) == 2


def test_pixels_of_8_bits_keep_their_hash_and_so_their_embedding(tmp_path: Path) -> None:
    cell = data.cell()
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([cell, cell[::-1]]), imagej=True, metadata={"axes": "ZYX"})
    with samnb.Session(tmp_path / "session") as session:
        session.add(cell, show=False)
        session.prewarm(show=False).wait()
        report = session.add(tmp_path / "stack.tif", stack="z", dataset="stack", show=False)
        assert report.duplicates_found == 1
        assert session.is_cached("stack.tif[z=0]")
        assert not session.is_cached("stack.tif[z=1]")


def test_another_mapping_is_another_key_and_the_same_one_the_same(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 900, (40, 50), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values)
    tifffile.imwrite(tmp_path / "copy.tif", values, compression="zlib")
    found = {}
    for name, view in {
        "range": View(),
        "hand": View(limits=(0, 900)),
        "over": View(limits=(900, 0)),
        "gamma": View(limits=(0, 900), gamma=0.5),
        "green": View(channels=[None, 0, None], limits=(0, 900)),
    }.items():
        mapping, _ = mapped(tmp_path / "a.tif", view)
        found[name] = mapping.hash_of(values[..., None])
        again, _ = mapped(tmp_path / "copy.tif", view)
        assert again.hash_of(values[..., None]) == found[name]
        assert PixelMapping.from_dict(json.loads(json.dumps(mapping.as_dict()))) == mapping
    assert len(set(found.values())) == 5
    numbered, _ = mapped(tmp_path / "a.tif", View(channels=np.int64(0)))
    assert numbered == mapped(tmp_path / "a.tif", View(channels=0))[0]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 65535), min_size=1, max_size=30),
    st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)).filter(lambda ends: abs(ends[0] - ends[1]) > 1e-3),
    st.floats(0.2, 3),
    st.sampled_from([np.uint16, np.int32, np.float64]),
)
def test_the_formula_holds_for_any_values(
    values: list[int], ends: tuple[float, float], gamma: float, dtype: type
) -> None:
    given_values = np.array(values, dtype)[None, :, None]
    mapping = PixelMapping((ShownChannel(0, "#ffffff", *ends),), gamma)
    expected = np.clip((np.array(values) - ends[0]) / (ends[1] - ends[0]), 0, 1) ** gamma * 255
    np.testing.assert_allclose(mapping.pixels(given_values)[0, :, 0], expected, atol=0.51)


def test_the_rules_for_limits(tmp_path: Path) -> None:
    def limits(values: np.ndarray, view: View = View(), **options: object) -> tuple[float, float]:  # noqa: B008
        tifffile.imwrite(tmp_path / "a.tif", values, **options)
        mapping, _ = mapped(tmp_path / "a.tif", view)
        return mapping.channels[0].low, mapping.channels[0].high

    ramp = np.linspace(0, 1, 400).reshape(20, 20)
    assert limits((ramp * 200).astype(np.uint8)) == (0, 255)
    assert limits((ramp * 200).astype(np.uint16)) == (0, 255)
    assert limits((ramp * 3000).astype(np.uint16)) == (0, 4095)
    assert limits((ramp * 5000).astype(np.uint16)) == (0, 65535)
    assert limits((ramp * 200 - 100).astype(np.int8)) == (-128, 127)
    assert limits((ramp * 200 - 100).astype(np.int16)) == (-100, 100)
    assert limits(ramp.astype(np.float32)) == (0, 1)
    assert limits((ramp * 5 - 2).astype(np.float32)) == (-2, 3)
    assert limits((ramp * 200).astype(np.uint8), photometric="miniswhite") == (255, 0)
    low, high = limits((ramp * 5000).astype(np.uint16), View(limits="percentiles", percentiles=(10, 90)))
    assert (low, high) == pytest.approx((500, 4500), abs=15)
    about = {"axes": "YX", "min": 100.0, "max": 900.0}
    assert limits((ramp * 5000).astype(np.uint16), imagej=True, metadata=about) == (100, 900)
    assert limits((ramp * 5000).astype(np.uint16), View(limits="range"), imagej=True, metadata=about) == (0, 65535)


def test_a_stack_has_one_mapping(tmp_path: Path) -> None:
    values = np.stack([np.full((9, 9), high, np.uint16) for high in (100, 3000)])
    tifffile.imwrite(tmp_path / "z.tif", values, imagej=True, metadata={"axes": "ZYX"})
    with samnb.Session(tmp_path / "s") as session:
        report = session.add(tmp_path / "z.tif", stack=True, show=False)
        assert "2 pictures of its stack, 0..4095" in str(report)
        assert session.mapping("z.tif[z=0]") == session.mapping("z.tif[z=1]")
        assert session.pixels("z.tif[z=0]").max() == round(100 / 4095 * 255)


def test_wrong_requests_say_what_is_known(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 9, 9), np.uint16), imagej=True, metadata={"axes": "CYX"})
    for view, error, words in (
        (View(channels="DAPI"), UnknownName, "DAPI"),
        (View(channels=[0, 1, 0, 1]), ImageError, "one to three"),
        (View(channels={0: "nocolour"}), UnknownName, "nocolour"),
        (View(channels={}), ImageError, "one to three"),
        (View(channels=0.5), UnknownName, "0.5"),
        (View(limits="file"), ImageError, "no limits for display"),
        (View(limits=[(0, 1)]), ImageError, "2 channels"),
        (View(limits=(3, 3)), ImageError, "different"),
        (View(limits={}), ImageError, "one pair for each channel"),
        (View(limits=(0, 10**400)), ImageError, "one pair for each channel"),
    ):
        with pytest.raises(error, match=words):
            mapped(tmp_path / "a.tif", view)
    with pytest.raises(UnknownName, match="percentile"):
        View(limits="percentile")
    for options in (
        *({"gamma": gamma} for gamma in (0, -1, np.nan, np.inf, 10**400, "1", None)),
        *({"percentiles": percentiles} for percentiles in (5, (1,), (2, 1), (0, 101), ("1", "99"), (np.nan, 5))),
        *({"at": at} for at in (3, [1], {"z": "1"}, {"z": 1.5}, {"z": None})),
    ):
        with pytest.raises(ImageError, match=next(iter(options))):
            View(**options)
    assert View(gamma=np.float32(0.5), percentiles=np.array([1, 99]), at={"z": np.int64(1)}).at == {"z": 1}


def test_a_view_file_reads_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    view = ViewFile("/data/a b.tif", (("t", 1), ("z", 2)), GREY, "../a b.tif")
    assert view_in(view.as_bytes()) == view
    assert view_in(b"II*\0") is None
    broken = view.as_bytes().replace(b'"low": 0', b'"low": "x"')
    with pytest.raises(ImageUnreadable, match="damaged view file"):
        view_in(broken, "plate")


def test_a_source_that_changed_or_moved_is_said_and_found(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4000, (2, 30, 40), dtype=np.uint16)
    home = tmp_path / "home"
    home.mkdir()
    tifffile.imwrite(home / "z.tif", values, imagej=True, metadata={"axes": "ZYX"})
    with samnb.Session(home / "s") as session:
        session.add(home / "z.tif", stack=True, show=False)
        before = session.pixels("z.tif[z=1]")
    home.rename(tmp_path / "moved")
    with samnb.Session(tmp_path / "moved" / "s") as session:
        np.testing.assert_array_equal(session.pixels("z.tif[z=1]"), before)
        tifffile.imwrite(tmp_path / "moved" / "z.tif", values // 2, imagej=True, metadata={"axes": "ZYX"})
        with pytest.raises(samnb.errors.ImageChanged):
            session.predict("z.tif[z=0]", points=[(5, 5)])
        (tmp_path / "moved" / "z.tif").unlink()
        with pytest.raises(samnb.errors.ImageNotFound, match="Put it back"):
            session.use_view("z.tif[z=0]", View())


def test_what_pillow_decodes_wrongly_is_read_rightly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    signed = rng.integers(-3000, 3000, (40, 50), dtype=np.int16)
    large = rng.integers(2**31, 2**32 - 1, (40, 50), dtype=np.uint32)
    planes = rng.integers(0, 256, (5, 40, 50), dtype=np.uint8)
    files = {
        "signed": (signed, {"byteorder": ">", "compression": "zlib", "predictor": True}),
        "large": (large, {}),
        "planes": (planes, {"compression": "zlib", "planarconfig": "separate", "photometric": "minisblack"}),
    }
    for name, (values, options) in files.items():
        file = tmp_path / f"{name}.tif"
        tifffile.imwrite(file, values, **options)
        np.testing.assert_array_equal(tifffile.imread(file), values)
        shown = read_pixels(file).astype(float)
        if values.ndim == 3:
            np.testing.assert_array_equal(shown, np.moveaxis(values[:3], 0, -1))
            continue
        low, high = float(values.min()), float(values.max())
        np.testing.assert_allclose(shown[..., 0], (values - low) / (high - low) * 255, atol=1)
        assert read_picture(file).pixel_hash != pixel_hash(read_pixels(file))


def test_without_tifffile_such_a_layout_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = np.arange(-1000, 1000, dtype=np.int16).reshape(40, 50)
    tifffile.imwrite(tmp_path / "a.tif", signed, byteorder=">", compression="zlib", predictor=True)
    monkeypatch.setattr("samnb.images.tiff_check.find_spec", lambda name: None)
    with pytest.raises(samnb.errors.ReaderMissing, match=r"samnb\[scientific\]"):
        read_pixels(tmp_path / "a.tif")


def test_a_folder_of_stacks_and_single_pictures(tmp_path: Path) -> None:
    values = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "z.tif", values, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "in" / "one.tif", values[0])
    tifffile.imwrite(tmp_path / "in" / "t.tif", values + 9, imagej=True, metadata={"axes": "TYX"})
    Image.fromarray((values[1] % 251).astype(np.uint8)).save(tmp_path / "in" / "one.png")
    with samnb.Session(tmp_path / "s") as session:
        report = session.add(tmp_path / "in", stack="z", show=False)
        names = {image.filename for image in session.images()}
    assert names == {"one.png", "one.tif", "z.tif[z=0]", "z.tif[z=1]", "z.tif[z=2]"}
    assert [Path(one.path).name for one in report.failed] == ["t.tif"]
    assert "Known: 't'" in report.failed[0].reason
