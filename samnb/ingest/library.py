"""The part of `Session` that is about images and datasets: what is there, what comes, goes and moves."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..catalog import Catalog, DatasetRecord, ImageRecord, Removed
from ..encoding.encoder import Encoder, RecentPixels
from ..errors import UnknownOption
from ..images import thumbnail
from ..images.perceptual import PERCEPTUAL_VERSION
from ..jobs import Job
from ..progress import run_shown, show_job
from ..records import ImageRef
from . import relocate as upkeep
from .add import AddJob
from .relocate import Relocated
from .report import AddReport

if TYPE_CHECKING:
    from ..widgets import Upload

__all__ = ["Datasets"]


class Datasets:
    """What a `Session` does with images and datasets."""

    folder: Path
    catalog: Catalog
    _encoder: Encoder
    _pixels: RecentPixels

    def add(self, source: Any, *, dataset: str = "default", show: bool = True) -> AddReport:
        """Add pictures to a dataset; a bad one is reported and the rest goes on.

        What is written stays written, also where this is interrupted: the same call goes on from there at once.

        Parameters
        ----------
        source : path, glob, zip file, PIL image, array, bytes, or a list of these
            Folders are searched recursively; zip files in them are left out. Images and arrays from memory are kept
            as PNG in the session folder, pictures in zip files and bytes as they are. Bytes may come with a name:
            ``(name, bytes)``, ``{name: bytes, ...}``, an open file, or the value of an ipywidgets ``FileUpload``.
        dataset : str
        show : bool
            Draw how far it is (a tqdm bar outside a notebook) when it takes longer than a second.

        Raises
        ------
        ImageNotFound
            A single path or glob where nothing is found.
        KeyboardInterrupt
            After the image in hand was finished; its message says how far it came. A second one breaks off.
        """
        job = self._adding(source, dataset, start=False)
        run_shown(job, show=show)
        assert job.report is not None
        if job.control.cancelled:
            raise KeyboardInterrupt(f"Stopped: {job.report} · the same call goes on from there")
        return job.report

    def add_job(self, source: Any, *, dataset: str = "default", show: bool = True) -> AddJob:
        """Add pictures as `add` does, in the background; `await` it, or `.wait()`. Then it has a `report`.

        Parameters
        ----------
        source, dataset
            As `add` has them.
        show : bool
            Draw a progress widget (a tqdm bar outside a notebook), which can pause and cancel.
        """
        job = self._adding(source, dataset, start=True)
        if show:
            show_job(job)
        return job

    def upload(self, *, dataset: str = "default") -> Upload:
        """A widget to add files from the computer the browser runs on, for the last line of a notebook cell."""
        # By name at run time: the core knows no widgets.
        return importlib.import_module("samnb.widgets").Upload(self, dataset=dataset)

    def images(self, dataset: str | None = None) -> list[ImageRecord]:
        """All images, or those of one dataset, in the order they were added."""
        return self.catalog.images(dataset=dataset)

    def annotation_counts(self, dataset: str | None = None) -> dict[str, int]:
        """Number of annotations by image id; images without any are left out. Masks are not read for it."""
        return self.catalog.count_annotations(dataset)

    def datasets(self) -> list[DatasetRecord]:
        """All datasets, with how many images they have and how many are cached."""
        return self.catalog.datasets()

    def rename_dataset(self, name: str, new_name: str) -> DatasetRecord:
        """Call a dataset something else. Raises `UnknownName` or `NameTaken`."""
        return self.catalog.rename_dataset(name, new_name)

    def delete_dataset(self, name: str, *, discard_annotations: bool = False) -> Removed:
        """Take a dataset out of the session: its images and what was annotated on them.

        Files and embeddings stay, so adding it again needs no encoding. So do the same pictures in other datasets.

        Parameters
        ----------
        name : str
        discard_annotations : bool
            Also where that deletes annotations by hand or from a file.

        Raises
        ------
        UnknownName
            No such dataset.
        WorkWouldBeLost
            It holds annotations by hand or from a file.
        """
        return self.catalog.delete_dataset(name, discard_annotations=discard_annotations)

    def remove_image(self, image: ImageRef, *, discard_annotations: bool = False) -> Removed:
        """Take one image out of its dataset; for what stays, and what is raised, see `delete_dataset`."""
        return self.catalog.remove_image(self.image(image).id, discard_annotations=discard_annotations)

    def relocate(self, folder: str | Path) -> Relocated:
        """Find files that were moved or renamed again, by their bytes, in this folder and those below.

        Images keep their ids, annotations and embeddings. What is still where it was is left alone.

        Raises
        ------
        ImageNotFound
            No pictures there.
        """
        return upkeep.relocate(self.catalog, Path(folder).expanduser())

    def image(self, image: ImageRef) -> ImageRecord:
        """One image by file name, "dataset/file name", id, path or hash.

        Raises
        ------
        UnknownName
            Nothing in the catalog answers to it.
        """
        return image if isinstance(image, ImageRecord) else self.catalog.image(image)

    def pixels(self, image: ImageRef) -> NDArray[np.uint8]:
        """(H, W, 3) upright RGB, read-only; the last few are kept in memory.

        Raises
        ------
        ImageError
            The file is gone, or no longer holds the pixels it was added with.
        """
        return self._pixels.of(self._read(image))

    def thumbnail(self, image: ImageRef, longest_side: int = 96) -> NDArray[np.uint8]:
        """A small copy of the pixels."""
        return thumbnail(self.pixels(image), longest_side)

    def fill_hashes(self, *, show: bool = True) -> Job:
        """Read the files of images whose hashes are not known, in the background; `await` it, or `.wait()`.

        Those are images that came from the earlier server (read without this call when they are first needed, by
        `prewarm`, `predict`, or `add` of the file), and images whose perceptual hash was made by an older version. A
        file that is gone or changed is told in its event, and the rest goes on.

        Parameters
        ----------
        show : bool
            Draw a progress widget (a tqdm bar outside a notebook).
        """
        unread = self.catalog.unread_images(perceptual_version=PERCEPTUAL_VERSION)
        work = partial(upkeep.fill_events, self.catalog, unread, is_cached=self._holds)
        job = Job("fill hashes", lambda control: work(control=control), total=len(unread))
        if show:
            show_job(job)
        return job

    # -- inside ------------------------------------------------------------------------------------

    def _adding(self, source: Any, dataset: str, *, start: bool) -> AddJob:
        return AddJob(self.catalog, self.folder, source, dataset=dataset, is_cached=self._holds, start=start)

    def _holds(self, pixel_hash: str) -> bool:
        """True when the store holds the embedding of these pixels now."""
        return self._encoder.key(pixel_hash) in self._encoder.cache

    def _read(self, image: ImageRef) -> ImageRecord:
        """One image, its file read now if nobody did since it came from the earlier server."""
        return self._filled([self.image(image)])[0]

    def _filled(self, records: Sequence[ImageRecord]) -> list[ImageRecord]:
        return upkeep.filled(self.catalog, records, is_cached=self._holds)

    def _records(self, dataset: str | None, images: Iterable[ImageRef] | None) -> list[ImageRecord]:
        if images is None:
            return self.images(dataset)
        if dataset is not None:
            raise UnknownOption("a call with images=[...]", ["dataset"], ["images"])
        return [self.image(image) for image in ([images] if isinstance(images, (str, Path, ImageRecord)) else images)]
