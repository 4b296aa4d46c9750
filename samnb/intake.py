"""From whatever the user has (paths, folders, globs, PIL images, arrays) to rows of the catalog."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from PIL import Image

from . import settings
from .catalog import Catalog, ImageRecord, NewImage
from .errors import ImageError
from .file_memo import FileStamp
from .files import cannot_write, write_whole
from .images import as_pixels, encode_png, find_images, pixel_hash, read_picture
from .looks import PERCEPTUAL_VERSION
from .queries import path_text
from .reports import AddReport, Failure

__all__ = ["add_pictures", "database_url", "new_image", "session_folder", "threads"]

_log = logging.getLogger("samnb.intake")

#: Rows are written in batches of this many: few transactions, and little is lost by a crash.
BATCH = 200


def session_folder(folder: str | Path | None) -> Path:
    """The session's folder, absolute; None means the user's data folder."""
    if folder is None:
        return Path(platformdirs.user_data_dir("samnb", appauthor=False)) / "default"
    return Path(folder).expanduser().absolute()


def database_url(folder: Path, url: str | None) -> str | Path:
    """Where the catalog is: what was asked for, DATABASE_URL, or a file in the session folder."""
    return url or settings.read("DATABASE_URL") or folder / "catalog.db"


@dataclass(frozen=True)
class _Read:
    """One source that was looked at: an image that is as it was, a row to write, or a reason why not."""

    path: str
    record: ImageRecord | None = None
    new: NewImage | None = None
    reason: str = ""


def add_pictures(
    catalog: Catalog,
    folder: Path,
    source: Any,
    *,
    dataset: str,
    is_cached: Callable[[str], bool],
) -> AddReport:
    """Read, hash and file pictures; see `Session.add`.

    Parameters
    ----------
    catalog : Catalog
    folder : Path
        The session's; pictures from memory are kept in its "images".
    source : path, glob, PIL image, array, or a list of these
    dataset : str
    is_cached : callable
        True for a pixel hash whose embedding the store holds.
    """
    failed: list[Failure] = []
    paths = [str(path) for path in _paths_of(source, folder, failed)]
    catalog.add_dataset(dataset)
    before = {image.path: image for image in catalog.images(dataset=dataset)}
    added: list[ImageRecord] = []
    duplicates = 0
    for start in range(0, len(paths), BATCH):
        reads = _look_at(paths[start : start + BATCH], before, catalog)
        failed += [Failure(_printable(read.path), _printable(read.reason)) for read in reads if read.reason]
        rows = [row for row in (_row(read, is_cached) for read in reads) if row is not None]
        news = [row for row in rows if isinstance(row, NewImage)]
        duplicates += _tell_duplicates([new for new in news if new.path not in before], catalog)
        written = {image.path: image for image in catalog.add_images(dataset, news)} if news else {}
        added += [row if isinstance(row, ImageRecord) else written[row.path] for row in rows]
    return AddReport(
        dataset=dataset,
        images=tuple(added),
        added=sum(image.path not in before for image in added),
        duplicates_found=sum(image.embedding_cached for image in added),
        duplicates=duplicates,
        changed=sum(_changed(before.get(image.path), image) for image in added),
        failed=tuple(failed),
    )


def _changed(before: ImageRecord | None, now: ImageRecord) -> bool:
    return before is not None and before.is_read and before.pixel_hash != now.pixel_hash


def _paths_of(source: Any, folder: Path, failed: list[Failure]) -> list[Path]:
    """Files to read; in a list, an element that leads nowhere is a failure and not the end."""
    if not isinstance(source, (list, tuple, set, frozenset)) and not _is_iterator(source):
        return _paths_of_one(source, folder)
    found = []
    for element in source:
        try:
            found.append(_paths_of_one(element, folder))
        except ImageError as error:
            failed.append(Failure(_name(element), str(error)))
    return list(dict.fromkeys(chain.from_iterable(found)))


def _paths_of_one(source: Any, folder: Path) -> list[Path]:
    if isinstance(source, (str, os.PathLike)):
        return [path.absolute() for path in find_images(os.fspath(source))]
    return [_keep(source, folder)]


def _keep(image: Image.Image | np.ndarray, folder: Path) -> Path:
    """Write a picture from memory into the session folder, under its pixels' hash."""
    pixels = as_pixels(image)
    path = folder / "images" / f"{pixel_hash(pixels)[:16]}.png"
    if not path.exists():
        try:
            write_whole(path, encode_png(pixels))
        except OSError as error:
            raise cannot_write(folder, path, error) from error
    return path


