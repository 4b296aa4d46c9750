"""The methods of `samnb.session.Session` about pictures, images and datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..catalog import DatasetRecord, RemovalReport
from ..images.lazy import View
from ..ingest.add import Hashing, IngestJob
from ..ingest.relocate import RelocationReport, relocate
from ..ingest.report import AddReport
from ..ingest.views import Stack
from ..jobs import Job
from ..progress import run_shown
from ..records import ImageRecord, ImageRef
from .parts import SessionParts, shown, widget

if TYPE_CHECKING:
    from ..widgets import Upload


class DatasetMethods(SessionParts):
    """Pictures that become images, and the datasets that they are in."""

    def add(
        self,
        source: Any,
        *,
        dataset: str = "default",
        stack: Stack = None,
        view: View | None = None,
        hash: Hashing = "now",
        on: Any = None,
        show: bool = True,
    ) -> AddReport:
        """Add pictures to a dataset; a bad one is reported and the rest continues.

        Written rows stay, also after an interrupt: the same call continues from there.

        Parameters
        ----------
        source : path, glob, address, manifest, zip file, PIL image, array, bytes, or a list of these
            Folders are searched recursively, without zip files. Addresses (``s3://lab/*.jpg``, ``https://…``) and
            manifests (``.csv``, ``.parquet``, ``.txt``) are in docs/many-machines.md. What comes from memory is kept in
            the session folder with all its values (floats of colour with 16 bits), zipped pictures and bytes unchanged.
            Bytes may be ``(name, bytes)``, ``{name: bytes, ...}``, an open file, or of an ipywidgets ``FileUpload``.
        dataset : str
        stack : bool, str or sequence of str, optional
            Of files with several pictures: the axes, such as "z", "t" or "page", of which every picture becomes an
            image, named ``plate.tif[z=3]``; True: all axes. Default: the first picture alone.
        view : View, optional
            Which channels of a scientific picture are shown, with which limits; see `samnb.View`.
        hash : {"now", "later"}
            "later": nothing is read until `prewarm`, `fill_hashes` or the first use of an image does it.
        on : Client, str or Executor, optional
            Workers that read the pictures, as for `prewarm`.
        show : bool
            Show progress (a tqdm bar outside a notebook) if it takes longer than a second.

        Raises
        ------
        ImageNotFound
            A single path or glob without a picture.
        KeyboardInterrupt
            After the current image is finished; its message has the progress. A second Ctrl+C stops at once.
        """
        job = self._library.add(source, dataset=dataset, stack=stack, view=view, hash=hash, on=on, start=False)
        return run_shown(self._followed(job), show=show)

    def add_job(
        self,
        source: Any,
        *,
        dataset: str = "default",
        stack: Stack = None,
        view: View | None = None,
        hash: Hashing = "now",
        on: Any = None,
        show: bool = True,
    ) -> IngestJob:
        """Add pictures as `add` does, in the background; `await` it, or call `.wait()`. Then it has a `report`.

        Parameters
        ----------
        source, dataset, stack, view, hash, on
            As in `add`.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook), which can pause and cancel.
        """
        job = self._library.add(source, dataset=dataset, stack=stack, view=view, hash=hash, on=on)
        return shown(self._followed(job), show)

    def upload(self, *, dataset: str = "default") -> Upload:
        """A widget to add files from the browser's computer, for the last line of a notebook cell."""
        return widget("Upload", self, dataset=dataset)

    def images(self, dataset: str | None = None) -> list[ImageRecord]:
        """All images, or those of one dataset, in the order they were added."""
        return self.catalog.images(dataset=dataset)

    def image(self, image: ImageRef) -> ImageRecord:
        """One image by file name, "dataset/file name", id, path or hash.

        Raises
        ------
        UnknownName
            No image matches, or several pictures do: the message has their longer names.
        """
        return self._library.image(image)

    def datasets(self) -> list[DatasetRecord]:
        """All datasets, with the numbers of their images and of those that are cached."""
        return self.catalog.datasets()

    def rename_dataset(self, name: str, new_name: str) -> DatasetRecord:
        """Rename a dataset. Raises `UnknownName`, `NameTaken`, or `PromptError` for an empty name."""
        return self.catalog.rename_dataset(name, new_name)

    def delete_dataset(self, name: str, *, discard_annotations: bool = False) -> RemovalReport:
        """Remove a dataset from the session: its images and their annotations.

        Files and embeddings stay, so adding it again needs no encoding. So do the same pictures in other datasets.

        Parameters
        ----------
        name : str
        discard_annotations : bool
            Also if that deletes annotations by hand or from a file.

        Raises
        ------
        UnknownName
            No such dataset.
        WorkWouldBeLost
            It holds annotations by hand or from a file.
        """
        return self.catalog.delete_dataset(name, discard_annotations=discard_annotations)

    def remove_image(self, image: ImageRef, *, discard_annotations: bool = False) -> RemovalReport:
        """Remove one image from its dataset; what stays, and what is raised, is as in `delete_dataset`."""
        return self.catalog.remove_image(self.image(image).id, discard_annotations=discard_annotations)

    def relocate(self, folder: str | Path) -> RelocationReport:
        """Find files that were moved or renamed, by their bytes, in this folder and those below.

        Images keep their ids, annotations and embeddings. Files that did not move are not read.

        Raises
        ------
        ImageNotFound
            No pictures there.
        """
        return relocate(self.catalog, Path(folder).expanduser())

    def fill_hashes(self, *, on: Any = None, show: bool = True) -> Job:
        """Read the files of images whose hashes are not known, in the background; `await` it, or call `.wait()`.

        These were added with ``hash="later"``, or by the earlier server, or have the perceptual hash of an older
        version. `prewarm`, `predict` and `add` read what they need of them by themselves.

        Parameters
        ----------
        on : Client, str or Executor, optional
            Workers, as for `prewarm`.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook).
        """
        return shown(self._library.fill_hashes(on=on), show)

    def _followed(self, job: IngestJob) -> IngestJob:
        """New pictures appear in open annotators once they are all there."""
        job.subscribe(lambda event: None, finished=self.changes.emit)
        return job
