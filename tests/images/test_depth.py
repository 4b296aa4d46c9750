"""Pictures of more than 8 bits: shown by their depth, told apart by their values, refused where tags say otherwise."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from samnb.images import Picture, pixel_hash, pixel_hashes, read_known, read_picture, read_pixels
from samnb.images.depth import hash_of_file, turned

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def tiff(path: Path, content: bytes, mode: str, **tags: int) -> Path:
    """A TIFF of 16 x 16 whose tags say something else than its mode."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        info[int(name[1:])] = value
    Image.frombytes(mode, (16, 16), content).save(path, tiffinfo=info)
    return path


@pytest.mark.parametrize(("highest", "white"), [(120, 255), (255, 255), (900, 4095), (4095, 4095), (60000, 65535)])
def test_16_bit_grey_counts_as_8_12_or_16_bits(tmp_path, highest, white):
    values = np.linspace(0, highest, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_pixels(tmp_path / "a.png")[..., 0], values * (255 / white), atol=0.51)


def test_pictures_that_8_bits_cannot_tell_apart_have_different_pixel_hashes(tmp_path):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 60000, (16, 16), dtype=np.uint16)
    colour = rng.integers(0, 60000, (16, 16, 3), dtype=np.uint16)
    floats = rng.uniform(0, 100, (16, 16)).astype(np.float32)
    pictures = {
        "grey.png": (grey, grey ^ 1), "colour.png": (colour, colour ^ 1), "floats.tif": (floats, floats * 2),
        "constant.tif": (np.full((4, 4), 5, np.float32), np.full((4, 4), 7, np.float32)),
        "int.tif": (grey.astype(np.int32) - 9, (grey.astype(np.int32) - 9) * 2),
    }  # fmt: skip
    for name, both in pictures.items():
        hashes = []
        for number, values in enumerate(both):
            file = tmp_path / f"{number}{name}"
            Image.fromarray(values).save(file) if values.ndim == 2 else cv2.imwrite(str(file), values)
            hashes.append(read_picture(file).pixel_hash)
        assert hashes[0] != hashes[1], name


def test_a_lossless_save_keeps_the_hash_of_16_bits_and_of_8_bits_in_16(tmp_path):
    grey = np.random.default_rng(1).integers(0, 60000, (16, 16), dtype=np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(grey).save(tmp_path / name)
    assert read_picture(tmp_path / "a.png").pixel_hash == read_picture(tmp_path / "a.tif").pixel_hash
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / "wide.png")
    assert read_picture(tmp_path / "wide.png").pixel_hash == pixel_hash(np.repeat(RAMP[..., None], 3, 2))


def test_a_lossless_save_keeps_the_hash_of_16_bit_colour(tmp_path):
    rng = np.random.default_rng(2)
    for channels, highest in ((3, 60000), (4, 60000), (3, 3000)):
        values = rng.integers(0, highest, (16, 24, channels), dtype=np.uint16)
        files = [tmp_path / name for name in ("a.png", "b.png", "a.tif")]
        cv2.imwrite(str(files[0]), values)
        cv2.imwrite(str(files[1]), values, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        cv2.imwrite(str(files[2]), values, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        assert len({file.read_bytes() for file in files}) == 3
        hashes = {file.suffix: read_picture(file).pixel_hash for file in files}
        assert read_picture(files[0]).pixel_hash == hashes[".png"]
        if channels == 3:  # what alpha is in a TIFF of OpenCV, it does not say
            assert len(set(hashes.values())) == 1
        cv2.imwrite(str(files[0]), values ^ 1)
        assert read_picture(files[0]).pixel_hash != hashes[".png"]
    wide = np.repeat(RAMP[..., None], 3, 2)
    cv2.imwrite(str(tmp_path / "wide.png"), wide.astype(np.uint16) * 257)
    assert read_picture(tmp_path / "wide.png").pixel_hash == pixel_hash(wide)


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "colour.png", "colour.tif", "floats.tif"])
def test_pictures_that_only_their_orientation_tells_apart(tmp_path, name):
    """Each has its own hash, and the same as the upright values without a tag."""
    values = np.random.default_rng(3).integers(0, 60000, (4, 6, 3), dtype=np.uint16)
    if not name.startswith("colour"):
        values = values[..., 0].astype(np.float32 if name.startswith("floats") else np.uint16)
    plain = tmp_path / f"plain{Path(name).suffix}"
    hashes = []
    for orientation in range(1, 9):
        upright = _write(plain, turned(values, orientation)).pixel_hash
        tagged = _write(tmp_path / name, values, orientation)
        assert tagged.pixel_hash == upright, orientation
        assert (tagged.pixels == read_pixels(plain)).all()
        assert read_known(tmp_path / name, upright, "monday").size == tagged.size_hw[::-1]
        hashes.append(upright)
    assert len(set(hashes)) == 8


