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
            manifests (``.csv``, ``.parquet``, ``.txt``) are in docs/many-machines.md. Arrays are (H, W), (H, W, 1),
            (H, W, 3) RGB or (H, W, 4) RGBA. What comes from memory is kept in the session folder with all its values
            (floats of colour with 16 bits), zipped pictures and bytes unchanged. Bytes may be ``(name, bytes)``,
            ``{name: bytes, ...}``, an open file, or of an ipywidgets ``FileUpload``.
        dataset : str
            Its name; a new one is made.
        stack : bool, str or sequence of str, optional
            Of files with several pictures: the axes, such as "z", "t" or "page", of which every picture becomes an
            image, named ``plate.tif[z=3]``; True: all axes. Default: the first picture alone. A stack without such an
            axis is among the failures of the report.
        view : View, optional
            Which channels of a scientific picture are shown, with which limits; see `samnb.View`. Default: as
            ``samnb.View()``.
        hash : {"now", "later"}
            "now": each file is read. "later": none is, until `prewarm`, `fill_hashes` or the first use of an image
            reads it.
        on : Client, str or Executor, optional
            Workers that read the pictures, as for `prewarm`. Default: threads of this process.
        show : bool
            Show progress (a tqdm bar outside a notebook) if it takes longer than a second.

        Returns
        -------
        AddReport
            Its `images` are those of this call that are in the dataset now; `added`, `duplicates` and `changed` count
            them, `failed` has the path and the reason of each picture that was not added.

        Raises
        ------
        ImageNotFound
            A single path, folder or glob without a picture; a manifest without one.
        ImageError
            A single source that is no picture at all: an array of another shape or with NaN, empty bytes, a damaged
            zip file, an address that does not answer.
        PackageMissing
            An address or a manifest whose reader is not installed; workers of Dask without distributed.
        PromptError
            The name of the dataset is empty.
        UnknownName
            Another value of `hash`.
        UnknownOption, WorkersLost
            `on` is something else; no scheduler answers there, or the executor was shut down.
        KeyboardInterrupt
            After the current image is finished; its message has the progress. A second Ctrl+C stops at once.

        Examples
        --------
        >>> session.add(folder / "pictures" / "photos", dataset="photos", show=False)
        10 images in 'photos' · 10 new · 3 duplicates
        >>> report = session.add(["gone.png", np.zeros((60, 80), np.uint8)], dataset="drawn", show=False)
        >>> report.added, [failure.path for failure in report.failed]
        (1, ['gone.png'])
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

        Returns
        -------
        IngestJob
            A `samnb.jobs.Job`; its `report` is None until it has ended.

        Raises
        ------
        UnknownName
            Another value of `hash`. The other errors of `add` are raised when it is awaited, and by `.wait()`.

        Examples
        --------
        >>> job = session.add_job(folder / "pictures" / "photos", dataset="photos", show=False)
        >>> job.wait().status, job.report.added
        ('done', 10)
        """
        job = self._library.add(source, dataset=dataset, stack=stack, view=view, hash=hash, on=on)
        return shown(self._followed(job), show)

    def upload(self, *, dataset: str = "default") -> Upload:
        """A widget to add files from the browser's computer, for the last line of a notebook cell.

        Files are sent in one message: put more than some megabytes into a folder of the server, and use `add`.

        Parameters
        ----------
        dataset : str
            Where the pictures go; a new dataset is made with the first of them.

        Returns
        -------
        Upload
            Its `report` is that of the last files, None before.

        Examples
        --------
        >>> upload = session.upload(dataset="tuesday")
        >>> upload
        <Upload to 'tuesday'>
        >>> upload.close()
        """
        return widget("Upload", self, dataset=dataset)

    def images(self, dataset: str | None = None) -> list[ImageRecord]:
        """All images, or those of one dataset, in the order they were added.

        Parameters
        ----------
        dataset : str, optional
            Its name. Default: all datasets, the oldest first.

        Returns
        -------
        list of ImageRecord
            Each with its `filename`, `dataset`, `path`, `size_hw` (H, W) in pixels, `id` and hashes.

        Raises
        ------
        UnknownName
            No such dataset.

        Examples
        --------
        >>> [image.filename for image in session.images("monday")][:2]
        ['coins_1.png', 'coins_2.png']
        """
        return self.catalog.images(dataset=dataset)

    def image(self, image: ImageRef, *, dataset: str | None = None) -> ImageRecord:
        """One image.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash (or the first eight or more digits of the hash). Of
            one file, or of the same pixels, in several datasets the first is taken.
        dataset : str, optional
            Images of this dataset are meant first.

        Returns
        -------
        ImageRecord

        Raises
        ------
        UnknownName
            No image matches, or several pictures do: the message has their longer names. No such dataset.

        Examples
        --------
        >>> image = session.image("monday/coins_1.png")
        >>> image.dataset, image.width, image.height
        ('monday', 243, 202)
        """
        return self._library.image(image, dataset=dataset)

    def datasets(self) -> list[DatasetRecord]:
        """All datasets, the oldest first, with the numbers of their images and of those that are cached.

        Returns
        -------
        list of DatasetRecord
            Each with its `name`, `images` and `cached`, the number of images whose embedding is in the store.

        Examples
        --------
        >>> [(one.name, one.images, one.cached) for one in session.datasets()]
        [('monday', 6, 1)]
        """
        return self.catalog.datasets()

    def rename_dataset(self, name: str, new_name: str) -> DatasetRecord:
        """Rename a dataset; its images and annotations stay as they are.

        Parameters
        ----------
        name, new_name : str
            Two equal names change nothing.

        Returns
        -------
        DatasetRecord

        Raises
        ------
        UnknownName
            No such dataset.
        NameTaken
            There is a dataset of the new name.
        PromptError
            The new name is empty.

        Examples
        --------
        >>> session.rename_dataset("monday", "week 1").images
        6
        """
        return self.catalog.rename_dataset(name, new_name)

    def delete_dataset(self, name: str, *, discard_annotations: bool = False) -> RemovalReport:
        """Remove a dataset from the session: its images and their annotations.

        Files and embeddings stay, so adding it again needs no encoding. So do the same pictures in other datasets.

        Parameters
        ----------
        name : str
            Of the dataset.
        discard_annotations : bool
            Also if that deletes annotations by hand or from a file. Those that only a template made are deleted anyway.

        Returns
        -------
        RemovalReport
            The numbers of `images` and `annotations` that were removed.

        Raises
        ------
        UnknownName
            No such dataset.
        WorkWouldBeLost
            It holds annotations by hand or from a file. Nothing has changed then.

        Examples
        --------
        >>> gone = session.delete_dataset("monday", discard_annotations=True)
        >>> gone.images, gone.annotations, session.images()
        (6, 1, [])
        """
        return self.catalog.delete_dataset(name, discard_annotations=discard_annotations)

    def remove_image(self, image: ImageRef, *, discard_annotations: bool = False) -> RemovalReport:
        """Remove one image and its annotations from its dataset.

        Its file and its embedding stay, and so does the same picture in other datasets.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        discard_annotations : bool
            Also if that deletes annotations by hand or from a file.

        Returns
        -------
        RemovalReport
            The numbers of `images`, which is 1, and `annotations` that were removed.

        Raises
        ------
        UnknownName
            No such image.
        WorkWouldBeLost
            It has annotations by hand or from a file. Nothing has changed then.

        Examples
        --------
        >>> session.remove_image("coins_6.png").images
        1
        >>> session.remove_image("coins_1.png")
        Traceback (most recent call last):
        ...
        samnb.errors.WorkWouldBeLost: image 'monday/coins_1.png': 1 ... would be deleted too. ...
        """
        return self.catalog.remove_image(self.image(image).id, discard_annotations=discard_annotations)

    def relocate(self, folder: str | Path) -> RelocationReport:
        """Find files that were moved or renamed, by their bytes, in this folder and those below.

        Images keep their ids, annotations and embeddings. Files that did not move are not read.

        Parameters
        ----------
        folder : str or path
            Where the files may be now.

        Returns
        -------
        RelocationReport
            The images that were `found`, and those that are still `missing`.

        Raises
        ------
        ImageNotFound
            Files are missing, and no pictures are there.

        Examples
        --------
        >>> moved = (folder / "pictures" / "monday").rename(folder / "pictures" / "week 1")
        >>> report = session.relocate(folder / "pictures")
        >>> len(report.found), len(report.missing)
        (6, 0)
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

        Returns
        -------
        Job
            Its last event has the numbers "computed" and "failed": a file that cannot be read has failed, and the rest
            continues.

        Raises
        ------
        UnknownOption, WorkersLost, PackageMissing
            When it is awaited, and by `.wait()`: `on` is something else; no scheduler answers there, or the executor
            was shut down; distributed is not installed.

        Examples
        --------
        >>> report = session.add(folder / "pictures" / "photos", dataset="photos", hash="later", show=False)
        >>> session.fill_hashes(show=False).wait()["computed"]
        10
        """
        return shown(self._library.fill_hashes(on=on), show)

    def _followed(self, job: IngestJob) -> IngestJob:
        """New pictures appear in open annotators once they are all there."""
        job.subscribe(lambda event: None, finished=self.changes.emit)
        return job
