"""`ViewFile`: a small file that stands for one picture of a source, shown by a mapping.

A slice of a stack, or a picture shown by chosen channels and limits, has no file of its own. Its view file names the
source, the place in the stack and the mapping, so that it is an image like any other: it has a path, and pixels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AnyPath, ImageError, ImageNotFound, ImageUnreadable
from ...json_files import parse_json
from ...remote_files import is_address
from ..file_status import Status, folder_status
from ..hashing import pixel_hash
from ..memory import decoding
from .description import SourceDescription
from .mapping import PixelMapping, on_white
from .opening import open_source
from .source import BaseSource, checked_place

_BEGINNING = b'{"samnb": "view",'
_VERSION = 1


@dataclass(frozen=True)
class ViewFile:
    """What a view file holds.

    Parameters
    ----------
    source : str
        Absolute path of the file, or of the OME-Zarr folder.
    relative : str
        The same from the session folder, with slashes; "" if there is none. It counts where `source` is not there: a
        session and its pictures may be moved together.
    at : tuple of (str, int)
        The place in the stack.
    mapping : PixelMapping
    """

    source: str
    at: tuple[tuple[str, int], ...]
    mapping: PixelMapping
    relative: str = ""

    @property
    def name(self) -> str:
        """The name to show: of the source, with the place in its stack.

        >>> from samnb.images.lazy.view_files import PixelMapping, ViewFile
        >>> ViewFile("/data/plate.tif", (("t", 0), ("z", 3)), PixelMapping(())).name
        'plate.tif[t=0,z=3]'
        """
        return f"{os.path.basename(self.source)}[{place_text(self.at) or 'view'}]"

    def as_bytes(self) -> bytes:
        """The file."""
        values = {"samnb": "view", "version": _VERSION, "source": self.source, "relative": self.relative}
        values |= {"at": dict(self.at), "mapping": self.mapping.as_dict()}
        return json.dumps(values, indent=1, separators=(",", ": ")).replace("\n ", "", 1).encode("ascii")

    def path_from(self, view_path: AnyPath) -> str:
        """Where the source is now, seen from the view file at that path."""
        if self.relative and not os.path.exists(self.source):
            # <session>/images/<hash>/<name>
            near = os.path.join(Path(view_path).absolute().parents[2], *self.relative.split("/"))
            if os.path.exists(near):
                return os.path.normpath(near)
        return self.source

    def open(self, view_path: AnyPath) -> BaseSource:
        """The source, open. Raises `ImageError`."""
        path = self.path_from(view_path)
        if not os.path.exists(path):
            expected, advice = f"the file that {self.name} shows", "Put it back, or add it again from where it is"
            raise ImageNotFound(path, expected=expected, found=advice)
        return open_source(path)


def place_text(at: Mapping[str, int] | tuple[tuple[str, int], ...]) -> str:
    """A place in a stack as text: "t=0,z=3"."""
    return ",".join(f"{name}={index}" for name, index in (at.items() if isinstance(at, Mapping) else at))


def is_view_name(path: AnyPath) -> bool:
    """True for the name of a view file; what is in it, `view_in` says.

    >>> is_view_name("images/0123456789abcdef/plate.tif[z=3]"), is_view_name("plate.tif")
    (True, False)
    """
    return os.fspath(path).endswith("]")


def view_in(content: bytes, path: AnyPath = "") -> ViewFile | None:
    """The view in the bytes of a file; None for other files. Raises `ImageUnreadable` for a damaged view file."""
    # An object of a store must not make this computer open a file of its own.
    if not content.startswith(_BEGINNING) or is_address(path):
        return None
    try:
        values: Any = parse_json(content)
        at = tuple((str(name), int(index)) for name, index in values["at"].items())
        if values["version"] > _VERSION:
            raise ValueError(f"version {values['version']} of a newer samnb")
        mapping = PixelMapping.from_dict(values["mapping"])
        return ViewFile(str(values["source"]), at, mapping, str(values.get("relative", "")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ImageUnreadable(path, f"a damaged view file ({error or type(error).__name__})") from error


def read_view(path: AnyPath) -> ViewFile | None:
    """The view file at a path; None where there is another file, or none."""
    if not is_view_name(path) or is_address(path):
        return None
    try:
        with open(path, "rb") as file:
            return view_in(file.read(1 << 20), path)
    except OSError:
        return None


def shown_and_hash(view: ViewFile, path: AnyPath) -> tuple[NDArray[np.uint8], str]:
    """(H, W, 3) uint8 pixels of a view, and its pixel hash. Raises `ImageError`."""
    with view.open(path) as source:
        return pixels_and_hash(source, view.mapping, dict(view.at), path)


def pixels_and_hash(
    source: BaseSource, mapping: PixelMapping, at: Mapping[str, int], path: AnyPath, *, blend: bool = False
) -> tuple[NDArray[np.uint8], str]:
    """The same of an open source; `blend`: with white, by the alpha channel of a colour picture."""
    from ..opening import check_size  # imports this package

    about = source.description
    check_size(about.size_hw, path)
    if mapping.indices and max(mapping.indices) >= len(about.channels):
        raise ImageUnreadable(path, f"shows channel {max(mapping.indices)}, of {len(about.channels)} in {about.path}")
    checked_place(about, at)
    with decoding(about.size_hw, path, deep=np.dtype(about.dtype).itemsize > 1):
        if blend and about.has_alpha and mapping.indices == [0, 1, 2]:
            return _blended(source.read(at=at, channels=[0, 1, 2, 3]), mapping, about)
        values = source.read(at=at, channels=mapping.indices)
        return mapping.pixels(values), mapping.hash_of(values)


def _blended(values: NDArray[Any], mapping: PixelMapping, about: SourceDescription) -> tuple[NDArray[np.uint8], str]:
    alpha = values[..., 3:]
    if alpha.dtype != np.uint8:
        alpha = np.round(alpha / (np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1.0) * 255).clip(0, 255)
    colours = np.ascontiguousarray(values[..., :3])
    pixels = on_white(mapping.pixels(colours), alpha.astype(np.uint8), premultiplied=about.premultiplied)
    return pixels, pixel_hash(pixels) if mapping.keeps(values.dtype) else mapping.hash_of(np.ascontiguousarray(values))


def source_stamp(view_path: AnyPath) -> Status | None:
    """The status of a view's source, see `stamp_of`; None if it is no view, or is gone."""
    view = read_view(view_path)
    if view is None:
        return None
    return stamp_of(view.path_from(view_path))


def stamp_of(path: AnyPath) -> Status | None:
    """The status of a source, of an OME-Zarr folder that of its metadata, of DICOM slices that of all; None: gone."""
    file = Path(path)
    try:
        if not file.is_dir():
            return file.stat()
        names = ("zarr.json", ".zattrs", ".zarray")
        meta = next((file / name for name in names if (file / name).is_file()), None)
        return folder_status(file) if meta is None else meta.stat()
    except OSError:
        return None


def describe(path: AnyPath) -> SourceDescription | None:
    """What a picture file, or the source of a view file, holds; None for a file that is not read lazily."""
    view = read_view(path)
    try:
        with open_source(path) if view is None else view.open(path) as source:
            return source.description
    except ImageError:
        return None
