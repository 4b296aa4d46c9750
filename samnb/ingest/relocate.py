"""`relocate`: files of a catalog that were moved or renamed, found again by their bytes.

`follow_folder`: the same for the pictures that a session stores itself, when its folder was moved, renamed or copied.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..cards import count_text, more_text
from ..catalog import Catalog, ImageRecord, NewImage
from ..catalog.stored_paths import STORED_NAME
from ..errors import AnyPath, ImageError, WorkWouldBeLost
from ..images import content_hash, find_images
from ..printable import printable
from ..remote_files import is_address
from .relocate_views import missing_sources, moved_views
from .threads import threads
from .views import save_details

_log = logging.getLogger("samnb.upkeep")
_STORED = re.compile(rf"[\\/]images[\\/]({STORED_NAME.pattern})$")


@dataclass(frozen=True, repr=False)
class RelocationReport:
    """The result of `relocate`: images whose files it found elsewhere, and those whose files are still missing."""

    folder: str
    found: tuple[ImageRecord, ...]
    missing: tuple[ImageRecord, ...]
    added_again: int = 0
    """How many of the missing are in the dataset a second time, where they are now, with work of a person on both."""

    def __str__(self) -> str:
        total = len(self.found) + len(self.missing)
        if not total:
            return "No file is missing."
        lines = [f"{len(self.found)} of {total} missing files found in {self.folder}"]
        lines += [
            "  ⚠ " + printable(f"{image.dataset}/{image.filename}: was {image.path}") for image in self.missing[:20]
        ]
        more = more_text(len(self.missing), 20, "in .missing")
        if self.added_again:
            lines.append(
                f"  {count_text(self.added_again, 'file')} found, but added again meanwhile, and annotated: "
                "session.remove_image(…, discard_annotations=True) takes the second image out, then relocate again"
            )
        return "\n".join([*lines, *([f"  {more}"] if more else [])])

    __repr__ = __str__


def relocate(catalog: Catalog, folder: AnyPath) -> RelocationReport:
    """Find files that were moved or renamed, by their bytes, and save where they are now.

    A file that was added to the dataset again where it is now is an image of its own: that one goes, unless a person
    annotated it too. The source of slices and views is found by its name, if it shows the same pixels.

    Parameters
    ----------
    catalog : Catalog
        Images whose files are where they were do not change.
    folder : path
        Searched with all folders below. Only files of the size of a missing one are read.

    Raises
    ------
    ImageNotFound
        The folder does not exist or holds no picture.
    """
    images = catalog.images()
    missing = [image for image in images if not is_address(image.path) and not os.path.exists(image.path)]
    taken = {(image.dataset_id, image.path): image for image in images}
    places = _places(find_images(folder), missing) if missing else {}
    moved: dict[str, NewImage] = {}
    states = catalog.image_states() if places else {}
    kept = 0
    for image in missing:
        there = sorted(places.get(image.content_hash, ()), key=lambda path: path.name != image.filename)
        free = [path for path in there if (image.dataset_id, str(path)) not in taken]
        again = [] if free else [(path, taken[image.dataset_id, str(path)]) for path in there]
        again = [(path, other) for path, other in again if other.id not in moved]
        gave_way = (path for path, other in again if other.id not in states and _removed(catalog, other))
        path = free[0] if free else next(gave_way, None)
        kept += path is None and bool(again)
        if path is not None:
            taken[image.dataset_id, str(path)] = image
            status = path.stat()
            stamp: dict[str, Any] = {
                "size_bytes": status.st_size,
                "mtime_ns": status.st_mtime_ns,
                "inode": status.st_ino,
            }
            moved[image.id] = replace(image.as_new(), path=str(path), filename=path.name, **stamp)
    views = missing_sources(images)
    shown = [image for image in images if image.id in views]
    moved |= moved_views(shown, views, find_images(folder)) if shown else {}
    found = {image.id: image for image in catalog.renew_images(moved)}
    save_details(catalog, [image for image in found.values() if image.id in views])
    still_missing = tuple(image for image in (*missing, *shown) if image.id not in found)
    return RelocationReport(str(folder), tuple(found.values()), still_missing, kept)


def _removed(catalog: Catalog, again: ImageRecord) -> bool:
    """Whether the image that was added again where a moved file is now is gone: not if it has work of a person."""
    try:
        catalog.remove_image(again.id)
    except WorkWouldBeLost:
        return False
    return True


def follow_folder(catalog: Catalog, folder: Path) -> int:
    """Save where a session's stored pictures are now, if its folder had another path; returns their number.

    The names of stored pictures begin with their hash. So the file of that name in this folder is the same picture,
    also where the folder is a copy and the first one still exists. A catalog that several sessions share has their
    pictures too: of another session's, none is taken over.

    Parameters
    ----------
    catalog : Catalog
    folder : Path
        The session's; its stored pictures are in "images".
    """
    if catalog.read_only:
        return 0
    here = folder / "images"
    elsewhere = catalog.images_stored_elsewhere(f"{here}{os.sep}")
    places = {image: str(path) for image in elsewhere if (path := _place_in(here, image)) is not None}
    known = catalog.known_paths(set(places.values()))
    # What another session stored exists, and this one has an image of its own for its file of that name. An own
    # catalog may be a copied folder's: then the first folder's files exist, and no image has the copy's.
    all_or_any = all if catalog.in_session_folder else any
    moved = {
        image.id: replace(image.as_new(), path=path)
        for image, path in places.items()
        if not all_or_any((os.path.exists(image.path), path in known))
    }
    return len(catalog.renew_images(moved))


def _place_in(here: Path, image: ImageRecord) -> Path | None:
    """The file in this folder of stored pictures that has the image's name, if its name is one that samnb gave."""
    name = _STORED.search(image.path)
    if name is None or name[2] not in (image.content_hash[:16], image.pixel_hash[:16]):
        return None
    path = here.joinpath(*re.split(r"[\\/]", name[1]))
    return path if path.is_file() else None


def _places(files: Sequence[Path], missing: Sequence[ImageRecord]) -> dict[str, list[Path]]:
    """By content hash, the files with the content of a missing image."""
    sizes = {image.size_bytes for image in missing if image.content_hash}
    any_size = 0 in sizes  # the earlier server hashed files and did not keep their sizes
    wanted = {image.content_hash for image in missing} - {""}
    likely = [path.absolute() for path in files if any_size or path.stat().st_size in sizes]
    places: dict[str, list[Path]] = {}
    with ThreadPoolExecutor(max_workers=threads()) as pool:
        for path, found in zip(likely, pool.map(_content_hash, likely), strict=True):
            if found in wanted:
                places.setdefault(found, []).append(path)
    return places


def _content_hash(path: Path) -> str:
    try:
        return content_hash(path)
    except ImageError as error:
        _log.warning("%s", error)
        return ""
