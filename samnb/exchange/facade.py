"""The part of `Session` that is about other tools: annotations out, annotations in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..jobs import Job
from ..progress import run_shown
from ..templates.templating import Templating
from . import export as exports
from .image_matching import KnownPictures
from .importing import Importing, picture_folder, read_contents

if TYPE_CHECKING:
    from .export import ExportReport
    from .report import ImportReport

__all__ = ["Exchange"]


class Exchange(Templating):
    """What a `Session` gives to other tools, and takes from them."""

    def export(self, format: str, path: str | Path, *, dataset: str | None = None, **options: Any) -> ExportReport:
        """Write annotations for other tools; what cannot be written is in the report, and the rest goes on.

        Parameters
        ----------
        format : {"coco", "labelme", "masks", "table", "voc", "yolo"}
            A COCO file; a folder for labelme, of mask pictures, of Pascal VOC or of YOLO; a table, CSV or Parquet.
        path : path
            A file, or a folder. It is there whole, or not at all.
        dataset : str, optional
            None: all images.
        **options
            Of the format, such as ``polygons=True`` for COCO: see docs/exchange.md.

        Raises
        ------
        UnknownName, UnknownOption
            No such format, dataset or option.
        StoreError
            The place cannot be written.
        """
        return exports.export(
            format,
            path,
            images=self.images(dataset),
            annotations=self.catalog.annotations(dataset=dataset),
            categories=self.categories(),
            **options,
        )

    def import_(
        self,
        format: str,
        path: str | Path,
        *,
        dataset: str | None = None,
        images: str | Path | None = None,
        by_hand: bool = False,
        show: bool = True,
        **options: Any,
    ) -> ImportReport:
        """Take annotations from a file of another tool; what cannot be used is in the report, and the rest goes on.

        What is there is never changed: the same object again, or one that was mended by hand since, is left out. So the
        same call again adds nothing, and goes on where it was interrupted. New ones have the source "import:<format>".

        Parameters
        ----------
        format : {"coco", "labelme", "masks"}
            A COCO file; a JSON file of labelme or a folder of them; a folder of mask pictures.
        path : path
        dataset : str, optional
            Only its images are meant, and new ones go there. None: all are; new ones go to "default".
        images : path, optional
            A folder with the pictures: those the file names and the session does not have are added.
            None: they are reported.
        by_hand : bool
            New ones count as made by hand: their source is "hand", so that templates are made from them and measured
            by them. For masks that somebody has looked at, not those of a program.
        show : bool
            Draw how far it is (a tqdm bar outside a notebook) when it takes longer than a second.
        **options
            For "coco", ``crowds=False`` leaves out what is marked ``iscrowd``. For "masks", ``categories=["coin", …]``:
            what the numbers 1, 2, … of label maps mean.

        Raises
        ------
        UnknownName, UnknownOption
            No such format, dataset or option.
        ImageNotFound, FormatError
            Nothing there, or a file of another format.
        KeyboardInterrupt
            After the image in hand was finished.
        """
        folder = picture_folder(images, path)
        is_new = dataset is not None and folder is not None and dataset not in {each.name for each in self.datasets()}
        known = KnownPictures([] if is_new else self.images(dataset), folder)
        contents = read_contents(format, path, known, **options)
        work = Importing(
            format,
            Path(path).expanduser(),
            self.catalog,
            known,
            contents,
            add=lambda paths: self.add(paths, dataset=dataset or "default", show=show),
            filled=self._filled,
            tell=self.changes.tell,
            by_hand=by_hand,
        )
        job = Job(f"import {format}", work.events, start=False)
        report: ImportReport = run_shown(job, show=show).details["report"]
        if job.control.cancelled:
            raise KeyboardInterrupt(f"Stopped: {report} · the same call goes on from there")
        return report
