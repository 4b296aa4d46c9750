"""The methods of `samnb.session.Session` about exports, imports and recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import PromptError, UnknownOption
from ..exchange.export import ExportReport, export
from ..exchange.importing import import_job
from ..exchange.items import with_others
from ..exchange.report import ImportReport
from ..ingest.pixel_sizes import export_details
from ..ingest.report import AddReport
from ..progress import run_shown
from ..proposals import Proposal
from ..proposals.proposal import OFFERED, as_annotations
from ..records import ImageRef
from ..replay.recipe import Recipe
from ..replay.report import ReplayReport
from .parts import SessionParts


class ExchangeMethods(SessionParts):
    """Files for other tools, and results that others can repeat."""

    add: Callable[..., AddReport]

    def export(
        self,
        format: str,
        path: str | Path,
        *,
        dataset: str | None = None,
        images: Iterable[ImageRef] | None = None,
        proposals: Iterable[Proposal] = (),
        **options: Any,
    ) -> ExportReport:
        """Write annotations for other tools, or with "recipe" for `replay`.

        Failures are in the report, and the rest continues.

        Parameters
        ----------
        format : {"coco", "geojson", "labelme", "masks", "recipe", "table", "tiff", "voc", "yolo", "zarr"}
            A COCO file; a folder for labelme, of mask pictures, of Pascal VOC or of YOLO; a table, CSV or Parquet; a
            recipe, from which the same masks can be made again elsewhere; a folder of label TIFFs, of OME-Zarr labels,
            or of GeoJSON for QuPath, a stack in one file each.
        path : path
            A file, or a folder. It is written completely, or not at all.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these, in this order, such as those that are done; not together with `dataset`.
        proposals : iterable of Proposal
            These as well, under the category "proposal"; not for a recipe.
        **options
            Of the format, such as ``polygons=True`` for COCO: see docs/exchange.md.

        Returns
        -------
        ExportReport
            The numbers of images and annotations, the files, and in `failed` what was left out.

        Raises
        ------
        UnknownName, UnknownOption
            No such format, dataset, image or option; `dataset` with `images`; a table that ends neither in ".csv" nor
            in ".parquet".
        PromptError
            A `tolerance` below 0; for "yolo", a share `val` that is not from 0 to below 1.
        StoreError
            The place cannot be written.
        PackageMissing
            "tiff", "zarr" and Parquet tables need packages that are not installed.

        Examples
        --------
        >>> report = session.export("coco", folder / "coins.json", dataset="monday")
        >>> report.images, report.annotations, report.files[0].name
        (6, 1, 'coins.json')
        >>> session.mark_image("coins_1.png", "done")
        >>> done = [image for image, state in session.image_states("monday").items() if state == "done"]
        >>> session.export("yolo", folder / "training", images=done).images
        1
        """
        offered = as_annotations(proposals, after=self.catalog.last_annotation_id())
        found: Any = {
            "images": list({image.id: image for image in self._library.select(dataset, images)}.values()),
            "annotations": with_others(self.catalog.shown_on, offered),
        }
        found |= {"categories": self.catalog.categories(), "exporters": {"recipe": self._replayer.export}}
        colors = {record.name: record.color for record in self.catalog.category_records() if record.color}
        found |= {"attributes": self.catalog.attributes(), "colors": colors}
        if format != "recipe":
            found["details"] = export_details(self.catalog, found["images"])
        if offered and format == "recipe":
            raise UnknownOption("export('recipe')", ["proposals"], ["dataset"])
        found["categories"] += [OFFERED] if offered else []
        return export(format, path, **found, **options)

    def import_(
        self,
        format: str,
        path: str | Path,
        *,
        dataset: str | None = None,
        images: str | Path | None = None,
        by_hand: bool = False,
        from_boxes: bool = False,
        show: bool = True,
        **options: Any,
    ) -> ImportReport:
        """Add annotations from a file of another tool; failures are in the report, and the rest continues.

        Existing annotations never change: an object that is there already, or was edited by hand since, is left
        out. So a second call adds nothing, and an interrupted one continues. New ones have the source
        "import:<format>".

        Parameters
        ----------
        format : {"coco", "labelme", "masks", "voc", "yolo"}
            A COCO file; a JSON file of labelme, or an XML file of Pascal VOC, or a folder of them; a folder of mask
            pictures; a folder of YOLO's text files, or its ``data.yaml``.
        path : path
            The file or folder.
        dataset : str, optional
            Search only its images, and add new ones to it. None: search all; add new ones to "default".
        images : path, optional
            A folder with the pictures: those that the session does not have are added. None: they are reported.
        by_hand : bool
            New ones count as made by hand: their source is "hand", so that templates are made from them and evaluated
            on them. For masks that a person has checked, not those of a program.
        from_boxes : bool
            Objects that are only boxes: the session's model draws a mask in each, which encodes the image if it was
            never encoded. The annotation keeps the box as its prompt; those with a score below 0.88 are in `to_review`.
            False: boxes are reported; labelme's rectangles are masks.
        show : bool
            Show progress (a tqdm bar outside a notebook) if it takes longer than a second.
        **options
            For "coco", ``crowds=False`` leaves out objects marked ``iscrowd``. For "masks", ``categories=["coin", …]``
            names the numbers 1, 2, … of label maps; for "yolo" the numbers 0, 1, …, if no file has them.

        Returns
        -------
        ImportReport
            The numbers of annotations `added` and `already` there, and in `failed` what was not used.

        Raises
        ------
        UnknownName, UnknownOption
            No such format, dataset or option.
        PromptError
            An empty `dataset`, `categories` that are none, `by_hand` together with `from_boxes`.
        ImageNotFound, FormatError
            Nothing there, no such folder `images`, or a file of another format.
        KeyboardInterrupt
            After the current image is finished.

        Examples
        --------
        >>> path = session.export("coco", folder / "coins.json").path
        >>> session.remove(coin)
        True
        >>> session.import_("coco", path, show=False).added
        1
        >>> session.import_("coco", path, show=False).already
        1
        """
        add = partial(self.add, dataset="default" if dataset is None else dataset, show=show)
        if by_hand and from_boxes:
            raise PromptError(
                "by_hand: masks that the model draws in boxes are not made by hand. Import them, look at them in the "
                "annotator or by review, and leave by_hand out."
            )
        draw = self._predictor.predict if from_boxes else None
        given: Any = {"dataset": dataset, "images": images, "by_hand": by_hand, "draw": draw, "options": options}
        job = import_job(format, path, self._library, add=add, on_changed=self.changes.emit, **given)
        return run_shown(job, show=show)

    def recipe(self, dataset: str | None = None) -> Recipe:
        """The recipe of a dataset's masks, from which `replay` makes them again; `export` writes it to a file.

        Parameters
        ----------
        dataset : str, optional
            None: all images.

        Returns
        -------
        Recipe
            Without images that were never read and whose files cannot be read. Masks of an image that is neither
            encoded nor there can only be copied.

        Raises
        ------
        UnknownName
            No such dataset.

        Examples
        --------
        >>> recipe = session.recipe("monday")
        >>> len(recipe.images), len(recipe.masks), recipe.count("prompt")
        (6, 1, 1)
        """
        return self._replayer.recipe(self.catalog.images(dataset=dataset), self.catalog.annotations(dataset=dataset))

    def replay(self, recipe: Recipe | str | Path, images: str | Path, *, any_model: bool = False) -> ReplayReport:
        """Make a recipe's masks again from pictures in a folder, save them here, and report where they differ.

        Pictures are found by their pixels: they may have other names. Existing images are not added twice: a
        picture that the recipe's dataset has under another path is used as it is there.

        Parameters
        ----------
        recipe : Recipe or path
            Made by `recipe`, or the file that `export` wrote.
        images : path
            A folder with the pictures, searched with its subfolders.
        any_model : bool
            Also with another model than the recipe's; masks will differ.

        Returns
        -------
        ReplayReport
            How many masks are the same, were copied, or differ; in `failed` the pictures that were not found.

        Raises
        ------
        RecipeError
            It cannot be read, or was made with another model.
        ImageNotFound
            No such folder.

        Examples
        --------
        >>> recipe = session.export("recipe", folder / "coins.recipe").path
        >>> with samnb.Session(folder / "elsewhere") as other:
        ...     report = other.replay(recipe, folder / "pictures")
        ...     [annotation.category for annotation in other.annotations()], report.same, report.different
        (['coin'], 1, ())
        """
        return self._replayer.replay(recipe, images, any_model=any_model)
