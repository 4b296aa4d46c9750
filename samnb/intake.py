"""From whatever the user has (paths, folders, globs, PIL images, arrays) to rows of the catalog."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from PIL import Image

from . import settings
from .catalog import Catalog, ImageRecord, NewImage
from .errors import ImageError
from .files import cannot_write, write_whole
from .images import as_pixels, encode_png, find_images, pixel_hash, read_picture
from .looks import PERCEPTUAL_VERSION
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
    """One source that was looked at: a row to write, or a reason why not."""

    path: str
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
    paths = _paths_of(source, folder, failed)
    catalog.add_dataset(dataset)
    before = {image.path: image for image in catalog.images(dataset=dataset)}
    known_pixels = {image.pixel_hash for image in catalog.images()}
    added: list[ImageRecord] = []
    duplicates = 0
    for batch in _batches(_read_all(paths, catalog), BATCH):
        rows = []
        for read in batch:
            if read.new is None:
                failed.append(Failure(_printable(read.path), _printable(read.reason)))
                continue
            cached = is_cached(read.new.pixel_hash)
            rows.append(_with_cached(read.new, cached))
            if read.new.path not in before and read.new.pixel_hash in known_pixels:
                duplicates += 1
                _log.info(
                    "[DEDUP] Found duplicate image: %s (hash: %s..., cached: %s)",
                    read.new.filename,
                    read.new.content_hash[:8],
                    cached,
                )
            known_pixels.add(read.new.pixel_hash)
        added += catalog.add_images(dataset, rows)
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


def _read_all(paths: list[Path], catalog: Catalog) -> Iterator[_Read]:
    with ThreadPoolExecutor(max_workers=threads()) as pool:
        yield from pool.map(lambda path: _read(path, catalog), paths)


def _read(path: Path, catalog: Catalog) -> _Read:
    try:
        stat = path.stat()
        known = catalog.known_file(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)
        return _Read(str(path), _new_from_record(known) if known else new_image(path))
    except (ImageError, OSError) as error:
        return _Read(str(path), reason=str(error))


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


def _new_from_record(record: ImageRecord) -> NewImage:
    names = NewImage.__dataclass_fields__
    return NewImage(**{name: getattr(record, name) for name in names})


def _with_cached(new: NewImage, cached: bool) -> NewImage:
    return NewImage(**{**{n: getattr(new, n) for n in NewImage.__dataclass_fields__}, "embedding_cached": cached})


def _batches(reads: Iterator[_Read], size: int) -> Iterator[list[_Read]]:
    batch: list[_Read] = []
    for read in reads:
        batch.append(read)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _printable(text: str) -> str:
    """A file name that is not UTF-8 comes as lone surrogates, which no terminal takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_iterator(source: Any) -> bool:
    return hasattr(source, "__next__")


def _name(element: Any) -> str:
    return os.fspath(element) if isinstance(element, (str, os.PathLike)) else f"<{type(element).__name__} from memory>"
