"""`moved_views`: slices and views whose source was moved, with new view files that name it where it is now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import ImageError
from ..images.lazy.view_files import ViewFile, read_view, stamp_of
from ..records import ImageRecord, NewImage
from .reading import new_image
from .sources import StoredFile, discard_stored, store_bytes
from .views import relative_to


def missing_sources(images: Iterable[ImageRecord]) -> dict[str, ViewFile]:
    """By id of the image, the views whose source is not where it was."""
    views = ((image, read_view(image.path)) for image in images)
    return {
        image.id: view for image, view in views if view is not None and stamp_of(view.path_from(image.path)) is None
    }


def moved_views(
    images: Sequence[ImageRecord], views: Mapping[str, ViewFile], files: Iterable[Path]
) -> dict[str, NewImage]:
    """By id, those of the images whose source is among the files: one of its name that shows the pixels of all of them.

    Parameters
    ----------
    images : sequence of ImageRecord
    views : mapping
        As `missing_sources` gives them.
    files : iterable of Path
        Picture files, and folders of OME-Zarr.
    """
    named: dict[str, list[str]] = defaultdict(list)
    for file in files:
        named[file.name].append(str(file.absolute()))
    by_source: dict[str, list[ImageRecord]] = defaultdict(list)
    for image in images:
        by_source[views[image.id].source].append(image)
    moved: dict[str, NewImage] = {}
    for source, group in by_source.items():
        places = named[Path(source).name]
        moved |= next(filter(None, (_shown_by(place, group, views) for place in places)), {})
    return moved


def _shown_by(place: str, images: Sequence[ImageRecord], views: Mapping[str, ViewFile]) -> dict[str, NewImage]:
    """The images as slices and views of that file; none if it shows other pixels of one of them."""
    found: dict[str, NewImage] = {}
    written: list[StoredFile] = []
    for image in images:
        session = Path(image.path).absolute().parents[2]  # <session>/images/<hash>/<name>
        now = replace(views[image.id], source=place, relative=relative_to(place, session))
        written.append(store_bytes(session, now.name, now.as_bytes()))
        try:
            new = new_image(written[-1].path)
        except ImageError:
            break  # a file of that name that is another picture
        if new.pixel_hash != image.pixel_hash:
            break
        found[image.id] = replace(new, embedding_cached=image.embedding_cached)
    else:
        return found
    for one in written:
        discard_stored(one)
    return {}
