"""OME-Zarr labels: a folder for each stack, or image, with its labels and, if wanted, its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PackageMissing, UnknownName
from ...images.pixel_cache import read_checked
from ...masks.drawing import color_rgb
from ...records import Failure
from ..csv_text import csv_bytes
from ..report import ExportReport
from .label_stacks import LabelStack, numbers_of, planes, stacks_of
from .label_tiffs import INDEX_COLUMNS, index_rows
from .layout import ExportItem, FolderWriter, color_of, each, of_whole_masks

_VERSIONS = ("0.4", "0.5")
_SMALLEST, _CHUNK = 256, 512
_ORDER = {"t": 0, "c": 2, "z": 3, "y": 4, "x": 5}
_AXIS_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def export_ome_zarr(
    path: Path,
    items: Sequence[ExportItem],
    categories: Sequence[str],
    *,
    labels: str = "object",
    pictures: bool = False,
    version: str = "0.5",
    colors: Mapping[str, str] | None = None,
) -> ExportReport:
    """A folder with an OME-Zarr folder for each stack, or image.

    - ``<image>.zarr/labels/objects``: numbers of objects as levels, each half as large as the one before, with the
      size of a pixel in µm if it is known, and the colours of the categories;
    - ``index.csv``: a row for each annotation, with its number in ``label``.

    Parameters
    ----------
    labels : {"object", "linked", "category"}
        As for label TIFFs.
    pictures : bool
        Also the pixels as they are shown, red, green and blue, as the picture that the labels belong to.
    version : {"0.4", "0.5"}
        Of OME-Zarr; 0.4 is Zarr 2, and more programs read it.
    colors : mapping of str to str, optional
        The categories' own colours, "#rrggbb".

    Raises
    ------
    PackageMissing
        Without zarr.
    """
    try:
        import zarr
    except ImportError as error:
        raise PackageMissing("An export of OME-Zarr", "zarr", "scientific", 'export("masks") writes PNG.') from error
    if version not in _VERSIONS:
        raise UnknownName("version of OME-Zarr", version, _VERSIONS)
    index: list[tuple[Any, ...]] = []
    failed: list[Failure] = []
    items = of_whole_masks(items, failed)
    without: set[str] = set()
    of_category = {name: color_of(name, categories, colors or {}) for name in categories}
    with FolderWriter(path, items) as folder:
        for stack in stacks_of(items):
            numbers = numbers_of(stack, categories, labels)
            label_colors = _label_colors(stack, numbers, of_category)
            files: dict[str, Any] = {}
            root = zarr.open_group(zarr.storage.MemoryStore(files), mode="w", zarr_format=2 if version == "0.4" else 3)
            if pictures and not _write_pictures(root, stack, failed, version):
                without.update(item.name for item in stack.items.values())
                continue
            group = root.create_group("labels")
            _describe(group, {"labels": ["objects"]}, version)
            values = np.stack(list(planes(stack, numbers))).reshape(stack.full_shape)
            _write_levels(group.create_group("objects"), values, stack, version, {"image-label": label_colors})
            for name, content in sorted(files.items()):
                folder.write(f"{stack.name}.zarr/{name}", content.to_bytes())
            index += index_rows(stack, f"{stack.name}.zarr", numbers, categories)
        folder.write("index.csv", csv_bytes([INDEX_COLUMNS, *index]))
        items = [item for item in items if item.name not in without]
        folder.write_manifest("zarr", images=[item.name for item in items], failed=failed)
    return ExportReport("zarr", path, len(items), len(index), tuple(folder.files), tuple(failed), folder.notes)


def _write_pictures(root: Any, stack: LabelStack, failed: list[Failure], version: str) -> bool:
    """Write the pixels of the places that can be read; False if there is none, and nothing is written."""
    shape = (*stack.shape, 3, *stack.first.image.size_hw)
    values = np.zeros(shape, np.uint8)

    def read(item: ExportItem) -> None:
        place = tuple(item.details.place.values()) if stack.axes else ()
        image = item.image
        values[place] = np.moveaxis(read_checked(image.path, image.pixel_hash, image.dataset), -1, 0)

    if not list(each(list(stack.items.values()), read, failed)):
        return False
    shown = [
        {"label": name, "color": color, "active": True, "window": {"min": 0, "max": 255, "start": 0, "end": 255}}
        for name, color in (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
    ]
    _write_levels(
        root, values, stack, version, {"omero": {"channels": shown, "rdefs": {"model": "color"}}}, channel=True
    )
    return True


def _write_levels(
    group: Any, values: NDArray[Any], stack: LabelStack, version: str, more: dict[str, Any], *, channel: bool = False
) -> None:
    """Arrays "0", "1" … of (…, H, W), every second pixel of the one before, and their description."""
    details = stack.details
    stored = [*stack.axes, *(["c"] if channel else []), "y", "x"]
    # OME-Zarr has time first, then other axes and the channel, then space.
    axes = sorted(stored, key=lambda axis: (_ORDER.get(axis, 1), stored.index(axis)))
    values = values.transpose([stored.index(axis) for axis in axes])
    um = {"y": details.y_um or 1.0, "x": details.x_um or 1.0, "z": details.z_um or 1.0}
    datasets = []
    number, factor = 0, 1
    while True:
        chunks = tuple(min(side, _CHUNK) if at >= values.ndim - 2 else 1 for at, side in enumerate(values.shape))
        names = (
            {"dimension_names": axes} if version != "0.4" else {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        )
        array = group.create_array(str(number), shape=values.shape, dtype=values.dtype, chunks=chunks, **names)
        array[...] = values
        scale = [um.get(axis, 1.0) * (factor if axis in ("y", "x") else 1) for axis in axes]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
        if max(values.shape[-2:]) <= _SMALLEST:
            break
        values, number, factor = values[..., ::2, ::2], number + 1, factor * 2
    known = [_axis(axis, bool(details.x_um), bool(details.z_um)) for axis in axes]
    multiscale: dict[str, Any] = {"name": stack.name, "axes": known, "datasets": datasets}
    if version == "0.4":
        multiscale["version"] = version
    _describe(group, {"multiscales": [multiscale], **more}, version)


def _axis(name: str, has_size: bool, has_z: bool) -> dict[str, str]:
    kind = _AXIS_TYPES.get(name)
    unit = (name in ("y", "x") and has_size) or (name == "z" and has_z)
    return {"name": name, **({"type": kind} if kind else {}), **({"unit": "micrometer"} if unit else {})}


def _describe(group: Any, values: dict[str, Any], version: str) -> None:
    if version == "0.4":
        group.attrs.update(values)
    else:
        group.attrs["ome"] = {"version": version, **values}


def _label_colors(stack: LabelStack, numbers: dict[int, int], of_category: Mapping[str, str]) -> dict[str, Any]:
    """The colour of each number: that of its category; and the picture two folders above."""
    of_number: dict[int, str] = {}
    for item in stack.items.values():
        for one in item.annotations:
            of_number[numbers[one.id]] = of_category[one.category]
    colors = [{"label-value": number, "rgba": [*color_rgb(color), 255]} for number, color in sorted(of_number.items())]
    return {"colors": colors, "source": {"image": "../../"}}
