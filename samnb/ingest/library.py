"""`ImageLibrary`: the images of a session, found by any of their names, and their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import images as picture_files
from ..catalog import Catalog, ImageRecord
from ..encoding.encoder import Encoder
from ..encoding.large_images import LargeImages
from ..encoding.regions import Region, check_region
from ..errors import ImageError, PromptError, UnknownOption
from ..images import thumbnail
from ..images.large import ArraySource, LargePicture
from ..images.lazy import View
from ..images.perceptual import PERCEPTUAL_VERSION
from ..images.pixel_cache import PixelCache
from ..jobs import Event, Job, JobControl
from ..records import ImageRef, NewImage
from . import unread
from .add import Hashing, IngestJob
from .reading import new_image
from .views import Stack, ViewWriter


class ImageLibrary:
    """The images of one catalog: found, read, added.

    Parameters
    ----------
    catalog : Catalog
    folder : Path
        The session's folder; pictures from memory are saved in its "images".
    encoder : Encoder
        Knows which embeddings the store holds.

    Examples
    --------
    >>> import tempfile, numpy as np, samnb
    >>> session = samnb.Session(tempfile.mkdtemp())
    >>> library = ImageLibrary(session.catalog, session.folder, session._encoder)
    >>> report = library.add(np.zeros((60, 80, 3), np.uint8), dataset="monday", start=False).run_to_report()
    >>> library.pixels(report.images[0].filename).shape
    (60, 80, 3)
    >>> session.close()
    """

    def __init__(self, catalog: Catalog, folder: Path, encoder: Encoder):
        self.catalog, self.folder = catalog, folder
        self._encoder = encoder
        self._pixels = PixelCache()

    @property
    def overviews(self) -> LargeImages:
        """Keeps the overviews of large images."""
        return self._encoder.large

    def image(self, image: ImageRef, *, dataset: str | None = None) -> ImageRecord:
        """One image by name, "dataset/file name", id, path or hash; of `dataset` first. Raises `UnknownName`."""
        return image if isinstance(image, ImageRecord) else self.catalog.image(image, dataset=dataset)

    def select(self, dataset: str | None = None, images: Iterable[ImageRef] | None = None) -> list[ImageRecord]:
        """The images that the arguments `dataset` and `images` of a call mean; with neither, all.

        Raises
        ------
        UnknownOption
            Both are given.
        UnknownName
            No such dataset or image.
        """
        if images is None:
            return self.catalog.images(dataset=dataset)
        if dataset is not None:
            raise UnknownOption("a call with images=[...]", ["dataset"], ["images"])
        return [self.image(image) for image in ([images] if isinstance(images, (str, Path, ImageRecord)) else images)]

    def files(self, dataset: str | None = None, images: Iterable[ImageRef] | None = None) -> list[ImageRecord]:
        """As `select`; of the images of one file in several datasets, only the first, if none are named."""
        selected = self.select(dataset, images)
        if images is not None:
            return selected
        first: dict[str, ImageRecord] = {}
        # One from the earlier server that was not read yet has its own hash to learn.
        return [r for r in selected if not r.is_read or first.setdefault(r.path, r) is r]

    def read(self, image: ImageRef) -> ImageRecord:
        """One image with its hashes; see `with_hashes`. Raises `ImageError` where its file cannot be read."""
        record = self.image(image)
        if not record.is_read:
            [record] = self.with_hashes([record])
        if not record.is_read:
            new_image(record.path, self.overviews)  # says what is wrong with the file
            [record] = self.with_hashes([record])  # nothing any more
        return record

    def with_hashes(self, records: Sequence[ImageRecord], *, control: JobControl | None = None) -> list[ImageRecord]:
        """The same images; the files of those that were not read yet are read. A job has `once_read`."""
        return unread.with_hashes(self._reader(), records, control=control)

    def once_read(
        self,
        records: Sequence[ImageRecord],
        work: Callable[[list[ImageRecord]], Iterator[Event]],
        *,
        control: JobControl,
        on: Any = None,
    ) -> Iterator[Event]:
        """The events of a work on images, whose files that were not read yet are read first; see `unread.once_read`."""
        return unread.once_read(self._reader(on), records, work, control=control)

    def _reader(self, on: Any = None) -> unread.Reader:
        return unread.Reader(self.catalog, self._encoder.is_known, self.folder / "overviews", on)

    def pixels(self, image: ImageRef) -> NDArray[np.uint8]:
        """(H, W, 3) upright RGB, read-only; the last few are kept in memory. Raises `ImageError`."""
        record = self.read(image)
        if record.width * record.height > picture_files.MAX_PIXELS:
            raise ImageError(
                f"{record.filename}: {record.width} x {record.height} pixels are not read whole. "
                "session.region_pixels(image, region, level=…) reads a part, or the whole at a lower resolution."
            )
        with self._encoder.forgets_changed(record):
            self._encoder.changes.check(record)
            return self._pixels.of(record)

    def large(self, image: ImageRef) -> LargePicture | None:
        """A large image, open to be read in parts; None for others. Raises `ImageError`."""
        record = self.read(image)
        if not self._encoder.large.has(record):
            return None
        with self._encoder.forgets_changed(record):
            self._encoder.changes.check(record)
            return self._encoder.large.open(record)

    def region_pixels(self, image: ImageRef, region: Region, level: int) -> NDArray[np.uint8]:
        """A part of an image at a level; see `samnb.session.Session.region_pixels`."""
        record = self.read(image)
        x0, y0, x1, y1 = checked = check_region(region, record.size_hw)
        if level < 0:
            raise PromptError(f"level: expected 0, for all pixels, or higher; got {level!r}.")
        pixels = ((x1 - x0) >> level) * ((y1 - y0) >> level)
        if pixels > picture_files.MAX_PIXELS:
            raise PromptError(
                f"region: {x1 - x0} x {y1 - y0} pixels at level {level} are {pixels:,}, more than "
                f"{picture_files.MAX_PIXELS:,}. Ask for a smaller region, or a higher level."
            )
        picture = self.large(record) or LargePicture(ArraySource(self.pixels(record)))
        return picture.read(checked, level)

    def thumbnail(self, image: ImageRef, longest_side: int) -> NDArray[np.uint8]:
        """(h, w, 3): a small copy of the pixels; of a large image from its overview."""
        record = self.read(image)
        picture = self.large(record)
        if picture is None:
            return thumbnail(self.pixels(record), longest_side)
        return thumbnail(picture.read((0, 0, record.width, record.height), picture.overview_level), longest_side)

    def add(
        self,
        source: Any,
        *,
        dataset: str = "default",
        stack: Stack = None,
        view: View | None = None,
        hash: Hashing = "now",
        on: Any = None,
        start: bool = True,
    ) -> IngestJob:
        """A job that adds pictures to a dataset; see `samnb.session.Session.add`.

        Parameters
        ----------
        source, dataset, stack, view, hash, on
            As `Session.add` has them.
        start : bool
            Begin at once in the background. False: `run_to_report` does the work.
        """
        views = ViewWriter(self.folder, stack, view)
        has = self._encoder.is_known
        return IngestJob(
            self.catalog,
            self.folder,
            source,
            dataset=dataset,
            is_cached=has,
            views=views,
            hash=hash,
            on=on,
            start=start,
        )

    def is_cached(self, image: ImageRecord | NewImage) -> bool:
        """True when the store holds its embedding now."""
        return self._encoder.has(image)

    def fill_hashes(self, *, on: Any = None) -> Job:
        """A job, begun in the background, that reads the files of images whose hashes are not known."""
        waiting = self.catalog.unread_images(perceptual_version=PERCEPTUAL_VERSION)
        work = partial(unread.fill_events, self._reader(on), waiting)
        return Job("fill hashes", lambda control: work(control=control), total=len(waiting))
