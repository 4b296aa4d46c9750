"""Which picture files a path, a folder, a glob or a list of these stands for. Names only: no file is opened."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from .errors import AnyPath, ImageNotFound

__all__ = ["IMAGE_SUFFIXES", "find_images"]

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tif", ".tiff", ".webp"}
)
"""What counts as a picture inside a folder; a file named explicitly may have any suffix."""


_PIECES = re.compile(r"\d+|\D+")
_Key = list[tuple[int, str]]


def find_images(source: AnyPath | Iterable[AnyPath]) -> list[Path]:
    """The picture files that a path, a folder, a glob or a list of these stands for.

    Folders are searched with all folders below, hidden ones left out, for files with one of `IMAGE_SUFFIXES`.
    A file named explicitly is always returned, whatever its suffix. Each file comes once; a folder's files
    come in natural order (2 before 10), a list keeps its own order.

    Parameters
    ----------
    source : path, glob or iterable of these
        ``~`` stands for the home folder, ``**`` in a glob for any depth.

    Returns
    -------
    list of Path
        Never empty. In a list of several, a path that is not there is returned as it is: whoever reads it
        reports that one and keeps the others.

    Raises
    ------
    ImageNotFound
        Nothing there, or nothing that is a picture.
    """
    if isinstance(source, str | os.PathLike):
        found = _expand(source)
        if not found:
            raise ImageNotFound(source)
    else:
        sources = list(source)
        found = [path for item in sources for path in (_expand(item) or [Path(item)])]
        if not any(path.is_file() for path in found):
            raise ImageNotFound(", ".join(map(str, sources[:3])) or "an empty list")
    first: dict[str, Path] = {}
    for path in found:
        first.setdefault(os.path.abspath(path), path)
    return list(first.values())


def _expand(source: AnyPath) -> list[Path]:
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return _walk(path)
        if path.exists():
            return [path]
    except (OSError, ValueError):  # a name that this system cannot have: too long, with a null byte
        return []
    pattern = str(path)
    if "\0" in pattern or not glob.has_magic(pattern):
        return []
    matches = sorted(map(Path, glob.glob(pattern, recursive=True)), key=_natural)
    named = path.suffix and not glob.has_magic(path.suffix)
    found: list[Path] = []
    for match in matches:
        if match.is_dir():
            found += [] if path.name == "**" else _walk(match)
        elif named or _is_picture_name(match.name):
            found.append(match)
    return found


def _walk(folder: Path) -> list[Path]:
    # Names and sort keys are put together as text: a Path for every step would take longer than the disk does.
    found: list[tuple[list[_Key], str]] = []
    seen: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:  # links may lead back to a folder above
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        above = _natural(Path(root))[0]
        pictures = ((name, os.path.join(root, name)) for name in files if _is_picture_name(name))
        found += [([*above, _part_key(name)], path) for name, path in pictures if os.path.isfile(path)]
    return [Path(path) for _, path in sorted(found)]


def _is_picture_name(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _natural(path: Path) -> tuple[list[_Key], str]:
    """A sort key, folder by folder, in which 2 comes before 10 and upper case beside lower case."""
    return [_part_key(part) for part in path.parts], str(path)


def _part_key(part: str) -> _Key:
    pieces = _PIECES.findall(part.lower())
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]
