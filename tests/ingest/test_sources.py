"""What `Session.add` takes from memory: bytes, with and without names, and what an upload widget gives."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import samnb.session
from samnb.errors import ImageError, SessionReadOnly
from samnb.images import as_pixels, content_hash
from samnb.ingest.sources import Rejected, StoredFile, items_of, store_bytes
from samnb.session import Session
from tests.support.numpy_model import NumpyModel


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    model = NumpyModel()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    with Session(tmp_path / "session") as session:
        yield session


def picture(seed: int, format: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)).save(buffer, format)
    return buffer.getvalue()


A, B = picture(1), picture(2, "PNG")

SOURCES: dict[str, Any] = {
    "named bytes": ("a.jpg", A),
    "named by a path": (Path("somewhere/a.jpg"), A),
    "a bytearray": ("a.jpg", bytearray(A)),
    "a list of named bytes": [("a.jpg", A), ("b.png", B)],
    "a dict": {"a.jpg": A, "b.png": B},
    "a FileUpload of ipywidgets 8": (
        {"name": "a.jpg", "type": "image/jpeg", "size": len(A), "content": memoryview(A), "last_modified": None},
        {"name": "b.png", "type": "image/png", "size": len(B), "content": memoryview(B), "last_modified": None},
    ),
    "one file of a FileUpload": {"name": "a.jpg", "type": "image/jpeg", "size": len(A), "content": memoryview(A)},
    "a FileUpload of ipywidgets 7": {
        "a.jpg": {"metadata": {"name": "a.jpg", "size": len(A)}, "content": A},
        "b.png": {"metadata": {"name": "b.png", "size": len(B)}, "content": B},
    },
}


@pytest.mark.parametrize("name", SOURCES)
def test_bytes_with_their_names(session: Session, name: str) -> None:
    source = SOURCES[name]
    expected = ["a.jpg", "b.png"] if "b.png" in repr(source) else ["a.jpg"]
    report = session.add(source)
    assert report.failed == ()
    assert [i.filename for i in report.images] == expected
    assert Path(report.images[0].path).read_bytes() == A, "the file as it came, not re-saved"
    assert report.images[0].content_hash == content_hash(report.images[0].path)


def test_a_generator_of_named_bytes(session: Session) -> None:
    assert session.add(pair for pair in [("a.jpg", A), ("b.png", B)]).added == 2


def test_the_value_of_a_real_upload_widget(session: Session) -> None:
    import ipywidgets

    upload = ipywidgets.FileUpload(multiple=True)
    assert session.add(upload.value).images == ()
    content: dict[str, Any] = {"name": "a.jpg", "type": "image/jpeg", "size": len(A), "content": memoryview(A)}
    upload.value = ({**content, "last_modified": datetime(2026, 1, 1, tzinfo=UTC)},)
    assert [i.filename for i in session.add(upload.value).images] == ["a.jpg"]


def test_bytes_without_a_name_are_called_by_their_content_and_format(session: Session, tmp_path: Path) -> None:
    (tmp_path / "disk.jpg").write_bytes(A)
    report = session.add([A, B, memoryview(picture(3, "TIFF")), io.BytesIO(picture(4, "WEBP"))])
    assert [Path(i.filename).suffix for i in report.images] == [".jpg", ".png", ".tif", ".webp"]
    assert all(i.content_hash.startswith(Path(i.filename).stem) for i in report.images)
    with open(tmp_path / "disk.jpg", "rb") as file:
        report = session.add(file, dataset="b")
    assert [(i.filename, i.content_hash) for i in report.images] == [("disk.jpg", content_hash(tmp_path / "disk.jpg"))]


def test_the_same_bytes_again_add_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    first = session.add({"a.jpg": A, "b.png": B})
    monkeypatch.setattr("samnb.ingest.reading.read_picture", None)
    assert session.add([("b.png", B), ("deep/er/a.jpg", A)]).added == 0
    assert len(session.images()) == 2
    assert {i.path for i in session.images()} == {i.path for i in first.images}


def test_the_same_bytes_twice_in_a_long_list_are_one_image(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samnb.ingest.add.BATCH", 2)
    bad = ("bad.jpg", A[:50])
    job = session.add_job([bad, ("a.jpg", A), ("x/a.jpg", A), ("b.png", B), bad, ("a.jpg", A)], show=False)
    last = job.wait(300)
    assert job.report is not None
    assert [i.filename for i in job.report.images] == ["a.jpg", "b.png"]
    assert [f.path for f in job.report.failed] == ["bad.jpg"]
    assert (last["computed"], last["skipped"], last["failed"], last.total) == (2, 0, 1, 3)
    kept = [p.name for p in (session.folder / "images").rglob("*") if p.is_file()]
    assert sorted(kept) == ["a.jpg", "b.png"]


def test_other_bytes_under_a_name_that_is_there_are_another_image(session: Session) -> None:
    session.add(("a.jpg", A))
    assert session.add(("a.jpg", picture(5))).added == 1
    assert [i.filename for i in session.images()] == ["a.jpg", "a.jpg"]


def test_a_list_of_two_names_is_no_name_and_bytes(session: Session, tmp_path: Path) -> None:
    for name, content in (("a.jpg", A), ("b.png", B)):
        (tmp_path / name).write_bytes(content)
    assert session.add((tmp_path / "a.jpg", str(tmp_path / "b.png"))).added == 2


def test_things_in_a_list_that_are_no_picture(tmp_path: Path) -> None:
    items = list(items_of([None, 5, ("a.jpg", "text"), ("e.png", b""), object()], tmp_path))
    assert {type(item) for item in items} == {Rejected}
    assert [item.name for item in items if isinstance(item, Rejected)][3] == "e.png"
    with pytest.raises(ImageError, match="zero bytes"):
        list(items_of(b"", tmp_path))


def test_a_kept_file_that_was_torn_is_written_anew(tmp_path: Path) -> None:
    first = store_bytes(tmp_path, "a.jpg", A)
    assert first.is_new
    Path(first.path).write_bytes(A[:10])
    assert store_bytes(tmp_path, "a.jpg", A) == StoredFile(first.path, "a.jpg", True)
    assert Path(first.path).read_bytes() == A
    assert not store_bytes(tmp_path, "a.jpg", A).is_new


def test_a_session_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file in the way")
    with pytest.raises((SessionReadOnly, OSError), match="images"):
        store_bytes(tmp_path, "a.jpg", A)


def test_a_folder_that_cannot_be_listed_is_reported(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / "locked").mkdir(parents=True)
    (tmp_path / "photos" / "a.jpg").write_bytes(A)
    scandir = os.scandir

    def refusing(folder: str) -> Any:
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    report = session.add(tmp_path / "photos")
    assert [i.filename for i in report.images] == ["a.jpg"]
    [failure] = report.failed
    assert failure.path.endswith("locked")
    assert failure.reason == "this folder cannot be listed (Permission denied)"


def test_a_refused_picture_that_a_failing_disk_keeps_is_told_as_any_other(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = os.unlink

    def failing(path: Any, *args: Any, **options: Any) -> None:
        if str(path).endswith("broken.png"):
            raise OSError(5, "Input/output error", str(path))
        unlink(path, *args, **options)

    monkeypatch.setattr(os, "unlink", failing)
    report = session.add({"broken.png": A[:40], "whole.jpg": A})
    assert [image.filename for image in report.images] == ["whole.jpg"]
    assert [failure.path for failure in report.failed] == ["broken.png"]


def test_a_file_reached_on_two_ways_is_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "nb").mkdir()
    Image.new("RGB", (20, 30), (1, 2, 3)).save(tmp_path / "photos" / "0.png")
    with Session(tmp_path / "session") as session:
        monkeypatch.chdir(tmp_path / "nb")
        session.add("../photos")
        session.add(str(tmp_path / "nb" / ".." / "photos"))
        monkeypatch.chdir(tmp_path)
        session.add("photos")
        assert [image.path for image in session.images()] == [str(tmp_path / "photos" / "0.png")]
        assert session.image("../" + tmp_path.name + "/photos/0.png").filename == "0.png"


def _deep_arrays() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    grey = rng.integers(0, 60000, (12, 16), dtype=np.uint16)
    colour = rng.integers(0, 60000, (12, 16, 3), dtype=np.uint16)
    floats = rng.uniform(0, 1, (12, 16))
    return {
        "uint16": (grey, grey ^ 1),
        "uint16, one channel": (grey[..., None], grey[..., None] ^ 1),
        "uint16 of 12 bits": (grey // 20, grey // 20 ^ 1),
        "uint16 colour": (colour, colour ^ 1),
        "uint16 colour with alpha": (np.dstack([colour, grey]), np.dstack([colour ^ 1, grey])),
        "float64": (floats, floats * (1 - 1e-5)),
        "float32 colour": (colour.astype(np.float32) / 65535, (colour ^ 1).astype(np.float32) / 65535),
        "PIL I;16": (Image.fromarray(grey), Image.fromarray(grey ^ 1)),
        "PIL F": (Image.fromarray(floats.astype(np.float32)), Image.fromarray(floats.astype(np.float32) * 2)),
        "PIL I": (Image.fromarray(grey.astype(np.int32) - 9), Image.fromarray((grey ^ 1).astype(np.int32) - 9)),
    }


@pytest.mark.parametrize("kind", _deep_arrays())
def test_pictures_from_memory_that_8_bits_cannot_tell_apart(session: Session, tmp_path: Path, kind: str) -> None:
    first, second = _deep_arrays()[kind]
    report = session.add([first, second, first])
    assert (report.added, report.duplicates, report.failed) == (2, 0, ())
    assert session.add(first).added == 0
    np.testing.assert_allclose(session.pixels(report.images[0]), session.pixels(report.images[1]), atol=2)
    Path(report.images[0].path).write_bytes(b"altered")
    assert session.add(first).added == 0
    assert session.pixels(report.images[0]).shape == (12, 16, 3)
    session.close()
    session.folder.rename(tmp_path / "moved")
    with Session(tmp_path / "moved") as moved:
        assert [moved.pixels(image).shape for image in moved.images()] == [(12, 16, 3)] * 2


def test_8_bits_in_wider_numbers_are_the_same_picture(session: Session) -> None:
    plain = np.random.default_rng(6).integers(0, 256, (12, 16, 3), np.uint8)
    wider = [plain.astype(np.uint16) * 257, plain / 255, (plain / 255).astype(np.float32)]
    assert session.add([plain, *wider, plain[..., 0], plain[..., 0] / 255]).added == 2


def test_a_deep_array_and_its_file_are_the_same_picture(session: Session, tmp_path: Path) -> None:
    values = np.random.default_rng(7).integers(0, 60000, (12, 16), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    report = session.add([tmp_path / "a.png", values])
    assert (report.added, report.duplicates) == (2, 1)


def test_a_dark_picture_of_floats_stays_dark(session: Session) -> None:
    dark = np.random.default_rng(0).random((12, 16, 3)) * 0.06
    [image] = session.add(dark).images
    np.testing.assert_allclose(session.pixels(image), as_pixels(dark), atol=1)
