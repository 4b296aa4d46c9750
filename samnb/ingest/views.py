"""Pictures of a stack, and pictures shown by a chosen view, as files that can be added: one view file each."""

from __future__ import annotations

import itertools
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..catalog import Catalog
from ..errors import ImageError, ReaderMissing, UnknownName
from ..images.discovery import has_dicom
from ..images.lazy import SourceDescription, View, is_lazy, open_source
from ..images.lazy.description import MOST_PLANES
from ..images.lazy.opening import is_zarr
from ..images.lazy.view_files import ViewFile, read_view
from ..printable import printable
from ..records import Failure, ImageDetails, ImageRecord
from .pixel_sizes import BY_FILE, BY_HAND, size_in_file
from .sources import Address, Item, Rejected, store_bytes

Stack = bool | str | Sequence[str] | None


@dataclass
class ViewWriter:
    """Turns sources into view files, where a stack or a view is asked for, or the source is a folder.

    Parameters
    ----------
    folder : Path
        The session's.
    stack : bool, str or sequence of str
        The axes of which every picture is an image: True for all, None for none.
    view : View or None
    """

    folder: Path
    stack: Stack = None
    view: View | None = None
    notes: list[str] = field(default_factory=list)

    def of_all(self, items: Iterable[Item]) -> Iterator[Item]:
        """Each item, or its view files; where stacks are asked for, all DICOM files of a folder are one stack."""
        slices: dict[str, list[str]] = defaultdict(list)
        plain = not self.stack and self.view is None
        for item in items:
            if plain and isinstance(item, str) and not _is_zarr_folder(item):
                yield item
            elif self.stack and isinstance(item, str) and has_dicom(item):
                slices[os.path.dirname(item)].append(item)
            else:
                yield from self._of(item)
        for folder, files in slices.items():
            for item in [folder] if self._is_series(folder, files) else files:
                yield from self._of(item)

    def _is_series(self, folder: str, files: Sequence[str]) -> bool:
        if len(files) < 2 or len(files) < sum(has_dicom(os.path.join(folder, name)) for name in os.listdir(folder)):
            return False
        try:
            with open_source(folder):
                return True
        except ReaderMissing:
            return False  # said of each file
        except ImageError as error:
            self.notes.append(f"{printable(os.path.basename(folder))}: added as single pictures ({error})")
            return False

    def _of(self, item: Item) -> Iterator[Item]:
        """The view files of a source of which a stack or a view is asked for, or of a folder; any other item itself."""
        if isinstance(item, Address) and (self.stack or self.view is not None):
            yield Rejected(item.path, "stack= and view= need a file on a disk: copy it there, or mount the bucket")
        elif not isinstance(item, str):
            yield item
        elif not is_lazy(item):
            if self.view is None:
                yield item  # a picture without a stack, among others
            else:
                reason = "a view needs a TIFF, OME-Zarr, DICOM or HEIC file: add it without view="
                yield Rejected(item, reason)
        else:
            try:
                yield from self._views_of(item)
            except ImageError as error:
                yield Rejected(item, Failure.of(item, error).reason)
            except UnknownName as error:
                yield Rejected(item, str(error))

    def _views_of(self, path: str) -> Iterator[Item]:
        view = self.view or View()
        with open_source(path) as source:
            about = source.description
            axes = self._axes(about)
            count = math.prod(axis.size for axis in about.stack if axis.name in axes)
            if count > MOST_PLANES:
                raise ImageError(
                    f"{path}: a stack of {count:,} pictures, more than the limit of {MOST_PLANES:,}. Add fewer axes: "
                    f"stack='{axes[-1]}', and view=samnb.View(at=…) for the others."
                )
            places = list(_places(about, axes, view.at))
            if len(places) == 1 and self.view is None and not os.path.isdir(path):
                yield path
                return
            mapping = view.mapping(source, places)
        self.notes.append(_note(about, axes, len(places), str(mapping)))
        relative = relative_to(path, self.folder)
        for place in places:
            file = ViewFile(path, tuple(place.items()), mapping, relative)
            yield store_bytes(self.folder, file.name, file.as_bytes())

    def _axes(self, about: SourceDescription) -> list[str]:
        names = [axis.name for axis in about.stack]
        if self.stack is True:
            return [name for name in names if name not in (self.view or View()).at]
        if not names:
            return []  # a picture without a stack, among others
        wanted = [self.stack] if isinstance(self.stack, str) else list(self.stack or ())
        for name in wanted:
            if name not in names:
                raise UnknownName(f"axis of {about.path}:", str(name), names)
        return wanted


def _is_zarr_folder(path: str) -> bool:
    return os.path.isdir(path) and is_zarr(path)  # one question for each of a million files, instead of three


def relative_to(path: str, folder: Path) -> str:
    """A path from a folder, with slashes; "" on another drive of Windows."""
    try:
        return os.path.relpath(path, folder).replace(os.sep, "/")
    except ValueError:
        return ""


def _places(about: SourceDescription, axes: Sequence[str], at: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """The places of the stack, the last axis fastest; `at` for the axes that are not gone through."""
    for name in at:
        if name not in [axis.name for axis in about.stack]:
            raise UnknownName(f"axis of {about.path}:", name, [axis.name for axis in about.stack] or ["none"])
    ranges = [range(axis.size) if axis.name in axes else (int(at.get(axis.name, 0)),) for axis in about.stack]
    for place in itertools.product(*ranges):
        yield dict(zip((axis.name for axis in about.stack), place, strict=True))


def _note(about: SourceDescription, axes: Sequence[str], count: int, shown: str) -> str:
    name = printable(os.path.basename(about.path))
    left = [f"{axis.name} has {axis.size:,}, of which one was taken" for axis in about.stack if axis.name not in axes]
    unused = [f"{len(about.channels)} channels"] if len(about.channels) > 1 else []
    what = f"{count:,} pictures of its stack" if count > 1 else "one picture"
    return "; ".join([f"{name}: {what}, {shown}", *unused, *left, *about.notes])


def details_of(image_path: str) -> ImageDetails | None:
    """The stack, mapping and pixel size of a view file; None for another file."""
    view = read_view(image_path)
    if view is None:
        return None
    # Of many pictures of one source, the header is read once.
    size = size_in_file(view.path_from(image_path))
    details = ImageDetails(view.source if view.at else "", dict(view.at), view.mapping.as_dict())
    if size is None:
        return details
    return replace(details, x_um=size.x_um, y_um=size.y_um, z_um=size.z_um, size_from=BY_FILE)


def save_details(catalog: Catalog, images: Iterable[ImageRecord]) -> None:
    """Keep the stack, mapping and pixel size of those images that are views; a size set by hand stays."""
    found = {image.id: details for image in images if (details := details_of(image.path)) is not None}
    if not found:
        return
    before = catalog.image_details(found)
    for key, one in before.items():
        if one.size_from == BY_HAND:
            found[key] = replace(found[key], x_um=one.x_um, y_um=one.y_um, z_um=one.z_um, size_from=BY_HAND)
    catalog.save_image_details(found)
