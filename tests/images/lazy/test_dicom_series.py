"""A folder of DICOM files as one stack."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from samnb import Session
from samnb.errors import ImageChanged, ImageUnreadable
from samnb.images import file_status, find_images
from samnb.images.file_status import FileStatus, _folder_status
from samnb.images.lazy import StackAxis, open_source
from samnb.images.lazy.view_files import stamp_of


def write(file: Path, values: np.ndarray, series: str, *, number: int, z: float | None) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.InstanceNumber = series, number
    if z is not None:
        data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    data.Rows, data.Columns = values.shape
    data.PixelSpacing = [0.5, 0.25]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelData = values.astype("<u2").tobytes()
    pydicom.dcmwrite(file, data, enforce_file_format=True)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4096, (4, 20, 30), np.uint16)


@pytest.mark.parametrize("positions", [True, False])
def test_slices_are_ordered_by_position_then_by_number_and_not_by_name(
    tmp_path: Path, values: np.ndarray, positions: bool
) -> None:
    series = generate_uid()
    for name, at in zip("abcd", (2, 0, 3, 1), strict=True):
        # The numbers run against the positions: scanners count either way.
        number = 9 - at if positions else at
        write(tmp_path / f"{name}.dcm", values[at], series, number=number, z=2.5 * at if positions else None)
    with open_source(tmp_path) as source:
        about = source.description
        assert (about.stack, about.bits) == ((StackAxis("z", 4),), 12)
        assert about.pixel_size is not None
        assert (about.pixel_size.x_um, about.pixel_size.y_um) == (250, 500)
        assert about.pixel_size.z_um == (2500 if positions else 0)
        for z in range(4):
            assert (source.read(at={"z": z})[..., 0] == values[z]).all()


def test_a_folder_is_added_as_a_stack_and_one_of_two_series_as_pictures(tmp_path: Path, values: np.ndarray) -> None:
    series, folder, mixed = generate_uid(), tmp_path / "scan", tmp_path / "mixed"
    folder.mkdir()
    mixed.mkdir()
    for at in range(4):
        write(folder / f"{at}.dcm", values[at], series, number=at, z=float(at))
        write(mixed / f"{at}.dcm", values[at] // 2, generate_uid(), number=at, z=float(at))
    (folder / "._0.dcm").write_bytes(b"\0\5\x16\7")  # as macOS writes beside files on other disks
    with pytest.raises(ImageUnreadable, match="4 series"):
        open_source(mixed)
    with Session(tmp_path / "session") as session:
        report = session.add(folder, stack=True, show=False)
        assert [image.filename for image in report.images] == [f"scan[z={z}]" for z in range(4)]
        assert [image.filename for image in session.stack_of("scan[z=2]")] == [f"scan[z={z}]" for z in range(4)]
        expected = (values[2] / 4095 * 255).round()
        assert np.abs(session.pixels("scan[z=2]")[..., 0] - expected).max() <= 1
        report = session.add(mixed, stack=True, show=False)
        assert len(report.images) == 4
        assert "4 series" in str(report)
        assert session.add(folder / "0.dcm", stack=True, show=False).images[0].filename == "0.dcm"


def test_a_slice_of_another_size_is_refused_by_its_name(tmp_path: Path, values: np.ndarray) -> None:
    series = generate_uid()
    write(tmp_path / "0.dcm", values[0], series, number=0, z=0.0)
    write(tmp_path / "1.dcm", values[1][:10], series, number=1, z=1.0)
    with open_source(tmp_path) as source, pytest.raises(ImageUnreadable, match=r"1\.dcm.*30 x 10 .*30 x 20"):
        source.read(at={"z": 1})


def test_a_slice_that_is_overwritten_in_place_is_noticed(tmp_path: Path, values: np.ndarray) -> None:
    series, folder = generate_uid(), tmp_path / "scan"
    folder.mkdir()
    for at in range(4):
        write(folder / f"{at}.dcm", values[at], series, number=at, z=float(at))
    with Session(tmp_path / "session") as session:
        session.add(folder, stack=True, show=False)
        for z in (1, 2):
            session.predict(f"scan[z={z}]", points=[(5, 5)])
        file = folder / "2.dcm"
        before = file.stat()
        write(tmp_path / "other.dcm", values[2][::-1], series, number=2, z=2.0)
        with file.open("r+b") as opened:  # the folder's own time stays
            opened.write((tmp_path / "other.dcm").read_bytes())
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
        _folder_status.cache_clear()  # it is looked at once a second
        assert session.predict("scan[z=1]", points=[(5, 5)]).cache_hit
        with pytest.raises(ImageChanged, match=r"scan\[z=2\]"):
            session.predict("scan[z=2]", points=[(5, 5)])
        report = session.add(folder, stack=True, show=False)
        assert [image.filename for image in report.images] == [f"scan[z={z}]" for z in range(4)]
        expected = (values[2][::-1] / 4095 * 255).round()
        assert np.abs(session.pixels("scan[z=2]")[..., 0] - expected).max() <= 1
        assert not session.predict("scan[z=2]", points=[(5, 5)]).cache_hit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of one size and one time."""
    folder = tmp_path / "scan"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
        os.utime(folder / name, ns=(10**18, 10**18))
    os.utime(folder, ns=(10**18, 10**18))
    return folder


