"""Picture files, PIL images and arrays read as pixels.

Pixels are always an (H, W, 3) uint8 RGB array, upright (EXIF orientation applied):

- transparency becomes white, CMYK and palettes become RGB, of an animation the first frame is used;
- pictures of more than 8 bits are scaled by their depth, see `samnb.images.depth`;
- colour profiles are not applied.

`read_picture` also gives the three hashes of a picture: the *content hash* of its bytes, the *pixel hash* of its pixels
(a lossless re-save keeps it), and the *perceptual hash*, which is alike for pictures that look alike. Two pictures that
differ in values which 8 bits cannot show have different pixel hashes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import AnyPath, ImageChanged, ImageError
from ..remote_files import is_address
from . import depth
from .arrays import bytes_of, check_shape
from .decode import decode, decoded_image
from .files import read_file
from .hashing import hash_of_upright, pixel_hash
from .lazy.view_files import ViewFile, stamp_of
from .opening import FROM_MEMORY, check_size, open_header, open_picture
from .perceptual import compute_perceptual_hash
from .upright import on_white, orientation_of

_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture file, read and hashed in one pass.

    Parameters
    ----------
    path : Path or str
        As given; text for an address.
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
    frames : int
        Pages or frames of the file, counted to 1,000; the picture is the first.
    shown_as : str
        How values of more than 8 bits became pixels, in words; "" for others.
    view : ViewFile or None
        Of a view file; the status of the file is then that of its source.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from samnb.images import encode_png
    >>> file = pathlib.Path(tempfile.mkdtemp(), "grey.png")
    >>> _ = file.write_bytes(encode_png(np.full((4, 6, 3), 99, np.uint8)))
    >>> picture = read_picture(file)
    >>> picture.size_hw, picture.frames, picture.size_bytes == file.stat().st_size
    ((4, 6), 1, True)
    """

    path: Path | str
    pixels: Pixels = field(repr=False)
    size_hw: tuple[int, int]
    content_hash: str
    pixel_hash: str
    perceptual_hash: str
    size_bytes: int
    mtime_ns: int
    inode: int
    perceptual_detail: float
    frames: int = 1
    shown_as: str = ""
    view: ViewFile | None = None


def read_pixels(path: AnyPath) -> Pixels:
    """Read the pixels of a picture file.

    Parameters
    ----------
    path : path or address
        ``~`` is the home folder. Addresses such as ``s3://bucket/a.png`` and ``https://host/a.png`` are read too.

    Returns
    -------
    (H, W, 3) uint8
        RGB, upright. A new array.

    Raises
    ------
    ImageNotFound
        There is no such file.
    ImageUnreadable
        It is empty, truncated, a folder, not a picture, may not be read, or has more than `MAX_FILE_BYTES` bytes; the
        store of an address does not answer.
    ImageTooLarge
        More than `MAX_PIXELS` pixels.
    ReaderMissing
        The package that reads this format is not installed; the message names it.
    ImageError
        There is not enough memory, or no such kind of address.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from samnb.images import encode_png
    >>> file = pathlib.Path(tempfile.mkdtemp(), "grey.png")
    >>> _ = file.write_bytes(encode_png(np.full((4, 6, 3), 99, np.uint8)))
    >>> read_pixels(file).shape
    (4, 6, 3)
    """
    return np.array(decode(read_file(path)[0], path).image)


def read_upright(path: AnyPath, *, content_hash: str = "") -> tuple[Image.Image, bool]:
    """Read a picture file as a PIL image: `read_pixels` without the copy.

    Parameters
    ----------
    path : path or address
        As in `read_pixels`.
    content_hash : str
        The `content_hash` of an earlier reading; "" if there was none.

    Returns
    -------
    image : PIL.Image.Image
        RGB, upright.
    same : bool
        True if the file has that content hash, so that its pixels are those of the earlier reading. False for another
        hash, and for files whose pixels an earlier version of samnb may have read in another way.

    Raises
    ------
    ImageNotFound, ImageUnreadable, ImageTooLarge, ReaderMissing, ImageError
        As `read_pixels`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from samnb.images import content_hash, encode_png
    >>> file = pathlib.Path(tempfile.mkdtemp(), "grey.png")
    >>> _ = file.write_bytes(encode_png(np.full((4, 6, 3), 99, np.uint8)))
    >>> image, same = read_upright(file, content_hash=content_hash(file))
    >>> image.size, image.mode, same
    ((6, 4), 'RGB', True)
    """
    content = read_file(path)[0]
    decoded = decode(content, path)
    return decoded.image, not decoded.has_earlier and hashlib.sha256(content).hexdigest() == content_hash


