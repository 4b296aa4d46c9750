"""`read_one`: a picture, read and hashed, as a row for the catalog, or the reason why it cannot be one."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

from ..catalog import ImageRecord, NewImage
from ..catalog.file_index import FileStat
from ..encoding.large_images import LargeImages
from ..errors import AnyPath, ImageError, ImageTooLarge
from ..images import Picture, read_picture
from ..images.addresses import file_name
from ..images.large_reading import LargeFile, is_large_file, read_large
from ..images.lazy.view_files import is_view_name
from ..images.perceptual import PERCEPTUAL_VERSION
from ..records import UNREAD, Failure
from ..remote_files import is_address

_LONG_BYTES = 64 << 20


class Read(NamedTuple):
    """One checked source: an unchanged image, a row to write, or a reason for a failure."""

    path: str
    record: ImageRecord | None = None
    new: NewImage | None = None
    reason: str = ""
    frames: int = 1
    shown_as: str = ""


def read_one(path: str, overviews: LargeImages, *, size_bytes: int | None = None) -> Read:
    """Read and hash one picture; `overviews` keeps that of a large one. A size that is known is not asked for."""
    try:
        return _read(path, overviews, size_bytes)
    except (ImageError, OSError) as error:
        return Read(path, reason=Failure.of(path, error).reason)
    except MemoryError:
        return Read(path, reason="not enough memory to hash its pixels. Free memory, or add it alone.")


def new_image(path: AnyPath, overviews: LargeImages | None = None) -> NewImage:
    """Read and hash one picture file, or an object at an address. Raises `ImageError`."""
    new = _read(str(path), overviews, None).new
    assert new is not None
    return new


def _read(path: str, overviews: LargeImages | None, size_bytes: int | None) -> Read:
    """One picture; what is too large for the memory is read in parts, and its overview kept."""
    if _is_long(path, size_bytes) and is_large_file(path):
        return _read_large(path, overviews)
    try:
        picture = read_picture(path)
    except ImageTooLarge:
        if is_view_name(path) or is_large_file(path):
            return _read_large(path, overviews)
        raise
    # Of a view it was said when it was made.
    shown_as = "" if picture.view is not None else picture.shown_as
    return Read(path, new=_as_new(picture), frames=picture.frames, shown_as=shown_as)


def _is_long(path: str, size_bytes: int | None) -> bool:
    """Whether to look at the header before all bytes are read, which opens the file once more."""
    if is_address(path):
        return True
    try:
        return (os.path.getsize(os.path.expanduser(path)) if size_bytes is None else size_bytes) > _LONG_BYTES
    except OSError:
        return False  # the read says why it cannot be read


def _read_large(path: str, overviews: LargeImages | None) -> Read:
    large = read_large(path)
    if overviews is not None:
        overviews.save_overview(large.pixel_hash, large.overview)
    return Read(path, new=_as_new(large), shown_as=large.shown_as)


def unread_image(path: str, stamp: FileStat | None) -> NewImage:
    """A picture that is read later: nothing is known of it but its path, and its size and times, where they were told.

    Its pixel hash is none, and the same for the same path; see `samnb.records.UNREAD`.
    """
    return NewImage(
        path=path,
        filename=file_name(path),
        content_hash="",
        pixel_hash=UNREAD + hashlib.blake2b(path.encode(), digest_size=16).hexdigest(),
        perceptual_hash="",
        width=0,
        height=0,
        size_bytes=0 if stamp is None else stamp.size_bytes,
        mtime_ns=0 if stamp is None else stamp.mtime_ns,
        inode=0 if stamp is None else stamp.inode,
    )


def _as_new(picture: Picture | LargeFile) -> NewImage:
    path = picture.path
    height, width = picture.size_hw
    return NewImage(
        path=str(path),
        filename=file_name(path),
        content_hash=picture.content_hash,
        pixel_hash=picture.pixel_hash,
        perceptual_hash=picture.perceptual_hash,
        width=width,
        height=height,
        size_bytes=picture.size_bytes,
        mtime_ns=picture.mtime_ns,
        inode=picture.inode,
        perceptual_version=PERCEPTUAL_VERSION,
        perceptual_detail=picture.perceptual_detail,
    )
