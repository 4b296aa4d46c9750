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
        """All pixels of an image.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        (H, W, 3) uint8
            Upright RGB, read-only: copy it to draw on it. The last few are kept in memory.

        Raises
        ------
        UnknownName
            No such image.
        ImageError
            The file is gone or damaged, its pixels have changed since it was added, or it has more than
            `samnb.images.MAX_PIXELS` of them: `region_pixels` reads a part.

        Examples
        --------
        >>> pixels = session.pixels("coins_1.png")
        >>> pixels.shape, pixels.dtype
        ((202, 243, 3), dtype('uint8'))
        """
        return self._library.pixels(image)

    def thumbnail(self, image: ImageRef, longest_side: int = 96) -> NDArray[np.uint8]:
        """A small copy of an image; of a large one only its overview is read.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        longest_side : int
            Pixels, at least 1. A smaller image keeps its size.

        Returns
        -------
        (h, w, 3) uint8
            Upright RGB.

        Raises
        ------
        UnknownName
            No such image.
        ImageError
            The file is gone or damaged, or its pixels have changed since it was added.
        PromptError
            `longest_side` is below 1.

        Examples
        --------
        >>> session.thumbnail("coins_1.png", longest_side=96).shape
        (80, 96, 3)
        """
        return self._library.thumbnail(image, longest_side)

    def region_pixels(self, image: ImageRef, region: Region, *, level: int = 0) -> NDArray[np.uint8]:
        """The pixels of a part of an image; of a large image nothing else is read.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        region : (x0, y0, x1, y1)
            Whole image pixels, inside the image; x1 and y1 do not belong to it.
        level : int
            0 to 63: every side is 2**level times smaller, rounded up. 0 is the full resolution.

        Returns
        -------
        (h, w, 3) uint8
            Upright RGB.

        Raises
        ------
        UnknownName
            No such image.
        PromptError
            A region that is empty or not inside the image, another level, or a region with more pixels than
            `samnb.images.MAX_PIXELS` at that level.
        ImageError
            The file is gone, damaged, or has changed.

        Examples
        --------
        >>> session.region_pixels("coins_1.png", (100, 50, 200, 150)).shape
        (100, 100, 3)
        >>> session.region_pixels("coins_1.png", (0, 0, 243, 202), level=2).shape
        (51, 61, 3)
        """
        return self._library.region_pixels(image, region, level)

    def large_picture(self, image: ImageRef) -> LargePicture | None:
        """A large image, which is encoded tile by tile, open to be read in parts; None for others.

        Images above ``SAMNB_TILED_ABOVE`` pixels are large: 100 million without that setting.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        LargePicture or None
            Of `samnb.images.large`: its `read` gives any part at any level. Its file is closed when nobody uses it any
            more.

        Raises
        ------
        UnknownName
            No such image.
        ImageError
            The file is gone, damaged, or has changed.

        Examples
        --------
        >>> slide = session.large_picture("coins_1.png")
        >>> "read whole" if slide is None else "read in parts"
        'read whole'
        """
        return self._library.large(image)
