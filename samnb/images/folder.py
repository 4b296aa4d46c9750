"""`PictureFolder`: the pictures of a folder, listed once and found by the stem of their names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import AnyPath, ImageNotFound
from .discovery import find_images
from .names import name_key, shared_end, without_layout


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

    chosen = True
    """False for pictures of any folders: `root` is then only what they have in common."""

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
        folder.chosen = False
        return folder

    def of_stem(self, stem: str) -> list[Path]:
        """All pictures whose name without suffix is `stem`; if none is, those that differ only in case."""
        found = self._by_stem.get(name_key(stem), [])
        key = unicodedata.normalize("NFC", stem)
        return [path for path in found if unicodedata.normalize("NFC", Path(self._names[path]).stem) == key] or found

    def agrees(self, path: Path, folders: Sequence[str]) -> bool:
        """False if the folders before a picture's name in a file contradict those it lies in.

        Folders above a chosen `root` are the user's affair: only those below it count.
        """
        meant = without_layout(folders)
        where = path.parent.relative_to(self.root).parts if self.chosen else path.parent.parts
        if not self.chosen:
            return shared_end(meant, where) == len(meant)
        inside = without_layout(where)
        return shared_end(meant, inside) == min(len(meant), len(inside))

    def _set(self, root: Path, names: Mapping[Path, str]) -> None:
        self.root, self.paths, self._names = root, list(names), names
        self._by_stem: dict[str, list[Path]] = {}
        for path, name in names.items():
            self._by_stem.setdefault(name_key(Path(name).stem), []).append(path)
