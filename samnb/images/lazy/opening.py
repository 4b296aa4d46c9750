"""`open_source`: a picture file of any of the lazily read formats, by what is in it."""

from __future__ import annotations

import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import AnyPath, ImageError, ImageNotFound, ImageUnreadable, ReaderMissing
from ...remote_files import is_address
from ..addresses import open_remote, read_beginning
from .kinds import TIFF_MARKS, is_dicom, kind_of_bytes, read_first
from .source import BaseSource

_PACKAGES = {
    "TIFF": ("tifffile", "tifffile", "scientific"),
    "OME-Zarr": ("zarr", "zarr", "scientific"),
    "DICOM": ("pydicom", "pydicom", "dicom"),
    "DICOM series": ("pydicom", "pydicom", "dicom"),
    "HEIC": ("pillow_heif", "pillow-heif", "heic"),
}


def is_lazy(path: AnyPath) -> bool:
    """True for a file, or an OME-Zarr folder, that `open_source` knows; False for others, and where there is none."""
    try:
        return bool(_kind_of(path))
    except ImageError:
        return False


def open_source(source: AnyPath | bytes, name: AnyPath = "") -> BaseSource:
    """A picture file, open to be read in parts.

    Parameters
    ----------
    source : path or bytes
        A TIFF, DICOM or HEIC file, its address, or its bytes; the folder of an OME-Zarr picture.
    name : path
        Its name in messages; default: the path.

    Returns
    -------
    BaseSource
        A `samnb.images.lazy.PictureSource`. Close it, or use it in a ``with``.

    Raises
    ------
    ImageNotFound
        There is no such file.
    ImageUnreadable
        It is none of these formats, damaged, or has values that no mapping shows: complex numbers, mosaics …
    ReaderMissing
        The package that reads it is not installed; the message names the extra.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, tifffile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "z.tif")
    >>> tifffile.imwrite(file, np.zeros((5, 30, 40), np.uint16), imagej=True, metadata={"axes": "ZYX"})
    >>> with open_source(file) as source:
    ...     source.description.stack, source.read(at={"z": 3}, region=(10, 0, 2, 7)).shape
    ((StackAxis(name='z', size=5),), (2, 7, 1))
    """
    shown = str(name or (source if not isinstance(source, bytes) else "the picture"))
    kind = _kind_of(source)
    if not kind:
        raise ImageUnreadable(shown, "neither TIFF, OME-Zarr, DICOM nor HEIC")
    try:
        return _open(kind, source, shown)
    except ImageUnreadable:
        if kind != "DICOM" or not _is_tiff_too(source):
            raise
        try:
            return _open("TIFF", source, shown)
        except (ImageError, ReaderMissing):
            pass  # the error of the DICOM file says more
        raise


def _open(kind: str, source: AnyPath | bytes, shown: str) -> BaseSource:
    module, package, extra = _PACKAGES[kind]
    if find_spec(module) is None:
        raise ReaderMissing(f"{shown}: {kind}", package, extra)
    file = _file_of(source)
    if kind == "TIFF":
        from .tiff import TiffSource as Source
    elif kind == "DICOM":
        from .dicom import DicomSource as Source  # type: ignore[assignment]
    elif kind == "DICOM series":
        from .dicom_series import DicomSeries as Source  # type: ignore[assignment]
    elif kind == "HEIC":
        from .heif import HeifSource as Source  # type: ignore[assignment]
    else:
        from .ome_zarr import ZarrSource as Source  # type: ignore[assignment]
    try:
        return Source(file, shown)
    except (ImageError, MemoryError, ReaderMissing):
        raise
    except Exception as error:
        # As in `BaseSource.read`: each package has its own classes for damaged files.
        raise ImageUnreadable(
            shown, f"{kind}, damaged or not to be decoded ({error or type(error).__name__})"
        ) from error


def _file_of(source: AnyPath | bytes) -> Any:
    """What the packages open: a file in memory, an object read in blocks, or a path."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return open_remote(str(source)) if is_address(source) else os.path.expanduser(os.fspath(source))


def _kind_of(source: AnyPath | bytes) -> str:
    if not isinstance(source, bytes) and not is_address(source):
        path = Path(os.path.expanduser(os.fspath(source)))
        if path.is_dir():
            return "OME-Zarr" if is_zarr(path) else "DICOM series" if _holds_dicom(path) else ""
        if not path.exists():
            raise ImageNotFound(source, expected="a picture file")
    return kind_of_bytes(_beginning_of(source))


def _is_tiff_too(source: AnyPath | bytes) -> bool:
    """True for a DICOM file that can be read as a TIFF as well: slides are written so."""
    return _beginning_of(source)[:4] in TIFF_MARKS


def _beginning_of(source: AnyPath | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:132]
    if is_address(source):
        return read_beginning(str(source), 132)
    return read_first(Path(os.path.expanduser(os.fspath(source))))


def _holds_dicom(folder: Path) -> bool:
    return any(is_dicom(file) for file in folder.iterdir() if file.is_file())


def is_zarr(folder: AnyPath) -> bool:
    """True for a folder that holds a Zarr group or array."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in ("zarr.json", ".zgroup", ".zarray"))
