from __future__ import annotations

import hashlib
import io
import os
import struct
import tempfile
import warnings
import zlib
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest
from PIL import Image

from samnb import images
from samnb.errors import ImageError, ImageNotFound, ImageTooLarge, ImageUnreadable
from samnb.images import (
    as_pixels,
    content_hash,
    perceptual_hash,
    pixel_hash,
    read_picture,
    read_pixels,
    thumbnail,
    upright,
)


def save(pixels: np.ndarray, path: Path, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", {}),
        (".bmp", {}),
        (".tif", {}),
        (".tiff", {"compression": "tiff_lzw"}),
        (".webp", {"lossless": True}),
        (".ppm", {}),
        (".jp2", {}),
    ],
)
def test_a_lossless_save_keeps_the_pixel_hash(noise, tmp_path, suffix, options):
    picture = read_picture(save(noise, tmp_path / f"a{suffix}", **options))
    np.testing.assert_array_equal(picture.pixels, noise)
    assert picture.pixel_hash == pixel_hash(noise)


def test_opaque_alpha_keeps_the_pixel_hash(noise, tmp_path):
    opaque = np.dstack([noise, np.full(noise.shape[:2], 255, np.uint8)])
    assert read_picture(save(opaque, tmp_path / "a.png")).pixel_hash == pixel_hash(noise)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG", ".webp", ".avif", ".jfif"])
def test_lossy_formats_come_near(scene, tmp_path, suffix):
    pixels = read_pixels(save(scene, tmp_path / f"a{suffix}"))
    assert pixels.shape == scene.shape
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - scene).mean() < 6


def test_16_bit_grey_is_divided_by_257(tmp_path):
    values = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    expected = [0, 0, 1, 1, 128, 255]
    for suffix in (".png", ".tif"):
        pixels = read_pixels(save(values, tmp_path / f"a{suffix}"))
        assert pixels[0].tolist() == [[v, v, v] for v in expected]
    big_endian = tmp_path / "big.tif"
    Image.frombytes("I;16B", (6, 1), values.astype(">u2").tobytes()).save(big_endian)
    assert read_pixels(big_endian)[0, :, 0].tolist() == expected
    assert as_pixels(values)[0, :, 0].tolist() == expected


def test_16_bit_grey_is_not_stretched(tmp_path):
    """It is scaled by its depth, so that equal values are equal pixels."""
    dark, bright = np.full((4, 4), 514, np.uint16), np.full((4, 4), 514, np.uint16)
    bright[0, 0] = 4000
    assert read_pixels(save(dark, tmp_path / "dark.png"))[1, 1, 0] == 32
    assert read_pixels(save(bright, tmp_path / "bright.png"))[1, 1, 0] == 32


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_colour_keeps_its_high_byte(tmp_path, suffix):
    values = np.random.default_rng(1).integers(0, 65536, (6, 9, 3), dtype=np.uint16)
    file = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(file), values[..., ::-1])
    np.testing.assert_array_equal(read_pixels(file), values >> 8)


