"""GeoJSON as QuPath reads it: a file for each stack, or image, with the outlines of its objects in pixels."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...masks.drawing import color_rgb
from ...masks.part import MaskPart
from ...records import AnnotationRecord
from ..report import ExportReport
from .label_stacks import LabelStack, stacks_of
from .layout import ExportItem, FolderWriter, color_of

_SPACE = uuid.UUID("5a3b7d9e-0c1f-5e2a-9b4d-6f8e7c1a2b3d")


def export_geojson(
    path: Path,
    items: Sequence[ExportItem],
    categories: Sequence[str],
    *,
    tolerance: float = 0.0,
    colors: Mapping[str, str] | None = None,
) -> ExportReport:
    """A folder of GeoJSON files, ``<image>.geojson``: a feature for each object.

    Coordinates are pixels of the upright picture, on the pixels' edges, x to the right and y down. A feature has the
    properties that QuPath reads: ``objectType``, ``classification`` with name and colour, ``name``,
    ``measurements``, and attributes as ``metadata``; of a stack, the plane is in the geometry.

    Parameters
    ----------
    tolerance : float
        How far, in pixels, an outline may leave the mask's edge; 0: filling it gives the mask.
    colors : mapping of str to str, optional
        The categories' own colours, "#rrggbb".
    """
    written = 0
    of_category = {name: color_of(name, categories, colors or {}) for name in categories}
    with FolderWriter(path, items) as folder:
        for stack in stacks_of(items):
            features = [
                _feature(one, item, stack, place, of_category[one.category], tolerance)
                for place, item in sorted(stack.items.items())
                for one in item.annotations
            ]
            written += len(features)
            document = {"type": "FeatureCollection", "features": features}
            content = json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii")
            folder.write(f"{stack.name}.geojson", content)
        folder.write_manifest("geojson", images=[item.name for item in items])
    return ExportReport("geojson", path, len(items), written, tuple(folder.files), notes=folder.notes)


def _feature(
    one: AnnotationRecord,
    item: ExportItem,
    stack: LabelStack,
    place: tuple[int, ...],
    color: str,
    tolerance: float,
) -> dict[str, Any]:
    polygons = [
        [_closed(polygon.exterior), *map(_closed, polygon.holes)]
        for polygon in MaskPart.of_rle(one.rle).polygons(tolerance=tolerance)
    ]
    geometry: dict[str, Any] = {"type": "MultiPolygon", "coordinates": polygons}
    if len(polygons) == 1:
        geometry = {"type": "Polygon", "coordinates": polygons[0]}
    if stack.axes:
        at = dict(zip(stack.axes, place, strict=True))
        # QuPath has two axes: pages, frames and other axes are slices.
        other = next((index for axis, index in at.items() if axis not in ("t", "z")), 0)
        geometry["plane"] = {"c": -1, "z": at.get("z", other), "t": at.get("t", 0)}
    measurements: dict[str, float] = {"score": float(one.score), "area px": float(one.area)}
    if item.details.x_um:
        measurements["area µm²"] = one.area * item.details.x_um * item.details.y_um
    properties: dict[str, Any] = {
        "objectType": "annotation",
        "name": f"{one.category} {one.id}",
        "classification": {"name": one.category, "color": list(color_rgb(color))},
        "isLocked": False,
        "measurements": measurements,
    }
    if one.attributes:
        # Texts, as QuPath keeps the metadata of an object.
        values = one.attributes.items()
        properties["metadata"] = {name: str(v).lower() if isinstance(v, bool) else v for name, v in values}
    name = f"{item.image.id}/{one.id}"
    return {"type": "Feature", "id": str(uuid.uuid5(_SPACE, name)), "geometry": geometry, "properties": properties}


def _closed(ring: NDArray[np.float64]) -> list[list[float]]:
    corners = [[float(x), float(y)] for x, y in ring]
    return [*corners, corners[0]]
