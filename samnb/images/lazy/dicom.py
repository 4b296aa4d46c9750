"""`DicomSource`: DICOM files, frame by frame, through pydicom."""

from __future__ import annotations

import zlib
from contextlib import nullcontext
from threading import Lock
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ...errors import ImageUnreadable
from ..files import MAX_TILE_BYTES
from .description import Channel, Level, PixelSize, SourceDescription, StackAxis, check_channels
from .source import BaseSource, Region, native

_CHUNK = 1 << 20
_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_GREY = {"MONOCHROME1": "white is zero", "MONOCHROME2": "grey"}
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_PALETTE = "PALETTE COLOR"
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


class DicomSource(BaseSource):
    """The pixel data of a DICOM file, as stored; see `samnb.images.lazy.PictureSource`.

    Values are the stored ones; the limits of the file are its window, converted to these. A frame is decoded whole.
    """

    def __init__(self, file: Any, name: str):
        _check_deflated(file, name)
        self._data = pydicom.dcmread(file, defer_size="1 MB" if isinstance(file, str) else None)
        self._name, self._lock = name, Lock()
        self._last: tuple[int, NDArray[Any]] | None = None
        self._check()
        self._palette = _palette_of(self._data) if self._kind == _PALETTE else None
        self.description = self._describe()

    def _check(self) -> None:
        data = self._data
        if "Rows" not in data or not any(tag in data for tag in _PIXELS):
            raise ImageUnreadable(self._name, f"a DICOM file without pixels ({data.get('Modality', 'no modality')})")
        if data.get("SOPClassUID") == _SLIDE:
            raise ImageUnreadable(
                self._name, "a DICOM slide, whose frames are its tiles: convert it to OME-TIFF or OME-Zarr"
            )
        if self._kind not in (*_GREY, *_COLOUR, _PALETTE):
            raise ImageUnreadable(self._name, f"DICOM of photometric interpretation {self._kind}: convert it to RGB")

    @property
    def _kind(self) -> str:
        return str(self._data.get("PhotometricInterpretation", ""))

    def _describe(self) -> SourceDescription:
        data = self._data
        frames = int(data.get("NumberOfFrames", 1) or 1)
        samples = 3 if self._kind == _PALETTE else int(data.get("SamplesPerPixel", 1))
        check_channels(samples, self._name)
        if samples == 1:
            channels: tuple[Channel, ...] = (Channel("", "", *self._window()),)
        else:
            channels = (Channel(),) * samples
        bits, allocated = int(data.get("BitsStored", 0)), int(data.get("BitsAllocated", 0))
        dtype = _dtype_of(data)
        if self._palette is not None:
            dtype, bits = self._palette, 0
        notes = []
        if "ModalityLUTSequence" in data or "VOILUTSequence" in data:
            notes.append("its lookup table is not applied")
        return SourceDescription(
            path=self._name,
            format="DICOM",
            dtype=dtype.name,
            levels=(Level(int(data.Rows), int(data.Columns)),),
            channels=channels,
            colour=_GREY.get(self._kind, "rgb"),
            stack=(StackAxis("frame", frames),) if frames > 1 else (),
            bits=bits if 0 < bits < max(8, allocated) else 0,  # segmentations: 1 bit, given in a byte
            pixel_size=_pixel_size(data),
            notes=tuple(notes),
        )

    def _window(self) -> tuple[float | None, float | None]:
        """The first window, in stored values."""
        center, width = _first(self._data.get("WindowCenter")), _first(self._data.get("WindowWidth"))
        if center is None or width is None or width < 1 or "ModalityLUTSequence" in self._data:
            return None, None
        slope = _first(self._data.get("RescaleSlope")) or 1.0
        intercept = _first(self._data.get("RescaleIntercept")) or 0.0
        ends = sorted(((edge - intercept) / slope) for edge in (center - width / 2, center + width / 2))
        return (ends[0], ends[1]) if ends[0] < ends[1] else (None, None)

    def _read(self, level: int, place: tuple[int, ...], channels: list[int], region: Region) -> NDArray[Any]:
        frame = place[0] if place else 0
        with self._lock:  # one dataset, and one decoded frame
            if self._last is None or self._last[0] != frame:
                values = native(pixel_array(self._data, index=frame if self.description.slices > 1 else None))
                if self._palette is not None:
                    values = _coloured(values, self._data, self._palette)
                self._last = frame, values[..., None] if values.ndim == 2 else values
            values = self._last[1]
        return values[region.y : region.y + region.height, region.x : region.x + region.width][..., channels]


def _check_deflated(file: Any, name: str) -> None:
    """Refuse a file that unpacks to too much: pydicom unpacks all of it at once, up to a thousand bytes for each."""
    with open(file, "rb") if isinstance(file, str) else nullcontext(file) as stream:
        read_preamble(stream, False)
        syntax = _read_file_meta_info(stream).get("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:
            size, unpacking = 0, zlib.decompressobj(-zlib.MAX_WBITS)
            packed = stream.read(_CHUNK)
            while packed and not unpacking.eof:
                size += len(unpacking.decompress(packed, _CHUNK))
                if size > MAX_TILE_BYTES:
                    raise ImageUnreadable(name, f"a DICOM file of more than {MAX_TILE_BYTES:,} bytes when unpacked")
                packed = unpacking.unconsumed_tail or stream.read(_CHUNK)
        stream.seek(0)


def _palette_of(data: pydicom.Dataset) -> np.dtype[Any]:
    """The type of the palette's colours: 8 bits, also where each of them is given in the upper half of 16."""
    entries, first = data.RedPaletteColorLookupTableDescriptor[:2]
    codes = np.arange(first, first + (entries or 1 << 16)).astype(_dtype_of(data))
    colours = apply_color_lut(codes[None], data)
    upper_half = colours.dtype == np.uint16 and not (colours & 0xFF).any()
    return np.dtype(np.uint8) if upper_half else colours.dtype


def _coloured(codes: NDArray[Any], data: pydicom.Dataset, dtype: np.dtype[Any]) -> NDArray[Any]:
    colours: NDArray[Any] = apply_color_lut(codes, data)
    return colours if colours.dtype == dtype else (colours >> 8).astype(dtype)


def _dtype_of(data: pydicom.Dataset) -> np.dtype[Any]:
    if "FloatPixelData" in data:
        return np.dtype(np.float32)
    if "DoubleFloatPixelData" in data:
        return np.dtype(np.float64)
    size = max(1, int(data.BitsAllocated) // 8)
    return np.dtype(f"{'i' if int(data.get('PixelRepresentation', 0)) else 'u'}{size}")


def _pixel_size(data: pydicom.Dataset) -> PixelSize | None:
    """Of the patient, of the detector, or of the scanned film: rows, then columns, in mm."""
    holder = data
    shared = data.get("SharedFunctionalGroupsSequence")
    if shared and "PixelMeasuresSequence" in shared[0]:
        holder = shared[0].PixelMeasuresSequence[0]
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = holder.get(name) or data.get(name)
        if spacing is not None and len(spacing) == 2 and all(float(one) > 0 for one in spacing):
            between = _first(holder.get("SpacingBetweenSlices") or data.get("SpacingBetweenSlices")) or 0.0
            return PixelSize(float(spacing[1]) * 1e3, float(spacing[0]) * 1e3, abs(between) * 1e3)
    return None


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    return float(value[0]) if isinstance(value, pydicom.multival.MultiValue) else float(value)