def read_known(path: AnyPath, expected_hash: str, dataset: str, *, content_hash: str = "") -> Image.Image:
    """Read a picture file, if its pixels have not changed since it was added.

    The key of an embedding holds the pixels' hash: with the pixels of a changed file, a wrong embedding would be saved
    for every later session.

    Parameters
    ----------
    path : path or address
        As in `read_pixels`.
    expected_hash : str
        The pixel hash it was added with, by this or an earlier version.
    dataset : str
        Its dataset in messages.
    content_hash : str
        The `content_hash` it was added with: of the same bytes the pixels need not be hashed. "" if it is not known.

    Returns
    -------
    PIL.Image.Image
        RGB, upright.

    Raises
    ------
    ImageChanged
        The file holds other pixels now.
    ImageNotFound, ImageUnreadable, ImageTooLarge, ReaderMissing, ImageError
        As `read_pixels`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from samnb.images import encode_png, pixel_hash
    >>> file, pixels = pathlib.Path(tempfile.mkdtemp(), "grey.png"), np.full((4, 6, 3), 99, np.uint8)
    >>> _ = file.write_bytes(encode_png(pixels))
    >>> read_known(file, pixel_hash(pixels), "monday").size
    (6, 4)
    >>> read_known(file, pixel_hash(pixels + 1), "monday")
    Traceback (most recent call last):
        ...
    samnb.errors.ImageChanged: ...grey.png: its pixels changed since it was added to 'monday'...
    """
    return known_picture(read_file(path)[0], path, expected_hash, dataset, content_hash=content_hash)


def known_picture(
    content: bytes, path: AnyPath, expected_hash: str, dataset: str, *, content_hash: str = ""
) -> Image.Image:
    """`read_known` of a file that was read."""
    decoded = decode(content, path)
    if not decoded.has_earlier and content_hash and hashlib.sha256(content).hexdigest() == content_hash:
        return decoded.image
    known = decoded.known_as(expected_hash)
    if known is None:
        raise ImageChanged(path, dataset)
    return known


def orientation_in(path: AnyPath) -> int:
    """EXIF's orientation of a picture file, by its header alone. Raises `ImageError`."""
    with open_header(path) as image:
        return orientation_of(image)


def upright_picture(image: Image.Image, path: AnyPath) -> Image.Image:
    """The RGB, upright PIL image of an open picture."""
    return decoded_image(image, path).image


def pixel_hashes(source: AnyPath | bytes) -> tuple[str, ...]:
    """Compute all pixel hashes by which a picture may be known.

    Parameters
    ----------
    source : path, address or bytes
        A picture file as in `read_pixels`, or what is in it.

    Returns
    -------
    tuple of str
        64 hexadecimal digits each. The first is its `Picture.pixel_hash`. Others follow for a picture of more than
        8 bits: those of a copy in 8 bits, and of earlier versions of samnb.

    Raises
    ------
    ImageNotFound, ImageUnreadable, ImageTooLarge, ReaderMissing, ImageError
        As `read_pixels`.

    Examples
    --------
    >>> from samnb.images import encode_png, pixel_hash
    >>> pixels = np.full((4, 6, 3), 99, np.uint8)
    >>> pixel_hashes(encode_png(pixels)) == (pixel_hash(pixels),)
    True
    """
    decoded = decode(source, FROM_MEMORY) if isinstance(source, bytes) else decode(read_file(source)[0], source)
    shown = [hash_of_upright(one) for one in (decoded.image, decoded.earlier) if one is not None]
    of_file = [depth.hash_of_file(decoded.content)] if decoded.content else []
    return tuple(dict.fromkeys([decoded.pixel_hash, *shown, *of_file]))


