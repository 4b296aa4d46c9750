"""Finds the picture files of a path, a folder, a glob or a list of these, by their names.

Only a file whose name has no suffix is opened: scanners write DICOM files as IM0001, or 1.2.840.113619.2.55.
"""

from __future__ import annotations

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..cards import count_text
from ..errors import AnyPath, ImageNotFound
from .lazy.kinds import is_dicom
from .lazy.opening import is_zarr

_log = logging.getLogger("samnb.finding")

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dcm", ".dib", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".btf", ".hif", ".svs"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tif", ".tiff", ".webp"}
)
"""Suffixes of pictures inside a folder; a file that is named explicitly may have any suffix."""

OTHER_PICTURES = frozenset(
    {".arw", ".cr2", ".cr3", ".czi", ".dng", ".exr", ".ico", ".jxl", ".lif", ".nd2", ".ndpi"}
    | {".nef", ".orf", ".psd", ".raf", ".rw2", ".svg", ".tga", ".xcf"}
)
"""Suffixes of pictures that samnb does not decode; of those in a folder it is said that they are left out."""


_NUMBERS = re.compile(r"(\d+)")
_OnError = Callable[[str, OSError], object]
_OnOther = Callable[[str], object]


def find_images(source: AnyPath | Iterable[AnyPath]) -> list[Path]:
    """Find the picture files of a path, a folder, a glob or a list of these, on this machine's disks.

    Folders are searched recursively, without hidden ones, for files with one of `IMAGE_SUFFIXES`, and for DICOM files
    without a suffix. A file that is named explicitly is always returned. Each file is returned once; files of a folder
    are in natural order (2 before 10), a list keeps its own order.

    Parameters
    ----------
    source : path, glob or iterable of these
        ``~`` is the home folder, ``**`` in a glob any depth. Addresses such as ``s3://bucket/a.png`` are not searched:
        `samnb.Session.add` takes them.

    Returns
    -------
    list of Path
        Never empty. In a list of several, a missing path is returned as it is: the reader
        reports that one and keeps the others.

    Raises
    ------
    ImageNotFound
        Nothing exists there, or no picture.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("10.png", "2.png", "notes.txt"):
    ...     (folder / name).touch()
    >>> [path.name for path in find_images(folder)]
    ['2.png', '10.png']
    """
    if isinstance(source, str | os.PathLike):
        found = list(iter_images(source))
    else:
        sources = list(source)
        found = [path for item in sources for path in (list(_expand(item, _warn)) or [os.fspath(item)])]
        if not any(map(os.path.isfile, found)):
            raise ImageNotFound(", ".join(map(str, sources[:3])) or "an empty list")
    first: dict[str, str] = {}
    for path in found:
        first.setdefault(os.path.abspath(path), path)
    return [Path(path) for path in first.values()]


def iter_images(
    source: AnyPath, *, unreadable: _OnError | None = None, left_out: _OnOther | None = None
) -> Iterator[str]:
    """`find_images` for one path, folder or glob, as an iterator: a large folder yields its first files at once.

    Parameters
    ----------
    source : path or glob
    unreadable : callable, optional
        Called with the path of a folder that cannot be listed, and the reason; its files are left out. Default: log it.
    left_out : callable, optional
        Called with the path of each picture of a folder that has one of `OTHER_PICTURES`.

    Raises
    ------
    ImageNotFound
        Nothing exists there, or no picture.
    """
    none = True
    others: list[str] = []

    def other(path: str) -> None:
        others.append(path)
        if left_out is not None:
            left_out(path)

    for path in _expand(source, unreadable or _warn, other):
        none = False
        yield path
    if none:
        raise ImageNotFound(source, found=other_pictures_text(others))


def other_pictures_text(names: Iterable[str]) -> str:
    """A line about pictures of `OTHER_PICTURES`; "" for none.

    >>> other_pictures_text(["a.CZI", "b.czi"])
    '2 pictures left out, of formats that are not decoded: 2 CZI. Convert them to JPEG, PNG or TIFF'
    """
    kinds = Counter(name[name.rfind(".") + 1 :].upper() for name in names)
    if not kinds:
        return ""
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    return (
        f"{count_text(kinds.total(), 'picture')} left out, of formats that are not decoded: {listed}. "
        "Convert them to JPEG, PNG or TIFF"
    )


def is_picture_name(name: str) -> bool:
    """True for the name of a picture inside a folder.

    >>> is_picture_name("a.JPG"), is_picture_name("a.txt"), is_picture_name(".hidden.png")
    (True, False, False)
    """
    return not name.startswith(".") and name[name.rfind(".") :].lower() in IMAGE_SUFFIXES


