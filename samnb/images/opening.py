"""`open_picture`: the one way into a picture file, for pixels, masks and thumbnails alike.

A file is opened in formats that decode inside this process, and refused by its header if it has too many pixels.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, cast

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import AnyPath, ImageError, ImageTooLarge, ImageUnreadable
from .depth import deep_colour, is_deep_grey
from .files import MAX_TILE_BYTES, open_file, read_file
from .lazy.kinds import HEIF_BRANDS
from .memory import decoding

MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused after reading the header, before anything is decoded."""

FROM_MEMORY = "<bytes from memory>"
"""The name of bytes in messages."""

# EPS, for example, would run the file's program in Ghostscript.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM", "AVIF", "QOI")
_MANY_SCANS, _SCANNED_PIXELS = 100, 2_000_000_000
_COUNTED = 1 << 16  # bytes, which stay in a processor's cache
_QOI_PIXELS = 16_000_000  # Pillow decodes QOI in Python: a megapixel takes about a second
_limit_lock = threading.Lock()
_limit_off = 0
_theirs: int | None = None


@contextmanager
def open_picture(source: bytes | AnyPath, name: AnyPath = "", *, only: tuple[str, ...] = ()) -> Iterator[Image.Image]:
    """Open a picture file and do not decode it yet; whatever goes wrong in the block is an `ImageError`.

    Parameters
    ----------
    source : bytes, path or address
        What is in the file, or where it is. DICOM, HEIC and OME-Zarr are not opened here; `read_pixels` reads them.
    name : path
        Its name in messages; default: the path.
    only : tuple of str
        Pillow's names of the formats to accept, such as ``("PNG", "TIFF")``; default: all that decode in this process.

    Yields
    ------
    PIL.Image.Image
        As it is in the file: not upright, and of any mode. It is closed at the end of the block.

    Raises
    ------
    ImageNotFound
        There is no such file.
    ImageUnreadable
        It is empty, truncated, a folder, not a picture of these formats, or may not be read. Also for any other error
        in the block.
    ImageTooLarge
        More than `samnb.images.MAX_PIXELS` pixels.
    ImageError
        There is not enough memory, or no such kind of address.

    Examples
    --------
    >>> from samnb.images import encode_png
    >>> import numpy as np
    >>> with open_picture(encode_png(np.zeros((2, 3, 3), np.uint8)), "a.png") as picture:
    ...     picture.size
    (3, 2)
    """
    name = name or (FROM_MEMORY if isinstance(source, bytes) else source)
    content = source if isinstance(source, bytes) else read_file(source)[0]
    with _opened(io.BytesIO(content), name, only) as image:
        _check_scans(content, image, name)
        with decoding((image.height, image.width), name, deep=is_deep_grey(image) or deep_colour(content, image)):
            yield image


@contextmanager
def open_header(path: AnyPath) -> Iterator[Image.Image]:
    """`open_picture` for what is in the header: a file is not read to its end."""
    with open_file(path) as file, _opened(_buffered(file), path, ()) as image:
        yield image


def _buffered(file: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(file)) if isinstance(file, io.FileIO) else file


@contextmanager
def _opened(stream: IO[bytes], name: AnyPath, only: tuple[str, ...]) -> Iterator[Image.Image]:
    with _own_limit():
        try:
            opened = Image.open(stream, formats=[f for f in _formats() if f in only] if only else _formats())
        except UnidentifiedImageError as error:
            stream.seek(0)
            raise ImageUnreadable(name, f"not a picture that can be decoded ({beginning(stream.read(16))})") from error
        except Exception as error:
            # Pillow's plugins raise a dozen unrelated classes on damaged files; all have the same meaning here.
            raise ImageUnreadable(name, f"the header is damaged ({error})") from error
        with opened as image:
            try:
                _check(image, name)
                yield image
            except (ImageError, MemoryError):
                raise
            except Exception as error:
                raise ImageUnreadable(name, f"truncated or damaged ({error or type(error).__name__})") from error


def _check(image: Image.Image, name: AnyPath) -> None:
    check_size((image.height, image.width), name)
    _check_tiles(image, name)
    if image.format == "QOI" and image.width * image.height > _QOI_PIXELS:
        raise ImageUnreadable(
            name, f"QOI of more than {_QOI_PIXELS:,} pixels would take minutes to decode: save it as PNG first"
        )


def check_size(size_hw: tuple[int, ...], path: AnyPath) -> None:
    """Raise an `ImageError` for more than `samnb.images.MAX_PIXELS` pixels, and for none."""
    height, width = size_hw
    # Of the package, because users set it there.
    limit = sys.modules[__package__].MAX_PIXELS
    if height * width > limit:
        raise ImageTooLarge(path, (height, width), limit)
    if height * width == 0:
        raise ImageUnreadable(path, f"{width} x {height} holds no pixels")


def _check_tiles(image: Image.Image, name: AnyPath) -> None:
    """A tile is decoded whole, and may be far larger than its picture: a megabyte of zeros holds a gigabyte."""
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    width, height, samples = (int(tags.get(tag, 1)) for tag in (322, 323, 277)) if tags is not None else (1, 1, 1)
    if width * height * samples > MAX_TILE_BYTES:
        size = f"{width} x {height} pixels of {samples} samples"
        raise ImageUnreadable(name, f"a TIFF with tiles of {size}: save it with tiles of 512 x 512")


def beginning(content: bytes) -> str:
    """The first bytes of a file that is no picture, and their format if it is a known one."""
    if content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS:
        return "it is HEIC, which this use does not take: save it as PNG first"
    return "begins with " + repr(content[:8])[1:]


@cache
def _formats() -> tuple[str, ...]:
    """The formats of `_FORMATS` that this build of Pillow can open."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@contextmanager
def _own_limit() -> Iterator[None]:
    """Turn Pillow's own pixel limit off while pictures are open; `check_size` follows the header at once.

    It would refuse pictures below `MAX_PIXELS`, TIFF files also while they are decoded. It is a global of the process:
    the first reader turns it off, the last one restores it, so that threads decode side by side.
    """
    global _limit_off, _theirs
    with _limit_lock:
        if not _limit_off:
            _theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _limit_off += 1
    try:
        yield
    finally:
        with _limit_lock:
            _limit_off -= 1
            if not _limit_off and Image.MAX_IMAGE_PIXELS is None:  # set by others meanwhile, it stays theirs
                Image.MAX_IMAGE_PIXELS = _theirs


def _check_scans(content: bytes, image: Image.Image, path: AnyPath) -> None:
    """Each scan of a progressive JPEG decodes all pixels, even with few bytes: kilobytes could take hours."""
    if image.format not in ("JPEG", "MPO"):  # Pillow calls a JPEG of several pictures MPO
        return
    scans = _count_scans(content)
    if scans > _MANY_SCANS and scans * image.width * image.height > _SCANNED_PIXELS:
        raise ImageUnreadable(path, f"a JPEG of {scans:,} scans, made to be slow")


def _count_scans(content: bytes) -> int:
    """How often a scan's marker stands there: as `bytes.count`, but five times as fast, and other threads go on."""
    count, data = 0, np.frombuffer(content, np.uint8)
    for start in range(0, len(data) - 1, _COUNTED):
        part = data[start : start + _COUNTED + 1]
        count += int(np.count_nonzero((part[:-1] == 0xFF) & (part[1:] == 0xDA)))
    return count
