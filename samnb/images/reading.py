"""Picture files, PIL images and arrays read as pixels.

Pixels are always an (H, W, 3) uint8 RGB array, upright (EXIF orientation applied):

- transparency becomes white, CMYK and palettes become RGB, of an animation the first frame is used;
- 16-bit grey is divided by 257 in every picture, so that equal values are equal pixels across a dataset (scaling
  each picture to its own range would break this); Pillow reduces 16-bit colour to its high byte;
- float files hold 0..1. Other floats and 32-bit integers have no defined white: they are scaled from their
  smallest to their largest value. Pillow reads them in grey only;
- colour profiles are not applied.

`read_picture` also gives the three hashes of a picture: the *content hash* of its bytes, the *pixel hash* of its pixels
(a lossless re-save keeps it), and the *perceptual hash*, which is alike for pictures that look alike.
"""

from __future__ import annotations

import hashlib
import io
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..errors import AnyPath, ImageError, ImageTooLarge, ImageUnreadable
from .files import read_file
from .hashing import pixel_hash
from .perceptual import compute_perceptual_hash

MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused after reading the header, before anything is decoded."""


# Only formats that decode in-process: EPS, for example, would run the file's program in Ghostscript.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM", "AVIF", "QOI")
_SUFFIXES = {name: f".{name.lower()}" for name in _FORMATS} | {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
_MANY_SCANS, _SCANNED_PIXELS = 100, 2_000_000_000
_ORIENTATION_TAG = 0x0112
_STRIP = 4_000_000  # pixels that are blended at once
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_limit_lock = threading.Lock()

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture file, read and hashed in one pass.

    Parameters
    ----------
    path : Path
        As given.
    pixels : (H, W, 3) uint8
        RGB, upright; read-only.
    size_hw : (H, W)
        Of the upright picture.
    content_hash, pixel_hash, perceptual_hash : str
        64 hexadecimal digits each.
    perceptual_detail : float
        `samnb.images.perceptual.PerceptualHash.detail`: how reliable the perceptual hash is.
    size_bytes, mtime_ns, inode : int
        Of the file when it was read; while they stay the same, the file counts as unchanged.
    """

    path: Path
    pixels: Pixels = field(repr=False)
    size_hw: tuple[int, int]
    content_hash: str
    pixel_hash: str
    perceptual_hash: str
    size_bytes: int
    mtime_ns: int
    inode: int
    perceptual_detail: float


def read_pixels(path: AnyPath) -> Pixels:
    """Pixels of a picture file: (H, W, 3) uint8, RGB, upright.

    Raises
    ------
    ImageNotFound
        There is no such file.
    ImageUnreadable
        It is empty, truncated, not a picture, or may not be read.
    ImageTooLarge
        More than `MAX_PIXELS` pixels.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from samnb.images import encode_png
    >>> file = pathlib.Path(tempfile.mkdtemp(), "grey.png")
    >>> _ = file.write_bytes(encode_png(np.full((4, 6, 3), 99, np.uint8)))
    >>> read_pixels(file).shape
    (4, 6, 3)
    """
    return np.array(_decode(read_file(path)[0], path))


def read_upright(path: AnyPath, *, content_hash: str = "") -> tuple[Image.Image, bool]:
    """The picture as an RGB, upright PIL image: `read_pixels` without the copy; raises the same errors.

    Also True when the file's bytes have that SHA-256: then the pixels are those of an earlier reading.
    """
    content = read_file(path)[0]
    return _decode(content, path), hashlib.sha256(content).hexdigest() == content_hash


def read_picture(path: AnyPath) -> Picture:
    """Read a picture file once: its pixels, its hashes, and the values that identify the unchanged file.

    Raises
    ------
    ImageNotFound, ImageUnreadable, ImageTooLarge
        As `read_pixels`.
    """
    content, status = read_file(path)
    upright = _decode(content, path)
    pixels = np.asarray(upright)
    perceptual = compute_perceptual_hash(upright)
    return Picture(
        path=Path(path),
        pixels=pixels,
        size_hw=pixels.shape[:2],
        content_hash=hashlib.sha256(content).hexdigest(),
        pixel_hash=pixel_hash(pixels),
        perceptual_hash=perceptual.hex,
        size_bytes=len(content),
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
        perceptual_detail=perceptual.detail,
    )


def as_pixels(image: Image.Image | NDArray[Any]) -> Pixels:
    """Pixels of a PIL image or an array; always a new array.

    Parameters
    ----------
    image : PIL.Image.Image or ndarray
        A PIL image of any mode, its EXIF orientation applied. An array is (H, W), (H, W, 1), (H, W, 3) RGB or
        (H, W, 4) RGBA of uint8, bool, uint16 (divided by 257) or float in 0..1; alpha is blended with white.

    Returns
    -------
    (H, W, 3) uint8
        RGB, upright.

    Raises
    ------
    ImageError
        Another type, shape or dtype, values that are not finite or out of range; more than `MAX_PIXELS`.

    Examples
    --------
    >>> as_pixels(np.array([[0.0, 1.0]]))[0].tolist()
    [[0, 0, 0], [255, 255, 255]]
    >>> as_pixels(Image.new("CMYK", (5, 2))).shape
    (2, 5, 3)
    """
    if isinstance(image, Image.Image):
        _check_size((image.height, image.width), "the PIL image")
        return np.array(_decoded(image, getattr(image, "filename", "") or "the PIL image"))
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"Expected a PIL image or a NumPy array, got {type(image).__name__}. "
            "Read a file with samnb.images.read_pixels(path); turn other containers into an array first."
        )
    _check_shape(image.shape)
    _check_size(image.shape[:2], "the array")
    values = _bytes_of(image)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[2] == 4:
        return np.array(_on_white(Image.fromarray(np.ascontiguousarray(values))))
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)), order="C")


