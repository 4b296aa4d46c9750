"""Layouts of several packages, and by hand: what a session shows is what the package reads, mapped as stated."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pydicom
import pytest
import tifffile
import zarr
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGExtended12Bit,
    RLELossless,
    generate_uid,
)

import samnb
from samnb.errors import ImageUnreadable
from samnb.images import open_picture, pixel_hash, read_picture, read_pixels
from samnb.images.lazy import PixelSize, Region, StackAxis, View, open_source

from .test_tiff import values_of

H, W = 37, 53
SHAPES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "grey": ((H, W), {"photometric": "minisblack"}),
    "white is zero": ((H, W), {"photometric": "miniswhite"}),
    "rgb": ((H, W, 3), {"photometric": "rgb"}),
    "rgb in planes": ((3, H, W), {"photometric": "rgb", "planarconfig": "separate"}),
    "pages": ((3, H, W), {"photometric": "minisblack", "metadata": None}),
    "five planes": ((5, H, W), {"photometric": "minisblack", "planarconfig": "separate"}),
    "five channels": ((H, W, 5), {"photometric": "minisblack", "planarconfig": "contig"}),
}


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_shown_is_what_tifffile_reads_mapped_as_stated(tmp_path: Path, shape: str, dtype: str) -> None:
    size, options = SHAPES[shape]
    for compression, order, tile in ((None, "<", None), ("zlib", ">", None), ("lzw", "<", (16, 32))):
        file = tmp_path / f"{compression}.tif"
        layout: dict[str, Any] = {"compression": compression, "byteorder": order, "tile": tile}
        tifffile.imwrite(file, values_of(size, dtype), predictor=compression is not None, **layout, **options)
        known = tifffile.imread(file, key=0)
        known = known[..., None] if known.ndim == 2 else known
        known = np.moveaxis(known, 0, -1) if "planes" in shape else known
        with open_source(file) as source:
            mapping = View().mapping(source)
        shown = read_pixels(file).astype(int)
        np.testing.assert_allclose(shown, _by_the_formula(known, mapping), atol=1)


def _by_the_formula(known: np.ndarray, mapping: Any) -> np.ndarray:
    total = np.zeros((*known.shape[:2], 3))
    for one in mapping.channels:
        bright = np.clip((known[..., one.index].astype(float) - one.low) / (one.high - one.low), 0, 1)
        color = [int(one.color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        total += bright[..., None] * color
    return np.clip(total, 0, 1) * 255


def dicom(path: Path, values: np.ndarray, **tags: Any) -> Path:
    about = pydicom.dataset.FileMetaDataset()
    about.TransferSyntaxUID = ExplicitVRLittleEndian
    about.MediaStorageSOPClassUID = tags.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")
    about.MediaStorageSOPInstanceUID = generate_uid()
    data = pydicom.Dataset()
    data.file_meta = about
    colour = values.ndim >= 3 and values.shape[-1] == 3
    data.Rows, data.Columns = values.shape[-3:-1] if colour else values.shape[-2:]
    frames = values.ndim - (3 if colour else 2)
    if frames:
        data.NumberOfFrames = values.shape[0]
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8 * values.dtype.itemsize
    data.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(data, name, value)
    data.HighBit = data.BitsStored - 1
    data.PixelData = values.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        *((dtype, shape) for dtype in ("uint8", "uint16", "int16") for shape in ((H, W + 1), (3, H, W + 1))),
        *(("uint8", shape) for shape in ((H, W + 1, 3), (2, H, W + 1, 3))),
    ],
)
def test_dicom_is_read_as_pydicom_reads_it(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    file = dicom(tmp_path / "a.dcm", values_of(shape, dtype), PixelSpacing=[0.5, 0.25])
    known = pydicom.pixels.pixel_array(pydicom.dcmread(file))
    with open_source(file) as source:
        about = source.description
        assert (about.dtype, about.pixel_size) == (dtype, PixelSize(250, 500))
        last = {"frame": about.slices - 1} if about.stack else {}
        expected = known[-1] if about.stack else known
        expected = expected if expected.ndim == 3 else expected[..., None]
        np.testing.assert_array_equal(source.read(at=last), expected)
        np.testing.assert_array_equal(source.read(at=last, region=Region(3, 5, 7, 9)), expected[3:10, 5:14])


def test_dicom_is_shown_by_its_window_and_its_stated_bits(tmp_path: Path) -> None:
    values = values_of((H, W + 1), "uint16") % 4096
    about = {"BitsStored": 12, "RescaleSlope": 2, "RescaleIntercept": -1000}
    file = dicom(tmp_path / "a.dcm", values, WindowCenter=1000, WindowWidth=2000, **about)
    shown = read_pixels(file)[..., 0].astype(float)
    np.testing.assert_allclose(shown, np.clip((values * 2.0 - 1000) / 2000, 0, 1) * 255, atol=1)
    file = dicom(tmp_path / "b.dcm", values, PhotometricInterpretation="MONOCHROME1", **about)
    np.testing.assert_allclose(read_pixels(file)[..., 0], 255 - values / 4095 * 255, atol=1)
    with samnb.Session(tmp_path / "s") as session:
        report = session.add(tmp_path, show=False)
        assert report.added == 2
        assert "4095..0" in str(report)
        assert session.predict("a.dcm", points=[(5, 5)]).masks.shape[1:] == (H, W + 1)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6"}, "slide"),
        ({"PhotometricInterpretation": "HSV"}, "HSV"),
    ],
)
def test_dicom_that_no_channel_shows_is_refused_by_name(tmp_path: Path, tags: dict[str, Any], reason: str) -> None:
    file = dicom(tmp_path / "a.dcm", values_of((H, W + 1), "uint8"), **tags)
    with pytest.raises(ImageUnreadable, match=reason):
        read_pixels(file)


@pytest.mark.parametrize("mark", [b"II*\0", b"MM\0*"])
def test_dicom_that_begins_as_a_tiff_does(tmp_path: Path, mark: bytes) -> None:
    values = values_of((H, W + 1), "uint8")
    file = dicom(tmp_path / "scan.dcm", values)
    content = mark + file.read_bytes()[4:]
    file.write_bytes(content)
    with open_source(file) as source, open_source(content) as in_memory:
        assert source.description.format == "DICOM"
        np.testing.assert_array_equal(source.read()[..., 0], values)
        np.testing.assert_array_equal(in_memory.read()[..., 0], values)
    np.testing.assert_array_equal(read_pixels(file)[..., 0], values)


def test_a_slide_that_is_dicom_and_tiff_is_read_as_tiff(tmp_path: Path) -> None:
    values = values_of((H, W), "uint8")
    slide = dicom(tmp_path / "a.dcm", values, SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6").read_bytes()
    both = bytearray(slide)
    tags = [(256, W), (257, H), (258, 8), (259, 1), (262, 1), (273, len(slide)), (277, 1), (278, H), (279, H * W)]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    both[:8] = struct.pack("<2sHI", b"II", 42, len(slide) + H * W)
    file = tmp_path / "slide.dcm"
    file.write_bytes(bytes(both) + values.tobytes() + struct.pack("<H", len(tags)) + table + bytes(4))
    with open_source(file) as source:
        assert source.description.format == "TIFF"
        np.testing.assert_array_equal(source.read()[..., 0], values)
    np.testing.assert_array_equal(read_pixels(file)[..., 0], values)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("doubled", [False, True])
def test_dicom_with_a_palette_has_the_colours_of_pydicom(tmp_path: Path, bits: int, doubled: bool) -> None:
    codes = values_of((2, H, W + 1), "uint8")
    colours = values_of((3, 256), f"uint{bits}")
    if doubled and bits == 16:  # 8 bits, as most scanners give them in 16
        colours = colours >> 8 << 8
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, table in zip(("Red", "Green", "Blue"), colours, strict=True):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        tags[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    file = dicom(tmp_path / "a.dcm", codes, **tags)
    expected = pydicom.pixels.apply_color_lut(codes, pydicom.dcmread(file))
    with open_source(file) as source:
        about = source.description
        assert (about.colour, len(about.channels)) == ("rgb", 3)
        if doubled and bits == 16:
            assert about.dtype == "uint8"
            expected = expected >> 8
        np.testing.assert_array_equal(source.read(at={"frame": 1}), expected[1])
        np.testing.assert_array_equal(source.read(at={"frame": 0}, region=Region(3, 5, 7, 9)), expected[0, 3:10, 5:14])
    assert read_pixels(file).shape == (H, W + 1, 3)


@pytest.mark.parametrize(
    ("samples", "kind"), [(0, "MONOCHROME2"), (2, "RGB"), (1, "RGB"), (0, "RGB")], ids=lambda value: str(value)
)
def test_dicom_of_too_few_channels_is_refused(tmp_path: Path, samples: int, kind: str) -> None:
    file = dicom(tmp_path / "a.dcm", values_of((H, W + 1), "uint16"), SamplesPerPixel=samples)
    data = pydicom.dcmread(file)
    data.PhotometricInterpretation = kind
    data.save_as(file)
    with pytest.raises(ImageUnreadable, match=rf"a\.dcm.*{samples} channels"):
        read_pixels(file)


def test_compressed_dicom(tmp_path: Path) -> None:
    values = values_of((H, W + 1), "uint16")
    data = pydicom.dcmread(dicom(tmp_path / "a.dcm", values))
    data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(tmp_path / "rle.dcm")
    np.testing.assert_array_equal(open_source(tmp_path / "rle.dcm").read()[..., 0], values)
    data.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    data.save_as(tmp_path / "wrong.dcm")
    with pytest.raises(ImageUnreadable, match=r"wrong\.dcm"):
        read_pixels(tmp_path / "wrong.dcm")


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_is_read_as_zarr_reads_it(tmp_path: Path, version: int) -> None:
    values = values_of((2, 3, 4, H, W), "uint16")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    for number, part in enumerate((values, values[..., ::2, ::2])):
        group.create_array(str(number), data=part, chunks=(1, 1, 1, 16, 16))
    kinds = {"t": "time", "c": "channel"}
    axes = [{"name": name, "type": kinds.get(name, "space"), "unit": "nanometer"} for name in "tczyx"]
    scales = [[1, 1, 2000, 500, 250], [1, 1, 2000, 1000, 500]]
    datasets = [
        {"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for number, scale in enumerate(scales)
    ]
    channels = [{"label": f"dye {n}", "color": "00FF00", "window": {"start": 0, "end": 900}} for n in range(3)]
    meta = {"multiscales": [{"axes": axes, "datasets": datasets}], "omero": {"channels": channels}}
    group.attrs.update(meta if version == 2 else {"ome": {"version": "0.5", **meta}})
    with open_source(tmp_path / "a.zarr") as source:
        about = source.description
        assert about.stack == (StackAxis("t", 2), StackAxis("z", 4))
        assert about.pixel_size == PixelSize(0.25, 0.5, 2.0)
        assert [level.scale for level in about.levels] == [1.0, pytest.approx(2, abs=0.05)]
        assert (about.channels[1].name, about.channels[1].high) == ("dye 1", 900)
        read = source.read(level=1, at={"t": 1, "z": 3}, channels=[2], region=Region(2, 3, 5, 7))
        np.testing.assert_array_equal(read[..., 0], values[1, 2, 3, ::2, ::2][2:7, 3:10])
    with samnb.Session(tmp_path / "s") as session:
        assert session.add(tmp_path, stack="z", show=False).added == 4  # a folder with a picture that is a folder


def test_zarr_without_a_picture_is_refused_by_name(tmp_path: Path) -> None:
    plate = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}]}
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(ImageUnreadable, match="A/1"):
        open_source(tmp_path / "plate.zarr")
    with pytest.raises(ImageUnreadable, match="multiscales"):
        open_source(tmp_path / "empty.zarr")


def test_heic_has_the_pixels_that_pillow_heif_reads(tmp_path: Path) -> None:
    picture = Image.fromarray(values_of((64, 80, 3), "uint8"))
    pillow_heif.from_pillow(picture).save(tmp_path / "a.heic", quality=90)
    known = np.asarray(pillow_heif.open_heif(tmp_path / "a.heic").to_pillow())
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.heic"), known)
    assert read_picture(tmp_path / "a.heic").pixel_hash == pixel_hash(known)


def test_a_tiff_by_hand_with_a_planar_16_bit_strip_each(tmp_path: Path) -> None:
    """Big-endian, two planes, one strip each, written byte by byte."""
    planes = values_of((2, 4, 6), "uint16")
    entries = [
        *((256, 3, 1, 6), (257, 3, 1, 4), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((277, 3, 1, 2), (278, 3, 1, 4), (284, 3, 1, 2)),
    ]
    start = 8 + 2 + 12 * (len(entries) + 4) + 4
    offsets, data = start + 24, start + 40
    body = [struct.pack(">HHI", tag, kind, count) + struct.pack(">HH", value, 0) for tag, kind, count, value in entries]
    body.append(struct.pack(">HHIHH", 258, 3, 2, 16, 16))
    body.append(struct.pack(">HHII", 273, 4, 2, offsets))
    body.append(struct.pack(">HHII", 279, 4, 2, offsets + 8))
    body.append(struct.pack(">HHIHH", 338, 3, 1, 0, 0))
    body.sort(key=lambda entry: struct.unpack(">H", entry[:2])[0])
    content = b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", len(body)) + b"".join(body) + struct.pack(">I", 0)
    content = content.ljust(offsets, b"\0") + struct.pack(">4I", data, data + 48, 48, 48)
    content = content.ljust(data, b"\0") + planes.astype(">u2").tobytes()
    (tmp_path / "hand.tif").write_bytes(content)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "hand.tif"), planes)
    with open_source(tmp_path / "hand.tif") as source:
        np.testing.assert_array_equal(source.read(), np.moveaxis(planes, 0, -1))
        np.testing.assert_array_equal(source.read(channels=[1], region=Region(1, 2, 2, 3))[..., 0], planes[1, 1:3, 2:5])


def test_true_of_a_zarr_array_is_white(tmp_path: Path) -> None:
    folder, values = tmp_path / "mask.zarr", np.eye(20, dtype=bool)
    zarr.open_array(str(folder), mode="w", shape=values.shape, dtype="bool")[:] = values
    with open_source(folder) as source:
        shown = View().mapping(source).read(source)
    assert (shown[..., 0] == values * np.uint8(255)).all()


def test_a_segmentation_of_one_bit_in_dicom_is_white(tmp_path: Path) -> None:
    values = np.zeros((8, 16), np.uint8)
    values[2:5, 3:9] = 1
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 8, 16, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 1, 1, 0, 0
    data.PixelData = np.packbits(values.ravel(), bitorder="little").tobytes()
    data.save_as(tmp_path / "mask.dcm", enforce_file_format=True)
    assert (read_pixels(tmp_path / "mask.dcm")[..., 0] == values * np.uint8(255)).all()


def tiled_tiff(file: Path, *, side: int, tile: int, samples: int) -> None:
    """A grey picture with tiles that were never written, of a few hundred bytes."""
    count = (-(-side // tile)) ** 2
    tags: list[tuple[int, str, list[int]]] = [
        (256, "I", [side]), (257, "I", [side]), (258, "H", [8] * samples), (259, "H", [8]), (262, "H", [1]),
        (277, "H", [samples]), (322, "I", [tile]), (323, "I", [tile]), (324, "I", [0] * count),
        (325, "I", [0] * count), (338, "H", [0] * (samples - 1)),
    ]  # fmt: skip
    tags = [one for one in tags if one[2]]
    rows, further, at = b"", b"", 8 + 2 + 12 * len(tags) + 4
    for number, kind, values in tags:
        data = struct.pack(f"<{len(values)}{kind}", *values)
        place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", at + len(further))
        further += data if len(data) > 4 else b""
        rows += struct.pack("<HHI", number, {"H": 3, "I": 4}[kind], len(values)) + place
    file.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + bytes(4) + further)


def test_tiles_far_larger_than_their_picture_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "tile.tif"
    tiled_tiff(file, side=100, tile=(1 << 15) + 16, samples=1)
    with pytest.raises(ImageUnreadable, match="tiles of 32784 x 32784"), open_picture(file):
        pass
    for read in (read_picture, open_source):
        with pytest.raises(ImageUnreadable, match="tiles take 1,074,790,656 bytes each"):
            read(file)


def test_a_picture_of_many_samples_a_pixel_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "samples.tif"
    tiled_tiff(file, side=5000, tile=256, samples=500)
    with pytest.raises(ImageUnreadable, match="12,500,000,000 bytes"):
        read_picture(file)


def test_all_channels_together_are_limited(tmp_path: Path) -> None:
    folder = tmp_path / "channels.zarr"
    zarr.open_group(str(folder), mode="w").create_array(
        "0", shape=(3000, 1000, 1000), dtype="uint16", chunks=(1, 1000, 1000)
    )
    axes = [{"name": name} for name in "cyx"]
    zarr.open_group(str(folder), mode="a").attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    with open_source(folder) as source, pytest.raises(ImageUnreadable, match="6,000,000,000 bytes"):
        source.read()


def test_a_stack_without_end_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "endless.zarr"
    zarr.open_array(str(folder), mode="w", shape=(10**9, 8, 8), dtype="uint8", chunks=(1, 8, 8))
    with samnb.Session(tmp_path / "s") as session:
        report = session.add(folder, stack=True, show=False)
    assert "1,000,000,000 pictures" in str(report.failed[0].reason)


@pytest.mark.parametrize("limit", [1 << 30, 5000])
def test_a_deflated_dicom_is_unpacked_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("samnb.images.lazy.dicom.MAX_TILE_BYTES", limit)
    file, values = tmp_path / "a.dcm", np.arange(100 * 100, dtype=np.uint8).reshape(100, 100)
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 100, 100, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = values.tobytes()
    data.save_as(file, enforce_file_format=True)
    if limit > 10_000:
        assert (read_pixels(file)[..., 0] == values).all()
    else:
        with pytest.raises(ImageUnreadable, match="more than 5,000 bytes when unpacked"):
            read_pixels(file)


@pytest.mark.parametrize("bits", [8, 10])
def test_transparent_heic_is_white_where_nothing_is(tmp_path: Path, bits: int) -> None:
    rgba = np.full((64, 64, 4), 200, np.uint8)
    rgba[:32, :, 3], rgba[32:, :, 3] = 0, 255
    file = tmp_path / "a.heic"
    mode = "RGBA" if bits == 8 else "RGBA;16"
    values = rgba if bits == 8 else rgba.astype(np.uint16) * 257
    pillow_heif.encode(mode, (64, 64), values.tobytes(), file, quality=-1, chroma=444)
    shown = read_pixels(file)
    assert (shown[:30] == 255).all()
    assert abs(shown[34:].astype(int) - 200).max() <= 3
