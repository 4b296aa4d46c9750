"""A folder of DICOM files as one stack."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from samnb import Session
from samnb.errors import ImageChanged, ImageUnreadable
from samnb.images.lazy import StackAxis, open_source


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
        assert session.predict("scan[z=1]", points=[(5, 5)]).cache_hit
        with pytest.raises(ImageChanged, match=r"scan\[z=2\]"):
            session.predict("scan[z=2]", points=[(5, 5)])
        report = session.add(folder, stack=True, show=False)
        assert [image.filename for image in report.images] == [f"scan[z={z}]" for z in range(4)]
        expected = (values[2][::-1] / 4095 * 255).round()
        assert np.abs(session.pixels("scan[z=2]")[..., 0] - expected).max() <= 1
        assert not session.predict("scan[z=2]", points=[(5, 5)]).cache_hit
