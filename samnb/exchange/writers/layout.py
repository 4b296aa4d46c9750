"""Shared by all formats: the items, names that fit any file system, folders that are complete or absent."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from ...atomic_files import keep_names, make_folder, publish, remove_stale, staging_path, sync, write_atomic
from ...cards import count_text
from ...errors import ImageError, StoreError
from ...json_files import read_json
from ...masks import category_color
from ...masks.rle import check_whole
from ...records import AnnotationRecord, Failure, ImageDetails, ImageRecord

MANIFEST = "samnb-export.json"
"""The list of files that an export wrote into a folder, and their hashes: the next one deletes stale ones."""


@dataclass(frozen=True)
class ExportItem:
    """One image to export: its record, a name that no other image has, its annotations, the topmost last.

    `details` has its place in a stack, and the size of its pixels where it is known.
    """

    image: ImageRecord
    name: str
    annotations: tuple[AnnotationRecord, ...]
    details: ImageDetails = field(default_factory=ImageDetails)


def unfit(annotation: AnnotationRecord, size_hw: tuple[int, int]) -> str:
    """Why the annotation's mask does not fit the image, or ""."""
    counts, size = annotation.rle.get("counts"), tuple(annotation.rle.get("size", ()))
    if size != size_hw:
        return (
            f"its mask has another size (H, W), {list(size)}, than the image, {list(size_hw)}. The file was replaced "
            "by one of another size: put the earlier one back, or remove the annotation."
        )
    if not isinstance(counts, list) or sum(counts) != size_hw[0] * size_hw[1] or min(counts) < 0:
        return "its run lengths do not fill the image: the record is damaged. Remove the annotation."
    return ""


def distinct_names(images: Sequence[ImageRecord]) -> list[str]:
    """File names; where several images share one, with the dataset before it, or the folder as well.

    Names that differ only in case are two: others find an image by the name that its file has.
    """
    choices = [
        (i.filename, f"{i.dataset}/{i.filename}", f"{i.dataset}/{Path(i.path).parent.name}/{i.filename}")
        for i in images
    ]
    counts = Counter(name for names in choices for name in set(names))
    used = Names(str)
    return [used.free(next((n for n in names if counts[n] == 1), names[-1])) for names in choices]


def color_of(category: str, categories: Sequence[str], colors: Mapping[str, str]) -> str:
    """The "#rrggbb" colour of a category: its own, else that of its place among all.

    Examples
    --------
    >>> color_of("coin", ["coin", "rim"], {"coin": "#102030"})
    '#102030'
    >>> color_of("rim", ["coin", "rim"], {}) == category_color(1)
    True
    """
    return colors.get(category) or category_color(categories.index(category))


class Names:
    """Names that are taken; upper and lower case count as equal.

    Parameters
    ----------
    key : callable
        What names have in common that count as equal; `str` for exactly the same.

    Examples
    --------
    >>> names = Names()
    >>> names.free("a.png"), names.free("A.png")
    ('a.png', 'A~2.png')
    """

    def __init__(self, key: Callable[[str], str] = str.casefold) -> None:
        self._key = key
        self._used: set[str] = set()
        self._numbers: dict[str, int] = {}  # the last one of a name, so that many of one name take no longer each

    def free(self, name: str) -> str:
        """The name, with a number before its suffix if it is taken; reserves the result."""
        stem, suffix = os.path.splitext(name)
        key = self._key(name)
        number, free = self._numbers.get(key, 1), name
        while self._key(free) in self._used:
            number += 1
            free = f"{stem}~{number}{suffix}"
        self._numbers[key] = number
        self._used.add(self._key(free))
        return free

    def stem(self, name: str) -> str:
        """A free file name without suffix that fits every file system, for an item of that name."""
        # What follows the name of a stack tells its pictures apart: "plate.tif[z=3]".
        return self.free(safe(name if name.endswith("]") else os.path.splitext(name)[0], "image"))


def safe(name: str, instead: str) -> str:
    """A name for every file system: letters, digits, ``. - _``; at most 80 bytes, not hidden.

    >>> safe("monday/münze 3?", "image")
    'monday-münze-3'
    """
    kept = re.sub(r"[^\w.-]+", "-", name).strip(".-")
    return kept.encode()[:80].decode(errors="ignore") or instead