def has_dicom(path: str) -> bool:
    """True for a file named .dcm, and for one that is DICOM and has no suffix; False for hidden ones.

    >>> has_dicom("scan/a.DCM"), has_dicom("scan/a.png"), has_dicom("gone/IM0001"), has_dicom("scan/._a.dcm")
    (True, False, False, False)
    """
    name = os.path.basename(path)
    return (name.lower().endswith(".dcm") and not name.startswith(".")) or (has_no_suffix(name) and is_dicom(path))


def has_no_suffix(name: str) -> bool:
    """True for names as scanners give them to DICOM files; False for hidden ones.

    >>> [has_no_suffix(name) for name in ("IM0001", "1.2.840.113619.2.55", "a.png", ".profile", "DICOMDIR")]
    [True, True, False, False, False]
    """
    _, dot, suffix = name.rpartition(".")
    # The last one is a list of the others.
    return not name.startswith(".") and (not dot or suffix.isdigit()) and name.upper() != "DICOMDIR"


def is_other_picture(name: str) -> bool:
    """True for the name of a picture of `OTHER_PICTURES`."""
    return not name.startswith(".") and name[name.rfind(".") :].lower() in OTHER_PICTURES


def _expand(source: AnyPath, unreadable: _OnError, other: _OnOther | None = None) -> Iterator[str]:
    path = os.path.expanduser(os.fspath(source))
    try:
        if os.path.isdir(path) and is_zarr(path):
            yield str(Path(path))
            return
        if os.path.isdir(path):
            yield from _walk(str(Path(path)), unreadable, other)
            return
        if os.path.exists(path):
            yield str(Path(path))
            return
    except (OSError, ValueError):  # a name that this system cannot have: too long, with a null byte
        return
    if "\0" in path or not glob.has_magic(path):
        return
    pattern = Path(path)
    named = pattern.suffix and not glob.has_magic(pattern.suffix)
    for match in sorted(glob.iglob(str(pattern), recursive=True), key=natural):
        if os.path.isdir(match) and is_zarr(match):
            yield match
        elif os.path.isdir(match):
            if pattern.name != "**":
                yield from _walk(match, unreadable, other)
        elif named or is_picture_name(os.path.basename(match)) or has_dicom(match):
            yield match


def _walk(folder: str, unreadable: _OnError, other: _OnOther | None) -> Iterator[str]:
    # With strings: a Path for every step would take longer than the disk does. With a list of open folders, because a
    # tree may be deeper than Python's stack.
    seen: set[tuple[int, int]] = set()
    stack = [_entries(folder, seen, unreadable, other)]
    while stack:
        for path, is_folder in stack[-1]:
            if is_folder:
                stack.append(_entries(path, seen, unreadable, other))
                break
            yield path
        else:
            stack.pop()


def _entries(
    folder: str, seen: set[tuple[int, int]], unreadable: _OnError, other: _OnOther | None
) -> Iterator[tuple[str, bool]]:
    """Folders and pictures in a folder, in natural order; none in a folder that was visited through a link already."""
    try:
        status = os.stat(folder)
        with os.scandir(folder) as entries:
            found = [
                (_key(entry.name), entry.path, is_folder) for entry in entries for is_folder in _kind(entry, other)
            ]
    except OSError as error:
        unreadable(folder, error)
        return iter(())
    here = status.st_dev, status.st_ino
    if here in seen:
        return iter(())
    seen.add(here)
    found.sort()
    return iter([(path, is_folder) for _, path, is_folder in found])


def _kind(entry: os.DirEntry[str], other: _OnOther | None) -> tuple[bool, ...]:
    """(True,) for a folder, (False,) for a picture, which an OME-Zarr folder is too, () for anything else."""
    if entry.name.startswith("."):
        return ()
    # The entry answers without a disk access, except for links.
    if entry.is_symlink():
        if os.path.isdir(entry.path):
            return (True,)
        wanted = is_picture_name(entry.name) or has_dicom(entry.path)
        return (False,) if wanted and os.path.isfile(entry.path) else ()
    if entry.is_dir():
        # The suffix first: asking the disk in every folder would take longer than listing it.
        return (not (entry.name.lower().endswith(".zarr") and is_zarr(entry.path)),)
    if is_picture_name(entry.name):
        return (False,) if entry.is_file() else ()
    if entry.is_file() and has_dicom(entry.path):
        return (False,)
    if other is not None and is_other_picture(entry.name) and entry.is_file():
        other(entry.path)
    return ()


def _warn(folder: str, error: OSError) -> None:
    _log.warning("%s: this folder cannot be listed and is left out (%s)", folder, error.strerror or error)


def natural(path: str) -> tuple[list[list[Any]], str]:
    """A sort key, folder by folder, in which 2 comes before 10 and upper case beside lower case."""
    return [_key(part) for part in Path(path).parts], path


def _key(part: str) -> list[Any]:
    """Text and numbers alternate, so that any two keys can be compared."""
    pieces: list[Any] = _NUMBERS.split(part.lower())
    pieces[1::2] = map(int, pieces[1::2])
    return pieces
