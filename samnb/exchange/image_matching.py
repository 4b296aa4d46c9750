"""Finds the image of a session that a file of another tool refers to: by path, by content, by name."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ..errors import AnyPath, ImageError
from ..images import content_hash, pixel_hashes
from ..images.discovery import is_picture_name
from ..images.folder import PictureFolder
from ..images.names import name_key, parts_of, readings, shared_end, without_layout
from ..images.path_ends import PathEnds, nearest
from ..records import ImageRecord
from .readers.labelme import embedded_picture
from .readers.objects import ImageReference
from .writers.layout import distinct_names, safe

T = TypeVar("T")


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture inside a JSON file of labelme, to be added: the file, and the picture's name."""

    file: Path
    name: str

    def content(self) -> bytes:
        """The bytes of the picture file. Raises `ImageError`."""
        return embedded_picture(self.file)


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

    def match(self, named: ImageReference) -> ImageRecord | Path | EmbeddedPicture:
        """The image that a file refers to, or the picture that would have to be added: of the folder, or in the file.

        Raises
        ------
        ImageError
            None, or several.
        """
        file = self.file_of(named)
        if file is not None:
            found = self._of_file(file) or self._shown_like(file, named)
            if found:
                return self._one(found, named)
            if self.folder is not None and self.folder.root in file.parents:
                return file
            raise ImageError(
                f"{file} is there, but no image of the session has its pixels. Add it, or say "
                f"images={str(file.parent)!r}."
            )
        if named.embedded is None:
            return self._by_names(named)
        parts = parts_of((readings(named.name) or [""])[-1])
        picture = EmbeddedPicture(named.embedded, parts[-1] if parts else named.embedded.stem)
        found = self._of_content(picture.content())
        if found:
            return self._one(found, named)
        if self.folder is None:
            raise ImageError(
                "its picture is only inside the JSON file (imageData), and no image of the session has its pixels. "
                "Say images= with any folder, and it is added from there."
            )
        return picture

    def file_of(self, named: ImageReference) -> Path | None:
        """The picture in the folder, or where the file says; None if there is none.

        The exact path and the neighbour come before any search. In the folder the name that the image had comes before
        that of its exported picture, which may be another picture's there: "img 1.png" is exported as "img-1.png".

        Raises
        ------
        ImageError
            Several pictures of the folder match, or only one that lies in another folder than the file says.
        """
        names = readings(named.name)
        absolute = [Path(name) for name in names if os.path.isabs(name)]
        inside = [*([named.original] if named.original else []), *names]
        exact = [Path(os.path.abspath(self.folder.root / name)) for name in inside] if self.folder else []
        exact = [path for path in exact if self.folder and self.folder.root in path.parents]
        beside = [Path(os.path.abspath(named.near / name)) for name in names]
        ours = [path for path in beside if self._is_ours(path)]
        for path in (*absolute, *ours, *exact):
            if _is_picture(path):
                return path
        if self.folder is not None:
            found = self._search(inside)
            if found is not None:
                return found
        return next((path for path in beside if _is_picture(path)), None)

    def agreement(self, named: ImageReference, image: ImageRecord) -> tuple[int, bool, bool]:
        """How a file's name for an image agrees with its path: in how many parts, in all, and in case."""
        if named.original and self._exported_as(image) == named.original:
            return len(Path(image.path).parts), True, True
        path = _shown_parts(image)
        agreed = []
        for name in readings(named.name):
            parts = parts_of(name)
            same = shared_end(parts, path)
            cased = bool(parts) and unicodedata.normalize("NFC", parts[-1]) == unicodedata.normalize("NFC", path[-1])
            agreed.append((same, same == len(parts), cased))
        return max(agreed, default=(0, False, False))

    def _exported_as(self, image: ImageRecord) -> str:
        return self._exported.get(image.id, "")

    # -- available pictures ------------------------------------------------------------------------

    @cached_property
    def _in_folder(self) -> PathEnds[Path]:
        """The pictures of the folder by their names and those folders below it that no layout prescribes."""
        if self.folder is None:
            return PathEnds(())
        inside = ((path.parent.relative_to(self.folder.root).parts, path) for path in self.folder.paths)
        return PathEnds(((*without_layout(folders), path.name), path) for folders, path in inside)

    def _is_ours(self, path: Path) -> bool:
        return str(path) in self._by_path or (self.folder is None or self.folder.root in path.parents)

    def _search(self, names: Sequence[str]) -> Path | None:
        elsewhere: Path | None = None
        for parts in filter(None, map(parts_of, names)):
            found = self._in_folder_named(parts)
            if len(found) > 1:
                places = ", ".join(str(path) for path in found[:3])
                raise ImageError(f"could be several pictures: {places}. Import them a folder at a time.")
            if found:
                return found[0]
            elsewhere = elsewhere or _any_called(parts[-1], self._in_folder)
        if elsewhere and not any(parts_of(name) and name in self._by_exported for name in names):
            raise _other_folder(str(elsewhere), str(elsewhere.parent))
        return None

    def _in_folder_named(self, parts: Sequence[str]) -> list[Path]:
        """The pictures of the folder whose folders do not contradict a name's, the nearest of them."""
        meant = (*without_layout(parts[:-1]), parts[-1])
        along = [one for one in self._in_folder.along(meant) if one.shared]
        if along and along[-1].shared == len(meant):
            return nearest(parts, along[-1].regrouped(lambda path: path.parts))
        # Those that the name has folders above.
        return nearest(parts, PathEnds((path.parts, path) for one in along for path in one.ended))

    def _of_file(self, file: Path) -> list[ImageRecord]:
        for path in dict.fromkeys((str(file), os.path.realpath(file))):
            if path in self._by_path:
                return self._by_path[path]
        if not self.records:
            return []
        same_bytes = self._by_content.get(content_hash(file))
        # An upright copy, or one re-saved without loss, has other bytes.
        hashes = [] if same_bytes else pixel_hashes(file)
        return same_bytes or next((self._by_pixels[one] for one in hashes if one in self._by_pixels), [])

    def _shown_like(self, file: Path, named: ImageReference) -> list[ImageRecord]:
        """Images exported under that name whose 8 bits are the file's: an export has no more."""
        names = [*readings(named.name), named.original]
        records = [record for name in names for record in self._by_exported.get(name, [])]
        stems = [record for name in names for record in self._by_stem.get(os.path.splitext(name)[0], [])]
        likely = {record.id: record for record in (*records, *stems)}.values()
        if not likely:
            return []
        shown = pixel_hashes(file)[0]
        return [record for record in likely if os.path.isfile(record.path) and shown in pixel_hashes(record.path)]

    def _of_content(self, content: bytes) -> list[ImageRecord]:
        same_bytes = self._by_content.get(hashlib.sha256(content).hexdigest())
        hashes = [] if same_bytes or not self.records else pixel_hashes(content)
        return same_bytes or next((self._by_pixels[one] for one in hashes if one in self._by_pixels), [])

    def _one(self, found: Sequence[ImageRecord], named: ImageReference) -> ImageRecord:
        """The image with that name among those with the same pixels; of several in one dataset the first."""
        names = {*readings(named.name), named.original}
        last = {name_key(PurePosixPath(name).name) for name in names}
        for some in (
            [record for record in found if self._exported[record.id] in names],
            [record for record in found if name_key(record.filename) in last],
            found,
        ):
            if len({record.dataset_id for record in some}) == 1:
                return some[0]
        raise _several(found)

    # -- names alone -------------------------------------------------------------------------------

    def _by_names(self, named: ImageReference) -> ImageRecord:
        elsewhere: ImageRecord | None = None
        for name in (*([named.original] if named.original else []), *readings(named.name)):
            parts = parts_of(name)
            if not parts:
                continue
            stem = safe(os.path.splitext(name)[0] if is_picture_name(parts[-1]) else name, "")
            # One after the other: an exported name is there at once, and so decides.
            found = self._by_exported.get(name, []) or self._named(name, parts) or self._by_stem.get(stem, [])
            if len(found) > 1:
                raise _several(found)
            if found:
                return found[0]
            elsewhere = elsewhere or _any_called(parts[-1], self._by_end)
        if elsewhere:
            raise _other_folder(elsewhere.path, str(Path(elsewhere.path).parent))
        raise ImageError("no image of that name. Add its picture first, or say where it is with images=.")

    def _named(self, name: str, parts: Sequence[str]) -> list[ImageRecord]:
        """The images of that name whose folders do not contradict the name's, the nearest of them."""
        meant = without_layout(parts[:-1])
        if not meant:
            return nearest(parts, self._by_end)
        inside = self._by_folders.deepest((*meant, parts[-1]))
        # On another computer, the upper folders are others.
        elsewhere = os.path.isabs(name) or name[1:2] == ":"
        if inside.shared > len(meant) or (inside.shared > 1 and elsewhere):
            return nearest(parts, inside.regrouped(_shown_parts), self._stored_by_end)
        return nearest(parts, self._stored_by_end)

    @cached_property
    def _exported(self) -> dict[str, str]:
        names = distinct_names(self.records)
        return {record.id: name for record, name in zip(self.records, names, strict=True)}

    @cached_property
    def _by_exported(self) -> dict[str, list[ImageRecord]]:
        return _grouped((self._exported[record.id], record) for record in self.records)

    @cached_property
    def _by_end(self) -> PathEnds[ImageRecord]:
        return PathEnds((_shown_parts(record), record) for record in self.records)

    @cached_property
    def _by_folders(self) -> PathEnds[ImageRecord]:
        """By the name and the folders that no layout prescribes, without stored pictures."""
        shown = ((_shown_parts(record), record) for record in self.records if not _is_stored(record))
        return PathEnds(((*without_layout(parts[:-1]), parts[-1]), record) for parts, record in shown)

    @cached_property
    def _stored_by_end(self) -> PathEnds[ImageRecord]:
        """Stored pictures: they lie in folders named by their bytes, which contradict no name's."""
        return PathEnds((_shown_parts(record), record) for record in self.records if _is_stored(record))

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


