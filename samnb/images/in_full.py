"""`in_full`: a picture from memory of more than 8 bits as a file that holds its values.

So two arrays that differ in values which 8 bits cannot show are two pictures, as two files of them are.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import depth
from .upright import orientation_of

_NEAR = 1e-3  # of one of 255 steps: a float made of 8 bits is no further from it


def in_full(image: Image.Image | NDArray[Any]) -> tuple[bytes, str] | None:
    """The file and its suffix; None if 8 bits hold all values.

    Parameters
    ----------
    image : PIL.Image.Image or ndarray
        As `samnb.images.as_pixels` takes it. uint16, and the 16 and 32 bits of PIL images, are kept as they are, grey
        floats as float32; floats of colour are rounded to 16 bits.

    Examples
    --------
    >>> in_full(np.array([[0.5, 1.0]]))[1], in_full(np.array([[0, 4095]], np.uint16))[1]
    ('.tif', '.png')
    >>> in_full(np.array([[0.0, 51 / 255, 1.0]])) is None
    True
    """
    values = _values_of(image)
    if values is None:
        return None
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    buffer = io.BytesIO()
    if values.dtype == np.uint16 and values.ndim == 3:
        order = cv2.COLOR_RGB2BGR if values.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        _, encoded = cv2.imencode(".png", cv2.cvtColor(values, order), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return encoded.tobytes(), ".png"
    if values.dtype == np.uint16:
        Image.fromarray(values).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue(), ".png"
    Image.fromarray(values).save(buffer, "TIFF")
    return buffer.getvalue(), ".tif"


def _values_of(image: Image.Image | NDArray[Any]) -> NDArray[Any] | None:
    """(H, W) or (H, W, C) uint16, int32 or float32, in C order; None if 8 bits hold them."""
    if isinstance(image, Image.Image):
        # Whose values are turned over, or mark missing data, only its own file says.
        if not depth.is_deep_grey(image) or image.format == "TIFF":
            return None
        values = depth.turned(np.asarray(image), orientation_of(image))
    else:
        values = image
    if values.dtype.kind == "f" and not isinstance(image, Image.Image):
        steps = values.astype(np.float64) * 255
        if np.abs(steps - steps.round()).max(initial=0) < _NEAR:
            return None
        if values.ndim == 3 and values.shape[2] > 1:
            of_16_bits = (values.astype(np.float64) * 65535).round().astype(np.uint16)
            # Where all are below 12 bits, the reader takes these for the depth of a file: 16 times too bright.
            return None if of_16_bits.max(initial=0) < 1 << 12 else np.ascontiguousarray(of_16_bits)
    if values.dtype.kind == "f":
        return np.ascontiguousarray(values, np.float32)
    if values.dtype == np.int32:
        return np.ascontiguousarray(values)
    if values.dtype.kind != "u" or values.dtype.itemsize != 2 or not (values % 257).any():
        return None
    return np.ascontiguousarray(values, np.uint16)