def test_float_tiff_from_0_to_1(tmp_path):
    pixels = read_pixels(save(np.array([[0.0, 0.5, 1.0]], np.float32), tmp_path / "a.tif"))
    assert pixels[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("values", [[-40.0, 0.0, 40.0], [0.0, 2000.0, 4000.0]])
def test_other_floats_are_stretched(tmp_path, values):
    pixels = read_pixels(save(np.array([values], np.float32), tmp_path / "a.tif"))
    assert pixels[0, :, 0].tolist() == [0, 128, 255]


def test_32_bit_integers_are_stretched(tmp_path):
    pixels = read_pixels(save(np.array([[-70000, 0, 70000]], np.int32), tmp_path / "a.tif"))
    assert pixels[0, :, 0].tolist() == [0, 128, 255]


def test_a_constant_float_picture_is_black_not_an_error(tmp_path):
    assert read_pixels(save(np.full((3, 3), 7.0, np.float32), tmp_path / "a.tif")).max() == 0


def test_nan_is_black_and_does_not_count_for_the_range(tmp_path):
    file = save(np.array([[100.0, np.nan, 300.0]], np.float32), tmp_path / "a.tif")
    assert read_pixels(file)[0, :, 0].tolist() == [0, 0, 255]
    assert (
        read_picture(file).pixel_hash
        != read_picture(save(np.array([[100.0, 100.0, 300.0]], np.float32), tmp_path / "b.tif")).pixel_hash
    )


def test_cmyk_jpeg(scene, tmp_path):
    file = tmp_path / "cmyk.jpg"
    Image.fromarray(scene).convert("CMYK").save(file, quality=95)
    assert np.abs(read_pixels(file).astype(int) - scene).mean() < 6


def test_palette_transparency_is_laid_on_white(tmp_path):
    palette = Image.new("P", (3, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.putdata([0, 1, 2])
    palette.save(tmp_path / "p.png", transparency=1)
    assert read_pixels(tmp_path / "p.png")[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]


def test_grey_alpha_rgba_and_colour_key_are_laid_on_white(tmp_path):
    Image.fromarray(np.array([[[0, 0], [0, 255], [100, 128]]], np.uint8), "LA").save(tmp_path / "la.png")
    assert read_pixels(tmp_path / "la.png")[0, :, 0].tolist() == [255, 0, 177]
    half = np.array([[[0, 0, 200, 128]]], np.uint8)
    assert read_pixels(save(half, tmp_path / "rgba.png"))[0, 0].tolist() == [127, 127, 227]
    Image.new("RGB", (2, 2), (10, 20, 30)).save(tmp_path / "key.png", transparency=(10, 20, 30))
    assert read_pixels(tmp_path / "key.png").min() == 255


def test_one_bit(tmp_path):
    bits = np.array([[True, False, True]])
    for suffix in (".png", ".tif", ".bmp", ".pbm"):
        assert read_pixels(save(bits, tmp_path / f"a{suffix}"))[0, :, 0].tolist() == [255, 0, 255]


def test_a_jpeg_with_several_pictures_gives_the_first(scene, tmp_path):
    second = Image.fromarray(scene[::-1].copy())
    Image.fromarray(scene).save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert np.abs(read_pixels(tmp_path / "a.jpg").astype(int) - scene).mean() < 6


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (9, 5), colour) for colour in ("red", "green", "blue")]
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        extra = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **extra)
        pixels = read_pixels(tmp_path / name)
        assert pixels.shape == (5, 9, 3)
        assert (pixels == (255, 0, 0)).all(), name


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation, suffix):
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24] = (255, 0, 0)
    upright[:16, 24:] = (0, 255, 0)
    upright[16:, :24] = (0, 0, 255)
    stored = {  # how a camera held that way lays the upright picture into the file
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = save(np.ascontiguousarray(stored), tmp_path / f"a{suffix}", exif=exif)
    pixels = read_pixels(file)
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).mean() < 4
    with Image.open(file) as image:
        np.testing.assert_array_equal(as_pixels(image), pixels)


def test_damaged_exif_leaves_the_picture_as_it_lies(scene, tmp_path):
    for number, exif in enumerate([b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"\0"]):
        file = save(scene, tmp_path / f"{number}.jpg", exif=exif)
        assert read_pixels(file).shape == scene.shape


def test_one_pixel(tmp_path):
    file = save(np.array([[[7, 8, 9]]], np.uint8), tmp_path / "dot.png")
    picture = read_picture(file)
    assert picture.pixels.tolist() == [[[7, 8, 9]]]
    assert picture.size_hw == (1, 1)
    assert len(picture.perceptual_hash) == 64
    assert thumbnail(picture.pixels).shape == (1, 1, 3)


def test_the_suffix_is_not_believed(noise, tmp_path):
    file = save(noise, tmp_path / "a.png")
    np.testing.assert_array_equal(read_pixels(file.rename(tmp_path / "a.jpg")), noise)


# ---------------------------------------------------------------- bad input


