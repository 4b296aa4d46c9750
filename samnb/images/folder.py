"""`PictureFolder`: the pictures of a folder, found by file name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import AnyPath, ImageNotFound
from .discovery import find_images
from .reading import read_pixels

__all__ = ["PictureFolder"]


class PictureFolder:
    """The pictures of a folder and all folders below, found by name.

    Parameters
    ----------
    folder : path
    without : path, optional
        A folder below that is left out.

    Raises
    ------
    ImageNotFound
        No such folder, or no picture in it.
    """

    def __init__(self, folder: AnyPath, *, without: Path | None = None):
        self.root = Path(folder).expanduser().absolute()
        if not self.root.is_dir():
            raise ImageNotFound(self.root, expected="a folder of pictures")
        paths = [path for path in find_images(self.root) if without is None or without not in path.parents]
        self._list({path: path.name for path in paths})

    @classmethod
    def of(cls, names: Mapping[Path, str]) -> PictureFolder:
        """Pictures of any folders: a mapping of their absolute paths to the names they are found by."""
        folder = cls.__new__(cls)
        folder.root = Path(os.path.commonpath({path.parent for path in names}) if names else os.sep)
        folder._list(names)
        return folder

    def _list(self, names: Mapping[Path, str]) -> None:
        self.paths = list(names)
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path, name in names.items():
            self._by_name.setdefault(name, []).append(path)
            self._by_stem.setdefault(Path(name).stem, []).append(path)

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """Pixels of the picture with that relative path, or else of the only one with that file name.

        Raises
        ------
        ImageError
            There is none, or several; or it cannot be read.
        """
        direct = self.root / name
        if direct.is_file():
            return read_pixels(direct)
        found = self._by_name.get(Path(name).name, [])
        if len(found) != 1:
            several = f"there are {len(found)} of that name below {self.root}"
            raise ImageNotFound(name, expected=f"one picture: {several}")
        return read_pixels(found[0])

    def of_stem(self, stem: str) -> list[Path]:
        """All pictures whose file name without suffix is `stem`."""
        return self._by_stem.get(stem, [])
