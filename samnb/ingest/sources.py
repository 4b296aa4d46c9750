"""Resolves the source of `Session.add` to picture files and addresses, one after the other. Pictures from memory and
from zip files are stored in the session folder, named by their content.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from PIL import Image

from ..atomic_files import cannot_write, discard, write_atomic
from ..errors import ImageError, ImageNotFound
from ..images import as_pixels, encode_png, pixel_hash, pixel_hashes, suffix_for
from ..images.addresses import check_address, find_remote
from ..images.discovery import is_picture_name, iter_images, natural
from ..images.file_status import FileStatus
from ..images.in_full import in_full
from ..images.zip_files import Member, is_zip, members_of
from ..records import Failure
from ..remote_files import is_address
from ..urls import redacted_url
from .manifest import as_path, is_manifest, listed_in

Bytes = bytes | bytearray | memoryview

_MAX_NAME_BYTES = 180
# Not allowed in a file name on some system, or invisible.
_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"|?*]|[\ud800-\udfff]')


@dataclass(frozen=True, eq=False)
class Rejected:
    """A source that cannot be added: its name in reports, and the reason; two with one name are unequal."""

    name: str
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """A picture of a folder in a format that is not decoded."""

    path: str


@dataclass(frozen=True, slots=True)
class Address:
    """A picture at an address, with its status where a listing told it."""

    path: str
    status: FileStatus | None = None


@dataclass(frozen=True)
class StoredFile:
    """A picture file in the session folder: its path, its name in reports, and whether it is new."""

    path: str
    name: str
    is_new: bool


Item = str | Address | Member | StoredFile | Rejected | LeftOut
"""A file's absolute path; an address; a member of a zip file, not stored yet; a stored file; refused; left out."""


def items_of(source: Any, folder: Path) -> Iterator[Item]:
    """The pictures of a source, as an iterator.

    In a list or an iterator, a missing element gives a `Rejected` and does not end the iteration.

    Parameters
    ----------
    source : see `samnb.session.Session.add`
    folder : Path
        The session's folder; pictures from memory are stored in its "images".

    Raises
    ------
    ImageError
        A single source that is missing or cannot be read.
    """
    if not _is_many(source):
        yield from _items_of_one(source, folder)
        return
    for element in source.items() if isinstance(source, Mapping) else source:
        try:
            yield from _items_of_one(element, folder)
        except ImageError as error:
            yield Rejected(name_of(element), Failure.of(name_of(element), error).reason)


def name_of(element: Any) -> str:
    """The name in reports of an element of a list of sources."""
    if isinstance(element, (str, os.PathLike)):
        return redacted_url(str(element)) if is_address(element) else os.fspath(element)
    named = _named_bytes(element)
    return (named and named[0]) or f"<{type(element).__name__} from memory>"


