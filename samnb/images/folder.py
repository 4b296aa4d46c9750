"""`PictureFolder`: the pictures of a folder, listed once and found by the stem of their names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import AnyPath, ImageNotFound
from .discovery import find_images


class PictureFolder:
    """The pictures of a folder and of all folders below.

    Parameters
    ----------
    folder : path
    without : path, optional
        A folder below that is left out.

    Attributes
    ----------
    root : Path
    paths : list of Path
        Absolute, in natural order.

    Raises
    ------
    ImageNotFound
        No such folder, or no picture in it.
    """

    def __init__(self, folder: AnyPath, *, without: Path | None = None):
        root = Path(folder).expanduser().absolute()
        if not root.is_dir():
            raise ImageNotFound(root, expected="a folder of pictures")
        found = [path for path in find_images(root) if without is None or without not in path.parents]
        self._set(root, {path: path.name for path in found})

    @classmethod
    def of(cls, names: Mapping[Path, str]) -> PictureFolder:
        """Pictures of any folders: a mapping of their absolute paths to the names they are found by."""
        folder = cls.__new__(cls)
        root = os.path.commonpath({path.parent for path in names}) if names else os.sep
        folder._set(Path(root), names)
        return folder

    def of_stem(self, stem: str) -> list[Path]:
        """All pictures whose name without suffix is `stem`."""
        return self._by_stem.get(stem, [])

    def _set(self, root: Path, names: Mapping[Path, str]) -> None:
        self.root, self.paths = root, list(names)
        self._by_stem: dict[str, list[Path]] = {}
        for path, name in names.items():
            self._by_stem.setdefault(Path(name).stem, []).append(path)
