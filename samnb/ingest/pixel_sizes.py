"""The size of a pixel of an image: as a person set it, as its file states it, or unknown."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from ..catalog import Catalog
from ..errors import ImageError
from ..images.lazy import PixelSize
from ..images.lazy.view_files import describe
from ..records import ImageDetails, ImageRecord

BY_FILE, BY_HAND = "file", "hand"


def pixel_sizes(catalog: Catalog, images: Sequence[ImageRecord]) -> dict[str, PixelSize | None]:
    """By image id, the size of a pixel; None where nobody says it."""
    details = catalog.image_details(image.id for image in images)
    return {image.id: _size(details[image.id], image) for image in images}


def export_details(catalog: Catalog, images: Sequence[ImageRecord]) -> dict[str, ImageDetails]:
    """By image id, its details, with the pixel size that its file states where the catalog has none."""
    found = catalog.image_details(image.id for image in images)
    for image in images:
        size = _size(found[image.id], image)
        if size is not None and not found[image.id].x_um:
            x_um, y_um, z_um = size.x_um, size.y_um, size.z_um
            found[image.id] = replace(found[image.id], x_um=x_um, y_um=y_um, z_um=z_um, size_from=BY_FILE)
    return found


def set_pixel_size(
    catalog: Catalog, images: Iterable[ImageRecord], x_um: float, y_um: float | None, z_um: float | None
) -> None:
    """Keep the size of a pixel as a person states it. Raises `ImageError` for sizes that are not above 0."""
    y_um = x_um if y_um is None else y_um
    if not (0 < x_um < 1e15 and 0 < y_um < 1e15 and 0 <= (z_um or 0) < 1e15):
        raise ImageError(f"Expected a pixel size in µm above 0, got {x_um:g} x {y_um:g}.")
    details = catalog.image_details(image.id for image in images)
    catalog.save_image_details(
        {
            key: replace(
                one,
                x_um=float(x_um),
                y_um=float(y_um),
                z_um=one.z_um if z_um is None else float(z_um),
                size_from=BY_HAND,
            )
            for key, one in details.items()
        }
    )


def size_in_file(path: str) -> PixelSize | None:
    """The size that a picture file, or the source of a view file, states; from its header."""
    try:
        status = os.stat(path)
    except OSError:  # a disk that is not connected
        return None
    return _read(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _read(path: str, size: int, mtime_ns: int) -> PixelSize | None:
    about = describe(path)
    return None if about is None else about.pixel_size


def _size(details: ImageDetails, image: ImageRecord) -> PixelSize | None:
    if details.x_um > 0 and details.y_um > 0:
        return PixelSize(details.x_um, details.y_um, details.z_um)
    return size_in_file(image.path)
