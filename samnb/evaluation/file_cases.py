"""Cases from files: the objects of a COCO file or of a folder of mask pictures, read as an import reads them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import AnyPath, ImageNotFound
from ..exchange.image_matching import ImageMatcher, picture_folder
from ..exchange.readers.coco import read_coco as read_coco_objects
from ..exchange.readers.mask_pngs import read_mask_pictures
from ..exchange.readers.objects import Contents, ImageReference, ImportedObject, Mask
from ..exchange.readers.upright import upright_mask
from ..images import read_pixels
from ..images.folder import PictureFolder
from .cases import CaseList, CaseSource


def read_coco(file: AnyPath, images: AnyPath) -> CaseList:
    """The objects of a COCO file, without crowds; see `samnb.exchange.readers.coco`.

    Parameters
    ----------
    file : path
        JSON in COCO's format for instances, such as `Session.export("coco", …)` writes.
    images : path
        The folder ``file_name`` is relative to; a file of that name in a subfolder is found too.

    Raises
    ------
    ImageNotFound
        No such file or folder.
    FormatError
        Not a COCO file.
    """
    path, folder = Path(file).expanduser().absolute(), PictureFolder(images)
    if not path.is_file():
        raise ImageNotFound(path, expected="a COCO file")
    return _cases(read_coco_objects(path, crowds=False), folder)


def read_masks(masks: AnyPath, images: AnyPath) -> CaseList:
    """The objects of a folder of mask pictures; see `samnb.exchange.readers.mask_pngs`.

    Parameters
    ----------
    masks, images : path
        Two folders, one of which may lie in the other; or the same twice when masks lie beside their pictures.

    Raises
    ------
    ImageNotFound
        No such folder, or no picture in it.
    """
    root = Path(masks).expanduser().absolute()
    if not root.is_dir():
        raise ImageNotFound(root, expected="a folder of mask pictures")
    folder = picture_folder(images, root)
    return _cases(read_mask_pictures(root, folder, categories=None), folder)


class _Picture:
    """A picture that a file names; found and read when its first case is."""

    def __init__(self, reference: ImageReference, matcher: ImageMatcher, folder: PictureFolder):
        self._reference, self._matcher, self._folder = reference, matcher, folder
        self._file, self._size_hw = Path(), (0, 0)

    @property
    def name(self) -> str:
        name = Path(self._reference.name)
        is_below = name.is_absolute() and self._folder.root in name.parents
        return name.relative_to(self._folder.root).as_posix() if is_below else self._reference.name

    def pixels(self) -> NDArray[np.uint8]:
        file = self._matcher.file_of(self._reference)
        if file is None:
            raise ImageNotFound(self.name, expected=f"one picture: there are 0 of that name below {self._folder.root}")
        pixels = read_pixels(file)
        self._file, self._size_hw = file, (pixels.shape[0], pixels.shape[1])
        return pixels

    def mask(self, found: ImportedObject) -> Mask:
        return upright_mask(found, self._size_hw, self._file, self._file.name)[0]


def _cases(contents: Contents, folder: PictureFolder) -> CaseList:
    matcher = ImageMatcher([], folder)
    of_picture: dict[ImageReference, list[ImportedObject]] = {picture: [] for picture in contents.pictures}
    for found in contents.objects:
        of_picture.setdefault(found.picture, []).append(found)
    sources = []
    for reference, objects in of_picture.items():
        picture = _Picture(reference, matcher, folder)
        sources += [
            CaseSource(
                image=picture.name,
                place=found.place,
                read_pixels=picture.pixels,
                read_mask=partial(picture.mask, found),
                category=found.category,
                group="" if found.is_number else found.category,
                id=reference.name,
            )
            for found in objects
        ]
    return CaseList(sources, contents.failed)
