"""The part of `Session` that is about other tools: annotations out, annotations in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import exports
from .templating import Templating

if TYPE_CHECKING:
    from .exports import ExportReport

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
            Of the format, such as ``polygons=True`` for COCO: see docs/formats.md.

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
