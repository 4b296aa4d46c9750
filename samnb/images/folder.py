"""`PictureFolder`: the pictures of a folder, listed once and found by the stem of their names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from pathlib import Path

from ..errors import AnyPath, ImageNotFound
from .discovery import find_images
from .names import name_key, without_layout
from .path_ends import PathEnds


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
        root = _common_folder({path.parent for path in names})
        folder._set(Path(root), names)
        folder.chosen = False
        return folder

    def of_stem(self, stem: str) -> list[Path]:
        """All pictures whose name without suffix is `stem`; if none is, those that differ only in case."""
        found = self._by_stem.deepest([stem])
        return found.spelled_like([stem])[1] if found.shared else []

    def agreeing(self, stem: str, folders: Sequence[str]) -> list[Path]:
        """Those of `of_stem` whose folders do not contradict the folders before a picture's name in a file.

        Folders above a chosen `root` are the user's affair: only those below it count.
        """
        meant = (*without_layout(folders), stem)
        if self.chosen:
            return self._by_folders.agreeing(meant)
        found = self._by_folders.deepest(meant)
        return found.spelled_like(meant)[1] if found.shared == len(meant) else []

    def of_stem_in(self, folder: Path, stem: str) -> list[Path]:
        """Those of `of_stem` in that very folder."""
        return self._in_folder.get(folder, {}).get(name_key(stem), [])

    def _set(self, root: Path, names: Mapping[Path, str]) -> None:
        self.root, self.paths, self._names = root, list(names), names

    @cached_property
    def _by_stem(self) -> PathEnds[Path]:
        return PathEnds(([Path(name).stem], path) for path, name in self._names.items())

    @cached_property
    def _by_folders(self) -> PathEnds[Path]:
        return PathEnds(((*self._folders(path), Path(name).stem), path) for path, name in self._names.items())

    @cached_property
    def _in_folder(self) -> dict[Path, dict[str, list[Path]]]:
        groups: dict[Path, dict[str, list[Path]]] = {}
        for path, name in self._names.items():
            groups.setdefault(path.parent, {}).setdefault(name_key(Path(name).stem), []).append(path)
        return groups

    def _folders(self, path: Path) -> Sequence[str]:
        return without_layout(path.parent.relative_to(self.root).parts) if self.chosen else path.parent.parts


def _common_folder(folders: Set[Path]) -> str:
    """The deepest folder above all of them; the root of the file system if there is none, as over two drives."""
    try:
        return os.path.commonpath(folders)
    except ValueError:
        return os.sep