class FolderWriter:
    """Files of a folder, written to a hidden place until all are complete, and then moved.

    A new folder appears at once. In an existing one, files of earlier exports are replaced one after the other or
    deleted, see `write_manifest`. Files that are not in their list, or that were changed since, stay, and are never
    replaced. Nor are the exported pictures, if they are in it.

    Parameters
    ----------
    folder : Path
    items : sequence of ExportItem
        The exported items; their pictures stay as they are.
    listed_in : str
        The folder inside it that has the list.
    asked : str
        A file that the user named: replaced, whatever its origin.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "new"
    >>> with FolderWriter(folder) as writer:
    ...     _ = writer.write("labels/a.txt", b"text")
    ...     folder.exists()
    False
    >>> (folder / "labels" / "a.txt").read_bytes()
    b'text'
    """

    def __init__(self, folder: Path, items: Sequence[ExportItem] = (), *, listed_in: str = ".", asked: str = ""):
        self.folder = folder
        self._listed_in, self._asked = folder / listed_in, folder / asked
        self._earlier = _Manifest.read(self._listed_in)
        self._originals = {os.path.realpath(item.image.path) for item in items}
        self.files: list[Path] = []
        self.stale: set[Path] = set()
        self.notes: tuple[str, ...] = ()
        self._hashes: dict[Path, set[str]] = {}
        self._manifest: _Manifest | None = None

    def write(self, name: str, content: bytes) -> Path:
        """Write one file to the hidden place; returns its final path. An identical file of another origin stays.

        Raises
        ------
        StoreError
            An exported picture, or a file that no export wrote or that was changed since, has that path and another
            content.
        """
        file, digest = self.folder / name, hashlib.sha256(content).hexdigest()
        original = self._is_original(file)
        if original or (os.path.lexists(file) and not self._is_ours(file, digest)):
            if file.is_file() and file.read_bytes() == content:
                return file
            if not original:
                if self._is_listed(file) and not file.is_dir():
                    raise StoreError(self._changed_text(file))
                raise StoreError(
                    f"{file}: is there already, and no earlier export of samnb wrote it ({MANIFEST} does not list it). "
                    "Nothing was written, so that it is not lost. Move it elsewhere, or choose another folder."
                )
            raise StoreError(
                f"{self.folder / name}: is a picture of the session, and this export would replace it by another file. "
                "Nothing was written. Choose another folder, or say pictures=False."
            )
        aside = self._aside / name
        aside.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(content)
        self.files.append(file)
        self._hashes[file] = {digest}
        return file

    def write_manifest(
        self,
        format: str,
        *,
        images: Sequence[str] | Mapping[str, str] = (),
        keep: bool = False,
        failed: Sequence[Failure] = (),
    ) -> None:
        """Write the list of all files so far; files of the existing list that are not written again are stale.

        Stale files that were changed since stay, and so do all if an image failed: its files of the earlier export may
        be the only copy. `notes` says so. Files of exports in other formats stay in the list, separately. The list has
        the names of images if no other file of the export has them all.

        Parameters
        ----------
        images : sequence of str, or mapping
            Names of the images; or of their files without suffix to those.
        keep : bool
            Nothing is stale: several files of this format share the listed ones.
        failed : sequence of Failure
            Images that are not written.
        """
        before = self._earlier.files.get(format, set())
        files = {file for file in self.files if file.is_relative_to(self._listed_in)}
        kept = before if keep else self._kept(before - files, failed)
        self.stale = {file for file in before - kept if not self._is_original(file)}
        lists = {
            name: {file for file in there - files if file.is_file()} for name, there in self._earlier.files.items()
        }
        hashes = {**self._earlier.hashes, **self._hashes}
        self._manifest = _Manifest(self._listed_in, format, {**lists, format: files | kept}, hashes)
        inside = self._listed_in.relative_to(self.folder)
        self.write((inside / MANIFEST).as_posix(), self._manifest.as_bytes(images))

    def __enter__(self) -> FolderWriter:
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(20, "a file is in the way")
        # On the same file system as its place, so that moving is renaming.
        near = self.folder if self.folder.exists() else self.folder.parent
        make_folder(near)
        for place in (self.folder, self.folder.parent):
            remove_stale(place)
        self._block = staging_path(near, folder=True)
        self._aside = self._block.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        try:
            if kind is None:
                self._move()
        finally:
            self._block.__exit__(None, None, None)

    def _is_ours(self, file: Path, digest: str) -> bool:
        """Whether a file may be replaced by one with that hash."""
        if file.is_dir():
            return False
        if file in (self._asked, self._listed_in / MANIFEST):
            return True
        return self._is_listed(file) and not self._is_changed(file, digest)

    def _is_listed(self, file: Path) -> bool:
        return any(file in files for files in self._earlier.files.values())

    def _is_changed(self, file: Path, digest: str = "") -> bool:
        """Whether a listed file is there and has another content; lists of older exports have no hashes."""
        known = self._earlier.hashes.get(file)
        if known is None or not os.path.lexists(file):
            return False
        if not file.is_file():
            return True
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() not in {*known, digest}

    def _changed_text(self, file: Path) -> str:
        listed = {one for files in self._earlier.files.values() for one in files}
        others = sum(map(self._is_changed, listed)) - 1
        more = f" (and {count_text(others, 'other file')})" if others > 0 else ""
        return (
            f"{file}{more}: was changed since an earlier export of samnb wrote it ({MANIFEST} has its hash). "
            "Nothing was written, so that the change is not lost. Choose another folder; or take the change over with "
            "session.import_, if samnb imports the format, and then move the file away."
        )

    def _kept(self, old: set[Path], failed: Sequence[Failure]) -> set[Path]:
        """Files of the earlier list that stay although they are not written again."""
        kept: set[Path] = set()
        if failed:
            # An OME-Zarr folder is one thing: parts of an earlier one would be read as parts of the new one.
            new = {place for file in self.files for place in file.parents if place.suffix == ".zarr"}
            kept = {file for file in old if os.path.lexists(file) and new.isdisjoint(file.parents)}
            if kept:
                files = count_text(len(kept), "file")
                self.notes += (f"{files} of the earlier export kept: some images are not written",)
        changed = {file for file in old - kept if self._is_changed(file)}
        if changed:
            files = count_text(len(changed), "file")
            self.notes += (f"{files} of the earlier export kept: changed since",)
        return kept | changed

    def _is_original(self, file: Path) -> bool:
        return bool(self._originals) and file.is_file() and os.path.realpath(file) in self._originals

    def _move(self) -> None:
        if not self.folder.exists():
            publish(self._aside, self.folder)
            return
        sync(self._aside / file.relative_to(self.folder) for file in self.files)
        if self._manifest is not None:
            # Both lists in one, first: after a crash the next export recognises all of these files.
            both = self._manifest.joined(self._earlier)
            write_atomic(self._listed_in / MANIFEST, both.as_bytes(()))
        for file in self.files:
            file.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._aside / file.relative_to(self.folder), file)
        places = {file.parent for file in self.files}
        keep_names({above for place in places for above in (place, *place.parents) if self._is_inside(above)})
        for file in self.stale - set(self.files):
            file.unlink(missing_ok=True)

    def _is_inside(self, place: Path) -> bool:
        return place == self.folder or self.folder in place.parents


