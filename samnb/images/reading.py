"""A picture from disk to pixels, and the three hashes it is known by.

Pixels are always a (H, W, 3) uint8 RGB array, upright (EXIF orientation applied), whatever the file held:

- transparency is laid on white, CMYK and palettes become RGB, the first frame stands for an animation;
- 16-bit grey is divided by 257, the same for every picture, so that equal values stay equal pixels across a
  dataset (stretching each picture to its own range would not); Pillow reduces 16-bit colour to its high byte;
- float files hold 0..1. Other floats and 32-bit integers have no natural white: they are stretched from
  their least to their greatest value. Pillow reads them in grey only;
- colour profiles are not applied.

*content hash* is of the bytes, *pixel hash* of the pixels (so a lossless re-save keeps it), *perceptual hash*
of what the picture looks like.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
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

from ..errors import AnyPath, ImageError, ImageNotFound, ImageTooLarge, ImageUnreadable
from .discovery import IMAGE_SUFFIXES, find_images
from .perceptual import looks_of, perceptual_hash

__all__ = [
    "DECODER_VERSION",
    "IMAGE_SUFFIXES",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "Picture",
    "as_pixels",
    "content_hash",
    "encode_png",
    "find_images",
    "hash_of_upright",
    "perceptual_hash",
    "pixel_hash",
    "read_picture",
    "read_pixels",
    "read_upright",
    "suffix_for",
    "thumbnail",
]

MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused by their header, before anything is decoded."""

DECODER_VERSION = "px1"
"""Part of every pixel hash: changes when the same file would give other pixels.

Catalogs then have to be read anew: `samnb.encoding.tasks.prepared_picture` takes a file's bytes for its pixels.
"""

MAX_FILE_BYTES = 4 * 2**30
"""Files with more bytes are refused: no picture within `MAX_PIXELS` has as many."""

