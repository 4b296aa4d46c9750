"""`DicomSeries`: a folder of DICOM files, one for each slice, as one stack."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from ...errors import ImageUnreadable
from .description import MOST_PLANES, StackAxis
from .dicom import DicomSource
from .kinds import is_dicom
from .source import BaseSource, Region

_HEADER = ["SeriesInstanceUID", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "NumberOfFrames"]
_SAME = 1e-3  # mm; slices that are nearer lie in one place


class DicomSeries(BaseSource):
    """The slices of one series, from the lowest position to the highest; see `samnb.images.lazy.PictureSource`.

    Where the files state no positions, their instance numbers count, else their names. Values are the stored ones; the
    limits of the file are those of the first slice.
    """

    def __init__(self, folder: str, name: str):
        self._name, self._lock = name, Lock()
        files = dicom_files(folder)
        headers = [pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_HEADER) for file in files]
        series = {str(one.get("SeriesInstanceUID", "")) for one in headers}
        if len(series) > 1:
            raise ImageUnreadable(name, f"DICOM files of {len(series)} series: put each into a folder of its own")
        if any(int(one.get("NumberOfFrames", 1) or 1) > 1 for one in headers):
            raise ImageUnreadable(name, "DICOM files of several frames: each is a stack, add them one by one")
        order, distance = _ordered(headers)
        self._files = [files[at] for at in order]
        self._open: tuple[int, DicomSource] = (0, DicomSource(self._files[0], self._files[0]))
        first = self._open[1].description
        size = first.pixel_size
        self.description = replace(
            first,
            path=name,
            format="DICOM series",
            stack=(StackAxis("z", len(files)),) if len(files) > 1 else (),
            pixel_size=None if size is None else replace(size, z_um=distance * 1e3 or size.z_um),
        )

    def _read(self, level: int, place: tuple[int, ...], channels: list[int], region: Region) -> NDArray[Any]:
        number = place[0] if place else 0
        with self._lock:
            if self._open[0] != number:
                self._open = (number, DicomSource(self._files[number], self._files[number]))
            source = self._open[1]
        about, first = source.description, self.description
        if (about.levels, about.dtype, about.colour) != (first.levels, first.dtype, first.colour):
            expected, found = (
                f"{one.levels[0].width} x {one.levels[0].height} pixels of {one.dtype}, {one.colour}"
                for one in (first, about)
            )
            raise ImageUnreadable(self._files[number], f"a slice of {found} in a series of {expected}")
        return source.read(channels=channels, region=region)


def dicom_files(folder: str) -> list[str]:
    """The DICOM files in a folder, not below it, by their first bytes."""
    found = []
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        if entry.is_file() and is_dicom(entry.path):
            found.append(entry.path)
        if len(found) > MOST_PLANES:
            raise ImageUnreadable(folder, f"more than {MOST_PLANES:,} DICOM files")
    if not found:
        raise ImageUnreadable(folder, "a folder without DICOM files")
    return found


def _ordered(headers: Sequence[pydicom.Dataset]) -> tuple[list[int], float]:
    """The order of the slices, and their distance in mm; 0 where it is not known, or not the same for all."""
    places = [_along_normal(one) for one in headers]
    if None not in places:
        values = np.array(places, float)
        order = np.argsort(values, kind="stable").tolist()
        steps = np.diff(values[order])
        if not len(steps) or steps.min() > _SAME:
            even = len(steps) and float(steps.max() - steps.min()) < max(_SAME, 0.01 * float(steps.mean()))
            return order, float(steps.mean()) if even else 0.0
    numbers = [one.get("InstanceNumber") for one in headers]
    if None not in numbers and len({int(one) for one in numbers}) == len(numbers):
        return sorted(range(len(numbers)), key=lambda at: int(numbers[at])), 0.0
    return list(range(len(headers))), 0.0


def _along_normal(header: pydicom.Dataset) -> float | None:
    """Where a slice lies along the axis that its rows and columns stand on, in mm."""
    position, turned = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    if position is None or turned is None or len(position) != 3 or len(turned) != 6:
        return None
    row, column = np.array(turned[:3], float), np.array(turned[3:], float)
    return float(np.dot(np.array(position, float), np.cross(row, column)))