@dataclass(frozen=True)
class _Manifest:
    """The files that exports wrote into a folder, by format, the last format, and what the files may contain.

    A file has two hashes while an export is moving files: its earlier and its new one.
    """

    folder: Path
    format: str = ""
    files: Mapping[str, set[Path]] = field(default_factory=dict)
    hashes: Mapping[Path, set[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> _Manifest:
        """The list of a folder; empty if there is none, or the file is not samnb's."""
        try:
            values = read_json(folder / MANIFEST)
            lists = {**values.get("others", {}), values["format"]: values["files"]}
            inside = _Inside(folder)
            files = {format: {folder / name for name in names if inside(name)} for format, names in lists.items()}
            hashes = {folder / name: {*known} for name, known in values.get("sha256", {}).items()}
            return cls(folder, values["format"], files, hashes)
        except (FileNotFoundError, NotADirectoryError):
            return cls(folder)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # not samnb's
            return cls(folder)

    def joined(self, other: _Manifest) -> _Manifest:
        """With the files of another list too."""
        formats = self.files.keys() | other.files.keys()
        both = {one: self.files.get(one, set()) | other.files.get(one, set()) for one in formats}
        pairs = {file: self.hashes.get(file, set()) | other.hashes.get(file, set()) for file in other.hashes}
        return _Manifest(self.folder, self.format, both, {**self.hashes, **pairs})

    def as_bytes(self, images: Sequence[str] | Mapping[str, str]) -> bytes:
        lists = {
            format: sorted(file.relative_to(self.folder).as_posix() for file in files)
            for format, files in sorted(self.files.items())
            if files or format == self.format
        }
        values: dict[str, Any] = {"format": self.format, "made_with": "samnb", "files": lists.pop(self.format)}
        values |= {"others": lists} if lists else {}
        if images:
            values["images"] = dict(images) if isinstance(images, Mapping) else [*images]
        listed = {file for files in self.files.values() for file in files & self.hashes.keys()}
        hashes = {file.relative_to(self.folder).as_posix(): sorted(self.hashes[file]) for file in sorted(listed)}
        values |= {"sha256": hashes} if hashes else {}
        return json.dumps(values, indent=1).encode("ascii")


class _Inside:
    """Whether a name is a file of a folder: listed files are deleted, and anybody may have written the list.

    Links are followed once for each folder of the names.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._root = os.path.join(os.path.realpath(folder), "")
        self._known: dict[str, bool] = {}

    def __call__(self, name: str) -> bool:
        path = PurePath(name)
        if path.is_absolute() or path.drive or ".." in path.parts:
            return False
        parent = os.path.dirname(name)
        if parent not in self._known:
            real = os.path.join(os.path.realpath(self._folder / parent), "")
            self._known[parent] = real.startswith(self._root)
        return self._known[parent]


def of_whole_masks(items: Sequence[ExportItem], failed: list[Failure]) -> list[ExportItem]:
    """The items for a format of whole pictures of numbers; those too large for it go to `failed`."""
    return list(each(items, lambda item: check_whole(item.image.size_hw), failed))


def each(
    items: Sequence[ExportItem], write: Callable[[ExportItem], object], failed: list[Failure]
) -> Iterator[ExportItem]:
    """Write item after item; one whose picture cannot be read goes to `failed`, and the rest continues."""
    for item in items:
        try:
            write(item)
        except ImageError as error:
            failed.append(Failure(item.name, str(error)))
            continue
        yield item