def look(folder: Path) -> FileStatus:
    _folder_status.cache_clear()  # as a second later
    status = stamp_of(folder)
    assert isinstance(status, FileStatus)
    os.utime(folder, ns=(10**18, 10**18))  # the folder's own time must not be what tells
    return status


def test_slices_that_change_names_are_noticed(folder: Path) -> None:
    before = look(folder)
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (folder / old).rename(folder / new)
    os.utime(folder, ns=(10**18, 10**18))
    assert look(folder) != before


def test_a_slice_that_is_replaced_by_one_of_its_size_and_time_is_noticed(folder: Path) -> None:
    before = look(folder)
    (folder / "new").write_text("d")
    os.utime(folder / "new", ns=(10**18, 10**18))
    (folder / "new").replace(folder / "b")
    os.utime(folder, ns=(10**18, 10**18))
    assert look(folder) != before


def test_a_folder_whose_own_time_changed_is_looked_at_again(folder: Path) -> None:
    before = look(folder)
    os.utime(folder, ns=(10**18, 10**18 + 1))
    assert look(folder) != before


def test_a_link_to_nothing_is_no_slice_and_one_to_a_file_is(folder: Path, tmp_path: Path) -> None:
    before = look(folder)
    (folder / "gone").symlink_to(tmp_path / "nothing")
    os.utime(folder, ns=(10**18, 10**18))
    assert look(folder) == before
    (tmp_path / "nothing").write_text("now there")
    assert look(folder) != before


def test_a_folder_is_looked_at_once_a_second(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(file_status, "time", SimpleNamespace(monotonic=lambda: now[0]))
    before, looks, scandir = look(folder), [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(str(path)) or scandir(path))
    (folder / "a").write_text("longer")
    assert stamp_of(folder) == before
    assert looks.count(str(folder)) == 0  # threads of other tests may look elsewhere
    now[0] = 1.05
    assert [stamp_of(folder) != before for _ in range(1000)] == [True] * 1000
    assert looks.count(str(folder)) == 1


def test_files_without_a_suffix_are_found_by_what_is_in_them(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    folder.mkdir()
    for n in range(3):
        write(folder / f"IM000{n}", np.full((8, 9), n), "1.2.3", number=n, z=None)
    (folder / "LICENSE").write_text("none")
    (folder / "DICOMDIR").write_bytes((folder / "IM0000").read_bytes()[:132])
    (folder / "empty").write_bytes(b"")
    write(tmp_path / "1.2.840.99", np.full((8, 9), 7), "1.2.4", number=0, z=None)
    for pattern in ("scan/*", "*/IM*", "**/*"):
        assert {f"IM000{n}" for n in range(3)} <= {one.name for one in find_images(tmp_path / pattern)}
    with Session(tmp_path / "s") as session:
        report = session.add(folder, show=False)
        assert (report.added, report.failed) == (3, ())
        session.add(folder, stack=True, dataset="stack", show=False)
        assert [one.filename for one in session.images("stack")] == [f"scan[z={n}]" for n in range(3)]
        (tmp_path / "other").mkdir()
        (tmp_path / "1.2.840.99").rename(tmp_path / "other" / "1.2.840.99")
        assert session.add(tmp_path / "other", dataset="uid", show=False).added == 1