def suffix_for(content: bytes) -> str:
    """The file name suffix of a picture's format, "" for other content.

    >>> from samnb.images import encode_png
    >>> suffix_for(encode_png(np.zeros((1, 1, 3), np.uint8))), suffix_for(b"text")
    ('.png', '')
    """
    try:
        with _opened_picture(content, "") as image:
            return _SUFFIXES.get(image.format or "", "")
    except ImageError:
        return ""


# ---------------------------------------------------------------- reading


def _decode(content: bytes, path: AnyPath) -> Image.Image:
    with _opened_picture(content, path) as image:
        _check_size((image.height, image.width), path)
        _check_scans(content, image, path)
        return _decoded(image, path)


def _opened_picture(content: bytes, path: AnyPath) -> Image.Image:
    try:
        with _own_limit():
            return Image.open(io.BytesIO(content), formats=_formats())
    except UnidentifiedImageError as error:
        raise ImageUnreadable(path, f"not a picture that can be decoded ({_beginning(content)})") from error
    except Exception as error:
        # Pillow's plugins raise a dozen unrelated classes on damaged files; all have the same meaning here.
        raise ImageUnreadable(path, f"the header is damaged ({error})") from error


@cache
def _formats() -> tuple[str, ...]:
    """The formats of `_FORMATS` that this build of Pillow can open."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@contextmanager
def _own_limit() -> Iterator[None]:
    """Turn Pillow's own pixel limit off while a header is read; `_check_size` follows at once.

    The limit is a global of the process, hence the lock; it would refuse pictures below `MAX_PIXELS`.
    """
    with _limit_lock:
        theirs = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = theirs


def _check_scans(content: bytes, image: Image.Image, path: AnyPath) -> None:
    """Each scan of a progressive JPEG decodes all pixels, even with few bytes: kilobytes could take hours."""
    if image.format != "JPEG":
        return
    scans = content.count(b"\xff\xda")
    if scans > _MANY_SCANS and scans * image.width * image.height > _SCANNED_PIXELS:
        raise ImageUnreadable(path, f"a JPEG of {scans:,} scans, made to be slow")


def _check_size(size_hw: tuple[int, ...], path: AnyPath) -> None:
    height, width = size_hw
    # Of the package, because users set it there.
    limit = sys.modules[__package__].MAX_PIXELS
    if height * width > limit:
        raise ImageTooLarge(path, (height, width), limit)
    if height * width == 0:
        raise ImageUnreadable(path, f"{width} x {height} holds no pixels")


def _decoded(image: Image.Image, path: AnyPath) -> Image.Image:
    """RGB, upright."""
    try:
        image.load()
        # After load, because there Pillow itself turns a TIFF upright and drops the tag.
        turn = _UPRIGHT.get(_orientation(image))
        rgb = _as_rgb(image, path)
        return rgb if turn is None else rgb.transpose(turn)
    except ImageError:
        raise
    except Exception as error:
        raise ImageUnreadable(path, f"truncated or damaged ({error or type(error).__name__})") from error


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, EOFError, struct.error):
        return 1  # as every viewer does with damaged EXIF
    return value if isinstance(value, int) else 1


def _as_rgb(image: Image.Image, path: AnyPath) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = np.asarray(image)
        return Image.fromarray(_grey_bytes(grey, path)).convert("RGB")
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.has_transparency_data or image.mode in ("La", "RGBa"):
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """An RGBA picture blended with white, in strips: whole copies of a large one would take gigabytes."""
    rgb, rows = Image.new("RGB", image.size), max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(image.height, top + rows))
        strip = image.crop(box)
        white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
        rgb.paste(Image.alpha_composite(white, strip).convert("RGB"), box)
    return rgb


def _grey_bytes(grey: NDArray[Any], path: AnyPath) -> Pixels:
    """Grey values of a file with more than 8 bits, (H, W) of integers or floats, as (H, W) uint8."""
    if not np.isfinite(grey).all():
        raise ImageUnreadable(path, "holds values that are not finite (NaN or infinity)")
    low, high = float(grey.min()), float(grey.max())
    if grey.dtype.kind == "f":
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    elif low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scaled = (grey.astype(np.float64) - low) * (255 / ((high - low) or 1))
    return scaled.round().astype(np.uint8)


def _beginning(content: bytes) -> str:
    return "begins with " + repr(content[:8])[1:]


# ---------------------------------------------------------------- arrays


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        return
    hint = ""
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        hint = " Channels seem to come first: np.moveaxis(array, 0, -1) puts them last."
    elif len(shape) == 4:
        hint = " That is a batch: hand in one picture at a time, array[0]."
    known = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    raise ImageError(f"Expected an array of shape {known}, got {shape}.{hint}")


def _bytes_of(values: NDArray[Any]) -> Pixels:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if values.dtype.kind != "f":
        raise ImageError(
            f"Expected an array of uint8, bool, uint16 or float in 0..1, got {values.dtype}. "
            "If its values are 0..255, hand in array.astype(np.uint8)."
        )
    if not np.isfinite(values).all():
        raise ImageError("Expected finite values, got NaN or infinity. np.nan_to_num(array) replaces them.")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise ImageError(
            f"Expected float values in 0..1, got {low:g}..{high:g}. "
            "If they are 0..255, hand in array.astype(np.uint8), otherwise rescale them first."
        )
    return (values.astype(np.float64) * 255).round().astype(np.uint8)
