"""One door for picture files: formats, limits, and what is said of the others."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import samnb
from samnb.errors import ImageNotFound, ImageUnreadable, ReaderMissing
from samnb.images import encode_png, open_picture, opening, pixel_hashes, read_pixels, suffix_for
from samnb.images.frames import count_frames
from samnb.images.lazy import opening as lazy_opening

HEIC = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(200)
SOURCES = Path(samnb.__file__).parent


def test_every_picture_is_opened_by_one_function():
    """Elsewhere Pillow would take formats that start programs, and its own limit of pixels."""
    direct = {
        file.relative_to(SOURCES).as_posix()
        for file in SOURCES.rglob("*.py")
        if re.search(r"\bImage\.open\(", file.read_text(encoding="utf-8"))
    }
    own = {"bench.py", "demo.py", "models/machine_rates.py"}  # open pictures that they made
    assert direct <= {"images/opening.py", "images/frames.py", *own}


def test_bytes_without_a_name_are_said_to_come_from_memory():
    with pytest.raises(ImageUnreadable, match=r"^<bytes from memory>: not a picture"), open_picture(b"text"):
        pass
    with pytest.raises(ImageUnreadable, match=r"^<bytes from memory>: not a picture"):
        pixel_hashes(b"text")


def test_pillows_limit_is_off_while_pixels_are_decoded_and_on_again(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    content = encode_png(np.zeros((9, 9, 3), np.uint8))
    with open_picture(content, "a") as one:
        with open_picture(content, "b") as other:
            other.load()
        assert Image.MAX_IMAGE_PIXELS is None
        one.load()
    assert Image.MAX_IMAGE_PIXELS == 4


def test_a_tiff_between_the_limits_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate"):
        Image.new("L", (40, 30)).save(tmp_path / "a.tif", compression=compression)
        assert read_pixels(tmp_path / "a.tif").shape == (30, 40, 3)


def test_a_heic_needs_its_package_and_a_folder_says_what_it_leaves_out(tmp_path, monkeypatch):
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "1.HEIC").write_bytes(HEIC)
    with pytest.raises(ImageUnreadable, match="damaged"):
        read_pixels(tmp_path / "phone" / "1.HEIC")
    with samnb.Session(tmp_path / "s") as session:
        with monkeypatch.context() as without:
            without.setattr(lazy_opening, "find_spec", lambda name: None)
            with pytest.raises(ReaderMissing, match=r"pillow-heif.*samnb\[heic\]"):
                read_pixels(tmp_path / "phone" / "1.HEIC")
            report = session.add(tmp_path / "phone", show=False)
            assert "samnb[heic]" in report.failed[0].reason
        (tmp_path / "phone" / "1.HEIC").rename(tmp_path / "phone" / "1.CZI")
        with pytest.raises(ImageNotFound, match=r"1 picture left out.*1 CZI"):
            session.add(tmp_path / "phone", show=False)
        (tmp_path / "phone" / "a.png").write_bytes(encode_png(np.zeros((9, 9, 3), np.uint8)))
        assert "1 CZI" in str(session.add(tmp_path / "phone", show=False))


def test_further_pages_and_frames_are_said_and_a_reason_has_the_path_once(tmp_path):
    pages = [Image.new("L", (9, 9), value) for value in (1, 100, 200)]
    for name in ("a.tif", "a.gif", "a.webp", "a.png"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with Image.open(tmp_path / name) as opened:
            assert count_frames((tmp_path / name).read_bytes(), opened) == 3
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with samnb.Session(tmp_path / "s") as session:
        report = str(session.add(tmp_path, show=False))
    assert "4 files of several pages or frames, of which the first was taken" in report
    assert report.count("bad.png") == 1


def test_scans_are_counted_as_bytes_count_does():
    mark = b"\xff\xda"
    edge = b"\0" * (opening._COUNTED - 1)  # the mark lies across the end of the first piece
    for content in (b"", b"\xff", mark, edge + mark + mark, b"\xff" + mark + b"\xff" + edge + mark[:1]):
        assert opening._count_scans(content) == content.count(mark)


def test_the_limit_of_scans_holds_for_a_jpeg_of_several_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.images.opening, "_SCANNED_PIXELS", 20 * 30 * 50)
    pictures = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / "a.mpo", format="MPO", save_all=True, append_images=pictures[1:])
    assert read_pixels(tmp_path / "a.mpo").shape == (20, 30, 3)
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.mpo").read_bytes() + b"\xff\xda" * 101)
    with pytest.raises(ImageUnreadable, match="made to be slow"):
        read_pixels(tmp_path / "b.jpg")
    assert suffix_for((tmp_path / "a.mpo").read_bytes()) == ".jpg"


def test_a_large_qoi_which_python_would_decode_for_minutes_is_refused_by_its_header() -> None:
    def qoi(width: int, height: int) -> bytes:
        return b"qoif" + struct.pack(">IIBB", width, height, 3, 0) + b"\xfd" * 9 + bytes(7) + b"\1"

    with pytest.raises(ImageUnreadable, match="16,000,000 pixels"), open_picture(qoi(14_000, 14_000), "a.qoi"):
        pass
    with open_picture(qoi(20, 20), "a.qoi") as picture:
        assert picture.size == (20, 20)


def test_a_tag_of_another_type_than_it_should_have_is_a_damaged_picture(tmp_path: Path) -> None:
    """Its checks come before anything is decoded, and met a width of tiles that was no number."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((32, 32), np.uint8))
    content = stream.getvalue()
    at = content.index(struct.pack("<HH", 305, 2))
    file = tmp_path / "a.tif"
    file.write_bytes(content[:at] + struct.pack("<HHL4s", 322, 7, 4, b"\x10\0\0\0") + content[at + 12 :])
    with pytest.raises(ImageUnreadable, match=r"a\.tif: truncated or damaged \(invalid literal"):
        read_pixels(file)