def _any_called(name: str, those: PathEnds[T]) -> T | None:
    """One of that name, in whatever folder."""
    found = those.deepest([name])
    return found.things[0] if found.shared else None


def _shown_parts(record: ImageRecord) -> tuple[str, ...]:
    # A picture added from memory or a zip file is stored under another name than it is shown with.
    return (*Path(record.path).parts[:-1], Path(record.filename).name)


def _is_stored(record: ImageRecord) -> bool:
    path = Path(record.path)
    return path.parent.parent.name == "images" and path.parent.name == record.content_hash[:16]


def _is_picture(path: Path) -> bool:
    try:
        # labelme's own examples name the JSON file itself.
        return path.is_file() and path.suffix.lower() != ".json"
    except (OSError, ValueError):  # a name that no file can have
        return False


def _other_folder(place: str, folder: str) -> ImageError:
    return ImageError(
        f"no image of that name in that folder. {place} has the name and lies in another one: if it is meant, "
        f"say images={folder!r}."
    )


def picture_folder(images: AnyPath, path: AnyPath) -> PictureFolder:
    """The folder of pictures for a file or folder of annotations, without the latter if that is inside it."""
    root, place = Path(path).expanduser().absolute(), Path(images).expanduser().absolute()
    return PictureFolder(place, without=root if place in root.parents else None)