def threads() -> int:
    """How many threads read pictures: decoding and hashing release the GIL; more only wait for the disk."""
    return min(4, os.cpu_count() or 1)


def _look_at(paths: list[str], before: Mapping[str, ImageRecord], catalog: Catalog) -> list[_Read]:
    """What each of these files is, read only where nothing is known of it as it is now."""
    reads: dict[str, _Read] = {}
    stamps: dict[str, FileStamp] = {}
    for path in paths:
        try:
            stamp = FileStamp.of(path_text(path))
        except (ImageError, OSError) as error:
            reads[path] = _Read(path, reason=str(error))
            continue
        there = before.get(path)
        if there is not None and _is_unchanged(there, stamp):
            reads[path] = _Read(path, record=there)
        else:
            stamps[path] = stamp
    known = catalog.files.known(list(stamps.values())) if stamps else {}
    reads |= {path: _Read(path, new=picture) for path, picture in known.items()}
    unknown = [path for path in stamps if path not in known]
    if unknown:
        with ThreadPoolExecutor(max_workers=threads()) as pool:
            reads |= zip(unknown, pool.map(_read, unknown), strict=True)
        catalog.files.remember({stamps[path]: new for path in unknown if (new := reads[path].new) is not None})
    return [reads[path] for path in paths]


def _is_unchanged(image: ImageRecord, stamp: FileStamp) -> bool:
    return image.is_read and image.perceptual_version == PERCEPTUAL_VERSION and stamp.is_of(image)


def _read(path: str) -> _Read:
    try:
        return _Read(path, new=new_image(Path(path)))
    except (ImageError, OSError) as error:
        return _Read(path, reason=str(error))


def _row(read: _Read, is_cached: Callable[[str], bool]) -> ImageRecord | NewImage | None:
    """The image where nothing of it is to be written; what is to be written; None for a failure."""
    if read.record is not None:
        cached = is_cached(read.record.pixel_hash)
        return (
            read.record
            if cached == read.record.embedding_cached
            else replace(read.record.as_new(), embedding_cached=cached)
        )
    return None if read.new is None else replace(read.new, embedding_cached=is_cached(read.new.pixel_hash))


def _tell_duplicates(news: Sequence[NewImage], catalog: Catalog) -> int:
    """How many of these show pixels that are in the catalog, or earlier among these; each is logged."""
    seen = catalog.known_pixels({new.pixel_hash for new in news}) if news else set()
    count = 0
    for new in news:
        if new.pixel_hash in seen:
            count += 1
            _log.info(
                "[DEDUP] Found duplicate image: %s (hash: %s..., cached: %s)",
                *(new.filename, new.content_hash[:8], new.embedding_cached),
            )
        seen.add(new.pixel_hash)
    return count


def new_image(path: Path) -> NewImage:
    """Read and hash one picture file. Raises `ImageError`."""
    picture = read_picture(path)
    height, width = picture.size_hw
    return NewImage(
        path=str(path),
        filename=path.name,
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


def _printable(text: str) -> str:
    """A file name that is not UTF-8 comes as lone surrogates, which no terminal takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_iterator(source: Any) -> bool:
    return hasattr(source, "__next__")


def _name(element: Any) -> str:
    return os.fspath(element) if isinstance(element, (str, os.PathLike)) else f"<{type(element).__name__} from memory>"
