"""`export`: annotations written for other tools, in the formats of `samnb.exchange.writers`.

A format is an entry of `EXPORTERS`. Sizes and coordinates are those of the upright pictures. Images without
annotations are exported too. Every file, and every new folder, is complete or absent: it is written under another
then moved. An annotation or picture that cannot be exported is reported, and the rest continues.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..atomic_files import remove_stale
from ..errors import AnyPath, PromptError, SamnbError, StoreError, UnknownName, UnknownOption
from ..records import AnnotationRecord, AttributeRecord, ImageDetails, ImageRecord
from .items import ExportItems, Lookup, looked_up
from .report import ExportReport
from .writers.coco import export_coco
from .writers.geojson import export_geojson
from .writers.label_tiffs import export_label_tiffs
from .writers.labelme import export_labelme
from .writers.mask_pngs import export_masks
from .writers.ome_zarr import export_ome_zarr
from .writers.table import export_table
from .writers.voc import export_voc
from .writers.yolo import export_yolo

Exporter = Callable[..., ExportReport]
"""Takes the path, the items and the categories; its options are keywords."""

EXPORTERS: dict[str, Exporter] = {
    "coco": export_coco,
    "geojson": export_geojson,
    "labelme": export_labelme,
    "masks": export_masks,
    "table": export_table,
    "tiff": export_label_tiffs,
    "voc": export_voc,
    "yolo": export_yolo,
    "zarr": export_ome_zarr,
}

_PIECE_BY_PIECE: tuple[Exporter, ...] = (export_coco, export_table)
"""Exporters that take `ExportItems`; the others take a list."""


def export(
    format: str,
    path: AnyPath,
    *,
    images: Sequence[ImageRecord],
    annotations: Sequence[AnnotationRecord] | Lookup,
    categories: Sequence[str],
    attributes: Sequence[AttributeRecord] = (),
    exporters: Mapping[str, Exporter] | None = None,
    details: Mapping[str, ImageDetails] | None = None,
    colors: Mapping[str, str] | None = None,
    **options: Any,
) -> ExportReport:
    """Write annotations in one of the formats of `EXPORTERS`.

    Parameters
    ----------
    format : {"coco", "geojson", "labelme", "masks", "table", "tiff", "voc", "yolo", "zarr"}
        See `samnb.exchange.writers`, or docs/exchange.md.
    path : path
        The file or folder; missing folders are made.
    images : sequence of ImageRecord
        In the order of the export.
    annotations : sequence of AnnotationRecord, or callable
        Each on one of `images`, of one of `categories`. A callable finds those of some images by their ids: then "coco"
        and "table" never have all of them in memory, and one of another category, made meanwhile, is left out.
    categories : sequence of str
        Numbered in this order.
    attributes : sequence of AttributeRecord
        The declared ones, for formats that write them.
    exporters : mapping of str to callable, optional
        Further formats, by their names.
    details : mapping of str to ImageDetails, optional
        By image id: places in stacks, and pixel sizes.
    colors : mapping of str to str, optional
        "#rrggbb" of categories, for formats that write colours; the others get those of the palette.
    **options
        Options of the format's exporter.

    Raises
    ------
    UnknownName
        No such format; an annotation's image or category is not among those given.
    UnknownOption
        The format takes no such option.
    PromptError
        A tolerance that is none.
    StoreError
        The place cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> report = export("coco", folder / "none.json", images=[], annotations=[], categories=["coin"])
    >>> report.images, report.annotations, report.files[0].name
    (0, 0, 'none.json')
    """
    known = {**EXPORTERS, **(exporters or {})}
    if format not in known:
        raise UnknownName("export format", format, known)
    exporter = known[format]
    allowed = {name for name, p in inspect.signature(exporter).parameters.items() if p.kind is p.KEYWORD_ONLY}
    about = {"attributes": attributes, "colors": dict(colors or {})}
    declared = {name: about[name] for name in allowed & about.keys()}
    if unknown := options.keys() - (allowed := allowed - about.keys()):
        raise UnknownOption(f"export({format!r})", unknown, allowed or {"none"})
    tolerance = options.get("tolerance", 0)
    if not (isinstance(tolerance, (int, float)) and 0 <= tolerance < float("inf")):
        raise PromptError(f"tolerance: expected a number of pixels, from 0; got {tolerance!r}.")
    place = Path(path).expanduser()
    categories = list(dict.fromkeys(categories))
    if callable(annotations):
        lookup = annotations
    else:
        lookup = looked_up(images, annotations)
        if other := {one.category for one in annotations}.difference(categories):
            raise UnknownName("category", min(other), categories)
    items = ExportItems(images, lookup, categories, details or {})
    remove_stale(place.parent)
    try:
        work = items if exporter in _PIECE_BY_PIECE else list(items)
        report = exporter(place, work, categories, **options, **declared)
    except SamnbError:
        raise
    except OSError as error:
        raise StoreError(
            f"{place}: cannot be written ({error.strerror or error}). Choose another place, "
            "or check the folder's permissions and the disk's free space."
        ) from error
    unsure = min(len(items.unsure), report.annotations)  # of an image that was left out they are not written
    return replace(report, failed=(*items.unfit.values(), *report.failed), unsure=unsure)