def test_missing_path(tmp_path):
    with pytest.raises(ImageNotFound, match=r"nowhere\.jpg"):
        read_pixels(tmp_path / "nowhere.jpg")
    with pytest.raises(FileNotFoundError):
        content_hash(tmp_path / "no" / "folder" / "a.jpg")


def test_folder_pipe_and_impossible_names(tmp_path):
    with pytest.raises(ImageUnreadable, match="folder"):
        read_pixels(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageUnreadable, match="not a regular file"):
        read_pixels(tmp_path / "pipe.jpg")
    for name in ("a\0b.jpg", "a" * 5000):
        with pytest.raises(ImageUnreadable, match="cannot be read"):
            read_pixels(name)


@pytest.fixture
def as_somebody_else():
    """Root may read everything, so root is another user for the length of a test."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_a_file_that_may_not_be_read(noise, as_somebody_else):
    with tempfile.TemporaryDirectory() as folder:
        file = save(noise, Path(folder) / "a.png")
        file.chmod(0)
        with pytest.raises(ImageUnreadable, match="ermission"):
            read_pixels(file)


def test_zero_bytes(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageUnreadable, match="zero bytes"):
        read_picture(tmp_path / "empty.jpg")


@pytest.mark.parametrize("content", [b"hello, this is text\n" * 9, b"\0" * 500, b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff"])
def test_not_a_picture(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageUnreadable, match="not a picture"):
        read_pixels(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp", ".gif", ".jp2", ".avif", ".ppm"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated(noise, tmp_path, suffix, share):
    content = save(noise, tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"a{suffix}").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageUnreadable, match=f"a{suffix}"):
        read_picture(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp", ".gif", ".jp2", ".avif", ".ppm"])
def test_flipped_bytes_give_pixels_or_an_image_error(scene, tmp_path, suffix):
    rng = np.random.default_rng(5)
    whole = np.frombuffer(save(scene[:60, :80], tmp_path / f"whole{suffix}").read_bytes(), np.uint8)
    for _ in range(60):
        damaged = whole.copy()
        where = rng.integers(0, min(len(damaged), int(rng.choice([64, 400, 1 << 30]))), 6)
        damaged[where] = rng.integers(0, 256, 6)
        file = tmp_path / f"a{suffix}"
        file.write_bytes(damaged.tobytes())
        try:
            pixels = read_pixels(file)
        except ImageError:
            continue
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3


def test_a_huge_header_is_refused_before_decoding(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_header(60_000, 60_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLarge) as caught:
            read_pixels(tmp_path / "bomb.png")
    assert caught.value.size_hw == (60_000, 60_000)
    assert "60000 x 60000" in str(caught.value)


@pytest.mark.parametrize("size", [(10_000, 10_000), (14_000, 14_000)])
def test_pillows_own_limit_neither_warns_nor_stops(tmp_path, size):
    """The header passes, so what is reported is the missing data."""
    (tmp_path / "large.png").write_bytes(png_header(*size))
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageUnreadable, match="truncated or damaged"):
            read_pixels(tmp_path / "large.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_limit_can_be_moved(noise, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 48 - 1)
    for read in (lambda: read_pixels(save(noise, tmp_path / "a.png")), lambda: as_pixels(noise)):
        with pytest.raises(ImageTooLarge, match="64 x 48"):
            read()
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 48)
    assert read_pixels(tmp_path / "a.png").shape == (48, 64, 3)


def test_a_zero_sized_header(tmp_path):
    (tmp_path / "none.png").write_bytes(png_header(0, 5))
    with pytest.raises(ImageUnreadable):
        read_pixels(tmp_path / "none.png")


# ---------------------------------------------------------------- as_pixels


def test_arrays_of_every_accepted_kind():
    grey = np.array([[0, 1]], bool)
    expected = [[[0, 0, 0], [255, 255, 255]]]
    assert as_pixels(grey).tolist() == expected
    assert as_pixels(grey[..., None]).tolist() == expected
    assert as_pixels(grey.astype(np.uint8) * 255).tolist() == expected
    assert as_pixels(grey.astype(np.float32)).tolist() == expected
    assert as_pixels(grey.astype(np.float16)[..., None].repeat(3, 2)).tolist() == expected
    assert as_pixels(grey.astype(np.uint16) * 65535).tolist() == expected
    assert as_pixels(np.array([[[9, 9, 9, 0], [0, 0, 0, 255]]], np.uint8)).tolist() == [[[255, 255, 255], [0, 0, 0]]]


def test_as_pixels_never_shares_memory(noise):
    pixels = as_pixels(noise)
    assert not np.shares_memory(pixels, noise)
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous
    turned = noise.transpose(1, 0, 2)[::-1]
    np.testing.assert_array_equal(as_pixels(turned), turned)
    assert as_pixels(turned).flags.c_contiguous


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(5, np.uint8), r"shape .* got \(5,\)"),
        (np.zeros((3, 8, 9), np.uint8), "moveaxis"),
        (np.zeros((2, 8, 9, 3), np.uint8), "batch"),
        (np.zeros((8, 9, 2), np.uint8), "shape"),
        (np.zeros((8, 9, 3), np.int64), "got int64"),
        (np.zeros((8, 9, 3), complex), "got complex"),
        (np.full((8, 9), "x"), "uint8"),
        (np.full((8, 9, 3), 255.0), r"0\.\.1, got 255"),
        (np.full((8, 9), -0.1), r"0\.\.1"),
        (np.full((8, 9), np.nan), "NaN"),
        (np.full((8, 9), np.inf), "infinity"),
        (np.zeros((0, 9, 3), np.uint8), "no pixels"),
        ([[1, 2], [3, 4]], "got list"),
        ("photo.jpg", "read_pixels"),
    ],
)
def test_as_pixels_says_what_is_wrong(array, words):
    with pytest.raises(ImageError, match=words):
        as_pixels(array)


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"]
)
def test_pil_images_of_any_mode(mode):
    pixels = as_pixels(Image.new(mode, (7, 4)))
    assert pixels.shape == (4, 7, 3)
    assert pixels.dtype == np.uint8


def test_a_truncated_pil_image_is_unreadable(noise, tmp_path):
    content = save(noise, tmp_path / "a.jpg").read_bytes()
    with Image.open(io.BytesIO(content[:2000])) as image, pytest.raises(ImageUnreadable, match="the PIL image"):
        as_pixels(image)


# ---------------------------------------------------------------- one pass


def test_picture_tells_about_its_file(noise, tmp_path):
    file = save(noise, tmp_path / "a.png")
    picture = read_picture(file)
    status = file.stat()
    assert picture.path == file
    assert picture.content_hash == hashlib.sha256(file.read_bytes()).hexdigest() == content_hash(file)
    assert (picture.size_bytes, picture.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert picture.inode == status.st_ino
    assert picture.size_hw == (48, 64)
    assert picture.perceptual_hash == perceptual_hash(noise)
    assert "array" not in repr(picture)


# ---------------------------------------------------------------- threads


def test_threads_read_at_once_and_pillows_limit_survives(noise, tmp_path):
    file = save(noise, tmp_path / "a.png")
    before = Image.MAX_IMAGE_PIXELS
    read: list[str] = []
    threads = [Thread(target=lambda: read.extend(pixel_hash(read_pixels(file)) for _ in range(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [pixel_hash(noise)] * 160
    assert before == Image.MAX_IMAGE_PIXELS


def test_transparency_is_blended_alike_in_strips_and_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (37, 53, 4), np.uint8)
    at_once = as_pixels(rgba)
    for strip in (1, 53, 200, 37 * 53):
        monkeypatch.setattr(upright, "_STRIP", strip)
        assert np.array_equal(as_pixels(rgba), at_once)
    white = np.full_like(rgba, 255)
    blended = Image.alpha_composite(Image.fromarray(white), Image.fromarray(rgba)).convert("RGB")
    assert np.array_equal(at_once, np.asarray(blended))
