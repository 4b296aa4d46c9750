"""The methods of `samnb.session.Session` about the pixels of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..encoding.regions import Region
from ..images.large import LargePicture
from ..records import ImageRef
from .parts import SessionParts


class PixelMethods(SessionParts):
    """Pixels of images of any size: all, a small copy, or a part."""

    def pixels(self, image: ImageRef) -> NDArray[np.uint8]:
        """(H, W, 3) upright RGB, read-only; the last few are kept in memory.

        Raises
        ------
        ImageError
            The file is gone, or its pixels have changed since it was added.
        """
        return self._library.pixels(image)

    def thumbnail(self, image: ImageRef, longest_side: int = 96) -> NDArray[np.uint8]:
        """A small copy of the pixels, (h, w, 3), its longest side in pixels."""
        return self._library.thumbnail(image, longest_side)

    def region_pixels(self, image: ImageRef, region: Region, *, level: int = 0) -> NDArray[np.uint8]:
        """The pixels of a part of an image, (h, w, 3) RGB; of a large image nothing else is read.

        Parameters
        ----------
        image : str, path or ImageRecord
        region : (x0, y0, x1, y1)
            Whole image pixels, inside the image.
        level : int
            Every side is 2**level times smaller: 0 is the full resolution.

        Raises
        ------
        PromptError
            No such region, or one with more pixels than `samnb.images.MAX_PIXELS` at that level.
        ImageError
            The file is gone, damaged, or has changed.
        """
        return self._library.region_pixels(image, region, level)

    def large_picture(self, image: ImageRef) -> LargePicture | None:
        """A large image, which is encoded tile by tile, open to be read in parts; None for others.

        Images above ``SAMNB_TILED_ABOVE`` pixels are large. Raises `ImageError`.
        """
        return self._library.large(image)
