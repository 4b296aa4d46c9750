"""`ImagePyramid`: pictures of any size on a stage; only the visible part, at the screen's resolution, is sent."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...images import encode_png
from .picture_look import AS_IT_IS, PictureLook
from .viewport import Viewport

# PNG keeps small pictures exact; above this many pixels it takes hundreds of milliseconds and JPEG looks the same.
_PNG_PIXELS = 400_000
_ENLARGED = 2.0
_STEP = 4
_COARSE_SIDE = 480

Box = tuple[float, float, float, float]
Pixels = NDArray[np.uint8]


class ImagePyramid:
    """A picture, and smaller versions of it on demand: a quarter, a sixteenth … of the side.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        Not copied; must not change meanwhile.
    """

    def __init__(self, pixels: Pixels):
        self._levels: list[Pixels] = [pixels]
        self._lock = threading.Lock()

    @property
    def size(self) -> tuple[int, int]:
        """(W, H)."""
        height, width = self._levels[0].shape[:2]
        return width, height

    def cost(self, box: Box, factor: float) -> float:
        """The number of pixels to read for that box at `factor` screen pixels per image pixel."""
        share = min(1.0, max(factor, 1e-9) * _STEP) ** 2
        width, height = self.size
        building = 0.0 if factor * _STEP > 1 or len(self._levels) > 1 else float(width * height)
        return (box[2] - box[0]) * (box[3] - box[1]) * share + building

    def part(self, box: Box, size: tuple[int, int]) -> Pixels:
        """(h, w, 3) pixels of a box (x0, y0, x1, y1) in image pixels, shrunk to `size` (w, h)."""
        shrink = min((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1])
        level = self._level(shrink)
        fx, fy = level.shape[1] / self.size[0], level.shape[0] / self.size[1]
        x0, y0, x1, y1 = box[0] * fx, box[1] * fy, box[2] * fx, box[3] * fy
        # The filter also reads pixels beside the box.
        rim = ceil(3 * max((x1 - x0) / size[0], (y1 - y0) / size[1])) + 1
        left, top = max(floor(x0) - rim, 0), max(floor(y0) - rim, 0)
        right, bottom = min(ceil(x1) + rim, level.shape[1]), min(ceil(y1) + rim, level.shape[0])
        image = Image.fromarray(np.ascontiguousarray(level[top:bottom, left:right]))
        inside = (
            max(x0 - left, 0.0),
            max(y0 - top, 0.0),
            min(x1 - left, image.width),
            min(y1 - top, image.height),
        )
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=inside, reducing_gap=2.0))

    def small(self, longest: int) -> Pixels:
        """(h, w, 3): the whole picture, its longest side at most `longest` pixels."""
        width, height = self.size
        factor = min(1.0, longest / max(width, height))
        return self.part(
            (0.0, 0.0, float(width), float(height)), (max(1, round(width * factor)), max(1, round(height * factor)))
        )

    def exact(self, box: tuple[int, int, int, int]) -> Pixels:
        """The original pixels of a box of whole image pixels."""
        return self._levels[0][box[1] : box[3], box[0] : box[2]]

    def _level(self, shrink: float) -> Pixels:
        """The smallest version with enough pixels."""
        import cv2

        wanted, level = 0, shrink
        while level >= _STEP:
            wanted, level = wanted + 1, level / _STEP
        with self._lock:
            while len(self._levels) <= wanted:
                last = self._levels[-1]
                size = (max(1, last.shape[1] // _STEP), max(1, last.shape[0] // _STEP))
                self._levels.append(np.asarray(cv2.resize(last, size, interpolation=cv2.INTER_AREA), np.uint8))
            return self._levels[wanted]


@dataclass(frozen=True, eq=False)
class Raster:
    """A file and the part of the picture it shows.

    Parameters
    ----------
    data : bytes
        PNG or JPEG.
    size : (w, h)
        Its pixels.
    box : (x0, y0, x1, y1)
        Image pixels.
    view : Viewport
        The view it was made for.
    """

    data: bytes
    size: tuple[int, int]
    box: Box
    view: Viewport

    def suffices(self, view: Viewport) -> bool:
        """True if that view cannot show more: the file was made for it, or has every pixel of the picture.

        At high zoom a JPEG differs visibly from the picture itself.
        """
        exact = self.data.startswith(b"\x89PNG") or view.scale * view.backing < _ENLARGED
        return view == self.view or (self.size == view.image_size and exact)


def render(pyramid: ImagePyramid, view: Viewport, look: PictureLook = AS_IT_IS) -> Raster:
    """The part of the picture in that view: in canvas pixels if it is shrunk, else in image pixels."""
    factor = view.scale * view.backing
    x0, y0, x1, y1 = view.visible
    if factor >= 1:
        whole = (floor(x0), floor(y0), max(ceil(x1), floor(x0) + 1), max(ceil(y1), floor(y0) + 1))
        pixels = pyramid.exact((whole[0], whole[1], min(whole[2], pyramid.size[0]), min(whole[3], pyramid.size[1])))
        box: Box = (whole[0], whole[1], whole[0] + pixels.shape[1], whole[1] + pixels.shape[0])
    else:
        corners = view.to_canvas([(x0, y0), (x1, y1)]).round().astype(int)
        (left, top), (right, bottom) = corners[0].tolist(), np.maximum(corners[1], corners[0] + 1).tolist()
        box = _image_box(view, left, top, right, bottom)
        pixels = pyramid.part(box, (right - left, bottom - top))
    return Raster(_encoded(look.of(pixels)), (pixels.shape[1], pixels.shape[0]), box, view)


def render_coarse(pixels: Pixels, view: Viewport, look: PictureLook = AS_IT_IS) -> Raster:
    """The whole picture, coarse and at once: every n-th pixel."""
    step = max(1, max(pixels.shape[:2]) // _COARSE_SIDE)
    few = np.ascontiguousarray(pixels[::step, ::step])
    box = (0.0, 0.0, float(few.shape[1] * step), float(few.shape[0] * step))
    return Raster(_encoded(look.of(few)), (few.shape[1], few.shape[0]), box, view)


def _image_box(view: Viewport, left: int, top: int, right: int, bottom: int) -> Box:
    """The image pixels under whole canvas pixels, so that nothing is shrunk twice; not beyond the picture."""
    (ox, oy), factor = view.offset, view.scale * view.backing
    width, height = view.image_size
    x0, x1 = ((side - ox * view.backing) / factor for side in (left, right))
    y0, y1 = ((side - oy * view.backing) / factor for side in (top, bottom))
    return max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))


def _encoded(pixels: Pixels) -> bytes:
    if pixels.shape[0] * pixels.shape[1] <= _PNG_PIXELS:
        return encode_png(np.ascontiguousarray(pixels))
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=93, subsampling=0)
    return buffer.getvalue()