def store_bytes(folder: Path, name: str, content: bytes) -> StoredFile:
    """Store a picture file in the session folder, unchanged.

    The same bytes under the same name have the same path, so adding them again adds nothing. A file that a failing disk
    or a power cut has altered is written again.

    Parameters
    ----------
    folder : Path
        The session's.
    name : str
        The file gets the part after the last slash, without characters that file systems refuse; "" gives the hash.
    content : bytes

    Raises
    ------
    StoreError
        The session folder cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = folder / "images" / digest / (_file_name(name) or f"{digest}{suffix_for(content)}")
    shown = name or "<bytes from memory>"
    try:
        if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
            return StoredFile(str(path), shown, False)
        write_atomic(path, content)
    except OSError as error:
        raise cannot_write(folder, path, error) from error
    return StoredFile(str(path), shown, True)


def discard_stored(kept: StoredFile) -> None:
    """Delete a file from the session folder that was just stored and is not needed."""
    if kept.is_new:
        path = Path(kept.path)
        discard(path)
        with contextlib.suppress(OSError):  # other files are in it, or the disk fails
            path.parent.rmdir()


# -- inside ----------------------------------------------------------------------------------------


def _is_many(source: Any) -> bool:
    if hasattr(source, "read") or _named_bytes(source) is not None:
        return False
    return isinstance(source, (list, tuple, set, frozenset, Mapping)) or hasattr(source, "__next__")


def _items_of_one(source: Any, folder: Path) -> Iterator[Item]:
    if isinstance(source, (str, os.PathLike)):
        yield from _items_of_path(os.path.expanduser(os.fspath(source)))
        return
    named = _named_bytes(source)
    if named is None:
        yield _keep_pixels(source, folder)
        return
    name, content = named[0], bytes(named[1])
    if is_zip(content):
        yield from members_of(content, name)
    elif content:
        yield store_bytes(folder, name, content)
    else:
        raise ImageError(f"{name or '<bytes from memory>'}: empty, zero bytes. Expected the bytes of a picture file.")


def _items_of_path(path: str) -> Iterator[Item]:
    path = as_path(path)
    if is_manifest(path):
        yield from _items_of_manifest(path)
        return
    if is_address(path):
        remote = find_remote(path, is_picture_name)
        yield from (Address(*one) for one in sorted(remote, key=lambda one: natural(one[0])))
        return
    if is_zip(path):
        yield from members_of(os.path.abspath(path), path)
        return
    refused: list[Rejected | LeftOut] = []

    def unreadable(folder: str, error: OSError) -> None:
        refused.append(Rejected(folder, f"this folder cannot be listed ({error.strerror or error})"))

    for found in iter_images(path, unreadable=unreadable, left_out=lambda other: refused.append(LeftOut(other))):
        # Without "..": the same file reached on two ways is one image.
        yield found if os.path.isabs(found) and ".." not in found else os.path.abspath(found)
    yield from refused


def _items_of_manifest(path: str) -> Iterator[Item]:
    none = True
    for listed in listed_in(path):
        none, entry = False, listed
        try:
            entry = as_path(listed)
            if is_manifest(entry):  # it might name this one again
                yield Rejected(name_of(entry), "a list of pictures within a list; add it by itself")
            elif is_address(entry) and "*" not in entry:
                check_address(entry)
                yield Address(entry)
            else:
                yield from _items_of_path(entry)
        except ImageError as error:
            name = name_of(entry)
            yield Rejected(name, f"{Failure.of(name, error).reason} (listed in {os.path.basename(path)})")
    if none:
        raise ImageNotFound(path, expected="a list of pictures with at least one", found="It has none")


def _named_bytes(source: Any) -> tuple[str, Bytes] | None:
    """Name ("" for none) and content of a source of bytes, None for other sources."""
    if _is_bytes(source):
        return "", source
    if hasattr(source, "read") and not isinstance(source, Image.Image):
        content, name = source.read(), getattr(source, "name", "")
        return (name if isinstance(name, str) else "", content) if _is_bytes(content) else None
    if isinstance(source, Mapping):  # of a FileUpload widget of ipywidgets 8
        name, content = source.get("name"), source.get("content")
        return (name, content) if isinstance(name, str) and _is_bytes(content) else None
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], (str, os.PathLike)):
        content = source[1]
        if isinstance(content, Mapping):  # of a FileUpload widget of ipywidgets 7: {name: {"content": …}}
            content = content.get("content")
        return (os.fspath(source[0]), content) if _is_bytes(content) else None
    return None


def _is_bytes(value: Any) -> TypeGuard[Bytes]:
    return isinstance(value, (bytes, bytearray, memoryview))


def _keep_pixels(image: Image.Image | np.ndarray, folder: Path) -> str:
    """Write a picture from memory into the session folder, under its pixels' hash; again if it was altered."""
    pixels = as_pixels(image)
    deep = in_full(image)
    digest = pixel_hash(pixels) if deep is None else pixel_hashes(deep[0])[0]
    name = f"{digest[:16]}.png"
    if deep is not None and deep[1] != ".png":
        name = f"{digest[:16]}/{digest[:16]}{deep[1]}"
    path = folder / "images" / name
    if not _holds(path, digest):
        try:
            write_atomic(path, encode_png(pixels) if deep is None else deep[0])
        except OSError as error:
            raise cannot_write(folder, path, error) from error
    return str(path)


def _holds(path: Path, pixel_hash: str) -> bool:
    try:
        return pixel_hashes(path)[0] == pixel_hash
    except ImageError:
        return False


def _file_name(name: str) -> str:
    last = _UNFIT.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, suffix = os.path.splitext(last)
    suffix = suffix if len(suffix.encode()) <= 16 else ""
    room = _MAX_NAME_BYTES - len(suffix.encode())
    return (stem if suffix else last).encode()[:room].decode("utf-8", "ignore") + suffix