def _write(path: Path, values: np.ndarray, orientation: int = 1) -> Picture:
    """Write a picture of more than 8 bits with an orientation, and read it."""
    if values.ndim == 2:
        exif = Image.Exif()
        exif[0x0112] = orientation
        tags = {"tiffinfo": {0x0112: orientation}} if path.suffix == ".tif" else {"exif": exif}
        Image.fromarray(np.ascontiguousarray(values)).save(path, **tags)
    else:
        cv2.imwrite(str(path), values[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        if path.suffix == ".tif":
            content = _with_tag(path.read_bytes(), orientation)
        else:
            block = b"eXIf" + b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, orientation, 0)
            chunk = struct.pack(">I", len(block) - 4) + block + struct.pack(">I", zlib.crc32(block))
            content = path.read_bytes()
            content = content[:33] + chunk + content[33:]
        path.write_bytes(content)
    return read_picture(path)


def _with_tag(content: bytes, orientation: int) -> bytes:
    """A little-endian TIFF with its tag of the orientation: a new list of tags at its end."""
    [start] = struct.unpack_from("<I", content, 4)
    [count] = struct.unpack_from("<H", content, start)
    entries = [content[start + 2 + 12 * n : start + 14 + 12 * n] for n in range(count)]
    entries = [entry for entry in entries if entry[:2] != b"\x12\x01"] + [
        struct.pack("<HHII", 0x0112, 3, 1, orientation)
    ]
    tags = struct.pack("<H", len(entries)) + b"".join(sorted(entries, key=lambda e: e[1::-1])) + bytes(4)
    return content[:4] + struct.pack("<I", len(content)) + content[8:] + tags


def test_16_bit_colour_added_by_its_bytes_is_still_known(tmp_path):
    values = np.random.default_rng(4).integers(0, 60000, (8, 8, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    by_bytes = hash_of_file((tmp_path / "a.png").read_bytes())
    assert by_bytes in pixel_hashes(tmp_path / "a.png")[1:]
    assert read_known(tmp_path / "a.png", by_bytes, "monday").size == (8, 8)


def test_an_image_added_by_an_earlier_version_is_read_as_it_was(tmp_path):
    grey = np.random.default_rng(1).integers(0, 4000, (16, 16), dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    before = np.repeat((grey.astype(float) / 257).round().astype(np.uint8)[..., None], 3, 2)
    assert pixel_hash(before) in pixel_hashes(tmp_path / "a.png")
    np.testing.assert_array_equal(read_known(tmp_path / "a.png", pixel_hash(before), "monday"), before)
    assert not (read_pixels(tmp_path / "a.png") == before).all()


def test_colour_of_12_bits_is_not_black(tmp_path):
    values = np.random.default_rng(1).integers(0, 4096, (6, 9, 3), dtype=np.uint16)
    values[0, 0] = 4095
    assert cv2.imwrite(str(tmp_path / "a.png"), values[..., ::-1])
    np.testing.assert_allclose(read_pixels(tmp_path / "a.png"), values * (255 / 4095), atol=0.51)


@pytest.mark.parametrize("opaque", [4095, 65535])
def test_colour_of_12_bits_with_alpha_is_not_black(tmp_path, opaque):
    values = np.full((6, 9, 4), opaque, np.uint16)
    values[..., :3] = np.random.default_rng(1).integers(0, 4096, (6, 9, 3))
    values[0, 0, :3], values[2:4, :, 3], values[4:, :, 3] = 4095, 0, opaque // 2
    assert cv2.imwrite(str(tmp_path / "a.png"), values[..., [2, 1, 0, 3]])
    shown, colours = read_pixels(tmp_path / "a.png"), values[..., :3] * (255 / 4095)
    np.testing.assert_allclose(shown[:2], colours[:2], atol=0.51)
    assert (shown[2:4] == 255).all()
    np.testing.assert_allclose(shown[4:], (colours[4:] + 255) / 2, atol=1.6)


def test_signed_bytes_keep_their_order(tmp_path):
    file = tiff(tmp_path / "a.tif", RAMP.tobytes(), "L", _339=2)
    order = np.argsort(RAMP.view(np.int8).ravel(), kind="stable")
    shown = read_pixels(file)[..., 0].ravel()[order]
    assert all(one < other for one, other in itertools.pairwise(shown.tolist()))


def test_white_is_zero_where_the_tag_says_so(tmp_path):
    values = RAMP.astype(np.uint16) * 257
    content = Image.fromarray(values)
    content.save(tmp_path / "a.tif")
    raw = bytearray((tmp_path / "a.tif").read_bytes())
    place = raw.index(b"\x06\x01\x03\x00\x01\x00\x00\x00\x01")  # PhotometricInterpretation, one short: 1
    raw[place + 8] = 0
    (tmp_path / "a.tif").write_bytes(raw)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif")[..., 0], 255 - RAMP)


def test_values_for_missing_data_do_not_stretch_the_rest(tmp_path):
    height = np.linspace(200, 300, 256, dtype=np.float32).reshape(16, 16)
    height[0, :5] = -9999
    Image.fromarray(height).save(tmp_path / "a.tif")
    shown = read_pixels(tmp_path / "a.tif")[..., 0]
    assert (shown[0, :5] == 0).all()
    assert len(np.unique(shown)) > 200


def test_planes_of_16_bits_are_read(tmp_path):
    planes = np.random.default_rng(3).integers(0, 65536, (3, 8, 9), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_allclose(read_pixels(tmp_path / "a.tif"), np.moveaxis(planes, 0, -1) / 257, atol=0.51)
