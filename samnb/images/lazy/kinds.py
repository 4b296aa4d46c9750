"""The format of a picture file by its first bytes, for those that are read lazily."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import AnyPath, ImageError
from ..files import open_file

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""By the brand in the first 12 bytes of an ISO media file."""

TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def kind_of_bytes(beginning: bytes) -> str:
    """The format of a file by its first 132 bytes; "" for others."""
    # Before TIFF: what comes before its mark is free, and many scanners write the header of a TIFF there.
    if beginning[128:132] == b"DICM":
        return "DICOM"
    if beginning[:4] in TIFF_MARKS:
        return "TIFF"
    if beginning[4:8] == b"ftyp" and beginning[8:12] in HEIF_BRANDS:
        return "HEIC"
    return ""


def is_dicom(path: AnyPath) -> bool:
    """True for a DICOM file by what is in it; False for the DICOMDIR that lists others, and where nothing is read."""
    if os.path.basename(path).upper() == "DICOMDIR":
        return False
    try:
        return kind_of_bytes(read_first(Path(path))) == "DICOM"
    except (OSError, ImageError):
        return False


def read_first(file: Path) -> bytes:
    """The bytes of a file that tell its format."""
    with open_file(file) as opened:
        return opened.read(132)
