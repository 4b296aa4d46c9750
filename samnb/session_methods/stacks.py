"""The methods of `samnb.session.Session` about stacks, views of scientific pictures, and pixel sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..annotations.annotation import Annotation, Annotations
from ..errors import ImageError
from ..images.lazy import PixelMapping, PixelSize, View, is_lazy, open_source
from ..images.lazy.source import BaseSource
from ..images.lazy.view_files import ViewFile, read_view
from ..ingest.pixel_sizes import pixel_sizes, set_pixel_size
from ..ingest.reading import new_image
from ..ingest.sources import store_bytes
from ..ingest.views import relative_to, save_details
from ..records import ImageRecord, ImageRef
from .parts import SessionParts

if TYPE_CHECKING:
    pass


class StackMethods(SessionParts):
    """Pictures of a stack, what is shown of their channels, and the size of their pixels."""

    def stack_of(self, image: ImageRef) -> list[ImageRecord]:
        """The images of a stack in their order, by any of them; of an image in no stack, itself.

        Examples
        --------
        >>> import pathlib, tempfile, numpy as np, tifffile, samnb
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> tifffile.imwrite(folder / "z.tif", np.zeros((3, 40, 50), np.uint8), imagej=True, metadata={"axes": "ZYX"})
        >>> session = samnb.Session(folder / "session")
        >>> _ = session.add(folder / "z.tif", stack=True, show=False)
        >>> [image.filename for image in session.stack_of("z.tif[z=1]")]
        ['z.tif[z=0]', 'z.tif[z=1]', 'z.tif[z=2]']
        >>> session.close()
        """
        return [record for record, _ in self.catalog.stack_of(self._library.image(image).id)]

    def stack_places(self, image: ImageRef) -> list[tuple[ImageRecord, Mapping[str, int]]]:
        """The images of `stack_of`, each with its place, by axis: ``{"z": 3}``."""
        found = self.catalog.stack_of(self._library.image(image).id)
        return [(record, details.place) for record, details in found]

    def copy_through(
        self,
        image: ImageRef,
        to: ImageRef | Iterable[ImageRef] | None = None,
        *,
        annotations: Iterable[Annotation] | None = None,
    ) -> Annotations:
        """Copy the objects of an image to others of its stack, as made by hand.

        Parameters
        ----------
        image : image reference
        to : image reference or an iterable of these, optional
            Images of the same size; the image itself is left out. Default: those after it in its stack.
        annotations : iterable of Annotation, optional
            Only these; default: all of the image.

        Returns
        -------
        Annotations
            The new ones.

        Raises
        ------
        ImageError
            An image has another size; nothing is copied.
        """
        record = self._library.image(image)
        if to is None:
            stack = self.stack_of(record)
            place = [one.id for one in stack].index(record.id)
            targets: list[ImageRef] = [*stack[place + 1 :]]
        else:
            targets = [to] if isinstance(to, str | Path | ImageRecord) else list(to)
        records = [one for one in map(self._library.image, targets) if one.id != record.id]
        theirs = self._annotations.find(category=None, image=record, dataset=None)
        objects = list(theirs if annotations is None else annotations)
        for one in records:
            if one.size_hw != record.size_hw:
                raise ImageError(
                    f"{one.filename}: {one.width} x {one.height} pixels, and {record.filename} has {record.width} x "
                    f"{record.height}. Objects are copied between images of one size."
                )
        return Annotations(new for one in records for new in self._annotations.copy(objects, one))

    def pixel_size(self, image: ImageRef) -> PixelSize | None:
        """The size of a pixel in µm: as set by `set_pixel_size`, else as the file states it; None: unknown."""
        record = self._library.image(image)
        return pixel_sizes(self.catalog, [record])[record.id]

    def set_pixel_size(
        self,
        x_um: float,
        y_um: float | None = None,
        *,
        z_um: float | None = None,
        dataset: str | None = None,
        images: Iterable[ImageRef] | None = None,
    ) -> None:
        """State the size of a pixel, for files that do not, or state it wrongly.

        Parameters
        ----------
        x_um, y_um, z_um : float
            Width, height (default: the width) and distance of slices, in µm.
        dataset : str, optional
        images : iterable of image references, optional
            Default: all images.

        Raises
        ------
        ImageError
            Not above 0.
        """
        selected = self._library.select(dataset, images)
        set_pixel_size(self.catalog, selected, x_um, y_um, z_um)
        for image in selected:
            self.changes.emit(image.id)

    def mapping(self, image: ImageRef) -> PixelMapping | None:
        """How the values of a picture became pixels; None for an image whose file's pixels are shown as they are."""
        view = read_view(self._library.image(image).path)
        return None if view is None else view.mapping

    def is_scientific(self, image: ImageRef) -> bool:
        """True for a picture whose channels and limits can be chosen: TIFF, OME-Zarr, DICOM, HEIC."""
        path = self._library.image(image).path
        return read_view(path) is not None or is_lazy(path)

    def open_source(self, image: ImageRef) -> tuple[BaseSource, ViewFile]:
        """The file of an image, open to be read in parts, and which part of it the image shows. Close the file.

        Raises
        ------
        ImageError
            It is no scientific picture (TIFF, OME-Zarr, DICOM, HEIC), or cannot be read.
        """
        record = self._library.image(image)
        view = read_view(record.path)
        if view is not None:
            return view.open(record.path), view
        source = open_source(record.path)
        at = tuple((axis.name, 0) for axis in source.description.stack)
        return source, ViewFile(record.path, at, View().mapping(source), relative_to(record.path, self.folder))

    def use_view(self, image: ImageRef, view: View | PixelMapping, *, whole_stack: bool = True) -> list[ImageRecord]:
        """Show an image, and encode it from now on, by other channels, limits or gamma; its annotations stay.

        The pixels change, so the image gets another pixel hash and key. An earlier view finds its embeddings again.

        Parameters
        ----------
        image : image reference
        view : View or PixelMapping
            Of a `View`, the place in the stack does not count.
        whole_stack : bool
            Show all images of the stack so, so that they can be compared.

        Returns
        -------
        list of ImageRecord
            The images as they are now.
        """
        record = self._library.image(image)
        group = self.stack_of(record) if whole_stack else [record]
        source, own = self.open_source(record)
        with source:
            places = [dict(one.at) for one in (read_view(other.path) or own for other in group)]
            mapping = view if isinstance(view, PixelMapping) else view.mapping(source, places)
        renewed = {}
        for other in group:
            shown = replace(read_view(other.path) or own, mapping=mapping)
            stored = store_bytes(self.folder, shown.name, shown.as_bytes())
            new = new_image(stored.path, self._library.overviews)
            renewed[other.id] = replace(new, embedding_cached=self._library.is_cached(new))
        records = self.catalog.renew_images(renewed)
        save_details(self.catalog, records)
        for one in records:
            self.changes.emit(one.id)
        order = {other.id: place for place, other in enumerate(group)}
        return sorted(records, key=lambda one: order[one.id])
