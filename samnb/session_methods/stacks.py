"""The methods of `samnb.session.Session` about stacks, views of scientific pictures, and pixel sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

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


class StackMethods(SessionParts):
    """Pictures of a stack, what is shown of their channels, and the size of their pixels."""

    def stack_of(self, image: ImageRef) -> list[ImageRecord]:
        """List the images of a stack, by any of them.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        list of ImageRecord
            In the order of their places. Of an image in no stack, itself.

        Raises
        ------
        UnknownName
            No such image, or several.

        Examples
        --------
        >>> import tifffile
        >>> tifffile.imwrite(folder / "z.tif", np.zeros((3, 40, 50), np.uint8), imagej=True, metadata={"axes": "ZYX"})
        >>> _ = session.add(folder / "z.tif", stack=True, show=False)
        >>> [image.filename for image in session.stack_of("z.tif[z=1]")]
        ['z.tif[z=0]', 'z.tif[z=1]', 'z.tif[z=2]']
        """
        return [record for record, _ in self.catalog.stack_of(self._library.image(image).id)]

    def stack_places(self, image: ImageRef) -> list[tuple[ImageRecord, Mapping[str, int]]]:
        """List the images of a stack with their places, by any of them.

        Parameters
        ----------
        image : str, path or ImageRecord
            As in `stack_of`.

        Returns
        -------
        list of (ImageRecord, mapping of str to int)
            The images of `stack_of`, each with its place, by axis: ``{"z": 3}``. The place of an image in no stack is
            empty.

        Raises
        ------
        UnknownName
            No such image, or several.

        Examples
        --------
        >>> import tifffile
        >>> tifffile.imwrite(folder / "z.tif", np.zeros((3, 40, 50), np.uint8), imagej=True, metadata={"axes": "ZYX"})
        >>> _ = session.add(folder / "z.tif", stack=True, show=False)
        >>> [place for _, place in session.stack_places("z.tif[z=1]")]
        [{'z': 0}, {'z': 1}, {'z': 2}]
        """
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
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        to : str, path, ImageRecord, or an iterable of these, optional
            Images of the same size; the image itself is left out. Default: those after it in its stack.
        annotations : iterable of Annotation, optional
            Only these. Default: all of the image.

        Returns
        -------
        Annotations
            The new ones.

        Raises
        ------
        ImageError
            An image has another size, or was added with ``hash="later"`` and its file cannot be read. Nothing is copied
            then.
        PromptError
            One of `annotations` is of an image of another size.
        UnknownName
            No such image, or several.

        Examples
        --------
        >>> import tifffile
        >>> tifffile.imwrite(folder / "z.tif", np.zeros((3, 40, 50), np.uint8), imagej=True, metadata={"axes": "ZYX"})
        >>> _ = session.add(folder / "z.tif", stack=True, show=False)
        >>> _ = session.accept_mask("z.tif[z=0]", np.ones((40, 50), bool), category="cell")
        >>> [copy.image for copy in session.copy_through("z.tif[z=0]")]
        ['z.tif[z=1]', 'z.tif[z=2]']
        """
        record = self._library.read(image)
        if to is None:
            stack = self.stack_of(record)
            place = [one.id for one in stack].index(record.id)
            targets: list[ImageRef] = [*stack[place + 1 :]]
        else:
            targets = [to] if isinstance(to, str | Path | ImageRecord) else list(to)
        records = [one for one in map(self._library.read, targets) if one.id != record.id]
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
        """Tell the size of a pixel, as set by `set_pixel_size`, else as the file states it.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        PixelSize or None
            Width, height and distance of slices (0: unknown) in µm. None: the size is unknown.

        Raises
        ------
        UnknownName
            No such image, or several.
        ImageUnreadable
            The session's file that says what of a picture is shown is damaged.

        Examples
        --------
        >>> import tifffile
        >>> per_cm = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
        >>> tifffile.imwrite(folder / "a.tif", np.zeros((40, 50), np.uint8), **per_cm)
        >>> _ = session.add(folder / "a.tif", show=False)
        >>> session.pixel_size("a.tif")
        PixelSize(x_um=0.25, y_um=0.25, z_um=0.0)
        """
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
        x_um, y_um : float
            Width and height in µm, above 0. Default of the height: the width.
        z_um : float, optional
            Distance of slices in µm; 0: unknown. Default: as it was.
        dataset : str, optional
            Its images.
        images : iterable of str, path or ImageRecord, optional
            These images. Default: all, or those of `dataset`.

        Raises
        ------
        ImageError
            A width or height that is not above 0, or a distance below 0; 1e15 and more.
        UnknownName
            No such dataset or image, or several such images.
        UnknownOption
            Both `dataset` and `images`.

        Examples
        --------
        >>> session.set_pixel_size(0.65, dataset="monday")
        >>> session.pixel_size("coins_1.png")
        PixelSize(x_um=0.65, y_um=0.65, z_um=0.0)
        >>> f"{session.pixel_size('coins_1.png').area_um2(1000):.1f} µm²"
        '422.5 µm²'
        """
        selected = self._library.select(dataset, images)
        set_pixel_size(self.catalog, selected, x_um, y_um, z_um)
        for image in selected:
            self.changes.emit(image.id)

    def mapping(self, image: ImageRef) -> PixelMapping | None:
        """Tell how the values of a picture became pixels.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        PixelMapping or None
            The shown channels with their colours and limits, and the gamma. None: the file's pixels are shown as they
            are.

        Raises
        ------
        UnknownName
            No such image, or several.
        ImageUnreadable
            The session's file that says what of a picture is shown is damaged.

        Examples
        --------
        >>> import tifffile
        >>> tifffile.imwrite(folder / "deep.tif", np.arange(2000, dtype=np.uint16).reshape(40, 50))
        >>> _ = session.add(folder / "deep.tif", view=samnb.View(limits=(0, 1999)), show=False)
        >>> print(session.mapping(session.images("default")[0]))
        0..1999 (limits: by hand)
        """
        view = read_view(self._library.image(image).path)
        return None if view is None else view.mapping

    def is_scientific(self, image: ImageRef) -> bool:
        """Tell whether the channels and limits of a picture can be chosen: of TIFF, OME-Zarr, DICOM and HEIC.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        bool
            True: `use_view` and `open_source` take it. False also for a file that is gone.

        Raises
        ------
        UnknownName
            No such image, or several.
        ImageUnreadable
            The session's file that says what of a picture is shown is damaged.

        Examples
        --------
        >>> import tifffile
        >>> tifffile.imwrite(folder / "a.tif", np.zeros((40, 50), np.uint8))
        >>> _ = session.add(folder / "a.tif", show=False)
        >>> session.is_scientific("a.tif"), session.is_scientific("coins_1.png")
        (True, False)
        """
        path = self._library.image(image).path
        return read_view(path) is not None or is_lazy(path)

    def open_source(self, image: ImageRef) -> tuple[BaseSource, ViewFile]:
        """Open the file of a scientific picture, to read its values in parts.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        source : PictureSource
            The open file; close it, or use it in a ``with`` block. Its `read` gives values (H, W, C) of the file's own
            type.
        view : ViewFile
            What of the file the image shows: its place in the stack, `at`, and its `mapping`.

        Raises
        ------
        ImageError
            It is no scientific picture (TIFF, OME-Zarr, DICOM, HEIC), is gone, or cannot be read.
        UnknownName
            No such image, or several.

        Examples
        --------
        >>> import tifffile
        >>> tifffile.imwrite(folder / "z.tif", np.full((3, 40, 50), 700, "u2"), imagej=True, metadata={"axes": "ZYX"})
        >>> _ = session.add(folder / "z.tif", stack=True, show=False)
        >>> source, view = session.open_source("z.tif[z=1]")
        >>> with source:
        ...     values = source.read(at=dict(view.at))
        >>> values.shape, int(values.max())
        ((40, 50, 1), 700)
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
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        view : View or PixelMapping
            What to show; `mapping` of another image gives the same. Of a `View`, the place in the stack does not count.
        whole_stack : bool
            Show all images of the stack so, so that they can be compared. False: only this one.

        Returns
        -------
        list of ImageRecord
            The images as they are now, in the order of the stack.

        Raises
        ------
        ImageError
            It is no scientific picture (TIFF, OME-Zarr, DICOM, HEIC), is gone, or cannot be read; limits that the file
            does not have, or of another number than there are channels. Nothing has changed then.
        UnknownName
            No such image, or several; no such channel or colour. Nothing has changed then.

        Examples
        --------
        >>> import tifffile
        >>> tifffile.imwrite(folder / "z.tif", np.zeros((3, 40, 50), np.uint16), imagej=True, metadata={"axes": "ZYX"})
        >>> _ = session.add(folder / "z.tif", stack=True, show=False)
        >>> changed = session.use_view("z.tif[z=1]", samnb.View(limits=(0, 4095), gamma=0.5))
        >>> len(changed), str(session.mapping("z.tif[z=2]"))
        (3, '0..4095, gamma 0.5 (limits: by hand)')
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
