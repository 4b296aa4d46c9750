"""`upright_mask`: the mask of an object on the upright picture, also if it was drawn on the picture as stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import ImageError
from ...images.reading import orientation_in
from .objects import ImportedObject, Mask, Size

# How to turn a mask that was drawn on the picture as stored in the file; by EXIF orientation.
_TURNS = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_mask(found: ImportedObject, size_hw: Size, file: Path, name: str) -> tuple[Mask, bool]:
    """The mask of an object, (H, W) bool, and True if it had to be turned.

    Parameters
    ----------
    found : ImportedObject
    size_hw : (H, W)
        Of the upright picture.
    file : Path
        The picture.
    name : str
        Its name in messages.

    Raises
    ------
    ImageError
        The mask cannot be read, or was made for a picture of another size.
    """
    size = found.picture.size_hw or size_hw
    if size != size_hw and _turn(size, size_hw, file) is None:
        raise _other_size(size, size_hw, name)
    mask = found.read_mask(size)
    if mask.shape == size_hw:
        return mask, False
    turn = _turn(mask.shape, size_hw, file)
    if turn is None:
        raise _other_size(mask.shape, size_hw, name)
    return np.asarray(Image.fromarray(mask).transpose(turn)), True


def _turn(size: tuple[int, ...], size_hw: Size, file: Path) -> Image.Transpose | None:
    """The turn by the picture's EXIF orientation if it makes one size the other; else None."""
    if size != size_hw[::-1]:
        return None
    return _TURNS.get(orientation_in(file))


def may_be_turned(size_hw: Size, file: Path, *, unsized: bool = False) -> bool:
    """True for a picture that EXIF turns without changing its size: masks of it do not show how they were drawn.

    Nor do those of which no size is known, however it is turned.
    """
    try:
        orientation = orientation_in(file)
    except ImageError:  # said where its pixels are needed
        return False
    return orientation in (2, 3, 4) or (orientation in _TURNS and (unsized or size_hw[0] == size_hw[1]))


def _other_size(size: tuple[int, ...], size_hw: Size, name: str) -> ImageError:
    return ImageError(
        f"made for a picture of size (H, W) {tuple(size)}; {name} has {size_hw}. Was one of them scaled or turned?"
    )