# Only formats that decode in-process: EPS, for one, would start Ghostscript on whatever the file says.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM", "AVIF", "QOI")
_SUFFIXES = {name: f".{name.lower()}" for name in _FORMATS} | {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
_MANY_SCANS, _SCANNED_PIXELS = 100, 2_000_000_000
_STRIP_PIXELS = 1 << 17  # so many stay in a processor's cache
_ORIENTATION_TAG = 0x0112
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
        As it was given.
    pixels : (H, W, 3) uint8
        RGB, upright; read-only.
    size_hw : (H, W)
        Of the upright picture.
    content_hash, pixel_hash, perceptual_hash : str
        64 hexadecimal digits each.
    perceptual_detail : float
        `samnb.images.perceptual.Looks.detail`: how much the perceptual hash says.
    size_bytes, mtime_ns, inode : int
        Of the file when it was read: while they stay the same, the file is taken to be unchanged.
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
    >>> file = pathlib.Path(tempfile.mkdtemp(), "grey.png")
    >>> _ = file.write_bytes(encode_png(np.full((4, 6, 3), 99, np.uint8)))
    >>> read_pixels(file).shape
    (4, 6, 3)
    """
    return np.array(_decode(_read_bytes(path)[0], path))


def read_upright(path: AnyPath, *, content_hash: str = "") -> tuple[Image.Image, bool]:
    """The picture as Pillow holds it, RGB and upright: `read_pixels` without the copy; raises as that does.

    Also whether the file's bytes have that SHA-256: where the picture was read before, its pixels are known then.
    """
    content = _read_bytes(path)[0]
    return _decode(content, path), hashlib.sha256(content).hexdigest() == content_hash


def read_picture(path: AnyPath) -> Picture:
    """Read a picture file once: its pixels, its hashes and what identifies the unchanged file.

    Raises
    ------
    ImageNotFound, ImageUnreadable, ImageTooLarge
        As `read_pixels`.
    """
    content, status = _read_bytes(path)
    upright = _decode(content, path)
    pixels = np.asarray(upright)
    looks = looks_of(upright)
    return Picture(
        path=Path(path),
        pixels=pixels,
        size_hw=pixels.shape[:2],
        content_hash=hashlib.sha256(content).hexdigest(),
        pixel_hash=pixel_hash(pixels),
        perceptual_hash=looks.perceptual_hash,
        size_bytes=len(content),
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
        perceptual_detail=looks.detail,
    )


def as_pixels(image: Image.Image | NDArray[Any]) -> Pixels:
    """Turn a PIL image or an array into pixels; always a fresh array.

    Parameters
    ----------
    image : PIL.Image.Image or ndarray
        A PIL image of any mode, its EXIF orientation applied. An array is (H, W), (H, W, 1), (H, W, 3) RGB or
        (H, W, 4) RGBA of uint8, bool, uint16 (divided by 257) or float in 0..1; alpha is laid on white.

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


def content_hash(path: AnyPath) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits; of any regular file, picture or not."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def suffix_for(content: bytes) -> str:
    """What the name of a file with this picture in it should end in, "" for what is no picture.

    >>> suffix_for(encode_png(np.zeros((1, 1, 3), np.uint8))), suffix_for(b"text")
    ('.png', '')
    """
    try:
        with _opened_picture(content, "") as image:
            return _SUFFIXES.get(image.format or "", "")
    except ImageError:
        return ""


def pixel_hash(pixels: Pixels) -> str:
    """SHA-256 of a header (decoder version, mode, dtype, H, W, C) and the (H, W, 3) uint8 pixels in C order.

    Examples
    --------
    >>> pixel_hash(np.zeros((1, 2, 3), np.uint8))[:8]
    '76cb6379'
    """
    height, width, channels = pixels.shape
    digest = hashlib.sha256(f"{DECODER_VERSION}|RGB|{pixels.dtype}|{height}|{width}|{channels}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def hash_of_upright(picture: Image.Image) -> str:
    """`pixel_hash` of what `read_upright` gives, strip by strip: the whole picture is never copied.

    Examples
    --------
    >>> hash_of_upright(Image.new("RGB", (2, 1))) == pixel_hash(np.zeros((1, 2, 3), np.uint8))
    True
    """
    width, height = picture.size
    digest = hashlib.sha256(f"{DECODER_VERSION}|RGB|uint8|{height}|{width}|3".encode())
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        digest.update(picture.crop((0, top, width, min(height, top + rows))).tobytes())
    return digest.hexdigest()


def thumbnail(pixels: Pixels, longest_side: int = 96) -> Pixels:
    """The picture with its longest side at most `longest_side` pixels; never enlarged.

    Examples
    --------
    >>> thumbnail(np.zeros((300, 900, 3), np.uint8)).shape
    (32, 96, 3)
    """
    height, width = pixels.shape[:2]
    factor = longest_side / max(height, width)
    if factor >= 1:
        return pixels.copy()
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file of (H, W, 3) RGB or (H, W, 4) RGBA uint8, as bytes.

    Examples
    --------
    >>> encode_png(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    # Level 1: on photographs twice as fast as the default, and about 15 % larger.
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


# ---------------------------------------------------------------- reading


@contextmanager
def _opened(path: AnyPath) -> Iterator[io.FileIO]:
    """A regular file, open for reading; what goes wrong in the meantime is an `ImageError` too."""
    try:
        file = os.path.expanduser(os.fspath(path))
        # Before opening: opening a named pipe would wait for its other end.
        mode = os.stat(file).st_mode
        if not stat.S_ISREG(mode):
            raise ImageUnreadable(path, "this is a folder" if stat.S_ISDIR(mode) else "not a regular file")
        with open(file, "rb", buffering=0) as stream:
            yield stream
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageNotFound(path, expected="a picture file") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageUnreadable(path, f"cannot be read ({getattr(error, 'strerror', '') or error})") from error


def _read_bytes(path: AnyPath) -> tuple[bytes, os.stat_result]:
    with _opened(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size > MAX_FILE_BYTES:
            raise ImageUnreadable(path, f"{status.st_size:,} bytes, more than the limit of {MAX_FILE_BYTES:,}")
        content = file.read()
    if not content:
        raise ImageUnreadable(path, "the file is empty, zero bytes")
    return content, status


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
        # Pillow's plugins raise a dozen unrelated classes on damaged files; all mean the same here.
        raise ImageUnreadable(path, f"the header is damaged ({error})") from error


@cache
def _formats() -> tuple[str, ...]:
    """Those of `_FORMATS` that this build of Pillow can open."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@contextmanager
def _own_limit() -> Iterator[None]:
    """Pillow's own pixel limit is off while a header is read: `_check_size` follows at once.

    It is one global of the process, hence the lock; left on, it would refuse pictures below `MAX_PIXELS`.
    """
    with _limit_lock:
        theirs = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = theirs


def _check_scans(content: bytes, image: Image.Image, path: AnyPath) -> None:
    """Each scan of a progressive JPEG goes over all its pixels, however few bytes it has: kilobytes take hours."""
    if image.format != "JPEG":
        return
    scans = content.count(b"\xff\xda")
    if scans > _MANY_SCANS and scans * image.width * image.height > _SCANNED_PIXELS:
        raise ImageUnreadable(path, f"a JPEG of {scans:,} scans, made to be slow")


def _check_size(size_hw: tuple[int, ...], path: AnyPath) -> None:
    height, width = size_hw
    # Of the package, where a user raises it.
    limit = sys.modules[__package__].MAX_PIXELS
    if height * width > limit:
        raise ImageTooLarge(path, (height, width), limit)
    if height * width == 0:
        raise ImageUnreadable(path, f"{width} x {height} holds no pixels")


def _decoded(image: Image.Image, path: AnyPath) -> Image.Image:
    """RGB, upright."""
    try:
        image.load()
        # After load: for TIFF Pillow itself turns the picture upright there, and drops the tag.
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
        return 1  # every viewer shows pictures with damaged EXIF, as they lie in the file
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
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


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
