"""Zip files, also those made to do harm: what is read, what is refused and why."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import random
import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import samnb.images.zip_files
import samnb.session
from samnb.errors import ImageError, ImageNotFound, ImageUnreadable
from samnb.images import content_hash, encode_png
from samnb.images.zip_files import is_zip, members_of
from samnb.session import Session
from tests.support.numpy_model import NumpyModel


def png(seed: int) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8))


def zip_bytes(members: dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]], method: int = 8) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members.items() if isinstance(members, dict) else members:
            file.writestr(name, content, method if isinstance(name, str) else None)
    return buffer.getvalue()


def refusals(content: bytes) -> dict[str, str]:
    return {member.name: member.reason for member in members_of(content, "x.zip") if member.reason}


def everything_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    model = NumpyModel()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    with Session(tmp_path / "session") as session:
        yield session


# -- good ones -----------------------------------------------------------------------------------------


def test_pictures_of_a_zip_file_are_kept_as_they_are(session: Session, tmp_path: Path) -> None:
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(png(3))).save(jpeg, "JPEG")
    members = {"a/1.png": png(1), "b/1.png": png(2), "scan.jpg": jpeg.getvalue(), "notes.txt": b"no picture"}
    members |= {"__MACOSX/._1.png": b"x", ".hidden/2.png": png(9), "empty/": b""}
    file = tmp_path / "photos.zip"
    file.write_bytes(zip_bytes(members))
    report = session.add(file, dataset="monday")
    assert report.failed == ()
    assert [i.filename for i in report.images] == ["1.png", "1.png", "scan.jpg"]
    for image, content in zip(report.images, (png(1), png(2), jpeg.getvalue()), strict=True):
        assert Path(image.path).read_bytes() == content
        assert image.content_hash == content_hash(image.path)
        assert session.folder / "images" in Path(image.path).parents
    file.unlink()
    assert session.pixels(report.images[2]).shape == (12, 16, 3)


def test_dicom_files_without_a_suffix_are_pictures_of_a_zip_file() -> None:
    dicom = bytes(128) + b"DICM" + bytes(60)
    names = ["IM0001", "a/1.2.840.99", "DICOMDIR", "LICENSE", ".hidden", ".a/IM0002", "notes.txt"]
    content = zip_bytes({name: b"words" if name == "LICENSE" else dicom for name in names})
    assert [(one.name, one.reason) for one in members_of(content)] == [("IM0001", ""), ("a/1.2.840.99", "")]


def test_the_same_zip_file_again_adds_nothing_and_reads_nothing(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = zip_bytes({f"{n}.png": png(n) for n in range(20)})
    (tmp_path / "a.zip").write_bytes(content)
    first = session.add(tmp_path / "a.zip")
    files = everything_below(session.folder / "images")
    monkeypatch.setattr("samnb.ingest.reading.read_picture", None)
    again = session.add(tmp_path / "a.zip")
    assert (again.added, again.images) == (0, first.images)
    assert session.add(("renamed.zip", content)).added == 0
    assert session.add(tmp_path / "a.zip", dataset="other").duplicates == 20
    assert everything_below(session.folder / "images") == files


def test_zip_files_beside_other_sources(session: Session, tmp_path: Path) -> None:
    tmp_path = tmp_path / "photos"
    tmp_path.mkdir()
    (tmp_path / "one.zip").write_bytes(zip_bytes({"1.png": png(1)}))
    (tmp_path / "two.ZIP").write_bytes(zip_bytes({"2.png": png(2)}, method=0))
    (tmp_path / "named otherwise").write_bytes(zip_bytes({"3.png": png(3)}, method=zipfile.ZIP_BZIP2))
    (tmp_path / "4.png").write_bytes(png(4))
    sources = [tmp_path / "one.zip", str(tmp_path / "two.ZIP"), tmp_path / "named otherwise", tmp_path / "4.png"]
    assert [i.filename for i in session.add(sources).images] == ["1.png", "2.png", "3.png", "4.png"]
    assert [i.filename for i in session.add(tmp_path, dataset="folder").images] == ["4.png"], "zip files are left out"


def test_what_is_a_zip_file(tmp_path: Path) -> None:
    both = tmp_path / "both.png"
    both.write_bytes(png(1) + zip_bytes({"2.png": png(2)}))
    assert not is_zip(both)
    assert not is_zip(png(1) + zip_bytes({"2.png": png(2)}))
    assert not is_zip(tmp_path / "gone.zip")
    assert not is_zip(tmp_path)
    assert is_zip(zip_bytes({}))


@pytest.mark.parametrize("members", [{"readme.txt": b"x"}, {"a.png": encode_png(np.zeros((4, 4, 3), np.uint8))}])
def test_a_zip_file_is_closed_after_its_last_member(tmp_path: Path, members: dict[str, bytes]) -> None:
    (tmp_path / "a.zip").write_bytes(zip_bytes(members))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with suppress(ImageNotFound):
            assert [member.read() for member in members_of(tmp_path / "a.zip")] == list(members.values())
        gc.collect()
    assert not [each for each in told if each.category is ResourceWarning]


def test_a_zip_file_without_pictures(session: Session, tmp_path: Path) -> None:
    for members in ({}, {"readme.txt": b"x"}, {"folder/": b""}):
        (tmp_path / "a.zip").write_bytes(zip_bytes(members))
        with pytest.raises(ImageNotFound, match="Expected a zip file with pictures in it"):
            session.add(tmp_path / "a.zip")
    assert session.images() == []


# -- what would escape ---------------------------------------------------------------------------------

NAMES_THAT_ESCAPE = [
    *("../up.png", "a/../../up.png", "/etc/up.png", "C:/up.png", "C:up.png", "..\\up.png", "\\\\host\\share\\up.png"),
    *("a/..", "good.png\0/../up.png"),
]


@pytest.mark.parametrize("name", NAMES_THAT_ESCAPE)
def test_no_name_leads_out_of_the_session_folder(session: Session, tmp_path: Path, name: str) -> None:
    # Written under a harmless name of the same length: zipfile itself would tidy the bad one.
    harmless = "x" * len(name.encode())
    content = zip_bytes([(harmless, png(1)), ("good.png", png(2))]).replace(harmless.encode(), name.encode())
    before = everything_below(tmp_path)
    report = session.add(("bad.zip", content))
    assert [i.filename for i in report.images] == ["good.png"]
    [failure] = report.failed
    assert "refused, its name leads out of the archive" in failure.reason
    assert failure.path.startswith("bad.zip/")
    new = everything_below(tmp_path) - before
    assert {p.name for p in new if session.folder / "images" in p.parents} == {"good.png"}
    assert all(session.folder in p.parents for p in new)


def test_a_member_without_a_name_is_refused_by_reason() -> None:
    """zipfile cuts names at a null byte, and asked such a member whether it is a folder by its last character."""
    content = zip_bytes({"zab.png": png(0), "b.png": png(1)}).replace(b"zab.png", b"\0ab.png")
    assert refusals(content) == {"": "refused, its name leads out of the archive"}


def test_links_devices_and_pipes_are_refused(session: Session, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(7))
    members: list[tuple[str | zipfile.ZipInfo, bytes]] = [("good.png", png(1))]
    for name, kind in (("link.png", stat.S_IFLNK), ("pipe.png", stat.S_IFIFO), ("device.png", stat.S_IFCHR)):
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        members.append((info, os.fsencode(secret)))
    report = session.add(("links.zip", zip_bytes(members)))
    assert [i.filename for i in report.images] == ["good.png"]
    reasons = {f.path: f.reason for f in report.failed}
    assert reasons["links.zip/link.png"] == "refused, a link"
    assert reasons["links.zip/pipe.png"] == reasons["links.zip/device.png"] == "refused, not a regular file"


def test_names_that_file_systems_do_not_take(session: Session) -> None:
    names = ["a" * 4000 + ".png", "question?.png", "tab\tname.png", "ü/日本.png", " .png", "CON<>.png", "b" * 3000]
    report = session.add([(name, png(n)) for n, name in enumerate(names)])
    assert report.failed == ()
    kept = [i.filename for i in report.images]
    assert kept[1:4] == ["question_.png", "tab_name.png", "日本.png"]
    assert all(len(os.fsencode(name)) < 200 for name in kept)
    assert kept[0].endswith("aa.png")


# -- bombs ---------------------------------------------------------------------------------------------


def test_a_member_that_unpacks_to_far_more_than_it_takes() -> None:
    content = zip_bytes({"bomb.png": bytes(40 * 2**20), "good.png": png(1)})
    tracemalloc.start()
    told = refusals(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(told) == ["bomb.png"]
    assert "to 41,943,040 bytes, which looks like a bomb" in told["bomb.png"]
    assert peak < 2**20, "nothing was unpacked"
    assert refusals(zip_bytes({"blank.bmp": bytes(2**20)})) == {}, "a small one does no harm, blank pictures are so"


def test_a_member_larger_than_any_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samnb.images.zip_files, "MAX_MEMBER_BYTES", 100)
    assert "more than the limit of 100" in refusals(zip_bytes({"1.png": png(1)}))["1.png"]


def test_all_members_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samnb.images.zip_files, "MAX_TOTAL_BYTES", 1000)
    with pytest.raises(ImageUnreadable, match="looks like a bomb"):
        list(members_of(zip_bytes({f"{n}.png": png(n) for n in range(5)})))


def test_members_that_share_their_bytes(session: Session) -> None:
    # As in the zip bomb that needs no nesting: every entry of the directory points at the same member.
    content = zip_bytes({"0000.bmp": bytes(15 * 2**20)})
    at = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entries = b"".join(content[at:end].replace(b"0000.bmp", b"%04d.bmp" % n) for n in range(400))
    record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 400, 400, len(entries), at, 0)
    with pytest.raises(ImageUnreadable, match="looks like a bomb"):
        session.add(("bomb.zip", content[:at] + entries + record))


def test_too_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samnb.images.zip_files, "MAX_MEMBERS", 3)
    with pytest.raises(ImageUnreadable, match="more than 3 members"):
        list(members_of(zip_bytes({f"{n}.png": png(n) for n in range(4)})))


@pytest.mark.parametrize("wide", [False, True])
def test_a_directory_too_large_to_list_is_refused_before_it_is_read(tmp_path: Path, wide: bool) -> None:
    size, file = 300 * 2**20, tmp_path / "many.zip"
    record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 0xFFFFFFFF if wide else size, 0, 0)
    if wide:
        long = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, 0)
        record = long + struct.pack("<4sLQL", b"PK\x06\x07", 0, size, 1) + record
    with file.open("wb") as stream:
        stream.truncate(size)
        stream.seek(size)
        stream.write(record)
    with pytest.raises(ImageUnreadable, match="its directory takes 314,572,800 bytes"):
        list(members_of(file))


def test_an_end_record_within_the_end_record_hides_no_directory(tmp_path: Path) -> None:
    # Its place in the file reads as the beginning of another end record, behind which nothing follows.
    size, file = 300 * 2**20, tmp_path / "many.zip"
    record = struct.pack("<4s4HL4sH", b"PK\x05\x06", 0, 0, 1, 1, size, b"PK\x05\x06", 0)
    with file.open("wb") as stream:
        stream.truncate(size)
        stream.seek(size)
        stream.write(record)
    with pytest.raises(ImageUnreadable, match="its directory takes 314,572,800 bytes"):
        list(members_of(file))


def test_a_refused_archive_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened = []

    def spy(*args: Any, **options: Any) -> Any:
        opened.append(open(*args, **options))  # noqa: SIM115
        return opened[-1]

    monkeypatch.setattr(samnb.images.zip_files, "MAX_MEMBERS", 3)
    monkeypatch.setattr(samnb.images.zip_files, "open", spy, raising=False)
    file = tmp_path / "many.zip"
    file.write_bytes(zip_bytes({f"{n}.png": png(n) for n in range(4)}))
    with pytest.raises(ImageUnreadable, match="more than 3 members"):
        list(members_of(file))
    assert [stream.closed for stream in opened] == [True]


def test_a_member_that_declares_less_than_it_holds(session: Session) -> None:
    content = bytearray(zip_bytes({"1.png": png(1), "2.png": png(2)}))
    at = content.index(b"PK\x01\x02")
    struct.pack_into("<L", content, at + 24, 50)  # the size in the directory
    report = session.add(("lies.zip", bytes(content)))
    assert [i.filename for i in report.images] == ["2.png"]
    assert report.failed[0].path == "lies.zip/1.png"
    assert "cannot be unpacked" in report.failed[0].reason


# -- what cannot be read -------------------------------------------------------------------------------


def test_encrypted_members_and_unusual_methods() -> None:
    content = bytearray(zip_bytes({"1.png": png(1), "2.png": png(2)}))
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 4)
    content[first + 8] |= 1
    struct.pack_into("<H", content, second + 10, 99)
    told = refusals(bytes(content))
    assert "encrypted" in told["1.png"]
    assert "compressed by method 99" in told["2.png"]


def test_an_archive_inside_an_archive_and_a_name_twice(session: Session) -> None:
    inner = zip_bytes({"deep.png": png(5)})
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = zip_bytes([("inner.zip", inner), ("1.png", png(1)), ("1.png", png(2)), ("x.tar.gz", b"x")])
    report = session.add(content)
    assert [i.content_hash for i in report.images] == [hashlib.sha256(png(1)).hexdigest()]
    reasons = {f.path.rpartition("/")[2]: f.reason for f in report.failed}
    assert "archive inside an archive" in reasons["inner.zip"]
    assert "archive inside an archive" in reasons["x.tar.gz"]
    assert reasons["1.png"] == "refused, a second member of that name"


def test_a_damaged_member_leaves_nothing_behind(session: Session) -> None:
    whole = png(1)
    content = zip_bytes({"torn.png": whole[:60], "text.jpg": b"not a picture", "good.png": png(2)})
    report = session.add(("mixed.zip", content))
    assert [i.filename for i in report.images] == ["good.png"]
    assert {f.path for f in report.failed} == {"mixed.zip/torn.png", "mixed.zip/text.jpg"}
    assert not any(".png" in f.reason or ".jpg" in f.reason for f in report.failed), "named once"
    images = session.folder / "images"
    assert {p.name for p in everything_below(images)} == {"good.png"}
    assert len(list(images.iterdir())) == 1


def test_bytes_that_are_no_picture_leave_nothing_behind(session: Session) -> None:
    report = session.add([("torn.png", png(1)[:60]), b"text", ("empty.png", b"")])
    assert [f.path for f in report.failed] == ["empty.png", "torn.png", "<bytes from memory>"] or len(
        report.failed
    ) == 3
    assert everything_below(session.folder / "images") == set()


# -- damaged archives ----------------------------------------------------------------------------------


def damaged(number: int) -> bytes:
    """A zip file with something wrong in it; the same for the same number."""
    chance = random.Random(number)
    content = bytearray(zip_bytes({f"{n}.png": png(n) for n in range(4)}, method=chance.choice([0, 8])))
    kind = number % 5
    if kind == 0:
        del content[chance.randrange(len(content)) :]
    elif kind == 1:
        for _ in range(chance.randrange(1, 30)):
            content[chance.randrange(len(content))] = chance.randrange(256)
    elif kind == 2:  # in the directory and the end record, where sizes and places are
        begin = content.index(b"PK\x01\x02")
        for _ in range(chance.randrange(1, 12)):
            content[chance.randrange(begin, len(content))] = chance.choice([0, 1, 127, 255, chance.randrange(256)])
    elif kind == 3:
        at = chance.randrange(len(content))
        content[at : at + chance.randrange(1, 400)] = bytes(chance.randrange(1, 400))
    else:
        content = bytearray(b"PK\x03\x04" + chance.randbytes(chance.randrange(2000)))
    return bytes(content)


def test_100_damaged_zip_files_never_crash_or_leave_half_a_row(session: Session) -> None:
    failures = 0
    for number in range(100):
        content = damaged(number)
        try:
            report = session.add([(f"{number}.zip", content)], dataset=f"{number}")
        except ImageError as error:  # pragma: no cover - in a list, all of them are reported
            pytest.fail(f"{number}: {error}")
        failures += len(report.failed)
        assert all(f"{number}.zip" in f.path and f.reason for f in report.failed), number
        for image in report.images:
            assert content_hash(image.path) == image.content_hash
            assert session.pixels(image).shape == (image.height, image.width, 3)
    assert failures > 60
    kept = {Path(i.path) for i in session.images()}
    assert everything_below(session.folder / "images") == kept


def test_two_refused_members_of_one_name_are_both_told(session: Session, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = zip_bytes(
            [("bad.png", b"no picture"), ("../out.png", png(1)), ("../out.png", png(2)), ("a.png", png(3))]
        )
    report = session.add(("two.zip", content))
    assert report.added == 1
    assert [Path(failure.path).name for failure in report.failed].count("out.png") == 2


def test_two_things_of_a_list_that_are_none_are_both_told(session: Session) -> None:
    report = session.add([("a.png", b""), ("a.png", b""), object(), object()], dataset="x")
    assert [failure.path for failure in report.failed] == ["a.png"] * 2 + ["<object from memory>"] * 2
