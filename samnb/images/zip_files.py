"""Pictures in a zip file, read member by member; nothing is unpacked to the paths in its directory.

A zip file may be malicious, so its directory is not trusted. A member that would leave the folder, is not a plain
file, is encrypted or expands too much is refused with a reason. No member is read beyond the size it declares.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import weakref
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from ..errors import AnyPath, ImageNotFound, ImageUnreadable
from .discovery import IMAGE_SUFFIXES, has_no_suffix, is_other_picture, is_picture_name
from .lazy.kinds import kind_of_bytes

MAX_MEMBERS = 200_000
"""Archives with more members are refused before they are listed."""

MAX_MEMBER_BYTES = 2**30
"""A member that unpacks to more is refused: no picture within `samnb.images.MAX_PIXELS` is larger."""

MAX_TOTAL_BYTES = 100 * 2**30
"""An archive whose pictures unpack to more is refused as a whole."""

MAX_RATIO = 200
"""A member with a higher compression ratio is refused, if it is large enough to matter."""

_HARMLESS_BYTES = 16 * 2**20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
_ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst")
_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")
_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"


@dataclass(frozen=True, eq=False)
class Member:
    """One member of a zip file: a picture, or the reason why it cannot be read.

    Parameters
    ----------
    archive, name : str
        The zip file's name in messages; the whole name inside it.
    reason : str
        "" for a picture.
    """

    archive: str
    name: str
    reason: str
    _file: zipfile.ZipFile = field(repr=False)
    _info: zipfile.ZipInfo = field(repr=False)

    @property
    def label(self) -> str:
        """The zip file and the name inside it."""
        return f"{self.archive}/{self.name}"

    def read(self) -> bytes:
        """The member's bytes; for any thread.

        Raises
        ------
        ImageUnreadable
            Damaged, or different from what the directory declares.
        """
        if self.reason:
            raise ImageUnreadable(self.label, self.reason)
        try:
            with self._file.open(self._info) as stream:
                content = stream.read(self._info.file_size + 1)
        except Exception as error:
            # zipfile and the decompressors raise a dozen unrelated classes on damaged members.
            raise ImageUnreadable(self.label, f"cannot be unpacked ({error or type(error).__name__})") from error
        if len(content) != self._info.file_size:
            raise ImageUnreadable(self.label, f"{self._info.file_size} bytes declared, {len(content)} there")
        return content


def is_zip(source: AnyPath | bytes) -> bool:
    """Whether a file, or bytes, begin like a zip file; a picture followed by a zip file does not.

    >>> is_zip(b"PK\\x05\\x06" + bytes(18)), is_zip(b"GIF89a")
    (True, False)
    """
    if isinstance(source, bytes):
        return source.startswith(_BEGINNINGS)
    suffix = os.path.splitext(source)[1].lower()
    # Picture suffixes are trusted, so that a hundred thousand listed files need not be opened.
    if suffix in IMAGE_SUFFIXES or not os.path.isfile(source):
        return False
    try:
        with open(source, "rb") as file:
            return suffix == ".zip" or file.read(4).startswith(_BEGINNINGS)
    except OSError:
        return False  # reading it as a picture gives the reason


def members_of(source: AnyPath | bytes, name: str = "") -> Iterator[Member]:
    """The pictures in a zip file and the refused members; folders, hidden files and other files are left out.

    The zip file stays open as long as one of its members exists.

    Parameters
    ----------
    source : path or bytes
    name : str
        Its name in messages; default: the path.

    Raises
    ------
    ImageNotFound
        It has no picture.
    ImageUnreadable
        Not a zip file, damaged, or too large.
    """
    name = name or (os.fspath(source) if not isinstance(source, bytes) else "<zip from memory>")
    file = _open(source, name)
    infos = [info for info in file.infolist() if not info.filename.endswith("/")]  # `is_dir` needs a name
    pictures = {info for info in infos if _is_picture(info, file)}
    _check_total(pictures, name)
    seen: set[str] = set()
    none = True
    for info in infos:
        reason = _refusal(info, seen, is_picture=info in pictures)
        if not reason:
            seen.add(info.filename)
        if reason or info in pictures:
            none = False
            yield Member(name, info.filename, reason, file, info)
    if none:
        raise ImageNotFound(name, expected="a zip file with pictures in it")


def _open(source: AnyPath | bytes, name: str) -> zipfile.ZipFile:
    stream: BinaryIO | None = None
    try:
        stream = io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")  # noqa: SIM115
        size = _directory_size(stream)
        if size > MAX_MEMBERS * 512:
            raise ImageUnreadable(name, f"its directory takes {size:,} bytes, which is no list of pictures")
        file = zipfile.ZipFile(stream)
        if len(file.infolist()) > MAX_MEMBERS:
            raise ImageUnreadable(name, f"more than {MAX_MEMBERS:,} members")
        weakref.finalize(file, stream.close)  # a `ZipFile` leaves a stream open that it was given
        return file
    except Exception as error:
        # As in `Member.read`: a damaged directory comes out as anything from BadZipFile to UnicodeDecodeError.
        if stream is not None:
            stream.close()
        if isinstance(error, ImageUnreadable):
            raise
        raise ImageUnreadable(name, f"not a zip file that can be opened ({error})") from error


def _directory_size(stream: BinaryIO) -> int:
    """Size in bytes of the list of members, from the end record; zipfile reads this list in one piece."""
    length = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, length - 65557 - 20))
    tail = stream.read()
    # As zipfile finds it: without a comment the record is the very end of the file.
    at = len(tail) - 22 if tail[-22:].startswith(_END) and tail.endswith(b"\0\0") else tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        return 0
    (size,) = struct.unpack_from("<L", tail, at + 12)
    if tail[max(0, at - 20) : at].startswith(_LOCATOR64):
        (place,) = struct.unpack_from("<Q", tail, at - 20 + 8)
        # At the locator's position, and right before the locator, where some versions of zipfile look.
        for start in (place, length - len(tail) + at - 20 - 56):
            stream.seek(min(max(0, start), length))
            record = stream.read(56)
            if record.startswith(_END64) and len(record) == 56:
                size = max(size if size != 0xFFFFFFFF else 0, *struct.unpack_from("<Q", record, 40))
    return size


def _check_total(pictures: Collection[zipfile.ZipInfo], name: str) -> None:
    total, packed = sum(info.file_size for info in pictures), sum(info.compress_size for info in pictures)
    # Members may share bytes, so that a small file can hold a large one many times.
    if total > MAX_TOTAL_BYTES or (total > MAX_RATIO * max(packed, 1) and total > 64 * _HARMLESS_BYTES):
        raise ImageUnreadable(
            name, f"its pictures would unpack from {packed:,} to {total:,} bytes, which looks like a bomb"
        )


def _refusal(info: zipfile.ZipInfo, seen: set[str], *, is_picture: bool) -> str:
    """The reason why a member is refused, or ""."""
    of_pictures = (_is_locked, _is_bomb) if is_picture else ()
    checks = (_escapes, _is_odd, partial(_is_second, seen=seen), *of_pictures)
    return next(filter(None, (check(info) for check in checks)), "")


def _escapes(info: zipfile.ZipInfo) -> str:
    # `filename` ends at a null byte and has its backslashes replaced; `orig_filename` is unchanged.
    name = info.orig_filename.replace("\\", "/")
    absolute = name.startswith("/") or name[1:2] == ":"
    if absolute or ".." in name.split("/") or "\0" in name:
        return "refused, its name leads out of the archive"
    return ""


def _is_odd(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    # A member without a file type comes from a system without file types.
    if kind and not stat.S_ISREG(mode):
        return "refused, a link" if stat.S_ISLNK(mode) else "refused, not a regular file"
    if is_other_picture(info.filename.rpartition("/")[2]):
        return "a picture in a format that is not decoded: convert it to JPEG, PNG or TIFF"
    if info.filename.lower().endswith(_ARCHIVES):
        return "an archive inside an archive: unpack it and add its pictures"
    return ""


def _is_second(info: zipfile.ZipInfo, *, seen: set[str]) -> str:
    return "refused, a second member of that name" if info.filename in seen else ""


def _is_locked(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 0x1:
        return "refused, encrypted: unpack it with its password and add its pictures"
    if info.compress_type not in _METHODS:
        return f"refused, compressed by method {info.compress_type}: unpack it and add its pictures"
    return ""


def _is_bomb(info: zipfile.ZipInfo) -> str:
    if info.file_size > MAX_MEMBER_BYTES:
        return f"refused, unpacks to {info.file_size:,} bytes, more than the limit of {MAX_MEMBER_BYTES:,}"
    if info.file_size > _HARMLESS_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        return f"refused, unpacks from {info.compress_size:,} to {info.file_size:,} bytes, which looks like a bomb"
    return ""


def _is_picture(info: zipfile.ZipInfo, file: zipfile.ZipFile) -> bool:
    folders, _, name = info.filename.rpartition("/")
    if any(part.startswith(".") for part in folders.split("/")):
        return False
    return is_picture_name(name) or (has_no_suffix(name) and _is_dicom(info, file))


def _is_dicom(info: zipfile.ZipInfo, file: zipfile.ZipFile) -> bool:
    if info.flag_bits & 0x1 or info.compress_type not in _METHODS:
        return False
    try:
        with file.open(info) as stream:
            return kind_of_bytes(stream.read(132)) == "DICOM"
    except Exception:  # as in `Member.read`; of a damaged file without a suffix nobody knows that it is a picture
        return False
