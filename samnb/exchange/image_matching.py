"""Finds the image of a session that a file of another tool refers to: by path, by content, by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ..errors import AnyPath, ImageError
from ..images import content_hash, pixel_hash, read_pixels
from ..images.discovery import is_picture_name
from ..images.folder import PictureFolder
from ..records import ImageRecord
from .readers.objects import ImageReference
from .writers.layout import distinct_names, safe

T = TypeVar("T")


class ImageMatcher:
    """The images of a session, and a folder of pictures that may not be in it yet.

    An available picture, in the folder or where the file says, is identified by its path, its bytes or its pixels.
    Otherwise names decide: the name an export gave it, then as much of its path as is unique, then its file name.

    Parameters
    ----------
    records : sequence of ImageRecord
        The images that may be meant.
    folder : PictureFolder, optional
        Pictures that may be added.
    """

    def __init__(self, records: Sequence[ImageRecord], folder: PictureFolder | None = None):
        self.records = list(records)
        self.folder = folder

    @cached_property
    def pictures(self) -> PictureFolder:
        """The place to search the pictures of masks: the folder, or else the images' files."""
        if self.folder is not None:
            return self.folder
        return PictureFolder.of({Path(record.path): record.filename for record in self.records})

    def match(self, named: ImageReference) -> ImageRecord | Path:
        """The image that a file refers to, or the picture in the folder that would have to be added.

        Raises
        ------
        ImageError
            None, or several.
        """
        file = self.file_of(named)
        if file is None:
            return self._by_names(named)
        found = self._of_file(file)
        if found:
            return self._one(found, named)
        if self.folder is not None and self.folder.root in file.parents:
            return file
        raise ImageError(
            f"{file} is there, but no image of the session has its pixels. Add it, or say images={str(file.parent)!r}."
        )

    def file_of(self, named: ImageReference) -> Path | None:
        """The picture in the folder, or where the file says; None if there is none.

        Raises
        ------
        ImageError
            Several pictures of the folder match.
        """
        if os.path.isabs(named.name) and os.path.isfile(named.name):
            return Path(named.name)
        if self.folder is not None:
            found = _ending_in(named.name, self._in_folder) or _ending_in(named.original, self._in_folder)
            exact = self.folder.root / named.name
            if len(found) > 1 and exact not in found:
                places = ", ".join(str(path) for path in found[:3])
                raise ImageError(f"could be several pictures: {places}. Import them a folder at a time.")
            if found:
                return exact if exact in found else found[0]
        beside = named.near / named.name
        return Path(os.path.abspath(beside)) if os.path.isfile(beside) else None

    # -- available pictures ------------------------------------------------------------------------

    @cached_property
    def _in_folder(self) -> dict[str, list[tuple[tuple[str, ...], Path]]]:
        return _by_last((path, path) for path in (self.folder.paths if self.folder else ()))

    def _of_file(self, file: Path) -> list[ImageRecord]:
        for path in dict.fromkeys((str(file), os.path.realpath(file))):
            if path in self._by_path:
                return self._by_path[path]
        if not self.records:
            return []
        same_bytes = self._by_content.get(content_hash(file))
        # An upright copy, or one re-saved without loss, has other bytes.
        return same_bytes or self._by_pixels.get(pixel_hash(read_pixels(file)), [])

    def _one(self, found: Sequence[ImageRecord], named: ImageReference) -> ImageRecord:
        """The image with that name among those with the same pixels; of several in one dataset the first."""
        last = PurePosixPath(named.name).name
        for some in (
            [record for record in found if self._exported[record.id] in (named.name, named.original)],
            [record for record in found if record.filename == last],
            found,
        ):
            if len({record.dataset_id for record in some}) == 1:
                return some[0]
        raise _several(found)

    # -- names alone -------------------------------------------------------------------------------

    def _by_names(self, named: ImageReference) -> ImageRecord:
        last = PurePosixPath(named.name).name
        stem = safe(os.path.splitext(named.name)[0] if is_picture_name(last) else named.name, "image")
        for found in (
            self._by_exported.get(named.original or named.name, []),
            _ending_in(named.name, self._records_by_last),
            _ending_in(named.original, self._records_by_last),
            self._by_stem.get(stem, []),
        ):
            if len(found) > 1:
                raise _several(found)
            if found:
                return found[0]
        raise ImageError("no image of that name. Add its picture first, or say where it is with images=.")

    @cached_property
    def _exported(self) -> dict[str, str]:
        names = distinct_names(self.records)
        return {record.id: name for record, name in zip(self.records, names, strict=True)}

    @cached_property
    def _by_exported(self) -> dict[str, list[ImageRecord]]:
        return _grouped((self._exported[record.id], record) for record in self.records)

    @cached_property
    def _records_by_last(self) -> dict[str, list[tuple[tuple[str, ...], ImageRecord]]]:
        # A picture added from memory or a zip file is stored under another name than it is shown with.
        return _by_last((Path(record.path).with_name(Path(record.filename).name), record) for record in self.records)

    @cached_property
    def _by_stem(self) -> dict[str, list[ImageRecord]]:
        return _grouped((safe(os.path.splitext(self._exported[r.id])[0], "image"), r) for r in self.records)

    @cached_property
    def _by_path(self) -> dict[str, list[ImageRecord]]:
        return _grouped((record.path, record) for record in self.records)

    @cached_property
    def _by_content(self) -> dict[str, list[ImageRecord]]:
        return _grouped((record.content_hash, record) for record in self.records if record.content_hash)

    @cached_property
    def _by_pixels(self) -> dict[str, list[ImageRecord]]:
        return _grouped((record.pixel_hash, record) for record in self.records)


def _several(found: Sequence[ImageRecord]) -> ImageError:
    names = ", ".join(f"{record.dataset}/{record.filename}" for record in found[:3])
    return ImageError(f"could be several images: {names}. Name one dataset with dataset=.")


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for key, record in pairs:
        groups.setdefault(key, []).append(record)
    return groups


def _by_last(pairs: Iterable[tuple[Path, T]]) -> dict[str, list[tuple[tuple[str, ...], T]]]:
    """By the last part of their path: all its parts, and the value."""
    groups: dict[str, list[tuple[tuple[str, ...], T]]] = {}
    for path, thing in pairs:
        groups.setdefault(path.name, []).append((path.parts, thing))
    return groups


def _ending_in(name: str, by_last: dict[str, list[tuple[tuple[str, ...], T]]]) -> list[T]:
    """Those whose paths share the longest end with the name."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    candidates = by_last.get(parts[-1], []) if parts else []
    for length in range(len(parts), 0, -1):
        end = tuple(parts[-length:])
        found = [thing for path, thing in candidates if path[-length:] == end]
        if found:
            return found
    return []


def picture_folder(images: AnyPath, path: AnyPath) -> PictureFolder:
    """The folder of pictures for a file or folder of annotations, without the latter if that is inside it."""
    root, place = Path(path).expanduser().absolute(), Path(images).expanduser().absolute()
    return PictureFolder(place, without=root if place in root.parents else None)