def read_picture(path: AnyPath) -> Picture:
    """Read a picture file, or an object at an address, once: pixels, hashes, and what identifies the unchanged file.

    Parameters
    ----------
    path : path or address
        As in `read_pixels`.

    Returns
    -------
    Picture

    Raises
    ------
    ImageNotFound, ImageUnreadable, ImageTooLarge, ReaderMissing, ImageError
        As `read_pixels`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> files = [pathlib.Path(tempfile.mkdtemp(), name) for name in ("a.png", "a.bmp")]
    >>> for file in files:
    ...     Image.new("RGB", (6, 4), "orange").save(file)
    >>> one, other = map(read_picture, files)
    >>> one.pixel_hash == other.pixel_hash, one.content_hash == other.content_hash
    (True, False)
    """
    content, status = read_file(path)
    decoded = decode(content, path)
    pixels = np.asarray(decoded.image)
    perceptual = compute_perceptual_hash(decoded.image)
    # An object's size as its store tells it, by which the next look compares it.
    size_bytes = status.st_size if is_address(path) else len(content)
    if decoded.view is not None:
        # An unchanged view of a file that changed is another picture.
        status = stamp_of(decoded.view.path_from(path)) or status
        size_bytes = status.st_size
    return Picture(
        path=str(path) if is_address(path) else Path(path),
        pixels=pixels,
        size_hw=pixels.shape[:2],
        content_hash=hashlib.sha256(content).hexdigest(),
        pixel_hash=decoded.deeper or pixel_hash(pixels),
        perceptual_hash=perceptual.hex,
        size_bytes=size_bytes,
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
        perceptual_detail=perceptual.detail,
        frames=decoded.frames,
        shown_as=decoded.shown_as,
        view=decoded.view,
    )


def as_pixels(image: Image.Image | NDArray[Any]) -> Pixels:
    """Make pixels of a PIL image or an array; always a new array.

    Parameters
    ----------
    image : PIL.Image.Image or ndarray
        A PIL image of any mode, its EXIF orientation applied. An array is (H, W), (H, W, 1), (H, W, 3) RGB or
        (H, W, 4) RGBA of uint8, bool, uint16 (divided by 257) or float in 0..1; alpha is blended with white.

    Returns
    -------
    (H, W, 3) uint8
        RGB, upright. Of a grey picture of 12 bits a file shows more: it is stretched over the depth that holds its
        highest value, which the array of one part of a picture does not tell.

    Raises
    ------
    ImageError
        Another type, shape or dtype; no pixels; values that are not finite or out of range; a PIL image that is
        truncated.
    ImageTooLarge
        More than `MAX_PIXELS` pixels.

    Examples
    --------
    >>> as_pixels(np.array([[0.0, 1.0]]))[0].tolist()
    [[0, 0, 0], [255, 255, 255]]
    >>> as_pixels(Image.new("CMYK", (5, 2))).shape
    (2, 5, 3)
    """
    if isinstance(image, Image.Image):
        check_size((image.height, image.width), "the PIL image")
        return np.array(decoded_image(image, getattr(image, "filename", "") or "the PIL image").image)
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"Expected a PIL image or a NumPy array, got {type(image).__name__}. "
            "Read a file with samnb.images.read_pixels(path); turn other containers into an array first."
        )
    check_shape(image.shape)
    check_size(image.shape[:2], "the array")
    values = bytes_of(image)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[2] == 4:
        return np.array(on_white(Image.fromarray(np.ascontiguousarray(values))))
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)), order="C")


def suffix_for(content: bytes) -> str:
    """Tell the suffix for the format of a picture file.

    Parameters
    ----------
    content : bytes
        What is in the file.

    Returns
    -------
    str
        Such as ".png"; "" for what is no picture that can be opened.

    Examples
    --------
    >>> from samnb.images import encode_png
    >>> suffix_for(encode_png(np.zeros((1, 1, 3), np.uint8))), suffix_for(b"text")
    ('.png', '')
    """
    try:
        with open_picture(content) as image:
            form = image.format or ""
            return _SUFFIXES.get(form, f".{form.lower()}")
    except ImageError:
        return ""
